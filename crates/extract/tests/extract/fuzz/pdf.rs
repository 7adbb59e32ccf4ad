//! Mutants of PDFs: of objects before they are written, so that what refers to them still finds them, of the tables
//! that say where they stand, and of the bytes of the file.

mod storms;
mod tables;

use hayro_font::StandardFont;

use super::{LARGEST, Mutants, bytes, lot::Lot, markup::pieces};
use crate::build::pdf::{deflated, lines, pages, pdf, stream};

/// An object: its dictionary, or whatever else it is, and the bytes behind it.
#[derive(Clone)]
struct Object {
    dict: String,
    stream: Option<Vec<u8>>,
}

impl Object {
    fn write(&self) -> Vec<u8> {
        match &self.stream {
            None => latin(&self.dict),
            Some(bytes) => {
                let dict = self.dict.trim_start_matches("<<").trim_end_matches(">>");
                let mut object = stream("", bytes);
                object.splice(2..2, latin(dict));
                object
            }
        }
    }
}

/// Characters as the bytes of their numbers.
fn latin(text: &str) -> Vec<u8> {
    text.chars()
        .map(|char| u8::try_from(char).unwrap_or(b'?'))
        .collect()
}

fn unlatin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The documents that mutants are made of.
pub(super) struct Pages {
    objects: Vec<Object>,
    /// One with compressed streams, which bytes alone are changed of.
    compressed: Vec<u8>,
}

const MAP: &str = "/CIDInit /ProcSet findresource begin begincmap /CMapName /A def 1 begincodespacerange <00> <FF> endcodespacerange \
    2 beginbfrange <20> <40> <0020> <41> <7A> [<0041> <0042>] endbfrange 1 beginbfchar <7B> <00660066> endbfchar endcmap end";

const CODES: &str = "/CIDInit /ProcSet findresource begin begincmap /Identity-H usecmap /WMode 0 def 2 begincodespacerange \
    <00> <80> <8140> <9FFC> endcodespacerange 1 begincidrange <20> <7E> 1 endcidrange 1 begincidchar <8140> 7 endcidchar endcmap end";

impl Pages {
    pub(super) fn new() -> Self {
        let dict = |dict: &str| Object {
            dict: dict.to_owned(),
            stream: None,
        };
        let stream = |dict: &str, bytes: &[u8]| Object {
            dict: dict.to_owned(),
            stream: Some(bytes.to_vec()),
        };
        let (program, _) = StandardFont::Helvetica.get_font_data();
        let objects = vec![
            dict("<< /Type /Catalog /Pages 2 0 R >>"),
            dict("<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 /MediaBox [0 0 612 792] /Resources 6 0 R >>"),
            dict("<< /Type /Pages /Parent 2 0 R /Kids [5 0 R] /Count 1 >>"),
            dict("<< /Type /Page /Parent 2 0 R /Contents [8 0 R 9 0 R] /Annots [<< /Subtype /Widget /AP << /N 15 0 R >> >>] >>"),
            dict("<< /Type /Page /Parent 3 0 R /Contents 7 0 R /Rotate 90 >>"),
            dict(
                "<< /Font << /F1 10 0 R /F2 11 0 R /F3 12 0 R /F4 13 0 R /F5 14 0 R >> /XObject << /Fm 15 0 R /Im 16 0 R >> \
                 /Properties << /MC0 17 0 R >> /ExtGState << /G 18 0 R >> >>",
            ),
            stream("<< >>", &lines(&["The first page", "in two lines (nested \\(parens\\))"])),
            stream("<< >>", b"q 1 0 0 1 0 0 cm /Fm Do Q BT /F1 12 Tf 72 700 Td (Some text) Tj /F2 10 Tf [(more) -250 (text{)] TJ"),
            stream(
                "<< >>",
                b" /F3 9 Tf <2041> Tj /F4 8 Tf 12 TL T* (aa) ' 1 2 (b) \" /F5 9 Tf <4E2D6587> Tj ET /G gs BT /MC0 /Span BDC (x) Tj \
                  EMC /Span /MC0 BDC (effe) Tj EMC 1 Tr 3 Ts 50 Tz 1 Tc 1 Tw 1 0 0 1 9 9 Tm (end) Tj ET /Im Do \
                  BI /W 1 /H 1 /BPC 8 /CS /G ID \x00 EI",
            ),
            dict("<< /Type /Font /Subtype /Type1 /BaseFont /Own /FirstChar 32 /LastChar 34 /Widths [250 300 400] /FontDescriptor 19 0 R >>"),
            dict(
                "<< /Type /Font /Subtype /TrueType /BaseFont /Arial /ToUnicode 21 0 R /FirstChar 32 /LastChar 34 /Widths [250 300 \
                 400] /Encoding << /BaseEncoding /WinAnsiEncoding /Differences [65 /a /uni0042 /g7] >> >>",
            ),
            dict("<< /Type /Font /Subtype /Type0 /BaseFont /Own /Encoding 22 0 R /ToUnicode 21 0 R /DescendantFonts [23 0 R] >>"),
            dict(
                "<< /Type /Font /Subtype /Type3 /FontMatrix [0.001 0 0 0.001 0 0] /FontBBox [0 0 1 1] /FirstChar 97 /LastChar 98 \
                 /Widths [500 600] /Resources 6 0 R /CharProcs << /a 24 0 R /b 24 0 R >> /Encoding << /Differences [97 /a /b] >> >>",
            ),
            dict(
                "<< /Type /Font /Subtype /Type0 /BaseFont /Song /Encoding /UniGB-UCS2-H /DescendantFonts [<< /Type /Font /Subtype \
                 /CIDFontType0 /BaseFont /Song /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /DW 1000 /W [1 \
                 [500 600] 7 9 800] /W2 [1 [500 1 2] 7 9 800 3 4] >>] >>",
            ),
            stream("<< /Type /XObject /Subtype /Form /BBox [0 0 100 100] /Matrix [1 0 0 1 7 7] >>", &lines(&["In a form"])),
            stream("<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray >>", b"x"),
            dict("<< /ActualText (effect) /MCID 0 >>"),
            dict("<< /Type /ExtGState /Font [10 0 R 9] >>"),
            dict("<< /Type /FontDescriptor /FontName /Own /Flags 4 /FontFile 20 0 R /MissingWidth 500 >>"),
            stream("<< /Length1 2000 /Length2 9000 /Length3 500 >>", (*program).as_ref()),
            stream("<< >>", MAP.as_bytes()),
            stream("<< /Type /CMap /CMapName /A /UseCMap /Identity-H >>", CODES.as_bytes()),
            dict(
                "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Own /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) \
                 /Supplement 0 >> /CIDToGIDMap /Identity /DW 500 /W [0 [1 2 3] 10 20 30] /FontDescriptor << /Type /FontDescriptor \
                 /FontName /Own /Flags 4 /FontFile2 25 0 R >> >>",
            ),
            stream("<< >>", b"500 0 d0 /Fm Do BT /F1 9 Tf (in a glyph) Tj ET"),
            stream("<< >>", &true_type()),
        ];
        Self {
            objects,
            compressed: compressed(),
        }
    }
}

