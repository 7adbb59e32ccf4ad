//! Web pages.

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::{encoding, refusal::Refusal, text::Writer};

/// Elements whose content is no text of the page.
const SKIPPED: &[&str] = &[
    "script", "style", "template", "svg", "math", "noscript", "iframe", "object", "canvas",
    "audio", "video", "select", "button", "nav", "textarea", "noembed",
];

/// Elements that may be skipped for an attribute, because their end tag is never left out.
const HIDEABLE: &[&str] = &[
    "div", "section", "ul", "ol", "table", "span", "header", "footer", "aside", "main", "article",
    "form", "menu", "dialog",
];

/// Elements that begin and end a paragraph.
const BLOCKS: &[&str] = &[
    "p",
    "section",
    "article",
    "header",
    "footer",
    "aside",
    "main",
    "blockquote",
    "figure",
    "figcaption",
    "ul",
    "ol",
    "dl",
    "table",
    "form",
    "fieldset",
    "address",
    "details",
    "hr",
    "pre",
];

/// Elements that begin and end a line.
const LINES: &[&str] = &[
    "div", "dt", "dd", "caption", "summary", "legend", "option", "br", "center", "body",
];

/// Writes the text of a page: its title, headings on lines of their own, a row of a table to a line;
/// without scripts, styles and navigation.
///
/// Reads tokens and builds no tree, so that depth costs nothing.
pub(crate) fn write(bytes: &[u8], writer: &mut Writer) -> Result<(), Refusal> {
    let text = encoding::decode_html(bytes)?;
    // A `<nav>` that never ends would take the page with it; such a page is written whole.
    let navigation_ends = Page::new(None).read(&text)?;
    let mut page = Page::new(Some(writer));
    page.skips_hidden = navigation_ends;
    page.read(&text).map(|_| ())
}

/// What stands between the last word and the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Line,
    Block,
    Cell,
}

struct Page<'w> {
    /// Absent to find out only whether all that is skipped ends.
    writer: Option<&'w mut Writer>,
    skips_hidden: bool,
    /// The element that is skipped, and how many of its name are open.
    skipped: Option<(Vec<u8>, usize)>,
    gap: Gap,
    preformatted: usize,
    /// Cells so far in the row.
    cells: usize,
    /// No word has come in the cell.
    cell_is_empty: bool,
    in_title: bool,
    heading: Option<usize>,
    /// Open lists; the number of the next item where they are numbered.
    lists: Vec<Option<usize>>,
}

impl<'w> Page<'w> {
    fn new(writer: Option<&'w mut Writer>) -> Self {
        Self {
            writer,
            skips_hidden: true,
            skipped: None,
            gap: Gap::None,
            preformatted: 0,
            cells: 0,
            cell_is_empty: false,
            in_title: false,
            heading: None,
            lists: Vec::new(),
        }
    }

