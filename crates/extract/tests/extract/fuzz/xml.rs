//! Changes of XML that keep most of it XML, so that they get past the parser to those who read the elements.

use super::{LARGEST, bytes::utf16, lot::Lot};

/// What the elements and values of a format are called.
pub(super) struct Words {
    pub(super) elements: &'static [&'static str],
    pub(super) values: &'static [&'static str],
}

/// Values that numbers, ids and names of any format could be.
const VALUES: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "1",
    "9",
    "65536",
    "4294967296",
    "18446744073709551616",
    "1e999",
    "NaN",
    "rId0",
    "rId1",
    "s1",
    "../../../../../../etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1/",
    "&#0;",
    "&#x110000;",
    "&#xD800;",
    "&undefined;",
    "&amp;&lt;",
    "%n%s",
    "\u{202E}\u{FEFF}\u{1F600}e\u{301}\u{301}",
];

/// Characters between tags.
const TEXTS: &[&str] = &[
    "]]>",
    "<![CDATA[<w:p>&amp;]]>",
    "<![CDATA[",
    "<!-- -- -->",
    "<!--",
    "<?xml version=\"1.1\"?>",
    "<?pi <w:t> ?>",
    "<!DOCTYPE late>",
    "&",
    "&;",
    "&lol;",
    "&#99999999999;",
    "&#13;&#10;",
    "<",
    ">",
    "\0",
    "\u{1}",
    "\u{FFFF}",
    "\r\n\t\u{2028}",
    "e\u{301}\u{301}\u{301}",
];

/// Declarations before the first element.
const DECLARATIONS: &[&str] = &[
    "<!DOCTYPE a [<!ENTITY lol \"lol\"><!ENTITY b \"&lol;&lol;&lol;&lol;\"><!ENTITY c \"&b;&b;&b;&b;&b;\">]>",
    "<!DOCTYPE a [<!ENTITY lol SYSTEM \"file:///etc/passwd\">]>",
    "<!DOCTYPE a SYSTEM \"http://127.0.0.1/a.dtd\">",
    "<!DOCTYPE a [<!ENTITY % p SYSTEM \"file:///dev/zero\"> %p;]>",
    "<!DOCTYPE a [<!ENTITY a \"&a;\">]>",
    "<!DOCTYPE a [",
    "<?xml version=\"1.0\" encoding=\"UTF-16\"?>",
    "<?xml version=\"1.0\" encoding=\"utf-7\"?>",
    "<?xml version=\"9.0\" encoding=\"ISO-8859-1\"?>",
    "\u{FEFF}\u{FEFF}",
    "text",
];

/// A few changes of XML.
pub(super) fn mutate(xml: &str, words: &Words, lot: &mut Lot) -> Vec<u8> {
    let mut tokens = tokens(xml);
    for _ in 0..=lot.below(3) {
        if !tokens.is_empty() {
            change(&mut tokens, words, lot);
        }
    }
    encode(&tokens.concat(), lot)
}

/// Tags, and what stands between them.
fn tokens(xml: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for piece in xml.split_inclusive('>') {
        let tag = piece.find('<').unwrap_or(0);
        for token in [&piece[..tag], &piece[tag..]] {
            if !token.is_empty() {
                tokens.push(token.to_owned());
            }
        }
    }
    tokens
}

fn change(tokens: &mut Vec<String>, words: &Words, lot: &mut Lot) {
    // What begins nothing is mostly left alone: without it the rest is no XML.
    let mut at = lot.below(tokens.len());
    while at > 0 && tokens[at].starts_with("</") && !lot.one_in(32) {
        at -= 1;
    }
    let end = end_of(tokens, at);
    let length: usize = tokens[at..end].iter().map(String::len).sum();
    let room = LARGEST.saturating_sub(tokens.iter().map(String::len).sum());
    let most = |length: usize| (room / length.max(1)).max(1);
    match lot.below(48) {
        0 => drop(tokens.remove(at)),
        1 => tokens.truncate(at),
        2 => {
            let other = lot.below(tokens.len());
            tokens.swap(at, other);
        }
        3 => {
            let place = lot.below(2).min(tokens.len());
            tokens.insert(place, lot.pick(DECLARATIONS).to_owned());
        }
        4 | 5 => {
            let piece = lot.pick(TEXTS);
            let times = if lot.one_in(4) { most(piece.len()) } else { 1 };
            tokens.insert(at, piece.repeat(lot.size(times.min(100_000))));
        }
        6 => namespaces(tokens, lot),
        7..=10 => drop(tokens.drain(at..end)),
        11..=15 => {
            let times = lot.size(most(length).min(20_000));
            let copies: Vec<_> = std::iter::repeat_n(&tokens[at..end], times)
                .flatten()
                .cloned()
                .collect();
            tokens.splice(end..end, copies);
        }
        16..=19 => {
            let times = lot.size(most(2 * tokens[at].len()).min(3000));
            nest(tokens, at, end, times);
        }
        20..=24 => {
            let moved: Vec<_> = tokens.drain(at..end).collect();
            let to = lot.below(tokens.len());
            tokens.splice(to..to, moved);
        }
        25..=29 => rename(tokens, at, end, lot.pick(words.elements)),
        30..=34 => attribute(&mut tokens[at], &value(words, lot), lot),
        35 | 36 => {
            let piece = value(words, lot);
            let long = piece.repeat(lot.size(most(piece.len()).min(200_000)));
            attribute(&mut tokens[at], &long, lot);
        }
        37 => attributes(&mut tokens[at], lot.size(most(8).min(20_000)), lot),
        38..=42 => {
            let piece = value(words, lot);
            let times = if lot.one_in(4) { most(piece.len()) } else { 1 };
            tokens.insert(at, piece.repeat(lot.size(times.min(100_000))));
        }
        _ => {
            let name = lot.pick(words.elements);
            let tag = match lot.below(4) {
                0 => format!("<{name}></{name}>"),
                1 => format!("<{name} r='1'>text</{name}>"),
                2 => format!("<x:{name} x:x='1'/>"),
                _ => format!("<{name}/>"),
            };
            let times = if lot.one_in(3) { most(tag.len()) } else { 1 };
            tokens.insert(at, tag.repeat(lot.size(times.min(20_000))));
        }
    }
}

