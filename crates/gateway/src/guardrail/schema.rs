//! JSON schemas that callers write.
//!
//! A schema can make its validator recurse for ever, or for as long as 2 to the power of its
//! length. So it is unfolded before it is compiled: references stay inside of it, none leads back
//! to where it came from, and what they unfold to is small. References to other documents are
//! refused; nothing is ever fetched.

use std::sync::Arc;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Value, json};

use crate::pattern::COMPILED_BYTES;

/// How many values a schema has, every reference counted as what it stands for.
const MOST_VALUES: usize = 4_000;

/// How deep a schema nests, references unfolded.
const MOST_DEPTH: usize = 64;

/// `unevaluatedProperties` and its like look at their siblings once more each time.
const MOST_UNEVALUATED: usize = 4;

/// How many violations a result lists.
const MOST_VIOLATIONS: usize = 16;

/// The longest text of a violation, in characters: it may repeat the value.
const MOST_LETTERS: usize = 300;

/// A schema that was checked and compiled, of the draft 2020-12.
#[derive(Debug, Clone)]
pub(super) struct Schema(Arc<Validator>);

impl Schema {
    pub(super) fn parse(schema: &Value) -> Result<Self, String> {
        let Value::Object(fields) = schema else {
            return Err("'schema' must be an object".to_owned());
        };
        // The document's name and draft play no part: references are local, the draft is fixed.
        let mut fields = fields.clone();
        fields.shift_remove("$id");
        fields.shift_remove("$schema");
        let schema = Value::Object(fields);
        let mut unfolding = Unfolding {
            root: &schema,
            open: vec!["#"],
            values: 0,
            unevaluated: 0,
        };
        unfolding.walk(&schema, 0)?;
        let patterns = PatternOptions::regex()
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(COMPILED_BYTES);
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(patterns)
            .build(&schema)
            .map(|validator| Self(Arc::new(validator)))
            .map_err(|error| format!("'schema' is not a JSON schema: {}", short(&error)))
    }

    pub(super) fn holds(&self, value: &Value) -> bool {
        self.0.is_valid(value)
    }

    /// `[{"path": "/age", "message": ".."}]`
    pub(super) fn violations(&self, value: &Value) -> Value {
        self.0
            .iter_errors(value)
            .take(MOST_VIOLATIONS)
            .map(|error| json!({"path": error.instance_path().as_str(), "message": short(&error)}))
            .collect()
    }
}

fn short(error: &jsonschema::ValidationError<'_>) -> String {
    error.to_string().chars().take(MOST_LETTERS).collect()
}

struct Unfolding<'s> {
    root: &'s Value,
    /// The references that the walk is inside of.
    open: Vec<&'s str>,
    values: usize,
    unevaluated: usize,
}

impl<'s> Unfolding<'s> {
    fn walk(&mut self, value: &'s Value, depth: usize) -> Result<(), String> {
        self.values += 1;
        if self.values > MOST_VALUES || depth > MOST_DEPTH {
            return Err(format!(
                "'schema' is too large: it has at most {MOST_VALUES} values, {MOST_DEPTH} deep, \
                 every reference counted as what it stands for"
            ));
        }
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item, depth + 1)),
            Value::Object(fields) => fields.iter().try_for_each(|(key, value)| {
                self.key(key, value, depth)?;
                self.walk(value, depth + 1)
            }),
            _ => Ok(()),
        }
    }

    fn key(&mut self, key: &str, value: &'s Value, depth: usize) -> Result<(), String> {
        match (key, value) {
            ("$ref", Value::String(pointer)) => self.follow(pointer, depth),
            // With these, a reference would mean something else than what was walked.
            (
                "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor" | "$anchor"
                | "$id" | "$schema" | "$vocabulary",
                Value::String(_) | Value::Bool(_),
            ) => Err(format!("'schema' has '{key}', which is not supported")),
            ("unevaluatedProperties" | "unevaluatedItems", _) => {
                self.unevaluated += 1;
                if self.unevaluated > MOST_UNEVALUATED {
                    return Err(format!(
                        "'schema' has '{key}' more than {MOST_UNEVALUATED} times"
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, pointer: &'s str, depth: usize) -> Result<(), String> {
        if self.open.contains(&pointer) {
            return Err("'schema' refers to itself, which is not supported".to_owned());
        }
        let target = pointer
            .strip_prefix('#')
            .filter(|path| path.starts_with('/') && !path.contains('%'))
            .and_then(|path| self.root.pointer(path));
        let Some(target) = target else {
            return Err(format!(
                "'schema' refers to '{pointer:.64}', which is not a place in it ('#/$defs/name')"
            ));
        };
        self.open.push(pointer);
        self.walk(target, depth + 1)?;
        self.open.pop();
        Ok(())
    }
}
