use super::*;

/// Every check, with parameters of the usual kind.
pub(super) fn one_of_each() -> Vec<(&'static str, Value)> {
    let range = |unit: &str| json!({format!("min{unit}"): 1, format!("max{unit}"): 5});
    vec![
        ("regexMatch", json!({"rule": "(a|b)*c$"})),
        ("sentenceCount", range("Sentences")),
        ("wordCount", range("Words")),
        ("characterCount", range("Characters")),
        ("contains", json!({"words": ["a", "b"], "operator": "all"})),
        (
            "jsonSchema",
            json!({"schema": {"type": "object", "required": ["a"]}}),
        ),
        ("jsonKeys", json!({"keys": ["a"], "operator": "all"})),
        ("validUrls", json!({})),
        ("alluppercase", json!({})),
        ("alllowercase", json!({})),
        ("endsWith", json!({"suffix": "a"})),
        ("containsCode", json!({"format": "SQL"})),
        ("modelwhitelist", json!({"models": ["gpt-4o"]})),
        (
            "requiredMetadataKeys",
            json!({"metadataKeys": ["team"], "operator": "all"}),
        ),
        (
            "allowedRequestTypes",
            json!({"allowedTypes": ["chatComplete"]}),
        ),
        ("notNull", json!({})),
    ]
}

fn assert_verdicts(table: &[(&str, Value, &str, bool)]) {
    for (name, parameters, text, verdict) in table {
        let result = check(name, parameters, text);
        assert_eq!(
            result.verdict, *verdict,
            "{name} {parameters} {text:?}: {result:?}"
        );
        assert_eq!(result.error, None, "{name} {parameters} {text:?}");
        assert!(result.data["explanation"].is_string(), "{result:?}");
    }
}

/// As [`assert_verdicts`], and the opposite under `not`.
fn assert_both_ways(table: &[(&str, Value, &str, bool)]) {
    assert_verdicts(table);
    let negated: Vec<_> = table
        .iter()
        .map(|(name, parameters, text, verdict)| {
            let mut parameters = parameters.clone();
            parameters["not"] = true.into();
            (*name, parameters, *text, !verdict)
        })
        .collect();
    assert_verdicts(&negated);
}

#[test]
fn texts_are_measured_as_the_original_does() {
    assert_both_ways(&[
        ("regexMatch", json!({"rule": "^he.*o$"}), "hello", true),
        ("regexMatch", json!({"rule": "^he.*o$"}), "say hello", false),
        (
            "sentenceCount",
            json!({"minSentences": 2, "maxSentences": 2}),
            "One. Two!",
            true,
        ),
        (
            "sentenceCount",
            json!({"minSentences": 2, "maxSentences": 2}),
            "One... two",
            false,
        ),
        ("sentenceCount", json!({"maxSentences": 0}), "", true),
        (
            "wordCount",
            json!({"minWords": 2, "maxWords": 3}),
            " one \n two ",
            true,
        ),
        ("wordCount", json!({"minWords": 2}), "one", false),
        ("wordCount", json!({"maxWords": 1}), "one two", false),
        (
            "characterCount",
            json!({"minCharacters": 5, "maxCharacters": 5}),
            "hello",
            true,
        ),
        ("characterCount", json!({"maxCharacters": 1}), "😀", false),
        ("alluppercase", json!({}), "HELLO, 42!", true),
        ("alluppercase", json!({}), "HELLo", false),
        ("alllowercase", json!({}), "hello, 42!", true),
        ("alllowercase", json!({}), "hellÖ", false),
        ("endsWith", json!({"suffix": "bye"}), "good bye", true),
        ("endsWith", json!({"suffix": "bye"}), "good bye.", true),
        ("endsWith", json!({"suffix": "bye."}), "good bye.", true),
        ("endsWith", json!({"suffix": "bye"}), "bye now", false),
        ("notNull", json!({}), "a", true),
        ("notNull", json!({}), " \n", false),
        ("notNull", json!({}), "", false),
    ]);
}

