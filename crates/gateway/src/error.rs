//! What a failed model call tells its caller: who failed, may it be tried again, and the
//! provider's own words.

use memchr::memmem;
use secrecy::{ExposeSecret, SecretString};

use crate::{http_client::SendError, retries::is_transient};

/// The most characters of a provider's message that are kept.
const MESSAGE_CHARS: usize = 1_000;

/// A model call that failed. Decide by the fields, never by the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Who failed.
    pub who: Who,
    /// The HTTP status that the provider gave.
    pub status: Option<u16>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The provider's own message when it sent one, at most 1,000 characters; never a header,
    /// never the key.
    pub message: String,
    /// Whether events had been handed out.
    pub phase: Phase,
    /// How many times the call was sent.
    pub attempts: u32,
}

/// Who failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The provider answered, and its answer is a refusal or nonsense.
    Upstream,
    /// The provider did not answer in time.
    Timeout,
    /// The provider could not be reached, or the connection broke.
    Network,
    /// This side: the call could not be made at all.
    Local,
}

/// How far the call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was handed out: the call may be repeated without a trace.
    BeforeFirstEvent,
    /// Events were handed out: what came may be half an answer.
    MidStream,
}

impl Error {
    pub(crate) fn new(who: Who, retryable: bool, message: impl Into<String>) -> Self {
        Self {
            who,
            status: None,
            retryable,
            message: message.into(),
            phase: Phase::BeforeFirstEvent,
            attempts: 1,
        }
    }

    /// The provider answered with a status that is no success.
    pub(crate) fn status(status: u16, message: impl Into<String>) -> Self {
        Self {
            status: Some(status),
            ..Self::new(Who::Upstream, is_transient(status), message)
        }
    }

    /// The provider's stream is not what it should be; another try may do better.
    pub(crate) fn nonsense(message: impl Into<String>) -> Self {
        Self::new(Who::Upstream, true, message)
    }
}

/// Why a provider could not be asked, in words.
pub(crate) fn unreachable(error: &SendError) -> String {
    match error {
        SendError::Refused(refusal) => refusal.to_string(),
        SendError::Broken(why) => format!("The connection to the provider broke: {why}."),
        SendError::Connect(_) | SendError::ConnectTimeout | SendError::Dns(_) | SendError::Tls => {
            format!("The provider could not be reached: {error}.")
        }
    }
}

/// A text without the key.
pub(crate) fn without_key(text: &str, key: Option<&SecretString>) -> String {
    match key.map(ExposeSecret::expose_secret) {
        Some(key) if !key.is_empty() => text.replace(key, "[key]"),
        _ => text.to_owned(),
    }
}

/// Bytes without the key; `None`: it is not among them.
pub(crate) fn bytes_without_key(bytes: &[u8], key: Option<&SecretString>) -> Option<Vec<u8>> {
    let key = key.map(|key| key.expose_secret().as_bytes());
    let key = key.filter(|key| !key.is_empty())?;
    let (mut out, mut rest) = (Vec::new(), 0);
    for at in memmem::find_iter(bytes, key) {
        out.extend_from_slice(&bytes[rest..at]);
        out.extend_from_slice(b"[key]");
        rest = at + key.len();
    }
    if rest == 0 {
        return None;
    }
    out.extend_from_slice(&bytes[rest..]);
    Some(out)
}

/// A provider's words, made fit to be shown: without the key, and not too long.
pub(crate) fn presentable(text: &str, key: Option<&SecretString>) -> String {
    let text = without_key(text, key);
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_lose_the_key_before_they_are_cut() {
        let key = SecretString::from("sk-made-up");
        let text = format!("{}sk-made-up", "é".repeat(995));
        let shown = presentable(&text, Some(&key));
        assert!(shown.ends_with("é[key]"), "{shown}");
        assert_eq!(shown.chars().count(), 1_000);
        assert_eq!(presentable("plain", Some(&SecretString::from(""))), "plain");
    }

    #[test]
    fn bytes_lose_the_key_and_nothing_else() {
        let key = SecretString::from("sk-made-up");
        let cleansed = |bytes: &[u8]| bytes_without_key(bytes, Some(&key));
        assert_eq!(
            cleansed(b"\xffsk-made-upsk-made-up."),
            Some(b"\xff[key][key].".to_vec())
        );
        assert_eq!(cleansed(b"sk-made"), None);
        assert_eq!(
            bytes_without_key(b"sk", Some(&SecretString::from(""))),
            None
        );
        assert_eq!(bytes_without_key(b"sk", None), None);
    }

    #[test]
    fn only_passing_statuses_are_retryable() {
        for status in [408, 429, 500, 502, 503, 504, 529] {
            assert!(Error::status(status, "").retryable, "{status}");
        }
        for status in [301, 400, 401, 403, 404, 409, 422, 501] {
            assert!(!Error::status(status, "").retryable, "{status}");
        }
    }
}
