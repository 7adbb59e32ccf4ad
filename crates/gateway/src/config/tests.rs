mod inheritance;
mod refusals;
mod violations;

use proptest::prelude::{prop_assert, proptest};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::arbitrary::json_value;

fn parse(value: &Value) -> Config {
    Config::parse(value, &Overrides::default()).unwrap_or_else(|invalid| panic!("{invalid:?}"))
}

fn only_leaf(value: &Value) -> Leaf {
    let config = parse(value);
    let leaves: Vec<_> = config.leaves().collect();
    assert_eq!(leaves.len(), 1, "{value}");
    leaves[0].clone()
}

fn everything() -> Value {
    json!({
        "id": "cfg-1",
        "strategy": {
            "mode": "conditional",
            "conditions": [{"query": {"metadata.plan": {"$eq": "paid"}}, "then": "paid"}],
            "default": "rest",
        },
        "retry": {"attempts": 3, "on_status_codes": [429], "use_retry_after_headers": true},
        "cache": {"mode": "simple", "max_age": 3600, "namespace": "team"},
        "request_timeout": 30000,
        "override_params": {"temperature": 0, "user": "all"},
        "before_request_hooks": [
            {"type": "guardrail", "id": "g1", "deny": true,
             "checks": [{"id": "default.wordCount", "parameters": {"maxWords": 100}}]},
        ],
        "targets": [
            {
                "name": "paid",
                "strategy": {
                    "mode": "fallback",
                    "on_status_codes": [429, 503],
                    "cb_config": {"failure_threshold": 5, "cooldown_interval": 60000},
                },
                "targets": [
                    {"virtual_key": "main", "weight": 0.5},
                    {"provider": "@backup", "override_params": {"temperature": 1}},
                    {
                        "provider": "azure-openai",
                        "apiKey": "az-secret",
                        "resourceName": "mine",
                        "api_version": "v1",
                        "deployment_id": "gpt",
                        "strictOpenAiCompliance": false,
                    },
                ],
            },
            {
                "name": "rest",
                "strategy": {"mode": "loadbalance"},
                "targets": [
                    {
                        "provider": "openai", "custom_host": "http://127.0.0.1:9/v1",
                        "weight": 3,
                        "forward_headers": ["X-Team"],
                        "default_params": {"n": 1},
                        "drop_params": ["logit_bias"],
                        "passthrough": true,
                        "assistants": "upstream",
                    },
                    {"provider": "ollama", "weight": 0,
                     "output_guardrails": [{"default.contains": {"words": ["x"], "operator": "none"}}]},
                ],
            },
        ],
    })
}

#[test]
fn a_config_with_everything_is_read_as_it_says() {
    let config = parse(&everything());
    let paths: Vec<_> = config.leaves().map(|leaf| leaf.path.to_string()).collect();
    assert_eq!(
        paths,
        [
            "config.targets[0].targets[0]",
            "config.targets[0].targets[1]",
            "config.targets[0].targets[2]",
            "config.targets[1].targets[0]",
            "config.targets[1].targets[1]",
        ]
    );
    let Node::Branch(root) = &config.root else {
        panic!("{config:?}");
    };
    assert_eq!(&*root.path, "config");
    assert!(matches!(
        &root.strategy,
        Strategy::Conditional { conditions, default: Some(rest) }
            if conditions[0].1 == "paid" && rest == "rest"
    ));
    let Node::Branch(paid) = &root.targets[0] else {
        panic!("{root:?}");
    };
    assert_eq!(root.targets[0].name(), Some("paid"));
    assert_eq!(&**root.targets[1].path(), "config.targets[1]");
    assert!(matches!(
        &paid.strategy,
        Strategy::Fallback { on_status_codes: Some(codes) } if codes == &[429, 503]
    ));
    assert_eq!(
        paid.breaker.as_ref().unwrap().cooldown,
        Duration::from_mins(1)
    );

    let leaves: Vec<_> = config.leaves().collect();
    assert!(matches!(&leaves[0].destination, Destination::VirtualKey(slug) if &**slug == "main"));
    assert!(matches!(&leaves[1].destination, Destination::VirtualKey(slug) if &**slug == "backup"));
    let Destination::Inline(azure) = &leaves[2].destination else {
        panic!("{:?}", leaves[2]);
    };
    assert_eq!(azure.provider, "azure-openai");
    assert_eq!(azure.api_key.as_ref().unwrap().expose_secret(), "az-secret");
    let options: Vec<_> = azure
        .options
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        options,
        ["api_version=v1", "deployment_id=gpt", "resource_name=mine"]
    );
    let relay = &leaves[3].rules;
    assert_eq!(relay.custom_host.as_deref(), Some("http://127.0.0.1:9/v1"));
    assert_eq!(relay.forward_headers, ["x-team"]);
    assert_eq!(relay.default_params["n"], 1);
    assert_eq!(relay.drop_params, ["logit_bias"]);
    assert!(relay.passthrough);
    assert_eq!(relay.assistants_upstream, Some(true));
    assert_eq!(leaves[4].rules.after.len(), 1);
    assert_eq!(leaves[4].rules.after[0].id, "output_guardrails_0");
    let weights: Vec<_> = config.leaves().map(|leaf| leaf.weight).collect();
    assert_eq!(weights, [0.5, 1.0, 1.0, 3.0, 0.0]);
}

