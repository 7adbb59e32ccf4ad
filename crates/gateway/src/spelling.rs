//! Whether a body means the same to every server.
//!
//! Servers do not agree on an object that has a name twice (some take the first, some the last),
//! and some take a name in other letters for the same (those written in Go do). What guardrails
//! looked at, and what a config has replaced, must be what the provider reads; a body that leaves
//! that open is refused.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What guardrails look at ([`crate::guardrail::request_text`]).
const LOOKED_AT: [&str; 7] = [
    "messages", "prompt", "input", "model", "role", "content", "text",
];

/// Below these names stands more that is looked at.
const LEAD_DEEPER: [&str; 4] = ["messages", "prompt", "input", "content"];

/// What is open about a body, in one line; `None` for all others, and for what is no JSON at all.
/// `names`: further fields of the body that matter.
pub(crate) fn ambiguity(body: &[u8], names: &[&str]) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    match (Look { names }).deserialize(&mut reader) {
        Err(error) if error.is_data() => Some(error.to_string()),
        Ok(()) | Err(_) => None,
    }
}

/// A value that is looked at.
#[derive(Clone, Copy)]
struct Look<'n> {
    names: &'n [&'n str],
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = object.next_key::<Cow<'de, str>>()? {
            let folded = folded(&name);
            let known = LOOKED_AT.iter().chain(self.names);
            if let Some(known) = known.into_iter().find(|known| **known == folded)
                && name != *known
            {
                let told = format!("'{name:.64}' is spelt '{known}'");
                return Err(serde::de::Error::custom(told));
            }
            if LEAD_DEEPER.contains(&&*folded) {
                object.next_value_seed(Look { names: &[] })?;
            } else {
                object.next_value::<IgnoredAny>()?;
            }
            if !seen.insert(folded) {
                let told = format!("'{name:.64}' stands there twice");
                return Err(serde::de::Error::custom(told));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Letters as the most forgiving server compares them: there `\u{17f}` is an `s`, too.
fn folded(name: &str) -> String {
    let upper = name.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(body: &str) -> String {
        ambiguity(body.as_bytes(), &["seed"]).unwrap_or_default()
    }

    #[test]
    fn names_that_servers_read_differently_are_found() {
        for (body, told) in [
            (
                r#"{"messages":[],"messages":[]}"#,
                "'messages' stands there twice",
            ),
            (
                r#"{"messages":[{"content":"a","content":"b"}]}"#,
                "'content' stands there twice",
            ),
            (
                r#"{"input":[{"content":[{"text":"a","text":"b"}]}]}"#,
                "'text' stands there twice",
            ),
            (r#"{"user":"a","user":"b"}"#, "'user' stands there twice"),
            (r#"{"user":"a","User":"b"}"#, "'User' stands there twice"),
            (r#"{"Messages":[]}"#, "'Messages' is spelt 'messages'"),
            ("{\"me\u{17f}\u{17f}age\u{17f}\":[]}", "is spelt 'messages'"),
            (r#"{"\u004dodel":"a"}"#, "'Model' is spelt 'model'"),
            (
                r#"{"messages":[{"Role":"user"}]}"#,
                "'Role' is spelt 'role'",
            ),
            (r#"{"Seed":1}"#, "'Seed' is spelt 'seed'"),
        ] {
            assert!(
                of(body).starts_with(told) || of(body).contains(told),
                "{body}: {}",
                of(body)
            );
        }
    }

    #[test]
    fn whatever_nobody_looks_at_may_be_spelt_as_it_likes() {
        for body in [
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"A"}]}]}"#,
            r#"{"tools":[{"function":{"parameters":{"Text":1,"text":2,"Text":3}}}]}"#,
            r#"{"messages":[{"Seed":1,"content":null}],"metadata":{"Model":"x"},"n":1.5,"b":-1}"#,
            "[1, true, null, \"x\"]",
            "{",
            "",
        ] {
            assert_eq!(of(body), "", "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_looked_at_without_a_panic(body in "[{}\\[\\]\",:a-c0-9 ]{0,64}") {
            let _ = of(&body);
        }
    }
}
