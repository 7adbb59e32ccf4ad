//! Positions on a page to spaces, lines and paragraphs.

use hayro_font::kurbo::{Point, Vec2};

use crate::{refusal::Refusal, text::Writer};

/// Distance between words, in sizes of the font: a little less than the narrowest space in use.
const WORD_GAP: f64 = 0.17;

/// How far the base of a line may wander (raised and lowered figures), in sizes of the font.
const SAME_LINE: f64 = 0.55;

/// Distance of lines from which they are paragraphs, in sizes of the font.
const PARAGRAPH_GAP: f64 = 1.75;

/// How far two prints of the same text may lie apart that are to look bold, in sizes of the font.
const BOLD_SHIFT: f64 = 0.15;

/// A glyph that was shown.
#[derive(Clone, Debug)]
pub(super) struct Glyph {
    /// Its characters.
    pub(super) text: String,
    /// Where its base line begins, on the page.
    pub(super) start: Point,
    /// Where the next glyph would begin.
    pub(super) end: Point,
    /// The size of its font, on the page.
    pub(super) size: f64,
}

/// Writes glyphs in the order in which the page shows them, which is the order of reading in nearly
/// all documents that programs write.
pub(super) struct Layout<'w> {
    writer: &'w mut Writer,
    last: Option<Last>,
    /// The last string and where it began, to know it again when it is printed twice.
    printed: Option<(String, Point)>,
}

/// Where the last glyph ended.
#[derive(Clone, Copy)]
struct Last {
    end: Point,
    direction: Vec2,
    size: f64,
}

impl<'w> Layout<'w> {
    pub(super) fn new(writer: &'w mut Writer) -> Self {
        Self {
            writer,
            last: None,
            printed: None,
        }
    }

    /// What follows stands on another page.
    pub(super) fn begin_page(&mut self) -> &mut Writer {
        self.last = None;
        self.printed = None;
        self.writer
    }

    /// What follows begins a line, wherever it stands.
    pub(super) fn begin_line(&mut self) -> Result<(), Refusal> {
        self.last = None;
        self.writer.end_line()
    }

    /// Writes the glyphs of one string.
    pub(super) fn show(&mut self, glyphs: &[Glyph]) -> Result<(), Refusal> {
        let Some(first) = glyphs.first() else {
            return Ok(());
        };
        if glyphs.len() > 1 {
            let text: String = glyphs.iter().map(|glyph| glyph.text.as_str()).collect();
            let again = self.printed.as_ref().is_some_and(|(printed, start)| {
                *printed == text && (first.start - *start).hypot() < BOLD_SHIFT * first.size
            });
            if again {
                return Ok(());
            }
            self.printed = Some((text, first.start));
        }
        glyphs.iter().try_for_each(|glyph| self.glyph(glyph))
    }

    fn glyph(&mut self, glyph: &Glyph) -> Result<(), Refusal> {
        let blank = glyph.text.trim().is_empty();
        let moved = glyph.end - glyph.start;
        let direction = match (self.last, moved.hypot()) {
            (_, length) if length > 1e-6 && length.is_finite() => moved / length,
            (Some(last), _) => last.direction,
            (None, _) => Vec2::new(1.0, 0.0),
        };
        if let Some(last) = self.last {
            self.part(&last, glyph, direction)?;
        }
        if blank {
            if self.writer.last().is_some_and(|last| !last.is_whitespace())
                && !glyph.text.is_empty()
            {
                self.writer.push(" ")?;
            }
        } else {
            self.text(&glyph.text)?;
        }
        self.last = Some(Last {
            end: glyph.end,
            direction,
            size: glyph.size,
        });
        Ok(())
    }

    /// What stands between the last glyph and this one.
    fn part(&mut self, last: &Last, glyph: &Glyph, direction: Vec2) -> Result<(), Refusal> {
        let size = last.size.max(glyph.size);
        let moved = glyph.start - last.end;
        let along = moved.dot(last.direction);
        let across = moved.cross(last.direction);
        let same_direction = last.direction.dot(direction) > 0.9;
        if same_direction && across.abs() < SAME_LINE * size && along > -size {
            let wide = along > WORD_GAP * size;
            let first = glyph.text.chars().next().unwrap_or(' ');
            let before = self.writer.last().unwrap_or(' ');
            if wide && !before.is_whitespace() && !(is_unspaced(before) && is_unspaced(first)) {
                self.writer.push(" ")?;
            }
            return Ok(());
        }
        // Lines of a page run down; a step up begins another column or a header.
        if across < 0.0 || across > PARAGRAPH_GAP * size {
            self.writer.end_block()
        } else {
            self.divided(glyph)
        }
    }

    /// Ends a line; a word that was divided at its end is put together again.
    fn divided(&mut self, glyph: &Glyph) -> Result<(), Refusal> {
        let mut before = self.writer.text().chars().rev();
        let (hyphen, letter) = (before.next(), before.next());
        let continues = glyph.text.chars().next().is_some_and(char::is_lowercase);
        match hyphen {
            Some('\u{AD}') => self.writer.pop(),
            Some('-' | '\u{2010}') if continues && letter.is_some_and(char::is_lowercase) => {
                self.writer.pop();
            }
            _ => return self.writer.end_line(),
        }
        Ok(())
    }

    /// Characters, with ligatures as the letters that they join.
    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        for char in text.chars() {
            let mut buffer = [0; 4];
            let letters = match char {
                '\u{FB00}' => "ff",
                '\u{FB01}' => "fi",
                '\u{FB02}' => "fl",
                '\u{FB03}' => "ffi",
                '\u{FB04}' => "ffl",
                '\u{FB05}' | '\u{FB06}' => "st",
                char if char.is_whitespace() => " ",
                char => char.encode_utf8(&mut buffer),
            };
            self.writer.push(letters)?;
        }
        Ok(())
    }
}

/// Whether a character belongs to a script that sets no spaces between words.
fn is_unspaced(char: char) -> bool {
    matches!(char, '\u{2E80}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FFEF}' | '\u{20000}'..='\u{3FFFF}')
}
