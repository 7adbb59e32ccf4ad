//! Bytes to characters: utf-8, utf-16 and ascii (`contract/behaviour.md`, section 11.2), nothing guessed
//! that could be something else.

use std::borrow::Cow;

use crate::refusal::Refusal;

/// How much of a file without a byte order mark is looked at, in bytes.
const LOOKED_AT: usize = 4096;

/// Decodes a text file. A byte order mark decides; without one it is UTF-8, unless every other byte
/// of its beginning is zero, as in UTF-16 of a European language.
///
/// Takes no copy of UTF-8.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Refusal> {
    if bytes.starts_with(&[0xFF, 0xFE, 0, 0]) || bytes.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return Err(Refusal::invalid(
            "The file is in UTF-32. Supported encodings are utf-8, utf-16 and ascii: save it again as UTF-8.",
        ));
    }
    if let Some(rest) = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]) {
        return utf8(rest, 3);
    }
    if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        return utf16(rest, 2, u16::from_le_bytes).map(Cow::Owned);
    }
    if let Some(rest) = bytes.strip_prefix(&[0xFE, 0xFF]) {
        return utf16(rest, 2, u16::from_be_bytes).map(Cow::Owned);
    }
    match order_without_mark(bytes) {
        Some(Order::Little) => utf16(bytes, 0, u16::from_le_bytes).map(Cow::Owned),
        Some(Order::Big) => utf16(bytes, 0, u16::from_be_bytes).map(Cow::Owned),
        None => utf8(bytes, 0),
    }
}

/// Decodes a web page: as [`decode`], or in the encoding that it declares in its first 1024 bytes.
pub(crate) fn decode_html(bytes: &[u8]) -> Result<Cow<'_, str>, Refusal> {
    let refusal = match decode(bytes) {
        Ok(text) => return Ok(text),
        Err(refusal) => refusal,
    };
    let Some(encoding) = declared(&bytes[..bytes.len().min(1024)]) else {
        return Err(refusal);
    };
    encoding
        .decode_without_bom_handling_and_without_replacement(bytes)
        .filter(|text| !text.contains('\0'))
        .ok_or(refusal)
}

enum Order {
    Little,
    Big,
}

/// The order of the bytes of UTF-16 without a mark: at least seven in ten of the one half of its
/// bytes are zero, and nearly none of the other half. No UTF-8 text holds a zero.
fn order_without_mark(bytes: &[u8]) -> Option<Order> {
    let head = &bytes[..bytes.len().min(LOOKED_AT)];
    if head.len() < 4 || !bytes.len().is_multiple_of(2) {
        return None;
    }
    let pairs = head.len() / 2;
    let zeros = |odd: usize| {
        head.iter()
            .skip(odd)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd) = (zeros(0), zeros(1));
    let (many, few) = (pairs * 7 / 10, pairs / 50);
    if odd >= many.max(1) && even <= few {
        Some(Order::Little)
    } else if even >= many.max(1) && odd <= few {
        Some(Order::Big)
    } else {
        None
    }
}

fn utf8(bytes: &[u8], before: usize) -> Result<Cow<'_, str>, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Refusal::invalid(format!(
            "Byte {} (0x{:02X}) is not valid UTF-8. Supported encodings are utf-8, utf-16 and ascii: save the file \
             again as UTF-8.",
            before + at,
            bytes.get(at).copied().unwrap_or_default()
        ))
    })?;
    no_zero(text, before)?;
    Ok(Cow::Borrowed(text))
}

fn utf16(bytes: &[u8], before: usize, unit: fn([u8; 2]) -> u16) -> Result<String, Refusal> {
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return Err(Refusal::invalid(
            "The file is in UTF-16 but holds half a character at its end: it was cut off. Save it again as UTF-8.",
        ));
    }
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut at = before;
    for decoded in char::decode_utf16(pairs.map(|pair| unit([pair[0], pair[1]]))) {
        let char = decoded.map_err(|_| {
            Refusal::invalid(format!(
                "The bytes at {at} are not valid UTF-16. Save the file again as UTF-8."
            ))
        })?;
        at += char.len_utf16() * 2;
        text.push(char);
    }
    no_zero(&text, before)?;
    Ok(text)
}

/// No text holds a zero; what does is something else.
fn no_zero(text: &str, before: usize) -> Result<(), Refusal> {
    match text.find('\0') {
        None => Ok(()),
        Some(at) => Err(Refusal::invalid(format!(
            "The file is not text: there is a zero at byte {}. Supported encodings are utf-8, utf-16 and ascii.",
            before + at
        ))),
    }
}

/// The encoding of a `charset=` in the head of a page.
fn declared(head: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, rest) = head.split_once("charset=")?;
    let rest = rest.trim_start_matches(['"', '\'', ' ']);
    let end = rest.find(|char: char| !(char.is_ascii_alphanumeric() || "-_:".contains(char)))?;
    encoding_rs::Encoding::for_label(&rest.as_bytes()[..end])
        .filter(|encoding| encoding.is_ascii_compatible())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16_bytes(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn text_is_decoded_with_and_without_a_mark() {
        let text = "Übermaß, naïve 🦀\n";
        let little = utf16_bytes(text, u16::to_le_bytes);
        let big = utf16_bytes(text, u16::to_be_bytes);
        for bytes in [
            text.as_bytes().to_vec(),
            [&[0xEF, 0xBB, 0xBF], text.as_bytes()].concat(),
            [&[0xFF, 0xFE], &*little].concat(),
            [&[0xFE, 0xFF], &*big].concat(),
            little,
            big,
        ] {
            assert_eq!(decode(&bytes).unwrap(), text);
        }
        assert_eq!(decode(b"").unwrap(), "");
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_position() {
        for (bytes, says) in [
            (&b"caf\xE9"[..], "Byte 3 (0xE9)"),
            (b"\xEF\xBB\xBFcaf\xE9", "Byte 6 (0xE9)"),
            (b"abc\0def", "zero at byte 3"),
            (b"\xFF\xFEa\0b", "cut off"),
            (b"\xFF\xFEa\0\0\xD8b\0", "bytes at 4"),
            (b"\xFF\xFE\0\0a\0\0\0", "UTF-32"),
        ] {
            let refusal = decode(bytes).unwrap_err().message;
            assert!(refusal.contains(says), "{refusal}");
        }
    }

    #[test]
    fn a_page_may_declare_an_encoding_of_its_own() {
        let page = b"<meta charset=\"windows-1252\"><p>caf\xE9 \x93quoted\x94";
        assert!(decode_html(page).unwrap().contains("café “quoted”"));
        assert!(decode_html(b"<p>caf\xE9").is_err());
        assert!(decode_html(b"<meta charset=\"shift_jis\"><p>\xE9").is_err());
    }
}
