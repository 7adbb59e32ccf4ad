//! Mutated documents of each kind: each ends with a text or a refusal, in its time, and the parent lives.

use loomgate_extract::{Code, Confinement, Format};

use crate::{
    build::{
        office::{docx, paragraph, pptx, shape, xlsx},
        pdf::{deflated, lines, pages, stream},
    },
    child::extractor,
};

/// Mutants of each kind.
const MUTANTS: u64 = 200;

/// A generator of numbers (splitmix64), so that a failure can be had again.
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

/// A few changes of one document: bits, cuts, pieces moved and doubled, numbers swapped.
fn mutate(document: &[u8], lot: &mut Lot) -> Vec<u8> {
    let mut mutant = document.to_vec();
    for _ in 0..=lot.below(4) {
        let at = lot.below(mutant.len());
        let end = (at + 1 + lot.below(64)).min(mutant.len());
        match lot.below(8) {
            0 | 1 => {
                if let Some(byte) = mutant.get_mut(at) {
                    *byte ^= 1 << lot.below(8);
                }
            }
            2 => mutant.truncate(at),
            3 => {
                let piece = mutant[at..end].to_vec();
                let to = lot.below(mutant.len());
                mutant.splice(to..to, piece);
            }
            4 => drop(mutant.drain(at..end)),
            5 => {
                let other = lot.below(mutant.len().saturating_sub(4));
                let at = at.min(mutant.len().saturating_sub(4));
                for step in 0..4.min(mutant.len()) {
                    mutant.swap(at + step, other + step);
                }
            }
            6 => mutant[at..end].fill([0, 0xFF, b'9', b'<'][lot.below(4)]),
            _ => {
                let digit = mutant.iter().skip(at).position(u8::is_ascii_digit);
                if let Some(digit) = digit {
                    mutant.splice(at + digit..=at + digit, *b"99999999");
                }
            }
        }
    }
    mutant
}

/// All of a kind through real children; some must survive being changed, some must not.
fn fuzz(format: Format, documents: &[Vec<u8>]) {
    let limits = Confinement {
        memory_bytes: 256 << 20,
        cpu_seconds: 10,
        ..Confinement::default()
    };
    let extractor = extractor(limits);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (mut texts, mut refusals) = (0, 0);
    for seed in 0..MUTANTS {
        let mut lot = Lot(seed);
        let mutant = mutate(&documents[lot.below(documents.len())], &mut lot);
        let read = extractor.extract(format, &*mutant, mutant.len() as u64);
        match runtime.block_on(read) {
            Ok(text) => {
                assert!(!text.text.is_empty(), "seed {seed}");
                texts += 1;
            }
            Err(refusal) => {
                assert_ne!(refusal.code, Code::ServerError, "seed {seed}: {refusal}");
                assert!(
                    !refusal.message.contains("seconds"),
                    "seed {seed} stalls: {refusal}"
                );
                refusals += 1;
            }
        }
    }
    assert!(texts > 0, "{refusals} refusals only");
    assert!(refusals > 0, "{texts} texts only");
}

#[test]
fn mutated_pdfs() {
    let form = stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 100 100] /Filter /FlateDecode",
        &deflated(&lines(&["In a form", "of two lines"])),
    );
    let map = stream(
        "",
        b"/CIDInit /ProcSet findresource begin begincmap 1 begincodespacerange <00> <FF> endcodespacerange 2 beginbfrange \
          <20> <40> <0020> <41> <7A> <0041> endbfrange 1 beginbfchar <7B> <00660066> endbfchar endcmap end",
    );
    let font = b"<< /Type /Font /Subtype /TrueType /BaseFont /Arial /ToUnicode 5 0 R /FirstChar 32 /LastChar 34 /Widths [250 300 400] >>";
    let cjk = b"<< /Type /Font /Subtype /Type0 /BaseFont /Song /Encoding /UniGB-UCS2-H /DescendantFonts [<< /Type /Font /Subtype \
        /CIDFontType0 /BaseFont /Song /CIDSystemInfo << /Registry (Adobe) /Ordering (GB1) /Supplement 2 >> /W [1 [500 600] 7 9 800] \
        >>] >>";
    let resources = "/XObject << /Fm 4 0 R >> /Font << /F1 3 0 R /F2 6 0 R /F3 7 0 R >>";
    let page = b"q 1 0 0 1 0 0 cm /Fm Do Q BT /F1 12 Tf 72 700 Td (Some text) Tj /F2 10 Tf [(more) -250 (text{)] TJ /F3 9 Tf <4E2D6587> Tj ET";
    let document = pages(
        &[page, &lines(&["Page two"])],
        resources,
        &[form, map, font.to_vec(), cjk.to_vec()],
    );
    fuzz(Format::Pdf, &[document]);
}

#[test]
fn mutated_word_documents() {
    let body: String = (0..20)
        .map(|number| paragraph(&format!("Paragraph {number}")))
        .collect();
    let notes =
        "<w:footnotes><w:footnote w:id=\"1\"><w:p><w:t>Note</w:t></w:p></w:footnote></w:footnotes>";
    let table = "<w:tbl><w:tr><w:tc><w:p><w:t>a</w:t></w:p></w:tc></w:tr></w:tbl>";
    let document = docx(
        &format!("{body}{table}<w:p><w:r><w:footnoteReference w:id=\"1\"/></w:r></w:p>"),
        &[("footnotes", "r1", "footnotes.xml")],
        &[("word/footnotes.xml", notes)],
    );
    fuzz(Format::Docx, &[document]);
}

#[test]
fn mutated_presentations() {
    let deck = pptx(&[
        ("Title", &shape(&["One", "Two"]), "Notes"),
        ("Another", &shape(&["Three"]), ""),
    ]);
    fuzz(Format::Pptx, &[deck]);
}

#[test]
fn mutated_workbooks() {
    let rows: String = (1..30)
        .map(|row| format!("<row><c r=\"A{row}\" t=\"s\"><v>{}</v></c><c r=\"B{row}\" s=\"1\"><v>4535{row}</v></c></row>", row % 2))
        .collect();
    let book = xlsx(&[("Sheet", &rows)], &["Name", "Date"], &["yyyy-mm-dd"]);
    fuzz(Format::Xlsx, &[book]);
}

#[test]
fn mutated_pages() {
    let html = "<!DOCTYPE html><title>T</title><h1>H</h1><ul><li>a<li>b</ul><table><tr><td>1<td>2</table><script>x</script>";
    fuzz(Format::Html, &[html.into()]);
}

#[test]
fn mutated_json() {
    let json = "{\"a\": [1, 2.5e3, \"\\u00e9\", {\"b\": null}], \"c\": \"text\", \"long\": [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}";
    fuzz(Format::Json, &[json.into()]);
}

#[test]
fn mutated_rows() {
    let csv = "Name,Value\nAda,\"1,5\"\n\"Bob\",2\n";
    fuzz(Format::Delimited, &[csv.into()]);
}

#[test]
fn mutated_rich_text() {
    let rtf =
        "{\\rtf1\\ansi{\\fonttbl{\\f0 A;}}\\b Bold\\b0\\par \\u233? \\'e9 {\\*\\x y}\\cell\\row}";
    fuzz(Format::Doc, &[rtf.into()]);
}

#[test]
fn mutated_text() {
    let utf16 = "\u{FEFF}some text, Grüße\n".encode_utf16();
    let utf16: Vec<u8> = utf16.flat_map(u16::to_le_bytes).collect();
    let utf8 = "Some text, Grüße 😀\n".repeat(5);
    fuzz(Format::Plain, &[utf8.into(), utf16]);
}
