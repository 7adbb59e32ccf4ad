//! A file's bytes to plain text for indexing.
//!
//! What it is: the list of formats that `file_search` takes ([`Format`]), a parser for each of them
//! ([`extract`]), and the way to run them on files of strangers: in a child process that gives up its
//! rights before it reads a byte ([`child::main`], [`Extractor`]).
//!
//! What it is not: it cuts nothing into chunks, counts no tokens and keeps nothing. Parsers of
//! document formats live here and nowhere else. [`extract`] alone may panic, take much memory or much
//! time on a hostile file: a server calls [`Extractor::extract`].
//!
//! Memory: text and code take the input and the text; docx, pptx and xlsx one unpacked part besides
//! (xlsx also its shared strings); html and rtf at most 8 times the input; json of brackets alone and csv of separators alone 24
//! times; a PDF a second copy of it, its fonts and the unpacked content of one page. What a parser takes beyond that ends at the child's limit.
//!
//! Invariant: a file ends with a text within the limits or with one clear [`Refusal`], within its time.
//! Invariant: no file takes the calling process down, or leaves a child behind.
//! Invariant: the child opens no file and no socket, and has nothing of its parent's environment.
//! Invariant: a text file with bytes that do not decode is refused, with their position.

mod archive;
pub mod child;
mod confine;
mod delimited;
mod encoding;
mod extractor;
mod format;
mod frame;
mod html;
mod json;
mod limits;
mod office;
mod pdf;
mod plain;
mod refusal;
mod rows;
mod rtf;
mod sniff;
mod text;
mod xml;

pub use extractor::Extractor;
pub use format::{EXTENSIONS, Format, UnsupportedExtension};
pub use limits::{Confinement, Limits};
pub use refusal::{Code, Refusal};
pub use text::{Place, PlaceKind, Text};

use archive::Archive;
use sniff::Looks;
use text::Writer;

/// The text of a file of this format, or why it has none.
///
/// Runs in the calling process: see the crate's text for when that is right.
pub fn extract(format: Format, bytes: &[u8], limits: &Limits) -> Result<Text, Refusal> {
    if bytes.len() as u64 > limits.input_bytes {
        return Err(too_large(limits));
    }
    let looks = sniff::look(bytes);
    let mut writer = Writer::new(limits.output_chars);
    match (format, looks) {
        (Format::Plain, Looks::Text) => plain::write(bytes, &mut writer)?,
        (Format::Html, Looks::Text) => html::write(bytes, &mut writer)?,
        (Format::Doc, Looks::Text) if sniff::is_html(bytes) => html::write(bytes, &mut writer)?,
        (Format::Json, Looks::Text) => json::write(bytes, &mut writer)?,
        (Format::Delimited, Looks::Text) => delimited::write(bytes, &mut writer)?,
        (Format::Doc, Looks::Rtf) => rtf::write(bytes, &mut writer)?,
        (Format::Pdf, Looks::Pdf) => pdf::write(bytes, limits, &mut writer)?,
        (Format::Pdf, Looks::Text) if sniff::has_pdf_header(bytes) => {
            pdf::write(bytes, limits, &mut writer)?;
        }
        (Format::Docx | Format::Pptx | Format::Xlsx | Format::Doc, Looks::Compound) => {
            return Err(sniff::refuse_compound(bytes));
        }
        (Format::Docx | Format::Pptx | Format::Xlsx | Format::Doc, Looks::Zip) => {
            office(format, bytes, limits, &mut writer)?;
        }
        (_, Looks::Zip) => {
            let archive = Archive::open(bytes, limits).ok();
            let kind = archive.and_then(|archive| archive.kind());
            return Err(sniff::refuse(format, looks, kind));
        }
        _ => return Err(sniff::refuse(format, looks, None)),
    }
    let text = writer.finish()?;
    if text.text.trim().is_empty() {
        return Err(Refusal::invalid("The file holds no text."));
    }
    Ok(text)
}

/// An archive that is named as an office document.
fn office(
    format: Format,
    bytes: &[u8],
    limits: &Limits,
    writer: &mut Writer,
) -> Result<(), Refusal> {
    let mut archive = Archive::open(bytes, limits)?;
    match (format, archive.kind()) {
        (Format::Docx | Format::Doc, Some(Format::Docx)) => {
            office::docx::write(&mut archive, writer)
        }
        (Format::Pptx, Some(Format::Pptx)) => office::pptx::write(&mut archive, writer),
        (Format::Xlsx, Some(Format::Xlsx)) => office::xlsx::write(&mut archive, writer),
        (_, kind) => Err(sniff::refuse(format, Looks::Zip, kind)),
    }
}

/// The refusal of a file that is larger than the limit.
pub(crate) fn too_large(limits: &Limits) -> Refusal {
    Refusal::invalid(format!(
        "The file is larger than {} bytes, which is the limit. Split it into smaller files.",
        limits.input_bytes
    ))
}
