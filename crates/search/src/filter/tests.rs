use proptest::prelude::*;
use serde_json::json;

use super::*;

fn passes(filter: &Value, attributes: &Value) -> bool {
    Filter::parse(filter, "filters")
        .unwrap()
        .matches(attributes.as_object().unwrap())
}

#[test]
fn comparisons_hold_as_documented() {
    let attributes = json!({"region": "us", "year": 2024, "price": 9.5, "draft": false});
    let cases = [
        ("eq", "region", json!("us"), true),
        ("eq", "region", json!("US"), false),
        ("eq", "year", json!(2024.0), true),
        ("eq", "year", json!("2024"), false),
        ("eq", "draft", json!(false), true),
        ("eq", "draft", json!(0), false),
        ("eq", "missing", json!("us"), false),
        ("ne", "region", json!("us"), false),
        ("ne", "year", json!("2024"), true),
        ("ne", "missing", json!("us"), true),
        ("gt", "year", json!(2023), true),
        ("gt", "year", json!(2024), false),
        ("gte", "year", json!(2024), true),
        ("lt", "price", json!(9.6), true),
        ("lte", "price", json!(9.5), true),
        ("lte", "price", json!(9.4), false),
        ("gt", "region", json!("eu"), true),
        ("gt", "region", json!(1), false),
        ("lt", "region", json!(1), false),
        ("gt", "missing", json!(0), false),
        ("lt", "draft", json!(1), false),
        ("in", "region", json!(["eu", "us"]), true),
        ("in", "year", json!(["2024", 2025]), false),
        ("in", "missing", json!(["us"]), false),
        ("in", "region", json!([]), false),
        ("nin", "region", json!(["eu", "us"]), false),
        ("nin", "year", json!(["2024"]), true),
        ("nin", "missing", json!(["us"]), true),
    ];
    for (name, key, value, expected) in cases {
        let filter = json!({"type": name, "key": key, "value": value});
        assert_eq!(passes(&filter, &attributes), expected, "{filter}");
    }
}

#[test]
fn compounds_are_nested() {
    let eq = |key: &str, value: i64| json!({"type": "eq", "key": key, "value": value});
    let or = json!({"type": "or", "filters": [eq("a", 1), eq("b", 1)]});
    let and = json!({"type": "and", "filters": [or, {"type": "ne", "key": "c", "value": 1}]});
    assert!(passes(&and, &json!({"b": 1})));
    assert!(!passes(&and, &json!({"b": 1, "c": 1})));
    assert!(!passes(&and, &json!({"c": 2})));
    assert!(passes(&json!({"type": "and", "filters": []}), &json!({})));
    assert!(!passes(&json!({"type": "or", "filters": []}), &json!({})));
}

#[test]
fn errors_name_the_field_and_what_is_allowed() {
    let within = |filter: Value| json!({"type": "and", "filters": [{"type": "eq", "key": "k", "value": 1}, filter]});
    let cases = [
        (
            json!([]),
            "Invalid 'filters': expected an object, but got an array instead.",
        ),
        (json!({}), "Invalid 'filters.type': this field is required."),
        (
            json!({"type": 1}),
            "Invalid 'filters.type': expected one of 'eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', 'and', 'or', but got a number instead.",
        ),
        (
            json!({"type": "not"}),
            "Invalid 'filters.type': unknown type 'not', must be one of 'eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', 'and', 'or'.",
        ),
        (
            json!({"type": "and"}),
            "Invalid 'filters.filters': this field is required.",
        ),
        (
            json!({"type": "or", "filters": {}}),
            "Invalid 'filters.filters': expected an array of filters, but got an object instead.",
        ),
        (
            json!({"type": "or", "filters": [], "key": "k"}),
            "Invalid 'filters.key': unknown field, must be one of 'type', 'filters'.",
        ),
        (
            within(json!({"type": "eq", "value": 1})),
            "Invalid 'filters.filters[1].key': this field is required.",
        ),
        (
            within(json!({"type": "eq", "key": "k"})),
            "Invalid 'filters.filters[1].value': this field is required.",
        ),
        (
            within(json!({"type": "eq", "key": 7, "value": 1})),
            "Invalid 'filters.filters[1].key': expected a string, but got a number instead.",
        ),
        (
            within(json!({"type": "eq", "key": "k".repeat(65), "value": 1})),
            "Invalid 'filters.filters[1].key': string too long, keys have 64 characters at most.",
        ),
        (
            within(json!({"type": "eq", "key": "k", "value": null})),
            "Invalid 'filters.filters[1].value': expected a string, a number or a boolean, but got null instead.",
        ),
        (
            within(json!({"type": "eq", "key": "k", "value": "é".repeat(513)})),
            "Invalid 'filters.filters[1].value': string too long, values have 512 characters at most.",
        ),
        (
            within(json!({"type": "gt", "key": "k", "value": true})),
            "Invalid 'filters.filters[1].value': expected a string or a number, but got a boolean instead.",
        ),
        (
            within(json!({"type": "in", "key": "k", "value": "a"})),
            "Invalid 'filters.filters[1].value': expected an array of strings and numbers, but got a string instead.",
        ),
        (
            within(json!({"type": "nin", "key": "k", "value": ["a", {}]})),
            "Invalid 'filters.filters[1].value[1]': expected a string or a number, but got an object instead.",
        ),
        (
            json!({"type": "in", "key": "k", "value": vec![1; 1001]}),
            "Invalid 'filters.value': the array may have 1000 values at most.",
        ),
    ];
    for (filter, message) in cases {
        assert_eq!(
            Filter::parse(&filter, "filters").unwrap_err().to_string(),
            message
        );
    }
}

#[test]
fn depth_and_number_are_bounded() {
    let nested = |depth: usize| {
        let leaf = json!({"type": "eq", "key": "k", "value": 1});
        (1..depth).fold(leaf, |inner, _| json!({"type": "or", "filters": [inner]}))
    };
    assert!(passes(&nested(MAX_DEPTH), &json!({"k": 1})));
    let error = Filter::parse(&nested(MAX_DEPTH + 1), "f").unwrap_err();
    assert_eq!(error.problem, "filters may be nested 10 deep at most.");
    assert_eq!(error.path, format!("f{}", ".filters[0]".repeat(MAX_DEPTH)));
    let many = |number: usize| json!({"type": "and", "filters": vec![nested(1); number]});
    assert!(Filter::parse(&many(MAX_PARTS), "f").is_ok());
    assert_eq!(
        Filter::parse(&many(MAX_PARTS + 1), "f").unwrap_err().path,
        "f.filters[1000]"
    );
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..3).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ]
}

proptest! {
    #[test]
    fn negations_are_the_opposite_and_orders_are_consistent(attribute in prop::option::of(scalar()), value in scalar()) {
        let attributes = attribute.map_or_else(|| json!({}), |attribute| json!({"k": attribute}));
        let holds = |name: &str, value: Value| passes(&json!({"type": name, "key": "k", "value": value}), &attributes);
        prop_assert_ne!(holds("eq", value.clone()), holds("ne", value.clone()));
        if !value.is_boolean() {
            prop_assert_ne!(holds("in", json!([value])), holds("nin", json!([value])));
            prop_assert_eq!(holds("in", json!([value])), holds("eq", value.clone()));
            let [gt, gte, lt, lte] = ["gt", "gte", "lt", "lte"].map(|name| holds(name, value.clone()));
            prop_assert_eq!(gte && lte, holds("eq", value));
            prop_assert_eq!((gt, lt), (gte && !lte, lte && !gte));
        }
    }
}
