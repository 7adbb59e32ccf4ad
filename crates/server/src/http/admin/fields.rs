//! Bodies of the admin API: every field is asked for by name and type, and a field that nobody
//! asked for is refused, with the name that it may have meant.

mod refusal;

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

use axum::extract::{FromRequest, Request};
use loomgate_domain::Patch;
use serde_json::{Map, Value};

pub(super) use self::refusal::unknown_name;
use self::refusal::{kind, shown, wrong};
use crate::{
    app::App,
    body,
    error::{AdminError, ApiError},
};

/// The most pairs of a map of texts.
const PAIRS: usize = 64;
/// The most bytes of a key or a value of such a map.
const PAIR_BYTES: usize = 512;

/// An object whose fields are taken out one by one. `null` and absent are told apart; both are no
/// value.
///
/// Errors of the methods: 400, naming the field.
#[derive(Debug, Clone)]
pub(crate) struct Fields {
    left: Map<String, Value>,
    /// What stands before a field's name in errors: empty, or `rate_limits[0].`.
    path: String,
    asked: Vec<&'static str>,
}

/// A body that may be an object or a list of them.
#[derive(Debug)]
pub(crate) struct OneOrMore(pub(crate) Vec<Fields>);

impl FromRequest<App> for Fields {
    type Rejection = AdminError;

    async fn from_request(request: Request, app: &App) -> Result<Self, AdminError> {
        Self::of_body(parse(request, app).await?)
    }
}

/// The most objects of a list.
const OBJECTS: usize = 1_000;

impl FromRequest<App> for OneOrMore {
    type Rejection = AdminError;

    async fn from_request(request: Request, app: &App) -> Result<Self, AdminError> {
        let bodies = match parse(request, app).await? {
            Value::Array(bodies) => bodies,
            Value::Object(bodies) if is_list(&bodies) => bodies.into_values().collect(),
            body => return Ok(Self(vec![Fields::of_body(body)?])),
        };
        if !(1..=OBJECTS).contains(&bodies.len()) {
            let message = format!("Send 1 to {OBJECTS} objects, not {}.", bodies.len());
            return Err(ApiError::invalid(message).into());
        }
        let bodies = bodies.into_iter().enumerate();
        bodies
            .map(|(index, body)| Fields::of(body, format!("[{index}]")))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Whether an object is what Portkey's Node SDK makes of a list: `{"0":{..},"1":{..}}`.
fn is_list(object: &Map<String, Value>) -> bool {
    let mut numbers = object.keys().zip(0_usize..);
    !object.is_empty() && numbers.all(|(key, number)| *key == number.to_string())
}

/// No body at all counts as an empty object.
async fn parse(request: Request, app: &App) -> Result<Value, AdminError> {
    let bytes = body::read(request, app).await?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let parsed = serde_json::from_slice(&bytes);
    parsed.map_err(|error| {
        let message = format!("We could not parse the JSON body of your request: {error}.");
        ApiError::invalid(message).into()
    })
}

impl Fields {
    /// A whole body.
    pub(crate) fn of_body(value: Value) -> Result<Self, AdminError> {
        Self::of(value, String::new())
    }

    fn of(value: Value, path: String) -> Result<Self, AdminError> {
        match value {
            Value::Object(left) => Ok(Self {
                left,
                path: if path.is_empty() {
                    path
                } else {
                    format!("{path}.")
                },
                asked: Vec::new(),
            }),
            other => Err(wrong(&path, "an object", kind(&other))),
        }
    }

    /// Takes a field as it is.
    pub(crate) fn value(&mut self, name: &'static str) -> Patch<Value> {
        self.asked.push(name);
        // Not `swap_remove`: errors tell of the fields in the order of the client.
        match self.left.shift_remove(name) {
            None => Patch::Absent,
            Some(Value::Null) => Patch::Null,
            Some(value) => Patch::Set(value),
        }
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        expected: impl Display,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Patch<T>, AdminError> {
        Ok(match self.value(name) {
            Patch::Absent => Patch::Absent,
            Patch::Null => Patch::Null,
            Patch::Set(value) => match read(&value) {
                Some(value) => Patch::Set(value),
                None => return Err(self.wrong(name, expected, shown(&value))),
            },
        })
    }

    /// A text of 1 to `most` bytes, without control characters.
    pub(crate) fn text(
        &mut self,
        name: &'static str,
        most: usize,
    ) -> Result<Patch<String>, AdminError> {
        let expected = format!("a text of 1 to {most} bytes without control characters");
        self.read(name, expected, |value| {
            let text = value.as_str()?;
            let fits = (1..=most).contains(&text.len()) && !text.chars().any(char::is_control);
            fits.then(|| text.to_owned())
        })
    }

    /// A text that is a secret: errors do not repeat it.
    pub(crate) fn secret(
        &mut self,
        name: &'static str,
        most: usize,
    ) -> Result<Patch<String>, AdminError> {
        let value = match self.value(name) {
            Patch::Absent => return Ok(Patch::Absent),
            Patch::Null => return Ok(Patch::Null),
            Patch::Set(value) => value,
        };
        match value {
            Value::String(text)
                if (1..=most).contains(&text.len()) && !text.chars().any(char::is_control) =>
            {
                Ok(Patch::Set(text))
            }
            _ => {
                let expected = format!("a text of 1 to {most} bytes without control characters");
                Err(self.wrong(name, expected, "something else"))
            }
        }
    }

    /// A text that has to be there.
    pub(crate) fn needed_text(
        &mut self,
        name: &'static str,
        most: usize,
    ) -> Result<String, AdminError> {
        let text = self.text(name, most)?;
        text.into_option().ok_or_else(|| self.missing(name))
    }

    /// `true` or `false`; 1 and 0 count as such.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Patch<bool>, AdminError> {
        self.read(name, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => match number.as_i64()? {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
            _ => None,
        })
    }

    /// A number within bounds.
    pub(crate) fn number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
    ) -> Result<Patch<f64>, AdminError> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.read(name, expected, |value| {
            value.as_f64().filter(|number| range.contains(number))
        })
    }

