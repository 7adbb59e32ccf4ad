//! One line for every thing that can be wrong with the shape of a config.

use super::{refusals::invalid, *};

/// A level that says enough, with more.
fn with(more: &Value) -> Value {
    let mut level = json!({"virtual_key": "a"});
    for (key, value) in more.as_object().unwrap() {
        level[key] = value.clone();
    }
    level
}

/// One target.
fn one() -> Value {
    json!([{"virtual_key": "a"}])
}

fn check(table: &[(Value, &str)]) {
    for (config, line) in table {
        let invalid = invalid(config);
        assert_eq!(invalid.message, "Invalid config passed", "{config}");
        assert!(
            invalid.errors.iter().any(|error| error == line),
            "{config}: {line} is not in {:#?}",
            invalid.errors
        );
    }
}

#[test]
fn strategies_and_targets_that_are_wrong_are_told() {
    check(&[
        (
            json!({"strategy": {"mode": "best"}, "targets": one()}),
            "path: strategy,mode, message: Invalid 'mode' value. Must be one of: single, loadbalance, fallback, conditional",
        ),
        (
            json!({"strategy": {"mode": 1}, "targets": one()}),
            "path: strategy,mode, message: Expected string, received number",
        ),
        (
            json!({"strategy": {}, "targets": one()}),
            "path: strategy,mode, message: Required",
        ),
        (
            json!({"strategy": "single", "targets": one()}),
            "path: strategy, message: Expected object, received string",
        ),
        (
            json!({"strategy": {"mode": "single", "x": 1}, "targets": one()}),
            "path: strategy,x, message: Unknown key",
        ),
        (
            json!({"strategy": {"mode": "single", "on_status_codes": [500]}, "targets": one()}),
            "path: strategy,on_status_codes, message: means something in mode 'fallback' only",
        ),
        (
            json!({"strategy": {"mode": "fallback", "conditions": []}, "targets": one()}),
            "path: strategy,conditions, message: means something in mode 'conditional' only",
        ),
        (
            json!({"strategy": {"mode": "fallback", "on_status_codes": [99]}, "targets": one()}),
            "path: strategy,on_status_codes,0, message: must be a status from 100 to 599",
        ),
        (
            json!({"strategy": {"mode": "fallback", "on_status_codes": ["500"]}, "targets": one()}),
            "path: strategy,on_status_codes,0, message: Expected number, received string",
        ),
        (
            json!({"strategy": {"mode": "single"}, "targets": []}),
            "path: targets, message: must have at least one target",
        ),
        (
            json!({"strategy": {"mode": "single"}, "targets": {}}),
            "path: targets, message: Expected array, received object",
        ),
        (
            json!({"strategy": {"mode": "single"}, "targets": ["a"]}),
            "path: targets,0, message: Expected object, received string",
        ),
        (
            json!({"strategy": {"mode": "loadbalance"}, "targets": [{"virtual_key": "a", "weight": 0}]}),
            "path: targets, message: a load balancer needs a target with a weight of more than 0",
        ),
        (
            with(&json!({"strategy": {"mode": "fallback"}})),
            "path: targets, message: Required",
        ),
        (
            with(&json!({"targets": one()})),
            "path: strategy, message: Required",
        ),
    ]);
}

#[test]
fn conditions_that_are_wrong_are_told() {
    let router = |conditions: Value| json!({"strategy": {"mode": "conditional", "conditions": conditions}, "targets": one()});
    check(&[
        (
            router(json!([])),
            "path: strategy,conditions, message: No conditions passed in the query router",
        ),
        (
            json!({"strategy": {"mode": "conditional"}, "targets": one()}),
            "path: strategy,conditions, message: No conditions passed in the query router",
        ),
        (
            router(json!([{"then": "a"}])),
            "path: strategy,conditions,0,query, message: Required",
        ),
        (
            router(json!([{"query": {}}])),
            "path: strategy,conditions,0,then, message: Required",
        ),
        (
            router(json!([{"query": {"params.a": {"$like": 1}}, "then": "a"}])),
            "path: strategy,conditions,0,query, message: Unsupported operator used in the query router: $like",
        ),
    ]);
}