/// Where the element ends that begins at a token; behind it, where none does.
fn end_of(tokens: &[String], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        if token.starts_with("</") {
            depth = depth.saturating_sub(1);
        } else if is_open(token) {
            depth += 1;
        }
        if depth == 0 {
            return index + 1;
        }
    }
    at + 1
}

fn is_open(token: &str) -> bool {
    token.starts_with('<') && !token.ends_with("/>") && !token[1..].starts_with(['/', '!', '?'])
}

/// An element inside of itself, again and again.
fn nest(tokens: &mut [String], at: usize, end: usize, times: usize) {
    if is_open(&tokens[at]) && end - at > 1 {
        let (open, close) = (tokens[at].clone(), tokens[end - 1].clone());
        tokens[end - 1] = close.repeat(times);
        tokens[at] = open.repeat(times);
    }
}

/// Gives an element another name, at both ends or at one.
fn rename(tokens: &mut [String], at: usize, end: usize, name: &str) {
    for (token, skip) in [(at, 1), (end - 1, 2)] {
        let token = &mut tokens[token];
        if token.starts_with('<') && token.len() > skip {
            let stop = token.find([' ', '/', '>']).filter(|stop| *stop > skip);
            let stop = stop.unwrap_or(token.len().saturating_sub(1).max(skip));
            let local = token[..stop].rfind(':').map_or(skip, |colon| colon + 1);
            if token.is_char_boundary(skip) && local <= stop {
                token.replace_range(local..stop, name);
            }
        }
    }
}

/// Another value for one of a tag's attributes.
fn attribute(tag: &mut String, value: &str, lot: &mut Lot) {
    let quotes: Vec<_> = tag.match_indices('"').map(|(at, _)| at).collect();
    if quotes.len() >= 2 {
        let pair = lot.below(quotes.len() / 2) * 2;
        tag.replace_range(quotes[pair] + 1..quotes[pair + 1], value);
    } else if let Some(end) = tag.find(['/', '>']).filter(|end| *end > 1) {
        tag.insert_str(end, &format!(" val=\"{value}\""));
    }
}

/// Many attributes more, some of the same name.
fn attributes(tag: &mut String, times: usize, lot: &mut Lot) {
    if let Some(end) = tag.rfind(['/', '>']).filter(|end| *end > 1) {
        let same = lot.one_in(2);
        let more: String = (0..times)
            .map(|number| {
                if same {
                    " r='1'".to_owned()
                } else {
                    format!(" a{number}='1'")
                }
            })
            .collect();
        tag.insert_str(end, &more);
    }
}

/// Takes prefixes away, or gives all names one that is bound to nothing or to something else.
fn namespaces(tokens: &mut [String], lot: &mut Lot) {
    let (from, to) = [
        ("w:", ""),
        ("w:", "x:"),
        ("a:", "w:"),
        ("p:", ":"),
        ("r:id", "id"),
        ("xmlns", "xmlms"),
        ("<", "<q:"),
        (":", "::"),
    ][lot.below(8)];
    for token in tokens {
        *token = token.replace(from, to).replace("<q:/", "</q:");
    }
}

fn value(words: &Words, lot: &mut Lot) -> String {
    let values = if lot.one_in(2) { words.values } else { VALUES };
    lot.pick(values).to_owned()
}

/// The bytes, now and then in another encoding than the declaration says.
fn encode(text: &str, lot: &mut Lot) -> Vec<u8> {
    match lot.below(40) {
        0 => utf16(text, u16::to_le_bytes, false),
        1 => utf16(text, u16::to_be_bytes, false),
        2 => utf16(text, u16::to_le_bytes, true),
        3 => utf16(text, u16::to_be_bytes, true),
        4 => [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
        5 => text
            .chars()
            .flat_map(|char| u32::from(char).to_le_bytes())
            .collect(),
        6 => text
            .chars()
            .map(|char| u8::try_from(char).unwrap_or(0xE9))
            .collect(),
        7 => [text.as_bytes(), &[0xED, 0xA0, 0x80]].concat(),
        _ => text.as_bytes().to_vec(),
    }
}
