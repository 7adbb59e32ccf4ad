//! Takes an object apart, field by field, and tells what is left over.
//!
//! Names are folded to `snake_case`; `null` counts as absent.

use serde_json::{Map, Value};

use super::fault::{Faults, join};

/// How many entries a list of a config has.
const MOST_ENTRIES: usize = 256;

/// An object of a config, whose fields are taken out one after the other.
pub(super) struct Reader<'v> {
    /// Where it stands.
    pub(super) place: String,
    fields: Vec<(String, &'v Value)>,
}

impl<'v> Reader<'v> {
    /// Opens an object; anything else is a fault.
    pub(super) fn open(value: &'v Value, place: String, faults: &mut Faults) -> Option<Self> {
        let Value::Object(object) = value else {
            faults.add(&place, expected("object", value));
            return None;
        };
        let mut fields: Vec<(String, &Value)> = Vec::with_capacity(object.len());
        for (key, value) in object.iter().filter(|(_, value)| !value.is_null()) {
            let name = snake_case(key);
            if fields.iter().any(|(other, _)| *other == name) {
                faults.add(
                    &join(&place, format_args!("{name:.64}")),
                    "is given twice, in two spellings",
                );
            } else {
                fields.push((name, value));
            }
        }
        Some(Self { place, fields })
    }

    /// The place of a field.
    pub(super) fn at(&self, name: &str) -> String {
        join(&self.place, name)
    }

    /// Whether a field is still there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(other, _)| other == name)
    }

    /// A field as it is, left in place.
    pub(super) fn peek(&self, name: &str) -> Option<&'v Value> {
        let found = self.fields.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| *value)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'v Value> {
        let index = self.fields.iter().position(|(other, _)| other == name)?;
        Some(self.fields.swap_remove(index).1)
    }

    /// The fields that were not taken, sorted by name.
    pub(super) fn rest(mut self) -> Vec<(String, &'v Value)> {
        self.fields.sort_by(|one, other| one.0.cmp(&other.0));
        self.fields
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self, faults: &mut Faults) {
        let place = self.place.clone();
        for (name, _) in self.rest() {
            faults.add(&join(&place, format_args!("{name:.64}")), "Unknown key");
        }
    }

    fn typed<T>(
        &mut self,
        name: &str,
        kind: &str,
        faults: &mut Faults,
        read: impl FnOnce(&'v Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = read(value);
        if read.is_none() {
            faults.add(&self.at(name), expected(kind, value));
        }
        read
    }

    pub(super) fn string(&mut self, name: &str, faults: &mut Faults) -> Option<&'v str> {
        self.typed(name, "string", faults, Value::as_str)
    }

    /// A text that is not empty.
    pub(super) fn name(&mut self, name: &str, faults: &mut Faults) -> Option<&'v str> {
        let text = self.string(name, faults)?;
        if text.is_empty() {
            faults.add(&self.at(name), "must not be empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn boolean(&mut self, name: &str, faults: &mut Faults) -> Option<bool> {
        self.typed(name, "boolean", faults, Value::as_bool)
    }

    pub(super) fn number(&mut self, name: &str, faults: &mut Faults) -> Option<f64> {
        self.typed(name, "number", faults, Value::as_f64)
    }

    /// A whole number of `least` to `most`; `5.0` is one.
    pub(super) fn whole(
        &mut self,
        name: &str,
        (least, most): (u32, u32),
        faults: &mut Faults,
    ) -> Option<u32> {
        let number = self.number(name, faults)?;
        let whole = whole(number).filter(|whole| (least..=most).contains(whole));
        if whole.is_none() {
            let message = format!("must be a whole number from {least} to {most}");
            faults.add(&self.at(name), message);
        }
        whole
    }

    pub(super) fn object(
        &mut self,
        name: &str,
        faults: &mut Faults,
    ) -> Option<&'v Map<String, Value>> {
        self.typed(name, "object", faults, Value::as_object)
    }

    pub(super) fn array(&mut self, name: &str, faults: &mut Faults) -> Option<&'v [Value]> {
        let array = self.typed(name, "array", faults, Value::as_array)?;
        if array.len() > MOST_ENTRIES {
            let message = format!("has at most {MOST_ENTRIES} entries");
            faults.add(&self.at(name), message);
            return None;
        }
        Some(array)
    }

    pub(super) fn strings(&mut self, name: &str, faults: &mut Faults) -> Option<Vec<String>> {
        self.list(name, faults, |entry| {
            let text = entry.as_str().ok_or_else(|| expected("string", entry))?;
            Ok(text.to_owned())
        })
    }

    pub(super) fn status_codes(&mut self, name: &str, faults: &mut Faults) -> Option<Vec<u16>> {
        self.list(name, faults, |entry| {
            let number = entry.as_f64().ok_or_else(|| expected("number", entry))?;
            whole(number)
                .and_then(|code| u16::try_from(code).ok())
                .filter(|code| (100..=599).contains(code))
                .ok_or_else(|| "must be a status from 100 to 599".to_owned())
        })
    }

    fn list<T>(
        &mut self,
        name: &str,
        faults: &mut Faults,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let entries = self.array(name, faults)?;
        let mut list = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            match read(entry) {
                Ok(entry) => list.push(entry),
                Err(message) => faults.add(&join(&self.at(name), index), message),
            }
        }
        Some(list)
    }
}

/// A whole number that fits.
pub(super) fn whole(number: f64) -> Option<u32> {
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is whole and within the bounds"
    )]
    fits.then_some(number as u32)
}

/// The text of clients' schema checkers for a value of another type.
pub(super) fn expected(kind: &str, value: &Value) -> String {
    let received = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("Expected {kind}, received {received}")
}

/// `onStatusCodes` is `on_status_codes`; what is in `snake_case` stays.
fn snake_case(name: &str) -> String {
    let mut folded = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            if !folded.is_empty() && !folded.ends_with('_') {
                folded.push('_');
            }
            folded.push(letter.to_ascii_lowercase());
        } else {
            folded.push(letter);
        }
    }
    folded
}
