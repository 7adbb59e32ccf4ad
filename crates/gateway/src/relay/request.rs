//! A relayed call as it came, and what is known of its body without reading all of it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use loomgate_domain::WorkspaceId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::upload::Upload;
use crate::{endpoint::Endpoint, meter::Limited};

/// Who calls, as far as plans, limits and caches go by it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant.
    pub workspace: WorkspaceId,
    /// What the call's tokens and money are counted against, besides the virtual key.
    pub key: Option<Limited>,
    /// The caller's pairs, those of its key included.
    pub metadata: Arc<BTreeMap<String, String>>,
}

/// What the request says about the cache.
#[derive(Debug, Clone, Default)]
pub struct Cacheable {
    /// `x-portkey-cache-force-refresh`
    pub force_refresh: bool,
    /// `x-portkey-cache-namespace`
    pub namespace: Option<String>,
    /// `x-portkey-debug: false`: nothing of the call's bodies is kept, here or in logs.
    pub disabled: bool,
}

/// A call to relay.
#[derive(Debug)]
pub struct RelayRequest {
    /// Who calls.
    pub caller: Caller,
    /// Its method.
    pub method: Method,
    /// Its path, `/v1` included, as the caller wrote it.
    pub path: String,
    /// What stood behind the `?`, as the caller wrote it.
    pub query: Option<String>,
    /// All its headers; what of them goes on is decided per target.
    pub headers: HeaderMap,
    /// Its body.
    pub body: RelayBody,
    /// What goes out instead of the body's model: for `"model": "@slug/name"`.
    pub model: Option<String>,
    /// What it says about the cache.
    pub cache: Cacheable,
    /// The gateway's own key as the caller presented it: it is never forwarded.
    pub presented_key: Arc<str>,
}

/// The body of a call.
#[derive(Debug)]
pub enum RelayBody {
    /// All of it: can be sent as often as need be.
    Bytes(Bytes),
    /// As it comes in: can be sent once.
    Stream(Upload),
}

/// What the gateway knows of a call before it sends it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) endpoint: Endpoint,
    /// The model that the path names, or the body.
    pub(crate) model: Option<String>,
    /// Whether a stream is asked for.
    pub(crate) stream: bool,
    /// Whether the body says how usage is to be streamed.
    pub(crate) stream_options: bool,
    /// How many choices are asked for.
    pub(crate) choices: usize,
}

/// The fields that are looked at in every model call. Everything else is skipped, not read.
#[derive(Debug, Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    stream: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
    #[serde(borrow)]
    n: Option<&'a RawValue>,
}

/// The body is no JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("We could not parse the JSON body of your request: {0}.")]
pub(crate) struct Malformed(pub(crate) String);

impl RelayRequest {
    /// Looks at a model call's body. Bodies of other kinds are the provider's business.
    pub(crate) fn know(&self) -> Result<Known, Malformed> {
        let endpoint = Endpoint::of(&self.method, &self.path);
        let mut known = Known {
            endpoint,
            model: self.model.clone(),
            stream: false,
            stream_options: false,
            choices: 1,
        };
        let RelayBody::Bytes(bytes) = &self.body else {
            return Ok(known);
        };
        if !endpoint.has_parameters() || !self.is_json() {
            return Ok(known);
        }
        let peek: Peek<'_> = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        known.stream = peek.stream.is_some_and(|raw| raw.get() == "true");
        known.stream_options = peek.stream_options.is_some();
        known.choices = peek.n.and_then(|n| n.get().parse().ok()).unwrap_or(1);
        if let Some(name) = Endpoint::model_in_path(&self.path) {
            known.model = Some(name.to_owned());
        } else if known.model.is_none() {
            known.model = peek.model.and_then(text).map(Cow::into_owned);
        }
        Ok(known)
    }

    /// The whole body as JSON, for whatever has to change or check it.
    pub(crate) fn json(&self) -> Result<Value, Malformed> {
        match &self.body {
            RelayBody::Bytes(bytes) if !bytes.is_empty() => {
                serde_json::from_slice(bytes).map_err(|error| malformed(&error))
            }
            _ => Ok(Value::Null),
        }
    }

    /// Whether the body says that it is JSON, or has to be; without a word it is, when it looks so.
    pub(crate) fn is_json(&self) -> bool {
        if Endpoint::of(&self.method, &self.path).takes_json() {
            return true;
        }
        match self.headers.get(header::CONTENT_TYPE) {
            Some(kind) => {
                let kind = kind.as_bytes().split(|byte| *byte == b';').next();
                let essence = kind.unwrap_or_default().trim_ascii();
                let end = essence.len().saturating_sub("+json".len());
                essence.eq_ignore_ascii_case(b"application/json")
                    || essence[end..].eq_ignore_ascii_case(b"+json")
            }
            None => {
                matches!(&self.body, RelayBody::Bytes(bytes) if bytes.trim_ascii_start().starts_with(b"{"))
            }
        }
    }
}

fn malformed(error: &serde_json::Error) -> Malformed {
    Malformed(error.to_string())
}

fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn request(path: &str, body: &str) -> RelayRequest {
        RelayRequest {
            caller: Caller {
                workspace: WorkspaceId::trusted("ws_a"),
                key: None,
                metadata: Arc::default(),
            },
            method: Method::POST,
            path: path.to_owned(),
            query: None,
            headers: HeaderMap::new(),
            body: RelayBody::Bytes(Bytes::copy_from_slice(body.as_bytes())),
            model: None,
            cache: Cacheable::default(),
            presented_key: "lg-made-up".into(),
        }
    }

    #[test]
    fn a_model_call_is_known_by_three_fields() {
        let body = r#"{"messages":[{"role":"user","content":"\"model\":1"}],"model":"gpt-4o","stream":true}"#;
        let known = request("/v1/chat/completions", body).know().unwrap();
        assert_eq!(known.model.as_deref(), Some("gpt-4o"));
        assert!(known.stream && !known.stream_options);
    }

    #[test]
    fn a_model_call_has_to_be_a_json_object() {
        for body in ["{", "[1]", "{\"model\": \"a\"} x"] {
            let mut request = request("/v1/chat/completions", body);
            let json = http::HeaderValue::from_static("application/json");
            request.headers.insert(header::CONTENT_TYPE, json);
            assert!(request.know().is_err(), "{body}");
        }
    }

    #[test]
    fn other_bodies_are_not_read() {
        let known = request("/v1/threads/thread_1/runs/run_1", "{\"metadata\":").know();
        assert_eq!(known.unwrap().model, None);
    }
}
