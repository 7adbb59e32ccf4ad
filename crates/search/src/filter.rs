//! Filters over the attributes of a file (`contract/behaviour.md` 11.8; `ComparisonFilter` and `CompoundFilter` of
//! `contract/openapi.yaml`).
//!
//! The original does not say what a comparison with an attribute that is missing, or of another type, gives. Here:
//! * `eq`: there is such an attribute, of the value's type, and it is equal. `in`: `eq` with one of the values.
//! * `ne` and `nin` are what `eq` and `in` are not: they hold for files without the attribute.
//! * `gt`, `gte`, `lt`, `lte`: there is such an attribute, of the value's type, and the order is right: numbers by size,
//!   strings by code points. Booleans have no order: to ask for it is an error.
//!
//! Nothing is converted: the string `"1"` is not the number 1, and `true` is neither.

mod parse;

use std::cmp::Ordering;

use serde_json::{Map, Value};
use thiserror::Error;

/// How deep filters may be nested.
pub const MAX_DEPTH: usize = 10;
/// How many comparisons a filter may have, and how many values an `in` or `nin`.
pub const MAX_PARTS: usize = 1000;
/// How long a key may be, in characters, as for attributes.
pub const MAX_KEY: usize = 64;
/// How long a string may be, in characters, as for attributes.
pub const MAX_STRING: usize = 512;

/// A filter.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// All of them hold; so does an empty list.
    And(Vec<Filter>),
    /// At least one holds; none does of an empty list.
    Or(Vec<Filter>),
    /// An attribute compares as asked.
    Comparison {
        /// The attribute.
        key: String,
        /// How it compares.
        comparison: Comparison,
    },
}

/// How an attribute compares to a value.
#[derive(Clone, Debug, PartialEq)]
pub enum Comparison {
    /// `eq`
    Equal(Scalar),
    /// `ne`
    NotEqual(Scalar),
    /// `gt`
    Greater(Ordered),
    /// `gte`
    GreaterOrEqual(Ordered),
    /// `lt`
    Less(Ordered),
    /// `lte`
    LessOrEqual(Ordered),
    /// `in`
    In(Vec<Ordered>),
    /// `nin`
    NotIn(Vec<Ordered>),
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// A string or a number.
    Ordered(Ordered),
    /// A truth.
    Boolean(bool),
}

/// A value that has an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Ordered {
    /// A string.
    Text(String),
    /// A number, finite.
    Number(f64),
}

/// A filter that is none. The text is fit for the body of a 400.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("Invalid '{path}': {problem}")]
pub struct FilterError {
    /// Which field: `filters.filters[1].value`.
    pub path: String,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

impl Filter {
    /// Reads a filter. `path` is the field that it stands in, for errors: `filters`.
    pub fn parse(value: &Value, path: &str) -> Result<Self, FilterError> {
        parse::filter(value, path)
    }

    /// Whether a file with these attributes passes.
    pub fn matches(&self, attributes: &Map<String, Value>) -> bool {
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.matches(attributes)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(attributes)),
            Self::Comparison { key, comparison } => comparison.matches(attributes.get(key)),
        }
    }
}

impl Comparison {
    fn matches(&self, attribute: Option<&Value>) -> bool {
        let order = |value: &Ordered| attribute.and_then(|attribute| value.compared(attribute));
        match self {
            Self::Equal(value) => value.equals(attribute),
            Self::NotEqual(value) => !value.equals(attribute),
            Self::Greater(value) => order(value).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual(value) => order(value).is_some_and(Ordering::is_ge),
            Self::Less(value) => order(value).is_some_and(Ordering::is_lt),
            Self::LessOrEqual(value) => order(value).is_some_and(Ordering::is_le),
            Self::In(values) => values
                .iter()
                .any(|value| order(value).is_some_and(Ordering::is_eq)),
            Self::NotIn(values) => !values
                .iter()
                .any(|value| order(value).is_some_and(Ordering::is_eq)),
        }
    }
}

impl Scalar {
    fn equals(&self, attribute: Option<&Value>) -> bool {
        match (self, attribute) {
            (_, None) => false,
            (Self::Boolean(value), Some(attribute)) => attribute.as_bool() == Some(*value),
            (Self::Ordered(value), Some(attribute)) => {
                value.compared(attribute).is_some_and(Ordering::is_eq)
            }
        }
    }
}

impl Ordered {
    /// How an attribute of the same type stands to this value.
    fn compared(&self, attribute: &Value) -> Option<Ordering> {
        match (self, attribute) {
            (Self::Text(value), Value::String(attribute)) => Some(attribute.as_str().cmp(value)),
            (Self::Number(value), Value::Number(attribute)) => {
                attribute.as_f64()?.partial_cmp(value)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
