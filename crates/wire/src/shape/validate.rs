//! Checks a value against its shape. One walk over the whole body; of what it finds, the first
//! problem of the earliest phase is told (contract section 1.5).

use loomgate_domain::{Limits, Metadata};
use serde_json::{Map, Value};

use super::{
    Array, Cap, Field, Format, Object, Presence, Shape, Tagged, Text, Violation, path::Path,
};
use crate::problem::{Counted, Numeric, Problem};

/// The order in which problems are told.
#[derive(Clone, Copy)]
enum Phase {
    Missing,
    Unknown,
    Type,
    Bounds,
    Cross,
}

/// Checks the whole value.
pub fn validate(shape: &Shape, value: &Value, limits: &Limits) -> Result<(), Problem> {
    let mut walk = Walk {
        limits,
        found: [const { None }; 5],
    };
    walk.shape(shape, value, &Path::Root);
    match walk.found.into_iter().flatten().next() {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

struct Walk<'a> {
    limits: &'a Limits,
    found: [Option<Problem>; 5],
}

impl Walk<'_> {
    fn note(&mut self, phase: Phase, path: &Path<'_>, problem: impl FnOnce(String) -> Problem) {
        let place = &mut self.found[phase as usize];
        if place.is_none() {
            *place = Some(problem(path.to_string()));
        }
    }

    fn shape(&mut self, shape: &Shape, value: &Value, path: &Path<'_>) {
        match (shape, value) {
            (Shape::Text(text), Value::String(value)) => self.text(text, value, path),
            (Shape::Integer { min, max }, Value::Number(number)) => {
                let Some(value) = integer(number) else {
                    return self.wrong_type(shape, value, path);
                };
                if let Some(max) = max.filter(|max| value > i128::from(*max)) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::above(param, Numeric::Integer, max, number)
                    });
                } else if let Some(min) = min.filter(|min| value < i128::from(*min)) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::below(param, Numeric::Integer, min, number)
                    });
                }
            }
            (Shape::Number { min, max }, Value::Number(number)) => {
                let value = number.as_f64().unwrap_or_default();
                if let Some(max) = max.filter(|max| value > *max) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::above(param, Numeric::Decimal, max, number)
                    });
                } else if let Some(min) = min.filter(|min| value < *min) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::below(param, Numeric::Decimal, min, number)
                    });
                }
            }
            (Shape::Boolean, Value::Bool(_)) | (Shape::AnyObject, Value::Object(_)) => {}
            (Shape::Array(array), Value::Array(items)) => self.array(array, value, items, path),
            (Shape::Object(object), Value::Object(map)) => self.object(object, value, map, path),
            (Shape::Tagged(tagged), Value::Object(map)) => self.tagged(tagged, map, path),
            (Shape::Metadata, Value::Object(map)) => self.pairs(&PAIR_TEXT, map, path),
            (Shape::Attributes, Value::Object(map)) => self.pairs(&ATTRIBUTE, map, path),
            (Shape::Union(members), value) => {
                match members.iter().find(|member| member.takes(value)) {
                    Some(member) => self.shape(member, value, path),
                    None => self.wrong_type(shape, value, path),
                }
            }
            (shape, value) => self.wrong_type(shape, value, path),
        }
    }

    fn wrong_type(&mut self, shape: &Shape, value: &Value, path: &Path<'_>) {
        self.note(Phase::Type, path, |param| {
            Problem::wrong_type(param, &shape.expected(), found(value))
        });
    }

    fn text(&mut self, shape: &Text, value: &str, path: &Path<'_>) {
        if value.is_empty() && shape.min > 0 {
            let content = matches!(shape.format, Format::Content);
            return self.note(Phase::Bounds, path, |param| {
                if content {
                    Problem::empty_content(param)
                } else {
                    Problem::empty(param, Counted::String)
                }
            });
        }
        // Characters are never more than bytes, so short texts need no count.
        if let Some(max) = shape.max.get(self.limits).filter(|max| value.len() > *max) {
            let length = if shape.bytes {
                value.len()
            } else {
                value.chars().count()
            };
            if length > max {
                return self.note(Phase::Bounds, path, |param| {
                    Problem::too_long(param, Counted::String, max, length)
                });
            }
        }
        match &shape.format {
            Format::Any | Format::Binary | Format::Content => {}
            Format::OneOf(values) => {
                if !values.contains(&value) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::not_supported_value(param, value, values)
                    });
                }
            }
            Format::Name => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
                if !value.bytes().all(fits) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::pattern(param, Format::NAME_PATTERN)
                    });
                }
            }
            Format::Id(expected) => {
                if !value.starts_with(expected) {
                    self.note(Phase::Bounds, path, |param| {
                        Problem::invalid_id(param, value, expected)
                    });
                }
            }
            Format::Url => {
                let known = ["https://", "http://", "data:"];
                if !known.iter().any(|scheme| value.starts_with(scheme)) {
                    self.note(Phase::Bounds, path, Problem::not_a_url);
                }
            }
        }
    }

    fn array(&mut self, shape: &Array, value: &Value, items: &[Value], path: &Path<'_>) {
        if items.len() < shape.min {
            self.note(Phase::Bounds, path, |param| {
                Problem::empty(param, Counted::Array)
            });
        }
        let max = shape.max.get(self.limits);
        if let Some(max) = max.filter(|max| items.len() > *max) {
            self.note(Phase::Bounds, path, |param| {
                Problem::too_long(param, Counted::Array, max, items.len())
            });
        }
        for (index, item) in items.iter().enumerate() {
            self.shape(shape.items, item, &path.index(index));
        }
        if let Some(violation) = shape.rule.and_then(|rule| (rule.broken)(value)) {
            self.violation(&violation, path);
        }
    }

    fn object(&mut self, shape: &Object, value: &Value, map: &Map<String, Value>, path: &Path<'_>) {
        self.fields(shape.fields, false, map, path);
        if let Some(violation) = shape.rule.and_then(|rule| (rule.broken)(value)) {
            self.violation(&violation, path);
        }
    }

    fn tagged(&mut self, shape: &Tagged, map: &Map<String, Value>, path: &Path<'_>) {
        let place = path.key("type");
        match map.get("type") {
            None => self.note(Phase::Missing, &place, Problem::missing),
            Some(Value::String(tag)) => {
                match shape.variants.iter().find(|variant| variant.tag == tag) {
                    Some(variant) => self.fields(variant.fields, true, map, path),
                    None => self.note(Phase::Bounds, &place, |param| {
                        let tags: Vec<&str> = shape.variants.iter().map(|v| v.tag).collect();
                        Problem::not_supported_value(param, tag, &tags)
                    }),
                }
            }
            Some(other) => self.wrong_type(&super::STRING, other, &place),
        }
    }

    /// `tagged`: the object has a `type`, which has been looked at.
    fn fields(
        &mut self,
        fields: &[Field],
        tagged: bool,
        map: &Map<String, Value>,
        path: &Path<'_>,
    ) {
        for field in fields {
            if field.presence == Presence::Required && !map.contains_key(field.name) {
                self.note(Phase::Missing, &path.key(field.name), Problem::missing);
            }
        }
        for (name, value) in map {
            let place = path.key(name);
            let field = fields.iter().find(|field| field.name == name);
            match (field, value) {
                (Some(field), Value::Null) if field.nullable => {}
                (Some(field), value) if field.presence != Presence::OnlyNull => {
                    self.shape(field.shape, value, &place);
                }
                (None, _) if tagged && name == "type" => {}
                _ => self.note(Phase::Unknown, &place, |param| {
                    Problem::unknown(param, nearest(name, fields))
                }),
            }
        }
    }

    /// Up to 16 pairs, with values of one shape.
    fn pairs(&mut self, values: &Shape, map: &Map<String, Value>, path: &Path<'_>) {
        if map.len() > Metadata::MAX_PAIRS {
            self.note(Phase::Bounds, path, |param| {
                Problem::too_many_properties(param, Metadata::MAX_PAIRS, map.len())
            });
        }
        for (key, value) in map {
            let place = path.key(key);
            let length = chars_above(key, Metadata::MAX_KEY_CHARS);
            if let Some(length) = length {
                self.note(Phase::Bounds, &place, |param| {
                    Problem::key_too_long(&path.to_string(), param, key, length)
                });
            }
            self.shape(values, value, &place);
        }
    }

    fn violation(&mut self, violation: &Violation, path: &Path<'_>) {
        let below = path.key(violation.at);
        let place = if violation.at.is_empty() {
            path
        } else {
            &below
        };
        self.note(Phase::Cross, place, |param| {
            Problem::new((violation.text)(&param), param, Some(violation.code))
        });
    }
}

