//! API keys as callers send them: where they stand, what they look like, how they are shown.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use url::Url;

use crate::error::ApiError;

/// The most characters of a key. Longer ones are refused unseen.
pub(crate) const LONGEST: usize = 200;

/// Where a key of this server may stand, by mistake or not.
pub(super) static PLACES: [HeaderName; 5] = [
    PORTKEY,
    AZURE,
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];
/// Where Portkey's SDKs put it.
const PORTKEY: HeaderName = HeaderName::from_static("x-portkey-api-key");
/// Where Azure's clients put it.
const AZURE: HeaderName = HeaderName::from_static("api-key");
/// What keys of our making begin with.
pub(crate) const PREFIX: &str = "lg-";
/// How many letters and digits follow.
pub(crate) const CHARS: usize = 40;

/// The key of a request: `x-portkey-api-key`, else `api-key`, else `Authorization` (Bearer, or
/// Basic with the key as the password). What Portkey's SDKs put into `Authorization` beside their
/// own header is a placeholder and never looked at.
pub(super) fn presented(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    for name in [PORTKEY, AZURE] {
        if let Some(value) = headers.get(name) {
            return Some(text(value));
        }
    }
    authorized(headers.get(header::AUTHORIZATION)?)
}

/// What may be a key of this server in the headers of one of the [`PLACES`], in whatever form.
pub(super) fn candidates<'h>(headers: &'h HeaderMap, place: &HeaderName) -> Vec<Cow<'h, str>> {
    let values = headers.get_all(place).iter();
    values
        .flat_map(|value| [Some(text(value)), authorized(value)])
        .flatten()
        .collect()
}

