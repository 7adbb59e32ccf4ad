//! Mutants of html, json and csv, by their grammar.

use super::{
    LARGEST, Mutants, bytes,
    lot::Lot,
    text,
    xml::{self, Words},
};

pub(super) const HTML: &str = "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>T</title></head><body>\
    <nav><a href=\"/\">x</a></nav><h1 class=\"a\">H</h1><ul><li>a<li>b<ol><li>c</ol></ul>\
    <table><tr><th>A<th>B<tr><td>1<td><p>2</table><pre>\n  x\r\n</pre><div hidden>no</div><img alt=\"An image\">\
    <script>if (a < b) x = '</p>'</script><p>caf&eacute; &#8364; &amp; more</body></html>";

const TAGS: Words = Words {
    elements: &[
        "div",
        "p",
        "table",
        "tr",
        "td",
        "th",
        "li",
        "ol",
        "ul",
        "menu",
        "pre",
        "h1",
        "h6",
        "title",
        "nav",
        "script",
        "style",
        "textarea",
        "svg",
        "math",
        "template",
        "noscript",
        "plaintext",
        "select",
        "br",
        "img",
        "xmp",
    ],
    values: &[
        "navigation",
        "true",
        "text/html; charset=windows-1252",
        "charset=utf-16",
        "charset=iso-2022-jp",
        "&nbsp;",
        "&#x110000;",
        "&#0;",
        "&notit;",
        "&CounterClockwiseContourIntegral;",
        "&#xFFFFFFFFFF;",
    ],
};

pub(super) struct Page;

impl Mutants for Page {
    fn good(&self) -> Vec<u8> {
        HTML.into()
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        page(lot)
    }
}

/// A web page whose tags, bytes or encoding were changed.
pub(super) fn page(lot: &mut Lot) -> Vec<u8> {
    match lot.below(6) {
        0 => bytes::mutate(HTML.as_bytes(), lot),
        1 => text::mutate(HTML, lot),
        _ => xml::mutate(HTML, &TAGS, lot),
    }
}

pub(super) struct Values;

const JSON: &str = "{\"a\": [1, 2.5e3, \"\\u00e9\", {\"b\": null}], \"c\": \"text\\n\", \"d\": {\"e\": [true, false, []], \"f\": {}},\
    \"long\": [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\", \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]}";

/// What may stand between the tokens of JSON, or must not.
const JSON_PIECES: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "\"",
    "\\",
    "[[[[",
    "{\"a\":",
    "null",
    "1",
    "-",
    "1e999",
    "-0.0e-0",
    "01",
    "NaN",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\u0000\"",
    "\"\\x\"",
    "\"\u{1}\"",
    "// comment\n",
    "/*",
    "\n",
    " ",
    "\u{C}",
    "123456789012345678901234567890",
    "\"a\":1,",
    "\"\u{1F600}\"",
    "'a'",
    "{}",
    "[]",
    "[1]\n{\"a\":2}\n",
];

impl Mutants for Values {
    fn good(&self) -> Vec<u8> {
        JSON.into()
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        match lot.below(6) {
            0 => bytes::mutate(JSON.as_bytes(), lot),
            1 => text::mutate(JSON, lot),
            _ => pieces(JSON, JSON_PIECES, &['[', ']', '{', '}', ',', ':'], lot).into_bytes(),
        }
    }
}

pub(super) struct Rows;

const CSV: &str =
    "Name,Value,Note\nAda,\"1,5\",\"a \"\"quoted\"\" word\"\n\"Bob\nand Eve\",2,\n;\t|,3,x\n";

const CSV_PIECES: &[&str] = &[
    ",", ";", "\t", "|", "\"", "\"\"", "\n", "\r\n", "\r", ",,,,,,,,", "\"a\",", "x", " ", "1,",
    "\\\"", "\u{A0}", "=1+1,", "a;b;c\n", "Name,",
];

impl Mutants for Rows {
    fn good(&self) -> Vec<u8> {
        CSV.into()
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        match lot.below(6) {
            0 => bytes::mutate(CSV.as_bytes(), lot),
            1 => text::mutate(CSV, lot),
            _ => pieces(CSV, CSV_PIECES, &[',', '\n', '"'], lot).into_bytes(),
        }
    }
}

/// Pieces that are put in at the borders of tokens, once or very often; tokens that are moved, doubled and lost.
pub(super) fn pieces(text: &str, pieces: &[&str], borders: &[char], lot: &mut Lot) -> String {
    let mut tokens: Vec<String> = text.split_inclusive(borders).map(str::to_owned).collect();
    for _ in 0..=lot.below(4) {
        let (at, other) = (lot.below(tokens.len()), lot.below(tokens.len()));
        match lot.below(6) {
            0 | 1 => {
                let piece = lot.pick(pieces);
                let long = if lot.one_in(2) {
                    LARGEST / 2 / piece.len()
                } else {
                    3
                };
                tokens.insert(at, piece.repeat(lot.size(long)));
            }
            2 => tokens.swap(at, other),
            3 if tokens.len() > 1 => drop(tokens.remove(at)),
            4 => {
                let most = (LARGEST / 4 / tokens[at].len().max(1)).max(1);
                tokens[at] = tokens[at].repeat(lot.size(most));
            }
            _ => tokens.truncate(at.max(1)),
        }
        let mut left = 2 * LARGEST;
        tokens.retain(|token| {
            let fits = token.len() <= left;
            left -= if fits { token.len() } else { 0 };
            fits
        });
    }
    tokens.concat()
}
