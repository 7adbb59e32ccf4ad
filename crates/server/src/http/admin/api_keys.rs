//! `/v1/api-keys` (contract portkey.md section 7). A key is shown once, in the answer that made it.

mod body;
mod kind;
pub(crate) mod shown;

use axum::{extract::State, response::Response};
use loomgate_domain::{
    ApiKeyId, Id, IdKind, Scope, Scopes,
    id::{self, ApiKeyKind},
    key::ApiKey,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

pub(crate) use self::body::Change;
use self::{
    body::{Creation, rotation},
    kind::{Kind, PathKind},
    shown::{shown, shown_configured, subject},
};
use super::{
    CONTENDERS, allowance, contended, fields::Fields, moment, path::Path, reply, tenant::Tenant,
};
use crate::{
    app::App,
    config::ConfiguredKey,
    error::{AdminError, ApiError},
    http::{
        access::{Access, Routes},
        idempotency::{Created, Idempotency},
    },
    start::new_key,
};

/// First characters of a key that tell it from others.
const HINT_CHARS: usize = 7;

/// The routes of this resource.
pub(super) fn routes() -> Routes {
    use Access::Scope as Needs;
    let one = "/v1/api-keys/{id}";
    Routes::default()
        .get("/v1/api-keys", Needs(Scope::ApiKeysList), index)
        .create_as(
            Created::Administered,
            "/v1/api-keys/{id}/rotate",
            Needs(Scope::ApiKeysUpdate),
            rotate,
        )
        .create_as(
            Created::Administered,
            "/v1/api-keys/{id}/{sub_type}",
            Needs(Scope::ApiKeysCreate),
            create,
        )
        .get(one, Needs(Scope::ApiKeysRead), show)
        .put(one, Needs(Scope::ApiKeysUpdate), update)
        .delete(one, Needs(Scope::ApiKeysDelete), delete)
}

async fn create(
    State(app): State<App>,
    tenant: Tenant,
    PathKind(kind): PathKind,
    once: Idempotency,
    mut body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    if kind == Kind::Organisation {
        tenant.caller.require(Scope::Admin)?;
    }
    let named = body.text("workspace_id", 128)?.into_option();
    let creation = Creation::read(body, kind, app.clock.now())?;
    require_cover(&tenant, &creation.settings.scopes)?;
    let workspace = tenant.home(&app, named).await?;
    body::check_defaults(&app, &workspace, &creation.settings, None).await?;
    let secret = new_key(&*app.ids);
    let now = app.clock.now();
    let key = ApiKey {
        id: id::new_id(&*app.ids),
        workspace,
        name: creation.name,
        hash: app.keyring.hex(secret.expose_secret()),
        hint: hint(&secret),
        previous: None,
        settings: creation.settings,
        created_at: now,
        updated_at: now,
        revoked_at: None,
    };
    let answer = reply::body(&with_secret(shown(&app, &key).await?, &secret))?;
    let (response, receipt) = once.reply_sealed(&app, &tenant.caller, &answer)?;
    app.store.keys().insert(key, receipt).await?;
    Ok(response)
}

async fn index(State(app): State<App>, mut tenant: Tenant) -> Result<Response, AdminError> {
    let mut objects = Vec::new();
    let configured = app.keyring.configured();
    let mut configured: Vec<_> = configured
        .filter(|key| key.workspace == tenant.workspace)
        .cloned()
        .collect();
    configured.sort_by(|one, other| one.id.cmp(&other.id));
    for key in configured {
        objects.push(shown_configured(&app, &key).await?);
    }
    for key in app.store.keys().list(Some(&tenant.workspace)).await? {
        if key.revoked_at.is_none() {
            objects.push(shown(&app, &key).await?);
        }
    }
    reply::page(&mut tenant.query, &objects)
}

async fn show(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let configured = app.keyring.configured();
    let mut configured = configured.filter(|key| key.workspace == tenant.workspace);
    if let Some(key) = configured.find(|key| key.id.as_str() == id) {
        return reply::object(&shown_configured(&app, key).await?);
    }
    let key = find(&app, &tenant, &id).await?;
    reply::object(&shown(&app, &key).await?)
}

async fn update(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
    body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    for _ in 0..CONTENDERS {
        if let Some(key) = try_update(&app, &tenant, &id, body.clone()).await? {
            return reply::object(&shown(&app, &key).await?);
        }
    }
    Err(contended())
}

/// `None`: somebody else was first.
async fn try_update(
    app: &App,
    tenant: &Tenant,
    id: &str,
    body: Fields,
) -> Result<Option<ApiKey>, AdminError> {
    let before = changeable(app, tenant, id).await?;
    let change = Change::read(body, &before, app.clock.now())?;
    require_cover(tenant, &change.settings.scopes)?;
    let old = Some(&before.settings);
    body::check_defaults(app, &before.workspace, &change.settings, old).await?;
    let after = ApiKey {
        name: change.name,
        settings: change.settings,
        updated_at: app.clock.now(),
        ..before.clone()
    };
    let keys = app.store.keys();
    let updated = keys.update(&tenant.workspace, &before, after).await?;
    if let Some(key) = updated.as_ref().filter(|_| change.reset_usage) {
        allowance::reset(app, &subject(&key.id)).await?;
    }
    app.keyring.forget();
    Ok(updated)
}

async fn rotate(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
    once: Idempotency,
    body: Fields,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    // Who may not do it is told nothing of the body.
    changeable(&app, &tenant, &id).await?;
    let overlap = rotation(body)?;
    for _ in 0..CONTENDERS {
        let before = changeable(&app, &tenant, &id).await?;
        let secret = new_key(&*app.ids);
        let hash = app.keyring.hex(secret.expose_secret());
        let now = app.clock.now();
        let until = now.plus(overlap);
        let after = before.rotated(hash, hint(&secret), until, now);
        let mut answer = with_secret(shown(&app, &after).await?, &secret);
        answer["key_transition_expires_at"] = json!(moment::text(until));
        let answer = reply::body(&answer)?;
        let once = once.clone();
        let (response, receipt) = once.reply_sealed(&app, &tenant.caller, &answer)?;
        let keys = app.store.keys();
        let rotated = keys.rotate(&tenant.workspace, &before, after, receipt);
        let is_rotated = rotated.await?.is_some();
        app.keyring.forget();
        if is_rotated {
            return Ok(response);
        }
    }
    Err(contended())
}

/// The record stays, for the logs that name it; it is shown no more.
async fn delete(
    State(app): State<App>,
    tenant: Tenant,
    Path(id): Path<String>,
) -> Result<Response, AdminError> {
    tenant.no_more_query()?;
    let key = changeable(&app, &tenant, &id).await?;
    if !app.store.keys().revoke(&key.id, app.clock.now()).await? {
        return Err(not_found(&id));
    }
    app.keyring.forget();
    reply::done()
}

async fn find(app: &App, tenant: &Tenant, id: &str) -> Result<ApiKey, AdminError> {
    let parsed: ApiKeyId = Id::parse(id).map_err(|_| not_found(id))?;
    let found = app.store.keys().get(&tenant.workspace, &parsed).await?;
    let valid = found.filter(|key| key.revoked_at.is_none());
    valid.ok_or_else(|| not_found(id))
}

/// A key that the caller may change: it is kept here, and may do no more than the caller.
async fn changeable(app: &App, tenant: &Tenant, id: &str) -> Result<ApiKey, AdminError> {
    let mut configured = app.keyring.configured();
    let is_own = |key: &crate::auth::KeyRecord| key.workspace == tenant.workspace;
    if configured.any(|key| key.id.as_str() == id && is_own(key)) {
        let name = id.strip_prefix(ConfiguredKey::ID_PREFIX).unwrap_or(id);
        let message = format!(
            "The API key '{name}' stands in the server's configuration file: change it there, in \
             the [[api_keys]] of that name."
        );
        return Err(ApiError::forbidden(message).code("read_only").into());
    }
    let key = find(app, tenant, id).await?;
    require_cover(tenant, &key.settings.scopes)?;
    Ok(key)
}

/// Nobody gives away, or takes, what they do not have.
fn require_cover(tenant: &Tenant, scopes: &Scopes) -> Result<(), AdminError> {
    let own = &tenant.caller.key.settings.scopes;
    let more: Vec<_> = scopes.iter().filter(|scope| !own.allow(*scope)).collect();
    if more.is_empty() {
        return Ok(());
    }
    let more: Vec<_> = more.into_iter().map(Scope::as_str).collect();
    let message = format!(
        "Your API key lacks scopes of the key that this is about: {}.",
        more.join(", ")
    );
    Err(ApiError::forbidden(message)
        .code("missing_scope")
        .param("scopes")
        .into())
}

fn with_secret(mut answer: Value, secret: &SecretString) -> Value {
    answer["key"] = json!(secret.expose_secret());
    answer
}

fn hint(secret: &SecretString) -> String {
    secret.expose_secret().chars().take(HINT_CHARS).collect()
}

fn not_found(id: &str) -> AdminError {
    let id: String = id.chars().take(64).collect();
    ApiError::missing(format!("There is no {} '{id}'.", ApiKeyKind::NOUN))
        .param("id")
        .into()
}
