//! An account at each vendor, and what its server is sent.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request,
    header::{CONTENT_TYPE, HeaderName},
};
use serde_json::{Map, json};

use super::*;
use crate::{
    Account, Api, Endpoint,
    account::{self, Outgoing, Payload, Unsendable},
    http_client::Body,
};

/// The credential of every account.
pub(super) const KEY: &str = "sk-golden-0123456789";

/// An account, and the model that is asked for there.
#[derive(Clone, Copy)]
pub(super) struct At {
    /// Names it in snapshots.
    pub(super) name: &'static str,
    pub(super) model: &'static str,
    base: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    OpenAi,
    /// On one's own machine, which wants no key.
    Local,
    /// A deployment's name, `api-version`, and whether the credential is a token.
    Azure(Option<&'static str>, Option<&'static str>, bool),
    Anthropic,
    Google,
}

const fn at(name: &'static str, model: &'static str, base: &'static str, kind: Kind) -> At {
    At {
        name,
        model,
        base,
        kind,
    }
}

const AZURE_URL: &str = "https://mine.openai.azure.com/openai";
const ANTHROPIC_URL: &str = "https://api.anthropic.com/v1";
const GOOGLE_URL: &str = "https://generativelanguage.googleapis.com/v1beta";

/// Every vendor; two generations of models where they want different words.
pub(super) const ACCOUNTS: [At; 8] = [
    at(
        "openai",
        "gpt-4o",
        "https://api.openai.com/v1",
        Kind::OpenAi,
    ),
    at(
        "azure-openai",
        "gpt-4o",
        AZURE_URL,
        Kind::Azure(Some("mine"), Some("2024-10-21"), false),
    ),
    at(
        "azure-openai v1",
        "gpt-4o",
        AZURE_URL,
        Kind::Azure(None, Some("v1"), true),
    ),
    at(
        "compatible",
        "qwen3:8b",
        "http://127.0.0.1:11434/v1",
        Kind::Local,
    ),
    at(
        "claude-sonnet-4-5",
        "claude-sonnet-4-5",
        ANTHROPIC_URL,
        Kind::Anthropic,
    ),
    at(
        "claude-opus-5",
        "claude-opus-5",
        ANTHROPIC_URL,
        Kind::Anthropic,
    ),
    at(
        "gemini-2.5-flash",
        "gemini-2.5-flash",
        GOOGLE_URL,
        Kind::Google,
    ),
    at(
        "gemini-3.8-flash",
        "gemini-3.8-flash",
        GOOGLE_URL,
        Kind::Google,
    ),
];

/// The account of this name.
pub(super) fn named(name: &str) -> At {
    *ACCOUNTS.iter().find(|at| at.name == name).unwrap()
}

impl At {
    pub(super) fn account(&self) -> Account {
        let api = match self.kind {
            Kind::OpenAi | Kind::Local => Api::OpenAi,
            Kind::Azure(deployment, api_version, is_token) => Api::Azure {
                deployment: deployment.map(str::to_owned),
                api_version: api_version.map(str::to_owned),
                is_token,
            },
            Kind::Anthropic => Api::Anthropic,
            Kind::Google => Api::Google,
        };
        let key = (!matches!(self.kind, Kind::Local)).then(|| KEY.into());
        Account::new(api, self.base.parse().unwrap(), key)
    }

    /// A relayed call in OpenAI's form, as the server gets it.
    pub(super) fn is_sent(&self, endpoint: Endpoint, text: &'static str) -> Value {
        let (parts, body) = match self.asks(endpoint, text) {
            Ok(request) => request.into_parts(),
            Err(Unsendable::Unsupported { message, param }) => {
                return json!({"refused": message, "param": param});
            }
            Err(Unsendable::Misconfigured(error)) => panic!("{error}"),
        };
        let Body::Full(bytes) = body else {
            panic!("a body that is not whole");
        };
        let body = if bytes == text {
            Value::from("byte for byte")
        } else {
            serde_json::from_slice(&bytes).unwrap()
        };
        json!({
            "url": parts.uri.to_string(),
            "headers": shown(&parts.headers, |_| true),
            "body": body,
        })
    }

    fn asks(&self, endpoint: Endpoint, text: &'static str) -> Result<Request<Body>, Unsendable> {
        let account = self.account();
        let payload = if account::speaks_differently(&account, endpoint) {
            Payload::Json(json(text))
        } else {
            Payload::Bytes(Bytes::from_static(text.as_bytes()))
        };
        let path = match endpoint {
            Endpoint::Embeddings => "embeddings",
            _ => "chat/completions",
        };
        let outgoing = Outgoing {
            method: Method::POST,
            endpoint,
            path: path.to_owned(),
            query: None,
            headers: HeaderMap::from_iter([(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            )]),
            named: Vec::new(),
            payload,
            model: Some(self.model.to_owned()),
        };
        let (request, _) = account::request(&account, None, outgoing, |_, _| facts())?;
        Ok(request)
    }
}

/// Headers without the credential.
pub(super) fn shown(headers: &HeaderMap, is_shown: impl Fn(&HeaderName) -> bool) -> Value {
    let mut all: Vec<_> = headers.iter().filter(|(name, _)| is_shown(name)).collect();
    all.sort_by_key(|(name, _)| name.as_str());
    let pairs = all.into_iter().map(|(name, value)| {
        let value = value.to_str().unwrap().replace(KEY, "[key]");
        (name.to_string(), value.into())
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}
