//! `[configs.NAME]`.

use super::{assert_refused, load_with};

#[test]
fn a_config_is_kept_as_it_was_written() {
    let json = r#"{"strategy":{"mode":"fallback"},"targets":[{"virtual_key":"echo"},
        {"provider":"openai","api_key":"sk-x"}]}"#;
    let config = load_with(&format!("[configs.fast]\njson = '''{json}'''"), []).unwrap();
    let saved: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(*config.saved_configs["fast"], saved);
}

#[test]
fn configs_that_make_no_sense_are_refused_without_their_text() {
    for (json, text) in [
        (
            r#"{"api_key":"secret"#,
            "`configs.c.json`: not JSON, at line 1, column",
        ),
        (
            r#"{"virtual_key":"main"}"#,
            "`configs.c.json: config`: there is no virtual key `main` | known virtual keys: echo",
        ),
        (
            r#"{"strategy":{"mode":"loadbalance"},"targets":[{"virtual_key":"echo"},
                {"provider":"@none"}]}"#,
            "`configs.c.json: config.targets[1]`: there is no virtual key `none`",
        ),
        (
            r#"{"provider":"opnai","api_key":"secret"}"#,
            "`configs.c.json: config.provider`: unknown value \"opnai\" | did you mean \"openai\"?",
        ),
        (
            r#"{"strategy":{"mode":"roulette"},"targets":[{"virtual_key":"echo"}]}"#,
            "`configs.c.json`: Invalid config passed",
        ),
    ] {
        assert_refused(&format!("[configs.c]\njson = '''{json}'''"), text);
    }
    assert_refused("[configs.c]", "`configs.c.json` is missing");
    assert_refused("[configs.'a b']\njson = '{}'", "`configs.a b`: a name has");
    assert_refused("[configs.c]\njsn = '{}'", "did you mean `configs.c.json`?");
}
