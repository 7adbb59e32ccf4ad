//! Mutants of docx, pptx and xlsx: their parts are changed before they are packed, so that the archive is sound
//! and the readers of the parts meet what is not.

mod storms;

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::{
    Mutants, bytes,
    lot::Lot,
    xml::{self, Words},
};
use crate::build::{
    archive::zip,
    office::{Parts, docx_parts, line, paragraph, pptx_parts, relations, shape, xlsx_parts},
};

/// Changes of the parts that one format alone can hold.
type Storm = fn(&mut Parts, &mut Lot);

/// The documents of one format that mutants are made of.
pub(super) struct Package {
    seed: Parts,
    words: Words,
    /// The parts that hold text.
    contents: &'static str,
    storms: &'static [Storm],
}

const WORD: Words = Words {
    elements: &[
        "document",
        "body",
        "p",
        "r",
        "t",
        "tbl",
        "tr",
        "tc",
        "pPr",
        "pStyle",
        "numPr",
        "ilvl",
        "outlineLvl",
        "tab",
        "br",
        "footnoteReference",
        "endnoteReference",
        "footnote",
        "endnote",
        "docPr",
        "Fallback",
        "Choice",
        "style",
        "name",
        "basedOn",
        "title",
        "Relationship",
    ],
    values: &[
        "Heading1",
        "heading 99",
        "Own",
        "e1",
        "99999999999",
        "word/document.xml",
        "r1",
    ],
};

const SLIDES: Words = Words {
    elements: &[
        "presentation",
        "sldIdLst",
        "sldId",
        "sld",
        "sp",
        "pic",
        "graphicFrame",
        "ph",
        "cNvPr",
        "t",
        "p",
        "br",
        "tr",
        "tc",
        "Fallback",
        "Relationship",
        "txBody",
    ],
    values: &[
        "title",
        "sldNum",
        "rId1",
        "../slides/slide0.xml",
        "ctrTitle",
        "/ppt/presentation.xml",
    ],
};

const SHEETS: Words = Words {
    elements: &[
        "workbook",
        "sheet",
        "workbookPr",
        "row",
        "c",
        "v",
        "t",
        "is",
        "si",
        "rPh",
        "sst",
        "numFmt",
        "cellXfs",
        "xf",
        "Relationship",
        "f",
    ],
    values: &[
        "s",
        "b",
        "d",
        "e",
        "inlineStr",
        "A0",
        "A1",
        "XFD1048576",
        "ZZZZZZZZ9",
        "-A1",
        "99999999999999999999",
        "2958466",
        "1e308",
        "0.1000000000000000055511151231257827",
        "[h]:mm",
        "yyyy\\",
        "&quot;d",
    ],
};

impl Package {
    pub(super) fn word() -> Self {
        let body: String = (0..20)
            .map(|number| paragraph(&format!("Paragraph {number} &amp; more")))
            .collect();
        let paragraphs = "<w:p><w:pPr><w:pStyle w:val=\"Own\"/><w:outlineLvl w:val=\"3\"/></w:pPr><w:r><w:t>Styled</w:t></w:r></w:p>\
            <w:p><w:pPr><w:numPr><w:ilvl w:val=\"1\"/></w:numPr></w:pPr><w:r><w:t>Item</w:t><w:tab/><w:br/></w:r></w:p>";
        let table = format!(
            "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc><w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>",
            paragraph("a"),
            paragraph("b")
        );
        let drawing = "<w:p><w:r><mc:AlternateContent><mc:Choice><wp:docPr descr=\"A chart\"/></mc:Choice>\
            <mc:Fallback><w:t>old</w:t></mc:Fallback></mc:AlternateContent><w:footnoteReference w:id=\"1\"/>\
            <w:endnoteReference w:id=\"1\"/></w:r></w:p>";
        let styles = "<w:styles xmlns:w=\"w\"><w:style w:styleId=\"Own\"><w:name w:val=\"Own\"/><w:basedOn w:val=\"Base\"/>\
            </w:style><w:style w:styleId=\"Base\"><w:name w:val=\"heading 2\"/><w:outlineLvl w:val=\"1\"/></w:style></w:styles>";
        let notes = "<w:footnotes xmlns:w=\"w\"><w:footnote w:id=\"1\"><w:p><w:r><w:t>Note</w:t></w:r></w:p></w:footnote>\
            </w:footnotes>";
        let ends = notes.replace("footnote", "endnote");
        let header = format!("<w:hdr xmlns:w=\"w\">{}</w:hdr>", paragraph("Header"));
        let title = "<cp:coreProperties xmlns:cp=\"c\" xmlns:dc=\"d\"><dc:title>The Report</dc:title></cp:coreProperties>";
        Self {
            seed: docx_parts(
                &format!("{paragraphs}{body}{table}{drawing}"),
                &[
                    ("styles", "r1", "styles.xml"),
                    ("footnotes", "r2", "footnotes.xml"),
                    ("endnotes", "r3", "endnotes.xml"),
                    ("header", "r4", "header1.xml"),
                ],
                &[
                    ("word/styles.xml", styles),
                    ("word/footnotes.xml", notes),
                    ("word/endnotes.xml", &ends),
                    ("word/header1.xml", &header),
                    ("docProps/core.xml", title),
                ],
            ),
            words: WORD,
            contents: "word/document.xml",
            storms: &[
                storms::tables_in_tables,
                storms::chains_of_styles,
                storms::references_to_notes,
                storms::headers,
            ],
        }
    }

