//! The master keys, and the text they are kept as.

use std::{collections::BTreeMap, fmt};

use secrecy::{ExposeSecret, SecretBox, SecretString};
use zeroize::Zeroizing;

/// Bytes of a master key.
pub(crate) const KEY_BYTES: usize = 32;

/// The highest version a text may name.
const MAX_VERSION: u32 = 1_000_000;

/// Versioned master keys; the highest version seals, all of them open. The bytes are overwritten
/// when this is dropped.
pub struct MasterKeys {
    /// Never empty.
    versions: BTreeMap<u32, SecretBox<[u8; KEY_BYTES]>>,
    current: u32,
}

/// A text that holds no master keys. Tells the line, counted from 1, never what stands in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeysError {
    /// There is no key in it.
    #[error("there is no master key")]
    Empty,
    /// A line is not `VERSION:KEY`, with a version from 1 to 1,000,000 and 64 hex digits.
    #[error("line {0} is not a version, a colon and 64 hex digits")]
    Line(usize),
    /// A line names a version again.
    #[error("line {0} names a version for the second time")]
    Repeated(usize),
}

impl MasterKeys {
    /// A first key, version 1. `random` fills what it is given with random bytes.
    pub fn generate(random: &mut dyn FnMut(&mut [u8])) -> Self {
        Self {
            versions: BTreeMap::from([(1, fresh(random))]),
            current: 1,
        }
    }

    /// Reads lines of `VERSION:64 hex digits`, in any order; empty lines and lines that start with
    /// `#` are skipped. A version may be missing: secrets sealed with it no longer open.
    pub fn parse(text: &str) -> Result<Self, MasterKeysError> {
        let mut versions = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (version, key) = parse_line(line).ok_or(MasterKeysError::Line(number))?;
            if versions.insert(version, key).is_some() {
                return Err(MasterKeysError::Repeated(number));
            }
        }
        let (current, _) = versions.last_key_value().ok_or(MasterKeysError::Empty)?;
        let current = *current;
        Ok(Self { versions, current })
    }

    /// The text that [`Self::parse`] reads: a line for each key, oldest first.
    pub fn to_text(&self) -> SecretString {
        // Room for all of it, so that no half-written copy is left behind by growing.
        let line = 8 + 1 + 2 * KEY_BYTES + 1;
        let mut text = Zeroizing::new(String::with_capacity(line * self.versions.len()));
        for (version, key) in &self.versions {
            text.push_str(&version.to_string());
            text.push(':');
            for byte in key.expose_secret() {
                text.push(hex_digit(byte >> 4));
                text.push(hex_digit(byte & 15));
            }
            text.push('\n');
        }
        SecretString::from(text.as_str())
    }

    /// Adds a key with the next version, which seals from now on, and tells that version.
    pub fn rotate(&mut self, random: &mut dyn FnMut(&mut [u8])) -> u32 {
        self.current = self.current.saturating_add(1);
        self.versions.insert(self.current, fresh(random));
        self.current
    }

    /// The version that seals.
    pub fn current_version(&self) -> u32 {
        self.current
    }

    pub(crate) fn get(&self, version: u32) -> Option<&[u8; KEY_BYTES]> {
        self.versions.get(&version).map(ExposeSecret::expose_secret)
    }
}

impl fmt::Debug for MasterKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MasterKeys")
            .field("versions", &self.versions.keys())
            .finish_non_exhaustive()
    }
}

fn fresh(random: &mut dyn FnMut(&mut [u8])) -> SecretBox<[u8; KEY_BYTES]> {
    SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| random(key))
}

fn parse_line(line: &str) -> Option<(u32, SecretBox<[u8; KEY_BYTES]>)> {
    let (version, digits) = line.split_once(':')?;
    let version = parse_version(version).filter(|version| *version <= MAX_VERSION)?;
    let digits = digits.trim().as_bytes();
    if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let key = SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| {
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_value(pair[0]) << 4 | hex_value(pair[1]);
        }
    });
    Some((version, key))
}

