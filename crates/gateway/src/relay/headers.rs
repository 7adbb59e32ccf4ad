//! Which headers go on to a provider, and which come back (contract portkey.md sections 2 and 3).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of one connection, never of the message.
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What headers that are a gateway's business begin with.
const OURS: [&str; 2] = ["x-portkey-", "x-loomgate-"];

/// What callers prove themselves with.
const CREDENTIALS: [&str; 5] = [
    "authorization",
    "cookie",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
];

/// What the client library sets itself, or what would make an answer unreadable here.
const OWN: [&str; 4] = ["host", "content-length", "expect", "accept-encoding"];

/// What may not even be named in `forward_headers`: cloud metadata services take them as proof.
const NEVER: [&str; 3] = [
    "metadata-flavor",
    "x-aws-ec2-metadata-token",
    "x-google-metadata-request",
];

/// What Portkey's clients say under its own names, and what providers call it.
const RENAMED: [(&str, HeaderName); 5] = [
    (
        "x-portkey-openai-organization",
        HeaderName::from_static("openai-organization"),
    ),
    (
        "x-portkey-openai-project",
        HeaderName::from_static("openai-project"),
    ),
    (
        "x-portkey-openai-beta",
        HeaderName::from_static("openai-beta"),
    ),
    (
        "x-portkey-anthropic-version",
        HeaderName::from_static("anthropic-version"),
    ),
    (
        "x-portkey-anthropic-beta",
        HeaderName::from_static("anthropic-beta"),
    ),
];

/// Placeholders that SDKs put where a key should be.
const PLACEHOLDERS: [&str; 2] = ["OPENAI_API_KEY", "DUMMY-KEY"];

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|ours| name.starts_with(ours))
}

/// Whether a header of the caller goes on to a provider by itself.
pub fn is_forwarded(name: &HeaderName) -> bool {
    let name = name.as_str();
    !is_ours(name)
        && !HOP_BY_HOP.contains(&name)
        && !CREDENTIALS.contains(&name)
        && !OWN.contains(&name)
        && !NEVER.contains(&name)
}

/// The caller's headers as they go on. `forward` names those that go on although they would not;
/// `presented` is the gateway's own key, which never does.
pub(super) fn outgoing(headers: &HeaderMap, forward: &[String], presented: &str) -> HeaderMap {
    let named = connection_names(headers);
    let mut out = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let wanted = is_forwarded(name) && !named.iter().any(|named| named == name.as_str())
            || may_be_forwarded(name) && forward.iter().any(|wanted| wanted == name.as_str());
        if wanted && !is_own_secret(value, presented) {
            out.append(name.clone(), value.clone());
        }
    }
    // Most calls have none of ours, which spares looking for each.
    if headers.keys().any(|name| is_ours(name.as_str())) {
        for (name, renamed) in &RENAMED {
            if let Some(value) = headers.get(*name).filter(|value| !value.is_empty())
                && !is_own_secret(value, presented)
            {
                out.insert(renamed, value.clone());
            }
        }
    }
    out
}

/// Whether a header goes on under another name.
pub(super) fn is_renamed(name: &str) -> bool {
    RENAMED.iter().any(|(known, _)| *known == name)
}

/// What `forward_headers` can ask for: credentials of the caller's own, at its own word.
fn may_be_forwarded(name: &HeaderName) -> bool {
    CREDENTIALS.contains(&name.as_str()) || is_forwarded(name)
}

fn is_own_secret(value: &HeaderValue, presented: &str) -> bool {
    let bytes = value.as_bytes();
    let rest = match bytes.split_first_chunk::<7>() {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(b"bearer ") => rest,
        _ => bytes,
    };
    let rest = rest.trim_ascii();
    (!presented.is_empty() && rest == presented.as_bytes())
        || PLACEHOLDERS.iter().any(|word| rest == word.as_bytes())
}