/// The value of a pair of metadata.
static PAIR_TEXT: Shape = super::text(Cap::At(Metadata::MAX_VALUE_CHARS));
/// That of an attribute.
static ATTRIBUTE: Shape = Shape::Union(&[
    &PAIR_TEXT,
    &Shape::Number {
        min: None,
        max: None,
    },
    &Shape::Boolean,
]);

impl Shape {
    /// Whether the JSON type alone fits.
    fn takes(&self, value: &Value) -> bool {
        match self {
            Self::Text(_) => value.is_string(),
            Self::Integer { .. } | Self::Number { .. } => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array(_) => value.is_array(),
            Self::Object(_)
            | Self::Tagged(_)
            | Self::Metadata
            | Self::Attributes
            | Self::AnyObject => value.is_object(),
            Self::Union(members) => members.iter().any(|member| member.takes(value)),
        }
    }

    /// `a string`, `one of a string or array of objects`.
    fn expected(&self) -> String {
        match self {
            Self::Union(members) => {
                let words: Vec<&str> = members.iter().map(|member| member.word()).collect();
                let bare = |word: &&str| {
                    let (_article, noun) = word.split_once(' ').unwrap_or(("", word));
                    noun.to_owned()
                };
                let rest: Vec<String> = words.iter().skip(1).map(bare).collect();
                let first = words.first().copied().unwrap_or_default();
                format!("one of {first} or {}", rest.join(" or "))
            }
            single => single.word().to_owned(),
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer { .. } => "an integer",
            Self::Number { .. } => "a decimal",
            Self::Boolean => "a boolean",
            Self::Array(array) => match array.items {
                Self::Object(_) | Self::Tagged(_) => "an array of objects",
                _ => "an array",
            },
            Self::Object(_)
            | Self::Tagged(_)
            | Self::Metadata
            | Self::Attributes
            | Self::AnyObject => "an object",
            Self::Union(_) => "a value",
        }
    }
}

/// What a value is, for error texts.
fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if integer(number).is_some() => "an integer",
        Value::Number(_) => "a decimal",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn integer(number: &serde_json::Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}

/// The number of characters where it is above `max`.
fn chars_above(text: &str, max: usize) -> Option<usize> {
    // Characters are never more than bytes, so short texts need no count.
    if text.len() <= max {
        return None;
    }
    Some(text.chars().count()).filter(|count| *count > max)
}

/// The documented field that a client most likely meant.
fn nearest<'a>(name: &str, fields: &'a [Field]) -> Option<&'a str> {
    fields
        .iter()
        .filter(|field| field.presence != Presence::OnlyNull)
        .filter(|field| field.name.len().abs_diff(name.len()) <= 2 && name.len() > 2)
        .map(|field| (distance(name.as_bytes(), field.name.as_bytes()), field.name))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements from one to the other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, a) in from.iter().enumerate() {
        let mut diagonal = line;
        row[0] = line + 1;
        for (column, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}
