//! Parameters of paths, queries and headers.

use loomgate_domain::{
    IdKind, id,
    limits::{FILE_LIST_LIMIT, LIST_LIMIT},
    vector_store::IndexingStatus,
};
use serde_json::{Value, json};

use crate::request::query::{INCLUDABLE, LAST_EVENT_ID, STARTING_AFTER};

/// A parameter of a query.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Query {
    /// `limit`, `order`, `after` and `before`
    Page,
    /// `purpose`, `limit`, `order` and `after`
    Files,
    /// `run_id`
    Run,
    /// `filter`: a status of files in vector stores
    Status,
    /// `include[]`
    Include,
    /// `starting_after`, and the header that says the same
    Place,
}

impl Query {
    pub(super) fn describe(self) -> Vec<Value> {
        match self {
            Self::Page => {
                let mut page = travel(LIST_LIMIT, 20);
                page.push(query(
                    "before",
                    "Only items before this id.",
                    &json!({"type": "string"}),
                ));
                page
            }
            Self::Files => {
                let mut page = travel(FILE_LIST_LIMIT, FILE_LIST_LIMIT);
                page.push(query(
                    "purpose",
                    "Only files of this purpose.",
                    &json!({"type": "string"}),
                ));
                page
            }
            Self::Run => vec![query(
                "run_id",
                "Only messages of this run.",
                &json!({"type": "string"}),
            )],
            Self::Status => {
                let known: Vec<&str> = IndexingStatus::ALL.iter().map(|it| it.as_str()).collect();
                vec![query(
                    "filter",
                    "Only files of this status.",
                    &json!({"type": "string", "enum": known}),
                )]
            }
            Self::Include => vec![query(
                "include[]",
                "Optional parts of run steps.",
                &json!({"type": "array", "items": {"type": "string", "enum": [INCLUDABLE]}}),
            )],
            Self::Place => {
                let description = "The event that was read last: the stream goes on behind it.";
                let schema = json!({"type": "string", "pattern": r"^[0-9]+\.[0-9]+$"});
                let header = json!({
                    "name": LAST_EVENT_ID, "in": "header",
                    "description": description, "schema": schema,
                });
                vec![query(STARTING_AFTER, description, &schema), header]
            }
        }
    }
}

/// `limit`, `order` and `after`
fn travel(most: u32, default: u32) -> Vec<Value> {
    vec![
        query(
            "limit",
            "The most items to return.",
            &json!({"type": "integer", "minimum": 1, "maximum": most, "default": default}),
        ),
        query(
            "order",
            "Oldest or newest first.",
            &json!({"type": "string", "enum": ["asc", "desc"], "default": "desc"}),
        ),
        query(
            "after",
            "Only items after this id.",
            &json!({"type": "string"}),
        ),
    ]
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

/// The parameters that a path names in braces.
pub(super) fn of_path(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let schema = match start(name) {
                Some(start) => json!({"type": "string", "pattern": format!("^{start}")}),
                None => json!({"type": "string"}),
            };
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect()
}

/// What ids in this parameter begin with.
fn start(name: &str) -> Option<&'static str> {
    match name {
        "assistant_id" => Some(id::AssistantKind::EXPECTED),
        "thread_id" => Some(id::ThreadKind::EXPECTED),
        "message_id" => Some(id::MessageKind::EXPECTED),
        "run_id" => Some(id::RunKind::EXPECTED),
        "step_id" => Some(id::StepKind::EXPECTED),
        "vector_store_id" => Some(id::VectorStoreKind::EXPECTED),
        "file_id" => Some(id::FileKind::EXPECTED),
        "batch_id" => Some(id::FileBatchKind::EXPECTED),
        _ => None,
    }
}

/// Which version of the API a client means; may be left out.
pub(super) fn beta() -> Value {
    json!({
        "name": "OpenAI-Beta", "in": "header",
        "description": "May be left out; other versions are refused.",
        "schema": {"type": "string", "const": "assistants=v2"},
    })
}

/// Which way model calls go (contract portkey.md section 2).
pub(super) fn ways() -> [Value; 3] {
    [
        (
            "x-portkey-virtual-key",
            "The virtual key for model calls; otherwise the API key's own.",
        ),
        (
            "x-portkey-config",
            "A config for model calls: its slug, or its JSON.",
        ),
        (
            "x-portkey-provider",
            "A provider for model calls, or `@` and the slug of a virtual key.",
        ),
    ]
    .map(|(name, description)| {
        let schema = json!({"type": "string"});
        json!({"name": name, "in": "header", "description": description, "schema": schema})
    })
}
