//! PowerPoint presentations.

use super::{Relations, main_part, without};
use crate::{
    archive::Archive,
    refusal::Refusal,
    text::{PlaceKind, Writer},
    xml::{self, Element, Node},
};

/// Writes the slides in their order: each with its title as a heading, its text, a row of a table to a
/// line, and its notes. Numbers, dates and footers of slides are left out.
pub(crate) fn write(archive: &mut Archive<'_>, writer: &mut Writer) -> Result<(), Refusal> {
    let main = main_part(archive, "ppt/presentation.xml")?;
    let relations = Relations::read(archive, &main)?;
    let mut slides = Vec::new();
    let found = xml::read_part(archive, &main, |node| {
        if let Node::Open(element) = node
            && element.name() == "sldId"
            && let Some(slide) = element.relation().and_then(|id| relations.target(&id))
        {
            slides.push(slide.to_owned());
        }
        Ok(())
    })?;
    if !found {
        return Err(without(&main));
    }
    if slides.is_empty() {
        slides = archive.numbered("ppt/slides/slide", ".xml");
    }
    let pages = archive.limits().pages;
    if slides.len() > pages {
        return Err(Refusal::invalid(format!(
            "The presentation has {} slides; the limit is {pages}. Split it into smaller files.",
            slides.len()
        )));
    }
    for (index, part) in slides.iter().enumerate() {
        let slide = Slide::read(archive, part)?;
        writer.begin_place(PlaceKind::Slide, index + 1, slide.title.clone())?;
        if let Some(title) = &slide.title {
            writer.heading(1, title)?;
        }
        slide.write(writer)?;
        let relations = Relations::read(archive, part)?;
        for diagram in relations.of_kind("diagramData") {
            Slide::read(archive, &diagram)?.write(writer)?;
        }
        for notes in relations.of_kind("notesSlide") {
            let notes = Slide::read(archive, &notes)?;
            if !notes.lines.is_empty() {
                writer.end_block()?;
                writer.push("Notes: ")?;
                notes.write(writer)?;
            }
        }
    }
    Ok(())
}

/// What a shape is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Body,
    Title,
    /// The number, date or footer of a slide, or its picture on a page of notes.
    Furniture,
}

/// The text of one slide or page of notes.
struct Slide {
    title: Option<String>,
    lines: Vec<String>,
    role: Role,
    paragraph: String,
    /// The cells of the row that is open.
    cells: Option<Vec<String>>,
    in_text: bool,
    skipped: usize,
}

impl Slide {
    fn read(archive: &mut Archive<'_>, part: &str) -> Result<Self, Refusal> {
        let mut slide = Self {
            title: None,
            lines: Vec::new(),
            role: Role::Body,
            paragraph: String::new(),
            cells: None,
            in_text: false,
            skipped: 0,
        };
        if !xml::read_part(archive, part, |node| {
            slide.node(&node);
            Ok(())
        })? {
            return Err(without(part));
        }
        Ok(slide)
    }

    fn write(&self, writer: &mut Writer) -> Result<(), Refusal> {
        for line in &self.lines {
            writer.push(line)?;
            writer.end_line()?;
        }
        Ok(())
    }

    fn node(&mut self, node: &Node<'_>) {
        match node {
            Node::Open(_) if self.skipped > 0 => self.skipped += 1,
            Node::Close(_) if self.skipped > 0 => self.skipped -= 1,
            Node::Open(element) => self.open(element),
            Node::Close(name) => self.close(name),
            Node::Text(text) if self.in_text && self.skipped == 0 => self.paragraph.push_str(text),
            Node::Text(_) => {}
        }
    }

    fn open(&mut self, element: &Element<'_>) {
        match element.name() {
            "Fallback" => self.skipped = 1,
            "sp" | "pic" | "graphicFrame" => self.role = Role::Body,
            "ph" => {
                self.role = match element.attribute("type").as_deref() {
                    Some("title" | "ctrTitle") => Role::Title,
                    Some("sldNum" | "dt" | "ftr" | "hdr" | "sldImg") => Role::Furniture,
                    _ => Role::Body,
                };
            }
            "cNvPr" => {
                if let Some(description) = element.attribute("descr")
                    && !description.trim().is_empty()
                {
                    self.lines
                        .push(format!("[Image: {}]", one_line(&description)));
                }
            }
            "t" => self.in_text = true,
            "br" | "tab" => self.paragraph.push(' '),
            "tr" => self.cells = Some(Vec::new()),
            "tc" => {
                if let Some(cells) = &mut self.cells {
                    cells.push(String::new());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        match name {
            "t" => self.in_text = false,
            "p" => self.end_paragraph(),
            "tr" => {
                let cells = self.cells.take().unwrap_or_default();
                if cells.iter().any(|cell| !cell.is_empty()) {
                    self.lines.push(cells.join(" | "));
                }
            }
            "sp" => self.role = Role::Body,
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        let text = one_line(&std::mem::take(&mut self.paragraph));
        if text.is_empty() || self.role == Role::Furniture {
            return;
        }
        if let Some(cell) = self.cells.as_mut().and_then(|cells| cells.last_mut()) {
            if !cell.is_empty() {
                cell.push(' ');
            }
            cell.push_str(&text);
        } else if self.role == Role::Title {
            match &mut self.title {
                Some(title) => {
                    title.push(' ');
                    title.push_str(&text);
                }
                None => self.title = Some(text),
            }
        } else {
            self.lines.push(text);
        }
    }
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}
