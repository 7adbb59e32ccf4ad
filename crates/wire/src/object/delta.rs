//! The shapes of stream deltas (contract sections 10.2 and 10.3). They are written by
//! [`crate::event`]; here is what the API document says of them.

use super::{
    kind,
    message::{END, FILE_ID, MARKER, START},
    step::SEARCHED,
};
use crate::shape::{Field, STRING, Shape, Tagged, Variant, inline, list, object};

const INDEX: Field = Field::required(
    "index",
    &Shape::Integer {
        min: Some(0),
        max: None,
    },
    "Which of them this adds to.",
);

/// `thread.message.delta`
pub static MESSAGE: Shape = object(
    "MessageDelta",
    "What a message gained: pieces are appended to what was there.",
    &[
        Field::required("id", &STRING, "Id of the message."),
        Field::required("object", &kind(&["thread.message.delta"]), "What this is."),
        Field::required(
            "delta",
            &inline(&[Field::required("content", &list(&PART), "The pieces.")]),
            "The change.",
        ),
    ],
);

static ANNOTATION: Shape = Shape::Tagged(Tagged {
    name: "DeltaAnnotation",
    doc: "A place in the part's text so far that points to a file.",
    variants: &[
        Variant {
            tag: "file_citation",
            doc: "The model cites a file.",
            fields: &[
                INDEX,
                MARKER,
                START,
                END,
                Field::required(
                    "file_citation",
                    &inline(&[
                        FILE_ID,
                        Field::required("quote", &STRING, "Empty, as the original sends it."),
                    ]),
                    "What is cited.",
                ),
            ],
        },
        Variant {
            tag: "file_path",
            doc: "The model links a file that it made.",
            fields: &[
                INDEX,
                MARKER,
                START,
                END,
                Field::required("file_path", &inline(&[FILE_ID]), "What is linked."),
            ],
        },
    ],
});

static PART: Shape = Shape::Tagged(Tagged {
    name: "MessageDeltaPart",
    doc: "A piece of one content part.",
    variants: &[
        Variant {
            tag: "text",
            doc: "More words.",
            fields: &[
                INDEX,
                Field::required(
                    "text",
                    &inline(&[
                        Field::required("value", &STRING, "The words."),
                        Field::optional(
                            "annotations",
                            &list(&ANNOTATION),
                            "With the words that are cited, and then empty words.",
                        ),
                    ]),
                    "The words.",
                ),
            ],
        },
        Variant {
            tag: "refusal",
            doc: "More words of a refusal.",
            fields: &[INDEX, Field::required("refusal", &STRING, "The words.")],
        },
    ],
});

/// `thread.run.step.delta`
pub static STEP: Shape = object(
    "RunStepDelta",
    "What a step gained: strings are appended, everything else is set once.",
    &[
        Field::required("id", &STRING, "Id of the step."),
        Field::required("object", &kind(&["thread.run.step.delta"]), "What this is."),
        Field::required(
            "delta",
            &inline(&[Field::required("step_details", &DETAILS, "Its calls.")]),
            "The change.",
        ),
    ],
);

static DETAILS: Shape = Shape::Tagged(Tagged {
    name: "",
    doc: "Calls of tools.",
    variants: &[Variant {
        tag: "tool_calls",
        doc: "Calls of tools.",
        fields: &[Field::required("tool_calls", &list(&CALL), "The pieces.")],
    }],
});

static CALL: Shape = Shape::Tagged(Tagged {
    name: "ToolCallDelta",
    doc: "A piece of one call.",
    variants: &[
        Variant {
            tag: "function",
            doc: "A function that the client carries out.",
            fields: &[
                INDEX,
                Field::optional("id", &STRING, "Id of the call, with its first piece."),
                Field::required(
                    "function",
                    &inline(&[
                        Field::optional("name", &STRING, "With the first piece."),
                        Field::required("arguments", &STRING, "More JSON text."),
                        Field::optional("output", &STRING, "Null, with the first piece.")
                            .nullable(),
                    ]),
                    "The function.",
                ),
            ],
        },
        Variant {
            tag: "file_search",
            doc: "A search in vector stores, carried out here.",
            fields: &[
                INDEX,
                Field::optional("id", &STRING, "Id of the call."),
                Field::required(
                    "file_search",
                    &SEARCHED,
                    "As it begins: nothing was found yet. The results stand in the completed step.",
                ),
            ],
        },
    ],
});
