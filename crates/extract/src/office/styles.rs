//! Which styles of a Word document are headings.

use std::collections::HashMap;

use crate::{
    archive::Archive,
    refusal::Refusal,
    xml::{self, Node},
};

/// How many styles are asked in turn for what one of them does not say itself.
const LONGEST_CHAIN: usize = 16;

/// The paragraph styles of a document.
///
/// A chain of styles is walked by their numbers: ids may be long, and are looked up once.
#[derive(Default)]
pub(crate) struct Styles {
    numbers: HashMap<String, usize>,
    styles: Vec<Style>,
}

struct Style {
    /// The level that the style says itself.
    level: Option<usize>,
    based_on: Base,
}

/// What a style is based on.
#[derive(Clone, Copy)]
enum Base {
    Nothing,
    /// The style of this number.
    Style(usize),
    /// One that the document does not hold; the level that its id says.
    Absent(Option<usize>),
}

impl Styles {
    pub(crate) fn read(archive: &mut Archive<'_>, part: &str) -> Result<Self, Refusal> {
        let mut numbers = HashMap::new();
        let mut said: Vec<(Option<usize>, Option<String>)> = Vec::new();
        let mut id = None;
        let (mut level, mut based_on) = (None, None);
        xml::read_part(archive, part, |node| {
            match node {
                Node::Open(element) => match element.name() {
                    "style" => {
                        id = element.attribute("styleId");
                        (level, based_on) = (None, None);
                    }
                    "name" => {
                        let name = element.attribute("val").unwrap_or_default();
                        level = level.or(level_of(&name));
                    }
                    "basedOn" => based_on = element.attribute("val"),
                    "outlineLvl" => level = outline_level(element.attribute("val")).or(level),
                    _ => {}
                },
                Node::Close("style") => {
                    if let Some(id) = id.take() {
                        numbers.insert(id, said.len());
                        said.push((level.take(), based_on.take()));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        let base = |id: Option<String>| match id {
            None => Base::Nothing,
            Some(id) => match numbers.get(&id) {
                Some(number) => Base::Style(*number),
                None => Base::Absent(level_of(&id)),
            },
        };
        let styles = said
            .into_iter()
            .map(|(level, based_on)| Style {
                level,
                based_on: base(based_on),
            })
            .collect();
        Ok(Self { numbers, styles })
    }

    /// The level of a heading in this style, from 1.
    pub(crate) fn heading(&self, id: &str) -> Option<usize> {
        let mut base = match self.numbers.get(id) {
            Some(number) => Base::Style(*number),
            None => Base::Absent(level_of(id)),
        };
        for _ in 0..LONGEST_CHAIN {
            match base {
                Base::Nothing => return None,
                Base::Absent(level) => return level,
                Base::Style(number) => {
                    let style = self.styles.get(number)?;
                    if style.level.is_some() {
                        return style.level;
                    }
                    base = style.based_on;
                }
            }
        }
        None
    }
}

/// The level of an outline as the format counts, from 0; 9 is body text.
pub(crate) fn outline_level(value: Option<String>) -> Option<usize> {
    let level: usize = value?.parse().ok()?;
    (level < 9).then_some(level + 1)
}

/// The level that a name such as `heading 2` or `Heading2` says.
fn level_of(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    if name == "title" {
        return Some(1);
    }
    let level = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}
