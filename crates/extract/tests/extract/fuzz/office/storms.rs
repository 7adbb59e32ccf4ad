//! Much of one thing, as one format alone can hold it.

use super::Lot;
use crate::build::office::{Parts, line, paragraph, relations};

/// Puts XML into a part, behind the first of these tags.
fn insert(parts: &mut Parts, name: &str, behind: &str, xml: &str) {
    let part = parts.iter_mut().find(|(part, _)| part == name);
    let part = &mut part.unwrap().1;
    let at = part.find(behind).unwrap() + behind.len();
    part.insert_str(at, xml);
}

pub(super) fn tables_in_tables(parts: &mut Parts, lot: &mut Lot) {
    let depth = lot.size(120);
    let open = "<w:tbl><w:tr><w:tc>".repeat(depth);
    let close = "</w:tc></w:tr></w:tbl>".repeat(depth);
    let text = paragraph(&"x".repeat(lot.size(20_000)));
    insert(
        parts,
        "word/document.xml",
        "<w:body>",
        &format!("{open}{text}{close}"),
    );
}

/// Styles that are based on one another, in circles too, with long names.
pub(super) fn chains_of_styles(parts: &mut Parts, lot: &mut Lot) {
    let (count, long) = (lot.size(40), "s".repeat(lot.size(30_000)));
    let circle = usize::from(lot.one_in(2)) * count;
    let styles: String = (0..count)
        .map(|number| {
            let next = (number + 1) % circle.max(count + 1);
            format!("<w:style w:styleId=\"{long}{number}\"><w:basedOn w:val=\"{long}{next}\"/></w:style>")
        })
        .collect();
    let first = format!("<w:style w:styleId=\"Long\"><w:basedOn w:val=\"{long}0\"/></w:style>");
    insert(
        parts,
        "word/styles.xml",
        "<w:styles xmlns:w=\"w\">",
        &format!("{first}{styles}"),
    );
    let paragraphs = "<w:p><w:pPr><w:pStyle w:val=\"Long\"/></w:pPr><w:r><w:t>x</w:t></w:r></w:p>"
        .repeat(lot.size(8000));
    insert(parts, "word/document.xml", "<w:body>", &paragraphs);
}

pub(super) fn references_to_notes(parts: &mut Parts, lot: &mut Lot) {
    let note = format!(
        "<w:footnote w:id=\"7\">{}</w:footnote>",
        paragraph(&"n".repeat(lot.size(20_000)))
    );
    insert(
        parts,
        "word/footnotes.xml",
        "<w:footnotes xmlns:w=\"w\">",
        &note,
    );
    let references = "<w:footnoteReference w:id=\"7\"/>".repeat(lot.size(8000));
    insert(
        parts,
        "word/document.xml",
        "<w:body>",
        &format!("<w:p><w:r><w:t>x</w:t>{references}</w:r></w:p>"),
    );
}

pub(super) fn headers(parts: &mut Parts, lot: &mut Lot) {
    let long = "h".repeat(lot.size(2000));
    let mut known = String::new();
    for number in 0..lot.size(800) {
        known += &relations(&[("header", &format!("h{number}"), &format!("h{number}.xml"))]);
        parts.push((
            format!("word/h{number}.xml"),
            paragraph(&format!("{long}{number}")),
        ));
    }
    insert(
        parts,
        "word/_rels/document.xml.rels",
        "<Relationships>",
        &known,
    );
}

/// The same slide again and again.
pub(super) fn slides_again(parts: &mut Parts, lot: &mut Lot) {
    let again = "<p:sldId id=\"1\" r:id=\"rId0\"/>".repeat(lot.size(3000));
    insert(parts, "ppt/presentation.xml", "<p:sldIdLst>", &again);
}

