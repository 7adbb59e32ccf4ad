//! What the bytes of a file look like, whatever its name says.

use crate::{format::Format, refusal::Refusal};

/// What the beginning of a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looks {
    Empty,
    Pdf,
    /// An archive, which docx, pptx and xlsx are too.
    Zip,
    /// The container of Office files before 2007, and of newer ones with a password.
    Compound,
    Rtf,
    /// Something that is never read; what it is called in a sentence.
    Foreign(&'static str),
    /// Nothing known: text, if it decodes.
    Text,
}

/// How far into a file a PDF may begin, in bytes: readers have always allowed it.
const PDF_WITHIN: usize = 1024;

/// Beginnings of files that are never read.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1A\n", "a PNG image"),
    (b"\xFF\xD8\xFF", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x1F\x8B", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xFD7zXZ\0", "an xz archive"),
    (b"\x28\xB5\x2F\xFD", "a zstd archive"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
    (b"Rar!\x1A\x07", "a RAR archive"),
    (b"\x7FELF", "a program"),
    (b"MZ\x90\0", "a Windows program"),
    (b"\xCA\xFE\xBA\xBE", "a Java class or a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
    (b"fLaC", "a FLAC recording"),
    (b"RIFF", "a WebP image or a recording"),
    (b"\0asm", "a WebAssembly module"),
    (b"PAR1", "a Parquet file"),
];

/// What `bytes` look like.
pub(crate) fn look(bytes: &[u8]) -> Looks {
    if bytes.is_empty() {
        return Looks::Empty;
    }
    let text = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    if text.starts_with(b"%PDF-") {
        return Looks::Pdf;
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Looks::Zip;
    }
    if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) {
        return Looks::Compound;
    }
    if text.starts_with(b"{\\rtf") {
        return Looks::Rtf;
    }
    let foreign = FOREIGN.iter().find(|(magic, _)| bytes.starts_with(magic));
    if let Some((magic, name)) = foreign
        && (!magic.iter().all(u8::is_ascii_graphic) || is_binary(bytes))
    {
        return Looks::Foreign(name);
    }
    if bytes.starts_with(&[0, 0, 0]) && bytes.get(4..8) == Some(b"ftyp") {
        return Looks::Foreign("a video or a HEIC image");
    }
    Looks::Text
}

/// Whether a file whose beginning could be words goes on with what no text holds.
fn is_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(PDF_WITHIN)];
    head.iter().any(|byte| *byte < b'\t')
}

/// Whether a PDF begins somewhere in the head of a file that is named one.
pub(crate) fn has_pdf_header(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(PDF_WITHIN)];
    head.windows(5).any(|window| window == b"%PDF-")
}

/// Whether text is a web page: a doctype, or one of the tags that begin one.
pub(crate) fn is_html(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]).to_ascii_lowercase();
    let head = head.trim_start_matches(|char: char| char.is_whitespace() || char == '\u{FEFF}');
    ["<!doctype html", "<html", "<head", "<body", "<meta"]
        .iter()
        .any(|tag| head.starts_with(tag))
}

/// What the names of an archive's entries show.
pub(crate) fn kind_of_archive<'n>(names: impl Iterator<Item = &'n str>) -> Option<Format> {
    let mut kind = None;
    for name in names {
        if name.starts_with("word/") {
            kind = Some(Format::Docx);
        } else if name.starts_with("ppt/") {
            kind = Some(Format::Pptx);
        } else if name.starts_with("xl/") {
            kind = Some(Format::Xlsx);
        }
    }
    kind
}

/// What a compound file holds, by the names of its streams, which stand in it as UTF-16.
pub(crate) fn kind_of_compound(bytes: &[u8]) -> Compound {
    let holds = |name: &str| {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let first = name[0];
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == first) {
            if rest[at..].starts_with(&name) {
                return true;
            }
            rest = &rest[at + 1..];
        }
        false
    };
    if holds("EncryptedPackage") {
        Compound::Encrypted
    } else if holds("WordDocument") {
        Compound::Word
    } else if holds("PowerPoint Document") {
        Compound::PowerPoint
    } else if holds("Workbook") {
        Compound::Excel
    } else {
        Compound::Unknown
    }
}

/// What a compound file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compound {
    Encrypted,
    Word,
    PowerPoint,
    Excel,
    Unknown,
}

/// The refusal of a compound file.
pub(crate) fn refuse_compound(bytes: &[u8]) -> Refusal {
    let (what, new) = match kind_of_compound(bytes) {
        Compound::Encrypted => {
            return Refusal::invalid(
                "The file is protected by a password. Remove the protection and upload it again.",
            );
        }
        Compound::Word => ("a Word document", ".docx"),
        Compound::PowerPoint => ("a PowerPoint presentation", ".pptx"),
        Compound::Excel => ("an Excel workbook", ".xlsx"),
        Compound::Unknown => ("an Office file", ".docx, .pptx or .xlsx"),
    };
    Refusal::unsupported(format!(
        "The file is {what} in the binary form of before 2007, which is not read. Save it as {new} and upload that."
    ))
}

/// The refusal of a file whose name says one thing and whose bytes say another.
pub(crate) fn refuse(expected: Format, looks: Looks, archive: Option<Format>) -> Refusal {
    let (found, mend) = match looks {
        Looks::Empty => return Refusal::invalid("The file is empty."),
        Looks::Pdf => ("a PDF", "Rename it to end in .pdf"),
        Looks::Zip => match archive {
            Some(Format::Docx) => (Format::Docx.article(), "Rename it to end in .docx"),
            Some(Format::Pptx) => (Format::Pptx.article(), "Rename it to end in .pptx"),
            Some(Format::Xlsx) => (Format::Xlsx.article(), "Rename it to end in .xlsx"),
            _ => ("a zip archive", "Unpack it and upload the files in it"),
        },
        Looks::Compound => (
            "an Office file of before 2007 or with a password",
            "Save it in a current form without a password",
        ),
        Looks::Rtf => (
            "rich text (RTF)",
            "Rename it to end in .doc, or save it as .docx",
        ),
        Looks::Foreign(name) => (name, "Convert it to text or a PDF with text in it"),
        Looks::Text => (
            "text",
            "Rename it to end in .txt, or upload the original file",
        ),
    };
    let message = format!(
        "The file is named as {} but looks like {found}. {mend} and upload it again.",
        expected.article()
    );
    match looks {
        Looks::Foreign(_) => Refusal::unsupported(message),
        _ => Refusal::invalid(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_beginning() {
        for (bytes, looks) in [
            (&b""[..], Looks::Empty),
            (b"%PDF-1.7", Looks::Pdf),
            (b"\xEF\xBB\xBF%PDF-1.7", Looks::Pdf),
            (b"PK\x03\x04....", Looks::Zip),
            (b"{\\rtf1", Looks::Rtf),
            (b"\x89PNG\r\n\x1A\n", Looks::Foreign("a PNG image")),
            (
                b"\0\0\0\x18ftypmp42",
                Looks::Foreign("a video or a HEIC image"),
            ),
            (b"PK are my initials", Looks::Text),
            (b"MZ is a code", Looks::Text),
            (b"ID3 is a kind of tag", Looks::Text),
            (b"ID3\x04\0\0", Looks::Foreign("an MP3 recording")),
        ] {
            assert_eq!(look(bytes), looks);
        }
        assert!(is_html(b"\n <!DOCTYPE HTML><p>"));
        assert!(!is_html(b"about <html>"));
        assert!(has_pdf_header(b"junk before %PDF-1.4"));
    }
}
