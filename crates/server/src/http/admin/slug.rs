//! Slugs: what callers name virtual keys and configs by.

use loomgate_domain::IdGen;

use super::fields::Fields;
use crate::error::AdminError;

/// The most characters of a slug.
pub(super) const LONGEST: usize = 64;
/// The most characters that a name lends to its slug.
const OF_NAME: usize = 40;

/// A slug made from a name: `openai-main-1a2b3c`.
pub(super) fn of_name(prefix: &str, name: &str, ids: &dyn IdGen) -> String {
    let mut slug = prefix.to_owned();
    for letter in name.chars().take(OF_NAME) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    if !slug.is_empty() && !slug.ends_with('-') {
        slug.push('-');
    }
    let mut bytes = [0; 4];
    ids.fill(&mut bytes);
    let number = u32::from_be_bytes(bytes) >> 8;
    format!("{slug}{number:06x}")
}

/// Takes the slug that a client chose.
pub(super) fn chosen(body: &mut Fields) -> Result<Option<String>, AdminError> {
    let Some(slug) = body.text("slug", LONGEST)?.into_option() else {
        return Ok(None);
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // Clients take the others out of a path.
    let is_name = slug.bytes().any(|byte| byte != b'.');
    if slug.bytes().all(allowed) && is_name {
        Ok(Some(slug))
    } else {
        let expected = "letters, digits, '-', '_' and '.', not dots alone";
        Err(body.wrong("slug", expected, format!("'{slug}'")))
    }
}

/// Takes the slug of an update, which SDKs repeat from the path: it can not be changed.
pub(super) fn repeated(body: &mut Fields, slug: &str) -> Result<(), AdminError> {
    match chosen(body)? {
        Some(other) if other != slug => {
            let message = "A slug can not be changed: make another one, and delete this one.";
            Err(body.refuse("slug", message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;

    impl IdGen for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0x1f);
        }
    }

    #[test]
    fn slugs_are_made_of_names() {
        for (prefix, name, slug) in [
            ("", "Open AI (main)", "open-ai-main-1f1f1f"),
            ("pc-", "Fast!", "pc-fast-1f1f1f"),
            ("", "\u{65e5}\u{672c}", "1f1f1f"),
            ("pc-", "???", "pc-1f1f1f"),
        ] {
            assert_eq!(of_name(prefix, name, &Ones), slug);
        }
        assert!(of_name("pc-", &"a".repeat(500), &Ones).len() <= LONGEST);
    }
}