    /// A whole number within bounds.
    pub(crate) fn whole(
        &mut self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Patch<i64>, AdminError> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(name, expected, |value| {
            value.as_i64().filter(|number| range.contains(number))
        })
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<Patch<T>, AdminError> {
        let names: Vec<_> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
        let expected = format!("one of {}", names.join(", "));
        self.read(name, expected, |value| {
            let text = value.as_str()?;
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value)
        })
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &'static str) -> Result<Patch<Self>, AdminError> {
        Ok(match self.value(name) {
            Patch::Absent => Patch::Absent,
            Patch::Null => Patch::Null,
            Patch::Set(value) => Patch::Set(Self::of(value, self.at(name))?),
        })
    }

    /// A list of at most `most` objects; an object alone counts as a list of one.
    pub(crate) fn objects(
        &mut self,
        name: &'static str,
        most: usize,
    ) -> Result<Patch<Vec<Self>>, AdminError> {
        let values = match self.value(name) {
            Patch::Absent => return Ok(Patch::Absent),
            Patch::Null => return Ok(Patch::Null),
            Patch::Set(Value::Array(values)) => values,
            Patch::Set(value) => return Ok(Patch::Set(vec![Self::of(value, self.at(name))?])),
        };
        if values.len() > most {
            let got = format!("{} objects", values.len());
            return Err(self.wrong(name, format!("at most {most} objects"), got));
        }
        let at = self.at(name);
        let objects = values.into_iter().enumerate();
        let objects = objects.map(|(index, value)| Self::of(value, format!("{at}[{index}]")));
        objects.collect::<Result<_, _>>().map(Patch::Set)
    }

    /// A list of at most `most` texts of 1 to 256 bytes.
    pub(crate) fn texts(
        &mut self,
        name: &'static str,
        most: usize,
    ) -> Result<Patch<Vec<String>>, AdminError> {
        let expected = format!("a list of at most {most} texts of 1 to 256 bytes");
        self.read(name, expected, |value| {
            let texts = value.as_array().filter(|texts| texts.len() <= most)?;
            let texts = texts.iter().map(|text| {
                let text = text.as_str()?;
                (1..=256).contains(&text.len()).then(|| text.to_owned())
            });
            texts.collect()
        })
    }

