//! Documents that were made to hurt.

use std::fmt::Write;

use loomgate_extract::{Code, Format, Limits, extract};

use crate::{
    build::{
        archive::{overlapping, patch_directory, zip},
        office::{docx, paragraph, pptx, shape, xlsx},
        pdf::{lines, pages, pdf, stream},
    },
    read, refused, refused_within,
};

/// Limits that small documents reach.
fn tight() -> Limits {
    Limits {
        input_bytes: 1 << 20,
        output_chars: 10_000,
        entries: 64,
        entry_bytes: 1 << 20,
        unpacked_bytes: 2 << 20,
        depth: 32,
        pages: 8,
        operators: 10_000,
        ..Limits::default()
    }
}

#[test]
fn more_than_the_limits_is_refused_by_their_names() {
    let limits = tight();
    let large = vec![b'a'; (1 << 20) + 1];
    refused_within(
        &limits,
        Format::Plain,
        large,
        Code::InvalidFile,
        "larger than 1048576 bytes",
    );
    let long = "word ".repeat(3000);
    for format in [Format::Plain, Format::Html, Format::Delimited, Format::Json] {
        refused_within(
            &limits,
            format,
            &long,
            Code::InvalidFile,
            "more than 10000 characters",
        );
    }
    let body = paragraph(&long);
    refused_within(
        &limits,
        Format::Docx,
        docx(&body, &[], &[]),
        Code::InvalidFile,
        "10000 characters",
    );
    let slides: Vec<_> = (0..9).map(|_| ("Slide", "", "")).collect();
    refused_within(
        &limits,
        Format::Pptx,
        pptx(&slides),
        Code::InvalidFile,
        "9 slides",
    );
    let sheets: Vec<_> = (0..9).map(|_| ("Sheet", "")).collect();
    refused_within(
        &limits,
        Format::Xlsx,
        xlsx(&sheets, &[], &[]),
        Code::InvalidFile,
        "9 sheets",
    );
    let page = lines(&["x"]);
    let document = pages(&[&page[..]; 9], "", &[]);
    refused_within(&limits, Format::Pdf, document, Code::InvalidFile, "9 pages");
    let wide = " ".repeat(700_000);
    let document = pages(&[wide.as_bytes(); 3], "", &[]);
    let roomy = Limits {
        input_bytes: 1 << 30,
        ..limits.clone()
    };
    refused_within(
        &roomy,
        Format::Pdf,
        document,
        Code::InvalidFile,
        "unpack to more than 2097152 bytes",
    );
    let busy = "0 0 m ".repeat(10_001);
    let document = pages(&[busy.as_bytes()], "", &[]);
    refused_within(
        &limits,
        Format::Pdf,
        document,
        Code::InvalidFile,
        "draws more than 10000",
    );
}

#[test]
fn archives_that_unpack_to_too_much_are_refused() {
    let zeros = vec![b' '; 64 << 20];
    let bomb = zip(&[("word/document.xml", &zeros)]);
    refused(
        Format::Docx,
        &bomb,
        Code::InvalidFile,
        "unpacks to more than",
    );
    // A header that lies about the size changes nothing.
    let mut liar = bomb.clone();
    patch_directory(&mut liar, |header| {
        header[24..28].copy_from_slice(&10_u32.to_le_bytes());
    });
    let refusal = read(Format::Docx, &liar).unwrap_err();
    assert_eq!(refusal.code, Code::InvalidFile);
    assert!(
        refusal.message.contains("unpacks to more") || refusal.message.contains("damaged"),
        "{refusal}"
    );
    // Parts that are small alone and too much together.
    let part = vec![b' '; (1 << 20) - 200];
    let notes = format!("<a>{}</a>", String::from_utf8(part).unwrap());
    let document = docx(
        &paragraph("text"),
        &[
            ("footnotes", "1", "a.xml"),
            ("endnotes", "2", "b.xml"),
            ("header", "3", "c.xml"),
        ],
        &[
            ("word/a.xml", &notes),
            ("word/b.xml", &notes),
            ("word/c.xml", &notes),
        ],
    );
    refused_within(
        &tight(),
        Format::Docx,
        document,
        Code::InvalidFile,
        "over the limit",
    );
}

