//! Fields of an answer that are looked at as it goes by: a value of a type that nobody expected
//! counts as missing, and costs the rest of the answer nothing. Nothing is copied that needs no copy.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

/// A text or a count, or something else that is not looked at.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) enum Plain<'a> {
    Text(Cow<'a, str>),
    /// Not below 0; some servers write `12.0`.
    Count(u64),
    #[default]
    Other,
}

impl Plain<'_> {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Count(_) | Self::Other => None,
        }
    }

    pub(crate) fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            Self::Text(_) | Self::Other => None,
        }
    }
}

/// An object, if it is one.
#[derive(Debug, Clone)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Plain<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look(PhantomData::<Self>))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look(PhantomData::<Self>))
    }
}

/// What becomes of a value; whatever is not told is the default.
trait Looked<'de>: Default {
    fn text(_: Cow<'de, str>) -> Self {
        Self::default()
    }

    fn count(_: u64) -> Self {
        Self::default()
    }

    fn object<A: MapAccess<'de>>(mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Self::default())
    }
}

impl<'de: 'a, 'a> Looked<'de> for Plain<'a> {
    fn text(text: Cow<'de, str>) -> Self {
        Self::Text(text)
    }

    fn count(count: u64) -> Self {
        Self::Count(count)
    }
}

impl<'de, T: Deserialize<'de>> Looked<'de> for Object<T> {
    fn object<A: MapAccess<'de>>(map: A) -> Result<Self, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|it| Self(Some(it)))
    }
}

struct Look<T>(PhantomData<T>);

impl<'de, T: Looked<'de>> Visitor<'de> for Look<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        Ok(u64::try_from(value).map_or_else(|_| T::default(), T::count))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        Ok(T::count(value))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not below 0, and a cast of a float saturates"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        Ok(if value >= 0.0 {
            T::count(value as u64)
        } else {
            T::default()
        })
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<T, E> {
        Ok(T::text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<T, E> {
        Ok(T::text(Cow::Borrowed(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::object(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Fields<'a> {
        a: Plain<'a>,
        b: Object<Inner<'a>>,
        last: Plain<'a>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Inner<'a> {
        count: Plain<'a>,
    }

    fn read(json: &str) -> Fields<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn values_of_every_type_are_read_past() {
        for odd in [
            "null",
            "true",
            "-1",
            "-0.5",
            "[1,[2]]",
            "{\"x\":{\"y\":[]}}",
        ] {
            let json = format!("{{\"a\":{odd},\"b\":{odd},\"last\":\"end\"}}");
            let fields = read(&json);
            assert_eq!(fields.a, Plain::Other, "{odd}");
            assert_eq!(fields.last.text(), Some("end"), "{odd}");
        }
    }

    #[test]
    fn texts_counts_and_objects_are_kept() {
        let fields = read(r#"{"a":"one","b":{"count":12.0,"more":[]}}"#);
        assert!(matches!(fields.a, Plain::Text(Cow::Borrowed("one"))));
        assert_eq!(fields.b.0.unwrap().count.count(), Some(12));
        assert_eq!(read(r#"{"a":"\u00e9"}"#).a.text(), Some("é"));
        for other in ["\"text\"", "7", "[]"] {
            assert!(read(&format!("{{\"b\":{other}}}")).b.0.is_none(), "{other}");
        }
    }
}
