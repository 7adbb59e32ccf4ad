//! What clients send to make or change a virtual key.

use loomgate_domain::{
    Patch, Timestamp, WorkspaceId,
    virtual_key::{VirtualKey, VirtualKeySettings},
};
use loomgate_gateway::preset::preset;
use secrecy::{ExposeSecret as _, SecretString};

use super::super::{allowance, fields::Fields, slug};
use crate::{
    account::{self, AccountError, ECHO, PROVIDERS},
    error::AdminError,
};

/// The most bytes of a provider's key; some are whole JSON files.
const LONGEST_KEY: usize = 16 * 1024;
/// The most bytes of any other text.
const LONGEST_TEXT: usize = 1_024;
/// Options of providers, as Portkey and as others write them.
const OPTIONS: [(&str, &str); 5] = [
    ("apiVersion", "api_version"),
    ("resourceName", "resource_name"),
    ("deploymentName", "deployment_name"),
    ("openai_organization", "organization"),
    ("openai_project", "project"),
];

/// A provider's key on its way into the vault.
pub(crate) struct Secret(SecretString);

impl Secret {
    fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The key itself.
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The same, as what seals it takes it.
    pub(crate) fn into_inner(self) -> SecretString {
        self.0
    }

    /// Its ends: `sk-****wxyz`.
    pub(super) fn masked(&self) -> String {
        account::masked(self.expose())
    }
}

/// A virtual key to be made.
pub(super) struct Creation {
    /// The slug that the client chose.
    pub(super) slug: Option<String>,
    /// A name for people.
    pub(super) name: String,
    /// The provider's secret.
    pub(super) key: Option<Secret>,
    provider: String,
    settings: VirtualKeySettings,
}

impl Creation {
    /// Reads and checks the whole body, the workspace apart.
    pub(super) fn read(mut body: Fields, now: Timestamp) -> Result<Self, AdminError> {
        let name = body.needed_text("name", 256)?;
        let slug = slug::chosen(&mut body)?;
        let provider = provider(&mut body)?;
        let Some(provider) = provider.into_option() else {
            return Err(body.missing("provider"));
        };
        let key = body.secret("key", LONGEST_KEY)?.into_option();
        let key = key.map(Secret::new);
        let mut settings = VirtualKeySettings {
            usage_since: now,
            ..VirtualKeySettings::default()
        };
        apply(&mut body, &mut settings, now)?;
        check(&body, &provider, key.as_ref(), &settings)?;
        body.finish()?;
        Ok(Self {
            slug,
            name,
            key,
            provider,
            settings,
        })
    }

    /// The record, its secret apart.
    pub(super) fn record(
        &self,
        workspace: &WorkspaceId,
        slug: String,
        now: Timestamp,
    ) -> VirtualKey {
        VirtualKey {
            workspace: workspace.clone(),
            slug,
            name: self.name.clone(),
            provider: self.provider.clone(),
            sealed_key: None,
            masked_key: None,
            settings: self.settings.clone(),
            created_at: now,
            updated_at: now,
        }
    }
}

/// A change of a virtual key.
pub(crate) struct Change {
    /// The record as it is to be, its new secret apart.
    pub(crate) record: VirtualKey,
    /// The provider's new secret.
    pub(crate) key: Option<Secret>,
    /// Whether its budget begins anew.
    pub(crate) reset_usage: bool,
}

impl Change {
    /// Reads and checks the whole body against what is there.
    ///
    /// Error: 400 if the key that is there would go to another address. Whoever may change a
    /// virtual key does not thereby learn its secret.
    pub(crate) fn read(
        mut body: Fields,
        before: &VirtualKey,
        now: Timestamp,
    ) -> Result<Self, AdminError> {
        let mut record = before.clone();
        record.updated_at = now;
        if let Patch::Set(name) = body.text("name", 256)? {
            record.name = name;
        }
        if let Patch::Set(provider) = provider(&mut body)? {
            record.provider = provider;
        }
        let key = match body.secret("key", LONGEST_KEY)? {
            Patch::Absent => None,
            Patch::Null => {
                record.sealed_key = None;
                record.masked_key = None;
                None
            }
            Patch::Set(key) => Some(Secret::new(key)),
        };
        apply(&mut body, &mut record.settings, now)?;
        let reset_usage = body.flag("reset_usage")?.into_option().unwrap_or_default();
        if reset_usage {
            record.settings.usage_since = now;
        }
        let moved = destination(before) != destination(&record);
        if moved && key.is_none() && record.sealed_key.is_some() {
            let message = "A change of the provider or its address needs 'key' too: the key that \
                           is kept only goes where it was meant for.";
            return Err(body.refuse("key", message));
        }
        // That there is a key is all that the check wants to know.
        let kept = record
            .sealed_key
            .as_ref()
            .map(|_| Secret::new("kept".to_owned()));
        check(
            &body,
            &record.provider,
            key.as_ref().or(kept.as_ref()),
            &record.settings,
        )?;
        body.finish()?;
        Ok(Self {
            record,
            key,
            reset_usage,
        })
    }
}