/// Headers that `Connection` names belong to that connection too.
fn connection_names(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// A provider's headers as they come back: all but those of its connection and its host, and those
/// that only the gateway itself says. `content-length` stays only where the body does.
pub(super) fn incoming(headers: &mut HeaderMap, body_is_changed: bool) {
    let named = connection_names(headers);
    let is_of_the_body =
        |name: &HeaderName| name == header::CONTENT_LENGTH || name == header::CONTENT_ENCODING;
    let is_dropped = |name: &&HeaderName| {
        let (name, text) = (*name, name.as_str());
        HOP_BY_HOP.contains(&text)
            || is_ours(text)
            || named.iter().any(|named| named == text)
            // Cookies are for the provider's own site, and other services stand for its own.
            || name == header::SET_COOKIE
            || name == header::ALT_SVC
            || body_is_changed && is_of_the_body(name)
    };
    let gone: Vec<_> = headers.keys().filter(is_dropped).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn only_what_is_meant_for_the_provider_goes_on() {
        let headers = map(&[
            ("authorization", "Bearer sk-caller"),
            ("cookie", "a=b"),
            ("x-api-key", "k"),
            ("api-key", "k"),
            ("host", "gateway"),
            ("content-length", "3"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("http2-settings", "AAMAAABk"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "gzip"),
            ("x-portkey-api-key", "lg-made-up"),
            ("x-portkey-anything", "1"),
            ("x-loomgate-anything", "1"),
            ("openai-beta", "assistants=v2"),
            ("content-type", "application/json"),
            ("user-agent", "OpenAI/Python"),
            ("x-stainless-lang", "python"),
        ]);
        let out = outgoing(&headers, &[], "lg-made-up");
        assert_eq!(
            names(&out),
            [
                "content-type",
                "openai-beta",
                "user-agent",
                "x-stainless-lang"
            ]
        );
    }

    #[test]
    fn what_portkey_names_its_own_way_gets_the_providers_name() {
        let headers = map(&[
            ("openai-beta", "assistants=v1"),
            ("x-portkey-openai-beta", "assistants=v2"),
            ("x-portkey-openai-organization", "org-1"),
            ("x-portkey-openai-project", ""),
            ("x-portkey-anthropic-version", "2023-06-01"),
            ("x-portkey-anthropic-beta", "lg-made-up"),
        ]);
        let out = outgoing(&headers, &[], "lg-made-up");
        let pairs = map(&[
            ("openai-beta", "assistants=v2"),
            ("openai-organization", "org-1"),
            ("anthropic-version", "2023-06-01"),
        ]);
        assert_eq!(out, pairs);
    }

    #[test]
    fn named_credentials_go_on_unless_they_are_the_gateways() {
        let forward =
            ["cookie", "authorization", "metadata-flavor", "connection"].map(str::to_owned);
        let with = |authorization| {
            let headers = map(&[
                ("authorization", authorization),
                ("cookie", "a=b"),
                ("metadata-flavor", "Google"),
                ("connection", "close"),
            ]);
            let out = outgoing(&headers, &forward, "lg-made-up");
            names(&out)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(with("Bearer sk-caller"), ["authorization", "cookie"]);
        assert_eq!(with("Bearer lg-made-up"), ["cookie"]);
        assert_eq!(with("bearer OPENAI_API_KEY"), ["cookie"]);
        assert_eq!(with("DUMMY-KEY"), ["cookie"]);
    }

    #[test]
    fn a_providers_connection_is_its_own() {
        let mut headers = map(&[
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("content-length", "10"),
            ("set-cookie", "a=b"),
            ("alt-svc", "h3=\":443\""),
            ("x-portkey-gateway-exception", "true"),
            ("x-portkey-anything", "1"),
            ("x-request-id", "req_1"),
            ("x-ratelimit-remaining-requests", "9"),
        ]);
        incoming(&mut headers, false);
        assert_eq!(
            names(&headers),
            [
                "content-length",
                "x-ratelimit-remaining-requests",
                "x-request-id"
            ]
        );
        incoming(&mut headers, true);
        assert_eq!(
            names(&headers),
            ["x-ratelimit-remaining-requests", "x-request-id"]
        );
    }
}
