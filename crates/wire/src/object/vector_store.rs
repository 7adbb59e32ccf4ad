//! Vector stores, the files in them, batches, and what searches find (contract sections 11.4 to 11.8).

use loomgate_domain::{
    self as domain, FileBatchId, FileId, Metadata, Timestamp, VectorStoreId,
    vector_store::{Attributes, Chunking, FileCounts as Counts, IndexingError},
};
use serde::Serialize;

use super::{COUNT, TIME, assistant::NUMBER, kind, list::Identified};
use crate::shape::{Field, STRING, Shape, inline, list, object, one_of};

/// A vector store, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct VectorStore<'a> {
    pub id: &'a VectorStoreId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub name: Option<&'a str>,
    pub description: Option<&'a str>,
    pub usage_bytes: u64,
    pub file_counts: FileCounts,
    pub status: &'static str,
    pub expires_after: Option<ExpiresAfter>,
    pub expires_at: Option<Timestamp>,
    pub last_active_at: Timestamp,
    pub metadata: &'a Metadata,
}

/// How many files are in which status.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "each is named after the status that it counts")]
pub struct FileCounts {
    pub in_progress: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub total: u64,
}

/// When a store expires.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ExpiresAfter {
    /// `last_active_at`
    pub anchor: &'static str,
    /// Days without activity.
    pub days: u32,
}

impl<'a> VectorStore<'a> {
    /// A store as it is at a moment.
    pub fn at(record: &'a domain::VectorStore, now: Timestamp) -> Self {
        let expires_after = record.expires_after_days.map(|days| ExpiresAfter {
            anchor: "last_active_at",
            days,
        });
        Self {
            id: &record.id,
            object: "vector_store",
            created_at: record.created_at,
            name: record.name.as_deref(),
            description: record.description.as_deref(),
            usage_bytes: record.usage_bytes,
            file_counts: record.file_counts.into(),
            status: record.status(now).as_str(),
            expires_after,
            expires_at: record.expires_at(),
            last_active_at: record.last_active_at,
            metadata: &record.metadata,
        }
    }
}

impl From<Counts> for FileCounts {
    fn from(counts: Counts) -> Self {
        Self {
            in_progress: counts.in_progress,
            completed: counts.completed,
            failed: counts.failed,
            cancelled: counts.cancelled,
            total: counts.total(),
        }
    }
}

impl Identified for VectorStore<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// A file in a store, as clients see it. Its id is that of the file.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct VectorStoreFile<'a> {
    pub id: &'a FileId,
    pub object: &'static str,
    pub usage_bytes: u64,
    pub created_at: Timestamp,
    pub vector_store_id: &'a VectorStoreId,
    pub status: &'static str,
    pub last_error: Option<&'a IndexingError>,
    pub chunking_strategy: ChunkingStrategy,
    pub attributes: &'a Attributes,
}

/// How a file is cut up. `auto` is shown as what it stands for.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ChunkingStrategy {
    r#type: &'static str,
    r#static: Sizes,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Sizes {
    max_chunk_size_tokens: u32,
    chunk_overlap_tokens: u32,
}

impl From<Chunking> for ChunkingStrategy {
    fn from(chunking: Chunking) -> Self {
        Self {
            r#type: "static",
            r#static: Sizes {
                max_chunk_size_tokens: chunking.max_tokens,
                chunk_overlap_tokens: chunking.overlap_tokens,
            },
        }
    }
}

impl<'a> From<&'a domain::vector_store::VectorStoreFile> for VectorStoreFile<'a> {
    fn from(record: &'a domain::vector_store::VectorStoreFile) -> Self {
        Self {
            id: &record.file_id,
            object: "vector_store.file",
            usage_bytes: record.usage_bytes,
            created_at: record.created_at,
            vector_store_id: &record.vector_store_id,
            status: record.status.as_str(),
            last_error: record.last_error.as_ref(),
            chunking_strategy: record.chunking.into(),
            attributes: &record.attributes,
        }
    }
}

