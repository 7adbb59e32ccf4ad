use super::*;

#[test]
fn both_forms_are_read_alike() {
    let long = hook(&json!({
        "type": "guardrail", "id": "g", "deny": true, "async": false, "sequential": true,
        "checks": [
            {"id": "default.contains", "parameters": {"words": ["x"], "operator": "none"}},
            {"id": "default.notNull", "parameters": {"failOnError": true}, "is_enabled": false},
        ],
    }));
    let short = hook(&json!({
        "default.contains": {"words": ["x"], "operator": "none"},
        "n": {"id": "notNull", "failOnError": true, "is_enabled": false},
        "id": "g", "deny": true, "sequential": true,
    }));
    for hook in [&long, &short] {
        assert_eq!(hook.id, "g");
        assert!(hook.deny && hook.sequential && !hook.asynchronous);
        let ids: Vec<_> = hook.checks.iter().map(|check| check.id.as_str()).collect();
        assert_eq!(ids, ["default.contains", "default.notNull"]);
        assert!(hook.checks[1].fail_on_error && !hook.checks[1].enabled);
        assert_eq!(run(hook, "a").checks.len(), 1);
    }
    assert_eq!(hook(&json!({"notNull": {}})).id, "");
}

#[test]
fn the_result_has_the_originals_json() {
    let hook = hook(&json!({
        "id": "g", "deny": true,
        "contains": {"words": ["x", "a"], "operator": "none"},
        "on_fail": {"feedback": {"value": -5, "weight": 0.5, "metadata": {"why": "words"}}},
    }));
    let created_at = "2026-11-24T12:00:00.123Z";
    assert_eq!(
        serde_json::to_value(run(&hook, "x y")).unwrap(),
        json!({
            "verdict": false,
            "id": "g",
            "transformed": false,
            "checks": [{
                "data": {
                    "explanation": "Of the words, none must be there: they are not as asked.",
                    "foundWords": ["x"],
                    "missingWords": ["a"],
                    "operator": "none",
                },
                "verdict": false,
                "id": "default.contains",
                "execution_time": 0,
                "transformed": false,
                "created_at": created_at,
                "log": null,
                "fail_on_error": false,
            }],
            "feedback": {
                "value": -5,
                "weight": 0.5,
                "metadata": {
                    "why": "words",
                    "successfulChecks": "",
                    "failedChecks": "default.contains",
                    "erroredChecks": "",
                },
            },
            "execution_time": 0,
            "async": false,
            "type": "guardrail",
            "created_at": created_at,
            "deny": true,
        })
    );
    assert_eq!(run(&hook, "y").feedback, None);
}

#[test]
fn a_check_that_can_not_be_made_fails_only_where_it_is_asked_to() {
    let passed = run(
        &hook(&json!({"deny": true, "endsWith": {"suffix": "x"}})),
        "",
    );
    assert!(passed.verdict && !passed.deny && !passed.checks[0].verdict);
    let error = passed.checks[0].error.as_ref().unwrap();
    assert_eq!(error.message, "Missing text to analyze");
    let json = serde_json::to_value(&passed).unwrap();
    assert_eq!(json["checks"][0]["error"]["name"], "Error");

    let parameters = json!({"suffix": "x", "failOnError": true});
    let failed = run(&hook(&json!({"deny": true, "endsWith": parameters})), "");
    assert!(!failed.verdict && failed.deny);
}

#[test]
fn only_a_failed_guardrail_that_denies_and_is_waited_for_denies() {
    for (extra, text, deny) in [
        (json!({"deny": true}), "x", false),
        (json!({"deny": true}), "y", true),
        (json!({"deny": false}), "y", false),
        (json!({}), "y", false),
        (json!({"deny": true, "async": true}), "y", false),
    ] {
        let mut value = json!({"contains": {"words": ["x"]}});
        for (key, extra) in extra.as_object().unwrap() {
            value[key] = extra.clone();
        }
        assert_eq!(run(&hook(&value), text).deny, deny, "{value} {text}");
    }
}

