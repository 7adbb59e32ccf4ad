//! Tables, objects and times as people read them.

use std::{fmt::Write as _, io::Write};

use loomgate_domain::{Timestamp, WorkspaceId};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Columns as wide as their widest cell.
pub(super) fn write<const N: usize>(
    out: &mut dyn Write,
    rows: &[[String; N]],
) -> std::io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string can not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// JSON, a field a line.
pub(super) fn object(out: &mut dyn Write, object: &Value) -> std::io::Result<()> {
    writeln!(out, "{object:#}")
}

/// `2026-01-31T12:00:00Z`
pub(super) fn moment(at: Timestamp) -> String {
    OffsetDateTime::from_unix_timestamp(at.0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| at.0.to_string())
}

/// A workspace as the operator named it.
pub(super) fn workspace(id: &WorkspaceId) -> String {
    let id = id.as_str();
    id.strip_prefix("ws_").unwrap_or(id).to_owned()
}

/// A cell that may have nothing to say.
pub(super) fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}
