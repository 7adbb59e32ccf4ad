//! Where a call goes: what a virtual key, or a credential of the caller's own, stands for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use loomgate_domain::Timestamp;
use secrecy::SecretString;
use url::Url;

use crate::{http_client::Trust, meter::Limited};

/// One provider account, ready to be called.
#[derive(Debug, Clone)]
pub struct Target {
    /// The virtual key's slug; for a credential of the caller's own, the provider's name.
    pub name: Arc<str>,
    /// Tells this account from every other: `vk:ws_default/main`. Caches, circuit breakers and the
    /// affinity of threads go by it.
    pub identity: Arc<str>,
    /// The provider's name, as headers, logs and prices say it: `openai`.
    pub brand: Arc<str>,
    /// Who answers.
    pub provider: Provider,
    /// Model names of clients, and what the provider calls them. Other names go out unchanged.
    pub model_aliases: BTreeMap<String, String>,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// Whether its address is the operator's word.
    pub trust: Trust,
    /// Whether the credential is kept here. Such a credential only goes to its own address.
    pub is_stored: bool,
    /// Whether assistants calls are relayed to it instead of served here.
    pub assistants_upstream: bool,
    /// How much it may be used.
    pub limited: Option<Limited>,
    /// From then on it can not be used.
    pub expires_at: Option<Timestamp>,
}

impl Target {
    /// An account with nothing special about it, at an address that is the operator's word.
    pub fn new(name: &str, brand: &str, provider: Provider) -> Self {
        Self {
            name: name.into(),
            identity: format!("vk:config/{name}").into(),
            brand: brand.into(),
            provider,
            model_aliases: BTreeMap::new(),
            timeouts: Timeouts::default(),
            trust: Trust::Trusted,
            is_stored: true,
            assistants_upstream: false,
            limited: None,
            expires_at: None,
        }
    }

    /// The provider's name for a model that a client named.
    pub fn model<'a>(&'a self, asked: &'a str) -> &'a str {
        self.model_aliases.get(asked).map_or(asked, String::as_str)
    }

    /// The virtual key's slug, where it is one.
    pub fn virtual_key(&self) -> Option<&Arc<str>> {
        self.is_stored.then_some(&self.name)
    }
}

/// Who answers.
#[derive(Debug, Clone)]
pub enum Provider {
    /// The built-in model of `docs/echo.md`: no network, no key.
    Echo,
    /// A server.
    Http(Box<Account>),
}

/// An account on a server.
#[derive(Debug, Clone)]
pub struct Account {
    /// What the server speaks.
    pub api: Api,
    /// What paths are appended to: `https://api.openai.com/v1`. A query is kept.
    pub base_url: Url,
    /// The credential; local servers often want none.
    pub api_key: Option<SecretString>,
    /// What the server calls the limit on output tokens.
    pub max_tokens_field: MaxTokensField,
    /// Sent as `openai-organization`.
    pub organization: Option<String>,
    /// Sent as `openai-project`.
    pub project: Option<String>,
}

impl Account {
    /// An account with the defaults of its host.
    pub fn new(api: Api, base_url: Url, api_key: Option<SecretString>) -> Self {
        Self {
            max_tokens_field: MaxTokensField::of(&api, &base_url),
            api,
            base_url,
            api_key,
            organization: None,
            project: None,
        }
    }

    /// Whether calls may go back with the signatures that they came with: others refuse fields that
    /// they do not know.
    pub(crate) fn takes_signatures(&self) -> bool {
        self.api == Api::Google
            || self.base_url.host_str() == Some("generativelanguage.googleapis.com")
    }

    /// An account on OpenAI, or on a server that speaks like it.
    pub fn openai(base_url: Url, api_key: Option<SecretString>) -> Self {
        Self::new(Api::OpenAi, base_url, api_key)
    }
}

/// What a server speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// OpenAI's API, or a part of it.
    OpenAi,
    /// The same behind Azure's addresses.
    Azure {
        /// The deployment that model calls go to; none: the model's name is its deployment.
        deployment: Option<String>,
        /// `api-version`; none: `v1`.
        api_version: Option<String>,
        /// Whether the credential is an Entra token instead of the resource's key.
        is_token: bool,
    },
    /// Anthropic's messages.
    Anthropic,
    /// Google's Gemini.
    Google,
}

/// What a server calls the limit on output tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    /// `max_completion_tokens`: OpenAI and Azure OpenAI; their newer models refuse the other.
    MaxCompletionTokens,
    /// `max_tokens`: what every compatible server knows.
    MaxTokens,
}

impl MaxTokensField {
    /// What an API at a host is known to want.
    pub fn of(api: &Api, base_url: &Url) -> Self {
        let newer = match api {
            Api::Azure { .. } | Api::Anthropic | Api::Google => true,
            Api::OpenAi => base_url.host_str().is_some_and(|host| {
                host == "api.openai.com" || host.ends_with(".openai.azure.com")
            }),
        };
        if newer {
            Self::MaxCompletionTokens
        } else {
            Self::MaxTokens
        }
    }
}

/// How long to wait for a provider. The time to connect is the same for all targets, because they
/// share one pool: see [`crate::Settings::connect_timeout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the start of an attempt, connecting included, until the response's headers; and, where
    /// it is longer than `idle`, from there until the first event.
    pub first_byte: Duration,
    /// Between two pieces of the response's body.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_mins(2),
            idle: Duration::from_mins(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_decides_the_name_of_the_token_limit() {
        let field = |url: &str| MaxTokensField::of(&Api::OpenAi, &Url::parse(url).unwrap());
        let new = MaxTokensField::MaxCompletionTokens;
        assert_eq!(field("https://api.openai.com/v1"), new);
        assert_eq!(field("https://mine.openai.azure.com/openai/v1"), new);
        let old = MaxTokensField::MaxTokens;
        assert_eq!(field("https://openai.azure.com.example.net/v1"), old);
        assert_eq!(field("http://127.0.0.1:11434/v1"), old);
    }

    #[test]
    fn aliases_replace_whole_names_only() {
        let mut target = Target::new("main", "echo", Provider::Echo);
        target.model_aliases = [("gpt-4o".to_owned(), "qwen3".to_owned())].into();
        assert_eq!(target.model("gpt-4o"), "qwen3");
        assert_eq!(target.model("gpt-4o-mini"), "gpt-4o-mini");
    }
}