#[test]
fn feedback_goes_with_the_verdict() {
    let hook = hook(&json!({
        "notNull": {}, "wordCount": {"maxWords": 1},
        "onSuccess": {"feedback": {"value": 1}},
        "onFail": {},
    }));
    let feedback = run(&hook, "one").feedback.unwrap();
    assert_eq!(
        (feedback.value, feedback.weight.to_bits()),
        (1, 1.0_f64.to_bits())
    );
    assert_eq!(
        feedback.metadata["successfulChecks"],
        "default.notNull, default.wordCount"
    );
    assert_eq!(run(&hook, "one two").feedback, None);
}

#[test]
fn times_outside_of_the_calendar_are_its_beginning() {
    let hook = hook(&json!({"notNull": {}}));
    let subject = Subject {
        text: "",
        body: &Value::Null,
        model: None,
        metadata: &BTreeMap::new(),
        endpoint: "embed",
    };
    assert_eq!(
        hook.run(&subject, i64::MAX).created_at,
        "1970-01-01T00:00:00.000Z"
    );
    assert_eq!(
        hook.run(&subject, -1).created_at,
        "1969-12-31T23:59:59.999Z"
    );
}

#[test]
fn guardrails_that_mean_nothing_are_refused() {
    let many: Vec<_> = (0..33).map(|_| json!({"id": "default.notNull"})).collect();
    for (value, text) in [
        (
            json!("pg-1"),
            "saved guardrails do not exist in this gateway",
        ),
        (json!(1), "a guardrail must be an object"),
        (json!({}), "needs at least one check"),
        (json!({"deny": true}), "needs at least one check"),
        (json!({"checks": []}), "needs at least one check"),
        (json!({"checks": {}}), "'checks' must be an array"),
        (json!({"checks": [1]}), "a check must be an object"),
        (
            json!({"checks": [{"parameters": {}}]}),
            "a check needs an 'id'",
        ),
        (
            json!({"checks": [{"id": "default.notNull", "params": {}}]}),
            "unknown key 'params' in a check",
        ),
        (
            json!({"checks": [{"id": "default.notNull", "parameters": 1}]}),
            "'parameters' must be an object",
        ),
        (
            json!({"checks": [{"id": "notNull"}]}),
            "the check 'notNull' does not exist",
        ),
        (
            json!({"checks": [{"id": "default.notNull", "is_enabled": 1}]}),
            "'is_enabled' must be true or false",
        ),
        (
            json!({"checks": [{"id": "default.notNull"}], "denies": true}),
            "unknown key 'denies' in a guardrail",
        ),
        (json!({"checks": many}), "at most 32 checks"),
        (
            json!({"notNull": {}, "type": "mutator"}),
            "'type' must be 'guardrail'",
        ),
        (
            json!({"notNull": {}, "deny": "yes"}),
            "'deny' must be true or false",
        ),
        (
            json!({"notNull": {}, "async": 1}),
            "'async' must be true or false",
        ),
        (json!({"notNull": {}, "id": 1}), "'id' must be a string"),
        (
            json!({"notNull": true}),
            "the parameters of 'notNull' must be an object",
        ),
        (
            json!({"n": {"id": 1}}),
            "the 'id' of a check must be a string",
        ),
        (
            json!({"notNull": {}, "on_fail": {"webhook": {}}}),
            "'on_fail' must be",
        ),
        (
            json!({"notNull": {}, "on_fail": {"feedback": {"value": 11}}}),
            "'on_fail' must be",
        ),
        (
            json!({"notNull": {}, "on_success": {"feedback": {"weight": 2}}}),
            "'on_success' must be",
        ),
        (
            json!({"notNull": {}, "on_success": {"feedback": {"score": 2}}}),
            "'on_success' must be",
        ),
    ] {
        let error = refusal(&value);
        assert!(error.contains(text), "{value}: {error}");
    }
}
