//! Prefixed object ids (contract section 3).

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{Deserialize, Serialize};

/// A kind of object, known by the prefix of its ids.
pub trait IdKind {
    /// What a new id starts with, separator included: `asst_`.
    const PREFIX: &'static str;
    /// What an id in a request has to start with: `asst`. The original checked no more than this.
    const EXPECTED: &'static str;
    /// The object's name in error texts: `No assistant found with id ...`.
    const NOUN: &'static str;
    /// What new ids have behind the prefix.
    const TAIL: Tail = Tail::Alphanumeric(24);
}

/// What stands behind the prefix of a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// So many of `[A-Za-z0-9]`.
    Alphanumeric(usize),
    /// So many of `[0-9a-f]`.
    Hex(u32),
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $alias:ident, $prefix:literal, $expected:literal, $noun:literal $(, $tail:expr)?;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind {}
        impl IdKind for $kind {
            const PREFIX: &'static str = $prefix;
            const EXPECTED: &'static str = $expected;
            const NOUN: &'static str = $noun;
            $(const TAIL: Tail = $tail;)?
        }
        #[doc = concat!("Id of a ", $noun, ": `", $prefix, "...`.")]
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// Marks assistant ids.
    AssistantKind, AssistantId, "asst_", "asst", "assistant";
    /// Marks thread ids.
    ThreadKind, ThreadId, "thread_", "thread", "thread";
    /// Marks message ids.
    MessageKind, MessageId, "msg_", "msg", "message";
    /// Marks run ids.
    RunKind, RunId, "run_", "run", "run";
    /// Marks run step ids.
    StepKind, StepId, "step_", "step", "run step";
    /// Marks tool call ids.
    CallKind, CallId, "call_", "call", "tool call";
    /// Marks workspace ids.
    WorkspaceKind, WorkspaceId, "ws_", "ws", "workspace";
    /// Marks API key ids (the public id, never the secret).
    ApiKeyKind, ApiKeyId, "key_", "key", "API key";
    /// Marks ids of versions of a saved config.
    ConfigVersionKind, ConfigVersionId, "cv_", "cv", "config version";
    /// Marks log record ids.
    LogKind, LogId, "log_", "log", "log";
    /// Marks ids of exports of logs.
    ExportKind, ExportId, "export_", "export", "log export";
    /// Marks feedback ids.
    FeedbackKind, FeedbackId, "fb_", "fb", "feedback";
    /// Marks file ids.
    FileKind, FileId, "file-", "file", "file", Tail::Alphanumeric(22);
    /// Marks ids of uploads in parts.
    UploadKind, UploadId, "upload_", "upload", "upload", Tail::Hex(32);
    /// Marks ids of parts of uploads.
    PartKind, PartId, "part_", "part", "upload part", Tail::Hex(32);
    /// Marks ids of stored objects, which nobody outside sees.
    BlobKind, BlobId, "blob_", "blob", "blob";
    /// Marks vector store ids.
    VectorStoreKind, VectorStoreId, "vs_", "vs", "vector store", Tail::Hex(32);
    /// Marks ids of batches of files.
    FileBatchKind, FileBatchId, "vsfb_", "vsfb", "file batch", Tail::Hex(32);
}

/// An id of one kind. Cheap to clone. Imported ids keep whatever follows their prefix.
pub struct Id<K> {
    text: Arc<str>,
    kind: PhantomData<fn() -> K>,
}

/// The text does not start with the kind's prefix, or is no possible id at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an ID that begins with '{expected}'")]
pub struct InvalidId {
    /// What it should have started with.
    pub expected: &'static str,
}

impl<K: IdKind> Id<K> {
    /// Reads an id from a request or a row.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.starts_with(K::EXPECTED) && text.len() <= 256 {
            Ok(Self::trusted(text))
        } else {
            Err(InvalidId {
                expected: K::EXPECTED,
            })
        }
    }

    /// Takes a text that is known to be an id of this kind (made by us, or chosen by a provider,
    /// as the ids of function calls are).
    pub fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self {
            text: text.into(),
            kind: PhantomData,
        }
    }

    /// The id as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        Self {
            text: Arc::clone(&self.text),
            kind: PhantomData,
        }
    }
}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<K> Eq for Id<K> {}

impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<K> Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Arc::<str>::deserialize(deserializer)?;
        Ok(Self {
            text,
            kind: PhantomData,
        })
    }
}

/// Where new ids come from. The one real implementation draws from the operating system; tests
/// count.
pub trait IdGen: Send + Sync + 'static {
    /// Fills the buffer with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `length` characters of `[A-Za-z0-9]`, each equally likely.
pub fn random_text(ids: &dyn IdGen, length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 32];
    while text.len() < length {
        ids.fill(&mut bytes);
        // 248 = 4 x 62: a byte at or above it would favour the first characters.
        for byte in bytes.iter().filter(|byte| **byte < 248) {
            if text.len() == length {
                break;
            }
            text.push(char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]));
        }
    }
    text
}

/// A new id: the kind's prefix, and 22 to 32 characters (contract section 3).
pub fn new_id<K: IdKind>(ids: &dyn IdGen) -> Id<K> {
    let tail = match K::TAIL {
        Tail::Alphanumeric(length) => random_text(ids, length),
        Tail::Hex(length) => random_hex(ids, length),
    };
    Id::trusted([K::PREFIX, &tail].concat())
}

/// `length` characters of `[0-9a-f]`, each equally likely; at most 32.
fn random_hex(ids: &dyn IdGen, length: u32) -> String {
    let mut bytes = [0; 16];
    ids.fill(&mut bytes);
    let mut text = String::with_capacity(32);
    push_hex(&mut text, u128::from_be_bytes(bytes), length);
    text
}

/// Adds the lowest `digits` hexadecimal digits of a number to a text. Much cheaper than formatting.
pub fn push_hex(text: &mut String, number: u128, digits: u32) {
    let digit = |place: u32| char::from_digit((number >> (4 * place) & 0xf) as u32, 16);
    text.extend((0..digits).rev().filter_map(digit));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    struct Counting(AtomicU8);

    impl IdGen for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    #[test]
    fn an_id_is_checked_by_its_prefix_alone() {
        assert_eq!(AssistantId::parse("asst_1").unwrap().as_str(), "asst_1");
        assert_eq!(AssistantId::parse("wf_1").unwrap_err().expected, "asst");
        assert!(ThreadId::parse(&"thread_".repeat(100)).is_err());
    }

    #[test]
    fn new_ids_have_the_prefix_and_24_characters() {
        let ids = Counting(AtomicU8::new(200));
        let id: RunId = new_id(&ids);
        let rest = id.as_str().strip_prefix("run_").unwrap();
        assert_eq!(rest.len(), 24);
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(id, new_id(&ids));
    }

    #[test]
    fn files_and_uploads_have_forms_of_their_own() {
        let ids = Counting(AtomicU8::new(200));
        let file: FileId = new_id(&ids);
        let rest = file.as_str().strip_prefix("file-").unwrap();
        assert_eq!(rest.len(), 22);
        let upload: UploadId = new_id(&ids);
        let rest = upload.as_str().strip_prefix("upload_").unwrap();
        assert_eq!(rest.len(), 32);
        assert!(
            rest.bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        );
        let next: UploadId = new_id(&ids);
        assert_ne!(upload, next);
    }

    #[test]
    fn ids_are_plain_strings_in_json() {
        let id = RunId::trusted("run_1");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"run_1\"");
        assert_eq!(serde_json::from_str::<RunId>("\"run_1\"").unwrap(), id);
    }
}