fn compressed() -> Vec<u8> {
    let form = stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 100 100] /Filter /FlateDecode",
        &deflated(&lines(&["In a form", "of two lines"])),
    );
    let map = stream("/Filter /FlateDecode", &deflated(MAP.as_bytes()));
    let font = b"<< /Type /Font /Subtype /TrueType /BaseFont /Arial /ToUnicode 5 0 R /FirstChar 32 /LastChar 34 /Widths [250 300 400] >>";
    let resources = "/XObject << /Fm 4 0 R >> /Font << /F1 3 0 R /F2 6 0 R >>";
    let page =
        b"/Fm Do BT /F1 12 Tf 72 700 Td (Some text) Tj /F2 10 Tf [(more) -250 (text{)] TJ ET";
    pages(
        &[page, &lines(&["Page two"])],
        resources,
        &[form, map, font.to_vec()],
    )
}

/// A TrueType font of one empty glyph, with the tables that a reader of characters looks at.
fn true_type() -> Vec<u8> {
    let words = |words: &[u16]| {
        words
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect::<Vec<u8>>()
    };
    let map = words(&[
        0, 1, 3, 1, 0, 12, 4, 32, 0, 4, 4, 1, 0, 0x7E, 0xFFFF, 0, 0x20, 0xFFFF, 0xFFE1, 1, 0, 0,
    ]);
    let mut head = vec![0; 54];
    head[..4].copy_from_slice(&[0, 1, 0, 0]);
    head[12..16].copy_from_slice(&[0x5F, 0x0F, 0x3C, 0xF5]);
    head[18..20].copy_from_slice(&1000_u16.to_be_bytes());
    let mut hhea = vec![0; 36];
    hhea[..4].copy_from_slice(&[0, 1, 0, 0]);
    hhea[34..].copy_from_slice(&[0, 1]);
    let profile = [&[0, 1, 0, 0][..], &words(&[1]), &[0; 26]].concat();
    let name = words(&[0, 0, 6]);
    let tables: [(&[u8; 4], Vec<u8>); 8] = [
        (b"cmap", map),
        (b"glyf", vec![0; 12]),
        (b"head", head),
        (b"hhea", hhea),
        (b"hmtx", words(&[500, 0])),
        (b"loca", words(&[0, 0])),
        (b"maxp", profile),
        (b"name", name),
    ];
    let mut font = [&[0, 1, 0, 0][..], &words(&[8, 128, 3, 0])].concat();
    let mut at = 12 + 16 * tables.len();
    for (tag, table) in &tables {
        font.extend_from_slice(*tag);
        for number in [0, at, table.len()] {
            font.extend_from_slice(&u32::try_from(number).unwrap().to_be_bytes());
        }
        at += table.len().next_multiple_of(4);
    }
    for (_, mut table) in tables {
        table.resize(table.len().next_multiple_of(4), 0);
        font.extend_from_slice(&table);
    }
    font
}