    /// Reads the page to its end; whether nothing is skipped there.
    fn read(mut self, text: &str) -> Result<bool, Refusal> {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        for token in Tokenizer::new_with_emitter(text, emitter) {
            let Ok(token) = token;
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8_lossy(&tag.name);
                    let attribute =
                        |name: &[u8]| tag.attributes.get(name).map(|value| &*value.value.0);
                    let hidden = self.skips_hidden && is_hidden(&name, attribute);
                    if self.starts_skipping(&name, hidden, tag.self_closing) {
                        continue;
                    }
                    self.open(&name)?;
                    if &*name == "img"
                        && let Some(alt) = tag.attributes.get(&b"alt"[..])
                    {
                        self.words(&String::from_utf8_lossy(&alt.value))?;
                    }
                }
                Token::EndTag(tag) if !self.ends_skipping(&tag.name) => {
                    self.close(&String::from_utf8_lossy(&tag.name));
                }
                Token::String(text) if self.skipped.is_none() => {
                    self.words(&String::from_utf8_lossy(&text.value))?;
                }
                _ => {}
            }
        }
        Ok(self.skipped.is_none())
    }

    /// Whether a start tag stands in what is skipped, or begins it.
    fn starts_skipping(&mut self, name: &str, hidden: bool, self_closing: bool) -> bool {
        if let Some((skipped, open)) = &mut self.skipped {
            if skipped == name.as_bytes() && !self_closing {
                *open += 1;
            }
            return true;
        }
        let skips = SKIPPED.contains(&name) && (self.skips_hidden || name != "nav");
        if (skips || hidden) && !self_closing {
            self.skipped = Some((name.as_bytes().to_vec(), 1));
        }
        skips || hidden
    }

    /// Whether an end tag stands in what is skipped, or ends it.
    fn ends_skipping(&mut self, name: &[u8]) -> bool {
        let Some((skipped, open)) = &mut self.skipped else {
            return false;
        };
        if skipped == name {
            *open -= 1;
            if *open == 0 {
                self.skipped = None;
            }
        }
        true
    }

    fn open(&mut self, name: &str) -> Result<(), Refusal> {
        match name {
            "title" => self.in_title = true,
            "pre" => self.preformatted += 1,
            "tr" => self.end_row(),
            "td" | "th" => {
                if self.cells > 0 {
                    if self.gap == Gap::Cell {
                        self.push(" |")?;
                    }
                    self.gap = Gap::Cell;
                }
                self.cells += 1;
                self.cell_is_empty = true;
            }
            "ol" => self.lists.push(Some(1)),
            "ul" | "menu" => self.lists.push(None),
            "li" => {
                self.part(Gap::Line);
                let mark = match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                };
                let depth = self.lists.len().clamp(1, 6) - 1;
                self.mark(&format!("{}{mark}", "  ".repeat(depth)))?;
            }
            _ => {}
        }
        if let Some(level) = level_of(name) {
            self.part(Gap::Block);
            self.heading = Some(level);
        }
        self.around(name);
        Ok(())
    }

    fn close(&mut self, name: &str) {
        match name {
            "title" if self.in_title => {
                self.in_title = false;
                self.part(Gap::Block);
            }
            "pre" => self.preformatted = self.preformatted.saturating_sub(1),
            "tr" | "table" => self.end_row(),
            "ol" | "ul" | "menu" => {
                self.lists.pop();
            }
            "li" => self.part(Gap::Line),
            _ => {}
        }
        if level_of(name).is_some() {
            self.heading = None;
            self.part(Gap::Block);
        }
        self.around(name);
    }

    /// The gap on either side of an element.
    fn around(&mut self, name: &str) {
        let within_list = self.lists.len() > usize::from(name == "ul" || name == "ol");
        if BLOCKS.contains(&name) {
            self.part(if within_list { Gap::Line } else { Gap::Block });
        } else if LINES.contains(&name) {
            self.part(Gap::Line);
        }
    }

    /// Asks for a gap before the next word. At the beginning of a cell nothing parts it from its row.
    fn part(&mut self, gap: Gap) {
        if !(self.cells > 0 && self.cell_is_empty) {
            self.gap = self.gap.max(gap);
        }
    }

    /// What its paragraphs asked for does not part a row from the next.
    fn end_row(&mut self) {
        if self.cells > 0 {
            self.gap = Gap::None;
        }
        self.cells = 0;
        self.part(Gap::Line);
    }

    fn words(&mut self, text: &str) -> Result<(), Refusal> {
        let blank = text.trim().is_empty();
        if blank && (self.gap != Gap::None || self.preformatted == 0) {
            if let (Some(writer), Gap::None) = (&mut self.writer, self.gap) {
                writer.words(" ")?;
            }
            return Ok(());
        }
        self.close_gap()?;
        self.cell_is_empty = false;
        if let Some(level) = self.heading.take() {
            self.push(&format!("{} ", "#".repeat(level)))?;
        }
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        if self.preformatted > 0 {
            writer.push(&text.replace('\r', ""))
        } else {
            writer.words(text)
        }
    }

    /// The mark of an item; its text follows on the same line, whatever elements it begins with.
    fn mark(&mut self, mark: &str) -> Result<(), Refusal> {
        self.close_gap()?;
        self.push(mark)
    }

    fn close_gap(&mut self) -> Result<(), Refusal> {
        let gap = std::mem::replace(&mut self.gap, Gap::None);
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        // Behind the mark of an item nothing breaks the line.
        if gap != Gap::None && ends_with_mark(writer.text()) {
            return Ok(());
        }
        match gap {
            Gap::None => Ok(()),
            Gap::Line => writer.end_line(),
            Gap::Block => writer.end_block(),
            Gap::Cell => {
                if writer.last() == Some(' ') {
                    writer.pop();
                }
                writer.push(" | ")
            }
        }
    }

    fn push(&mut self, text: &str) -> Result<(), Refusal> {
        match &mut self.writer {
            Some(writer) => writer.push(text),
            None => Ok(()),
        }
    }
}

/// Whether the last line holds the mark of an item and nothing else.
///
/// Looks at the end alone: a row may be long.
fn ends_with_mark(text: &str) -> bool {
    const LONGEST_MARK: usize = 32;
    if !text.ends_with(' ') {
        return false;
    }
    let end = &text.as_bytes()[text.len().saturating_sub(LONGEST_MARK)..];
    let start = match end.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None if end.len() == text.len() => 0,
        None => return false,
    };
    let line = String::from_utf8_lossy(&end[start..]);
    let line = line.trim();
    line == "-"
        || line.strip_suffix('.').is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// The level of a heading's tag, `h1` to `h6`.
fn level_of(name: &str) -> Option<usize> {
    let level = name.strip_prefix('h')?.parse().ok()?;
    (name.len() == 2 && (1..=6).contains(&level)).then_some(level)
}

/// Whether an element says that it is not shown, or that it is navigation.
fn is_hidden<'a>(name: &str, attribute: impl Fn(&[u8]) -> Option<&'a [u8]>) -> bool {
    let is = |name: &[u8], value: &str| {
        attribute(name).is_some_and(|found| found.eq_ignore_ascii_case(value.as_bytes()))
    };
    HIDEABLE.contains(&name)
        && (attribute(b"hidden").is_some()
            || is(b"aria-hidden", "true")
            || is(b"role", "navigation"))
}
