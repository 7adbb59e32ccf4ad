//! Excel workbooks.

use super::{
    Relations, main_part,
    sheet::{Formats, Sheet},
    without,
};
use crate::{
    archive::Archive,
    refusal::Refusal,
    text::{PlaceKind, Writer},
    xml::{self, Node},
};

/// Writes the sheets in their order, each under its name, a row to a line with the names of its columns
/// (see [`Rows`](crate::rows::Rows)). Formulas are written as their last values, dates as dates.
pub(crate) fn write(archive: &mut Archive<'_>, writer: &mut Writer) -> Result<(), Refusal> {
    let main = main_part(archive, "xl/workbook.xml")?;
    let relations = Relations::read(archive, &main)?;
    let mut sheets = Vec::new();
    let mut from_1904 = false;
    let found = xml::read_part(archive, &main, |node| {
        if let Node::Open(element) = node {
            match element.name() {
                "sheet" => {
                    let part = element.relation().and_then(|id| relations.target(&id));
                    if let (Some(name), Some(part)) = (element.attribute("name"), part) {
                        sheets.push((name, part.to_owned()));
                    }
                }
                "workbookPr" => {
                    from_1904 =
                        matches!(element.attribute("date1904").as_deref(), Some("1" | "true"));
                }
                _ => {}
            }
        }
        Ok(())
    })?;
    if !found {
        return Err(without(&main));
    }
    let pages = archive.limits().pages;
    if sheets.len() > pages {
        return Err(Refusal::invalid(format!(
            "The workbook has {} sheets; the limit is {pages}.",
            sheets.len()
        )));
    }
    let shared = match relations.of_kind("sharedStrings").first() {
        Some(part) => Strings::read(archive, part)?,
        None => Strings::default(),
    };
    let formats = match relations.of_kind("styles").first() {
        Some(part) => Formats::read(archive, part, from_1904)?,
        None => Formats::default(),
    };
    for (index, (name, part)) in sheets.into_iter().enumerate() {
        writer.begin_place(PlaceKind::Sheet, index + 1, Some(name.clone()))?;
        writer.heading(1, &name)?;
        let mut sheet = Sheet::new(&shared, &formats, writer);
        // Charts stand among the sheets and have no rows.
        xml::read_part(archive, &part, |node| sheet.node(node))?;
    }
    Ok(())
}

/// The strings that cells refer to by number, with one space where they have any.
///
/// Space is taken out here and not at each cell: a long blank string in each of many cells costs nothing.
#[derive(Default)]
pub(crate) struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    fn read(archive: &mut Archive<'_>, part: &str) -> Result<Self, Refusal> {
        let mut strings = Self::default();
        // Phonetic readings stand beside the text, in elements of the same name.
        let (mut in_text, mut in_reading) = (false, false);
        let mut string = String::new();
        xml::read_part(archive, part, |node| {
            match node {
                Node::Open(element) => match element.name() {
                    "t" => in_text = !in_reading,
                    "rPh" => in_reading = true,
                    _ => {}
                },
                Node::Close("t") => in_text = false,
                Node::Close("rPh") => in_reading = false,
                Node::Close("si") => strings.push(&std::mem::take(&mut string)),
                Node::Text(text) if in_text => string.push_str(text),
                _ => {}
            }
            Ok(())
        })?;
        Ok(strings)
    }

    fn push(&mut self, string: &str) {
        let start = self.text.len();
        for word in string.split_whitespace() {
            if self.text.len() > start {
                self.text.push(' ');
            }
            self.text.push_str(word);
        }
        self.ends.push(self.text.len());
    }

    /// The string of this number, from 0.
    pub(crate) fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)?;
        let start = match number.checked_sub(1) {
            Some(before) => self.ends[before],
            None => 0,
        };
        self.text.get(start..end)
    }
}
