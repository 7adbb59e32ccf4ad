//! What is wrong with a config, place by place.

use super::Invalid;

/// The most lines that are told; the rest is counted.
const MOST_LINES: usize = 32;

/// The violations found so far.
#[derive(Debug, Default)]
pub(super) struct Faults {
    lines: Vec<String>,
    more: usize,
    /// A text that stands for the whole answer.
    instead: Option<String>,
}

impl Faults {
    /// Notes one at a place, `targets,0,retry`; the top is the empty text.
    pub(super) fn add(&mut self, place: &str, message: impl AsRef<str>) {
        if self.lines.len() < MOST_LINES {
            let message = message.as_ref();
            self.lines
                .push(format!("path: {place}, message: {message}"));
        } else {
            self.more += 1;
        }
    }

    /// Notes one that has a text of its own, without a place. The first of them is told.
    pub(super) fn instead(&mut self, message: String) {
        self.instead.get_or_insert(message);
    }

    /// Violations of the shape go before others.
    pub(super) fn into_invalid(mut self) -> Option<Invalid> {
        if self.lines.is_empty() {
            return self.instead.map(Invalid::text);
        }
        if self.more > 0 {
            self.lines.push(format!("... and {} more", self.more));
        }
        Some(Invalid {
            message: Invalid::CONFIG.to_owned(),
            errors: self.lines,
        })
    }
}

/// A place below another: `join("targets,0", "retry")`.
pub(super) fn join(place: &str, field: impl std::fmt::Display) -> String {
    if place.is_empty() {
        field.to_string()
    } else {
        format!("{place},{field}")
    }
}
