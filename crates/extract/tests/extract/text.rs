//! Text, web pages, JSON, CSV and rich text.

use loomgate_extract::{Code, Format};

use crate::{build::office, refused, text};

#[test]
fn text_and_code_are_kept_but_for_the_ends_of_lines() {
    let code = "fn main() {\r\n\tprintln!(\"naïve\");\r\n}\r\n";
    assert_eq!(
        text(Format::Plain, code),
        "fn main() {\n\tprintln!(\"naïve\");\n}"
    );
    let utf16: Vec<u8> = "\u{FEFF}größer\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(text(Format::Plain, utf16), "größer");
}

#[test]
fn a_page_keeps_its_structure_and_loses_its_noise() {
    let page = "<!DOCTYPE html><html><head><title>Tea &amp; Coffee</title>\
        <style>p { color: red }</style><script>let a = '<p>no</p>';</script></head><body>\
        <nav><ul><li><a href=/>Home</a></li></ul></nav>\
        <div role=navigation>Menu</div><div hidden>Secret<div>too</div></div>\
        <h1>Brewing</h1><p>Heat the   water to <b>93</b>&nbsp;&deg;C,\nthen wait.</p>\
        <h2>Kinds</h2><ul><li><p>Green</p></li><li>Black<ul><li>Assam</li></ul></li></ul>\
        <ol><li>Pour<li>Drink</ol>\
        <table><tr><th>Tea</th><th>Minutes</th></tr><tr><td><p>Green</p></td><td></td><td>2</td></tr></table>\
        <pre>a\n  b</pre><img src=x alt='A cup'><p>One<br>Two</p></body></html>";
    assert_eq!(
        text(Format::Html, page),
        "Tea & Coffee\n\n# Brewing\n\nHeat the water to 93 °C, then wait.\n\n## Kinds\n\n- Green\n- Black\n  - \
         Assam\n\n1. Pour\n2. Drink\n\nTea | Minutes\nGreen | | 2\n\na\n  b\n\nA cup\n\nOne\nTwo"
    );
}

#[test]
fn a_navigation_that_never_ends_does_not_take_the_page_with_it() {
    assert_eq!(
        text(Format::Html, "<nav>Home<p>The page</p>"),
        "Home\n\nThe page"
    );
    assert_eq!(
        text(Format::Html, "<nav>Home</nav><p>The page</p>"),
        "The page"
    );
}

#[test]
fn json_is_laid_out_with_values_near_their_keys() {
    let json = "{\"name\":\"Ada\",\"born\":{\"year\":1815,\"place\":\"London\"},\"works\":[{\"title\":\"Sketch of the \
        Analytical Engine, with notes by the translator\",\"year\":1843,\"pages\":[691,731]},{},{\"title\":\"Another work\"}],\"caf\\u00e9\":-1.50e3,\
        \"q\":\"a\\\"{b\"}";
    assert_eq!(
        text(Format::Json, json),
        "{\n  \"name\": \"Ada\",\n  \"born\": {\"year\": 1815, \"place\": \"London\"},\n  \"works\": [\n    {\"title\": \
         \"Sketch of the Analytical Engine, with notes by the translator\", \"year\": 1843, \"pages\": [691, \
         731]},\n    {},\n    {\"title\": \"Another work\"}\n  ],\n  \"café\": -1.50e3,\n  \"q\": \"a\\\"{b\"\n}"
    );
    assert_eq!(
        text(Format::Json, "{\"a\":1}\n{\"a\":2}\n"),
        "{\"a\": 1}\n{\"a\": 2}"
    );
    assert_eq!(text(Format::Json, "\"\\ud800\""), "\"\\ud800\"");
    assert_eq!(text(Format::Json, "// why\n{\"a\":1}"), "// why\n{\"a\":1}");
}

