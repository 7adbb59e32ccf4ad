//! Tools, as requests carry them (contract section 5.2).

use loomgate_domain::{
    limits,
    tool::{FileSearch, Function, RankingOptions, Tool, no_parameters},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::shape::{
    Array, Cap, Field, Format, Object, Rule, STRING, Shape, Tagged, Variant, Violation, filled,
    inline, one_of,
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
        rule: Some(ONE_OF_EACH),
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
        &HYBRID_SEARCH,
        "How the two rankings are weighed; both the same by default.",
    )
    .nullable(),
]);

static HYBRID_SEARCH: Shape = Shape::Object(Object {
    name: "",
    doc: "",
    fields: &[
        Field::required("embedding_weight", &WEIGHT, "Of the ranking by meaning."),
        Field::required("text_weight", &WEIGHT, "Of the ranking by words."),
    ],
    rule: Some(SOME_WEIGHT),
});

static WEIGHT: Shape = Shape::Number {
    min: Some(0.0),
    max: None,
};

const SOME_WEIGHT: Rule = Rule {
    broken: |weights| {
        let is_zero = |weight: &Value| weight.as_f64() == Some(0.0);
        let all = weights.as_object()?.values().all(is_zero);
        all.then_some(Violation {
            at: "",
            text: |path| format!("Invalid '{path}': at least one weight must be greater than 0."),
            code: "invalid_value",
        })
    },
    schema: r#"{"anyOf": [{"properties": {"embedding_weight": {"exclusiveMinimum": 0}}},
        {"properties": {"text_weight": {"exclusiveMinimum": 0}}}]}"#,
};

static RANKER: Shape = one_of(&["auto", "default_2024_08_21"]);

/// The name of a function or a JSON schema.
pub(super) static NAME: Shape = filled(Cap::At(limits::FUNCTION_NAME_CHARS), Format::Name);

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

const ONE_OF_EACH: Rule = Rule {
    broken: |tools| {
        let count = |kind| {
            let is = |tool: &&Value| tool.get("type").and_then(Value::as_str) == Some(kind);
            let tools = tools.as_array().into_iter().flatten();
            tools.filter(is).count()
        };
        let violation = |text| Violation {
            at: "",
            text,
            code: "invalid_value",
        };
        if count("code_interpreter") > 1 {
            Some(violation(|path| twice(path, "code_interpreter")))
        } else if count("file_search") > 1 {
            Some(violation(|path| twice(path, "file_search")))
        } else {
            None
        }
    },
    schema: r#"{"allOf": [
        {"contains": {"properties": {"type": {"const": "code_interpreter"}}},
         "minContains": 0, "maxContains": 1},
        {"contains": {"properties": {"type": {"const": "file_search"}}},
         "minContains": 0, "maxContains": 1}
    ]}"#,
};

fn twice(path: &str, kind: &str) -> String {
    format!("Invalid '{path}': only one tool of type '{kind}' is allowed.")
}

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
