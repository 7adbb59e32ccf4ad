use super::*;

fn child_of(parent: &Value, child: &Value) -> Rules {
    let mut config = json!({"strategy": {"mode": "single"}});
    let mut target = json!({"virtual_key": "a"});
    for (level, own) in [(&mut config, parent), (&mut target, child)] {
        for (key, value) in own.as_object().unwrap() {
            level[key] = value.clone();
        }
    }
    config["targets"] = json!([target]);
    only_leaf(&config).rules
}

#[test]
fn a_child_without_rules_has_its_parents() {
    let rules = child_of(&everything_that_is_inherited(), &json!({}));
    assert_eq!(rules.retry.unwrap().attempts, 2);
    assert_eq!(rules.cache.unwrap().namespace.as_deref(), Some("a"));
    assert_eq!(rules.request_timeout, Some(Duration::from_millis(100)));
    assert_eq!(rules.override_params["a"], 1);
    assert_eq!(rules.default_params["a"], 1);
    assert_eq!(rules.drop_params, ["a"]);
    assert_eq!(rules.custom_host.as_deref(), Some("https://a.example.com"));
    assert_eq!(rules.forward_headers, ["a"]);
    assert_eq!(rules.strict_open_ai_compliance, Some(true));
    assert_eq!(rules.before.len(), 1);
    assert_eq!(rules.after.len(), 1);
    assert_eq!(rules.breaker.unwrap().failure_threshold, Some(1));
    assert_eq!(rules.assistants_upstream, Some(true));
    assert!(rules.passthrough);
}

#[test]
fn what_a_child_says_itself_wins() {
    let child = json!({
        "retry": {"attempts": 1},
        "cache": {"mode": "simple"},
        "request_timeout": 200,
        "override_params": {"b": 2, "c": {"e": 2}},
        "default_params": {"b": 2},
        "drop_params": [],
        "custom_host": "https://b.example.com",
        "forward_headers": ["b"],
        "strict_open_ai_compliance": false,
        "input_guardrails": [],
        "after_request_hooks": [],
        "cb_config": {"failure_threshold": 2},
        "assistants": "native",
        "passthrough": false,
    });
    let rules = child_of(&everything_that_is_inherited(), &child);
    // Retry, cache and breaker are replaced as a whole: the defaults come back.
    let retry = rules.retry.unwrap();
    assert_eq!((retry.attempts, retry.on_status_codes.len()), (1, 6));
    assert_eq!(rules.cache.unwrap().namespace, None);
    assert_eq!(rules.request_timeout, Some(Duration::from_millis(200)));
    // Parameters merge key by key, not deeper.
    let merged = json!({"a": 1, "b": 2, "c": {"e": 2}});
    assert_eq!(Value::from(rules.override_params), merged);
    assert_eq!(Value::from(rules.default_params), json!({"b": 2}));
    assert!(rules.drop_params.is_empty());
    assert_eq!(rules.custom_host.as_deref(), Some("https://b.example.com"));
    assert_eq!(rules.forward_headers, ["b"]);
    assert_eq!(rules.strict_open_ai_compliance, Some(false));
    assert!(rules.before.is_empty() && rules.after.is_empty());
    assert_eq!(rules.breaker.unwrap().failure_threshold, Some(2));
    assert_eq!(rules.assistants_upstream, Some(false));
    assert!(!rules.passthrough);
}

fn everything_that_is_inherited() -> Value {
    let hook = json!([{"default.notNull": {}}]);
    json!({
        "retry": {"attempts": 2, "on_status_codes": [500]},
        "cache": {"mode": "simple", "namespace": "a"},
        "request_timeout": 100,
        "override_params": {"a": 1, "b": 1, "c": {"d": 1}},
        "default_params": {"a": 1},
        "drop_params": ["a"],
        "custom_host": "https://a.example.com",
        "forward_headers": ["a"],
        "strict_open_ai_compliance": true,
        "before_request_hooks": hook,
        "output_guardrails": hook,
        "cb_config": {"failure_threshold": 1},
        "assistants": "upstream",
        "passthrough": true,
    })
}

#[test]
fn the_breaker_of_a_strategy_goes_before_that_of_its_level() {
    let config = json!({
        "strategy": {"mode": "single", "cb_config": {"failure_threshold": 7}},
        "cb_config": {"failure_threshold": 8},
        "targets": [{"virtual_key": "a"}],
    });
    let breaker = only_leaf(&config).rules.breaker.unwrap();
    assert_eq!(breaker.failure_threshold, Some(7));
}

#[test]
fn guardrails_under_both_names_count() {
    let rules = child_of(
        &json!({}),
        &json!({
            "before_request_hooks": [{"id": "a", "checks": [{"id": "default.notNull"}]}],
            "inputGuardrails": [{"notNull": {}}],
        }),
    );
    let ids: Vec<_> = rules.before.iter().map(|hook| hook.id.as_str()).collect();
    assert_eq!(ids, ["a", "input_guardrails_0"]);
}

#[test]
fn headers_go_before_every_level() {
    let overrides = Overrides {
        custom_host: Some("https://header.example.com/v1".to_owned()),
        request_timeout: Some(Duration::from_secs(9)),
        forward_headers: Some(vec!["X-Header".to_owned()]),
        strict_open_ai_compliance: Some(false),
    };
    let mut config = json!({"strategy": {"mode": "fallback"}});
    let mut target = everything_that_is_inherited();
    target["virtual_key"] = "a".into();
    config["targets"] = json!([target, {"virtual_key": "b"}]);
    let config = Config::parse(&config, &overrides).unwrap();
    for leaf in config.leaves() {
        let rules = &leaf.rules;
        assert_eq!(rules.custom_host, overrides.custom_host);
        assert_eq!(rules.request_timeout, overrides.request_timeout);
        assert_eq!(rules.forward_headers, ["x-header"]);
        assert_eq!(rules.strict_open_ai_compliance, Some(false));
    }
}
