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
#[derive(Default)]
pub(crate) struct Styles {
    /// By id: the level that the style says itself, and the style that it is based on.
    styles: HashMap<String, (Option<usize>, Option<String>)>,
}

impl Styles {
    pub(crate) fn read(archive: &mut Archive<'_>, part: &str) -> Result<Self, Refusal> {
        let mut styles = HashMap::new();
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
                        styles.insert(id, (level.take(), based_on.take()));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { styles })
    }

    /// The level of a heading in this style, from 1.
    pub(crate) fn heading(&self, id: &str) -> Option<usize> {
        let mut id = id;
        for _ in 0..LONGEST_CHAIN {
            let Some((level, based_on)) = self.styles.get(id) else {
                return level_of(id);
            };
            if level.is_some() {
                return *level;
            }
            id = based_on.as_deref()?;
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
