//! What is wrong with a config, told in one line and where possible with a way out.

use figment::error::{Actual, Kind};

/// A config that can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    /// One line: where, and what is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A value that is none of those that are known.
    pub(super) fn unknown_value(option: &str, got: &str, known: &[&str]) -> Self {
        let error = Self::new(format!("`{option}`: unknown value \"{got}\""));
        if let Some(known) = nearest(got, known.iter().copied()) {
            return error.help(format!("did you mean \"{known}\"?"));
        }
        let known: Vec<_> = known.iter().map(|known| format!("\"{known}\"")).collect();
        error.help(format!("known: {}", known.join(", ")))
    }

    pub(super) fn at_least_one(option: &str) -> Self {
        Self::new(format!("`{option}` has to be at least 1"))
    }

    pub(super) fn missing(option: &str) -> Self {
        Self::new(format!("`{option}` is missing"))
    }

    /// A value of the wrong form. `source` is where it stands. Values are never shown: they may
    /// be secrets.
    pub(super) fn from_extraction(error: &figment::Error, source: &str) -> Self {
        let path = error.path.join(".");
        match &error.kind {
            Kind::UnknownField(name, known) => {
                // Figment's path ends with the key that is unknown.
                let path = match error.path.split_last() {
                    Some((last, parents)) if last == name => parents.join("."),
                    _ => path,
                };
                let full = |key: &str| {
                    if path.is_empty() {
                        key.to_owned()
                    } else {
                        format!("{path}.{key}")
                    }
                };
                let error = Self::new(format!("{source}: unknown option `{}`", full(name)));
                match nearest(name, known.iter().copied()) {
                    Some(known) => error.help(format!("did you mean `{}`?", full(known))),
                    None => error.help(format!("known here: {}", known.join(", "))),
                }
            }
            Kind::InvalidType(got, expected) => Self::new(format!(
                "{source}: `{path}`: expected {}, got {}",
                expected_words(expected),
                got_words(got)
            )),
            Kind::InvalidValue(_, expected) => Self::new(format!(
                "{source}: `{path}`: the value is out of range for {}",
                expected_words(expected)
            )),
            Kind::MissingField(name) => {
                let path = if path.is_empty() {
                    path
                } else {
                    format!("{path}.")
                };
                Self::new(format!("{source}: `{path}{name}` is missing"))
            }
            Kind::Message(text) => Self::new(format!("{source}: `{path}`: {text}")),
            _ => Self::new(format!("{source}: `{path}`: the value can not be read")),
        }
    }
}

/// The known name that was probably meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
        .min()
        .map(|(_, known)| known)
}

fn expected_words(serde: &str) -> &str {
    match serde {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
}

fn got_words(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a decimal number",
        Actual::Char(_) | Actual::Str(_) => "a string",
        Actual::Seq => "a list",
        Actual::Map => "a table",
        _ => "something else",
    }
}
