//! Values for property tests.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Map, Value};

/// JSON of any shape, whose keys and texts are often ones that mean something to this crate.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        proptest::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

const WORDS: [&str; 49] = [
    "strategy",
    "mode",
    "single",
    "loadbalance",
    "fallback",
    "conditional",
    "conditions",
    "query",
    "then",
    "default",
    "targets",
    "name",
    "weight",
    "provider",
    "openai",
    "@main",
    "api_key",
    "virtual_key",
    "retry",
    "attempts",
    "cache",
    "simple",
    "max_age",
    "request_timeout",
    "override_params",
    "forwardHeaders",
    "custom_host",
    "https://example.com/v1",
    "cb_config",
    "input_guardrails",
    "before_request_hooks",
    "checks",
    "id",
    "parameters",
    "default.contains",
    "words",
    "default.jsonSchema",
    "schema",
    "$ref",
    "#/$defs/a",
    "$defs",
    "properties",
    "rule",
    "metadata.a",
    "params.b.0",
    "$or",
    "$in",
    "$regex",
    "a|b*",
];
