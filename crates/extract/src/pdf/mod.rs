//! PDF documents.
//!
//! hayro-syntax reads the file's structure (damaged cross references, encryption with an empty password)
//! and hayro-font what a code means in its font; neither has `unsafe` code or draws anything. What is
//! ours is the part of the interpreter that moves text about (`content`), and the rules by which
//! positions become spaces, lines and paragraphs (`layout`).

mod content;
mod cost;
mod layout;
mod resources;

use std::borrow::Cow;

use hayro_syntax::{
    DecryptionError, LoadPdfError, Pdf,
    object::{Array, Dict, MaybeRef, Object, Stream},
    xref::XRef,
};

use crate::{
    limits::Limits,
    refusal::Refusal,
    text::{PlaceKind, Writer},
};
use content::Interpreter;

/// Share of characters without a meaning from which the text is refused: it would be noise.
const UNREADABLE_PERCENT: usize = 40;

/// Appearances of one page's form fields and notes; more are left out.
const ANNOTATIONS: usize = 10_000;

/// Writes the pages in their order, form fields and typed notes included.
pub(crate) fn write(bytes: &[u8], limits: &Limits, writer: &mut Writer) -> Result<(), Refusal> {
    let pdf = Pdf::new(bytes.to_vec()).map_err(refuse)?;
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(Refusal::invalid("The PDF has no pages."));
    }
    if pages.len() > limits.pages {
        return Err(Refusal::invalid(format!(
            "The PDF has {} pages; the limit is {}. Split it into smaller files.",
            pages.len(),
            limits.pages
        )));
    }
    let mut interpreter = Interpreter::new(limits, writer);
    for (index, page) in pages.iter().enumerate() {
        interpreter
            .writer()
            .begin_place(PlaceKind::Page, index + 1, None)?;
        interpreter.page(&content(page.raw(), pdf.xref(), limits)?, page.resources())?;
        let annotations = objects(page.raw().get::<Array<'_>>("Annots"), pdf.xref());
        for annotation in annotations.take(ANNOTATIONS).filter_map(Object::into_dict) {
            interpreter.unpack(annotation.data().len() as u64)?;
            if let Some(appearance) = appearance(&annotation) {
                interpreter.appearance(&appearance, page.resources())?;
            }
        }
    }
    let (shown, unreadable, images) = interpreter.counts();
    if shown == 0 && images > 0 {
        return Err(Refusal::invalid(
            "The PDF holds pictures of pages only (a scan) and no text. Run text recognition (OCR) on it and upload \
             the result.",
        ));
    }
    if unreadable * 100 > (shown + unreadable) * UNREADABLE_PERCENT {
        return Err(Refusal::invalid(
            "The fonts of the PDF do not say which characters they show, so that its text cannot be read. Export it \
             again with text that can be copied, or run text recognition (OCR) on it.",
        ));
    }
    Ok(())
}

/// The unpacked content of a page, of one stream or several; those that are damaged are left out.
///
/// The page itself would keep what it has unpacked until the document is closed.
fn content<'a>(page: &Dict<'a>, xref: &'a XRef, limits: &Limits) -> Result<Cow<'a, [u8]>, Refusal> {
    let one = page.get::<Stream<'a>>("Contents");
    let several = objects(page.get::<Array<'a>>("Contents"), xref).filter_map(Object::into_stream);
    let mut content: Option<Cow<'a, [u8]>> = None;
    for stream in one.into_iter().chain(several) {
        let Ok(unpacked) = stream.decoded_data() else {
            continue;
        };
        match &mut content {
            None => content = Some(unpacked),
            Some(content) => {
                let content = content.to_mut();
                content.push(b' ');
                content.extend_from_slice(&unpacked);
                if content.len() as u64 > limits.unpacked_bytes {
                    return Err(content::unpacks_to_too_much(limits));
                }
            }
        }
    }
    Ok(content.unwrap_or_default())
}

/// What an annotation of a page looks like.
fn appearance<'a>(annotation: &Dict<'a>) -> Option<Stream<'a>> {
    annotation.get::<Dict<'a>>("AP")?.get::<Stream<'a>>("N")
}

/// The objects of an array that there are; a reference to one that is lost ends nothing.
fn objects<'a>(array: Option<Array<'a>>, xref: &'a XRef) -> impl Iterator<Item = Object<'a>> {
    let items = array.into_iter().flat_map(|array| array.raw_iter());
    items.filter_map(move |item| match item {
        MaybeRef::Ref(id) => xref.get::<Object<'a>>(id.into()),
        MaybeRef::NotRef(object) => Some(object),
    })
}

fn refuse(error: LoadPdfError) -> Refusal {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => Refusal::invalid(
            "The PDF is protected by a password. Remove the protection and upload it again.",
        ),
        LoadPdfError::Decryption(_) => Refusal::invalid(
            "The PDF is encrypted in a way that cannot be read. Save it without protection and upload it again.",
        ),
        LoadPdfError::Invalid => Refusal::invalid(
            "The PDF is damaged: its structure cannot be read. Export or print it to a PDF again and upload that.",
        ),
    }
}
