//! Asks SQLite how it would run every statement of this crate.
