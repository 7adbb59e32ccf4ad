//! Office documents.

use super::archive::zip;

/// The parts of a document: the name and the XML of each.
pub(crate) type Parts = Vec<(String, String)>;

const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// The relations of a part: kind, id and target of each.
pub(crate) fn relations(relations: &[(&str, &str, &str)]) -> String {
    let mut xml = "<Relationships>".to_owned();
    for (kind, id, target) in relations {
        xml += &format!("<Relationship Id=\"{id}\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>");
    }
    xml + "</Relationships>"
}

fn pack(parts: &[(String, String)]) -> Vec<u8> {
    let entries: Vec<_> = parts
        .iter()
        .map(|(name, xml)| (name.as_str(), xml.as_bytes()))
        .collect();
    zip(&entries)
}

/// A Word document with this body and these further parts; `known` are the relations of the body.
pub(crate) fn docx(body: &str, known: &[(&str, &str, &str)], parts: &[(&str, &str)]) -> Vec<u8> {
    pack(&docx_parts(body, known, parts))
}

/// What [`docx`] packs.
pub(crate) fn docx_parts(
    body: &str,
    known: &[(&str, &str, &str)],
    parts: &[(&str, &str)],
) -> Parts {
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\
         <w:document xmlns:w=\"w\" xmlns:r=\"r\"><w:body>{body}</w:body></w:document>"
    );
    let root = relations(&[("officeDocument", "rId1", "word/document.xml")]);
    let own = relations(known);
    let mut entries = vec![
        ("_rels/.rels".to_owned(), root),
        ("word/document.xml".to_owned(), document),
        ("word/_rels/document.xml.rels".to_owned(), own),
    ];
    let more = parts.iter();
    entries.extend(more.map(|(name, xml)| ((*name).to_owned(), (*xml).to_owned())));
    entries
}

/// A paragraph of a Word document.
pub(crate) fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p>")
}

/// A presentation of slides, each a title, what else stands in it, and its notes.
pub(crate) fn pptx(slides: &[(&str, &str, &str)]) -> Vec<u8> {
    pack(&pptx_parts(slides))
}

/// What [`pptx`] packs.
pub(crate) fn pptx_parts(slides: &[(&str, &str, &str)]) -> Parts {
    let mut entries = Parts::new();
    let mut ids = String::new();
    let mut known = Vec::new();
    for (number, (title, body, notes)) in slides.iter().enumerate() {
        ids += &format!("<p:sldId id=\"{}\" r:id=\"rId{number}\"/>", 256 + number);
        known.push((
            "slide",
            format!("rId{number}"),
            format!("slides/slide{number}.xml"),
        ));
        entries.push((
            format!("ppt/slides/slide{number}.xml"),
            format!(
                "<p:sld xmlns:p=\"p\" xmlns:a=\"a\"><p:cSld><p:spTree>\
                 <p:sp><p:nvSpPr><p:nvPr><p:ph type=\"title\"/></p:nvPr></p:nvSpPr><p:txBody>{}</p:txBody></p:sp>{body}\
                 <p:sp><p:nvSpPr><p:nvPr><p:ph type=\"sldNum\"/></p:nvPr></p:nvSpPr><p:txBody>{}</p:txBody></p:sp>\
                 </p:spTree></p:cSld></p:sld>",
                line(title),
                line("7")
            ),
        ));
        if !notes.is_empty() {
            entries.push((
                format!("ppt/slides/_rels/slide{number}.xml.rels"),
                relations(&[(
                    "notesSlide",
                    "rId1",
                    &format!("../notesSlides/n{number}.xml"),
                )]),
            ));
            entries.push((
                format!("ppt/notesSlides/n{number}.xml"),
                format!("<p:notes xmlns:p=\"p\" xmlns:a=\"a\"><p:sp><p:txBody>{}</p:txBody></p:sp></p:notes>", line(notes)),
            ));
        }
    }
    let known: Vec<_> = known
        .iter()
        .map(|(kind, id, target)| (*kind, id.as_str(), target.as_str()))
        .collect();
    entries.push((
        "_rels/.rels".to_owned(),
        relations(&[("officeDocument", "rId1", "ppt/presentation.xml")]),
    ));
    entries.push((
        "ppt/presentation.xml".to_owned(),
        format!("<p:presentation xmlns:p=\"p\" xmlns:r=\"r\"><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"),
    ));
    entries.push((
        "ppt/_rels/presentation.xml.rels".to_owned(),
        relations(&known),
    ));
    entries
}

/// A paragraph of a slide.
pub(crate) fn line(text: &str) -> String {
    format!("<a:p><a:r><a:t>{text}</a:t></a:r></a:p>")
}

/// A shape of a slide with these lines.
pub(crate) fn shape(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|text| line(text)).collect();
    format!("<p:sp><p:txBody>{lines}</p:txBody></p:sp>")
}

/// A workbook of sheets, each a name and its rows as XML; `strings` are shared, `formats` are the
/// codes of cell formats 1, 2, ...
pub(crate) fn xlsx(sheets: &[(&str, &str)], strings: &[&str], formats: &[&str]) -> Vec<u8> {
    pack(&xlsx_parts(sheets, strings, formats))
}

/// What [`xlsx`] packs.
pub(crate) fn xlsx_parts(sheets: &[(&str, &str)], strings: &[&str], formats: &[&str]) -> Parts {
    let mut known = vec![
        (
            "sharedStrings",
            "s1".to_owned(),
            "sharedStrings.xml".to_owned(),
        ),
        ("styles", "s2".to_owned(), "styles.xml".to_owned()),
    ];
    let mut listed = String::new();
    let mut entries = Vec::new();
    for (number, (name, rows)) in sheets.iter().enumerate() {
        listed += &format!("<sheet name=\"{name}\" sheetId=\"{number}\" r:id=\"rId{number}\"/>");
        known.push((
            "worksheet",
            format!("rId{number}"),
            format!("worksheets/{number}.xml"),
        ));
        entries.push((
            format!("xl/worksheets/{number}.xml"),
            format!("<worksheet><sheetData>{rows}</sheetData></worksheet>"),
        ));
    }
    let strings: String = strings
        .iter()
        .map(|text| format!("<si><t>{text}</t></si>"))
        .collect();
    let codes: String = (1..)
        .zip(formats)
        .map(|(number, code)| {
            format!(
                "<numFmt numFmtId=\"{}\" formatCode=\"{code}\"/>",
                163 + number
            )
        })
        .collect();
    let used: String = (1..=formats.len())
        .map(|number| format!("<xf numFmtId=\"{}\"/>", 163 + number))
        .collect();
    let known: Vec<_> = known
        .iter()
        .map(|(kind, id, target)| (*kind, id.as_str(), target.as_str()))
        .collect();
    entries.extend([
        (
            "_rels/.rels".to_owned(),
            relations(&[("officeDocument", "rId1", "/xl/workbook.xml")]),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!("<workbook xmlns:r=\"r\"><sheets>{listed}</sheets></workbook>"),
        ),
        ("xl/_rels/workbook.xml.rels".to_owned(), relations(&known)),
        ("xl/sharedStrings.xml".to_owned(), format!("<sst>{strings}</sst>")),
        (
            "xl/styles.xml".to_owned(),
            format!(
                "<styleSheet><numFmts>{codes}</numFmts><cellStyleXfs><xf numFmtId=\"14\"/></cellStyleXfs>\
                 <cellXfs><xf numFmtId=\"0\"/>{used}</cellXfs></styleSheet>"
            ),
        ),
    ]);
    entries
}
