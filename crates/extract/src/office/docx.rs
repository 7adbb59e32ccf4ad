//! Word documents.

use std::collections::{HashMap, HashSet};

use super::{
    Relations, main_part,
    styles::{Styles, outline_level},
    title, without,
};
use crate::{
    archive::Archive,
    refusal::Refusal,
    text::Writer,
    xml::{self, Element, Node},
};

/// Writes a document: its title, then the body with headings on lines of their own, a row of a table
/// to a line and each footnote behind the paragraph that refers to it; then what stands on each page.
///
/// Deleted text, field codes and the second form of drawings are left out; pages are not known.
pub(crate) fn write(archive: &mut Archive<'_>, writer: &mut Writer) -> Result<(), Refusal> {
    let main = main_part(archive, "word/document.xml")?;
    let relations = Relations::read(archive, &main)?;
    let styles = match relations.of_kind("styles").first() {
        Some(part) => Styles::read(archive, part)?,
        None => Styles::default(),
    };
    let mut notes = HashMap::new();
    for (kind, mark) in [("footnotes", ""), ("endnotes", "e")] {
        for part in relations.of_kind(kind) {
            read_notes(archive, &part, mark, &mut notes)?;
        }
    }
    if let Some(title) = title(archive)? {
        writer.push(&title)?;
        writer.end_block()?;
    }
    let mut body = Body::new(&styles, &notes, writer);
    if !xml::read_part(archive, &main, |node| body.node(node))? {
        return Err(without(&main));
    }
    body.finish()?;
    let mut seen = HashSet::new();
    for (kind, label) in [("header", "Header: "), ("footer", "Footer: ")] {
        for part in relations.of_kind(kind) {
            let text = flat_text(archive, &part)?;
            if text.chars().any(char::is_alphabetic) && !seen.contains(&text) {
                writer.end_line()?;
                writer.push(label)?;
                writer.push(&text)?;
                seen.insert(text);
            }
        }
    }
    Ok(())
}

/// The notes of a part by their id, which is marked as theirs.
fn read_notes(
    archive: &mut Archive<'_>,
    part: &str,
    mark: &str,
    notes: &mut HashMap<String, String>,
) -> Result<(), Refusal> {
    let (mut id, mut text) = (None, Flat::default());
    xml::read_part(archive, part, |node| {
        match node {
            Node::Open(element) if matches!(element.name(), "footnote" | "endnote") => {
                id = element.attribute("id");
                text = Flat::default();
            }
            Node::Close("footnote" | "endnote") => {
                if let Some(id) = id.take() {
                    notes.insert(format!("{mark}{id}"), text.take());
                }
            }
            node => text.node(&node),
        }
        Ok(())
    })?;
    Ok(())
}

/// All text of a part on one line.
fn flat_text(archive: &mut Archive<'_>, part: &str) -> Result<String, Refusal> {
    let mut text = Flat::default();
    xml::read_part(archive, part, |node| {
        text.node(&node);
        Ok(())
    })?;
    Ok(text.take())
}

/// Text whose paragraphs do not matter.
#[derive(Default)]
struct Flat {
    text: String,
    in_text: bool,
}

impl Flat {
    fn node(&mut self, node: &Node<'_>) {
        match node {
            Node::Open(element) => {
                self.in_text = element.name() == "t";
                if matches!(element.name(), "tab" | "br" | "cr") {
                    self.text.push(' ');
                }
            }
            Node::Close("p") => self.text.push(' '),
            Node::Close(_) => self.in_text = false,
            Node::Text(text) if self.in_text => self.text.push_str(text),
            Node::Text(_) => {}
        }
    }

    fn take(&mut self) -> String {
        let words: Vec<&str> = self.text.split_whitespace().collect();
        words.join(" ")
    }
}

#[derive(Default)]
struct Paragraph {
    text: String,
    heading: Option<usize>,
    listed: Option<usize>,
}

/// A table that is open, and the cells of its row so far.
#[derive(Default)]
struct Table {
    cells: Vec<String>,
}

struct Body<'s, 'w> {
    styles: &'s Styles,
    notes: &'s HashMap<String, String>,
    writer: &'w mut Writer,
    /// Paragraphs inside each other: a text box stands in a paragraph.
    paragraphs: Vec<Paragraph>,
    tables: Vec<Table>,
    /// Ids of notes that were referred to and not written.
    referred: Vec<String>,
    /// Elements open inside one that is passed over, itself included.
    skipped: usize,
    in_text: bool,
}

impl<'s, 'w> Body<'s, 'w> {
    fn new(styles: &'s Styles, notes: &'s HashMap<String, String>, writer: &'w mut Writer) -> Self {
        Self {
            styles,
            notes,
            writer,
            paragraphs: Vec::new(),
            tables: Vec::new(),
            referred: Vec::new(),
            skipped: 0,
            in_text: false,
        }
    }

