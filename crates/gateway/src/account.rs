//! From a call in OpenAI's form to the HTTP request that an account's server wants.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header::CONTENT_TYPE};
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use crate::{
    Account, Api,
    endpoint::Endpoint,
    error::{Error, Who},
    http_client::{Body, BoxBody},
    reading::{Converted, Facts, Reading, Vendor},
    vendor::{
        VendorRequest, anthropic,
        azure::{Azure, Credential},
        google,
    },
};

/// A call in OpenAI's form, on its way out.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) endpoint: Endpoint,
    /// Behind `/v1/`, as the caller wrote it.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    /// Headers that the caller named in `forward_headers`: they go on whatever the server speaks.
    pub(crate) named: Vec<String>,
    pub(crate) payload: Payload,
    /// The provider's name for the model, where the call names one.
    pub(crate) model: Option<String>,
}

/// A body on its way out.
pub(crate) enum Payload {
    /// As it came, or as it was made.
    Bytes(Bytes),
    /// To be said in the server's own form.
    Json(Value),
    /// As it comes in.
    Stream(BoxBody),
}

/// The request can not be made: the caller's fault, or the configuration's.
#[derive(Debug)]
pub(crate) enum Unsendable {
    /// 400: which field this provider does not know.
    Unsupported {
        message: String,
        param: Option<String>,
    },
    /// The virtual key makes no sense.
    Misconfigured(Error),
}

/// Whether the call has to be read as JSON, because the server has a form of its own for it.
pub(crate) fn speaks_differently(account: &Account, endpoint: Endpoint) -> bool {
    match account.api {
        Api::OpenAi | Api::Azure { .. } => false,
        Api::Anthropic | Api::Google => matches!(endpoint, Endpoint::Chat | Endpoint::Embeddings),
    }
}

/// The request, and how to read its answer. `base` goes before the account's own address; `facts`
/// gives what the answer to a body and a model has to say where the server does not.
pub(crate) fn request(
    account: &Account,
    base: Option<&Url>,
    outgoing: Outgoing,
    facts: impl FnOnce(&Value, &str) -> Facts,
) -> Result<(Request<Body>, Reading), Unsendable> {
    let base = base.unwrap_or(&account.base_url);
    let vendor = match account.api {
        Api::OpenAi | Api::Azure { .. } => None,
        Api::Anthropic => Some(Vendor::Anthropic),
        Api::Google => Some(Vendor::Google),
    };
    let Outgoing {
        method,
        endpoint,
        path,
        query,
        headers,
        named,
        payload,
        model,
    } = outgoing;
    let key = account.api_key.as_ref();
    let is_get = method == Method::GET;
    let (url, headers, body, reading) = match (vendor, endpoint, payload) {
        (Some(vendor), Endpoint::Chat | Endpoint::Embeddings, Payload::Json(body)) => {
            let model = model.unwrap_or_default();
            let said = said(vendor, endpoint, &body, &model)?;
            let what = match endpoint {
                Endpoint::Embeddings => {
                    Converted::Embeddings(google::EmbeddingFacts::of(&body, &model))
                }
                _ if body["stream"] == true => Converted::Stream(facts(&body, &model)),
                _ => Converted::Chat(facts(&body, &model)),
            };
            let url = appended(base, &said.path, &said.query)?.to_string();
            let headers = vendor_headers(&headers, &named, &said);
            let body = bytes(&said.body)?;
            (url, headers, body, Reading::of_vendor(vendor, what, key))
        }
        (Some(vendor), Endpoint::Models, _) if is_get && path == "models" => {
            let query = match vendor {
                Vendor::Anthropic => anthropic::MODELS_QUERY,
                Vendor::Google => google::MODELS_QUERY,
            };
            let url = appended(base, &path, &[(query.0, query.1.to_owned())])?.to_string();
            let headers = versioned(headers, vendor);
            let reading = Reading::of_vendor(vendor, Converted::Models, key);
            (url, headers, Body::Empty, reading)
        }
        (Some(vendor), Endpoint::Models, _) if is_get && names_a_model(&path) => {
            let url = plain(base, &path, query.as_deref())?;
            let reading = Reading::of_vendor(vendor, Converted::Model, key);
            (url, versioned(headers, vendor), Body::Empty, reading)
        }
        (vendor, _, payload) => {
            let (path, query) = match &account.api {
                Api::Azure {
                    deployment,
                    api_version,
                    ..
                } => Azure {
                    base: base.clone(),
                    deployment: deployment.clone(),
                    api_version: api_version.clone(),
                }
                .place(&path, query.as_deref(), model.as_deref()),
                _ => (path, query),
            };
            let url = plain(base, &path, query.as_deref())?;
            let headers = match vendor {
                Some(vendor) => versioned(headers, vendor),
                None => headers,
            };
            let body = match payload {
                Payload::Bytes(bytes) => Body::from(bytes),
                Payload::Json(value) => bytes(&value)?,
                Payload::Stream(body) => Body::Stream(body),
            };
            (url, headers, body, Reading::as_is())
        }
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::try_from(url).map_err(|_| misconfigured("its address is no URI"))?;
    *request.headers_mut() = headers;
    authorize(account, request.headers_mut())?;
    Ok((request, reading))
}

/// `models/{id}`, and nothing below it.
fn names_a_model(path: &str) -> bool {
    let name = path.strip_prefix("models/");
    name.is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

fn said(
    vendor: Vendor,
    endpoint: Endpoint,
    body: &Value,
    model: &str,
) -> Result<VendorRequest, Unsendable> {
    let said = match (vendor, endpoint) {
        (Vendor::Anthropic, Endpoint::Chat) => anthropic::chat_request(body, model),
        (Vendor::Google, Endpoint::Chat) => google::chat_request(body, model),
        (Vendor::Google, _) => google::embeddings_request(body, model),
        (Vendor::Anthropic, _) => {
            return Err(Unsendable::Unsupported {
                message: "Anthropic has no embeddings.".to_owned(),
                param: None,
            });
        }
    };
    said.map_err(|unsupported| Unsendable::Unsupported {
        message: unsupported.message,
        param: unsupported.param,
    })
}

/// What a caller sent for OpenAI means nothing to a vendor, but for these and those it named.
fn vendor_headers(headers: &HeaderMap, named: &[String], said: &VendorRequest) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let is_kept = name == "user-agent"
            || name.as_str().starts_with("anthropic-")
            || named.iter().any(|named| named == name.as_str());
        if is_kept {
            kept.append(name.clone(), value.clone());
        }
    }
    kept.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &said.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            kept.insert(HeaderName::from_static(name), value);
        }
    }
    kept
}