    pub(super) fn presentation() -> Self {
        let table = format!(
            "<p:graphicFrame><p:cNvPr id=\"1\" descr=\"Sales\"/><a:tbl><a:tr><a:tc>{}</a:tc><a:tc>{}</a:tc></a:tr></a:tbl>\
             </p:graphicFrame>",
            line("a"),
            line("b")
        );
        let fallback = "<mc:AlternateContent><mc:Choice/><mc:Fallback><a:t>old</a:t></mc:Fallback></mc:AlternateContent>";
        let mut seed = pptx_parts(&[
            ("Title", &shape(&["One", "Two"]), "Notes"),
            ("Another", &format!("{table}{fallback}"), ""),
        ]);
        let diagram = relations(&[("diagramData", "rId1", "../diagrams/data1.xml")]);
        seed.push(("ppt/slides/_rels/slide1.xml.rels".to_owned(), diagram));
        let data = format!(
            "<dgm:dataModel xmlns:dgm=\"d\">{}</dgm:dataModel>",
            line("In a diagram")
        );
        seed.push(("ppt/diagrams/data1.xml".to_owned(), data));
        Self {
            seed,
            words: SLIDES,
            contents: "ppt/slides/slide",
            storms: &[
                storms::slides_again,
                storms::diagrams,
                storms::lines_of_slides,
            ],
        }
    }

    pub(super) fn workbook() -> Self {
        let rows: String = (1..30)
            .map(|row| {
                format!(
                    "<row r=\"{row}\"><c r=\"A{row}\" t=\"s\"><v>{}</v></c><c r=\"B{row}\" s=\"1\"><v>4535{row}.5</v></c>\
                     <c t=\"inlineStr\"><is><t>x</t></is></c><c t=\"b\"><v>1</v></c><c/></row>",
                    row % 2
                )
            })
            .collect();
        Self {
            seed: xlsx_parts(
                &[("Sheet", &rows), ("Other", "<row><c><v>1</v></c></row>")],
                &["Name", "Date &amp; time"],
                &["yyyy-mm-dd", "[h]:mm"],
            ),
            words: SHEETS,
            contents: "xl/worksheets/",
            storms: &[
                storms::empty_cells,
                storms::shared_strings,
                storms::rows_of_one_string,
                storms::wide_rows,
            ],
        }
    }
}

impl Mutants for Package {
    fn good(&self) -> Vec<u8> {
        let entries: Vec<_> = self
            .seed
            .iter()
            .map(|(name, xml)| (name.as_str(), xml.as_bytes()))
            .collect();
        zip(&entries)
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        let mut parts = self.seed.clone();
        if lot.one_in(6) {
            self.storms[lot.below(self.storms.len())](&mut parts, lot);
        }
        if lot.one_in(6) {
            change_relations(&mut parts, lot);
        }
        let mut parts: Vec<(String, Vec<u8>)> = parts
            .into_iter()
            .map(|(name, xml)| (name, xml.into_bytes()))
            .collect();
        for _ in 0..=lot.below(2) {
            let at = self.part(&parts, lot);
            match (lot.below(8), parts.get_mut(at)) {
                (0, _) => change_parts(&mut parts, lot),
                (1 | 2, Some((_, part))) => *part = bytes::mutate(part, lot),
                (_, Some((_, part))) => {
                    *part = xml::mutate(&String::from_utf8_lossy(part), &self.words, lot);
                }
                (_, None) => {}
            }
        }
        let archive = pack(&parts, lot);
        if lot.one_in(12) {
            bytes::mutate(&archive, lot)
        } else {
            archive
        }
    }
}

