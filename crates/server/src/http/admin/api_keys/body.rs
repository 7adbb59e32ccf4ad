//! What clients send to make, change or rotate an API key.

use loomgate_domain::{
    Patch, Scope, Scopes, Timestamp, WhenLocked, WorkspaceId,
    key::{ApiKey, KeySettings},
};

use super::{
    super::{allowance, fields::Fields, slug},
    kind::{Kind, USER},
};
use crate::{
    app::App,
    error::{AdminError, ApiError},
};

/// The shortest time in which both the old and the new secret of a key are good; milliseconds.
const SHORTEST_TRANSITION: i64 = 1_800_000;
/// The longest: 30 days.
const LONGEST_TRANSITION: i64 = 30 * 24 * 3_600_000;
/// The most addresses of alerts.
const EMAILS: usize = 20;

/// A key to be made.
pub(super) struct Creation {
    /// A name for people.
    pub(super) name: String,
    /// What it may do.
    pub(super) settings: KeySettings,
}

impl Creation {
    /// Reads and checks the whole body, the workspace apart.
    pub(super) fn read(mut body: Fields, kind: Kind, now: Timestamp) -> Result<Self, AdminError> {
        let (of, sub_type) = kind.parts();
        for (name, expected) in [("type", of), ("sub-type", sub_type), ("sub_type", sub_type)] {
            if let Patch::Set(repeated) = body.text(name, 64)?
                && repeated != expected
            {
                return Err(body.wrong(name, format!("'{expected}', as the path says"), repeated));
            }
        }
        let name = body.needed_text("name", 256)?;
        let mut settings = KeySettings {
            usage_since: now,
            ..KeySettings::default()
        };
        if kind == Kind::Organisation {
            settings.scopes = Scopes::new([Scope::Admin]);
        }
        let user = body.text("user_id", 256)?.into_option();
        apply(&mut body, &mut settings, now)?;
        match (kind, user) {
            (Kind::User, Some(user)) => {
                settings.metadata.insert(USER.to_owned(), user);
            }
            (Kind::User, None) if settings.metadata.contains_key(USER) => {}
            (Kind::User, None) => return Err(body.missing("user_id")),
            (_, Some(_)) => {
                let message = "Only keys of the kind workspace/user have a 'user_id'.";
                return Err(body.refuse("user_id", message));
            }
            (_, None) => {}
        }
        require_kind(&body, &settings, kind)?;
        body.finish()?;
        Ok(Self { name, settings })
    }
}

/// A change of a key.
pub(crate) struct Change {
    /// Its name, changed or not.
    pub(crate) name: String,
    /// All that it may do from then on.
    pub(crate) settings: KeySettings,
    /// Whether its budget begins anew.
    pub(crate) reset_usage: bool,
}

impl Change {
    /// Reads and checks the whole body against what is there.
    pub(crate) fn read(
        mut body: Fields,
        before: &ApiKey,
        now: Timestamp,
    ) -> Result<Self, AdminError> {
        let mut name = before.name.clone();
        let mut settings = before.settings.clone();
        let kind = Kind::of(&settings);
        if let Patch::Set(id) = body.text("id", 256)?
            && id != before.id.as_str()
        {
            return Err(body.wrong("id", "the id of the path", id));
        }
        if let Patch::Set(changed) = body.text("name", 256)? {
            name = changed;
        }
        let user = settings.metadata.get(USER).cloned();
        apply(&mut body, &mut settings, now)?;
        // A user's key stays that user's.
        if let Some(user) = user {
            settings.metadata.entry(USER.to_owned()).or_insert(user);
        }
        let reset_usage = body.flag("reset_usage")?.into_option().unwrap_or_default();
        if reset_usage {
            settings.usage_since = now;
        }
        require_kind(&body, &settings, kind)?;
        body.finish()?;
        Ok(Self {
            name,
            settings,
            reset_usage,
        })
    }
}

