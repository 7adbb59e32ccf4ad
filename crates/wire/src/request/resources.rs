//! Files and stores that tools may use, as requests carry them (contract section 5.3).

use loomgate_domain::{
    limits,
    tool::{CodeInterpreterResources, FileSearchResources, ToolResources},
};
use serde::Deserialize;

use super::chunking::CHUNKING;
use crate::shape::{
    Cap, Field, Object, Rule, STRING, Shape, Violation, inline, list, list_of, object,
};

/// Resources by id, and the helper that makes a vector store along the way.
pub static NEW_RESOURCES: Shape = object(
    "NewToolResources",
    "Files and stores that tools may use.",
    &[CODE_INTERPRETER, Field::optional(
        "file_search",
        &Shape::Object(Object {
            name: "",
            doc: "",
            fields: &[STORE_IDS, Field::optional(
                "vector_stores",
                &list_of(&NEW_STORE, Cap::At(1)),
                "Makes a vector store. Not supported in this release: name an existing one.",
            )
            .nullable()],
            rule: Some(STORES),
        }),
        "For file search.",
    )
    .nullable()],
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
    Field::optional("file_ids", &list(&STRING), "Files to put into the store."),
    Field::optional("chunking_strategy", &CHUNKING, "How files are cut up.").nullable(),
    Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
]);

const STORES: Rule = Rule {
    broken: |resources| {
        let stores = resources.get("vector_stores")?.as_array()?;
        let ids = resources
            .get("vector_store_ids")
            .filter(|ids| !ids.is_null());
        match (stores.is_empty(), ids) {
            (true, _) => None,
            (false, Some(_)) => Some(Violation {
                at: "vector_stores",
                text: |_| {
                    "Mutually exclusive parameters. Ensure you are only providing one of: \
                     'vector_store_ids' or 'vector_stores'."
                        .to_owned()
                },
                code: "mutually_exclusive_parameters",
            }),
            (false, None) => Some(Violation {
                at: "vector_stores",
                text: |path| {
                    format!(
                        "'{path}' is not supported by this release of Loomgate: vector stores \
                         can not be created along with another object."
                    )
                },
                code: "not_supported",
            }),
        }
    },
    schema: r#"{"allOf": [{"properties": {"vector_stores": {"maxItems": 0}}}]}"#,
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