impl Mutants for Pages {
    fn good(&self) -> Vec<u8> {
        let objects: Vec<_> = self.objects.iter().map(Object::write).collect();
        pdf(&objects, "")
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        if lot.one_in(8) {
            return bytes::mutate(&self.compressed, lot);
        }
        let mut objects = self.objects.clone();
        for _ in 0..=lot.below(3) {
            let at = lot.below(objects.len());
            change(&mut objects, at, lot);
        }
        let objects: Vec<_> = objects.iter().map(Object::write).collect();
        let trailer = if lot.one_in(8) {
            lot.pick(TRAILERS)
        } else {
            ""
        };
        let file = match lot.below(4) {
            0 => tables::in_object_streams(&objects, trailer, lot),
            1 => tables::updated(pdf(&objects, trailer), lot),
            _ => pdf(&objects, trailer),
        };
        match lot.below(12) {
            0 => bytes::mutate(&file, lot),
            1 => tables::change_tables(&file, lot),
            _ => file,
        }
    }
}

const TRAILERS: &[&str] = &[
    "/Prev 0",
    "/Prev 99999999999",
    "/Prev -1",
    "/XRefStm 15",
    "/Root 3 0 R",
    "/Root 99 0 R",
    "/Size 1",
    "/Encrypt << /Filter /Standard /V 1 /R 2 /O (00000000000000000000000000000000) /U (00000000000000000000000000000000) /P -4 >> /ID [<00> <00>]",
    "/Encrypt << /Filter /Standard /V 5 /R 6 /Length 256 /O () /U () /OE () /UE () /P -4 /CF << /StdCF << /CFM /AESV3 >> >> /StmF /StdCF >>",
    "/Encrypt 1 0 R",
];

/// What may stand in a dictionary, or must not.
const PIECES: &[&str] = &[
    "[",
    "]",
    "<<",
    ">>",
    "(",
    ")",
    "<",
    ">",
    "/",
    "[[[[",
    "<</a<</a",
    "2 0 R ",
    "99 0 R ",
    "1 0 R ",
    "null ",
    "true ",
    "-1 ",
    "0 ",
    "1e38 ",
    "99999999999999999999 ",
    "2147483647 ",
    "-2147483648 ",
    ".",
    "--5 ",
    "+.-",
    "/Kids ",
    "/Type /Pages ",
    "/Contents ",
    "/Length 5 0 R ",
    "/Filter /FlateDecode ",
    "%",
    "\n",
    "\0",
    "endobj ",
    "stream\n",
    "endstream ",
    "#00",
    "/#20#41 ",
    "/Parent ",
    "/Resources 6 0 R ",
    "(\\777\\",
    "<4",
    "obj ",
    "R ",
    "/W [0 65535 1] ",
    "/Differences [0 /a] ",
    "trailer ",
];

/// Operators and operands of content, of character maps and of fonts.
const STREAM_PIECES: &[&str] = &[
    "q ",
    "Q ",
    "BT ",
    "ET ",
    "/Fm Do ",
    "/F1 1e38 Tf ",
    "/F3 9 Tf ",
    "/F4 8 Tf ",
    "(text) Tj ",
    "<00FF> Tj ",
    "[(a) -1e38 (b)] TJ ",
    "/Span /MC0 BDC ",
    "EMC ",
    "1e38 0 0 1e38 0 0 cm ",
    "0 0 0 0 0 0 cm ",
    "T* ",
    "1e38 1e38 Td ",
    "BI /W 99999 ID ",
    "EI ",
    "/G gs ",
    "[",
    "<<",
    "(",
    "<",
    "/",
    "%",
    "\0",
    "' ",
    "\" ",
    "BX ",
    "0 Tz ",
    "(a) Tj -5 0 Td ",
    "1 begincodespacerange <00000000> <FFFFFFFF> endcodespacerange ",
    "1 beginbfrange <0000> <FFFF> <0000> endbfrange ",
    "1 beginbfrange <00000000> <FFFFFFFF> <D800> endbfrange ",
    "1 beginbfrange <FF> <00> <0041> endbfrange ",
    "1 begincidrange <00000000> <FFFFFFFF> 4294967295 endcidrange ",
    "1 beginbfchar <41> <> endbfchar ",
    "2000000000 beginbfchar ",
    "/A usecmap ",
    "/Identity-V usecmap ",
    "1 beginbfchar <41> <0061006100610061> endbfchar ",
    "99999 array dup 99999999 /a put ",
    "currentfile eexec ",
    "/Subrs 2147483647 array ",
    "/CharStrings 2147483647 dict ",
    "/lenIV -1 def ",
];

