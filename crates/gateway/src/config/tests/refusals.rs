use super::*;

pub(super) fn invalid(value: &Value) -> Invalid {
    Config::parse(value, &Overrides::default()).expect_err(&format!("{value} was taken"))
}

#[test]
fn the_texts_that_clients_know_are_kept() {
    for (text, message) in [
        (
            "pc-main-1a2b3c",
            "Invalid config passed. You need to pass a valid json",
        ),
        ("", "Invalid config passed. You need to pass a valid json"),
        (
            r#"{"mode": "fallback", "options": [{"provider": "openai"}]}"#,
            "This version of config is not supported in this route. Please migrate to the latest version",
        ),
        (
            r#"{"strategy": {"mode": "first"}, "targets": []}"#,
            "Invalid config passed",
        ),
        (
            r#"{"strategy": {"mode": "conditional", "conditions": [{"query": {}, "then": "b"}]},
                "targets": [{"name": "a", "virtual_key": "a"}]}"#,
            "Invalid target name found in the query router: b",
        ),
        (
            r#"{"strategy": {"mode": "conditional", "default": "c",
                "conditions": [{"query": {}, "then": "a"}]},
                "targets": [{"name": "a", "virtual_key": "a"}]}"#,
            "Invalid target name found in the query router: c",
        ),
    ] {
        let invalid = Config::parse_text(text, &Overrides::default()).unwrap_err();
        assert_eq!(invalid.message, message, "{text}");
        assert_eq!(invalid.to_string(), message);
    }
    let overrides = Overrides {
        custom_host: Some("ftp://example.com".to_owned()),
        ..Overrides::default()
    };
    let invalid = Config::parse(&json!({"virtual_key": "a"}), &overrides).unwrap_err();
    assert_eq!(invalid.message, "Invalid custom host");
}

#[test]
fn a_level_that_says_too_little_gets_the_known_line() {
    let line = "path: , message: Invalid configuration. It must have either 'provider' and \
                'api_key', or 'strategy' and 'targets', or 'cache', or 'retry', or \
                'request_timeout'";
    for config in [
        json!({}),
        json!({"provider": "openai"}),
        json!({"provider": "azure-openai", "resource_name": "x"}),
        json!({"weight": 1, "name": "a"}),
        json!({"override_params": {"model": "gpt-4o"}}),
        json!({"strategy": {"mode": "fallback"}}),
        json!({"targets": [{"virtual_key": "a"}]}),
        json!({"aws_access_key_id": "x"}),
    ] {
        let invalid = invalid(&config);
        assert_eq!(invalid.message, "Invalid config passed", "{config}");
        assert_eq!(invalid.errors[0], line, "{config}");
    }
    let nested = invalid(&json!({
        "strategy": {"mode": "single"},
        "targets": [{"strategy": {"mode": "single"}, "targets": [{"provider": "openai"}]}],
    }));
    assert!(nested.errors[0].starts_with("path: targets,0,targets,0, message: Invalid conf"));
}

#[test]
fn faults_of_several_levels_are_told_together() {
    let invalid = invalid(&json!({
        "strategy": {"mode": "fallback"},
        "targets": [{"provider": "openai"}, {"virtual_key": "a", "weight": -1}, {"retry": {}}],
    }));
    let places = [
        "targets,0,",
        "targets,1,weight,",
        "targets,2,retry,attempts,",
    ];
    for (error, place) in invalid.errors.iter().zip(places) {
        assert!(error.starts_with(&format!("path: {place}")), "{error}");
    }
    assert_eq!(invalid.errors.len(), 3, "{:?}", invalid.errors);
}

#[test]
fn secrets_are_not_in_errors() {
    for config in [
        json!({"provider": "canary x", "api_key": "canary", "apiKey": "canary"}),
        json!({"virtual_key": "canary x", "api_key": "canary", "azure_ad_token": "canary"}),
        json!({"provider": "openai", "api_key": ["canary"]}),
        json!({"strategy": {"mode": "single"}, "targets": [], "api_key": "canary"}),
        json!({"virtual_key": "a", "custom_host": "https://canary@example.com"}),
    ] {
        let invalid = invalid(&config);
        assert!(!format!("{invalid:?}").contains("canary"), "{invalid:?}");
    }
}

#[test]
fn depth_and_number_of_targets_and_patterns_are_bounded() {
    let nest = |depth: usize| {
        (0..depth).fold(
            json!({"virtual_key": "a"}),
            |target, _| json!({"strategy": {"mode": "single"}, "targets": [target]}),
        )
    };
    assert_eq!(parse(&nest(8)).leaves().count(), 1);
    assert!(invalid(&nest(9)).errors[0].ends_with("targets nest at most 8 deep"));

    let wide = |count: usize| {
        let targets: Vec<_> = (0..count).map(|_| json!({"virtual_key": "a"})).collect();
        json!({"strategy": {"mode": "loadbalance"}, "targets": targets})
    };
    assert_eq!(parse(&wide(64)).leaves().count(), 64);
    assert!(invalid(&wide(65)).errors[0].ends_with("a config has at most 64 targets"));

    let router = |count: usize| {
        let any: Vec<_> = (0..count)
            .map(|_| json!({"params.a": {"$regex": "a"}}))
            .collect();
        json!({
            "strategy": {"mode": "conditional", "conditions": [{"query": {"$or": any}, "then": "a"}]},
            "targets": [{"virtual_key": "a", "name": "a"}],
        })
    };
    parse(&router(64));
    assert!(invalid(&router(65)).errors[0].ends_with("at most 64 regular expressions"));
}

#[test]
fn a_flood_of_faults_is_counted_not_listed() {
    let targets: Vec<_> = (0..64).map(|_| json!({"provider": "openai"})).collect();
    let invalid = invalid(&json!({"strategy": {"mode": "single"}, "targets": targets}));
    assert_eq!(invalid.errors.len(), 33);
    assert_eq!(invalid.errors[32], "... and 32 more");
}

#[test]
fn hosts_are_judged_by_their_letters() {
    for host in [
        "https://example.com",
        "http://localhost:11434/v1",
        "HTTPS://Example.com/v1/",
        "http://10.0.0.1:8080/a/b",
        "https://a-b.c.example.com",
    ] {
        assert!(is_host(host), "{host}");
    }
    for host in [
        "",
        "example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://user@example.com",
        "https://user:pw@example.com",
        "https://exa mple.com",
        "https://example.com\n",
        "https://example.com?x=1",
        "https://example.com#x",
        "https://api.portkey.ai/v1",
        "https://ex%61mple.com",
        "https://[::1]/v1",
        "https://example.com.",
        "https://a.b.c.d.e.f.g.h.i.j.k",
        "https://example.com:99999",
        "https://example.com:0",
        "https://exämple.com",
        "https://example.com\\@evil.com",
        "gopher://example.com",
        "data:text/plain,x",
    ] {
        assert!(!is_host(host), "{host}");
    }
}
