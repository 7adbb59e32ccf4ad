//! The parts of office documents, which are XML.

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use crate::{archive::Archive, encoding, refusal::Refusal};

/// What a part holds, piece by piece. Names come without their prefix.
#[derive(Clone, Copy)]
pub(crate) enum Node<'n> {
    Open(&'n Element<'n>),
    Close(&'n str),
    /// Characters between tags, their references resolved. Space counts.
    Text(&'n str),
}

/// The tag that opens an element.
pub(crate) struct Element<'n>(&'n BytesStart<'n>);

impl Element<'_> {
    pub(crate) fn name(&self) -> &str {
        self.0.local_name().into_inner()
    }

    /// The value of an attribute by its name without prefix.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        self.find(|_, local| local == name)
    }

    /// The value of `r:id`, which stands beside an `id` of its own in slides and sheets.
    pub(crate) fn relation(&self) -> Option<String> {
        self.find(|prefixed, local| prefixed && matches!(local, "id" | "embed" | "dm"))
    }

    fn find(&self, wanted: impl Fn(bool, &str) -> bool) -> Option<String> {
        let mut attributes = self.0.attributes();
        let attributes = attributes.with_checks(false).filter_map(Result::ok);
        let mut found = attributes.filter(|attribute| {
            wanted(
                attribute.key.prefix().is_some(),
                attribute.key.local_name().into_inner(),
            )
        });
        let value = found
            .next()?
            .normalized_value(XmlVersion::Implicit1_0)
            .ok()?;
        Some(value.into_owned())
    }
}

/// Reads a part of an archive from its beginning to its end; whether it is there.
///
/// Document type declarations are refused, as office programs refuse them: what they define could be
/// put in for ever.
pub(crate) fn read_part(
    archive: &mut Archive<'_>,
    name: &str,
    visit: impl FnMut(Node<'_>) -> Result<(), Refusal>,
) -> Result<bool, Refusal> {
    let Some(bytes) = archive.read(name)? else {
        return Ok(false);
    };
    read(&bytes, name, archive.limits().depth, visit)?;
    Ok(true)
}

fn read(
    bytes: &[u8],
    part: &str,
    deepest: usize,
    mut visit: impl FnMut(Node<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let text = encoding::decode(bytes).map_err(|_| {
        Refusal::invalid(format!(
            "The part {part} of the file is no text in UTF-8 or UTF-16. Save the file again and upload it."
        ))
    })?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let mut depth = 0_usize;
    loop {
        let event = reader.read_event().map_err(|error| {
            let at = reader.error_position();
            Refusal::invalid(format!(
                "The part {part} of the file is no valid XML at byte {at} ({error}). Save the file again and upload it."
            ))
        })?;
        match event {
            Event::Start(tag) => {
                depth += 1;
                if depth > deepest {
                    return Err(Refusal::invalid(format!(
                        "The part {part} of the file has elements nested more than {deepest} deep, which is the limit."
                    )));
                }
                visit(Node::Open(&Element(&tag)))?;
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                visit(Node::Close(tag.local_name().into_inner()))?;
            }
            Event::Text(text) => visit(Node::Text(&text.xml10_content()))?,
            Event::CData(text) => visit(Node::Text(&text.xml10_content()))?,
            Event::GeneralRef(reference) => {
                if let Some(char) = referred(&reference) {
                    visit(Node::Text(char.encode_utf8(&mut [0; 4])))?;
                }
            }
            Event::DocType(_) => {
                return Err(Refusal::invalid(format!(
                    "The part {part} of the file declares a document type, which office documents do not have."
                )));
            }
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    if depth > 0 {
        return Err(Refusal::invalid(format!(
            "The part {part} of the file was cut off. Save the file again and upload it."
        )));
    }
    Ok(())
}

/// The character of a reference: by its number, or one of the five that XML names.
fn referred(reference: &quick_xml::events::BytesRef<'_>) -> Option<char> {
    if let Ok(Some(char)) = reference.resolve_char_ref() {
        return Some(char);
    }
    match &*reference.xml10_content() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}
