mod checks;
mod hooks;
mod refusals;
mod texts;

use std::time::Instant;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use serde_json::json;

use super::*;
use crate::arbitrary::json_value;

/// Milliseconds of Unix time.
const NOW: i64 = 1_795_521_600_123;

fn hook(value: &Value) -> Hook {
    Hook::parse(value).unwrap_or_else(|error| panic!("{value}: {error}"))
}

fn run(hook: &Hook, text: &str) -> HookResult {
    let metadata = [("team".to_owned(), "a".to_owned())].into();
    let subject = Subject {
        text,
        body: &json!({"model": "gpt-4o"}),
        model: None,
        metadata: &metadata,
        endpoint: "chatComplete",
    };
    hook.run(&subject, NOW)
}

/// What one check, in the shorthand, makes of a text.
fn check(name: &str, parameters: &Value, text: &str) -> CheckResult {
    run(&hook(&json!({name: parameters})), text)
        .checks
        .remove(0)
}

fn refusal(value: &Value) -> String {
    Hook::parse(value).expect_err(&format!("{value} was taken"))
}

proptest! {
    #[test]
    fn no_hook_and_no_body_makes_it_panic(value in json_value(), body in json_value(), text in ".{0,40}") {
        let text = format!("{text}{}{}", request_text(&body), response_text(&body));
        if let Ok(hook) = Hook::parse(&value) {
            let result = run(&hook, &text);
            prop_assert!(!result.deny || !result.verdict);
        }
    }

    #[test]
    fn every_check_takes_every_text(text in r#"[ `{}\["':,.a-cäß\n/h]{0,60}"#) {
        for (name, parameters) in checks::one_of_each() {
            let result = check(name, &parameters, &text);
            prop_assert!(result.error.is_none() || !result.verdict);
            prop_assert_eq!(result.id, format!("default.{name}"));
        }
    }
}

#[test]
fn hostile_texts_take_no_time() {
    let started = Instant::now();
    for text in [
        "{".repeat(1_000_000),
        r#"{"a":"#.repeat(200_000),
        r#"{"a":1}"#.repeat(150_000),
        "```".repeat(300_000),
        "http://".repeat(150_000),
        "http".repeat(250_000),
        "a".repeat(1_000_000),
    ] {
        for (name, parameters) in checks::one_of_each() {
            check(name, &parameters, &text);
        }
    }
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
