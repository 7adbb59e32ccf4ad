//! The pairs that callers give their requests: `x-portkey-metadata`, and W3C's `baggage` under it.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::{HeaderMap, HeaderName};
use serde_json::Value;
use url::form_urlencoded;

use crate::error::ApiError;

const NAME: &str = "x-portkey-metadata";
const HEADER: HeaderName = HeaderName::from_static(NAME);
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
/// The most pairs of a request.
const MOST_PAIRS: usize = 64;
/// The most pairs with those of `baggage`, so that there is room for the request's own.
const MOST_BAGGAGE: usize = 32;
/// The most characters of a key or a value.
const MOST_CHARACTERS: usize = 128;

/// The pairs of a request: those of its key, then those of `baggage`, then its own, a later one
/// over an earlier one.
///
/// Error: 400 when the header is no JSON object of texts, or too large.
pub(crate) fn metadata(
    headers: &HeaderMap,
    of_key: &BTreeMap<String, String>,
) -> Result<Arc<BTreeMap<String, String>>, ApiError> {
    let mut pairs = of_key.clone();
    for value in headers.get_all(BAGGAGE) {
        let members = value.to_str().unwrap_or_default().split(',');
        for member in members {
            // What stands behind a semicolon are properties of the member.
            let member = member.split(';').next().unwrap_or_default();
            let Some((key, value)) = member.split_once('=') else {
                continue;
            };
            // Libraries add it: what is odd in it, or too much, is no reason to refuse a call.
            let key: String = key.trim().chars().take(MOST_CHARACTERS).collect();
            let is_taken = pairs.len() < MOST_BAGGAGE || pairs.contains_key(&key);
            if !key.is_empty() && is_taken {
                let value = percent_decoded(value.trim());
                pairs.insert(key, value.chars().take(MOST_CHARACTERS).collect());
            }
        }
    }
    if let Some(value) = headers.get(HEADER) {
        let object = serde_json::from_slice(value.as_bytes());
        let Ok(Value::Object(object)) = object else {
            return Err(invalid("it has to be a JSON object"));
        };
        for (key, value) in object {
            let value = match value {
                Value::String(text) => text,
                Value::Null => continue,
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(invalid(&format!("the value of '{key}' has to be a text")));
                }
            };
            for text in [&key, &value] {
                if text.chars().count() > MOST_CHARACTERS {
                    return Err(invalid(&format!(
                        "keys and values have at most {MOST_CHARACTERS} characters"
                    )));
                }
            }
            pairs.insert(key, value);
        }
    }
    if pairs.len() > MOST_PAIRS {
        return Err(invalid(&format!("there can be at most {MOST_PAIRS} pairs")));
    }
    Ok(Arc::new(pairs))
}

/// W3C writes values so; other than in a form, `+` and `&` stand for themselves.
fn percent_decoded(value: &str) -> String {
    let form = format!("v={}", value.replace('+', "%2B").replace('&', "%26"));
    let mut pairs = form_urlencoded::parse(form.as_bytes());
    pairs
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

fn invalid(what: &str) -> ApiError {
    ApiError::invalid(format!("Invalid '{NAME}' header: {what}."))
        .param(NAME)
        .code("invalid_metadata")
        .of_gateway()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> Result<String, String> {
        let of_key = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
        let map = headers
            .iter()
            .map(|(name, value)| {
                (
                    (*name).parse().unwrap(),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect();
        metadata(&map, &of_key)
            .map(|pairs| format!("{pairs:?}"))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn pairs_are_joined_the_requests_own_last() {
        assert_eq!(of(&[]).unwrap(), r#"{"team": "a"}"#);
        let baggage = ("baggage", "x=1;p=2, team=b");
        assert_eq!(of(&[baggage]).unwrap(), r#"{"team": "b", "x": "1"}"#);
        let encoded = ("baggage", "who=J%C3%BCrgen%20A+B&C=d,=nobody,x");
        assert_eq!(
            of(&[encoded]).unwrap(),
            r#"{"team": "a", "who": "Jürgen A+B&C=d"}"#
        );
        let own = (NAME, r#"{"team":"c","n":1,"none":null}"#);
        assert_eq!(
            of(&[baggage, own]).unwrap(),
            r#"{"n": "1", "team": "c", "x": "1"}"#
        );
    }

    #[test]
    fn baggage_is_no_reason_to_refuse_a_call() {
        let members: Vec<_> = (0..200).map(|index| format!("k{index}=v")).collect();
        let baggage = ("baggage", &*members.join(","));
        let own: Vec<_> = (0..30).map(|index| format!("\"o{index}\":\"v\"")).collect();
        let own = format!("{{{}}}", own.join(","));
        let pairs = of(&[baggage, (NAME, &own)]).unwrap();
        assert!(pairs.contains("o29") && pairs.contains("k0") && !pairs.contains("k199"));
    }

    #[test]
    fn what_is_no_object_of_texts_is_refused() {
        for broken in ["[1]", "{", r#"{"a":{}}"#, "text"] {
            assert!(of(&[(NAME, broken)]).is_err(), "{broken}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(129));
        assert!(of(&[(NAME, &long)]).unwrap_err().contains("128"));
    }
}