impl Identified for VectorStoreFile<'_> {
    fn id(&self) -> &str {
        self.id.as_str()
    }
}

/// A batch of files, as clients see it.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct FileBatch<'a> {
    pub id: &'a FileBatchId,
    pub object: &'static str,
    pub created_at: Timestamp,
    pub status: &'static str,
    pub vector_store_id: &'a VectorStoreId,
    pub file_counts: FileCounts,
}

impl<'a> From<&'a domain::vector_store::FileBatch> for FileBatch<'a> {
    fn from(record: &'a domain::vector_store::FileBatch) -> Self {
        Self {
            id: &record.id,
            object: "vector_store.file_batch",
            created_at: record.created_at,
            status: record.status().as_str(),
            vector_store_id: &record.vector_store_id,
            file_counts: record.file_counts.into(),
        }
    }
}

/// Words.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct TextPart<'a> {
    r#type: &'static str,
    text: &'a str,
}

impl<'a> TextPart<'a> {
    /// These.
    pub fn new(text: &'a str) -> Self {
        Self {
            r#type: "text",
            text,
        }
    }
}

/// A page that is the only one, of a file's text or of results.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shapes below say what each field is")]
pub struct OnePage<'a, T> {
    pub object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_query: Option<&'a [String]>,
    pub data: Vec<T>,
    pub has_more: bool,
    pub next_page: Option<&'a str>,
}

impl<'a> OnePage<'a, TextPart<'a>> {
    /// The text of a file; none where it is not indexed.
    pub fn content(text: &'a str) -> Self {
        let parts = Some(text).filter(|text| !text.is_empty());
        Self {
            object: "vector_store.file_content.page",
            search_query: None,
            data: parts.map(TextPart::new).into_iter().collect(),
            has_more: false,
            next_page: None,
        }
    }
}

impl<'a> OnePage<'a, SearchResult<'a>> {
    /// What a search found, for these queries.
    pub fn results(queries: &'a [String], data: Vec<SearchResult<'a>>) -> Self {
        Self {
            object: "vector_store.search_results.page",
            search_query: Some(queries),
            data,
            has_more: false,
            next_page: None,
        }
    }
}

/// A chunk that was found.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the shape below says what each field is")]
pub struct SearchResult<'a> {
    pub file_id: &'a FileId,
    pub filename: &'a str,
    pub score: f64,
    pub attributes: &'a Attributes,
    pub content: [TextPart<'a>; 1],
}

static COUNTS: Shape = object(
    "FileCounts",
    "How many files are in which status.",
    &[
        Field::required("in_progress", &COUNT, "Not indexed yet."),
        Field::required("completed", &COUNT, "Indexed."),
        Field::required("failed", &COUNT, "Those that can not be indexed."),
        Field::required(
            "cancelled",
            &COUNT,
            "Those that nobody wants indexed any more.",
        ),
        Field::required("total", &COUNT, "All."),
    ],
);

static EXPIRY: Shape = inline(&[
    Field::required("anchor", &one_of(&["last_active_at"]), "From when on."),
    Field::required("days", &COUNT, "Days without activity."),
]);

/// The shape of a vector store.
pub static SHAPE: Shape = object(
    "VectorStore",
    "Files that can be searched.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required("object", &kind(&["vector_store"]), "What this is."),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required("name", &STRING, "Its name.").nullable(),
        Field::required("description", &STRING, "What it is for.").nullable(),
        Field::required("usage_bytes", &COUNT, "What its indexed files take."),
        Field::required(
            "file_counts",
            &COUNTS,
            "How many files are in which status.",
        ),
        Field::required(
            "status",
            &one_of(&["expired", "in_progress", "completed"]),
            "`in_progress` while any of its files is.",
        ),
        Field::required("expires_after", &EXPIRY, "When it expires.").nullable(),
        Field::required("expires_at", &TIME, "When it expires, in unix seconds.").nullable(),
        Field::required(
            "last_active_at",
            &TIME,
            "When it was made or searched last.",
        ),
        Field::required("metadata", &Shape::Metadata, "The client's own pairs."),
    ],
);

