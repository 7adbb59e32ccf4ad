//! The text of a document, and where each part of it stands.

use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;

/// The text of a document.
///
/// Lines end with `\n`; headings stand on lines of their own, with `#` signs where the format knows
/// their level; blocks are set apart by an empty line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The text, without space at its end.
    pub text: String,
    /// Pages, slides or sheets in the order of the text, where the format has them. They do not
    /// overlap; those without text are left out.
    pub places: Vec<Place>,
}

/// A page, slide or sheet, and the range of the text that stands on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// Its number, from 1.
    pub number: usize,
    /// The title of a slide, the name of a sheet.
    pub name: Option<String>,
    /// Offset of its first byte in the text.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
}

/// What a [`Place`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaceKind {
    /// A page of a PDF.
    Page,
    /// A slide of a presentation, its notes included.
    Slide,
    /// A sheet of a workbook.
    Sheet,
}

impl Text {
    /// The place that the byte at `offset` stands on.
    pub fn place_at(&self, offset: usize) -> Option<&Place> {
        let next = self.places.partition_point(|place| place.end <= offset);
        self.places.get(next).filter(|place| place.start <= offset)
    }
}

/// Builds a [`Text`] within the limit of its length.
pub(crate) struct Writer {
    text: String,
    places: Vec<Place>,
    limit: usize,
    left: usize,
}

impl Writer {
    /// `limit` in characters.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            places: Vec::new(),
            limit,
            left: limit,
        }
    }

    /// Adds `text` as it is.
    pub(crate) fn push(&mut self, text: &str) -> Result<(), Refusal> {
        let chars = text.chars().count();
        self.left = self
            .left
            .checked_sub(chars)
            .ok_or_else(|| too_long(self.limit))?;
        self.text.push_str(text);
        Ok(())
    }

    /// Adds the words of `text`, with one space where it has any.
    pub(crate) fn words(&mut self, text: &str) -> Result<(), Refusal> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if is_space(first) {
                if !self.text.is_empty() && !self.text.ends_with([' ', '\n']) {
                    self.push(" ")?;
                }
                rest = rest.trim_start_matches(is_space);
            } else {
                let end = rest.find(is_space).unwrap_or(rest.len());
                self.push(&rest[..end])?;
                rest = &rest[end..];
            }
        }
        Ok(())
    }

    /// Ends the line, unless nothing stands on it.
    pub(crate) fn end_line(&mut self) -> Result<(), Refusal> {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        if self.text.is_empty() || self.text.ends_with('\n') {
            return Ok(());
        }
        self.push("\n")
    }

    /// Ends the line and leaves an empty one.
    pub(crate) fn end_block(&mut self) -> Result<(), Refusal> {
        self.end_line()?;
        if self.text.is_empty() || self.text.ends_with("\n\n") {
            return Ok(());
        }
        self.push("\n")
    }

    /// A paragraph: an empty line on either side.
    pub(crate) fn block(&mut self, text: &str) -> Result<(), Refusal> {
        self.end_block()?;
        self.push(text)?;
        self.end_block()
    }

    /// A heading of `level` (from 1) on a line of its own.
    pub(crate) fn heading(&mut self, level: usize, text: &str) -> Result<(), Refusal> {
        self.end_block()?;
        self.push(&"#".repeat(level.clamp(1, 6)))?;
        self.push(" ")?;
        self.words(text)?;
        self.end_block()
    }

    /// What follows stands on a new page, slide or sheet.
    pub(crate) fn begin_place(
        &mut self,
        kind: PlaceKind,
        number: usize,
        name: Option<String>,
    ) -> Result<(), Refusal> {
        self.end_place()?;
        self.places.push(Place {
            kind,
            number,
            name,
            start: self.text.len(),
            end: usize::MAX,
        });
        Ok(())
    }

    /// The last character so far.
    pub(crate) fn last(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// Takes the last character away, for a word that was divided.
    pub(crate) fn pop(&mut self) {
        if self.text.pop().is_some() {
            self.left += 1;
        }
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn finish(mut self) -> Result<Text, Refusal> {
        self.end_place()?;
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        for place in &mut self.places {
            place.end = place.end.min(end);
            place.start = place.start.min(end);
        }
        self.places.retain(|place| place.start < place.end);
        Ok(Text {
            text: self.text,
            places: self.places,
        })
    }

    fn end_place(&mut self) -> Result<(), Refusal> {
        self.end_block()?;
        let end = self.text.len();
        if let Some(place) = self.places.last_mut()
            && place.end == usize::MAX
        {
            place.end = end;
        }
        Ok(())
    }
}

/// Space between words; a no-break space is one in prose.
fn is_space(char: char) -> bool {
    char.is_whitespace()
}

fn too_long(limit: usize) -> Refusal {
    Refusal::invalid(format!(
        "The file holds more than {limit} characters of text, which is the limit. Split it into smaller files."
    ))
}