/// Whether a text has the form of the keys that are made here.
pub(super) fn looks_made_here(key: &str) -> bool {
    key.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == CHARS && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What stands behind `Bearer`, or as the password of `Basic`.
fn authorized(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let value = text(value);
    let (scheme, rest) = value.split_once(' ').unwrap_or((&value, ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        let start = value.len() - rest.trim_start().len();
        return Some(match value {
            Cow::Borrowed(value) => Cow::Borrowed(&value[start..]),
            Cow::Owned(value) => Cow::Owned(value[start..].to_owned()),
        });
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let pair = String::from_utf8_lossy(&pair);
    let (_, password) = pair.split_once(':')?;
    Some(Cow::Owned(password.to_owned()))
}

/// Without the blanks around it.
fn text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes().trim_ascii())
}

/// Whether a text is a JSON web token, which Portkey takes and Loomgate does not.
pub(crate) fn looks_like_jwt(key: &str) -> bool {
    key.starts_with("eyJ") && key.split('.').count() == 3
}

/// 401: tokens are not built.
pub(super) fn jwt_error() -> ApiError {
    ApiError::unauthorized(
        "JWT authorization is not supported. Use an API key of this server, which \
         `loomgate keys create` or POST /v1/api-keys makes.",
    )
    .code("jwt_not_supported")
}

/// Whether a text can be a key at all. Others never reach the database.
pub(crate) fn is_well_formed(key: &str) -> bool {
    (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

/// 401 without a key. Clients match on the first sentence (contract section 2.1).
pub(super) fn missing_error(docs: Option<&Url>) -> ApiError {
    ApiError::unauthorized(format!(
        "You didn't provide an API key. You need to provide your API key in an Authorization \
         header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or as the password field \
         (with blank username) if you're accessing the API from your browser and are prompted for \
         a username and password. {}",
        where_from(docs)
    ))
}

/// 401 with a key that opens nothing (contract section 2.1).
pub(super) fn incorrect_error(key: &str, docs: Option<&Url>) -> ApiError {
    let shown = if key.is_empty() {
        "''".to_owned()
    } else {
        masked(key)
    };
    ApiError::unauthorized(format!(
        "Incorrect API key provided: {shown}. {}",
        where_from(docs)
    ))
    .code("invalid_api_key")
}

fn where_from(docs: Option<&Url>) -> String {
    match docs {
        Some(url) => format!("You can find your API key at {url}."),
        None => "Whoever runs this server makes API keys with `loomgate keys create`; see \
                 README.md."
            .to_owned(),
    }
}

/// `sk-abc*****wxyz`. Short keys are stars alone: their ends would be most of them.
fn masked(key: &str) -> String {
    let shows_ends = is_well_formed(key) && key.len() >= 16;
    match (key.get(..6), key.get(key.len().saturating_sub(4)..)) {
        (Some(head), Some(tail)) if shows_ends => format!("{head}*****{tail}"),
        _ => "*****".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented_in(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        presented(&map).map(Cow::into_owned)
    }

    #[test]
    fn keys_are_found_in_their_places_in_order() {
        let bearer = ("authorization", "Bearer lg-bearer");
        let azure = ("api-key", "lg-azure");
        let portkey = ("x-portkey-api-key", "lg-portkey");
        for (headers, key) in [
            (&[bearer][..], Some("lg-bearer")),
            (&[bearer, azure], Some("lg-azure")),
            (&[bearer, azure, portkey], Some("lg-portkey")),
            (
                &[("authorization", "Bearer OPENAI_API_KEY"), portkey],
                Some("lg-portkey"),
            ),
            // An empty key is a wrong key, not a missing one, and no reason to look further.
            (&[bearer, ("x-portkey-api-key", "")], Some("")),
            (&[("authorization", "bearer   lg-x ")], Some("lg-x")),
            (&[("authorization", "Bearer")], Some("")),
            (&[("authorization", "Basic OmxnLWJhc2lj")], Some("lg-basic")),
            (&[("authorization", "Basic ???")], None),
            (&[("authorization", "Digest x")], None),
            (&[], None),
        ] {
            assert_eq!(presented_in(headers).as_deref(), key, "{headers:?}");
        }
    }

    #[test]
    fn candidates_are_found_in_every_form() {
        let place = &PLACES[3];
        for (value, found) in [
            ("lg-x", &["lg-x"][..]),
            ("Bearer lg-x", &["Bearer lg-x", "lg-x"]),
            ("basic Om91cnM=", &["basic Om91cnM=", "ours"]),
            ("Digest x", &["Digest x"]),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(place, HeaderValue::from_static(value));
            assert_eq!(candidates(&headers, place), found, "{value}");
        }
        assert!(candidates(&HeaderMap::new(), place).is_empty());
    }

    #[test]
    fn keys_that_are_made_here_are_known_by_their_form() {
        assert!(looks_made_here(&format!("lg-{}", "a1".repeat(20))));
        for other in ["lg-short", "lg-UG", &format!("lg-{}", "a-".repeat(20))] {
            assert!(!looks_made_here(other), "{other}");
        }
    }

    #[test]
    fn malformed_keys_are_known_by_their_form() {
        assert!(is_well_formed("lg-abc"));
        assert!(is_well_formed(&"k".repeat(LONGEST)));
        for key in ["", "lg abc", "lg-\u{e9}", "lg-\n", &"k".repeat(LONGEST + 1)] {
            assert!(!is_well_formed(key), "{key:?}");
        }
    }

    #[test]
    fn a_key_is_shown_by_its_ends_only_when_it_is_long() {
        assert_eq!(masked("sk-abcdefghijklmnopqrstuvwxyz"), "sk-abc*****wxyz");
        assert_eq!(masked("sk-abcdefghijklm"), "sk-abc*****jklm");
        assert_eq!(masked("sk-abcdefghijkl"), "*****");
        assert_eq!(
            masked("k\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
            "*****"
        );
        assert_eq!(masked(&"k".repeat(LONGEST + 1)), "*****");
    }

    #[test]
    fn the_texts_are_those_that_clients_match_on() {
        let error = incorrect_error("", None);
        assert!(
            error
                .message()
                .starts_with("Incorrect API key provided: ''.")
        );
        let error = missing_error(Some(&Url::parse("https://wiki.example.com/").unwrap()));
        assert!(
            error
                .message()
                .starts_with("You didn't provide an API key. You need to")
        );
        assert!(error.message().ends_with("at https://wiki.example.com/."));
    }
}
