//! A field of a modify request: left out, null, or set.

use serde::{Deserialize, Deserializer};

/// Three states (contract section 3.2): absent keeps, null resets, a value replaces.
///
/// In a struct, mark such a field `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// The field was left out: keep what is there.
    #[default]
    Absent,
    /// The field was `null`: back to the default.
    Null,
    /// The field had a value: replace what is there.
    Set(T),
}

impl<T> Patch<T> {
    /// Applies the patch to a field whose reset value is `T::default()`.
    pub fn apply(self, field: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Absent => {}
            Self::Null => *field = T::default(),
            Self::Set(value) => *field = value,
        }
    }

    /// Applies the patch to an optional field.
    pub fn apply_option(self, field: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *field = None,
            Self::Set(value) => *field = Some(value),
        }
    }

    /// The value where one was set: for create bodies, where null means absent.
    pub fn into_option(self) -> Option<T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Null, Self::Set))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        name: Patch<String>,
    }

    #[test]
    fn absent_null_and_set_are_told_apart() {
        let read = |json| serde_json::from_str::<Body>(json).unwrap().name;
        assert_eq!(read("{}"), Patch::Absent);
        assert_eq!(read(r#"{"name":null}"#), Patch::Null);
        assert_eq!(read(r#"{"name":"a"}"#), Patch::Set("a".into()));
    }
}
