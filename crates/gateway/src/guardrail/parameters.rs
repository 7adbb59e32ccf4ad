//! The parameters of one check, taken out one after the other.

use regex::Regex;
use serde_json::{Map, Value};

use super::check::Operator;
use crate::pattern;

/// How many words, keys or models a check lists.
const MOST_ENTRIES: usize = 1_000;

/// What is left of the parameters of a check.
pub(super) struct Parameters<'v> {
    id: &'v str,
    fields: Vec<(&'v str, &'v Value)>,
}

impl<'v> Parameters<'v> {
    pub(super) fn open(id: &'v str, fields: &'v Map<String, Value>) -> Self {
        let fields = fields.iter().map(|(key, value)| (key.as_str(), value));
        Self {
            id,
            fields: fields.filter(|(_, value)| !value.is_null()).collect(),
        }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<&'v Value> {
        let index = self.fields.iter().position(|(key, _)| *key == name)?;
        Some(self.fields.swap_remove(index).1)
    }

    /// An error that says which check it is of.
    pub(super) fn error(&self, message: impl AsRef<str>) -> String {
        format!("{}: {}", self.id, message.as_ref())
    }

    /// Refuses what was not taken: the check would not act on it.
    pub(super) fn finish(self) -> Result<(), String> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) => Err(self.error(format!("unknown parameter '{name:.64}'"))),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.error(format!("'{name}' must be true or false"))),
        }
    }

    pub(super) fn negated(&mut self) -> Result<bool, String> {
        self.flag("not")
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, String> {
        match self.take(name) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            _ => Err(self.error(format!("'{name}' must be a string that is not empty"))),
        }
    }

    pub(super) fn pattern(&mut self, name: &str) -> Result<Regex, String> {
        let text = self.text(name)?;
        pattern::compile(&text).map_err(|error| self.error(format!("'{name}': {error}")))
    }

    /// A list of at least one text.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, String> {
        let wrong = || {
            self.error(format!(
                "'{name}' must be an array of 1 to {MOST_ENTRIES} strings that are not empty"
            ))
        };
        let index = self.fields.iter().position(|(key, _)| *key == name);
        let Some((_, Value::Array(entries))) = index.map(|index| self.fields[index]) else {
            return Err(wrong());
        };
        let texts: Option<Vec<_>> = entries
            .iter()
            .map(|entry| entry.as_str().filter(|text| !text.is_empty()))
            .map(|text| text.map(str::to_owned))
            .collect();
        let texts = texts
            .filter(|texts| (1..=MOST_ENTRIES).contains(&texts.len()))
            .ok_or_else(wrong)?;
        self.take(name);
        Ok(texts)
    }

    /// A list, or one text with commas; empty where there is none.
    pub(super) fn listed(&mut self, name: &str) -> Result<Vec<String>, String> {
        match self.fields.iter().find(|(key, _)| *key == name) {
            None => Ok(Vec::new()),
            Some((_, Value::String(text))) => {
                let texts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|text| !text.is_empty());
                let texts = texts.map(str::to_owned).collect();
                self.take(name);
                Ok(texts)
            }
            Some(_) => self.texts(name),
        }
    }

    pub(super) fn count(&mut self, name: &str) -> Result<Option<u64>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(number) => match number.as_u64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(format!("'{name}' must be a whole number from 0"))),
            },
        }
    }

    /// `any` where none is given.
    pub(super) fn operator(&mut self) -> Result<Operator, String> {
        match self.take("operator").map(Value::as_str) {
            None | Some(Some("any")) => Ok(Operator::Any),
            Some(Some("all")) => Ok(Operator::All),
            Some(Some("none")) => Ok(Operator::None),
            Some(_) => Err(self.error("'operator' must be 'any', 'all' or 'none'")),
        }
    }
}
