//! The `metadata` map that every object carries (contract section 3.1).

use std::collections::HashSet;

use serde::{Deserialize, Serialize, ser::SerializeMap};

/// Up to 16 pairs of strings, in the order in which they came.
///
/// Limits count Unicode code points: keys up to 64, values up to 512.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata(Vec<(String, String)>);

/// Which rule a map breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// More than 16 pairs.
    #[error("too many properties: {0}")]
    TooMany(usize),
    /// A key of more than 64 characters.
    #[error("key of {length} characters")]
    KeyTooLong {
        /// The key.
        key: String,
        /// Its length in characters.
        length: usize,
    },
    /// A value of more than 512 characters.
    #[error("value of {length} characters")]
    ValueTooLong {
        /// The value's key.
        key: String,
        /// The value's length in characters.
        length: usize,
    },
}

impl Metadata {
    /// The most pairs a map may hold.
    pub const MAX_PAIRS: usize = 16;
    /// The longest key, in characters.
    pub const MAX_KEY_CHARS: usize = 64;
    /// The longest value, in characters.
    pub const MAX_VALUE_CHARS: usize = 512;

    /// Checks the limits. A key that comes twice keeps its last value, as in any JSON object.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidMetadata> {
        let mut map: Vec<(String, String)> = Vec::new();
        // Beyond the limit only the number counts.
        let mut beyond = HashSet::new();
        for (key, value) in pairs {
            match map.iter().position(|(known, _)| *known == key) {
                Some(at) => map[at].1 = value,
                None if map.len() < Self::MAX_PAIRS => map.push((key, value)),
                None => {
                    beyond.insert(key);
                }
            }
        }
        if !beyond.is_empty() {
            return Err(InvalidMetadata::TooMany(map.len() + beyond.len()));
        }
        for (key, value) in &map {
            let length = key.chars().count();
            if length > Self::MAX_KEY_CHARS {
                return Err(InvalidMetadata::KeyTooLong {
                    key: key.clone(),
                    length,
                });
            }
            let length = value.chars().count();
            if length > Self::MAX_VALUE_CHARS {
                return Err(InvalidMetadata::ValueTooLong {
                    key: key.clone(),
                    length,
                });
            }
        }
        Ok(Self(map))
    }

    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.iter() {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Metadata;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Metadata, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, String>()? {
                    pairs.push(pair);
                }
                Metadata::new(pairs).map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: usize, value: usize) -> (String, String) {
        ("k".repeat(key), "é".repeat(value))
    }

    #[test]
    fn limits_count_characters() {
        assert!(Metadata::new([pair(64, 512)]).is_ok());
        assert_eq!(
            Metadata::new([pair(65, 1)]),
            Err(InvalidMetadata::KeyTooLong {
                key: "k".repeat(65),
                length: 65
            })
        );
        assert_eq!(
            Metadata::new([pair(1, 513)]),
            Err(InvalidMetadata::ValueTooLong {
                key: "k".into(),
                length: 513
            })
        );
        let many = (0..17).map(|n| (n.to_string(), String::new()));
        assert_eq!(Metadata::new(many), Err(InvalidMetadata::TooMany(17)));
    }

    #[test]
    fn order_is_kept_and_the_last_of_a_key_wins() {
        let json = r#"{"b":"1","a":"2","b":"3"}"#;
        let metadata: Metadata = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            r#"{"b":"3","a":"2"}"#
        );
    }
}