#[test]
fn entries_that_share_their_bytes_count_each_time() {
    let slide = format!("<p:sld>{}{}</p:sld>", shape(&["text"]), " ".repeat(900_000));
    let one = zip(&[
        ("ppt/slides/slide0000.xml", slide.as_bytes()),
        ("ppt/presentation.xml", b"<p/>"),
    ]);
    let many = overlapping(&one, "ppt/slides/slide0000.xml", 200);
    let refusal = extract(
        Format::Pptx,
        &many,
        &Limits {
            entries: 100,
            ..tight()
        },
    )
    .unwrap_err();
    assert!(
        refusal.message.contains("archive of 202 entries"),
        "{refusal}"
    );
    // Slides that the presentation names again and again are unpacked again and again.
    let list = "<p:sldId r:id=\"a\"/>".repeat(8);
    let relations = crate::build::office::relations(&[("slide", "a", "slides/slide0000.xml")]);
    let deck = zip(&[
        ("ppt/slides/slide0000.xml", slide.as_bytes()),
        (
            "ppt/presentation.xml",
            format!("<p xmlns:r=\"r\">{list}</p>").as_bytes(),
        ),
        ("ppt/_rels/presentation.xml.rels", relations.as_bytes()),
    ]);
    refused_within(
        &tight(),
        Format::Pptx,
        deck,
        Code::InvalidFile,
        "over the limit",
    );
}

#[test]
fn xml_that_grows_or_nests_is_refused() {
    let laughs = "<!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><w:document><w:p><w:t>&b;</w:t></w:p></w:document>";
    let bomb = zip(&[("word/document.xml", laughs.as_bytes())]);
    refused(
        Format::Docx,
        bomb,
        Code::InvalidFile,
        "declares a document type",
    );
    let deep = "<w:p>".repeat(1000) + &"</w:p>".repeat(1000);
    refused(
        Format::Docx,
        docx(&deep, &[], &[]),
        Code::InvalidFile,
        "nested more than 256 deep",
    );
    let cut = zip(&[("word/document.xml", b"<w:document><w:p>")]);
    refused(Format::Docx, cut, Code::InvalidFile, "cut off");
    let wrong = zip(&[("word/document.xml", b"<w:document><w:p></w:q></w:document>")]);
    refused(
        Format::Docx,
        wrong,
        Code::InvalidFile,
        "no valid XML at byte",
    );
    let without = zip(&[("word/styles.xml", b"<a/>")]);
    refused(
        Format::Docx,
        without,
        Code::InvalidFile,
        "lacks the part word/document.xml",
    );
}

#[test]
fn encrypted_and_damaged_archives_are_refused() {
    let mut secret = docx(&paragraph("text"), &[], &[]);
    patch_directory(&mut secret, |header| header[8] |= 1);
    refused(Format::Docx, secret, Code::InvalidFile, "password");
    let mut odd = docx(&paragraph("text"), &[], &[]);
    patch_directory(&mut odd, |header| header[10] = 12);
    refused(Format::Docx, odd, Code::UnsupportedFile, "packed in a way");
    let whole = docx(&paragraph("text"), &[], &[]);
    refused(
        Format::Docx,
        &whole[..whole.len() / 2],
        Code::InvalidFile,
        "damaged archive",
    );
    let mut wrong = whole.clone();
    patch_directory(&mut wrong, |header| header[16] ^= 1);
    refused(Format::Docx, wrong, Code::InvalidFile, "damaged");
}

#[test]
fn depth_in_pages_json_and_rich_text_costs_nothing() {
    let deep = "<div>".repeat(50_000) + "inside";
    assert_eq!(read(Format::Html, deep.as_bytes()).unwrap().text, "inside");
    let deep = "<table><tr><td>".repeat(20_000) + "inside";
    assert!(
        read(Format::Html, deep.as_bytes())
            .unwrap()
            .text
            .ends_with("inside")
    );
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(read(Format::Json, deep.as_bytes()).unwrap().text, deep);
    let deep = format!("{{\\rtf1 {}inside", "{".repeat(100_000));
    assert_eq!(read(Format::Doc, deep.as_bytes()).unwrap().text, "inside");
}

