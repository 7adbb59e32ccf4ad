//! Where a model call goes: what a virtual key stands for.

use std::{collections::BTreeMap, time::Duration};

use secrecy::SecretString;
use url::Url;

/// One provider account, ready to be called.
#[derive(Debug, Clone)]
pub struct Target {
    /// The virtual key's name; only for logs, and to remember what its server cannot do.
    pub name: String,
    /// Who answers.
    pub provider: Provider,
    /// Model names of clients, and what the provider calls them. Other names go out unchanged.
    pub model_aliases: BTreeMap<String, String>,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl Target {
    /// The provider's name for a model that a client named.
    pub fn model<'a>(&'a self, asked: &'a str) -> &'a str {
        self.model_aliases.get(asked).map_or(asked, String::as_str)
    }
}

/// Who answers.
#[derive(Debug, Clone)]
pub enum Provider {
    /// The built-in model of `docs/echo.md`: no network, no key.
    Echo,
    /// OpenAI, or any server that speaks its chat completions.
    OpenAi(OpenAi),
}

/// A server that speaks OpenAI's chat completions.
#[derive(Debug, Clone)]
pub struct OpenAi {
    /// What `/chat/completions` is appended to: `https://api.openai.com/v1`. A query is kept; a
    /// user or password is refused.
    pub base_url: Url,
    /// Sent as a bearer token; local servers often want none.
    pub api_key: Option<SecretString>,
    /// What the server calls the limit on output tokens.
    pub max_tokens_field: MaxTokensField,
    /// Sent as `openai-organization`.
    pub organization: Option<String>,
    /// Sent as `openai-project`.
    pub project: Option<String>,
}

impl OpenAi {
    /// A server with the defaults of its host.
    pub fn new(base_url: Url, api_key: Option<SecretString>) -> Self {
        Self {
            max_tokens_field: MaxTokensField::of(&base_url),
            base_url,
            api_key,
            organization: None,
            project: None,
        }
    }
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
    /// What a host is known to want.
    pub fn of(base_url: &Url) -> Self {
        match base_url.host_str() {
            Some(host) if host == "api.openai.com" || host.ends_with(".openai.azure.com") => {
                Self::MaxCompletionTokens
            }
            _ => Self::MaxTokens,
        }
    }
}

/// How long to wait for a provider. The time to connect is the same for all targets, because they
/// share one pool: see [`crate::AttemptPolicy::connect_timeout`].
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
        let field = |url: &str| MaxTokensField::of(&Url::parse(url).unwrap());
        let new = MaxTokensField::MaxCompletionTokens;
        assert_eq!(field("https://api.openai.com/v1"), new);
        assert_eq!(field("https://mine.openai.azure.com/openai/v1"), new);
        let old = MaxTokensField::MaxTokens;
        assert_eq!(field("https://openai.azure.com.example.net/v1"), old);
        assert_eq!(field("http://127.0.0.1:11434/v1"), old);
    }

    #[test]
    fn aliases_replace_whole_names_only() {
        let target = Target {
            name: "main".to_owned(),
            provider: Provider::Echo,
            model_aliases: [("gpt-4o".to_owned(), "qwen3".to_owned())].into(),
            timeouts: Timeouts::default(),
        };
        assert_eq!(target.model("gpt-4o"), "qwen3");
        assert_eq!(target.model("gpt-4o-mini"), "gpt-4o-mini");
    }
}
