use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::arbitrary::json_value;

fn matches(query: &Value) -> bool {
    let metadata = [
        ("plan", "paid"),
        ("seats", "25"),
        ("beta", "true"),
        ("a.b", "c"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let params = json!({
        "model": "gpt-4o",
        "temperature": 0.7,
        "max_tokens": 100,
        "stream": true,
        "user": null,
        "messages": [{"role": "system"}, {"role": "user", "content": {"text": "hi"}}],
    });
    let facts = Facts {
        metadata: &metadata,
        params: &params,
        path: "/v1/chat/completions",
    };
    Condition::parse(query).unwrap().matches(&facts)
}

#[test]
fn every_operator_holds_and_fails_where_it_should() {
    for (query, expected) in [
        (json!({}), true),
        (json!({"metadata.plan": "paid"}), true),
        (json!({"metadata.plan": "free"}), false),
        (json!({"metadata.plan": {"$eq": "paid"}}), true),
        (json!({"metadata.plan": {"$ne": "paid"}}), false),
        (json!({"metadata.seats": {"$gt": 9}}), true),
        (json!({"metadata.seats": {"$gt": "9"}}), true),
        (json!({"metadata.seats": {"$gt": 25}}), false),
        (json!({"metadata.seats": {"$gte": 25}}), true),
        (json!({"params.max_tokens": {"$lt": 100}}), false),
        (json!({"params.max_tokens": {"$lte": 100}}), true),
        (
            json!({"params.temperature": {"$gt": 0.5, "$lt": 0.9}}),
            true,
        ),
        (
            json!({"params.temperature": {"$gt": 0.5, "$lt": 0.6}}),
            false,
        ),
        (json!({"params.model": {"$in": ["gpt-4o", "o1"]}}), true),
        (json!({"params.model": {"$in": []}}), false),
        (json!({"params.model": {"$nin": ["o1"]}}), true),
        (json!({"params.model": {"$nin": ["gpt-4o"]}}), false),
        (json!({"params.model": {"$regex": "^gpt-4"}}), true),
        (json!({"params.model": {"$regex": "^o[0-9]"}}), false),
        (json!({"params.max_tokens": {"$regex": "^1"}}), true),
        (json!({"url.pathname": {"$regex": "/embeddings$"}}), false),
        (json!({"url.pathname": "/v1/chat/completions"}), true),
        (
            json!({"$or": [{"params.model": "x"}, {"params.stream": true}]}),
            true,
        ),
        (
            json!({"$or": [{"params.model": "x"}, {"params.stream": false}]}),
            false,
        ),
        (
            json!({"$and": [{"params.model": "gpt-4o"}, {"params.stream": true}]}),
            true,
        ),
        (
            json!({"$and": [{"params.model": "gpt-4o"}, {"params.stream": false}]}),
            false,
        ),
        (
            json!({"$and": [{"$or": [{"metadata.plan": "paid"}]}]}),
            true,
        ),
    ] {
        assert_eq!(matches(&query), expected, "{query}");
    }
}

#[test]
fn keys_beside_and_or_and_regex_count_too() {
    for query in [
        json!({"$or": [{"params.stream": true}], "metadata.plan": "free"}),
        json!({"$and": [{"params.stream": true}], "metadata.plan": "free"}),
        json!({"params.model": {"$regex": "gpt", "$ne": "gpt-4o"}}),
    ] {
        assert!(!matches(&query), "{query}");
    }
}

#[test]
fn dots_go_as_deep_as_they_say() {
    for (query, expected) in [
        (json!({"params.messages.1.content.text": "hi"}), true),
        (json!({"params.messages.0.content.text": "hi"}), false),
        (json!({"params.messages.7.role": {"$ne": "user"}}), true),
        (json!({"params.model.name": null}), true),
        (json!({"metadata.a.b": "c"}), true),
        (
            json!({"params.messages.0": {"$eq": {"role": "system"}}}),
            true,
        ),
    ] {
        assert_eq!(matches(&query), expected, "{query}");
    }
}

#[test]
fn what_is_missing_equals_null_and_is_in_no_order() {
    for (query, expected) in [
        (json!({"metadata.none": null}), true),
        (json!({"params.user": null}), true),
        (json!({"params.none": {"$ne": "x"}}), true),
        (json!({"params.none": {"$nin": ["x"]}}), true),
        (json!({"params.none": {"$in": ["x"]}}), false),
        (json!({"params.none": {"$lt": 5}}), false),
        (json!({"params.none": {"$gt": -5}}), false),
        (json!({"params.none": {"$regex": "undefined"}}), false),
        (json!({"params.model": {"$gt": 1}}), false),
    ] {
        assert_eq!(matches(&query), expected, "{query}");
    }
}

#[test]
fn metadata_are_texts_and_params_keep_their_types() {
    for (query, expected) in [
        (json!({"metadata.seats": 25}), true),
        (json!({"metadata.beta": true}), true),
        (json!({"params.max_tokens": 100.0}), true),
        (json!({"params.max_tokens": "100"}), false),
        (json!({"params.stream": "true"}), false),
    ] {
        assert_eq!(matches(&query), expected, "{query}");
    }
}

#[test]
fn what_means_nothing_is_refused() {
    let mut deep = json!({"url.pathname": "/"});
    for _ in 0..=MOST_DEPTH {
        deep = json!({"$and": [deep]});
    }
    let many: Vec<_> = (0..=MOST_TESTS)
        .map(|_| json!({"url.pathname": 1}))
        .collect();
    for (query, text) in [
        (json!([]), "a query must be an object"),
        (
            json!({"metadata.a": {"$like": 1}}),
            "Unsupported operator used in the query router: $like",
        ),
        (json!({"metadata.a": {}}), "needs an operator"),
        (
            json!({"metadata.a": {"$gt": "many"}}),
            "'$gt' must be a number",
        ),
        (
            json!({"metadata.a": {"$lte": "inf"}}),
            "'$lte' must be a number",
        ),
        (
            json!({"metadata.a": {"$in": "x"}}),
            "'$in' must be an array",
        ),
        (
            json!({"metadata.a": {"$regex": 1}}),
            "'$regex' must be a string",
        ),
        (
            json!({"metadata.a": {"$regex": "("}}),
            "not a regular expression",
        ),
        (
            json!({"$or": []}),
            "'$or' must be an array of at least one query",
        ),
        (json!({"$and": {}}), "'$and' must be an array"),
        (json!({"metadata": "x"}), "can not be asked about"),
        (json!({"params.": "x"}), "can not be asked about"),
        (json!({"headers.x": "x"}), "can not be asked about"),
        (json!({"url.host": "x"}), "can not be asked about"),
        (deep, "nests at most 16 deep"),
        (json!({"$or": many}), "at most 256 tests"),
    ] {
        let error = Condition::parse(&query).unwrap_err();
        assert!(error.contains(text), "{query}: {error}");
    }
}

#[test]
fn the_first_condition_that_holds_decides_then_the_default() {
    let metadata = BTreeMap::from([("plan".to_owned(), "paid".to_owned())]);
    let facts = Facts {
        metadata: &metadata,
        params: &Value::Null,
        path: "/v1/models",
    };
    let condition = |query| Condition::parse(&query).unwrap();
    let free = (condition(json!({"metadata.plan": "free"})), "a".to_owned());
    let paid = (condition(json!({"metadata.plan": "paid"})), "b".to_owned());
    let any = (condition(json!({})), "c".to_owned());
    let all = [free, paid, any];
    assert_eq!(resolve(&all, Some("d"), &facts), Some("b"));
    assert_eq!(resolve(&all[..1], Some("d"), &facts), Some("d"));
    assert_eq!(resolve(&all[..1], None, &facts), None);
}

proptest! {
    #[test]
    fn no_query_makes_it_panic(query in json_value(), params in json_value()) {
        if let Ok(condition) = Condition::parse(&query) {
            let facts = Facts { metadata: &BTreeMap::new(), params: &params, path: "/" };
            condition.matches(&facts);
        }
    }
}
