//! Bodies of the vector store operations (contract sections 11.4 to 11.7).

use loomgate_domain::{
    FileId, IdKind, Limits, Metadata, Patch,
    id::FileKind,
    vector_store::{Attributes, Chunking},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Request,
    chunking::{CHUNKING, ChunkingBody, chunking},
    convert,
};
use crate::{
    Problem,
    shape::{
        Array, Cap, Field, Format, Object, Rule, STRING, Shape, Text, Violation, list_of, object,
        one_of, read,
    },
};

/// The most files that come with a new store.
const FIRST_FILES: usize = 500;
/// The most files of a batch.
const BATCH_FILES: usize = 2000;

/// `POST /vector_stores`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CreateVectorStore {
    /// Files to put into it.
    pub file_ids: Vec<FileId>,
    /// How these are cut up.
    pub chunking: Chunking,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Days without activity after which it expires.
    pub expires_after_days: Option<u32>,
    /// The client's own pairs.
    pub metadata: Metadata,
}

/// `POST /vector_stores/{vector_store_id}`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModifyVectorStore {
    /// Its name.
    pub name: Patch<String>,
    /// Days without activity after which it expires.
    pub expires_after_days: Patch<u32>,
    /// The client's own pairs: the whole map is replaced.
    pub metadata: Patch<Metadata>,
}

/// `POST /vector_stores/{vector_store_id}/files`, and an item of a batch
#[derive(Debug, Clone, PartialEq)]
pub struct CreateVectorStoreFile {
    /// The file.
    pub file_id: FileId,
    /// How it is cut up.
    pub chunking: Chunking,
    /// What searches are narrowed down by.
    pub attributes: Attributes,
}

/// `POST /vector_stores/{vector_store_id}/files/{file_id}`
#[derive(Debug, Clone, PartialEq)]
pub struct ModifyVectorStoreFile {
    /// What searches are narrowed down by: the whole map is replaced.
    pub attributes: Attributes,
}

/// `POST /vector_stores/{vector_store_id}/file_batches`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateFileBatch {
    /// The files.
    pub files: Vec<CreateVectorStoreFile>,
}

static EXPIRES_AFTER: Shape = object(
    "VectorStoreExpiration",
    "When a vector store expires.",
    &[
        Field::required("anchor", &one_of(&["last_active_at"]), "From when on."),
        Field::required(
            "days",
            &Shape::Integer {
                min: Some(1),
                max: Some(365),
            },
            "Days without activity.",
        ),
    ],
);

pub(super) static FILE_ID: Shape = Shape::Text(Text {
    min: 0,
    max: Cap::None,
    bytes: false,
    format: Format::Id(FileKind::EXPECTED),
});

const EXPIRY: Field =
    Field::optional("expires_after", &EXPIRES_AFTER, "When it expires.").nullable();
const METADATA: Field =
    Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable();
const CHUNKING_STRATEGY: Field =
    Field::optional("chunking_strategy", &CHUNKING, "How the files are cut up.").nullable();
const ATTRIBUTES: Field = Field::optional(
    "attributes",
    &Shape::Attributes,
    "What searches are narrowed down by.",
)
.nullable();

static CREATE: Shape = object(
    "CreateVectorStoreRequest",
    "A new vector store.",
    &[
        Field::optional(
            "file_ids",
            &list_of(&FILE_ID, Cap::At(FIRST_FILES)),
            "Files to put into it.",
        )
        .nullable(),
        Field::optional("name", &STRING, "Its name.").nullable(),
        Field::optional("description", &STRING, "What it is for.").nullable(),
        EXPIRY,
        CHUNKING_STRATEGY,
        METADATA,
    ],
);

static MODIFY: Shape = object(
    "ModifyVectorStoreRequest",
    "Fields left out keep their value; null resets them.",
    &[
        Field::optional("name", &STRING, "Its name.").nullable(),
        EXPIRY,
        METADATA,
    ],
);

static FILE: Shape = object(
    "CreateVectorStoreFileRequest",
    "A file for a vector store.",
    &[
        Field::required("file_id", &FILE_ID, "The file."),
        CHUNKING_STRATEGY,
        ATTRIBUTES,
    ],
);

static MODIFY_FILE: Shape = object(
    "ModifyVectorStoreFileRequest",
    "What is said of a file in a vector store.",
    &[Field::required(
        "attributes",
        &Shape::Attributes,
        "What searches are narrowed down by; the whole map is replaced.",
    )
    .nullable()],
);

const fn batch_of(items: &'static Shape) -> Shape {
    Shape::Array(Array {
        items,
        min: 1,
        max: Cap::At(BATCH_FILES),
        rule: None,
    })
}

