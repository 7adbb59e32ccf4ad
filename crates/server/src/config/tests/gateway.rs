//! `[gateway]`, `[egress]`, `[logs]`, `[[prices]]`, and the master key.

use std::time::Duration;

use super::{Recording, assert_refused, load_with};

#[test]
fn every_option_of_the_gateway_arrives() {
    let file = "[gateway]\ncache_mb = 2\nretries = 0\nconnect_s = 3\n\
                [egress]\nallow = ['10.0.0.0/8', 'localhost:11434']\n\
                [logs]\nrecord = 'relayed'\nbodies = true\nbody_kb = 4\nretention_days = 7\n\
                queue = 5\n\
                [[prices]]\nprovider = 'mistral-ai'\nmodel = 'm'\ninput = 1\noutput = 2.5\n";
    let config = load_with(file, []).unwrap();
    let gateway = &config.gateway;
    assert_eq!(gateway.cache_bytes, 2 * 1024 * 1024);
    assert_eq!(gateway.attempts.retries, 0);
    assert_eq!(gateway.connect_timeout, Duration::from_secs(3));
    let exceptions = &gateway.exceptions;
    assert!(exceptions.allow_address("10.1.2.3:80".parse().unwrap()));
    assert!(exceptions.allow_host("localhost", 11434));
    assert!(!exceptions.allow_host("localhost", 80));
    let logs = config.logs;
    assert_eq!(logs.record, Recording::Relayed);
    assert!(logs.bodies);
    assert_eq!(logs.body_bytes, 4096);
    assert_eq!(logs.retention, Duration::from_hours(7 * 24));
    assert_eq!(logs.queue, 5);
    let price = &gateway.prices[0];
    assert_eq!((&*price.provider, &*price.model), ("mistral", "m"));
    assert_eq!((price.cached_input, price.output), (None, Some(2.5)));
}

#[test]
fn the_environment_has_the_options_of_the_gateway_too() {
    let config = load_with(
        "",
        [
            ("LOOMGATE_GATEWAY__CACHE_MB", "0"),
            ("LOOMGATE_EGRESS__ALLOW", "[\"127.0.0.1\"]"),
            ("LOOMGATE_LOGS__RECORD", "off"),
            ("LOOMGATE_LOGS__BODIES", "true"),
            (
                "LOOMGATE_PRICES",
                "[{provider = \"openai\", model = \"m\", input = 1}]",
            ),
        ],
    )
    .unwrap();
    assert_eq!(config.gateway.cache_bytes, 0);
    let home = "127.0.0.1:1".parse().unwrap();
    assert!(config.gateway.exceptions.allow_address(home));
    assert_eq!(config.logs.record, Recording::Off);
    assert!(config.logs.bodies);
    assert_eq!(config.gateway.prices.len(), 1);
}

#[test]
fn options_of_the_gateway_that_make_no_sense_are_refused() {
    let price = "[[prices]]\nprovider = 'mistral'\nmodel = 'm'\ninput = 1\n";
    let same = format!("{price}{}", price.replace("mistral", "mistral-ai"));
    let negative = price.replace("= 1", "= -1");
    let unknown = format!("{price}outptu = 1");
    for (file, text) in [
        (
            "[gateway]\nretries = 11",
            "`gateway.retries` has to be at most 10",
        ),
        (
            "[gateway]\nconnect_s = 0",
            "`gateway.connect_s` has to be at least 1",
        ),
        (
            "[gateway]\ncache_mb = -1",
            "`gateway.cache_mb`: the value is out of range",
        ),
        (
            "[egress]\nallow = ['10.0.0.0/33']",
            "`egress.allow`: \"10.0.0.0/33\" is no",
        ),
        (
            "[logs]\nrecord = 'some'",
            "known: \"all\", \"relayed\", \"off\"",
        ),
        ("[logs]\nbody_kb = 0", "`logs.body_kb` has to be at least 1"),
        (
            "[logs]\nbody_kb = 1025",
            "`logs.body_kb` has to be at most 1024",
        ),
        (
            "[logs]\nretention_days = 0",
            "`logs.retention_days` has to be at least 1",
        ),
        ("[logs]\nqueue = 0", "`logs.queue` has to be at least 1"),
        (
            "[logs]\nqueue = 1000001",
            "`logs.queue` has to be at most 1000000",
        ),
        (
            "[logs]\nbodies = 'yes'",
            "`logs.bodies`: expected a boolean",
        ),
        (
            "[[prices]]\nprovider = 'x'\nmodel = 'm'",
            "`prices.0.input` is missing",
        ),
        (
            "[[prices]]\nprovider = ''\nmodel = 'm'\ninput = 1",
            "`prices.0`: a price needs",
        ),
        (&negative, "`prices.0`: the price of mistral/m has an input"),
        (&same, "`prices.1`: mistral/m has a price already"),
        (
            &unknown,
            "`prices.0.outptu` | did you mean `prices.0.output`?",
        ),
    ] {
        assert_refused(file, text);
    }
}

#[test]
fn a_master_key_of_the_environment_is_checked_and_not_shown() {
    let digits = "5e".repeat(32);
    let versions = format!("1:{digits},2:{digits}");
    for good in [&digits, &versions] {
        let config = load_with("", [("LOOMGATE_MASTER_KEY", good)]).unwrap();
        assert!(config.master_key.is_some());
    }
    let told = load_with("", [("LOOMGATE_MASTER_KEY", &digits[1..])]).unwrap_err();
    assert!(
        told.starts_with("environment variable LOOMGATE_MASTER_KEY: line 1"),
        "{told}"
    );
    assert!(!told.contains("5e5e"), "{told}");
}
