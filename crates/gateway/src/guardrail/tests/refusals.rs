use super::*;

fn assert_refused(table: &[(&str, Value, &str)]) {
    for (name, parameters, text) in table {
        let error = refusal(&json!({*name: parameters}));
        assert!(error.contains(text), "{name} {parameters}: {error}");
    }
}

#[test]
fn checks_that_need_the_network_or_change_texts_are_refused_by_name() {
    assert_refused(&[
        (
            "webhook",
            json!({}),
            "default.webhook: this check does not exist in this gateway",
        ),
        ("log", json!({}), "default.log: this check"),
        ("jwt", json!({}), "default.jwt: this check"),
        (
            "regexReplace",
            json!({}),
            "default.regexReplace: this check",
        ),
        ("addPrefix", json!({}), "default.addPrefix: this check"),
        ("modelRules", json!({}), "default.modelRules: this check"),
        (
            "portkey.pii",
            json!({}),
            "the check 'portkey.pii' does not exist in this gateway",
        ),
    ]);
}

#[test]
fn parameters_that_mean_nothing_are_refused() {
    assert_refused(&[
        (
            "regexMatch",
            json!({}),
            "default.regexMatch: 'rule' must be a string",
        ),
        (
            "regexMatch",
            json!({"rule": "(?=a)"}),
            "default.regexMatch: 'rule': not a regular",
        ),
        (
            "regexMatch",
            json!({"rule": "a", "not": 1}),
            "'not' must be true or false",
        ),
        (
            "regexMatch",
            json!({"rule": "a", "flags": "i"}),
            "unknown parameter 'flags'",
        ),
        (
            "notNull",
            json!({"failOnError": 1}),
            "'failOnError' must be true or false",
        ),
        ("wordCount", json!({}), "needs 'minWords' or 'maxWords'"),
        (
            "wordCount",
            json!({"minWords": -1}),
            "'minWords' must be a whole number from 0",
        ),
        (
            "sentenceCount",
            json!({"minSentences": 2, "maxSentences": 1}),
            "is more than",
        ),
        (
            "contains",
            json!({"words": []}),
            "'words' must be an array of 1 to 1000 strings",
        ),
        (
            "contains",
            json!({"words": "x"}),
            "'words' must be an array",
        ),
        (
            "contains",
            json!({"words": [""]}),
            "'words' must be an array",
        ),
        (
            "contains",
            json!({"words": ["x"], "operator": "some"}),
            "'operator' must be",
        ),
        ("jsonKeys", json!({}), "'keys' must be an array"),
        (
            "validUrls",
            json!({"onlyDNS": true}),
            "'onlyDNS' needs the network",
        ),
        (
            "endsWith",
            json!({"suffix": ""}),
            "'suffix' must be a string",
        ),
        ("containsCode", json!({}), "'format' must be a string"),
        ("modelwhitelist", json!({}), "'models' must be an array"),
        (
            "requiredMetadataKeys",
            json!({"metadataKeys": [1]}),
            "'metadataKeys' must be",
        ),
        (
            "allowedRequestTypes",
            json!({}),
            "needs 'allowedTypes' or 'blockedTypes'",
        ),
        (
            "allowedRequestTypes",
            json!({"allowedTypes": ["embed"], "blockedTypes": "embed"}),
            "'embed' is in both",
        ),
    ]);
}

#[test]
fn schemas_that_are_wrong_or_cost_too_much_are_refused() {
    let node = json!({"type": "object", "properties": {"child": {"$ref": "#"}}});
    let mut deep = json!({});
    for _ in 0..70 {
        deep = json!({"not": deep});
    }
    let doubling: Map<String, Value> = (0..20)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
            (level.to_string(), json!({"allOf": [next, next]}))
        })
        .chain([("20".to_owned(), json!({}))])
        .collect();
    assert_refused(&[
        ("jsonSchema", json!({}), "'schema' must be an object"),
        (
            "jsonSchema",
            json!({"schema": []}),
            "'schema' must be an object",
        ),
        (
            "jsonSchema",
            json!({"schema": {"type": "objekt"}}),
            "'schema' is not a JSON schema",
        ),
        (
            "jsonSchema",
            json!({"schema": {"pattern": "(?=a)"}}),
            "'schema' is not a JSON schema",
        ),
        ("jsonSchema", json!({"schema": node}), "refers to itself"),
        (
            "jsonSchema",
            json!({"schema": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}}),
            "refers to itself",
        ),
        (
            "jsonSchema",
            json!({"schema": {"$ref": "https://example.com/a.json"}}),
            "is not a place in it",
        ),
        (
            "jsonSchema",
            json!({"schema": {"$ref": "#/$defs/none"}}),
            "is not a place in it",
        ),
        (
            "jsonSchema",
            json!({"schema": {"properties": {"a": {"$id": "https://x/"}}}}),
            "has '$id', which is not supported",
        ),
        (
            "jsonSchema",
            json!({"schema": {"$dynamicRef": "#a"}}),
            "has '$dynamicRef'",
        ),
        (
            "jsonSchema",
            json!({"schema": deep}),
            "'schema' is too large",
        ),
        (
            "jsonSchema",
            json!({"schema": {"$ref": "#/$defs/0", "$defs": doubling}}),
            "'schema' is too large",
        ),
    ]);
}