    /// Pairs of texts. Numbers and truth values become texts, null pairs are left out.
    pub(crate) fn pairs(
        &mut self,
        name: &'static str,
    ) -> Result<Patch<BTreeMap<String, String>>, AdminError> {
        let expected = format!(
            "an object of at most {PAIRS} texts, names and values of at most {PAIR_BYTES} bytes"
        );
        self.read(name, expected, |value| pairs(value.as_object()?))
    }

    /// Everything that is left, as pairs of texts.
    pub(crate) fn rest(self) -> Result<BTreeMap<String, String>, AdminError> {
        let expected = format!(
            "at most {PAIRS} texts, names and values of at most {PAIR_BYTES} bytes, and no objects"
        );
        let place = self.path.trim_end_matches('.');
        pairs(&self.left).ok_or_else(|| wrong(place, expected, "something else"))
    }

    /// Errors if a field is left that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), AdminError> {
        let Some(unknown) = self.left.keys().next() else {
            return Ok(());
        };
        Err(unknown_name("field", unknown, &self.path, &self.asked))
    }

    /// 400 for a field that is not as it should be.
    pub(crate) fn wrong(
        &self,
        name: &str,
        expected: impl Display,
        got: impl Display,
    ) -> AdminError {
        wrong(&self.at(name), expected, got)
    }

    /// 400 for a field that has to be there.
    pub(crate) fn missing(&self, name: &str) -> AdminError {
        let at = self.at(name);
        ApiError::invalid(format!("Missing field '{at}'."))
            .param(at)
            .into()
    }

    /// 400 about a field, in whole sentences.
    pub(crate) fn refuse(&self, name: &str, message: impl Into<String>) -> AdminError {
        ApiError::invalid(message.into())
            .param(self.at(name))
            .into()
    }

    fn at(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }
}

fn pairs(fields: &Map<String, Value>) -> Option<BTreeMap<String, String>> {
    let mut pairs = BTreeMap::new();
    for (name, value) in fields {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => return None,
        };
        if name.len() > PAIR_BYTES || text.len() > PAIR_BYTES {
            return None;
        }
        pairs.insert(name.clone(), text);
    }
    (pairs.len() <= PAIRS).then_some(pairs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::of(value, String::new()).unwrap()
    }

    #[test]
    fn absent_null_and_set_are_told_apart() {
        let mut fields = fields(json!({"a": null, "b": "x"}));
        assert_eq!(fields.text("a", 9).unwrap(), Patch::Null);
        assert_eq!(fields.text("b", 9).unwrap(), Patch::Set("x".to_owned()));
        assert_eq!(fields.text("c", 9).unwrap(), Patch::Absent);
        fields.finish().unwrap();
    }

    #[test]
    fn a_secret_of_the_wrong_form_is_not_repeated() {
        for value in [json!("sk-\u{7}canary"), json!(4_711), json!(["canary"])] {
            let mut fields = fields(json!({"key": value}));
            let error = format!("{:?}", fields.secret("key", 99).unwrap_err());
            assert!(
                !error.contains("canary") && !error.contains("4711"),
                "{error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_object_is_read_without_a_panic(
            names in proptest::collection::vec("[a-f]{1,2}", 0..6),
            number in any::<f64>(),
            text in ".*",
        ) {
            let values = [json!(number), json!(text), json!([text, number]), json!({"x": text})];
            let object: Map<_, _> = names
                .into_iter()
                .zip(values.iter().cycle().cloned())
                .collect();
            let mut fields = fields(Value::Object(object));
            let _ = fields.text("a", 5);
            let _ = fields.whole("b", 0..=5);
            let _ = fields.objects("c", 1);
            let _ = fields.pairs("d");
            let _ = fields.texts("e", 2);
            let _ = fields.finish();
        }
    }
}
