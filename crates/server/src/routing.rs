//! Which way a call goes: from a request's headers and its key's defaults to a plan (contract
//! portkey.md section 1).

mod accounts;
mod inline;
mod wishes;

use std::{collections::HashMap, sync::Arc};

use loomgate_domain::{WorkspaceId, run::Route};
use loomgate_gateway::{
    Plan, Target,
    config::{Config, Destination, Leaf, Overrides},
};

pub(crate) use accounts::{Accounts, seal_context};
pub(crate) use loomgate_gateway::config::slug_in_model;
pub(crate) use wishes::Wishes;

use crate::{account, app::Services, auth::KeyRecord, error::ApiError};

/// The text for a config that leads nowhere, as clients know it.
const NO_PROVIDER: &str = "Either x-portkey-provider needs to be passed. Or the x-portkey-config \
                           header should have a valid config with provider details in it.";

/// The way that a call goes.
#[derive(Debug)]
pub(crate) struct Way {
    /// Where it may lead.
    pub(crate) plan: Plan,
    /// The slug of the saved config that says so.
    pub(crate) config: Option<Arc<str>>,
    /// How a run remembers it.
    pub(crate) route: Route,
}

/// Finds the way of a request.
///
/// Error: 400 or 403, in the form of the gateway's errors.
pub(crate) async fn find(
    services: &Services,
    workspace: &WorkspaceId,
    key: &KeyRecord,
    wishes: &Wishes,
) -> Result<Way, ApiError> {
    let found = by_wishes(services, workspace, key, wishes).await;
    found.map_err(ApiError::of_gateway)
}

/// Whether neither the request nor any default says where model calls go.
pub(crate) fn is_unsaid(services: &Services, key: &KeyRecord, wishes: &Wishes) -> bool {
    wishes.config.is_none()
        && !wishes.names_a_target()
        && key.settings.default_config.is_none()
        && default_virtual_key(services, key).is_none()
}

/// The wishes of a run, with the defaults that they were granted by: those may change while it
/// goes on.
pub(crate) fn pinned(mut wishes: Wishes, way: &Way) -> Wishes {
    if wishes.config.is_none() {
        wishes.config = way.config.as_deref().map(str::to_owned);
    }
    if wishes.config.is_none() && !wishes.names_a_target() {
        let target = way.plan.targets().next();
        wishes.virtual_key = target.map(|target| target.name.to_string());
    }
    wishes
}

async fn by_wishes(
    services: &Services,
    workspace: &WorkspaceId,
    key: &KeyRecord,
    wishes: &Wishes,
) -> Result<Way, ApiError> {
    let settings = &key.settings;
    if wishes.config.is_some() && !settings.allow_config_override {
        return Err(ApiError::forbidden(
            "Your API key does not let requests bring a config: leave out the header \
             'x-portkey-config'.",
        )
        .code("config_override_not_allowed"));
    }
    let fixed = settings
        .default_config
        .as_deref()
        .filter(|_| !settings.allow_config_override);
    let overrides = wishes.overrides()?;
    // What else the request names only fills in what that config leaves open.
    if let Some(config) = wishes.config.as_deref().or(fixed) {
        return of_config(services, (workspace, key), wishes, (config, &overrides)).await;
    }
    if wishes.names_a_target() {
        return of_target(services, (workspace, key), wishes, &overrides).await;
    }
    if let Some(slug) = &settings.default_config {
        return of_config(services, (workspace, key), wishes, (slug, &overrides)).await;
    }
    of_target(services, (workspace, key), wishes, &overrides).await
}

/// The way that a run took when it was made; `named` is the virtual key that its model names. As in
/// a relayed call, that one only fills in what a config leaves open, unless the config is a default
/// that requests can override.
pub(crate) async fn resume(
    services: &Services,
    workspace: &WorkspaceId,
    (route, named): (&Route, Option<&str>),
    sealed: Option<&Wishes>,
    key: Option<&KeyRecord>,
) -> Result<Way, ApiError> {
    let mut wishes = match (route, sealed) {
        (Route::VirtualKey(slug), _) => Wishes::for_virtual_key(slug),
        (Route::Config(slug), _) => Wishes::for_config(slug),
        (Route::Sealed, Some(wishes)) => wishes.clone(),
        (Route::Sealed, None) => {
            return Err(ApiError::invalid("What the run was made with is gone.")
                .code("invalid_virtual_key"));
        }
    };
    if let Some(slug) = named {
        let gives_way = key.is_some_and(|key| {
            key.settings.allow_config_override && key.settings.default_config == wishes.config
        });
        if gives_way {
            wishes.config = None;
        }
        wishes.virtual_key = Some(slug.to_owned());
    }
    let overrides = wishes.overrides()?;
    let default = key
        .and_then(|key| key.settings.default_virtual_key.as_deref())
        .or_else(|| {
            services
                .config
                .virtual_keys
                .default_name()
                .map(AsRef::as_ref)
        });
    match &wishes.config {
        Some(config) => plan(services, workspace, default, &wishes, (config, &overrides)).await,
        None => single(services, workspace, default, &wishes, &overrides).await,
    }
}

async fn of_config(
    services: &Services,
    (workspace, key): (&WorkspaceId, &KeyRecord),
    wishes: &Wishes,
    config: (&str, &Overrides),
) -> Result<Way, ApiError> {
    let default = default_virtual_key(services, key);
    plan(services, workspace, default, wishes, config).await
}

