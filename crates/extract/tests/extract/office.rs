//! Word, PowerPoint and Excel.

use loomgate_extract::{Format, PlaceKind};

use crate::{
    build::office::{docx, line, paragraph, pptx, shape, xlsx},
    read, text,
};

#[test]
fn a_word_document_keeps_its_structure() {
    let styles = "<w:styles xmlns:w=\"w\"><w:style w:type=\"paragraph\" w:styleId=\"berschrift2\"><w:name w:val=\"heading \
        2\"/></w:style><w:style w:type=\"paragraph\" w:styleId=\"Own\"><w:name w:val=\"Own\"/><w:basedOn \
        w:val=\"berschrift2\"/></w:style></w:styles>";
    let footnotes = "<w:footnotes xmlns:w=\"w\"><w:footnote w:id=\"1\"><w:p><w:r><w:t>See the annex.</w:t></w:r></w:p>\
        </w:footnote></w:footnotes>";
    let header = format!("<w:hdr xmlns:w=\"w\">{}</w:hdr>", paragraph("Confidential"));
    let number = format!("<w:ftr xmlns:w=\"w\">{}</w:ftr>", paragraph("7"));
    let title = "<cp:coreProperties xmlns:cp=\"c\" xmlns:dc=\"d\"><dc:title>The Report</dc:title></cp:coreProperties>";
    let body = format!(
        "<w:p><w:pPr><w:pStyle w:val=\"Own\"/></w:pPr><w:r><w:t>Results &amp; </w:t></w:r><w:r><w:t>more</w:t></w:r></w:p>\
         <w:p><w:r><w:t>Sales rose</w:t><w:footnoteReference w:id=\"1\"/><w:t>.</w:t><w:tab/><w:t>Fast.</w:t></w:r>\
         <w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t xml:space=\"preserve\"> New.</w:t></w:r></w:ins>\
         <w:r><w:instrText>PAGE</w:instrText></w:r></w:p>\
         <w:p><w:pPr><w:numPr><w:ilvl w:val=\"1\"/><w:numId w:val=\"3\"/></w:numPr></w:pPr><w:r><w:t>An item</w:t></w:r></w:p>\
         <w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}{}</w:tc></w:tr><w:tr><w:tc>{}</w:tc><w:tc><w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc>\
         </w:tr></w:tbl></w:tc></w:tr></w:tbl>\
         <w:p><w:r><mc:AlternateContent xmlns:mc=\"m\"><mc:Choice><w:txbxContent>{}</w:txbxContent></mc:Choice><mc:Fallback>\
         <w:txbxContent>{}</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>\
         <w:p><w:r><wp:docPr xmlns:wp=\"p\" descr=\"A chart\"/></w:r></w:p>",
        paragraph("Region"),
        paragraph("Sum"),
        paragraph("in EUR"),
        paragraph("North"),
        paragraph("1"),
        paragraph("2"),
        paragraph("In a box"),
        paragraph("In a box"),
    );
    let document = docx(
        &body,
        &[
            ("styles", "r1", "styles.xml"),
            ("footnotes", "r2", "footnotes.xml"),
            ("header", "r3", "header1.xml"),
            ("footer", "r4", "footer1.xml"),
        ],
        &[
            ("word/styles.xml", styles),
            ("word/footnotes.xml", footnotes),
            ("word/header1.xml", &header),
            ("word/footer1.xml", &number),
            ("docProps/core.xml", title),
        ],
    );
    assert_eq!(
        text(Format::Docx, document),
        "The Report\n\n## Results & more\n\nSales rose[^1]. Fast. New.\n\n[^1]: See the annex.\n\n  - An item\nRegion | Sum \
         in EUR\nNorth | 1 | 2\n\nIn a box\n\n[Image: A chart]\n\nHeader: Confidential"
    );
}

#[test]
fn slides_know_their_numbers_titles_and_notes() {
    let table = format!(
        "<p:graphicFrame><a:tbl><a:tr><a:tc>{}</a:tc><a:tc>{}</a:tc></a:tr></a:tbl></p:graphicFrame>",
        line("Q1"),
        line("12")
    );
    let deck = pptx(&[
        (
            "Welcome",
            &shape(&["First point", "Second point"]),
            "Smile here.",
        ),
        ("Numbers", &table, ""),
    ]);
    let read = read(Format::Pptx, &deck).unwrap();
    assert_eq!(
        read.text,
        "# Welcome\n\nFirst point\nSecond point\n\nNotes: Smile here.\n\n# Numbers\n\nQ1 | 12"
    );
    let places: Vec<_> = read
        .places
        .iter()
        .map(|place| {
            (
                place.kind,
                place.number,
                place.name.as_deref(),
                &read.text[place.start..place.end],
            )
        })
        .collect();
    assert_eq!(places[0].0, PlaceKind::Slide);
    assert_eq!((places[0].1, places[0].2), (1, Some("Welcome")));
    assert!(places[0].3.ends_with("Smile here.\n\n"));
    assert_eq!((places[1].1, places[1].3), (2, "# Numbers\n\nQ1 | 12"));
    let offset = read.text.find("Q1").unwrap();
    assert_eq!(read.place_at(offset).unwrap().number, 2);
    assert_eq!(read.place_at(0).unwrap().number, 1);
    assert!(read.place_at(read.text.len()).is_none());
}

#[test]
fn sheets_are_rows_under_their_names() {
    let rows = "<row><c r=\"A1\" t=\"s\"><v>0</v></c><c r=\"B1\" t=\"s\"><v>1</v></c><c r=\"D1\" t=\"inlineStr\"><is><t>Paid</t></is></c></row>\
        <row><c r=\"A2\" t=\"s\"><v>2</v></c><c r=\"B2\" s=\"1\"><v>45351</v></c><c r=\"D2\" t=\"b\"><v>1</v></c></row>\
        <row><c r=\"A3\" t=\"str\"><f>1+1</f><v>Bob</v></c><c r=\"D3\"><v>0.30000000000000004</v></c></row>";
    let book = xlsx(
        &[
            ("Orders", rows),
            ("Empty", ""),
            (
                "Notes",
                "<row><c t=\"inlineStr\"><is><t>One</t></is></c></row>",
            ),
        ],
        &["Customer", "Date", "Ada &amp; Co"],
        &["dd/mm/yyyy"],
    );
    let read = read(Format::Xlsx, &book).unwrap();
    assert_eq!(
        read.text,
        "# Orders\n\nCustomer | Date | Paid\nCustomer: Ada & Co | Date: 2024-02-29 | Paid: TRUE\nCustomer: Bob | Paid: 0.3\n\n\
         # Empty\n\n# Notes\n\nOne"
    );
    assert_eq!(read.places[2].name.as_deref(), Some("Notes"));
    assert_eq!(read.places[2].kind, PlaceKind::Sheet);
}
