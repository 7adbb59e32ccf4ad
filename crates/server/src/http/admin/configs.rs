//! `/v1/configs`: saved routing configs and their versions (contract portkey.md sections 4 and 8).

mod body;

use axum::{extract::State, response::Response};
use loomgate_domain::{
    ConfigVersionId, IdGen, Scope, Timestamp,
    config::SavedConfig,
    id::{ConfigVersionKind, new_id},
};
use serde_json::{Value, json};

use self::body::{Change, Creation};
use super::{fields::Fields, moment, path::Path, reply, slug, tenant::Tenant};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        idempotency::{Created, Idempotency},
    },
    saved_config,
};

/// What slugs of our own making begin with.
const PREFIX: &str = "pc-";
/// How often a slug of our own making is made again when it is taken.
const ATTEMPTS: usize = 5;

/// The routes of this resource.
pub(super) fn routes() -> Routes {
    use Access::Scope as Needs;
    let one = "/v1/configs/{slug}";
    Routes::default()
        .get("/v1/configs", Needs(Scope::ConfigsList), index)
        .create_as(
            Created::Administered,
            "/v1/configs",
            Needs(Scope::ConfigsCreate),
            create,
        )
        .get(one, Needs(Scope::ConfigsRead), show)
        .put(one, Needs(Scope::ConfigsUpdate), update)
        .delete(one, Needs(Scope::ConfigsDelete), delete)
        .get(
            "/v1/configs/{slug}/versions",
            Needs(Scope::ConfigsRead),
            versions,
        )
}

async fn create(
    State(app): State<App>,
    tenant: Tenant,
    once: Idempotency,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let named = body.text("workspace_id", 128)?.into_option();
    let creation = Creation::read(body)?;
    let workspace = tenant.home(&app, named).await?;
    body::check_virtual_keys(&app, &workspace, &creation.config).await?;
    let now = app.clock.now();
    for _ in 0..ATTEMPTS {
        let chosen = creation.slug.clone();
        let slug = chosen.unwrap_or_else(|| slug::of_name(PREFIX, &creation.name, &*app.ids));
        let config = SavedConfig {
            workspace: workspace.clone(),
            slug,
            name: creation.name.clone(),
            version: version_id(&*app.ids),
            config: creation.config.clone(),
            created_at: now,
            updated_at: now,
        };
        if !is_configured(&app, &config.slug) {
            let answer = reply::body(&shown(&config))?;
            let (response, receipt) = once.clone().reply_to(&tenant.caller, &answer)?;
            match app.store.configs().insert(config, receipt).await {
                Err(loomgate_store::Error::Duplicate) => {}
                done => {
                    done?;
                    app.accounts.forget();
                    return Ok(response);
                }
            }
        }
        if let Some(slug) = &creation.slug {
            let message = format!("There is a config '{slug}' already: choose another slug.");
            return Err(ApiError::conflict(message).param("slug").into());
        }
    }
    Err(ApiError::internal_logged().into())
}

async fn index(State(app): State<App>, mut tenant: Tenant) -> Result<Response, AdminError> {
    let configured = app.config.saved_configs.iter();
    let mut objects: Vec<_> = configured
        .map(|(slug, config)| shown_configured(slug, config))
        .collect();
    let saved = app.store.configs().list(&tenant.workspace).await?;
    objects.extend(saved.iter().map(shown));
    reply::page(&mut tenant.query, &objects)
}

async fn show(
    State(app): State<App>,
    tenant: Tenant,
    Path(slug): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    if let Some(config) = app.config.saved_configs.get(&slug) {
        return reply::object(&shown_configured(&slug, config));
    }
    let found = app.store.configs().get(&tenant.workspace, &slug).await?;
    reply::object(&shown(&found.ok_or_else(|| not_found(&slug))?))
}

async fn update(
    State(app): State<App>,
    tenant: Tenant,
    Path(slug): Path<String>,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    refuse_configured(&app, &slug)?;
    slug::repeated(&mut body, &slug)?;
    let Change { name, config } = Change::read(body)?;
    if let Some(config) = &config {
        body::check_virtual_keys(&app, &tenant.workspace, config).await?;
    }
    let version = config.map(|config| (version_id(&*app.ids), config));
    let configs = app.store.configs();
    let updated = configs
        .update(&tenant.workspace, &slug, name, version, app.clock.now())
        .await?;
    let config = updated.ok_or_else(|| not_found(&slug))?;
    app.accounts.forget();
    reply::object(&shown(&config))
}

async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    Path(slug): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    refuse_configured(&app, &slug)?;
    if !app.store.configs().delete(&tenant.workspace, &slug).await? {
        return Err(not_found(&slug));
    }
    app.accounts.forget();
    reply::done()
}

async fn versions(
    State(app): State<App>,
    mut tenant: Tenant,
    Path(slug): Path<String>,
) -> Result<Response, AdminError> {
    if let Some(config) = app.config.saved_configs.get(&slug) {
        let only = json!({"id": null, "version_id": null, "config": saved_config::redacted(config), "created_at": null});
        return reply::page(&mut tenant.query, &[only]);
    }
    let configs = app.store.configs();
    let versions = configs.versions(&tenant.workspace, &slug).await?;
    let versions = versions.ok_or_else(|| not_found(&slug))?;
    let objects: Vec<_> = versions
        .iter()
        .map(|version| {
            json!({
                "id": version.id,
                "version_id": version.id,
                "slug": slug,
                "config": version.config,
                "created_at": moment::text(version.created_at),
                "object": "config-version",
            })
        })
        .collect();
    reply::page(&mut tenant.query, &objects)
}

fn version_id(ids: &dyn IdGen) -> ConfigVersionId {
    new_id::<ConfigVersionKind>(ids)
}

fn shown(config: &SavedConfig) -> Value {
    let time = |at: Timestamp| moment::text(at);
    json!({
        "id": config.slug,
        "slug": config.slug,
        "name": config.name,
        "object": "config",
        "version_id": config.version,
        "config": config.config,
        "workspace_id": config.workspace,
        "organisation_id": null,
        "is_default": 0,
        "status": "active",
        "created_at": time(config.created_at),
        "last_updated_at": time(config.updated_at),
        "read_only": false,
    })
}

/// A config of the configuration file, which is there for every workspace.
fn shown_configured(slug: &str, config: &Value) -> Value {
    json!({
        "id": slug,
        "slug": slug,
        "name": slug,
        "object": "config",
        "version_id": null,
        "config": saved_config::redacted(config),
        "workspace_id": null,
        "organisation_id": null,
        "is_default": 0,
        "status": "active",
        "created_at": null,
        "last_updated_at": null,
        "read_only": true,
    })
}

fn is_configured(app: &App, slug: &str) -> bool {
    app.config.saved_configs.contains_key(slug)
}

fn refuse_configured(app: &App, slug: &str) -> Result<(), AdminError> {
    if is_configured(app, slug) {
        let message = format!(
            "The config '{slug}' stands in the server's configuration file: change it there, in \
             [configs.{slug}]."
        );
        return Err(ApiError::forbidden(message).code("read_only").into());
    }
    Ok(())
}

fn not_found(slug: &str) -> AdminError {
    let slug: String = slug.chars().take(slug::LONGEST).collect();
    ApiError::missing(format!("There is no config '{slug}'."))
        .param("slug")
        .into()
}
