//! What a client says of a file in a store, for searches to be narrowed down by (contract section
//! 11.6).

use serde::{Deserialize, Serialize, ser::SerializeMap};
use serde_json::Number;

use crate::Metadata;

/// Up to 16 pairs, in the order in which they came. Limits count characters: keys up to 64, texts up
/// to 512.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Vec<(String, AttributeValue)>);

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// `true` or `false`.
    Boolean(bool),
    /// Any number, as it was written.
    Number(Number),
    /// Words.
    Text(String),
}

/// A map breaks a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("attributes are at most 16 pairs, keys of 64 and texts of 512 characters")]
pub struct InvalidAttributes;

impl Attributes {
    /// Checks the limits. Of a key that comes twice the last value counts, in the first place.
    pub fn new(
        pairs: impl IntoIterator<Item = (String, AttributeValue)>,
    ) -> Result<Self, InvalidAttributes> {
        let mut kept: Vec<(String, AttributeValue)> = Vec::new();
        for (key, value) in pairs {
            let fits = key.chars().count() <= Metadata::MAX_KEY_CHARS
                && match &value {
                    AttributeValue::Text(text) => text.chars().count() <= Metadata::MAX_VALUE_CHARS,
                    AttributeValue::Boolean(_) | AttributeValue::Number(_) => true,
                };
            if !fits {
                return Err(InvalidAttributes);
            }
            match kept.iter().position(|(known, _)| *known == key) {
                Some(at) => kept[at].1 = value,
                None if kept.len() == Metadata::MAX_PAIRS => return Err(InvalidAttributes),
                None => kept.push((key, value)),
            }
        }
        Ok(Self(kept))
    }

    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&AttributeValue> {
        let found = self.0.iter().find(|(known, _)| known == key);
        found.map(|(_, value)| value)
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AttributeValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Attributes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of texts, numbers and booleans")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Attributes, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Attributes::new(pairs).map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_kinds_and_their_order() {
        let json = r#"{"year":2024,"ratio":0.5,"draft":false,"lang":"de"}"#;
        let attributes: Attributes = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&attributes).unwrap(), json);
        assert_eq!(
            attributes.get("draft"),
            Some(&AttributeValue::Boolean(false))
        );
        assert_eq!(attributes.get("missing"), None);
    }

    #[test]
    fn limits_count_characters_of_keys_and_texts() {
        let text = |length: usize| AttributeValue::Text("é".repeat(length));
        let one = |key: usize, value| Attributes::new([("k".repeat(key), value)]);
        assert!(one(64, text(512)).is_ok());
        assert_eq!(one(65, text(1)), Err(InvalidAttributes));
        assert_eq!(one(1, text(513)), Err(InvalidAttributes));
        let many = |count: usize| {
            Attributes::new((0..count).map(|n| (n.to_string(), AttributeValue::Boolean(true))))
        };
        assert!(many(16).is_ok());
        assert_eq!(many(17), Err(InvalidAttributes));
        assert!(serde_json::from_str::<Attributes>(r#"{"a":[1]}"#).is_err());
    }
}