/// A version is a decimal number from 1, written in the one usual way.
pub(crate) fn parse_version(text: &str) -> Option<u32> {
    let usual = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if usual { text.parse().ok() } else { None }
}

fn hex_digit(value: u8) -> char {
    char::from(if value < 10 {
        b'0' + value
    } else {
        b'a' + value - 10
    })
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const TWO: &str = "2:FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0efeeedecebeae9e8e7e6e5e4e3e2e1e0";

    fn error(text: &str) -> MasterKeysError {
        MasterKeys::parse(text).unwrap_err()
    }

    #[test]
    fn a_text_is_read_with_comments_in_any_order_and_case() {
        let text = format!("# the newest key comes first\n\n  {TWO}  \r\n{ONE}\n");
        let keys = MasterKeys::parse(&text).unwrap();
        assert_eq!(keys.current_version(), 2);
        let one: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(keys.get(1), Some(&one));
        assert_eq!(keys.get(2), Some(&one.map(|byte| 255 - byte)));
        assert_eq!(keys.get(3), None);
        let written = keys.to_text();
        let expected = format!("{ONE}\n{}\n", TWO.to_lowercase());
        assert_eq!(written.expose_secret(), expected);
    }

    #[test]
    fn a_fault_tells_its_line_and_nothing_of_the_key() {
        assert_eq!(error(""), MasterKeysError::Empty);
        assert_eq!(error("# nothing\n"), MasterKeysError::Empty);
        assert_eq!(
            error(&format!("{ONE}\n{ONE}")),
            MasterKeysError::Repeated(2)
        );
        let long = format!("{ONE}0");
        let (short, zero, signed, padded, far) = (
            &ONE[..65],
            ONE.replace("1:", "0:"),
            format!("+{ONE}"),
            format!("0{ONE}"),
            format!("100000{ONE}"),
        );
        let sharp = ONE.replace("1f", "1g");
        let wide = format!("{}é", &ONE[..64]);
        for bad in [
            short, &long, &zero, &signed, &padded, &far, &sharp, &wide, "key", ":", "1:",
        ] {
            let error = error(&format!("#\n{bad}\n"));
            assert_eq!(error, MasterKeysError::Line(2), "{bad}");
            assert!(!format!("{error:?} {error}").contains("0a0b"));
        }
    }

    #[test]
    fn rotation_adds_a_version_after_the_newest() {
        let mut next = 0;
        let mut random = |bytes: &mut [u8]| {
            next += 1;
            bytes.fill(next);
        };
        let mut keys = MasterKeys::generate(&mut random);
        assert_eq!(keys.current_version(), 1);
        assert_eq!(keys.rotate(&mut random), 2);
        assert_eq!((keys.get(1), keys.get(2)), (Some(&[1; 32]), Some(&[2; 32])));
        let mut keys = MasterKeys::parse(&TWO.replace("2:", "7:")).unwrap();
        assert_eq!(keys.rotate(&mut random), 8, "old versions may be missing");
    }

    #[test]
    fn debug_shows_versions_only() {
        let keys = MasterKeys::parse(&format!("{ONE}\n{TWO}")).unwrap();
        assert_eq!(format!("{keys:?}"), "MasterKeys { versions: [1, 2], .. }");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "(1|2|0)?:?[0-9a-fA-F#\n é]{0,140}") {
            let _read = MasterKeys::parse(&text);
        }

        #[test]
        fn keys_survive_being_written(keys in prop::collection::btree_map(1..=1_000_000u32, any::<[u8; 32]>(), 1..5)) {
            let versions = keys.iter().map(|(v, key)| (*v, SecretBox::new(Box::new(*key)))).collect();
            let current = *keys.last_key_value().unwrap().0;
            let written = MasterKeys { versions, current };
            let read = MasterKeys::parse(written.to_text().expose_secret()).unwrap();
            prop_assert_eq!(read.current_version(), current);
            for (version, key) in &keys {
                prop_assert_eq!(read.get(*version), Some(key));
            }
        }
    }
}