static BATCH: Shape = Shape::Object(Object {
    name: "CreateFileBatchRequest",
    doc: "Files for a vector store.",
    fields: &[
        Field::optional("file_ids", &batch_of(&FILE_ID), "The files.").nullable(),
        Field::optional(
            "files",
            &batch_of(&FILE),
            "The files, each with settings of its own.",
        )
        .nullable(),
        Field::optional(
            "chunking_strategy",
            &CHUNKING,
            "How files in `file_ids` are cut up.",
        )
        .nullable(),
        Field::optional(
            "attributes",
            &Shape::Attributes,
            "What searches are narrowed down by, of files in `file_ids`.",
        )
        .nullable(),
    ],
    rule: Some(ONE_LIST),
});

const ONE_LIST: Rule = Rule {
    broken: |body| {
        let has = |name| body.get(name).is_some_and(|list: &Value| !list.is_null());
        match (has("file_ids"), has("files")) {
            (true, true) => Some(Violation {
                at: "files",
                text: |_| {
                    "Mutually exclusive parameters. Ensure you are only providing one of: \
                     'file_ids' or 'files'."
                        .to_owned()
                },
                code: "mutually_exclusive_parameters",
            }),
            (false, false) => Some(Violation {
                at: "file_ids",
                text: |path| format!("Missing required parameter: '{path}'."),
                code: "missing_required_parameter",
            }),
            _ => None,
        }
    },
    schema: r#"{"oneOf": [
        {"required": ["file_ids"], "properties": {"file_ids": {"type": "array"}, "files": {"type": "null"}}},
        {"required": ["files"], "properties": {"files": {"type": "array"}, "file_ids": {"type": "null"}}}
    ]}"#,
};

#[derive(Deserialize)]
struct ExpiryBody {
    days: u32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CreateBody {
    file_ids: Option<Vec<FileId>>,
    name: Option<String>,
    description: Option<String>,
    expires_after: Option<ExpiryBody>,
    chunking_strategy: Option<ChunkingBody>,
    metadata: Option<Metadata>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ModifyBody {
    name: Patch<String>,
    expires_after: Patch<ExpiryBody>,
    metadata: Patch<Metadata>,
}

#[derive(Deserialize)]
struct FileBody {
    file_id: FileId,
    chunking_strategy: Option<ChunkingBody>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct ModifyFileBody {
    attributes: Option<Attributes>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BatchBody {
    file_ids: Option<Vec<FileId>>,
    files: Option<Vec<FileBody>>,
    chunking_strategy: Option<ChunkingBody>,
    attributes: Option<Attributes>,
}

impl From<FileBody> for CreateVectorStoreFile {
    fn from(body: FileBody) -> Self {
        Self {
            file_id: body.file_id,
            chunking: chunking(body.chunking_strategy),
            attributes: body.attributes.unwrap_or_default(),
        }
    }
}

impl Request for CreateVectorStore {
    fn shape() -> &'static Shape {
        &CREATE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: CreateBody = read(&CREATE, value, limits)?;
        Ok(Self {
            file_ids: body.file_ids.unwrap_or_default(),
            chunking: chunking(body.chunking_strategy),
            name: body.name,
            description: body.description,
            expires_after_days: body.expires_after.map(|after| after.days),
            metadata: body.metadata.unwrap_or_default(),
        })
    }
}

impl Request for ModifyVectorStore {
    fn shape() -> &'static Shape {
        &MODIFY
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: ModifyBody = read(&MODIFY, value, limits)?;
        Ok(Self {
            name: body.name,
            expires_after_days: convert(body.expires_after, |after| after.days),
            metadata: body.metadata,
        })
    }
}

impl Request for CreateVectorStoreFile {
    fn shape() -> &'static Shape {
        &FILE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        read::<FileBody>(&FILE, value, limits).map(Self::from)
    }
}

impl Request for ModifyVectorStoreFile {
    fn shape() -> &'static Shape {
        &MODIFY_FILE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: ModifyFileBody = read(&MODIFY_FILE, value, limits)?;
        Ok(Self {
            attributes: body.attributes.unwrap_or_default(),
        })
    }
}

impl Request for CreateFileBatch {
    fn shape() -> &'static Shape {
        &BATCH
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: BatchBody = read(&BATCH, value, limits)?;
        if let Some(files) = body.files {
            let files = files.into_iter().map(CreateVectorStoreFile::from);
            return Ok(Self {
                files: files.collect(),
            });
        }
        let chunking = chunking(body.chunking_strategy);
        let attributes = body.attributes.unwrap_or_default();
        let file = |file_id| CreateVectorStoreFile {
            file_id,
            chunking,
            attributes: attributes.clone(),
        };
        let ids = body.file_ids.unwrap_or_default();
        Ok(Self {
            files: ids.into_iter().map(file).collect(),
        })
    }
}
