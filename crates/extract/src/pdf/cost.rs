//! What a font takes once it is read, counted before it is.
//!
//! hayro-font writes a width down for each character of a range, so that `/W [0 4294967295 500]` would be some 60
//! gigabytes (and `/FirstChar 4294967295` half of that); and it reads a character map anew for each font that names it.

use hayro_syntax::object::{Array, Dict, Name, Stream, array::FlexArrayIter};

use crate::refusal::Refusal;

/// Widths of one range, from the first character on: four times the characters that a font can have.
const MOST: u64 = 1 << 18;

/// Bytes that a width takes, about.
const WIDTH: u64 = 16;

/// Bytes that a byte of a character map becomes, about.
const MAPPED: u64 = 8;

/// Bytes of the maps that a font takes which names a predefined one, about.
const PREDEFINED: u64 = 1_000_000;

/// The bytes that a font takes; counting stops behind `limit`.
pub(super) fn of_font(font: &Dict<'_>, limit: u64) -> Result<u64, Refusal> {
    let first = font.get::<usize>("FirstChar").unwrap_or_default() as u64;
    if first > MOST {
        return Err(too_many());
    }
    let mut cost = Cost {
        bytes: first * WIDTH,
        limit,
    };
    cost.map(font, "ToUnicode");
    let descendants = font.get::<Array<'_>>("DescendantFonts");
    let descendant = descendants.and_then(|fonts| fonts.iter::<Dict<'_>>().next());
    if let Some(descendant) = descendant {
        cost.map(font, "Encoding");
        if let Some(widths) = descendant.get::<Array<'_>>("W") {
            cost.widths(&widths, |items| {
                let range = items.next::<(u32, u32, f32)>();
                range.map(|(first, last, _)| (first, last))
            })?;
        }
        if let Some(widths) = descendant.get::<Array<'_>>("W2") {
            cost.widths(&widths, |items| {
                let range = items.next::<(u32, u32, f32, f32, f32)>();
                range.map(|(first, last, ..)| (first, last))
            })?;
        }
    }
    Ok(cost.bytes)
}

struct Cost {
    bytes: u64,
    limit: u64,
}

impl Cost {
    /// Adds a character map, which is a stream or the name of a predefined one.
    fn map(&mut self, font: &Dict<'_>, key: &str) {
        if let Some(name) = font.get::<Name<'_>>(key) {
            if !name.as_ref().starts_with(b"Identity") {
                self.bytes += PREDEFINED;
            }
        } else if let Some(map) = font.get::<Stream<'_>>(key) {
            let length = map.decoded_data().map_or(0, |map| map.len() as u64);
            self.bytes += length * MAPPED;
        }
    }

    /// Adds an array of ranges: a first character and a list of widths, or what `range` reads.
    fn widths<'a>(
        &mut self,
        widths: &Array<'a>,
        range: impl Fn(&mut FlexArrayIter<'a>) -> Option<(u32, u32)>,
    ) -> Result<(), Refusal> {
        let mut items = widths.flex_iter();
        while self.bytes <= self.limit {
            let count = if let Some((_, list)) = items.next::<(u32, Array<'_>)>() {
                // A width and the space behind it are two bytes at least.
                list.data().len() as u64 / 2
            } else if let Some((first, last)) = range(&mut items) {
                let count = u64::from(last.saturating_sub(first));
                if count > MOST {
                    return Err(too_many());
                }
                count
            } else {
                break;
            };
            self.bytes += (count + 1) * WIDTH;
        }
        Ok(())
    }
}

fn too_many() -> Refusal {
    Refusal::invalid(
        "A font of the PDF has widths for more characters than there are. Export or print it to a PDF again and upload \
         that.",
    )
}