/// Everything that decides who gets to see the key.
fn destination(key: &VirtualKey) -> (&str, Option<&str>, Option<&str>) {
    let settings = &key.settings;
    let resource = settings.options.get("resource_name");
    (
        &key.provider,
        settings.base_url.as_deref(),
        resource.map(String::as_str),
    )
}

/// The provider by its name of today. `integration_id` is what Portkey's newer SDKs call it.
fn provider(body: &mut Fields) -> Result<Patch<String>, AdminError> {
    let provider = body.text("provider", 64)?;
    let named = match body.text("integration_id", 64)? {
        Patch::Absent => provider,
        integration if provider == Patch::Absent || provider == integration => integration,
        _ => {
            let message = "'integration_id' is another name of 'provider': send one of them.";
            return Err(body.refuse("integration_id", message));
        }
    };
    match named {
        Patch::Set(name) => {
            let Some(preset) = preset(&name) else {
                let message = format!(
                    "Unknown provider '{name}'. Known: {}. For another server that speaks like \
                     OpenAI, send 'openai' and its 'base_url'.",
                    PROVIDERS.join(", ")
                );
                return Err(body.refuse("provider", message));
            };
            Ok(Patch::Set(preset.name.to_owned()))
        }
        Patch::Null => Err(body.missing("provider")),
        Patch::Absent => Ok(Patch::Absent),
    }
}

/// Applies everything but names and secrets.
fn apply(
    body: &mut Fields,
    settings: &mut VirtualKeySettings,
    now: Timestamp,
) -> Result<(), AdminError> {
    body.text("note", LONGEST_TEXT)?
        .apply_option(&mut settings.note);
    let base_url = body.text("base_url", LONGEST_TEXT)?;
    match body.text("custom_host", LONGEST_TEXT)? {
        Patch::Absent => base_url.apply_option(&mut settings.base_url),
        _ if base_url != Patch::Absent => {
            let message = "'custom_host' is another name of 'base_url': send one of them.";
            return Err(body.refuse("custom_host", message));
        }
        host => host.apply_option(&mut settings.base_url),
    }
    for (portkey, name) in OPTIONS {
        let written = match body.text(portkey, 256)? {
            Patch::Absent => body.text(name, 256)?,
            value => value,
        };
        match written {
            Patch::Absent => {}
            Patch::Null => {
                settings.options.remove(name);
            }
            Patch::Set(value) => {
                settings.options.insert(name.to_owned(), value);
            }
        }
    }
    body.pairs("model_aliases")?
        .apply(&mut settings.model_aliases);
    let assistants = [("native", false), ("upstream", true)];
    body.word("assistants", &assistants)?
        .apply(&mut settings.assistants_upstream);
    allowance::apply(body, &mut settings.allowance)?;
    allowance::apply_expiry(body, &mut settings.expires_at, now)
}

/// Errors unless an account can be made of it.
fn check(
    body: &Fields,
    provider: &str,
    key: Option<&Secret>,
    settings: &VirtualKeySettings,
) -> Result<(), AdminError> {
    if provider == ECHO && key.is_some() {
        return Err(body.refuse("key", "The built-in provider 'echo' takes no 'key'."));
    }
    let mut options = settings.options.clone();
    if let Some(base_url) = &settings.base_url {
        options.insert("base_url".to_owned(), base_url.clone());
    }
    let key = key.map(|key| key.0.clone());
    if settings
        .base_url
        .as_ref()
        .is_some_and(|url| url.contains('?'))
    {
        let message = "Invalid 'base_url': a key in its query would not be sealed. Send it as \
                       'key', or put the virtual key into the server's configuration file.";
        return Err(body.refuse("base_url", message));
    }
    let built = account::build(provider, key, &options);
    let built = built.map_err(|error| match error {
        AccountError::NoKey(_) => body.refuse("key", format!("{error}: send it as 'key'.")),
        error => body.refuse(error.option(), error.to_string()),
    })?;
    if let Some(option) = options
        .keys()
        .find(|option| !account::takes(&built, option))
    {
        let message = format!("The provider '{provider}' takes no '{option}'.");
        return Err(body.refuse(option, message));
    }
    if settings.assistants_upstream && !account::can_relay_assistants(&built.provider) {
        let message = format!("The provider '{provider}' has no assistants: 'native' is meant.");
        return Err(body.refuse("assistants", message));
    }
    Ok(())
}