impl Package {
    /// A part to change: half of the time one that holds text.
    fn part(&self, parts: &[(String, Vec<u8>)], lot: &mut Lot) -> usize {
        let contents: Vec<_> = parts
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| name.starts_with(self.contents))
            .map(|(at, _)| at)
            .collect();
        if contents.is_empty() || lot.one_in(2) {
            lot.below(parts.len())
        } else {
            contents[lot.below(contents.len())]
        }
    }
}

/// An archive of these entries, each stored or deflated, with the sums that belong to them.
fn pack(parts: &[(String, Vec<u8>)], lot: &mut Lot) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in parts {
        let method = if lot.one_in(2) {
            CompressionMethod::Stored
        } else {
            CompressionMethod::Deflated
        };
        let options = SimpleFileOptions::default().compression_method(method);
        // A name that there is already is refused: the first one stands.
        if zip.start_file(name.as_str(), options).is_ok() {
            zip.write_all(bytes).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

/// Takes a part away, gives it another name or another's content.
fn change_parts(parts: &mut Vec<(String, Vec<u8>)>, lot: &mut Lot) {
    const NAMES: &[&str] = &[
        "../../etc/passwd",
        "/word/document.xml",
        "word\\document.xml",
        "WORD/DOCUMENT.XML",
        "xl/workbook.xml",
        "ppt/presentation.xml",
        "word/document.xml",
        "",
        "_rels/.rels",
    ];
    let (at, other) = (lot.below(parts.len()), lot.below(parts.len()));
    match lot.below(5) {
        0 => drop(parts.remove(at)),
        1 => lot.pick(NAMES).clone_into(&mut parts[at].0),
        2 => parts[at].1 = parts[other].1.clone(),
        3 => parts[at].1.clear(),
        _ => {
            for number in 0..lot.size(12_000) {
                parts.push((format!("word/{number}.xml"), Vec::new()));
            }
        }
    }
}

/// Relations that go in circles, out of the archive, or on for long.
fn change_relations(parts: &mut Parts, lot: &mut Lot) {
    const OUTSIDE: &[&str] = &[
        "../../../../../etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "/",
        "",
        "..",
        ".",
        "\u{0}",
        "_rels/.rels",
    ];
    const KINDS: &[&str] = &[
        "officeDocument",
        "styles",
        "footnotes",
        "endnotes",
        "header",
        "slide",
        "notesSlide",
        "diagramData",
        "worksheet",
        "sharedStrings",
    ];
    let names: Vec<String> = parts.iter().map(|(name, _)| name.clone()).collect();
    let of_relations: Vec<usize> = (0..names.len())
        .filter(|at| names[*at].contains("_rels/"))
        .collect();
    let xml = &mut parts[of_relations[lot.below(of_relations.len())]].1;
    let target = if lot.one_in(2) {
        lot.pick(OUTSIDE).to_owned()
    } else {
        format!("/{}", names[lot.below(names.len())])
    };
    let one = |id: usize, lot: &mut Lot| {
        let one = relations(&[(lot.pick(KINDS), &format!("rId{id}"), &target)]);
        one.replace("<Relationships>", "")
            .replace("</Relationships>", "")
    };
    match lot.below(3) {
        0 => {
            let quotes: Vec<_> = xml
                .match_indices("Target=\"")
                .map(|(at, _)| at + 8)
                .collect();
            if !quotes.is_empty() {
                let start = quotes[lot.below(quotes.len())];
                let end = start + xml[start..].find('"').unwrap_or(0);
                xml.replace_range(start..end, &target);
            }
        }
        1 => {
            let more = one(lot.below(4), lot);
            *xml = xml.replace("</Relationships>", &format!("{more}</Relationships>"));
        }
        _ => {
            let more: String = (0..lot.size(2000)).map(|id| one(id, lot)).collect();
            *xml = xml.replace("</Relationships>", &format!("{more}</Relationships>"));
        }
    }
}