#[test]
fn lists_are_asked_for_any_all_or_none() {
    let words = |operator: &str| json!({"words": ["cat", "dog"], "operator": operator});
    let metadata =
        |keys: &[&str], operator: &str| json!({"metadataKeys": keys, "operator": operator});
    assert_verdicts(&[
        ("contains", words("any"), "a cat", true),
        ("contains", words("any"), "a cow", false),
        ("contains", words("all"), "cats and dogs", true),
        ("contains", words("all"), "a cat", false),
        ("contains", words("none"), "a cow", true),
        ("contains", words("none"), "a dog", false),
        ("contains", json!({"words": ["cat"]}), "a cat", true),
        ("contains", words("none"), "", true),
        (
            "requiredMetadataKeys",
            metadata(&["team", "user"], "any"),
            "",
            true,
        ),
        (
            "requiredMetadataKeys",
            metadata(&["team", "user"], "all"),
            "",
            false,
        ),
        ("requiredMetadataKeys", metadata(&["team"], "all"), "", true),
        (
            "requiredMetadataKeys",
            metadata(&["user"], "none"),
            "",
            true,
        ),
        (
            "requiredMetadataKeys",
            metadata(&["team"], "none"),
            "",
            false,
        ),
    ]);
}

#[test]
fn models_and_kinds_of_requests_are_looked_up() {
    assert_both_ways(&[
        ("modelwhitelist", json!({"models": ["gpt-4o"]}), "", true),
        ("modelWhitelist", json!({"models": ["o1"]}), "", false),
    ]);
    assert_verdicts(&[
        (
            "allowedRequestTypes",
            json!({"allowedTypes": ["chatComplete"]}),
            "",
            true,
        ),
        (
            "allowedRequestTypes",
            json!({"allowedTypes": "embed, complete"}),
            "",
            false,
        ),
        (
            "allowedRequestTypes",
            json!({"blockedTypes": ["chatComplete"]}),
            "",
            false,
        ),
        (
            "allowedRequestTypes",
            json!({"blockedTypes": "embed"}),
            "",
            true,
        ),
        (
            "allowedRequestTypes",
            json!({"allowedTypes": ["chatComplete"], "blockedTypes": ["embed"]}),
            "",
            true,
        ),
    ]);
    let hook = hook(&json!({"modelwhitelist": {"models": ["asked"]}}));
    let subject = Subject {
        text: "",
        body: &json!({"model": "answered"}),
        model: Some("asked"),
        metadata: &BTreeMap::new(),
        endpoint: "chatComplete",
    };
    assert!(hook.run(&subject, NOW).checks[0].verdict);
    let nameless = Subject {
        body: &Value::Null,
        model: None,
        ..subject
    };
    let result = hook.run(&nameless, NOW);
    let error = result.checks[0].error.as_ref().unwrap();
    assert_eq!(error.message, "Missing model in request");
}

#[test]
fn code_is_known_by_its_language() {
    let code = |format: &str| json!({"format": format});
    assert_both_ways(&[
        (
            "containsCode",
            code("SQL"),
            "Try:\n```sql\nselect 1\n```\n",
            true,
        ),
        ("containsCode", code("Python"), "```PY\nx\n```", true),
        (
            "containsCode",
            code("Python"),
            "```js\nx\n```\n```python\ny\n```",
            true,
        ),
        ("containsCode", code("C++"), "```c++\nx\n```", true),
        ("containsCode", code("zig"), "```zig\nx\n```", true),
        ("containsCode", code("SQL"), "```\nselect 1\n```", false),
        ("containsCode", code("SQL"), "```sql\nselect 1", false),
        ("containsCode", code("SQL"), "sql select 1", false),
    ]);
}