#[test]
fn names_of_columns_cannot_multiply_without_end() {
    let name = "n".repeat(5000);
    let mut csv = format!("{name},{name}b\n");
    for _ in 0..100 {
        csv += "1,2\n";
    }
    let text = read(Format::Delimited, csv.as_bytes()).unwrap().text;
    assert!(text.len() < 30_000, "{}", text.len());
}

#[test]
fn pdfs_that_go_in_circles_end() {
    // A page tree that holds itself, and a page twice.
    let circle = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [2 0 R 4 0 R 4 0 R 2 0 R] /Count 4 /Resources << /Font << /F1 3 0 R >> >> >>".to_vec(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>".to_vec(),
        stream("", &lines(&["Once"])),
    ];
    assert_eq!(read(Format::Pdf, &pdf(&circle, "")).unwrap().text, "Once");
    // A form that draws itself, and forms that each draw the next one twice.
    let own = stream(
        "/Subtype /Form /BBox [0 0 1 1] /Resources << /Font << /F1 3 0 R >> /XObject << /Fm 4 0 R >> >>",
        b"/Fm Do /Fm Do BT /F1 9 Tf (x) Tj ET",
    );
    let document = pages(&[b"/Fm Do"], "/XObject << /Fm 4 0 R >>", &[own]);
    assert_eq!(read(Format::Pdf, &document).unwrap().text, "x");
    let forms: Vec<_> = (4..34)
        .map(|number| {
            let next = number + 1;
            let resources = format!("<< /Font << /F1 3 0 R >> /XObject << /Fm {next} 0 R >> >>");
            stream(
                &format!("/Subtype /Form /BBox [0 0 1 1] /Resources {resources}"),
                b"/Fm Do /Fm Do BT /F1 9 Tf (x) Tj ET",
            )
        })
        .collect();
    let document = pages(&[b"/Fm Do"], "/XObject << /Fm 4 0 R >>", &forms);
    refused_within(
        &tight(),
        Format::Pdf,
        document,
        Code::InvalidFile,
        "draws more than 10000",
    );
    // A length that refers to its own stream, and a parent that is its own child.
    let mut own = pages(&[&lines(&["Text"])], "", &[]);
    let at = own
        .windows(8)
        .position(|window| window == b"/Length ")
        .unwrap();
    own[at + 8..at + 10].copy_from_slice(b"5 ");
    let _ = read(Format::Pdf, &own);
}

#[test]
fn pdfs_with_absurd_numbers_end() {
    let whole = pages(&[&lines(&["Text"])], "", &[]);
    let whole = String::from_utf8_lossy(&whole).into_owned();
    for (from, to) in [
        ("xref\n0 6", "xref\n0 999999999"),
        ("xref\n0 6", "xref\n4294967295 6"),
        ("/Size 6", "/Size 99999999999999999999"),
        ("/Count 1", "/Count -1"),
        ("startxref\n", "startxref\n99999999999999999999"),
        ("/Root 1 0 R", "/Root 9 9 R"),
        ("/MediaBox [0 0 612 792]", "/MediaBox [0 0 1e38 1e38]"),
        ("12 Tf", "1e38 Tf"),
        ("72 720 Td", "1e38 -1e38 Td"),
    ] {
        let document = whole.replacen(from, to, 1);
        assert_ne!(document, whole, "{from}");
        // Found again or refused: both are an end.
        if let Err(refusal) = read(Format::Pdf, document.as_bytes()) {
            assert_eq!(refusal.code, Code::InvalidFile, "{to}");
        }
    }
    let mut nested = "[".repeat(100_000);
    write!(nested, "{}", "]".repeat(100_000)).unwrap();
    let document = pages(&[nested.as_bytes()], "", &[]);
    refused(Format::Pdf, document, Code::InvalidFile, "no text");
    refused(Format::Pdf, b"%PDF-1.7\n", Code::InvalidFile, "damaged");
}