#[test]
fn rules_that_are_wrong_are_told() {
    check(&[
        (
            with(&json!({"retry": {}})),
            "path: retry,attempts, message: Required",
        ),
        (
            with(&json!({"retry": {"attempts": 1.5}})),
            "path: retry,attempts, message: must be a whole number from 0 to 4294967295",
        ),
        (
            with(&json!({"retry": {"attempts": -1}})),
            "path: retry,attempts, message: must be a whole number from 0 to 4294967295",
        ),
        (
            with(&json!({"retry": {"attempts": 1, "on_status_codes": [600]}})),
            "path: retry,on_status_codes,0, message: must be a status from 100 to 599",
        ),
        (
            with(&json!({"retry": {"attempts": 1, "delay": 5}})),
            "path: retry,delay, message: Unknown key",
        ),
        (
            with(&json!({"cache": {}})),
            "path: cache, message: 'cache.mode' must be defined",
        ),
        (
            with(&json!({"cache": {"mode": "exact"}})),
            "path: cache,mode, message: Invalid 'cache.mode' value. Must be one of: simple, semantic",
        ),
        (
            with(&json!({"cache": {"mode": "semantic"}})),
            "path: cache,mode, message: mode 'semantic' is not supported by this gateway; use 'simple'",
        ),
        (
            with(&json!({"cache": {"mode": "simple", "max_age": 0.5}})),
            "path: cache,max_age, message: must be at least 1 (second)",
        ),
        (
            with(&json!({"request_timeout": 0})),
            "path: request_timeout, message: must be at least 1 (millisecond) and less than 50 days",
        ),
        (
            with(&json!({"request_timeout": 1e12})),
            "path: request_timeout, message: must be at least 1 (millisecond) and less than 50 days",
        ),
        (
            with(&json!({"cb_config": {}})),
            "path: cb_config, message: needs 'failure_threshold' or 'failure_threshold_percentage'",
        ),
        (
            with(&json!({"cb_config": {"failure_threshold": 1, "cooldown_interval": 29_999}})),
            "path: cb_config,cooldown_interval, message: must be a whole number from 30000 to 4294967295",
        ),
        (
            with(&json!({"cb_config": {"failure_threshold_percentage": 101}})),
            "path: cb_config,failure_threshold_percentage, message: must be more than 0 and at most 100",
        ),
        (
            with(&json!({"custom_host": "example.com"})),
            "path: , message: Invalid custom host",
        ),
        (
            with(&json!({"forward_headers": "a"})),
            "path: forward_headers, message: Expected array, received string",
        ),
        (
            with(&json!({"forward_headers": ["a b"]})),
            "path: forward_headers,0, message: is not the name of a header",
        ),
        (
            with(&json!({"forward_headers": ["X-Portkey-Forward-Headers"]})),
            "path: forward_headers,0, message: forward_headers must not contain the 'x-portkey-forward-headers' header",
        ),
        (
            with(&json!({"forward_headers": ["Metadata-Flavor"]})),
            "path: forward_headers,0, message: forward_headers must not contain the 'metadata-flavor' header",
        ),
        (
            with(&json!({"assistants": "relay"})),
            "path: assistants, message: must be 'native' or 'upstream'",
        ),
        (
            with(&json!({"drop_params": [1]})),
            "path: drop_params,0, message: Expected string, received number",
        ),
        (
            with(&json!({"override_params": []})),
            "path: override_params, message: Expected object, received array",
        ),
    ]);
}

#[test]
fn levels_that_are_wrong_are_told() {
    check(&[
        (
            json!([]),
            "path: , message: Expected object, received array",
        ),
        (
            with(&json!({"weight": -1})),
            "path: weight, message: must be from 0 to 1000000000",
        ),
        (
            with(&json!({"weight": "1"})),
            "path: weight, message: Expected number, received string",
        ),
        (
            with(&json!({"name": ""})),
            "path: name, message: must not be empty",
        ),
        (
            with(&json!({"prompt_id": "p"})),
            "path: prompt_id, message: saved prompts do not exist in this gateway; send the messages",
        ),
        (
            with(&json!({"input_mutators": []})),
            "path: input_mutators, message: mutators do not exist in this gateway; use 'override_params' or 'default_params'",
        ),
        (
            with(&json!({"output_mutators": []})),
            "path: output_mutators, message: mutators do not exist in this gateway",
        ),
        (
            with(&json!({"on_status_codes": [500]})),
            "path: on_status_codes, message: belongs into 'strategy' or into 'retry'",
        ),
        (
            with(&json!({"input_guardrails": ["pg-1"]})),
            "path: input_guardrails,0, message: saved guardrails do not exist in this gateway: write the checks of 'pg-1' into the config",
        ),
        (
            with(&json!({"input_guardrails": {}})),
            "path: input_guardrails, message: Expected array, received object",
        ),
        (
            with(&json!({"retrys": {"attempts": 1}})),
            "path: retrys, message: Unknown key; did you mean 'retry'?",
        ),
        (
            with(&json!({"hooks": []})),
            "path: hooks, message: Unknown key",
        ),
        (
            with(&json!({"model": "gpt-4o"})),
            "path: model, message: is a field of requests: put it into 'override_params'",
        ),
        (
            with(&json!({"region": "eu"})),
            "path: region, message: belongs to the virtual key",
        ),
        (
            with(&json!({"api_key": "x"})),
            "path: api_key, message: a virtual key brings its credential; leave one of the two out",
        ),
        (
            json!({"virtual_key": "a b"}),
            "path: virtual_key, message: is not the slug of a virtual key",
        ),
        (
            json!({"provider": "open ai", "api_key": "x"}),
            "path: provider, message: is not the name of a provider",
        ),
        (
            json!({"provider": "openai", "api_key": "x", "customhost": "y"}),
            "path: customhost, message: Unknown key; did you mean 'custom_host'?",
        ),
        (
            json!({"provider": "openai", "apiKey": "x", "api_key": "y"}),
            "path: api_key, message: is given twice, in two spellings",
        ),
        (
            json!({"retry": {"attempts": 1}, "api_key": "x"}),
            "path: api_key, message: needs a 'provider'",
        ),
        (
            json!({"retry": {"attempts": 1}, "api_version": "x"}),
            "path: api_version, message: is an option of a provider: name the 'provider'",
        ),
        (
            json!({"strategy": {"mode": "single"}, "targets": one(), "provider": "openai"}),
            "path: provider, message: stands beside 'targets'; say it in each target",
        ),
        (
            json!({"strategy": {"mode": "single"}, "targets": one(), "region": "eu"}),
            "path: region, message: stands beside 'targets'; say it in each target",
        ),
    ]);
}
