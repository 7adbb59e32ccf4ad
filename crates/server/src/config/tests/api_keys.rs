//! API keys in the configuration.

use loomgate_domain::{
    Scope, Scopes, Timestamp,
    limit::{PeriodicReset, RateKind, RateUnit, UsageKind},
};

use super::{assert_refused, load_with};

const KEY: &str = "[[api_keys]]\nname = 'a'\nkey = 'lg-0123456789secret'\n";

#[test]
fn a_key_that_says_nothing_gets_the_usual() {
    let config = load_with(KEY, []).unwrap();
    let settings = &config.api_keys[0].settings;
    assert_eq!(settings.scopes, Scopes::usual());
    assert_eq!(settings.default_virtual_key.as_deref(), Some("echo"));
    assert_eq!(settings.default_config, None);
    assert!(settings.allow_config_override);
    assert!(settings.metadata.is_empty() && settings.expires_at.is_none());
    assert_eq!(settings.allowance.usage_limits, None);
}

#[test]
fn every_option_of_a_key_arrives() {
    let file = format!(
        "{KEY}workspace = 'w'\nscopes = ['logs.view', 'admin']\ndefault_config = 'c'\n\
         allow_config_override = false\nmetadata = {{ team = 'x' }}\nconcurrency = 3\n\
         expires_at = 2027-01-31T12:00:00Z\n\
         rate_limits = [{{ type = 'tokens', unit = 'rpd', value = 9 }}]\n\
         usage_limits = {{ type = 'cost', credit_limit = 10, alert_threshold = 8, \
         periodic_reset = 'weekly' }}\n\
         [configs.c]\njson = '{{\"virtual_key\":\"echo\"}}'\n"
    );
    let config = load_with(&file, []).unwrap();
    let key = &config.api_keys[0];
    let settings = &key.settings;
    assert_eq!(key.workspace, "w");
    assert_eq!(
        settings.scopes,
        Scopes::new([Scope::Admin, Scope::LogsView])
    );
    assert_eq!(settings.default_config.as_deref(), Some("c"));
    assert!(!settings.allow_config_override);
    assert_eq!(settings.metadata["team"], "x");
    assert_eq!(settings.expires_at, Some(Timestamp(1_801_396_800)));
    let allowance = &settings.allowance;
    let rate = allowance.rate_limits[0];
    assert_eq!(
        (rate.kind, rate.unit, rate.value),
        (RateKind::Tokens, RateUnit::Rpd, 9)
    );
    let usage = allowance.usage_limits.as_ref().unwrap();
    assert_eq!(usage.kind, UsageKind::Cost);
    assert_eq!(usage.periodic_reset, Some(PeriodicReset::Weekly));
    assert!((usage.credit_limit - 10.0).abs() < f64::EPSILON);
    assert_eq!(usage.alert_threshold, Some(8.0));
    assert_eq!(allowance.concurrency, Some(3));
}

#[test]
fn a_key_needs_no_default() {
    let two = "[virtual_keys.a]\nprovider = 'echo'\n[virtual_keys.b]\nprovider = 'echo'\n";
    let config = "[configs.c]\njson = '{\"virtual_key\":\"a\"}'\n";
    // Its callers then say where their calls go.
    for file in [
        format!("{KEY}default_config = 'c'\n{two}{config}"),
        format!("{KEY}{two}"),
    ] {
        let settings = load_with(&file, []).unwrap().api_keys[0].settings.clone();
        assert_eq!(settings.default_virtual_key, None);
    }
}

#[test]
fn a_key_without_a_way_is_noted() {
    let two = "[virtual_keys.a]\nprovider = 'echo'\n[virtual_keys.b]\nprovider = 'echo'\n";
    let config = load_with(&format!("{KEY}{two}"), []).unwrap();
    assert_eq!(config.api_keys[0].settings.default_virtual_key, None);
    let start = "several virtual keys are configured, and the API key ";
    assert!(config.notes[0].starts_with(&format!("{start}\"a\" names none")));
    let config = load_with(two, []).unwrap();
    assert!(config.notes[0].starts_with(&format!("{start}that is made at the first start")));
    let chosen = load_with(&format!("default_virtual_key = 'b'\n{KEY}{two}"), []).unwrap();
    assert!(chosen.notes.is_empty());
    let settings = &chosen.api_keys[0].settings;
    assert_eq!(settings.default_virtual_key.as_deref(), Some("b"));
}

#[test]
fn limits_come_from_the_environment_too() {
    let keys = "[{name = \"a\", key = \"lg-0123456789abcdef\", rate_limits = \
                [{type = \"requests\", unit = \"rps\", value = 1}]}]";
    let variables = [
        ("LOOMGATE_API_KEYS", keys),
        ("LOOMGATE_VIRTUAL_KEYS__V__PROVIDER", "echo"),
        ("LOOMGATE_VIRTUAL_KEYS__V__USAGE_LIMITS__TYPE", "tokens"),
        ("LOOMGATE_VIRTUAL_KEYS__V__USAGE_LIMITS__CREDIT_LIMIT", "5"),
        (
            "LOOMGATE_VIRTUAL_KEYS__V__EXPIRES_AT",
            "1970-01-01T00:00:09+00:00",
        ),
    ];
    let config = load_with("", variables).unwrap();
    let rates = &config.api_keys[0].settings.allowance.rate_limits;
    assert_eq!(rates[0].unit, RateUnit::Rps);
    let key = config.virtual_keys.get("v").unwrap();
    let usage = key.allowance.usage_limits.as_ref().unwrap();
    assert_eq!(usage.kind, UsageKind::Tokens);
    assert_eq!(key.target.expires_at, Some(Timestamp(9)));
}

