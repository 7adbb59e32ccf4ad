//! PDFs.

use loomgate_extract::{Code, Format};

use crate::{
    build::pdf::{deflated, lines, pages, pdf, stream},
    read, refused, text,
};

#[test]
fn pages_become_lines_and_paragraphs() {
    let first = b"BT /F1 12 Tf 72 720 Td (Annual report) Tj 0 -40 Td (The first line of a para-) Tj 0 -14 Td (graph \
        about \\223caf\\351\\224.) Tj ET";
    let second = lines(&["Second page"]);
    let read = read(Format::Pdf, &pages(&[first, &second], "", &[])).unwrap();
    assert_eq!(
        read.text,
        "Annual report\n\nThe first line of a paragraph about “café”.\n\nSecond page"
    );
    let offset = read.text.find("Second").unwrap();
    assert_eq!(read.place_at(offset).unwrap().number, 2);
    assert_eq!(read.place_at(3).unwrap().number, 1);
}

#[test]
fn gaps_are_spaces_and_kerning_is_none() {
    let content = b"BT /F1 10 Tf 72 700 Td [(W) 80 (ords) -300 (apart)] TJ ET \
        BT /F1 10 Tf 200 700 Td (far) Tj ET \
        BT /F1 10 Tf 3 Tc 72 600 Td (spread) Tj ET";
    assert_eq!(
        text(Format::Pdf, pages(&[content], "", &[])),
        "Words apart far\n\nspread"
    );
}

#[test]
fn bold_that_is_printed_twice_is_read_once() {
    let content = b"BT /F1 10 Tf 72 700 Td (Bold) Tj ET BT /F1 10 Tf 72.3 700 Td (Bold) Tj ET";
    assert_eq!(text(Format::Pdf, pages(&[content], "", &[])), "Bold");
}

#[test]
fn turned_text_is_read_along_its_line() {
    let content = b"BT /F1 10 Tf 0 1 -1 0 100 100 Tm (Side) Tj 0 -12 Td (ways) Tj ET";
    assert_eq!(text(Format::Pdf, pages(&[content], "", &[])), "Side\nways");
}

#[test]
fn forms_compressed_content_and_replaced_text_are_read() {
    let form = stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 100 100] /Matrix [1 0 0 1 72 600] /Filter /FlateDecode",
        &deflated(b"BT /F1 10 Tf 0 0 Td (in a form) Tj ET"),
    );
    let content = b"BT /F1 10 Tf 72 700 Td /Span << /ActualText (effect) >> BDC (e) Tj (ct) Tj EMC ( of) Tj ET /Fm Do /Fm Do";
    let document = pages(&[content], "/XObject << /Fm 4 0 R >>", &[form]);
    assert_eq!(text(Format::Pdf, document), "effect of\n\nin a form");
}

#[test]
fn content_may_stand_in_pieces() {
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 /Resources << /Font << /F1 3 0 R >> >> >>"
            .to_vec(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /Contents [5 0 R 9 0 R 6 0 R] >>".to_vec(),
        stream("", b"BT /F1 10 Tf 72 700 Td (One) Tj"),
        stream("", b"( piece) Tj ET"),
    ];
    assert_eq!(text(Format::Pdf, pdf(&objects, "")), "One piece");
}

#[test]
fn fields_and_notes_are_read() {
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> >>".to_vec(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
        b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R /Annots [<< /Subtype /Widget /AP << /N 6 0 R >> >>] >>".to_vec(),
        stream("", b"BT /F1 10 Tf 72 700 Td (Name:) Tj ET"),
        stream("/Subtype /Form /BBox [0 0 9 9]", b"/Tx BMC BT /F1 10 Tf 0 0 Td (Ada) Tj ET EMC"),
    ];
    assert_eq!(text(Format::Pdf, pdf(&objects, "")), "Name:\nAda");
}

#[test]
fn a_scan_says_that_it_needs_recognition() {
    let image = stream(
        "/Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray",
        b"\0",
    );
    let document = pages(
        &[b"q 612 0 0 792 0 0 cm /Im Do Q"],
        "/XObject << /Im 4 0 R >>",
        &[image],
    );
    refused(Format::Pdf, document, Code::InvalidFile, "OCR");
    let inline = b"BI /W 1 /H 1 /BPC 8 /CS /G ID \xFF EI";
    refused(
        Format::Pdf,
        pages(&[inline], "", &[]),
        Code::InvalidFile,
        "OCR",
    );
    refused(
        Format::Pdf,
        pages(&[b"0 0 m"], "", &[]),
        Code::InvalidFile,
        "holds no text",
    );
}

#[test]
fn fonts_without_meaning_are_refused() {
    let font = b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1 1] /FontMatrix [1 0 0 1 0 0] /CharProcs << >> /Encoding << \
        /Differences [65 /g1 /g2 /g3] >> /FirstChar 65 /LastChar 67 /Widths [1 1 1] >>";
    let content = b"BT /F2 1 Tf (ABCABC) Tj ET";
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 /Resources << /Font << /F2 3 0 R >> >> >>"
            .to_vec(),
        font.to_vec(),
        b"<< /Type /Page /Parent 2 0 R /Contents 5 0 R >>".to_vec(),
        stream("", content),
    ];
    refused(
        Format::Pdf,
        pdf(&objects, ""),
        Code::InvalidFile,
        "do not say which characters",
    );
}

#[test]
fn a_password_is_named_and_an_empty_one_is_none() {
    // The standard handler, revision 2, whose check does not fit the empty password.
    let trailer = "/ID [<00112233445566778899AABBCCDDEEFF> <00112233445566778899AABBCCDDEEFF>] /Encrypt << /Filter /Standard \
        /V 1 /R 2 /P -4 /O <0000000000000000000000000000000000000000000000000000000000000000> \
        /U <0000000000000000000000000000000000000000000000000000000000000000> >>";
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        b"<< /Type /Pages /Kids [] /Count 0 >>".to_vec(),
    ];
    refused(
        Format::Pdf,
        pdf(&objects, trailer),
        Code::InvalidFile,
        "password",
    );
}

#[test]
fn a_lost_table_of_references_is_found_again() {
    let whole = pages(&[&lines(&["Still here"])], "", &[]);
    let table = whole
        .windows(4)
        .rposition(|window| window == b"xref")
        .unwrap();
    assert_eq!(text(Format::Pdf, &whole[..table - 10]), "Still here");
    let moved = [&b"junk before it\n"[..], &whole].concat();
    assert_eq!(text(Format::Pdf, moved), "Still here");
}