/// Many diagrams and notes of a slide that is shown again and again; one is the slide itself.
pub(super) fn diagrams(parts: &mut Parts, lot: &mut Lot) {
    let text = line(&"x".repeat(lot.size(1000)));
    let mut known = relations(&[
        ("notesSlide", "own", "slide0.xml"),
        ("diagramData", "main", "../presentation.xml"),
    ]);
    for number in 0..lot.size(500) {
        let kind = lot.pick(&["diagramData", "notesSlide"]);
        known += &relations(&[(kind, &format!("d{number}"), &format!("../d{number}.xml"))]);
        let xml = if lot.one_in(2) {
            text.clone()
        } else {
            String::new()
        };
        parts.push((format!("ppt/d{number}.xml"), xml));
    }
    insert(
        parts,
        "ppt/slides/_rels/slide0.xml.rels",
        "<Relationships>",
        &known,
    );
    let again = "<p:sldId r:id=\"rId0\"/>".repeat(lot.size(20));
    insert(parts, "ppt/presentation.xml", "<p:sldIdLst>", &again);
}

pub(super) fn lines_of_slides(parts: &mut Parts, lot: &mut Lot) {
    let title = "<p:sp><p:nvPr><p:ph type=\"title\"/></p:nvPr>".to_owned()
        + &line("long ").repeat(lot.size(8000))
        + "</p:sp>";
    let cells = "<a:tc/>".repeat(lot.size(30_000));
    insert(
        parts,
        "ppt/slides/slide0.xml",
        "<p:spTree>",
        &format!("{title}<a:tr>{cells}<a:tc>{}</a:tc></a:tr>", line("x")),
    );
}

pub(super) fn empty_cells(parts: &mut Parts, lot: &mut Lot) {
    let cell = [
        "<c/>",
        "<c r=\"A1\"/>",
        "<c t=\"s\"><v/></c>",
        "<c r=\"XFD1\"/>",
        "<row/>",
        "<c><v></v></c>",
        "<c t=\"b\"/>",
    ];
    let cells = lot.pick(&cell).repeat(lot.size(50_000));
    insert(
        parts,
        "xl/worksheets/0.xml",
        "<sheetData>",
        &format!("<row>{cells}</row>"),
    );
}

/// References to strings that there are not, or that are blank or long.
pub(super) fn shared_strings(parts: &mut Parts, lot: &mut Lot) {
    let filling = lot.pick(&[" ", "x", "x ", "&#10;", "x\u{3000}"]);
    let string = format!("<si><t>{}</t></si>", filling.repeat(lot.size(100_000)));
    insert(parts, "xl/sharedStrings.xml", "<sst>", &string);
    let numbers = [
        "0",
        "1",
        "2",
        "3",
        "99",
        "-1",
        "18446744073709551615",
        "99999999999999999999",
        "0.5",
        "",
    ];
    let rows: String = (0..lot.size(4000))
        .map(|_| format!("<row><c t=\"s\"><v>{}</v></c></row>", lot.pick(&numbers)))
        .collect();
    insert(parts, "xl/worksheets/0.xml", "<sheetData>", &rows);
}

/// A string that is long and stands in each cell of a row.
pub(super) fn rows_of_one_string(parts: &mut Parts, lot: &mut Lot) {
    let filling = lot.pick(&["x", "x ", " "]);
    let string = format!("<si><t>{}</t></si>", filling.repeat(lot.size(200_000)));
    insert(parts, "xl/sharedStrings.xml", "<sst>", &string);
    let cells = "<c t=\"s\"><v>0</v></c>".repeat(lot.size(16_384));
    insert(
        parts,
        "xl/worksheets/0.xml",
        "<sheetData>",
        &format!("<row>{cells}</row>"),
    );
}

/// Columns that have long names, and rows that repeat them.
pub(super) fn wide_rows(parts: &mut Parts, lot: &mut Lot) {
    let (columns, rows) = (lot.size(2000), lot.size(200));
    let name = "Name ".repeat(lot.size(30));
    let head = format!("<c t=\"str\"><v>{name}</v></c>").repeat(columns);
    let row = format!(
        "<row>{}</row>",
        "<c><v>1</v></c>".repeat(columns.min(20_000 / rows))
    );
    insert(
        parts,
        "xl/worksheets/0.xml",
        "<sheetData>",
        &format!("<row>{head}</row>{}", row.repeat(rows)),
    );
}