async fn of_target(
    services: &Services,
    (workspace, key): (&WorkspaceId, &KeyRecord),
    wishes: &Wishes,
    overrides: &Overrides,
) -> Result<Way, ApiError> {
    let default = default_virtual_key(services, key);
    single(services, workspace, default, wishes, overrides).await
}

fn default_virtual_key<'a>(services: &'a Services, key: &'a KeyRecord) -> Option<&'a str> {
    let own = key.settings.default_virtual_key.as_deref();
    own.or_else(|| {
        services
            .config
            .virtual_keys
            .default_name()
            .map(AsRef::as_ref)
    })
}

/// A plan of one target: what the headers name, or the default.
async fn single(
    services: &Services,
    workspace: &WorkspaceId,
    default: Option<&str>,
    wishes: &Wishes,
    overrides: &Overrides,
) -> Result<Way, ApiError> {
    let target = requested(services, workspace, default, wishes).await?;
    let route = if target.is_stored && wishes.is_plain() {
        Route::VirtualKey(target.name.to_string())
    } else {
        Route::Sealed
    };
    Ok(Way {
        plan: Plan::of_request(&target, overrides),
        config: None,
        route,
    })
}

/// The target of a request that brings no config, or of a config's leaf that names none.
async fn requested(
    services: &Services,
    workspace: &WorkspaceId,
    default: Option<&str>,
    wishes: &Wishes,
) -> Result<Arc<Target>, ApiError> {
    if let Some(slug) = wishes.slug() {
        return services
            .accounts
            .find(workspace, slug)
            .await?
            .ok_or_else(|| ApiError::no_virtual_key(slug, "in your request"));
    }
    if let Some(provider) = &wishes.provider {
        let target = inline::target(
            services,
            provider,
            wishes.authorization().as_ref(),
            (&wishes.options, wishes.custom_host.as_deref()),
        )?;
        return Ok(Arc::new(target));
    }
    let Some(slug) = default else {
        return Err(ApiError::invalid(
            "Either x-portkey-config or x-portkey-provider header is required",
        ));
    };
    services
        .accounts
        .find(workspace, slug)
        .await?
        .ok_or_else(|| ApiError::no_virtual_key(slug, "as the default of your API key"))
}

/// A plan from a config: its JSON, or the slug of a saved one.
async fn plan(
    services: &Services,
    workspace: &WorkspaceId,
    default: Option<&str>,
    wishes: &Wishes,
    (text, overrides): (&str, &Overrides),
) -> Result<Way, ApiError> {
    let is_inline = text.trim_start().starts_with('{');
    let (value, slug) = if is_inline {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|_| {
            ApiError::invalid("Invalid config passed. You need to pass a valid json")
        })?;
        (Arc::new(value), None)
    } else {
        let saved = services.accounts.config(workspace, text).await?;
        let value = saved.ok_or_else(|| ApiError::no_config(text))?;
        (value, Some(Arc::<str>::from(text)))
    };
    let config = Config::parse(&value, overrides).map_err(|invalid| ApiError::config(&invalid))?;
    if slug.is_some() && overrides.custom_host.is_some() && config.leaves().any(brings_a_secret) {
        return Err(ApiError::invalid(
            "A stored credential only goes to its own address: leave out the custom host, or send \
             a credential of your own.",
        )
        .param("x-portkey-custom-host")
        .code("custom_host_not_allowed"));
    }
    let mut targets = HashMap::new();
    for leaf in config.leaves() {
        let target = of_leaf(services, workspace, default, wishes, leaf).await?;
        targets.insert(Arc::clone(&leaf.path), target);
    }
    let identity = match &slug {
        Some(slug) => format!("{workspace}/{slug}"),
        None => format!("{workspace}/{}", blake3::hash(text.as_bytes()).to_hex()),
    };
    let plan = Plan::new(Arc::new(config), &identity, |leaf| {
        targets
            .remove(&leaf.path)
            .ok_or_else(ApiError::internal_logged)
    })?;
    let route = match &slug {
        Some(slug) if wishes.is_plain() => Route::Config(slug.to_string()),
        _ => Route::Sealed,
    };
    Ok(Way {
        plan,
        config: slug,
        route,
    })
}

/// Whether a leaf holds a credential itself. In a saved config that is not the caller's.
fn brings_a_secret(leaf: &Leaf) -> bool {
    match &leaf.destination {
        Destination::Inline(inline) => {
            inline.api_key.is_some() || inline.options.contains_key("azure_ad_token")
        }
        Destination::VirtualKey(_) | Destination::Request => false,
    }
}

async fn of_leaf(
    services: &Services,
    workspace: &WorkspaceId,
    default: Option<&str>,
    wishes: &Wishes,
    leaf: &Leaf,
) -> Result<Arc<Target>, ApiError> {
    match &leaf.destination {
        Destination::VirtualKey(slug) => {
            let target = services.accounts.find(workspace, slug).await?;
            target.ok_or_else(|| ApiError::no_virtual_key(slug, "in the config"))
        }
        Destination::Inline(inline) => {
            // The caller's own key serves where the config has none.
            let key = inline.api_key.clone().or_else(|| wishes.authorization());
            let address = (&inline.options, leaf.rules.custom_host.as_deref());
            let target = inline::target(services, &inline.provider, key.as_ref(), address)?;
            match account::meaningless(leaf) {
                None => Ok(Arc::new(target)),
                Some(invalid) => Err(ApiError::config(&invalid)),
            }
        }
        Destination::Request if default.is_none() && !wishes.names_a_target() => {
            Err(ApiError::invalid(NO_PROVIDER))
        }
        Destination::Request => requested(services, workspace, default, wishes).await,
    }
}
