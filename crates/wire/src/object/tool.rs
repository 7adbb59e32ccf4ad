//! The shapes of tools and resources as objects echo them: normalised, defaults filled in.

use crate::shape::{Field, STRING, Shape, Tagged, Variant, inline, list, object};

use super::assistant::NUMBER;

/// The tools of an assistant or a run.
pub(crate) static TOOLS: Shape = list(&TOOL);

static TOOL: Shape = Shape::Tagged(Tagged {
    name: "Tool",
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
            fields: &[Field::required(
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
        "The most results to give to the model; left out where it was not sent.",
    ),
    Field::required(
        "ranking_options",
        &inline(&[
            Field::required("ranker", &STRING, "The ranker."),
            Field::required("score_threshold", &NUMBER, "Results below it are left out."),
            Field::required(
                "hybrid_search",
                &Shape::AnyObject,
                "Null, unless it was sent.",
            )
            .nullable(),
        ]),
        "How results are ranked.",
    ),
]);

static FUNCTION: Shape = inline(&[
    Field::required("name", &STRING, "The function's name."),
    Field::optional("description", &STRING, "Left out where it was not sent."),
    Field::required(
        "parameters",
        &Shape::AnyObject,
        "JSON schema of the arguments.",
    ),
    Field::required(
        "strict",
        &Shape::Boolean,
        "Whether the model must keep to the schema exactly.",
    ),
]);

/// Files and stores.
pub(crate) static RESOURCES: Shape = object(
    "ToolResources",
    "Files and stores that tools may use.",
    &[
        Field::optional(
            "code_interpreter",
            &inline(&[Field::required("file_ids", &list(&STRING), "Its files.")]),
            "For the code interpreter.",
        ),
        Field::optional(
            "file_search",
            &inline(&[Field::required(
                "vector_store_ids",
                &list(&STRING),
                "The vector store to search.",
            )]),
            "For file search.",
        ),
    ],
);