#[test]
fn secrets_are_not_in_debug_output() {
    let text = format!("{:?}", parse(&everything()));
    assert!(
        text.contains("azure-openai") && !text.contains("az-secret"),
        "{text}"
    );
    let vertex = json!({
        "provider": "vertex-ai", "vertex_region": "x",
        "vertex_service_account_json": {"private_key": "canary"},
    });
    let leaf = only_leaf(&vertex);
    assert!(!format!("{leaf:?}").contains("canary"));
    let Destination::Inline(inline) = &leaf.destination else {
        panic!("{leaf:?}");
    };
    assert_eq!(
        inline.options["vertex_service_account_json"],
        r#"{"private_key":"canary"}"#
    );
}

#[test]
fn every_level_that_says_enough_is_taken() {
    for (config, destination) in [
        (json!({"provider": "openai", "api_key": "x"}), "inline"),
        (
            json!({"provider": "openai", "api_key": "x", "strategy": {"mode": "single"}}),
            "inline",
        ),
        (
            json!({"provider": "openai", "retry": {"attempts": 1}}),
            "inline",
        ),
        (
            json!({"provider": "openai", "custom_host": "https://example.com/v1"}),
            "inline",
        ),
        (json!({"provider": "ollama"}), "inline"),
        (json!({"provider": "triton"}), "inline"),
        (json!({"provider": "vllm"}), "inline"),
        (json!({"provider": "llama.cpp"}), "inline"),
        (json!({"provider": "echo"}), "inline"),
        (
            json!({"provider": "azure-openai", "azure_ad_token": "x"}),
            "inline",
        ),
        (
            json!({"provider": "azure-openai", "azure_auth_mode": "managed"}),
            "inline",
        ),
        (
            json!({"provider": "bedrock", "aws_access_key_id": "x", "aws_secret_access_key": "y"}),
            "inline",
        ),
        (
            json!({"provider": "vertex-ai", "vertex_region": "x", "vertex_project_id": "y"}),
            "inline",
        ),
        (json!({"provider": "@main"}), "key"),
        (json!({"virtual_key": "main"}), "key"),
        (json!({"virtualKey": "main", "provider": "openai"}), "key"),
        (json!({"retry": {"attempts": 0}}), "request"),
        (json!({"cache": {"mode": "simple"}}), "request"),
        (json!({"request_timeout": 5}), "request"),
        (json!({"forward_headers": []}), "request"),
        (json!({"passthrough": true}), "request"),
        (json!({"default_params": {}}), "request"),
        (json!({"drop_params": []}), "request"),
        (json!({"before_request_hooks": []}), "request"),
        (json!({"output_guardrails": []}), "request"),
        (json!({"override_params": {"model": "@main/gpt-4o"}}), "key"),
    ] {
        let leaf = only_leaf(&config);
        let found = match leaf.destination {
            Destination::VirtualKey(slug) => {
                assert_eq!(&*slug, "main");
                "key"
            }
            Destination::Inline(_) => "inline",
            Destination::Request => "request",
        };
        assert_eq!(found, destination, "{config}");
        assert_eq!(&*leaf.path, "config");
    }
}

