//! Queries of the admin API, read like bodies: asked for by name, and refused when nobody asked.

use std::ops::RangeInclusive;

use serde_json::Value;
use url::form_urlencoded;

use super::fields::unknown_name;
use crate::error::{AdminError, ApiError};

/// The most parameters.
const PARAMETERS: usize = 64;
/// The most bytes of an object that is read like a query.
const OBJECT_BYTES: usize = 16 * 1024;

/// The parameters of a request, taken out one by one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    parameters: Vec<(String, String)>,
    asked: Vec<&'static str>,
}

impl Query {
    /// Errors: 400 for a name that stands there twice, or too many of them.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, AdminError> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if parameters.iter().any(|(known, _)| *known == name) {
                let name = name.into_owned();
                let message = format!("The parameter '{name}' stands there twice.");
                return Err(ApiError::invalid(message).param(name).into());
            }
            if parameters.len() == PARAMETERS {
                let message = format!("There are more than {PARAMETERS} parameters.");
                return Err(ApiError::invalid(message).into());
            }
            parameters.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self {
            parameters,
            asked: Vec::new(),
        })
    }

    /// The fields of an object, as if they were parameters. Error: 400 for anything else.
    pub(crate) fn of_object(object: &Value, name: &'static str) -> Result<Self, AdminError> {
        let refuse = |what: &str| {
            let message = format!("Invalid '{name}': expected {what}.");
            AdminError::from(ApiError::invalid(message).param(name))
        };
        let Value::Object(fields) = object else {
            return Err(refuse("an object"));
        };
        if fields.len() > PARAMETERS || object.to_string().len() > OBJECT_BYTES {
            return Err(refuse("a smaller object"));
        }
        let parameters = fields.iter().filter(|(_, value)| !value.is_null());
        let parameters = parameters.map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        });
        Ok(Self {
            parameters: parameters.collect(),
            asked: Vec::new(),
        })
    }

    /// Takes a parameter. One without a value counts as absent.
    pub(crate) fn text(&mut self, name: &'static str) -> Option<String> {
        self.asked.push(name);
        let index = self
            .parameters
            .iter()
            .position(|(known, _)| known == name)?;
        let (_, value) = self.parameters.remove(index);
        (!value.is_empty()).then_some(value)
    }

    /// Takes a whole number.
    pub(crate) fn whole(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u32>,
    ) -> Result<Option<u32>, AdminError> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let message = format!(
                    "Invalid '{name}': expected a whole number from {} to {}.",
                    range.start(),
                    range.end()
                );
                Err(ApiError::invalid(message).param(name).into())
            }
        }
    }

    /// Errors if a parameter is left that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), AdminError> {
        match self.parameters.first() {
            None => Ok(()),
            Some((unknown, _)) => Err(unknown_name("parameter", unknown, "", &self.asked)),
        }
    }
}
