//! How far a long command is, for whoever waits.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
};

/// On a terminal one line that changes, otherwise one for each thing that is worked on: `T` tells them
/// apart.
pub(super) struct ProgressLine<T> {
    last: Option<T>,
}

impl<T: Copy + PartialEq> ProgressLine<T> {
    /// One that has shown nothing yet.
    pub(super) fn new() -> Self {
        Self { last: None }
    }

    /// Shows how far it is.
    pub(super) fn show(&mut self, what: T, words: fmt::Arguments<'_>) {
        let mut stderr = io::stderr();
        let is_new = self.last.replace(what) != Some(what);
        // Who does not see it does not miss it.
        let _ = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[K{words}")
        } else if is_new {
            writeln!(stderr, "{words}")
        } else {
            Ok(())
        };
    }

    /// Ends the line that changes.
    pub(super) fn end(&self) {
        let mut stderr = io::stderr();
        if self.last.is_some() && stderr.is_terminal() {
            let _ = writeln!(stderr);
        }
    }
}