#[test]
fn a_model_names_a_virtual_key_where_nothing_else_does() {
    let of = |config: &Value| {
        let leaf = only_leaf(config);
        let slug = match leaf.destination {
            Destination::VirtualKey(slug) => slug.to_string(),
            other => format!("{other:?}"),
        };
        (slug, leaf.rules.override_params["model"].clone())
    };
    let model = |name: &str| json!({"model": name, "seed": 1});
    let alone = json!({"override_params": model("@main/org/gpt-4o")});
    assert_eq!(of(&alone), ("main".to_owned(), json!("org/gpt-4o")));
    // It is inherited as parameters are.
    let inherited = json!({
        "strategy": {"mode": "single"}, "override_params": model("@main/gpt-4o"),
        "targets": [{"retry": {"attempts": 1}}],
    });
    assert_eq!(of(&inherited), ("main".to_owned(), json!("gpt-4o")));
    // A provider may call its models so.
    let named = json!({"virtual_key": "a", "override_params": model("@cf/meta/llama")});
    assert_eq!(of(&named), ("a".to_owned(), json!("@cf/meta/llama")));
    for odd in ["@main", "@main/", "@/gpt-4o", "@a b/gpt-4o"] {
        let config = json!({"override_params": {"model": odd}});
        assert!(
            Config::parse(&config, &Overrides::default()).is_err(),
            "{odd}"
        );
    }
}

#[test]
fn rules_have_the_defaults_of_the_documents() {
    let rules = only_leaf(&json!({
        "retry": {"attempts": 99},
        "cache": {"mode": "simple"},
        "cb_config": {"failure_threshold_percentage": 50, "minimum_requests": 10},
    }))
    .rules;
    let retry = rules.retry.unwrap();
    assert_eq!(retry.attempts, 5);
    assert_eq!(retry.on_status_codes, [429, 500, 502, 503, 504, 529]);
    assert!(!retry.use_retry_after_header);
    let cache = rules.cache.unwrap();
    assert_eq!(cache.max_age, Duration::from_hours(24));
    assert_eq!(cache.namespace, None);
    let breaker = rules.breaker.unwrap();
    assert_eq!(breaker.cooldown, Duration::from_secs(30));
    assert_eq!(breaker.failure_threshold_percentage, Some(50.0));
    assert_eq!(breaker.failure_status_codes, None);
    let old = only_leaf(&json!({"cache": {"mode": "simple", "max_age": 86_400_000_000_u64}}));
    assert_eq!(
        old.rules.cache.unwrap().max_age,
        Duration::from_hours(90 * 24)
    );
}

#[test]
fn both_spellings_of_the_retry_header_are_taken() {
    for name in [
        "use_retry_after_header",
        "use_retry_after_headers",
        "useRetryAfterHeader",
    ] {
        let rules = only_leaf(&json!({"retry": {"attempts": 1, name: true}})).rules;
        assert!(rules.retry.unwrap().use_retry_after_header, "{name}");
    }
}

#[test]
fn parameters_keep_their_spelling() {
    let rules = only_leaf(&json!({
        "retry": {"attempts": 1},
        "overrideParams": {"maxTokens": 1, "responseFormat": {"jsonSchema": {"patternProperties": {}}}},
    }))
    .rules;
    let keys: Vec<_> = rules.override_params.keys().collect();
    assert_eq!(keys, ["maxTokens", "responseFormat"]);
}

#[test]
fn one_destination_is_a_config_too() {
    let overrides = Overrides {
        request_timeout: Some(Duration::from_millis(300)),
        ..Overrides::default()
    };
    let config = Config::single(Destination::VirtualKey("main".into()), &overrides);
    let leaf = config.leaves().next().unwrap();
    assert_eq!(&*leaf.path, "config");
    assert_eq!(leaf.rules.request_timeout, Some(Duration::from_millis(300)));
    assert_eq!(config.root.weight().to_bits(), 1.0_f64.to_bits());
}

proptest! {
    #[test]
    fn no_config_makes_it_panic_or_loses_its_faults(value in json_value()) {
        match Config::parse(&value, &Overrides::default()) {
            Ok(config) => prop_assert!(config.leaves().count() > 0),
            Err(invalid) => {
                let told = invalid.message != Invalid::CONFIG || !invalid.errors.is_empty();
                prop_assert!(told, "{value}");
                prop_assert!(invalid.errors.len() <= 33);
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,64}") {
        let _ = Config::parse_text(&text, &Overrides::default());
    }

    #[test]
    fn no_host_makes_it_panic(text in "(https?://)?.{0,24}") {
        if is_host(&text) {
            prop_assert!(url::Url::parse(&text).unwrap().has_host());
        }
    }
}
