//! Regular expressions that callers write.
//!
//! They are matched in time linear in the text, whatever they say. In return they have no
//! look-around and no back-references: a pattern with either is refused where it is read.

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
const MOST_BYTES: usize = 2 * 1024;

/// The most memory that one compiled pattern takes, in bytes; its lazily built tables take as much
/// again.
pub(crate) const COMPILED_BYTES: usize = 256 * 1024;

/// Compiles; the error says in one line why not.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("a regular expression must not be empty".to_owned());
    }
    if pattern.len() > MOST_BYTES {
        return Err(format!(
            "a regular expression has at most {MOST_BYTES} bytes"
        ));
    }
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "the regular expression is too large once it is compiled".to_owned()
            }
            other => format!("not a regular expression: {}", last_line(&other)),
        })
}

/// The parser draws the pattern first, and says what is wrong with it at the end.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default().trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_matched_in_linear_time_or_little_memory_is_refused() {
        for (pattern, text) in [
            ("", "must not be empty"),
            ("(", "not a regular expression: unclosed group"),
            ("(?=a)b", "look-around"),
            (r"(a)\1", "backreferences are not supported"),
            (r"\w{900}", "too large"),
            (&"a".repeat(MOST_BYTES + 1), "at most 2048 bytes"),
        ] {
            let error = compile(pattern).unwrap_err();
            assert!(error.contains(text), "{pattern:.20}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn patterns_are_searched_for_anywhere_in_the_text() {
        assert!(compile(r"(?i)h[ae]llo\b").unwrap().is_match("say HELLO."));
        assert!(!compile("^hello$").unwrap().is_match("say hello"));
    }
}