#[test]
fn rows_name_their_columns() {
    let csv = "Name,Born,Note\nAda,1815,\"first, and\nforemost\"\nGrace,1906,\n";
    assert_eq!(
        text(Format::Delimited, csv),
        "Name | Born | Note\nName: Ada | Born: 1815 | Note: first, and foremost\nName: Grace | Born: 1906"
    );
    assert_eq!(
        text(Format::Delimited, "Stadt;Wert\nKöln;1,5\nBonn;2,5\n"),
        "Stadt | Wert\nStadt: Köln | Wert: 1,5\nStadt: Bonn | Wert: 2,5"
    );
    assert_eq!(text(Format::Delimited, "a\tb\nc\td"), "a | b\na: c | b: d");
    assert_eq!(text(Format::Delimited, "1,2\n3,4\n"), "1 | 2\n3 | 4");
    assert_eq!(text(Format::Delimited, "just\nlines\n"), "just\nlines");
}

#[test]
fn a_doc_may_be_rich_text_a_page_or_a_docx() {
    let rtf = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator Word;}\b Caf\'e9\b0  au lait\par
        \u8364?5 \u-10179?\u-8704? {\field{\*\fldinst HYPERLINK x}{\fldrslt link}}\line a\cell b\row}";
    assert_eq!(text(Format::Doc, rtf), "Café au lait\n\n€5 😀 link\na | b");
    assert_eq!(text(Format::Doc, "<html><p>A page</p></html>"), "A page");
    let docx = office::docx(&office::paragraph("A document"), &[], &[]);
    assert_eq!(text(Format::Doc, docx), "A document");
}

#[test]
fn a_doc_of_before_2007_is_refused_with_a_way_on() {
    let mut doc = vec![0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    doc.resize(512, 0);
    let named = |name: &str| -> Vec<u8> {
        let name = name.encode_utf16().flat_map(u16::to_le_bytes);
        doc.iter().copied().chain(name).collect()
    };
    refused(
        Format::Doc,
        named("WordDocument"),
        Code::UnsupportedFile,
        "Save it as .docx",
    );
    refused(
        Format::Docx,
        named("WordDocument"),
        Code::UnsupportedFile,
        "Save it as .docx",
    );
    refused(
        Format::Xlsx,
        named("Workbook"),
        Code::UnsupportedFile,
        "Save it as .xlsx",
    );
    refused(
        Format::Docx,
        named("EncryptedPackage"),
        Code::InvalidFile,
        "password",
    );
}

#[test]
fn what_is_named_as_something_else_is_refused_with_both_names() {
    let png = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR";
    refused(
        Format::Plain,
        png,
        Code::UnsupportedFile,
        "named as a text file but looks like a PNG image",
    );
    refused(
        Format::Pdf,
        png,
        Code::UnsupportedFile,
        "named as a PDF but looks like a PNG image",
    );
    let docx = office::docx(&office::paragraph("A document"), &[], &[]);
    refused(
        Format::Pdf,
        &docx,
        Code::InvalidFile,
        "looks like a Word document (.docx). Rename it to end in .docx",
    );
    refused(
        Format::Xlsx,
        &docx,
        Code::InvalidFile,
        "looks like a Word document",
    );
    refused(
        Format::Plain,
        &docx,
        Code::InvalidFile,
        "looks like a Word document",
    );
    refused(
        Format::Docx,
        "plain words",
        Code::InvalidFile,
        "looks like text",
    );
    refused(
        Format::Plain,
        "%PDF-1.7 ...",
        Code::InvalidFile,
        "looks like a PDF",
    );
    refused(
        Format::Docx,
        crate::build::archive::zip(&[("a.txt", b"a")]),
        Code::InvalidFile,
        "a zip archive",
    );
    refused(Format::Plain, "", Code::InvalidFile, "empty");
    refused(Format::Plain, " \n\t\n", Code::InvalidFile, "holds no text");
    refused(
        Format::Html,
        "<script>1</script>",
        Code::InvalidFile,
        "holds no text",
    );
}
