//! Rows of a table or a sheet as lines that each say what their values are.

use crate::{refusal::Refusal, text::Writer};

/// Longest name of a column that is repeated with each value, in characters.
const LONGEST_NAME: usize = 64;

/// A longer value names no column, in bytes. It is not looked through: a workbook can have it in each cell.
const LONGEST_HEADING: usize = 8 << 10;

/// Columns of which the names are kept: as many as a sheet can have.
const MOST_NAMES: usize = 16_384;

/// Writes the rows of one table.
///
/// Where the first row names the columns, each further row is written as `name: value | name: value`.
/// A chunk is cut anywhere; so a row is found by the names and by the values, and a model that is
/// shown a row from the middle of a sheet knows what its numbers mean. It costs the names once for
/// each row, and the limit of the output bounds that.
pub(crate) struct Rows {
    header: Header,
}

enum Header {
    /// No row with more than one value has come.
    Awaited,
    /// By column.
    Known(Vec<(usize, String)>),
    /// The first such row held numbers, so it named nothing.
    Absent,
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self {
            header: Header::Awaited,
        }
    }

    /// Writes one row: its values that are not empty, with their columns in rising order.
    ///
    /// Goes over the values more than once and keeps none: a row may be as long as the file.
    pub(crate) fn row<'c>(
        &mut self,
        cells: impl Iterator<Item = (usize, &'c str)> + Clone,
        writer: &mut Writer,
    ) -> Result<(), Refusal> {
        let cells = cells
            .map(|(column, value)| (column, value.trim()))
            .filter(|(_, value)| !value.is_empty());
        if cells.clone().next().is_none() {
            return Ok(());
        }
        writer.end_line()?;
        if matches!(self.header, Header::Awaited) && cells.clone().nth(1).is_some() {
            let names = cells.clone().take(MOST_NAMES + 1);
            let names_all = names.clone().count() <= MOST_NAMES
                && names.clone().all(|(_, value)| is_name(value));
            self.header = if names_all {
                Header::Known(names.map(|(at, value)| (at, shorten(value))).collect())
            } else {
                Header::Absent
            };
            return write_values(cells, &[], writer);
        }
        match &self.header {
            Header::Known(names) => write_values(cells, names, writer),
            Header::Awaited | Header::Absent => write_values(cells, &[], writer),
        }
    }
}

fn write_values<'c>(
    cells: impl Iterator<Item = (usize, &'c str)>,
    names: &[(usize, String)],
    writer: &mut Writer,
) -> Result<(), Refusal> {
    for (number, (column, value)) in cells.enumerate() {
        if number > 0 {
            writer.push(" | ")?;
        }
        if let Ok(at) = names.binary_search_by_key(&column, |(column, _)| *column) {
            writer.push(&names[at].1)?;
            writer.push(": ")?;
        }
        writer.words(value)?;
    }
    writer.end_line()
}

/// Whether a value may be the name of a column: a word, and no number or date.
fn is_name(value: &str) -> bool {
    value.len() <= LONGEST_HEADING
        && value.chars().any(char::is_alphabetic)
        && value.parse::<f64>().is_err()
}

fn shorten(name: &str) -> String {
    // As many words as can matter: each has a character and a space.
    let words: Vec<&str> = name.split_whitespace().take(LONGEST_NAME).collect();
    words.join(" ").chars().take(LONGEST_NAME).collect()
}
