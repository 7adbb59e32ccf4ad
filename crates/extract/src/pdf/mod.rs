//! PDF documents.
//!
//! hayro-syntax reads the file's structure (damaged cross references, encryption with an empty password)
//! and hayro-font what a code means in its font; neither has `unsafe` code or draws anything. What is
//! ours is the part of the interpreter that moves text about (`content`), and the rules by which
//! positions become spaces, lines and paragraphs (`layout`).

mod content;
mod layout;

use hayro_syntax::{
    DecryptionError, LoadPdfError, Pdf,
    object::{Array, Dict, Stream},
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
        if let Some(content) = page.page_stream() {
            interpreter.page(content, page.resources())?;
        }
        for appearance in appearances(page.raw()) {
            interpreter.appearance(&appearance, page.resources())?;
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

/// What the annotations of a page look like.
fn appearances<'a>(page: &Dict<'a>) -> Vec<Stream<'a>> {
    let annotations = page.get::<Array<'a>>("Annots");
    let annotations = annotations
        .into_iter()
        .flat_map(|all| all.iter::<Dict<'a>>());
    annotations
        .take(ANNOTATIONS)
        .filter_map(|annotation| {
            let normal = annotation.get::<Dict<'a>>("AP")?;
            normal.get::<Stream<'a>>("N")
        })
        .collect()
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
