//! The cells of a sheet.

use std::{borrow::Cow, collections::HashMap};

use super::xlsx::Strings;
use crate::{
    archive::Archive,
    refusal::Refusal,
    rows::Rows,
    text::Writer,
    xml::{self, Element, Node},
};

/// Columns that a sheet can have.
const COLUMNS: usize = 16_384;

/// Which cell formats show a number as a date.
#[derive(Default)]
pub(crate) struct Formats {
    dates: Vec<bool>,
    from_1904: bool,
}

impl Formats {
    pub(crate) fn read(
        archive: &mut Archive<'_>,
        part: &str,
        from_1904: bool,
    ) -> Result<Self, Refusal> {
        let mut own: HashMap<u32, bool> = HashMap::new();
        let mut dates = Vec::new();
        let mut in_cell_formats = false;
        xml::read_part(archive, part, |node| {
            match node {
                Node::Open(element) => match element.name() {
                    "numFmt" => {
                        let id = number(element, "numFmtId");
                        if let (Some(id), Some(code)) = (id, element.attribute("formatCode")) {
                            own.insert(id, shows_date(&code));
                        }
                    }
                    "cellXfs" => in_cell_formats = true,
                    "xf" if in_cell_formats => {
                        let id = number(element, "numFmtId").unwrap_or_default();
                        let built_in = matches!(id, 14..=22 | 27..=36 | 45..=47 | 50..=58);
                        dates.push(own.get(&id).copied().unwrap_or(built_in));
                    }
                    _ => {}
                },
                Node::Close("cellXfs") => in_cell_formats = false,
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { dates, from_1904 })
    }

    fn is_date(&self, format: usize) -> bool {
        self.dates.get(format).copied().unwrap_or(false)
    }
}

fn number(element: &Element<'_>, name: &str) -> Option<u32> {
    element.attribute(name)?.parse().ok()
}

/// Whether a format's code holds letters of dates outside of quotes and brackets.
fn shows_date(code: &str) -> bool {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    code.chars().any(|char| {
        if std::mem::take(&mut escaped) {
            return false;
        }
        match char {
            '\\' | '_' | '*' => escaped = true,
            '"' => quoted = !quoted,
            '[' => bracketed = true,
            ']' => bracketed = false,
            'd' | 'D' | 'm' | 'M' | 'y' | 'Y' | 'h' | 'H' | 's' if !quoted && !bracketed => {
                return true;
            }
            _ => {}
        }
        false
    })
}

/// How the value of a cell is to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Shared,
    Text,
    Bool,
}

pub(crate) struct Sheet<'s, 'w> {
    shared: &'s Strings,
    formats: &'s Formats,
    writer: &'w mut Writer,
    rows: Rows,
    /// Of shared strings not a copy: a row can hold a long one in each cell.
    cells: Vec<(usize, Cow<'s, str>)>,
    column: usize,
    kind: Kind,
    format: usize,
    value: String,
    in_value: bool,
}

impl<'s, 'w> Sheet<'s, 'w> {
    pub(crate) fn new(shared: &'s Strings, formats: &'s Formats, writer: &'w mut Writer) -> Self {
        Self {
            shared,
            formats,
            writer,
            rows: Rows::new(),
            cells: Vec::new(),
            column: 0,
            kind: Kind::Number,
            format: 0,
            value: String::new(),
            in_value: false,
        }
    }

    pub(crate) fn node(&mut self, node: Node<'_>) -> Result<(), Refusal> {
        match node {
            Node::Open(element) => match element.name() {
                "c" => self.open_cell(element),
                "v" | "t" => self.in_value = true,
                _ => {}
            },
            Node::Close("c") => self.close_cell(),
            Node::Close("v" | "t") => self.in_value = false,
            Node::Close("row") => {
                self.cells.sort_by_key(|(column, _)| *column);
                self.cells.dedup_by_key(|(column, _)| *column);
                let cells = self.cells.iter().map(|(column, value)| (*column, &**value));
                self.rows.row(cells, self.writer)?;
                self.cells.clear();
                self.column = 0;
            }
            Node::Text(text) if self.in_value => self.value.push_str(text),
            _ => {}
        }
        Ok(())
    }

    fn open_cell(&mut self, element: &Element<'_>) {
        let column = element.attribute("r").and_then(|name| column(&name));
        self.column = column.unwrap_or(self.column + 1);
        self.kind = match element.attribute("t").as_deref() {
            Some("s") => Kind::Shared,
            Some("str" | "inlineStr" | "e" | "d") => Kind::Text,
            Some("b") => Kind::Bool,
            _ => Kind::Number,
        };
        let format = element
            .attribute("s")
            .and_then(|format| format.parse().ok());
        self.format = format.unwrap_or(0);
        self.value.clear();
    }

