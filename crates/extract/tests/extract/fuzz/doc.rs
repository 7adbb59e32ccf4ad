//! Mutants of files named `.doc`: rich text, the binary form, web pages and docx that are named so.

use super::{Mutants, bytes, lot::Lot, markup, office::Package, text};

pub(super) struct Old {
    word: Package,
}

impl Old {
    pub(super) fn new() -> Self {
        Self {
            word: Package::word(),
        }
    }
}

const RTF: &[&str] = &[
    "{\\rtf1\\ansi\\ansicpg1252{\\fonttbl{\\f0 Arial;}}{\\colortbl;\\red0;}{\\*\\generator Word;}\\b Bold\\b0\\par \
     \\u233?t\\u233\\'e9 {\\*\\x y}\\cell b\\cell\\row {\\field{\\*\\fldinst HYPERLINK \"x\"}{\\fldrslt link}}\\par}",
    "{\\rtf1\\ansicpg932\\uc2 \\'93\\'fa\\'96\\'7b \\u26085\\'93\\'fa\\par \\u-10179?\\u-8704? {\\footnote Note}\\par}",
    "{\\rtf1\\mac{\\pict\\wmetafile8\\bin5 }}{{}{\\object{\\objdata 0105}}\\line\\tab\\emdash\\~\\_\\{\\}\\\\ text\\page{\\info{\\title T}}}",
];

const RTF_PIECES: &[&str] = &[
    "{",
    "}",
    "\\",
    "\\'",
    "\\'zz",
    "\\'e",
    "\\*",
    "{\\*",
    "\\bin2147483647 ",
    "\\bin-5 ",
    "\\bin99999999999 ",
    "\\u",
    "\\u-1",
    "\\u55357 ",
    "\\u56832?",
    "\\u99999999999?",
    "\\uc0 ",
    "\\uc-1 ",
    "\\uc2147483647 ",
    "\\ansicpg99999 ",
    "\\ansicpg65001 ",
    "\\ansicpg936 \\'81",
    "\\par\n",
    "\\cell ",
    "\\row ",
    "\\trowd",
    "{\\pict ",
    "{\\fonttbl",
    "\\x",
    "\\averyveryverylongcontrolwordthatnoprogramknows1 ",
    "\0",
    "text ",
    "\u{e9}",
    "\\\n",
    "\\~",
    "{\\*\\shppict ",
];

impl Mutants for Old {
    fn good(&self) -> Vec<u8> {
        RTF[0].into()
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        let rtf = lot.pick(RTF);
        match lot.below(10) {
            0 => bytes::mutate(rtf.as_bytes(), lot),
            1..=4 => markup::pieces(rtf, RTF_PIECES, &['{', '}', '\\', ' '], lot).into_bytes(),
            5 | 6 => {
                let compound = compound(lot);
                if lot.one_in(3) {
                    compound
                } else {
                    bytes::mutate(&compound, lot)
                }
            }
            7 => markup::page(lot),
            8 => text::mutate(
                lot.pick(&[rtf, markup::HTML, "MIME-Version: 1.0\r\n\r\n<html>"]),
                lot,
            ),
            _ => self.word.mutant(lot),
        }
    }
}

/// A compound file as Office wrote them: a header, a sector of the allocation table, one of the directory.
fn compound(lot: &mut Lot) -> Vec<u8> {
    const SECTOR: usize = 512;
    let names = [
        "WordDocument",
        "EncryptedPackage",
        "Workbook",
        "PowerPoint Document",
        "1Table",
        "Data",
    ];
    let mut file = vec![0_u8; SECTOR];
    file[..8].copy_from_slice(&[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]);
    file[24..34].copy_from_slice(&[0x3E, 0, 3, 0, 0xFE, 0xFF, 9, 0, 6, 0]);
    file[44] = 1;
    file[48] = 1;
    // Both sectors end their chain, or are the next one of their own.
    let ends = if lot.one_in(2) { 0xFFFF_FFFE_u32 } else { 1 };
    file.extend(ends.to_le_bytes().repeat(SECTOR / 4));
    for name in [
        "Root Entry",
        lot.pick(&names),
        lot.pick(&names),
        lot.pick(&names),
    ] {
        let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u8::try_from(entry.len() + 2).unwrap();
        entry.resize(128, 0);
        entry[64] = length;
        entry[66] = if name == "Root Entry" { 5 } else { 2 };
        entry[68..80].fill(0xFF);
        file.extend(entry);
    }
    file.extend(vec![b'W'; lot.size(200_000)]);
    file
}
