//! Tools, their resources and the settings of a model turn, as requests carry them (contract
//! sections 5.1 to 5.3 and 8.2).

use loomgate_domain::{
    limits,
    tool::{
        CodeInterpreterResources, FileSearch, FileSearchResources, Function, RankingOptions, Tool,
        ToolResources, Truncation, no_parameters,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shape::{
    Array, Cap, Check, Field, Format, Object, STRING, Shape, Tagged, Variant, Violation, filled,
    inline, list, list_of, object, one_of,
};

/// The tools of an assistant.
pub static ASSISTANT_TOOLS: Shape = tools(limits::ASSISTANT_TOOLS);
/// The tools that a run brings.
pub static RUN_TOOLS: Shape = tools(limits::RUN_TOOLS);

const fn tools(max: usize) -> Shape {
    Shape::Array(Array {
        items: &TOOL,
        min: 0,
        max: Cap::At(max),
        check: Some(ONE_OF_EACH),
    })
}

static TOOL: Shape = Shape::Tagged(Tagged {
    name: "ToolRequest",
    doc: "A tool of an assistant or a run.",
    variants: &[
        Variant {
            tag: "code_interpreter",
            doc: "Runs Python for the model.",
            fields: &[],
        },
        Variant {
            tag: "file_search",
            doc: "Searches vector stores for the model.",
            fields: &[Field::optional(
                "file_search",
                &FILE_SEARCH,
                "How to search.",
            )],
        },
        Variant {
            tag: "function",
            doc: "A function that the client carries out.",
            fields: &[Field::required("function", &FUNCTION, "Its declaration.")],
        },
    ],
});

static FILE_SEARCH: Shape = inline(&[
    Field::optional(
        "max_num_results",
        &Shape::Integer {
            min: Some(1),
            max: Some(50),
        },
        "The most results to give to the model.",
    )
    .nullable(),
    Field::optional("ranking_options", &RANKING, "How results are ranked.").nullable(),
]);

static RANKING: Shape = inline(&[
    Field::optional("ranker", &RANKER, "The ranker; `auto` is the default one."),
    Field::required(
        "score_threshold",
        &Shape::Number {
            min: Some(0.0),
            max: Some(1.0),
        },
        "Results below it are left out.",
    ),
    Field::optional(
        "hybrid_search",
        &Shape::AnyObject,
        "Echoed by assistants; accepted back as it came.",
    )
    .nullable(),
]);

static RANKER: Shape = one_of(&["auto", "default_2024_08_21"]);

static NAME: Shape = filled(Cap::At(limits::FUNCTION_NAME_CHARS), Format::Name);

static FUNCTION: Shape = inline(&[
    Field::required("name", &NAME, "The function's name."),
    Field::optional(
        "description",
        &STRING,
        "What the function does, for the model.",
    ),
    Field::optional(
        "parameters",
        &Shape::AnyObject,
        "JSON schema of the arguments.",
    ),
    Field::optional(
        "strict",
        &Shape::Boolean,
        "Whether the model must keep to the schema exactly.",
    )
    .nullable()
    .or("false"),
]);

const ONE_OF_EACH: Check = |tools| {
    let count = |kind| {
        let is = |tool: &&Value| tool.get("type").and_then(Value::as_str) == Some(kind);
        tools
            .as_array()
            .map_or(0, |tools| tools.iter().filter(is).count())
    };
    if count("code_interpreter") > 1 {
        Some(Violation {
            at: "",
            text: |path| {
                format!("Invalid '{path}': only one tool of type 'code_interpreter' is allowed.")
            },
            code: "invalid_value",
        })
    } else if count("file_search") > 1 {
        Some(Violation {
            at: "",
            text: |path| {
                format!("Invalid '{path}': only one tool of type 'file_search' is allowed.")
            },
            code: "invalid_value",
        })
    } else {
        None
    }
};

/// A tool as a request carries it: defaults are filled in on the way to [`Tool`].
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToolBody {
    CodeInterpreter,
    FileSearch { file_search: Option<FileSearchBody> },
    Function { function: FunctionBody },
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct FileSearchBody {
    max_num_results: Option<u32>,
    ranking_options: Option<RankingBody>,
}

#[derive(Debug, Deserialize)]
struct RankingBody {
    score_threshold: f64,
    hybrid_search: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct FunctionBody {
    name: String,
    description: Option<String>,
    parameters: Option<Map<String, Value>>,
    strict: Option<bool>,
}

impl From<ToolBody> for Tool {
    fn from(body: ToolBody) -> Self {
        match body {
            ToolBody::CodeInterpreter => Self::CodeInterpreter,
            ToolBody::FileSearch { file_search } => {
                let body = file_search.unwrap_or_default();
                // There is one ranker, whichever of its two names was sent.
                let ranking_options =
                    body.ranking_options
                        .map_or_else(RankingOptions::default, |ranking| RankingOptions {
                            score_threshold: ranking.score_threshold,
                            hybrid_search: ranking.hybrid_search,
                            ..RankingOptions::default()
                        });
                Self::FileSearch {
                    file_search: FileSearch {
                        max_num_results: body.max_num_results,
                        ranking_options,
                    },
                }
            }
            ToolBody::Function { function } => Self::Function {
                function: Function {
                    name: function.name,
                    description: function.description,
                    parameters: function.parameters.unwrap_or_else(no_parameters),
                    strict: function.strict.unwrap_or_default(),
                },
            },
        }
    }
}

pub(crate) fn tools_of(bodies: Vec<ToolBody>) -> Vec<Tool> {
    bodies.into_iter().map(Tool::from).collect()
}

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
            check: Some(STORES),
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

static CHUNKING: Shape = Shape::Tagged(Tagged {
    name: "ChunkingStrategy",
    doc: "How files are cut up.",
    variants: &[
        Variant {
            tag: "auto",
            doc: "The server's choice.",
            fields: &[],
        },
        Variant {
            tag: "static",
            doc: "Pieces of a given size.",
            fields: &[Field::required(
                "static",
                &inline(&[
                    Field::required(
                        "max_chunk_size_tokens",
                        &Shape::Integer {
                            min: Some(100),
                            max: Some(4096),
                        },
                        "Size of a piece.",
                    ),
                    Field::required(
                        "chunk_overlap_tokens",
                        &Shape::Integer {
                            min: Some(0),
                            max: None,
                        },
                        "What two neighbours share, at most half of the size.",
                    ),
                ]),
                "The sizes.",
            )],
        },
    ],
});

const STORES: Check = |resources| {
    let given = |name: &str| resources.get(name).is_some_and(|value| !value.is_null());
    let helper = resources.get("vector_stores").and_then(Value::as_array);
    if given("vector_store_ids") && given("vector_stores") {
        Some(Violation {
            at: "vector_stores",
            text: |_| {
                "Mutually exclusive parameters. Ensure you are only providing one of: \
                 'vector_store_ids' or 'vector_stores'."
                    .to_owned()
            },
            code: "mutually_exclusive_parameters",
        })
    } else if helper.is_some_and(|stores| !stores.is_empty()) {
        Some(Violation {
            at: "vector_stores",
            text: |path| {
                format!(
                    "'{path}' is not supported by this release of Loomgate: vector stores can \
                     not be created along with another object."
                )
            },
            code: "not_supported",
        })
    } else {
        None
    }
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
            fields: &[Field::required(
                "function",
                &inline(&[Field::required("name", &STRING, "The function's name.")]),
                "Which function.",
            )],
        },
        Variant {
            tag: "file_search",
            doc: "The search tool.",
            fields: &[Field::only_null("function")],
        },
        Variant {
            tag: "code_interpreter",
            doc: "The code interpreter.",
            fields: &[Field::only_null("function")],
        },
    ],
});

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
    check: Some(|strategy| {
        let named = strategy.get("type").and_then(Value::as_str) == Some("last_messages");
        let missing = strategy.get("last_messages").is_none_or(Value::is_null);
        (named && missing).then_some(Violation {
            at: "last_messages",
            text: |path| format!("Missing required parameter: '{path}'."),
            code: "missing_required_parameter",
        })
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