static STATIC: Shape = inline(&[
    Field::required("type", &one_of(&["static"]), "What this is."),
    Field::required(
        "static",
        &inline(&[
            Field::required("max_chunk_size_tokens", &COUNT, "Size of a chunk."),
            Field::required("chunk_overlap_tokens", &COUNT, "What two neighbours share."),
        ]),
        "The sizes.",
    ),
]);

static LAST_ERROR: Shape = inline(&[
    Field::required(
        "code",
        &one_of(&["server_error", "unsupported_file", "invalid_file"]),
        "For programs.",
    ),
    Field::required("message", &STRING, "For people."),
]);

/// The shape of a file in a vector store.
pub static FILE: Shape = object(
    "VectorStoreFile",
    "A file in a vector store.",
    &[
        Field::required("id", &STRING, "The file's id."),
        Field::required("object", &kind(&["vector_store.file"]), "What this is."),
        Field::required(
            "usage_bytes",
            &COUNT,
            "What it takes; 0 until it is indexed.",
        ),
        Field::required(
            "created_at",
            &TIME,
            "When it was put there, in unix seconds.",
        ),
        Field::required("vector_store_id", &STRING, "The store."),
        Field::required(
            "status",
            &one_of(&["in_progress", "completed", "failed", "cancelled"]),
            "How far it is.",
        ),
        Field::required("last_error", &LAST_ERROR, "Why it has failed.").nullable(),
        Field::required("chunking_strategy", &STATIC, "How it is cut up."),
        Field::required(
            "attributes",
            &Shape::Attributes,
            "What searches are narrowed down by.",
        ),
    ],
);

/// The shape of a batch of files.
pub static BATCH: Shape = object(
    "FileBatch",
    "Files that were put into a vector store together.",
    &[
        Field::required("id", &STRING, "Its id."),
        Field::required(
            "object",
            &kind(&["vector_store.file_batch"]),
            "What this is.",
        ),
        Field::required("created_at", &TIME, "When it was made, in unix seconds."),
        Field::required(
            "status",
            &one_of(&["in_progress", "completed", "cancelled"]),
            "`completed` also where files have failed.",
        ),
        Field::required("vector_store_id", &STRING, "The store."),
        Field::required(
            "file_counts",
            &COUNTS,
            "How many files are in which status.",
        ),
    ],
);

static TEXT: Shape = inline(&[
    Field::required("type", &one_of(&["text"]), "What this is."),
    Field::required("text", &STRING, "The words."),
]);

const MORE: Field = Field::required("has_more", &Shape::Boolean, "Always false.");
const NEXT: Field = Field::required("next_page", &STRING, "Always null.").nullable();

/// The shape of a file's text.
pub static CONTENT: Shape = object(
    "VectorStoreFileContent",
    "The text of a file, as it was read.",
    &[
        Field::required(
            "object",
            &kind(&["vector_store.file_content.page"]),
            "What this is.",
        ),
        Field::required("data", &list(&TEXT), "Empty until the file is indexed."),
        MORE,
        NEXT,
    ],
);

static RESULT: Shape = object(
    "VectorStoreSearchResult",
    "A chunk that was found.",
    &[
        Field::required("file_id", &STRING, "The file."),
        Field::required("filename", &STRING, "Its name."),
        Field::required("score", &NUMBER, "How well it fits; 0 to 1."),
        Field::required(
            "attributes",
            &Shape::Attributes,
            "What is said of the file.",
        ),
        Field::required("content", &list(&TEXT), "The chunk."),
    ],
);

/// The shape of what a search found.
pub static RESULTS: Shape = object(
    "VectorStoreSearchResults",
    "What a search found, best first.",
    &[
        Field::required(
            "object",
            &kind(&["vector_store.search_results.page"]),
            "What this is.",
        ),
        Field::required("search_query", &list(&STRING), "What was searched for."),
        Field::required("data", &list(&RESULT), "The chunks."),
        MORE,
        NEXT,
    ],
);