/// Anthropic wants to know which version of its API is meant; a caller may say another.
fn versioned(mut headers: HeaderMap, vendor: Vendor) -> HeaderMap {
    if vendor == Vendor::Anthropic {
        let (name, version) = anthropic::VERSION;
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(version));
    }
    headers
}

fn bytes(body: &Value) -> Result<Body, Unsendable> {
    let bytes = serde_json::to_vec(body)
        .map_err(|error| misconfigured(&format!("the body is no JSON: {error}")))?;
    Ok(Body::from(Bytes::from(bytes)))
}

/// The account's credential, in its server's header. It goes over whatever the caller forwards,
/// except a credential that the caller named in `forward_headers`.
fn authorize(account: &Account, headers: &mut HeaderMap) -> Result<(), Unsendable> {
    if let Some(key) = &account.api_key {
        let key = key.expose_secret();
        let (name, prefix) = match account.api {
            Api::OpenAi => ("authorization", "Bearer "),
            Api::Azure { is_token: true, .. } => Credential::AdToken.header(),
            Api::Azure { .. } => Credential::ApiKey.header(),
            Api::Anthropic => ("x-api-key", ""),
            Api::Google => ("x-goog-api-key", ""),
        };
        // Said here, because the library's error would be about a header of the caller.
        let mut value = HeaderValue::try_from([prefix, key].concat())
            .map_err(|_| misconfigured("its api_key is no possible header value"))?;
        value.set_sensitive(true);
        headers
            .entry(HeaderName::from_static(name))
            .or_insert(value);
    }
    for (name, value) in [
        ("openai-organization", &account.organization),
        ("openai-project", &account.project),
    ] {
        if let Some(value) = value {
            let value = HeaderValue::try_from(value)
                .map_err(|_| misconfigured(&format!("{name} is no possible header value")))?;
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    Ok(())
}

/// `https://api.openai.com/v1` and `threads/a%2Fb?x=1`: the path and query byte for byte, which is
/// why nothing reads it as a URL any more.
fn plain(base: &Url, path: &str, query: Option<&str>) -> Result<String, Unsendable> {
    if base.cannot_be_a_base() || !base.username().is_empty() || base.password().is_some() {
        return Err(misconfigured(
            "its base_url must not contain a user or password",
        ));
    }
    let place = &base[..url::Position::AfterPath];
    let more = path.len() + query.map_or(0, str::len) + "/?".len();
    let mut text = String::with_capacity(place.len() + more);
    text.push_str(place);
    if !path.is_empty() {
        text.truncate(text.trim_end_matches('/').len());
        text.push('/');
        text.push_str(path);
    }
    let queries = [base.query(), query];
    for (index, query) in queries.into_iter().flatten().enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        text.push_str(query);
    }
    Ok(text)
}

fn appended(base: &Url, path: &str, query: &[(&str, String)]) -> Result<Url, Unsendable> {
    let mut url = Url::parse(&plain(base, path, None)?)
        .map_err(|_| misconfigured("its base_url is no http address"))?;
    for (name, value) in query {
        url.query_pairs_mut().append_pair(name, value);
    }
    Ok(url)
}

fn misconfigured(reason: &str) -> Unsendable {
    let message = format!("The request to the provider could not be made: {reason}.");
    Unsendable::Misconfigured(Error::new(Who::Local, false, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, path: &str, query: Option<&str>) -> String {
        let base = Url::parse(base).unwrap();
        plain(&base, path, query).unwrap_or_default()
    }

    #[test]
    fn paths_and_queries_stay_as_they_are() {
        assert_eq!(
            url(
                "https://a.example/v1",
                "threads/a%2Fb/runs",
                Some("limit=2&x=%20")
            ),
            "https://a.example/v1/threads/a%2Fb/runs?limit=2&x=%20"
        );
        assert_eq!(
            url("https://a.example/v1", "a//{b}/", None),
            "https://a.example/v1/a//{b}/"
        );
        assert_eq!(
            url("https://a.example/v1/?key=1", "models", Some("b=2")),
            "https://a.example/v1/models?key=1&b=2"
        );
        assert_eq!(url("https://a.example", "", None), "https://a.example/");
        assert_eq!(url("https://u:p@a.example", "models", None), "");
    }

    #[test]
    fn a_path_does_not_leave_its_host() {
        let url = url("https://a.example/v1", "../../@evil.example/x", None);
        assert!(url.starts_with("https://a.example/"), "{url}");
    }
}
