//! Settings of a model turn, as requests carry them (contract sections 5.1 and 8.2).

use loomgate_domain::tool::Truncation;
use serde::Deserialize;
use serde_json::Value;

use super::tool::NAME;
use crate::shape::{
    Field, Object, Rule, STRING, Shape, Tagged, Variant, Violation, inline, one_of,
};

/// What form an answer takes.
pub static RESPONSE_FORMAT: Shape = Shape::Union(&[&FORMAT_NAME, &FORMAT_OBJECT]);

static FORMAT_NAME: Shape = one_of(&["auto"]);

static FORMAT_OBJECT: Shape = Shape::Tagged(Tagged {
    name: "ResponseFormat",
    doc: "What form an answer takes.",
    variants: &[
        Variant {
            tag: "text",
            doc: "Plain text.",
            fields: &[],
        },
        Variant {
            tag: "json_object",
            doc: "Any JSON object.",
            fields: &[],
        },
        Variant {
            tag: "json_schema",
            doc: "JSON that follows a schema.",
            fields: &[Field::required(
                "json_schema",
                &inline(&[
                    Field::required("name", &NAME, "The schema's name."),
                    Field::optional("description", &STRING, "What it is for, for the model."),
                    Field::optional("schema", &Shape::AnyObject, "The schema."),
                    Field::optional(
                        "strict",
                        &Shape::Boolean,
                        "Whether the model must keep to it exactly.",
                    )
                    .nullable()
                    .or("false"),
                ]),
                "The schema and its name.",
            )],
        },
    ],
});

/// Whether, and which, tools a run must call.
pub static TOOL_CHOICE: Shape = Shape::Union(&[&CHOICE_NAME, &CHOICE_OBJECT]);

static CHOICE_NAME: Shape = one_of(&["none", "auto", "required"]);

static CHOICE_OBJECT: Shape = Shape::Tagged(Tagged {
    name: "NamedToolChoice",
    doc: "A tool that must be called.",
    variants: &[
        Variant {
            tag: "function",
            doc: "This function.",
            fields: &[Field::required("function", &FUNCTION, "Which function.")],
        },
        Variant {
            tag: "file_search",
            doc: "The search tool.",
            fields: &[UNUSED_FUNCTION],
        },
        Variant {
            tag: "code_interpreter",
            doc: "The code interpreter.",
            fields: &[UNUSED_FUNCTION],
        },
    ],
});

/// The published schema has one object for all three types, so it is taken here too.
const UNUSED_FUNCTION: Field = Field::optional("function", &FUNCTION, "Not used.").nullable();

static FUNCTION: Shape = inline(&[Field::required("name", &STRING, "The function's name.")]);

/// For models that reason.
pub static REASONING_EFFORT: Shape =
    one_of(&["none", "minimal", "low", "medium", "high", "xhigh", "max"]);

/// How a thread is cut down to fit a model.
pub static TRUNCATION: Shape = Shape::Object(Object {
    name: "TruncationStrategyRequest",
    doc: "How a thread is cut down to fit the model.",
    fields: &[
        Field::required(
            "type",
            &one_of(&["auto", "last_messages"]),
            "`auto` drops messages from the middle; `last_messages` keeps the newest.",
        ),
        Field::optional(
            "last_messages",
            &Shape::Integer {
                min: Some(1),
                max: None,
            },
            "How many messages to keep.",
        )
        .nullable(),
    ],
    rule: Some(Rule {
        broken: |strategy| {
            let named = strategy.get("type").and_then(Value::as_str) == Some("last_messages");
            let missing = strategy.get("last_messages").is_none_or(Value::is_null);
            (named && missing).then_some(Violation {
                at: "last_messages",
                text: |path| format!("Missing required parameter: '{path}'."),
                code: "missing_required_parameter",
            })
        },
        schema: r#"{
            "if": {"properties": {"type": {"const": "last_messages"}}},
            "then": {
                "required": ["last_messages"],
                "properties": {"last_messages": {"type": "integer"}}
            }
        }"#,
    }),
});

/// A truncation strategy as a request carries it.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum TruncationBody {
    Auto,
    LastMessages { last_messages: u64 },
}

impl From<TruncationBody> for Truncation {
    fn from(body: TruncationBody) -> Self {
        match body {
            TruncationBody::Auto => Self::Auto,
            TruncationBody::LastMessages { last_messages } => Self::LastMessages {
                // More messages than this no thread holds.
                last_messages: u32::try_from(last_messages).unwrap_or(u32::MAX),
            },
        }
    }
}
