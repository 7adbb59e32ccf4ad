//! `/v1/virtual-keys`, and `/v1/providers` for the same (contract portkey.md section 7).

mod body;
pub(crate) mod shown;

use axum::{extract::State, response::Response};
use loomgate_domain::{Scope, virtual_key::VirtualKey};
use serde_json::Value;

pub(crate) use self::body::Change;
use self::{
    body::Creation,
    shown::{shown, shown_configured},
};
use super::{
    CONTENDERS, allowance, contended, fields::Fields, path::Path, reply, slug, tenant::Tenant,
};
use crate::{
    app::App,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        idempotency::{Created, Idempotency},
    },
    routing::seal_context,
};

/// How often a slug of our own making is made again when it is taken.
const ATTEMPTS: usize = 5;

/// The routes of this resource.
pub(super) fn routes() -> Routes {
    use Access::Scope as Needs;
    let common = |many, one| {
        Routes::default()
            .create_as(
                Created::Administered,
                many,
                Needs(Scope::VirtualKeysCreate),
                create,
            )
            .get(one, Needs(Scope::VirtualKeysRead), show)
            .put(one, Needs(Scope::VirtualKeysUpdate), update)
            .delete(one, Needs(Scope::VirtualKeysDelete), delete)
    };
    common("/v1/virtual-keys", "/v1/virtual-keys/{slug}")
        .get("/v1/virtual-keys", Needs(Scope::VirtualKeysList), index)
        .merge(common("/v1/providers", "/v1/providers/{slug}"))
        .get("/v1/providers", Needs(Scope::VirtualKeysList), providers)
}

async fn create(
    State(app): State<App>,
    tenant: Tenant,
    once: Idempotency,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let named = body.text("workspace_id", 128)?.into_option();
    let creation = Creation::read(body, app.clock.now())?;
    let workspace = tenant.home(&app, named).await?;
    for _ in 0..ATTEMPTS {
        let chosen = creation.slug.clone();
        let slug = chosen.unwrap_or_else(|| slug::of_name("", &creation.name, &*app.ids));
        let key = sealed(
            &app,
            creation.record(&workspace, slug, app.clock.now()),
            creation.key.as_ref(),
        );
        if !app.accounts.is_configured(&key.slug) {
            let answer = reply::body(&shown(&app, &key).await?)?;
            let (response, receipt) = once.clone().reply_to(&tenant.caller, &answer)?;
            match app.store.virtual_keys().insert(key, receipt).await {
                Err(loomgate_store::Error::Duplicate) => {}
                done => {
                    done?;
                    app.accounts.forget();
                    return Ok(response);
                }
            }
        }
        if let Some(slug) = &creation.slug {
            let message = format!("There is a virtual key '{slug}' already: choose another slug.");
            return Err(ApiError::conflict(message).param("slug").into());
        }
    }
    Err(ApiError::internal_logged().into())
}

/// The record with its secret sealed, for its slug and no other.
fn sealed(app: &App, mut key: VirtualKey, secret: Option<&body::Secret>) -> VirtualKey {
    if let Some(secret) = secret {
        let context = seal_context(&key.workspace, &key.slug);
        let mut random = |bytes: &mut [u8]| app.ids.fill(bytes);
        key.sealed_key = Some(app.vault.seal(&context, secret.expose(), &mut random));
        key.masked_key = Some(secret.masked());
    }
    key
}

async fn index(State(app): State<App>, mut tenant: Tenant) -> Result<Response, AdminError> {
    let objects = all(&app, &tenant).await?;
    reply::page(&mut tenant.query, &objects)
}

/// Portkey's Python SDK can not read this list unless `rate_limits` is an object or null, so it
/// holds the first of them alone; `all_rate_limits` has all, as the objects one by one have.
async fn providers(State(app): State<App>, mut tenant: Tenant) -> Result<Response, AdminError> {
    let mut objects = all(&app, &tenant).await?;
    for object in &mut objects {
        let limits = object["rate_limits"].take();
        object["rate_limits"] = limits.get(0).cloned().unwrap_or_default();
        object["all_rate_limits"] = limits;
    }
    reply::page(&mut tenant.query, &objects)
}

async fn all(app: &App, tenant: &Tenant) -> Result<Vec<Value>, AdminError> {
    let mut objects = Vec::new();
    for (name, key) in app.config.virtual_keys.iter() {
        objects.push(shown_configured(app, name, key).await?);
    }
    for key in app.store.virtual_keys().list(&tenant.workspace).await? {
        objects.push(shown(app, &key).await?);
    }
    Ok(objects)
}

async fn show(
    State(app): State<App>,
    tenant: Tenant,
    Path(slug): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    if let Some(key) = app.config.virtual_keys.get(&slug) {
        return reply::object(&shown_configured(&app, &slug, key).await?);
    }
    let key = find(&app, &tenant, &slug).await?;
    reply::object(&shown(&app, &key).await?)
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
    for _ in 0..CONTENDERS {
        if let Some(key) = try_update(&app, &tenant, &slug, body.clone()).await? {
            return reply::object(&shown(&app, &key).await?);
        }
    }
    Err(contended())
}

/// `None`: somebody else was first.
async fn try_update(
    app: &App,
    tenant: &Tenant,
    slug: &str,
    body: Fields,
) -> Result<Option<VirtualKey>, AdminError> {
    let before = find(app, tenant, slug).await?;
    let Change {
        record,
        key,
        reset_usage,
    } = Change::read(body, &before, app.clock.now())?;
    let record = sealed(app, record, key.as_ref());
    let virtual_keys = app.store.virtual_keys();
    let is_updated = virtual_keys
        .update(&tenant.workspace, &before, record.clone())
        .await?;
    if is_updated && reset_usage {
        allowance::reset(app, &shown::subject(&record)).await?;
    }
    app.accounts.forget();
    Ok(is_updated.then_some(record))
}

async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    Path(slug): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    refuse_configured(&app, &slug)?;
    let key = find(&app, &tenant, &slug).await?;
    let virtual_keys = app.store.virtual_keys();
    if !virtual_keys.delete(&tenant.workspace, &slug).await? {
        return Err(not_found(&slug));
    }
    app.accounts.forget();
    // Another virtual key may get this slug; what this one used is not its debt.
    allowance::reset(&app, &shown::subject(&key)).await?;
    reply::done()
}

async fn find(app: &App, tenant: &Tenant, slug: &str) -> Result<VirtualKey, AdminError> {
    let virtual_keys = app.store.virtual_keys();
    let found = virtual_keys.get(&tenant.workspace, slug).await?;
    found.ok_or_else(|| not_found(slug))
}

fn refuse_configured(app: &App, slug: &str) -> Result<(), AdminError> {
    if app.accounts.is_configured(slug) {
        let message = format!(
            "The virtual key '{slug}' stands in the server's configuration file: change it there, \
             in [virtual_keys.{slug}]."
        );
        return Err(ApiError::forbidden(message).code("read_only").into());
    }
    Ok(())
}

fn not_found(slug: &str) -> AdminError {
    let slug: String = slug.chars().take(slug::LONGEST).collect();
    ApiError::missing(format!("There is no virtual key '{slug}'."))
        .param("slug")
        .into()
}