    fn close_cell(&mut self) {
        let value = std::mem::take(&mut self.value);
        let value: Cow<'s, str> = match self.kind {
            Kind::Text => value.into(),
            Kind::Shared => {
                let number = value.trim().parse().ok();
                let text = number.and_then(|number| self.shared.get(number));
                text.unwrap_or_default().into()
            }
            Kind::Bool if value.trim() == "1" => "TRUE".into(),
            Kind::Bool => "FALSE".into(),
            Kind::Number if self.formats.is_date(self.format) => {
                date(&value, self.formats.from_1904).unwrap_or(value).into()
            }
            Kind::Number => shortest(&value).unwrap_or(value).into(),
        };
        if !value.trim().is_empty() && self.column <= COLUMNS {
            self.cells.push((self.column, value));
        }
    }
}

/// The column of a cell's name such as `AB12`, from 1.
fn column(name: &str) -> Option<usize> {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic);
    let column = letters.take(4).fold(0, |column, letter| {
        column * 26 + usize::from(letter.to_ascii_uppercase() - b'A') + 1
    });
    (column > 0).then_some(column)
}

/// A number without the digits that binary fractions leave behind: `0.1` for `0.10000000000000001`.
fn shortest(value: &str) -> Option<String> {
    let value = value.trim();
    if value.len() < 16 {
        return None;
    }
    let number: f64 = value.parse().ok()?;
    number.is_finite().then(|| {
        // Excel keeps fifteen digits.
        let rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
        format!("{rounded}")
    })
}

/// A day number of Excel as `2024-02-29`, with the time where it has one.
fn date(value: &str, from_1904: bool) -> Option<String> {
    let serial: f64 = value.trim().parse().ok()?;
    if !(0.0..2_958_466.0).contains(&serial) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be a small positive number"
    )]
    let seconds = (serial * 86_400.0).round() as i64;
    let (mut day, time) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60);
    if day == 0 && !from_1904 {
        return Some(clock);
    }
    // Days from 1970-01-01. Excel's 1900 was a leap year, so its count is one ahead from March on.
    day = match (from_1904, day) {
        (true, day) => day - 24_107,
        (false, day @ 0..60) => day - 25_568,
        (false, day) => day - 25_569,
    };
    let (year, month, day) = civil(day);
    let date = format!("{year:04}-{month:02}-{day:02}");
    Some(if time == 0 {
        date
    } else {
        format!("{date} {clock}")
    })
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(day: i64) -> (i64, i64, i64) {
    // Counted in eras of 400 years that begin on the first of March.
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (
        era * 400 + year + i64::from(month <= 2),
        month,
        of_year - (153 * shifted + 2) / 5 + 1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_numbers_become_dates() {
        for (serial, from_1904, shown) in [
            ("1", false, "1900-01-01"),
            ("59", false, "1900-02-28"),
            ("61", false, "1900-03-01"),
            ("45351", false, "2024-02-29"),
            ("45351.75", false, "2024-02-29 18:00:00"),
            ("0.5", false, "12:00:00"),
            ("0", true, "1904-01-01"),
            ("43889", true, "2024-02-29"),
        ] {
            assert_eq!(date(serial, from_1904).as_deref(), Some(shown), "{serial}");
        }
        assert_eq!(date("-1", false), None);
        assert_eq!(date("1e300", false), None);
        assert_eq!(date("NaN", false), None);
    }

    #[test]
    fn codes_of_dates_are_known() {
        assert!(shows_date("yyyy\\-mm\\-dd"));
        assert!(shows_date("[$-409]h:mm AM/PM"));
        assert!(!shows_date("#,##0.00\" days\""));
        assert!(!shows_date("[Red]0.0"));
        assert!(!shows_date("General"));
    }

    #[test]
    fn columns_are_counted_from_their_letters() {
        assert_eq!(column("A1"), Some(1));
        assert_eq!(column("XFD1048576"), Some(COLUMNS));
        assert_eq!(column("12"), None);
    }

    #[test]
    fn numbers_lose_the_digits_of_binary_fractions() {
        assert_eq!(shortest("0.10000000000000001").as_deref(), Some("0.1"));
        assert_eq!(shortest("12.5"), None);
    }
}
