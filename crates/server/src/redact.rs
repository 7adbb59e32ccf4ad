//! Bodies as the logbook may keep them: cut, and without what looks like a secret.

use bytes::Bytes;

/// What keys of well-known providers, and of Loomgate, begin with.
const PREFIXES: [&str; 9] = [
    "sk-", "lg-", "pk-", "gsk_", "AIza", "Bearer ", "xai-", "hf_", "pplx-",
];
/// A word after such a beginning is a secret from this length on.
const SHORTEST: usize = 12;
const SHOWN: &str = "[redacted]";

/// The same, without a secret that is known, whatever it looks like.
pub(crate) fn shown_without(body: &Bytes, most: usize, secret: &str) -> String {
    let shown = shown(body, most);
    if secret.is_empty() {
        return shown;
    }
    shown.replace(secret, SHOWN)
}

/// The first `most` bytes of a body, with what looks like a secret taken out.
pub(crate) fn shown(body: &Bytes, most: usize) -> String {
    // Secrets are looked for in all that was kept, and a cut one at the end is one too.
    let text = String::from_utf8_lossy(&body[..body.len().min(most)]);
    let mut out = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((at, prefix)) = next_prefix(rest) {
        let begins_word = rest[..at]
            .chars()
            .next_back()
            .is_none_or(|before| !before.is_ascii_alphanumeric());
        let after = &rest[at + prefix.len()..];
        let length = after
            .find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.~+/=".contains(letter)))
            .unwrap_or(after.len());
        out.push_str(&rest[..at]);
        if begins_word && length >= SHORTEST {
            out.push_str(SHOWN);
        } else {
            out.push_str(&rest[at..at + prefix.len() + length]);
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    out
}

fn next_prefix(text: &str) -> Option<(usize, &'static str)> {
    let found = PREFIXES
        .iter()
        .filter_map(|prefix| text.find(prefix).map(|at| (at, *prefix)));
    found.min_by_key(|(at, _)| *at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_secret_is_taken_out() {
        let shown = |text: &'static str| shown(&Bytes::from_static(text.as_bytes()), 1_000);
        assert_eq!(
            shown(r#"{"key":"sk-0123456789abcdef","n":1}"#),
            r#"{"key":"[redacted]","n":1}"#
        );
        assert_eq!(
            shown("Authorization: Bearer abcdefghijklmnop\nok"),
            "Authorization: [redacted]\nok"
        );
        assert_eq!(
            shown("risk-averse task-0123456789abcdef"),
            "risk-averse task-0123456789abcdef"
        );
        assert_eq!(shown("sk-short"), "sk-short");
        assert_eq!(
            shown("lg-AbCdEfGhIjKlMnOp lg-AbCdEfGhIjKlMnOp"),
            "[redacted] [redacted]"
        );
    }

    #[test]
    fn long_bodies_are_cut() {
        let body = Bytes::from("é".repeat(10));
        assert_eq!(shown(&body, 4), "éé");
        assert_eq!(shown(&body, 3).chars().next(), Some('é'));
    }
}
