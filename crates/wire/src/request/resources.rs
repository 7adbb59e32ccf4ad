//! Files and stores that tools may use, as requests carry them (contract section 5.3).

use loomgate_domain::{
    FileId, Metadata, limits,
    tool::{CodeInterpreterResources, FileSearchResources, ToolResources},
};
use serde::Deserialize;

use super::{
    chunking::{CHUNKING, ChunkingBody, chunking},
    vector_store::{CreateVectorStore, FILE_ID},
};
use crate::shape::{Cap, Field, Object, Rule, STRING, Shape, Violation, inline, list_of, object};

/// The most files of a vector store that is made along the way.
const STORE_FILES: usize = 10_000;

/// Resources by id, and the helper that makes a vector store along the way.
pub static NEW_RESOURCES: Shape = object(
    "NewToolResources",
    "Files and stores that tools may use.",
    &[
        CODE_INTERPRETER,
        Field::optional(
            "file_search",
            &Shape::Object(Object {
                name: "",
                doc: "",
                fields: &[
                    STORE_IDS,
                    Field::optional(
                        "vector_stores",
                        &list_of(&NEW_STORE, Cap::At(1)),
                        "Makes a vector store, which `vector_store_ids` names then.",
                    )
                    .nullable(),
                ],
                rule: Some(STORES),
            }),
            "For file search.",
        )
        .nullable(),
    ],
);

/// Resources by id.
pub static RESOURCES: Shape = object(
    "ToolResourcesRequest",
    "Files and stores that tools may use.",
    &[
        CODE_INTERPRETER,
        Field::optional(
            "file_search",
            &inline(&[STORE_IDS, Field::only_null("vector_stores")]),
            "For file search.",
        )
        .nullable(),
    ],
);

const CODE_INTERPRETER: Field = Field::optional(
    "code_interpreter",
    &inline(&[Field::optional(
        "file_ids",
        &list_of(&STRING, Cap::At(limits::CODE_INTERPRETER_FILES)),
        "Files to put before the interpreter.",
    )
    .or("[]")]),
    "For the code interpreter.",
)
.nullable();

const STORE_IDS: Field = Field::optional(
    "vector_store_ids",
    &list_of(&STRING, Cap::At(1)),
    "The vector store to search.",
)
.nullable();

static NEW_STORE: Shape = inline(&[
    Field::optional(
        "file_ids",
        &list_of(&FILE_ID, Cap::At(STORE_FILES)),
        "Files to put into the store.",
    ),
    Field::optional("chunking_strategy", &CHUNKING, "How files are cut up.").nullable(),
    Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
]);

const STORES: Rule = Rule {
    broken: |resources| {
        let stores = resources.get("vector_stores")?.as_array()?;
        let ids = resources
            .get("vector_store_ids")
            .filter(|ids| !ids.is_null());
        (!stores.is_empty() && ids.is_some()).then_some(Violation {
            at: "vector_stores",
            text: |_| {
                "Mutually exclusive parameters. Ensure you are only providing one of: \
                 'vector_store_ids' or 'vector_stores'."
                    .to_owned()
            },
            code: "mutually_exclusive_parameters",
        })
    },
    schema: r#"{"not": {
        "required": ["vector_store_ids", "vector_stores"],
        "properties": {
            "vector_store_ids": {"type": "array"},
            "vector_stores": {"type": "array", "minItems": 1}
        }
    }}"#,
};

/// Tool resources as a request carries them.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ResourcesBody {
    code_interpreter: Option<CodeInterpreterBody>,
    file_search: Option<FileSearchResourcesBody>,
}

#[derive(Debug, Deserialize)]
struct CodeInterpreterBody {
    #[serde(default)]
    file_ids: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct FileSearchResourcesBody {
    vector_store_ids: Option<Vec<String>>,
    vector_stores: Option<Vec<NewStoreBody>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NewStoreBody {
    file_ids: Vec<FileId>,
    chunking_strategy: Option<ChunkingBody>,
    metadata: Option<Metadata>,
}

impl ResourcesBody {
    /// What they name, and the vector store that is to be made for them.
    pub(super) fn with_store(mut self) -> (ToolResources, Option<CreateVectorStore>) {
        let search = self.file_search.as_mut();
        let stores = search.and_then(|search| search.vector_stores.take());
        let store = stores.and_then(|stores| stores.into_iter().next());
        (self.into(), store.map(CreateVectorStore::from))
    }
}

impl From<NewStoreBody> for CreateVectorStore {
    fn from(body: NewStoreBody) -> Self {
        Self {
            file_ids: body.file_ids,
            chunking: chunking(body.chunking_strategy),
            metadata: body.metadata.unwrap_or_default(),
            ..Self::default()
        }
    }
}

impl From<ResourcesBody> for ToolResources {
    fn from(body: ResourcesBody) -> Self {
        Self {
            code_interpreter: body.code_interpreter.map(|body| CodeInterpreterResources {
                file_ids: body.file_ids,
            }),
            file_search: body.file_search.map(|body| FileSearchResources {
                vector_store_ids: body.vector_store_ids.unwrap_or_default(),
            }),
        }
    }
}
