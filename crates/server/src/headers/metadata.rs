//! The pairs that callers give their requests: `x-portkey-metadata`, and W3C's `baggage` under it.

use std::{collections::BTreeMap, sync::Arc};

use axum::http::HeaderMap;
use serde_json::Value;
use url::form_urlencoded;

use crate::error::ApiError;

const HEADER: &str = "x-portkey-metadata";
/// The most pairs of a request.
const MOST_PAIRS: usize = 64;
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
    for value in headers.get_all("baggage") {
        let members = value.to_str().unwrap_or_default().split(',');
        for member in members.take(MOST_PAIRS) {
            // What stands behind a semicolon are properties of the member.
            let member = member.split(';').next().unwrap_or_default();
            if let Some((key, value)) = member.split_once('=')
                && !key.trim().is_empty()
            {
                let cut = |text: &str| text.chars().take(MOST_CHARACTERS).collect::<String>();
                pairs.insert(cut(key.trim()), cut(&decoded(value.trim())));
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

/// A value of `baggage`, in which letters beyond ASCII are percent-encoded (W3C Baggage 3.3.1.3).
/// What means something in a form only stands for itself there.
fn decoded(value: &str) -> String {
    let plain = ["+", "&", "="].into_iter().zip(["%2B", "%26", "%3D"]);
    let value = plain.fold(value.to_owned(), |value, (letter, code)| {
        value.replace(letter, code)
    });
    let mut names = form_urlencoded::parse(value.as_bytes()).map(|(name, _)| name.into_owned());
    names.next().unwrap_or_default()
}

fn invalid(what: &str) -> ApiError {
    ApiError::invalid(format!("Invalid '{HEADER}' header: {what}."))
        .param(HEADER)
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
        let encoded = (
            "baggage",
            "name=J%C3%BCrgen%20M, odd=a+b&c==100%, %=1%, =nothing",
        );
        assert_eq!(
            of(&[encoded]).unwrap(),
            "{\"%\": \"1%\", \"name\": \"J\u{fc}rgen M\", \"odd\": \"a+b&c==100%\", \"team\": \"a\"}"
        );
        let own = (HEADER, r#"{"team":"c","n":1,"none":null}"#);
        assert_eq!(
            of(&[baggage, own]).unwrap(),
            r#"{"n": "1", "team": "c", "x": "1"}"#
        );
    }

    #[test]
    fn what_is_no_object_of_texts_is_refused() {
        for broken in ["[1]", "{", r#"{"a":{}}"#, "text"] {
            assert!(of(&[(HEADER, broken)]).is_err(), "{broken}");
        }
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(129));
        assert!(of(&[(HEADER, &long)]).unwrap_err().contains("128"));
    }
}