    fn node(&mut self, node: Node<'_>) -> Result<(), Refusal> {
        match node {
            Node::Open(_) if self.skipped > 0 => {
                self.skipped += 1;
                Ok(())
            }
            Node::Close(_) if self.skipped > 0 => {
                self.skipped -= 1;
                Ok(())
            }
            Node::Open(element) => {
                self.open(element);
                Ok(())
            }
            Node::Close(name) => self.close(name),
            Node::Text(text) => {
                if self.in_text && self.skipped == 0 {
                    self.add(text);
                }
                Ok(())
            }
        }
    }

    fn open(&mut self, element: &Element<'_>) {
        match element.name() {
            // The same drawing once more, for older programs.
            "Fallback" => self.skipped = 1,
            "t" => self.in_text = true,
            "p" => self.paragraphs.push(Paragraph::default()),
            "pStyle" => {
                let level = element
                    .attribute("val")
                    .and_then(|id| self.styles.heading(&id));
                self.paragraph(|paragraph| paragraph.heading = paragraph.heading.or(level));
            }
            "outlineLvl" => {
                let level = outline_level(element.attribute("val"));
                self.paragraph(|paragraph| paragraph.heading = level.or(paragraph.heading));
            }
            "numPr" => self.paragraph(|paragraph| paragraph.listed = Some(0)),
            "ilvl" => {
                let level = element
                    .attribute("val")
                    .and_then(|level| level.parse().ok());
                self.paragraph(|paragraph| paragraph.listed = level.or(paragraph.listed));
            }
            "tab" => self.add(" "),
            "br" | "cr" => self.add("\n"),
            "noBreakHyphen" => self.add("-"),
            "footnoteReference" | "endnoteReference" => {
                let mark = if element.name() == "endnoteReference" {
                    "e"
                } else {
                    ""
                };
                if let Some(id) = element.attribute("id") {
                    let id = format!("{mark}{id}");
                    if self.notes.get(&id).is_some_and(|note| !note.is_empty()) {
                        self.add(&format!("[^{id}]"));
                        self.referred.push(id);
                    }
                }
            }
            "docPr" => {
                if let Some(description) = element.attribute("descr")
                    && !description.trim().is_empty()
                {
                    self.add(&format!("[Image: {}]", description.trim()));
                }
            }
            "tbl" => self.tables.push(Table::default()),
            "tc" => {
                if let Some(table) = self.tables.last_mut() {
                    table.cells.push(String::new());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) -> Result<(), Refusal> {
        match name {
            "t" => self.in_text = false,
            "p" => {
                if let Some(paragraph) = self.paragraphs.pop() {
                    self.end_paragraph(&paragraph)?;
                }
            }
            "tr" => {
                let cells = self
                    .tables
                    .last_mut()
                    .map(|table| std::mem::take(&mut table.cells))
                    .unwrap_or_default();
                self.end_row(&cells)?;
            }
            "tbl" => {
                self.tables.pop();
                if self.tables.is_empty() {
                    self.writer.end_block()?;
                    self.write_notes()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end_paragraph(&mut self, paragraph: &Paragraph) -> Result<(), Refusal> {
        let text = paragraph.text.trim();
        if text.is_empty() {
            return Ok(());
        }
        if let Some(cell) = self.cell() {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.extend(
                text.chars()
                    .map(|char| if char == '\n' { ' ' } else { char }),
            );
            return Ok(());
        }
        if let Some(level) = paragraph.heading {
            self.writer.heading(level, text)?;
        } else if let Some(level) = paragraph.listed {
            self.writer.end_line()?;
            self.writer.push(&"  ".repeat(level.min(6)))?;
            self.writer.push("- ")?;
            self.writer.push(text)?;
            self.writer.end_line()?;
        } else {
            self.writer.block(text)?;
        }
        self.write_notes()
    }

    /// A row of an inner table joins the cell that the table stands in.
    fn end_row(&mut self, cells: &[String]) -> Result<(), Refusal> {
        if cells.iter().all(String::is_empty) {
            return Ok(());
        }
        let row = cells.join(" | ");
        let outer = self.tables.len().checked_sub(2);
        let outer = outer.and_then(|outer| self.tables.get_mut(outer));
        if let Some(cell) = outer.and_then(|table| table.cells.last_mut()) {
            if !cell.is_empty() {
                cell.push_str("; ");
            }
            cell.push_str(&row);
            return Ok(());
        }
        self.writer.end_line()?;
        self.writer.push(row.trim())?;
        self.writer.end_line()
    }

    fn write_notes(&mut self) -> Result<(), Refusal> {
        for id in std::mem::take(&mut self.referred) {
            if let Some(note) = self.notes.get(&id) {
                self.writer.block(&format!("[^{id}]: {note}"))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str) {
        self.paragraph(|paragraph| paragraph.text.push_str(text));
    }

    fn paragraph(&mut self, change: impl FnOnce(&mut Paragraph)) {
        if let Some(paragraph) = self.paragraphs.last_mut() {
            change(paragraph);
        }
    }

    /// The open cell, unless the paragraph stands in a text box.
    fn cell(&mut self) -> Option<&mut String> {
        self.tables.last_mut()?.cells.last_mut()
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        self.write_notes()?;
        self.writer.end_block()
    }
}