/// Applies everything but names, kinds and users.
fn apply(body: &mut Fields, settings: &mut KeySettings, now: Timestamp) -> Result<(), AdminError> {
    body.text("description", 1_024)?
        .apply_option(&mut settings.description);
    match body.texts("scopes", 100)? {
        Patch::Absent | Patch::Null => {}
        Patch::Set(names) => settings.scopes = scopes(body, &names)?,
    }
    allowance::apply(body, &mut settings.allowance)?;
    allowance::apply_expiry(body, &mut settings.expires_at, now)?;
    body.texts("alert_emails", EMAILS)?
        .apply(&mut settings.alert_emails);
    if let Patch::Set(mut defaults) = body.object("defaults")? {
        defaults.pairs("metadata")?.apply(&mut settings.metadata);
        defaults
            .text("config_id", slug::LONGEST)?
            .apply_option(&mut settings.default_config);
        defaults
            .text("virtual_key", slug::LONGEST)?
            .apply_option(&mut settings.default_virtual_key);
        match defaults.flag("allow_config_override")? {
            Patch::Absent => {}
            Patch::Null => settings.allow_config_override = true,
            Patch::Set(allowed) => settings.allow_config_override = allowed,
        }
        when_locked(&mut defaults, settings)?;
        defaults.finish()?;
    }
    Ok(())
}

fn when_locked(defaults: &mut Fields, settings: &mut KeySettings) -> Result<(), AdminError> {
    match defaults.text("when_locked", 32)? {
        Patch::Absent => {}
        Patch::Null => settings.when_locked = WhenLocked::Fail,
        Patch::Set(text) => {
            settings.when_locked = text.parse().map_err(|unknown| {
                let message = format!("Invalid 'defaults.when_locked': {unknown}.");
                defaults.refuse("when_locked", message)
            })?;
        }
    }
    Ok(())
}

fn scopes(body: &Fields, names: &[String]) -> Result<Scopes, AdminError> {
    let mut scopes = Vec::new();
    for name in names {
        let scope = name.parse::<Scope>();
        scopes.push(scope.map_err(|unknown| {
            let nearest = Scope::ALL
                .iter()
                .map(|scope| scope.as_str())
                .min_by_key(|known| strsim::damerau_levenshtein(known, name))
                .unwrap_or_default();
            let message = format!("Invalid 'scopes': {unknown}. The nearest one is '{nearest}'.");
            body.refuse("scopes", message)
        })?);
    }
    if scopes.is_empty() {
        let message = "Invalid 'scopes': a key without any can do nothing.";
        return Err(body.refuse("scopes", message));
    }
    Ok(Scopes::new(scopes))
}

/// The scope `admin` is what makes a key one of the organisation.
fn require_kind(body: &Fields, settings: &KeySettings, kind: Kind) -> Result<(), AdminError> {
    let is_admin = settings.scopes.allow(Scope::Admin);
    match (kind, is_admin) {
        (Kind::Organisation, false) => {
            let message = "A key of the organisation has the scope 'admin': make one of a \
                           workspace that may do less.";
            Err(body.refuse("scopes", message))
        }
        (Kind::Service | Kind::User, true) => {
            let message = "Only keys of the organisation have the scope 'admin': make one with \
                           POST /v1/api-keys/organisation/service.";
            Err(body.refuse("scopes", message))
        }
        _ => Ok(()),
    }
}

/// Errors unless the defaults lead somewhere. Those that were so before are let be.
pub(super) async fn check_defaults(
    app: &App,
    workspace: &WorkspaceId,
    settings: &KeySettings,
    before: Option<&KeySettings>,
) -> Result<(), AdminError> {
    let before = before.cloned().unwrap_or_default();
    let unknown = |what: &str, slug: &str, param: &'static str| {
        let message = format!("There is no {what} '{slug}'.");
        AdminError::from(ApiError::invalid(message).param(param))
    };
    if let Some(slug) = &settings.default_config
        && settings.default_config != before.default_config
        && app.accounts.config(workspace, slug).await?.is_none()
    {
        return Err(unknown("config", slug, "defaults.config_id"));
    }
    if let Some(slug) = &settings.default_virtual_key
        && settings.default_virtual_key != before.default_virtual_key
        && app.accounts.find(workspace, slug).await?.is_none()
    {
        return Err(unknown("virtual key", slug, "defaults.virtual_key"));
    }
    Ok(())
}

/// For how many seconds the old secret stays good, from the body of a rotation.
pub(super) fn rotation(mut body: Fields) -> Result<u32, AdminError> {
    let range = SHORTEST_TRANSITION..=LONGEST_TRANSITION;
    let transition = body.whole("key_transition_period_ms", range)?;
    let transition = transition.into_option().unwrap_or(SHORTEST_TRANSITION);
    body.finish()?;
    // Rounded up, so that it is never shorter than was asked for.
    Ok(u32::try_from((transition + 999) / 1000).unwrap_or(u32::MAX))
}
