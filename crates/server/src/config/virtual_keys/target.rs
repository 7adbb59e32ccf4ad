//! From a virtual key's options to what its calls need.

use std::{collections::BTreeMap, time::Duration};

use loomgate_gateway::{MaxTokensField, Provider, Target, Timeouts};
use secrecy::ExposeSecret as _;

use super::{
    super::{
        Environment,
        allowance::{self, RawAllowance},
        error::ConfigError,
        raw::RawVirtualKey,
        valid::{secret_of, time_of},
    },
    ConfiguredVirtualKey, expect_name,
};
use crate::account::{self, AccountError, Built};

pub(super) fn configured(
    name: &str,
    raw: RawVirtualKey,
    environment: &Environment,
) -> Result<ConfiguredVirtualKey, ConfigError> {
    expect_name(name, &format!("virtual_keys.{name}"))?;
    let at = |option: &str| format!("virtual_keys.{name}.{option}");
    let Some(provider) = raw.provider.as_deref() else {
        return Err(ConfigError::missing(&at("provider")).help(format!(
            "one of {}; \"openai\" also for servers that speak like it",
            account::PROVIDERS.join(", ")
        )));
    };
    let api_key = (&raw.api_key, &raw.api_key_env);
    let api_key = secret_of(api_key, &[at("api_key"), at("api_key_env")], environment)?;
    let masked_key = api_key
        .as_ref()
        .map(|key| account::masked(key.expose_secret()));
    let built = account::build(provider, api_key, &options(&raw));
    let built = built.map_err(|error| told(&error, provider, &at))?;
    refuse_meaningless(&raw, &built, &at)?;
    let assistants_upstream = assistants(&raw, &built, &at)?;
    let limits = RawAllowance {
        rate_limits: &raw.rate_limits,
        usage_limits: raw.usage_limits.as_ref(),
        concurrency: raw.concurrency,
    };
    let allowance = allowance::check(&limits, &at)?;
    let mut target = Target::new(name, built.brand, built.provider);
    if let (Some(field), Provider::Http(account)) = (&raw.max_tokens_field, &mut target.provider) {
        account.max_tokens_field = max_tokens_field(field, &at("max_tokens_field"))?;
    }
    target.timeouts = timeouts(&raw, &at)?;
    target.assistants_upstream = assistants_upstream;
    target.expires_at = time_of(raw.expires_at.as_deref(), &at("expires_at"))?;
    target.model_aliases = raw.model_aliases;
    Ok(ConfiguredVirtualKey {
        target,
        allowance,
        masked_key,
    })
}

/// The options that [`account::build`] knows.
fn options(raw: &RawVirtualKey) -> BTreeMap<String, String> {
    let options = [
        ("base_url", &raw.base_url),
        ("resource_name", &raw.resource_name),
        ("deployment_name", &raw.deployment_name),
        ("api_version", &raw.api_version),
        ("organization", &raw.organization),
        ("project", &raw.project),
    ];
    let set = options.into_iter().filter_map(|(name, value)| {
        let value = value.clone()?;
        Some((name.to_owned(), value))
    });
    set.collect()
}

/// An account's error in the words of the configuration.
fn told(error: &AccountError, provider: &str, at: &dyn Fn(&str) -> String) -> ConfigError {
    let option = at(error.option());
    match error {
        AccountError::UnknownProvider => {
            ConfigError::unknown_value(&option, provider, &account::PROVIDERS)
        }
        AccountError::NoAddress(_) => ConfigError::missing(&option).help(error.to_string()),
        AccountError::NoKey(brand) => ConfigError::missing(&option).help(format!(
            "the provider \"{brand}\" wants a key; `api_key_env` names the variable that holds it"
        )),
        AccountError::BaseUrl(why) => ConfigError::new(format!("`{option}`: {why}")),
        AccountError::ResourceName => ConfigError::new(format!(
            "`{option}`: it has 1 to 63 letters, digits and hyphens"
        )),
    }
}

/// An option that nobody would act on is a mistake.
fn refuse_meaningless(
    raw: &RawVirtualKey,
    built: &Built,
    at: &dyn Fn(&str) -> String,
) -> Result<(), ConfigError> {
    let brand = built.brand;
    for (option, is_set) in [
        ("base_url", raw.base_url.is_some()),
        ("api_key", raw.api_key.is_some()),
        ("api_key_env", raw.api_key_env.is_some()),
        ("resource_name", raw.resource_name.is_some()),
        ("deployment_name", raw.deployment_name.is_some()),
        ("api_version", raw.api_version.is_some()),
        ("organization", raw.organization.is_some()),
        ("project", raw.project.is_some()),
        ("max_tokens_field", raw.max_tokens_field.is_some()),
    ] {
        if is_set && !account::takes(built, option) {
            let option_at = at(option);
            return Err(ConfigError::new(format!(
                "`{option_at}`: the provider \"{brand}\" takes no `{option}`"
            )));
        }
    }
    if raw.resource_name.is_some() && raw.base_url.is_some() {
        return Err(ConfigError::new(format!(
            "`{}` and `{}` are both set: one of them is enough",
            at("resource_name"),
            at("base_url")
        )));
    }
    Ok(())
}

fn assistants(
    raw: &RawVirtualKey,
    built: &Built,
    at: &dyn Fn(&str) -> String,
) -> Result<bool, ConfigError> {
    let option = at("assistants");
    match raw.assistants.as_deref() {
        None | Some("native") => Ok(false),
        Some("upstream") if account::can_relay_assistants(&built.provider) => Ok(true),
        Some("upstream") => Err(ConfigError::new(format!(
            "`{option} = \"upstream\"`: the provider \"{}\" has no assistants API",
            built.brand
        ))
        .help("\"native\": assistants live here, and their model calls go to the provider")),
        Some(other) => {
            let known = ["native", "upstream"];
            Err(ConfigError::unknown_value(&option, other, &known))
        }
    }
}

fn max_tokens_field(name: &str, option: &str) -> Result<MaxTokensField, ConfigError> {
    match name {
        "max_tokens" => Ok(MaxTokensField::MaxTokens),
        "max_completion_tokens" => Ok(MaxTokensField::MaxCompletionTokens),
        other => {
            let known = ["max_tokens", "max_completion_tokens"];
            Err(ConfigError::unknown_value(option, other, &known))
        }
    }
}

fn timeouts(raw: &RawVirtualKey, at: &dyn Fn(&str) -> String) -> Result<Timeouts, ConfigError> {
    let seconds = |option: &str, value: Option<u64>, default| match value {
        Some(0) => Err(ConfigError::at_least_one(&at(option))),
        Some(value) => Ok(Duration::from_secs(value)),
        None => Ok(default),
    };
    let default = Timeouts::default();
    Ok(Timeouts {
        first_byte: seconds("first_byte_s", raw.first_byte_s, default.first_byte)?,
        idle: seconds("idle_s", raw.idle_s, default.idle)?,
    })
}