#[test]
fn json_is_found_wherever_it_stands() {
    let person = json!({"schema": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
        "required": ["name"],
        "$defs": {"age": {"type": "integer", "minimum": 0}},
    }});
    assert_both_ways(&[
        (
            "jsonSchema",
            person.clone(),
            r#"{"name": "a", "age": 1}"#,
            true,
        ),
        (
            "jsonSchema",
            person.clone(),
            r#"{"name": "a", "age": -1}"#,
            false,
        ),
        (
            "jsonSchema",
            person.clone(),
            "Here:\n```json\n{\"name\": \"a\"}\n```\nDone.",
            true,
        ),
        (
            "jsonSchema",
            person.clone(),
            "```\n{\"name\": \"a\"}\n```",
            true,
        ),
        (
            "jsonSchema",
            person.clone(),
            r#"First {"x": {"y": 1}}, then {"name": "a"}."#,
            true,
        ),
        (
            "jsonSchema",
            person.clone(),
            r#"It is {"x": {"name": "a"}}."#,
            false,
        ),
    ]);
    // Without JSON there is no verdict to turn round.
    for not in [false, true] {
        let mut parameters = person.clone();
        parameters["not"] = not.into();
        assert_verdicts(&[
            ("jsonSchema", parameters.clone(), "no JSON", false),
            ("jsonSchema", parameters, "{name: 'a'}", false),
        ]);
    }
    let keys = |operator: &str| json!({"keys": ["a", "b"], "operator": operator});
    assert_verdicts(&[
        ("jsonKeys", keys("any"), r#"{"a": 1}"#, true),
        ("jsonKeys", keys("all"), r#"{"a": 1}"#, false),
        (
            "jsonKeys",
            keys("all"),
            r#"first {"a": 1} then {"a": 1, "b": {"c": 2}}"#,
            true,
        ),
        ("jsonKeys", keys("none"), r#"{"c": {"a": 1}}"#, true),
        ("jsonKeys", keys("none"), r#"{"a": 1}"#, false),
        ("jsonKeys", keys("none"), "[1]", false),
        ("jsonKeys", keys("any"), "a b", false),
    ]);
    let result = check("jsonSchema", &person, r#"{"name": "a", "age": -1}"#);
    assert_eq!(result.data["validationErrors"][0]["path"], "/age");
    assert_eq!(result.data["matchedJson"]["age"], -1);
}

#[test]
fn addresses_are_judged_by_their_form() {
    assert_both_ways(&[
        (
            "validUrls",
            json!({}),
            "See https://example.com/a?b, or (http://10.0.0.1:80).",
            true,
        ),
        (
            "validUrls",
            json!({"onlyDNS": false}),
            "https://example.com:99999/",
            false,
        ),
        (
            "validUrls",
            json!({}),
            "https://example.com and http://%zz",
            false,
        ),
    ]);
    for not in [false, true] {
        assert_verdicts(&[
            (
                "validUrls",
                json!({"not": not}),
                "no address, ftp://example.com",
                false,
            ),
            (
                "validUrls",
                json!({"not": not}),
                "http:// and https://",
                false,
            ),
        ]);
    }
    let result = check(
        "validUrls",
        &json!({}),
        r#"["https://a.example","http://b c"]"#,
    );
    assert_eq!(
        result.data["validUrls"],
        json!(["https://a.example", "http://b"])
    );
}

#[test]
fn excerpts_are_short() {
    let result = check("notNull", &json!({}), &"ä".repeat(200));
    assert_eq!(
        result.data["textExcerpt"],
        format!("{}...", "ä".repeat(100))
    );
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(5_000));
    let result = check("jsonKeys", &json!({"keys": ["a"]}), &long);
    assert!(result.verdict && result.data["matchedJson"].is_null());
}

#[test]
fn the_schemas_that_libraries_write_are_taken() {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/order.json",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "pattern": "^[a-z]+-[0-9]{1,4}$"},
            "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}, "maxItems": 2},
            "$ref": {"type": "string"},
        },
        "definitions": {"line": {"anyOf": [{"type": "null"}, {"$ref": "#/definitions/item"}]},
                        "item": {"type": "object", "required": ["sku"]}},
    });
    let parameters = json!({"schema": schema});
    assert_both_ways(&[
        (
            "jsonSchema",
            parameters.clone(),
            r#"{"id": "a-1", "lines": [{"sku": 1}, null]}"#,
            true,
        ),
        (
            "jsonSchema",
            parameters.clone(),
            r#"{"id": "a-12345"}"#,
            false,
        ),
        (
            "jsonSchema",
            parameters.clone(),
            r#"{"lines": [{"name": 1}]}"#,
            false,
        ),
        ("jsonSchema", parameters, r#"{"other": 1}"#, false),
    ]);
}
