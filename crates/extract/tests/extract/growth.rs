//! Small files that made their reader take much more than they are: found by mutants, each with the limits that it
//! broke.

use loomgate_extract::{Code, Confinement, Format, Limits, Refusal, Text};

use crate::{
    build::{
        archive::zip,
        office::{docx, paragraph, xlsx},
        pdf::{pages, pdf, stream},
    },
    child::extractor_within,
    refused,
};

/// Reads in a child that has a few seconds and little memory, and may write 2,000,000 characters.
fn read(format: Format, bytes: &[u8]) -> Result<Text, Refusal> {
    let limits = Limits {
        output_chars: 2_000_000,
        unpacked_bytes: 100 << 20,
        ..Limits::default()
    };
    let confinement = Confinement {
        memory_bytes: 128 << 20,
        cpu_seconds: 8,
        ..Confinement::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let extractor = extractor_within(limits, confinement);
    let read = extractor.extract(format, bytes, bytes.len() as u64);
    runtime.unwrap().block_on(read)
}

#[track_caller]
fn is_refused(format: Format, bytes: &[u8], says: &str) {
    let refusal = read(format, bytes).unwrap_err();
    assert_eq!(refusal.code, Code::InvalidFile, "{refusal}");
    assert!(refusal.message.contains(says), "{refusal}");
}

#[test]
fn a_long_string_in_each_cell_of_a_row_is_not_copied() {
    let string = "x".repeat(1 << 20);
    let row = format!("<row>{}</row>", "<c t=\"s\"><v>0</v></c>".repeat(1000));
    let book = xlsx(&[("Sheet", &row)], &[&string], &[]);
    is_refused(Format::Xlsx, &book, "2000000 characters");
}

#[test]
fn space_in_strings_and_long_names_are_not_looked_through_again() {
    let (blank, spaced) = (" ".repeat(1 << 20), format!("x{}x", " ".repeat(1 << 20)));
    let rows =
        "<row><c t=\"s\"><v>0</v></c></row><row><c t=\"s\"><v>1</v></c></row>".repeat(20_000);
    let book = xlsx(&[("Sheet", &rows)], &[&blank, &spaced], &[]);
    let text = read(Format::Xlsx, &book).unwrap().text;
    assert_eq!(
        text,
        format!("# Sheet\n\n{}", "x x\n".repeat(20_000)).trim_end()
    );
    // A first row whose values could be names of columns, were they not so long.
    let long = "1".repeat(1 << 20) + "x";
    let cells = "<c t=\"s\"><v>0</v></c>".repeat(16_000);
    let book = xlsx(&[("Sheet", &format!("<row>{cells}</row>"))], &[&long], &[]);
    is_refused(Format::Xlsx, &book, "2000000 characters");
}

#[test]
fn chains_of_styles_with_long_names_are_walked_by_number() {
    let long = "s".repeat(1 << 19);
    let styles: String = (0..15)
        .map(|number| {
            format!(
                "<w:style w:styleId=\"{long}{number}\"><w:basedOn w:val=\"{long}{}\"/></w:style>",
                number + 1
            )
        })
        .collect();
    let styles = format!(
        "<w:styles xmlns:w=\"w\"><w:style w:styleId=\"a\"><w:basedOn w:val=\"{long}0\"/></w:style>{styles}</w:styles>"
    );
    let body =
        "<w:p><w:pPr><w:pStyle w:val=\"a\"/></w:pPr><w:r><w:t>x</w:t></w:r></w:p>".repeat(5000);
    let document = docx(
        &body,
        &[("styles", "r1", "styles.xml")],
        &[("word/styles.xml", &styles)],
    );
    let text = read(Format::Docx, &document).unwrap().text;
    assert_eq!(text, "x\n\n".repeat(5000).trim_end());
}

#[test]
fn a_row_of_very_many_values_is_not_kept_beside_its_text() {
    let row = "a,".repeat(2_500_000);
    let text = read(Format::Delimited, row.as_bytes());
    assert!(text.unwrap_err().message.contains("2000000 characters"));
}

#[test]
fn widths_of_more_characters_than_a_font_has_are_refused() {
    let fonts = [
        "/Subtype /Type0 /Encoding /Identity-H /DescendantFonts [<< /Subtype /CIDFontType2 /W [0 4294967295 500] >>]",
        "/Subtype /Type0 /Encoding /Identity-V /DescendantFonts [<< /Subtype /CIDFontType2 /W2 [9 4294967295 1 2 3] >>]",
        "/Subtype /TrueType /BaseFont /Arial /FirstChar 4000000000 /LastChar 4000000001 /Widths [500]",
    ];
    for font in fonts {
        let font = format!("<< /Type /Font {font} >>").into_bytes();
        let document = pages(
            &[b"BT /F2 9 Tf (a) Tj ET"],
            "/Font << /F2 4 0 R >>",
            &[font],
        );
        is_refused(Format::Pdf, &document, "widths for more characters");
    }
    // Each range is one that a font can have, but there are too many of them.
    let ranges = "0 65535 1 ".repeat(2000);
    let font = format!(
        "<< /Type /Font /Subtype /Type0 /Encoding /Identity-H /DescendantFonts [<< /Subtype /CIDFontType2 /W [{ranges}] >>] >>"
    );
    let document = pages(
        &[b"BT /F2 9 Tf (a) Tj ET"],
        "/Font << /F2 4 0 R >>",
        &[font.into_bytes()],
    );
    is_refused(
        Format::Pdf,
        &document,
        "fonts of the PDF unpack to more than",
    );
}

#[test]
fn a_resource_is_read_once_however_often_it_is_named() {
    let (long, blank) = ("1 ".repeat(1 << 19), " ".repeat(1 << 15));
    let resource =
        format!("/Type /Font /Subtype /Image /Font [3 0 R 9] /ActualText ({blank}) /X [{long}]");
    let picture = stream(&resource, b"");
    let resource = format!("<< {resource} >>").into_bytes();
    let resources = "/Font << /F1 3 0 R /F2 4 0 R >> /XObject << /X 5 0 R >> /ExtGState << /X 4 0 R >> /Properties << /X 4 0 R >>";
    for (named, shown) in [
        ("/F2 9 Tf ", Ok("a")),
        ("/X gs ", Ok("a")),
        ("/X Do ", Ok("a")),
        ("/S /X BDC EMC ", Ok("a")),
        ("/S /X BDC (b) Tj EMC ", Err("unpack to more than")),
    ] {
        let content = format!("BT /F1 9 Tf (a) Tj {} ET", named.repeat(10_000));
        let more = [resource.clone(), picture.clone()];
        let document = pages(&[content.as_bytes()], resources, &more);
        match shown {
            Ok(shown) => assert_eq!(read(Format::Pdf, &document).unwrap().text, shown, "{named}"),
            Err(says) => is_refused(Format::Pdf, &document, says),
        }
    }
}

#[test]
fn marked_parts_that_are_open_are_not_looked_through() {
    let content = format!(
        "BT /F1 9 Tf {} {} ET",
        "/S BMC ".repeat(400_000),
        "() Tj (a) Tj ".repeat(200_000)
    );
    let document = pages(&[content.as_bytes()], "", &[]);
    let text = read(Format::Pdf, &document).unwrap().text;
    assert_eq!(text, "a".repeat(200_000));
}

#[test]
fn annotations_count_each_time_that_they_are_read() {
    let annotation = format!("<< /Subtype /Link /X ({}) >>", "x".repeat(1 << 17));
    let page = "<< /Type /Page /Contents 4 0 R /Annots 5 0 R >> ".repeat(100);
    let objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>".to_vec(),
        format!("<< /Type /Pages /Kids [{page}] /Resources << /Font << /F1 3 0 R >> >> >>")
            .into_bytes(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_vec(),
        stream("", b"BT /F1 9 Tf (a) Tj ET"),
        format!("[{}]", "6 0 R ".repeat(5000)).into_bytes(),
        annotation.into_bytes(),
    ];
    is_refused(Format::Pdf, &pdf(&objects, ""), "unpack to more than");
}

#[test]
fn character_maps_count_for_each_font_that_names_them() {
    let entries = "<41> <0041> ".repeat(10_000);
    let map = format!(
        "1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfchar {entries} endbfchar"
    );
    let map = stream("", map.as_bytes());
    let predefined = "/Subtype /Type0 /BaseFont /Song /Encoding /UniGB-UCS2-H /DescendantFonts [<< /Subtype /CIDFontType0 \
        /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> >>]";
    for font in [
        "/Subtype /TrueType /BaseFont /Arial /ToUnicode 4 0 R",
        predefined,
    ] {
        let fonts: String = (0..400)
            .map(|number| format!("/F{number} << /Type /Font {font} /X {number} >> "))
            .collect();
        let shown: String = (0..400)
            .map(|number| format!("/F{number} 9 Tf <41> Tj "))
            .collect();
        let content = format!("BT {shown} ET");
        let document = pages(
            &[content.as_bytes()],
            &format!("/Font << {fonts} >>"),
            std::slice::from_ref(&map),
        );
        is_refused(
            Format::Pdf,
            &document,
            "fonts of the PDF unpack to more than",
        );
    }
}

#[test]
fn a_part_in_another_encoding_is_named() {
    let part = [b"<w:document>".as_slice(), b"caf\xE9</w:document>"].concat();
    let document = zip(&[("word/document.xml", &part)]);
    let says = "The part word/document.xml of the file is no text in UTF-8 or UTF-16";
    refused(Format::Docx, document, Code::InvalidFile, says);
    assert!(read(Format::Docx, &docx(&paragraph("café"), &[], &[])).is_ok());
}
