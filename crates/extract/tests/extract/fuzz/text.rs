//! Mutants of text and code: of their bytes, their encoding, their lines.

use super::{
    LARGEST, Mutants,
    bytes::{self, utf16},
    lot::Lot,
};

/// A text of one type.
pub(super) struct Source(String);

/// A piece of each type of text and code.
const SOURCES: &[(&str, &str)] = &[
    (
        "c",
        "#include <stdio.h>\n/* Grüße */\nint main(void) {\n\tprintf(\"%d\\n\", 42);\n\treturn 0;\n}\n",
    ),
    (
        "cpp",
        "template <typename T> auto sum(const std::vector<T>& all) -> T { return std::accumulate(all.begin(), all.end(), T{}); }\n",
    ),
    (
        "cs",
        "namespace A { record Point(int X, int Y) { string Show() => $\"({X}; {Y})\"; } }\r\n",
    ),
    (
        "css",
        "@charset \"UTF-8\";\nbody > p::before { content: \"\\201C\"; color: #fa0; background: url(data:,x) }\n",
    ),
    (
        "go",
        "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(`raw ± string`, '世') }\n",
    ),
    (
        "java",
        "public class A { static final String S = \"\\u00e9\"; public static void main(String[] a) {} }\n",
    ),
    (
        "js",
        "export const f = async (x) => `${await x?.y ?? 0} / ${/[\\u{1F600}]/u.test(x)}`; // 😀\n",
    ),
    (
        "md",
        "# Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```rust\nlet x = 1;\n```\n\n[link](http://a.b) ![x](y)\n",
    ),
    (
        "php",
        "<?php declare(strict_types=1); $a = <<<EOT\n  text {$b['c']}\nEOT; ?>\n<p>after</p>\n",
    ),
    (
        "py",
        "# -*- coding: utf-8 -*-\ndef f(*, a: int = 0) -> str:\n    \"\"\"Tëxt.\"\"\"\n    return f\"{a!r:>{10}}\"\n",
    ),
    (
        "rb",
        "# frozen_string_literal: true\nputs %w[a b].map { |x| \"#{x}\\u00df\" }.join(<<~END)\n  heredoc\nEND\n__END__\n",
    ),
    (
        "sh",
        "#!/bin/sh\nset -eu\ncat <<'EOF' | tr a-z A-Z\nüber $HOME `date`\nEOF\n",
    ),
    (
        "tex",
        "\\documentclass{article}\n\\begin{document}\n$\\sum_{i=1}^{n} x_i^2$ \\'etude \\verb|%|\n\\end{document}\n",
    ),
    (
        "ts",
        "type A<T> = T extends (infer U)[] ? U : never;\nenum E { A = 1 << 3 }\nlet x = <any>1;\n",
    ),
    (
        "txt",
        "Some text, Grüße 😀, naïve café.\n\nA second paragraph — with a dash.\n",
    ),
];

pub(super) fn source(kind: &str) -> Source {
    let (_, text) = SOURCES.iter().find(|(known, _)| *known == kind).unwrap();
    Source(text.repeat(3))
}

/// What other files begin with.
const BEGINNINGS: &[&[u8]] = &[
    b"\xEF\xBB\xBF",
    b"\xFF\xFE",
    b"\xFE\xFF",
    b"\xFF\xFE\0\0",
    b"\0\0\xFE\xFF",
    b"PK\x03\x04",
    b"%PDF-1.7\n",
    b"\x89PNG\r\n\x1A\n",
    b"{\\rtf1 ",
    b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1",
    b"MZ\x90\0",
    b"ID3",
    b"BZh9",
    b"<html>",
    b"+/v8-",
];

/// What may stand anywhere, and often does not.
const PIECES: &[&[u8]] = &[
    b"\0",
    b"\x80",
    b"\xC0\xAF",
    b"\xED\xA0\x80",
    b"\xF4\x90\x80\x80",
    b"\xF0\x9F",
    b"\xE9",
    b"\r",
    b"\r\r\n",
    b"\x1B[31m",
    b"\x0C\x0B\x08",
    b"\n",
    b" ",
    b"\t",
    b"x",
    "e\u{301}".as_bytes(),
    "\u{202E}\u{200B}\u{FEFF}".as_bytes(),
    "\u{2028}\u{85}\u{A0}".as_bytes(),
    "\u{FFFE}\u{FFFF}\u{10FFFF}".as_bytes(),
    "\u{1F468}\u{200D}\u{1F469}".as_bytes(),
];

impl Mutants for Source {
    fn good(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn mutant(&self, lot: &mut Lot) -> Vec<u8> {
        mutate(&self.0, lot)
    }
}

/// Changes of a text that are not of its grammar.
pub(super) fn mutate(text: &str, lot: &mut Lot) -> Vec<u8> {
    let mut mutant = encoded(text, lot);
    for _ in 0..=lot.below(2) {
        let at = lot.below(mutant.len() + 1);
        match lot.below(6) {
            0 | 1 => mutant = bytes::mutate(&mutant, lot),
            2 => {
                let piece = lot.pick(PIECES);
                let long = if lot.one_in(3) {
                    LARGEST / piece.len()
                } else {
                    3
                };
                mutant.splice(at..at, piece.repeat(lot.size(long)));
            }
            3 => drop(mutant.splice(0..0, lot.pick(BEGINNINGS).to_vec())),
            4 => {
                let times = lot.size((LARGEST / mutant.len().max(1)).max(1));
                mutant = mutant.repeat(times);
            }
            _ => mutant.truncate(at),
        }
    }
    mutant
}

/// UTF-8 for the most part, or another encoding that may be taken for it.
fn encoded(text: &str, lot: &mut Lot) -> Vec<u8> {
    match lot.below(8) {
        0 => utf16(text, u16::to_le_bytes, false),
        1 => utf16(text, u16::to_be_bytes, false),
        2 => utf16(text, u16::to_le_bytes, true),
        3 => text
            .chars()
            .map(|char| u8::try_from(char).unwrap_or(0xE9))
            .collect(),
        _ => text.as_bytes().to_vec(),
    }
}