#[test]
fn api_keys_that_make_no_sense_are_refused() {
    let same = KEY.replace("'a'", "'b'");
    for (rest, text) in [
        (
            "default_virtual_key = 'main'",
            "there is no virtual key `main` | known virtual keys: echo",
        ),
        (KEY, "two API keys have the name \"a\""),
        (&same, "the API key \"b\" is the same as"),
        ("[[api_keys]]\nkey = 'x'", "`api_keys.1.name` is missing"),
        ("[[api_keys]]\nname = 'b'", "has no `key` or `key_env`"),
        (
            "[[api_keys]]\nname = 'b'\nkey = 'short'",
            "16 to 200 visible",
        ),
        (
            "[[api_keys]]\nname = 'b'\nkey_env = 'UNSET'",
            "`api_keys.1.key_env`: the environment variable UNSET is not set",
        ),
        ("key_env = 'X'", "are both set"),
        ("workspace = 'a b'", "`api_keys.0.workspace`"),
        (
            "scopes = ['logs.viw']",
            "`api_keys.0.scopes`: unknown scope 'logs.viw' | did you mean 'logs.view'?",
        ),
        ("scopes = []", "a key without scopes opens nothing"),
        (
            "default_config = 'none'",
            "`api_keys.0.default_config`: there is no config `none`",
        ),
        (
            "allow_config_override = false",
            "nothing to override without a `default_config`",
        ),
        ("metadata = { '' = 'x' }", "a key has 1 to 64 characters"),
        (
            "expires_at = 'tomorrow'",
            "`api_keys.0.expires_at`: not a time of RFC 3339",
        ),
        ("expires_at = 2027-01-31", "not a time of RFC 3339"),
    ] {
        assert_refused(&format!("{KEY}{rest}"), text);
    }
    let long = "x".repeat(129);
    assert_refused(
        &format!("{KEY}metadata = {{ a = '{long}' }}"),
        "a value at most 128",
    );
    let pairs: Vec<_> = (0..17).map(|index| format!("k{index} = 'v'")).collect();
    let pairs = pairs.join(", ");
    assert_refused(
        &format!("{KEY}metadata = {{ {pairs} }}"),
        "at most 16 pairs",
    );
}

#[test]
fn limits_that_make_no_sense_are_refused_on_every_kind_of_key() {
    let usage = |fields: &str| format!("usage_limits = {{ type = 'cost', {fields} }}");
    for (limit, text) in [
        (
            "rate_limits = [{ unit = 'rpm', value = 1 }]".to_owned(),
            ".rate_limits.0.type` is missing",
        ),
        (
            "rate_limits = [{ type = 'calls', unit = 'rpm', value = 1 }]".to_owned(),
            ".rate_limits.0.type`: unknown value \"calls\"",
        ),
        (
            "rate_limits = [{ type = 'tokens', unit = 'minutes', value = 1 }]".to_owned(),
            "known: \"rps\", \"rpm\", \"rph\", \"rpd\", \"rpw\"",
        ),
        (
            "rate_limits = [{ type = 'tokens', unit = 'rpm' }]".to_owned(),
            ".rate_limits.0.value` is missing",
        ),
        (
            "rate_limits = [{ type = 'tokens', unit = 'rpm', value = 0 }]".to_owned(),
            ".rate_limits.0.value` has to be at least 1",
        ),
        (
            "rate_limits = [{ typ = 'tokens' }]".to_owned(),
            "rate_limits.0.typ` | did you mean",
        ),
        ("concurrency = 0".to_owned(), ".concurrency` has to be"),
        (
            "usage_limits = { credit_limit = 1 }".to_owned(),
            ".usage_limits.type` is missing",
        ),
        (
            "usage_limits = { type = 'cost' }".to_owned(),
            ".usage_limits.credit_limit` is missing",
        ),
        (
            usage("credit_limit = 0"),
            "a number of at least 0.000000001",
        ),
        (usage("credit_limit = 1e-12"), "a number of at least"),
        (
            usage("credit_limit = -1.5"),
            "a number of at least 0.000000001",
        ),
        (
            usage("credit_limit = nan"),
            "a number of at least 0.000000001",
        ),
        (
            usage("credit_limit = inf"),
            "a number of at least 0.000000001",
        ),
        (
            usage("credit_limit = '1'"),
            "expected a number, got a string",
        ),
        (
            usage("credit_limit = 1, alert_threshold = 2"),
            ".alert_threshold` has to be more than 0 and at most the credit limit",
        ),
        (
            usage("credit_limit = 1, alert_threshold = 0"),
            ".alert_threshold` has to be",
        ),
        (
            usage("credit_limit = 1, periodic_reset = 'daily'"),
            "known: \"monthly\", \"weekly\"",
        ),
        (
            usage("credit_limit = 1, periodic_reset = 'weekly', periodic_reset_days = 1"),
            "are both set",
        ),
        (
            usage("credit_limit = 1, periodic_reset_days = 0"),
            "has to be 1 to 365",
        ),
        (
            usage("credit_limit = 1, periodic_reset_days = 366"),
            "has to be 1 to 365",
        ),
    ] {
        assert_refused(&format!("{KEY}{limit}"), text);
        assert_refused(
            &format!("[virtual_keys.v]\nprovider = 'echo'\n{limit}"),
            text,
        );
    }
    let one = "{ type = 'tokens', unit = 'rpm', value = 1 }";
    let many = vec![one; 17].join(", ");
    assert_refused(
        &format!("{KEY}rate_limits = [{many}]"),
        "`api_keys.0.rate_limits`: at most 16",
    );
}