const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "2",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "-2147483648",
    "4294967296",
    "99999999999999999999",
    "1e38",
    "0.0000001",
    "nan",
];

fn change(objects: &mut Vec<Object>, at: usize, lot: &mut Lot) {
    let count = objects.len();
    let object = &mut objects[at];
    match (lot.below(14), &mut object.stream) {
        (0..=2, None) => {
            // Most references lead to an object of another kind, or back.
            let to = if lot.one_in(8) {
                99
            } else {
                1 + lot.below(count)
            };
            replace(
                &mut object.dict,
                |token, next| token.parse::<u32>().is_ok() && next == "0",
                &to.to_string(),
                lot,
            );
        }
        (3..=5, None) => replace(
            &mut object.dict,
            |token, _| token.trim_matches(['[', ']']).parse::<f64>().is_ok(),
            lot.pick(NUMBERS),
            lot,
        ),
        (6 | 7, None) => {
            object.dict = pieces(&object.dict, PIECES, &[' ', '/', '[', ']', '<', '>'], lot);
        }
        (0..=4, Some(bytes)) => {
            let changed = pieces(&unlatin(bytes), STREAM_PIECES, &[' ', '\n', ']', ')'], lot);
            *bytes = latin(&changed);
        }
        (5 | 6, Some(bytes)) => *bytes = bytes::mutate(bytes, lot),
        (7, Some(_)) => replace(
            &mut object.dict,
            |token, _| token.parse::<f64>().is_ok(),
            lot.pick(NUMBERS),
            lot,
        ),
        (8 | 9, _) => filter(object, lot),
        (10, _) => "null".clone_into(&mut object.dict),
        (11, _) => {
            let other = lot.below(count);
            objects.swap(at, other);
        }
        _ => storms::storm(objects, lot),
    }
}

/// Another token in the place of one of those that are wanted.
fn replace(dict: &mut String, wanted: impl Fn(&str, &str) -> bool, by: &str, lot: &mut Lot) {
    let mut tokens: Vec<&str> = dict.split(' ').collect();
    let found: Vec<usize> = (0..tokens.len())
        .filter(|at| {
            let next = tokens.get(at + 1).copied().unwrap_or_default();
            wanted(tokens[*at].trim_start_matches('['), next)
        })
        .collect();
    if !found.is_empty() {
        let at = found[lot.below(found.len())];
        let opened = if tokens[at].starts_with('[') {
            format!("[{by}")
        } else {
            by.to_owned()
        };
        tokens[at] = &opened;
        *dict = tokens.join(" ");
    }
}

/// Filters that a stream was packed with, or was not.
fn filter(object: &mut Object, lot: &mut Lot) {
    const FILTERS: &[&str] = &[
        "/Filter /LZWDecode",
        "/Filter /ASCII85Decode",
        "/Filter /ASCIIHexDecode",
        "/Filter /RunLengthDecode",
        "/Filter /CCITTFaxDecode \
         /DecodeParms << /Columns 2147483647 /Rows 2147483647 /K -1 >>",
        "/Filter /JBIG2Decode",
        "/Filter /DCTDecode",
        "/Filter /JPXDecode",
        "/Filter /Crypt",
        "/Filter /None",
        "/Filter [/ASCIIHexDecode /LZWDecode /RunLengthDecode]",
    ];
    const PARAMETERS: &[&str] = &[
        "",
        "/DecodeParms << /Predictor 12 /Columns 4 >>",
        "/DecodeParms << /Predictor 15 /Columns 2147483647 >>",
        "/DecodeParms << /Predictor 2 /Colors 2147483647 /BitsPerComponent 2147483647 /Columns 2147483647 >>",
        "/DecodeParms << /Predictor 12 /Columns 0 /Colors 0 /BitsPerComponent 0 >>",
        "/DecodeParms << /Predictor -1 /EarlyChange -7 >>",
        "/DecodeParms [null null]",
    ];
    let Some(bytes) = &mut object.stream else {
        return;
    };
    let filter = match lot.below(3) {
        0 => {
            let times = lot.size(12);
            for _ in 0..times {
                *bytes = deflated(bytes);
            }
            format!("/Filter [{}]", "/FlateDecode ".repeat(times))
        }
        1 => lot.pick(FILTERS).to_owned(),
        _ => {
            *bytes = deflated(bytes);
            format!("/Filter /FlateDecode {}", lot.pick(PARAMETERS))
        }
    };
    object.dict = object.dict.replacen("<<", &format!("<< {filter} "), 1);
}
