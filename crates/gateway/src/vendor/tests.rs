//! Golden conversions: what stands in `fixtures` against snapshots beside it, and hostile inputs.

mod accounts;
mod answers;
mod embeddings;
mod hostile;
mod lenient;
mod line;
mod refusals;
mod requests;
mod streams;
mod turns;

use super::*;

fn facts() -> AnswerFacts {
    AnswerFacts {
        id: "chatcmpl-7".to_owned(),
        created: 1_700_000_000,
        model: "asked".to_owned(),
        include_usage: true,
        lenient: false,
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Every request of the fixtures, by name.
const REQUESTS: &[(&str, &str)] = &[
    ("plain", include_str!("fixtures/requests/plain.json")),
    (
        "conversation",
        include_str!("fixtures/requests/conversation.json"),
    ),
    (
        "calls_of_another_model",
        include_str!("fixtures/requests/calls_of_another_model.json"),
    ),
    ("tools", include_str!("fixtures/requests/tools.json")),
    (
        "tools_auto",
        include_str!("fixtures/requests/tools_auto.json"),
    ),
    (
        "one_call_at_a_time",
        include_str!("fixtures/requests/one_call_at_a_time.json"),
    ),
    ("no_calls", include_str!("fixtures/requests/no_calls.json")),
    (
        "json_schema",
        include_str!("fixtures/requests/json_schema.json"),
    ),
    (
        "open_json_schema",
        include_str!("fixtures/requests/open_json_schema.json"),
    ),
    (
        "json_object",
        include_str!("fixtures/requests/json_object.json"),
    ),
    ("sampling", include_str!("fixtures/requests/sampling.json")),
    ("thoughts", include_str!("fixtures/requests/thoughts.json")),
    ("thinking", include_str!("fixtures/requests/thinking.json")),
];

/// Compares with `fixtures/snapshots/{name}.snap`.
macro_rules! golden {
    (json $name:expr, $value:expr) => {
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/src/vendor/fixtures/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_json_snapshot!($name, $value); })
    };
    (text $name:expr, $value:expr) => {
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/src/vendor/fixtures/snapshots"),
            prepend_module_to_snapshot => false,
            omit_expression => true,
        }, { insta::assert_snapshot!($name, $value); })
    };
}
use golden;
