//! The rules of a level: its own laid over what it inherits.

use std::time::Duration;

use super::{
    fault::{Faults, join},
    reader::{Reader, expected, whole},
    rule::{BreakerRule, CacheMode, CacheRule, RetryRule, Rules},
    target::is_host,
    tree::Walk,
};
use crate::guardrail::Hook;

/// More attempts than these are cut to them.
const MOST_ATTEMPTS: u32 = 5;

/// What is tried again unless a config says otherwise.
const RETRIED: [u16; 6] = [429, 500, 502, 503, 504, 529];

const DAY: u64 = 24 * 60 * 60;

/// Answers are kept for at most 90 days, whatever a config says.
const MOST_AGE: Duration = Duration::from_secs(90 * DAY);

/// How many guardrails stand before, and after, a call.
const MOST_HOOKS: usize = 32;

/// Headers that no caller may have forwarded: they open metadata services of clouds.
const NEVER_FORWARDED: [&str; 4] = [
    "x-portkey-forward-headers",
    "metadata-flavor",
    "x-aws-ec2-metadata-token",
    "x-google-metadata-request",
];

/// Reads the rules of a level.
pub(super) fn read(level: &mut Reader<'_>, inherited: &Rules, walk: &mut Walk) -> Rules {
    let mut rules = inherited.clone();
    let faults = &mut walk.faults;
    set(&mut rules.retry, retry(level, faults));
    set(&mut rules.cache, cache(level, faults));
    set(&mut rules.request_timeout, timeout(level, faults));
    set(&mut rules.breaker, breaker(level, faults));
    set(&mut rules.custom_host, host(level, faults));
    let strict = level.boolean("strict_open_ai_compliance", faults);
    set(&mut rules.strict_open_ai_compliance, strict);
    set(&mut rules.assistants_upstream, assistants(level, faults));
    if let Some(params) = level.object("override_params", faults) {
        let own = params
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()));
        rules.override_params.extend(own);
    }
    if let Some(params) = level.object("default_params", faults) {
        rules.default_params.clone_from(params);
    }
    if let Some(names) = level.strings("drop_params", faults) {
        rules.drop_params = names;
    }
    if let Some(names) = forwarded(level, faults) {
        rules.forward_headers = names;
    }
    if let Some(passthrough) = level.boolean("passthrough", faults) {
        rules.passthrough = passthrough;
    }
    if let Some(hooks) = hooks(level, "before_request_hooks", "input_guardrails", walk) {
        rules.before = hooks;
    }
    if let Some(hooks) = hooks(level, "after_request_hooks", "output_guardrails", walk) {
        rules.after = hooks;
    }
    rules
}

fn set<T>(rule: &mut Option<T>, own: Option<T>) {
    if own.is_some() {
        *rule = own;
    }
}

fn retry(level: &mut Reader<'_>, faults: &mut Faults) -> Option<RetryRule> {
    let mut retry = Reader::open(level.take("retry")?, level.at("retry"), faults)?;
    let attempts = if retry.has("attempts") {
        retry.whole("attempts", (0, u32::MAX), faults)
    } else {
        faults.add(&retry.at("attempts"), "Required");
        None
    };
    let on_status_codes = retry.status_codes("on_status_codes", faults);
    let one = retry.boolean("use_retry_after_header", faults);
    let other = retry.boolean("use_retry_after_headers", faults);
    retry.finish(faults);
    Some(RetryRule {
        attempts: attempts?.min(MOST_ATTEMPTS),
        on_status_codes: on_status_codes.unwrap_or_else(|| RETRIED.to_vec()),
        use_retry_after_header: one.or(other).unwrap_or(false),
    })
}

fn cache(level: &mut Reader<'_>, faults: &mut Faults) -> Option<CacheRule> {
    let mut cache = Reader::open(level.take("cache")?, level.at("cache"), faults)?;
    let mode = match cache.string("mode", faults) {
        Some("simple") => Some(CacheMode::Simple),
        Some("semantic") => {
            let message = "mode 'semantic' is not supported by this gateway; use 'simple'";
            faults.add(&cache.at("mode"), message);
            None
        }
        Some(_) => {
            let message = "Invalid 'cache.mode' value. Must be one of: simple, semantic";
            faults.add(&cache.at("mode"), message);
            None
        }
        None => {
            faults.add(&cache.place, "'cache.mode' must be defined");
            None
        }
    };
    let max_age = cache.number("max_age", faults);
    if max_age.is_some_and(|seconds| seconds < 1.0) {
        faults.add(&cache.at("max_age"), "must be at least 1 (second)");
    }
    let namespace = cache.name("namespace", faults).map(str::to_owned);
    cache.finish(faults);
    Some(CacheRule {
        mode: mode?,
        max_age: max_age.map_or(Duration::from_secs(DAY), |seconds| {
            Duration::try_from_secs_f64(seconds.max(1.0)).map_or(MOST_AGE, |age| age.min(MOST_AGE))
        }),
        namespace,
    })
}

fn timeout(level: &mut Reader<'_>, faults: &mut Faults) -> Option<Duration> {
    let milliseconds = level.number("request_timeout", faults)?;
    let whole = whole(milliseconds.trunc()).filter(|whole| *whole > 0);
    if whole.is_none() {
        let message = "must be at least 1 (millisecond) and less than 50 days";
        faults.add(&level.at("request_timeout"), message);
    }
    whole.map(|milliseconds| Duration::from_millis(milliseconds.into()))
}

/// Reads `cb_config` of a level or of its strategy.
pub(super) fn breaker(level: &mut Reader<'_>, faults: &mut Faults) -> Option<BreakerRule> {
    let mut rule = Reader::open(level.take("cb_config")?, level.at("cb_config"), faults)?;
    let failure_threshold = rule.whole("failure_threshold", (1, u32::MAX), faults);
    let percentage = rule.number("failure_threshold_percentage", faults);
    if percentage.is_some_and(|percentage| !(percentage > 0.0 && percentage <= 100.0)) {
        let message = "must be more than 0 and at most 100";
        faults.add(&rule.at("failure_threshold_percentage"), message);
    }
    let minimum_requests = rule.whole("minimum_requests", (1, u32::MAX), faults);
    let cooldown = rule.whole("cooldown_interval", (30_000, u32::MAX), faults);
    let failure_status_codes = rule.status_codes("failure_status_codes", faults);
    if failure_threshold.is_none() && percentage.is_none() {
        let message = "needs 'failure_threshold' or 'failure_threshold_percentage'";
        faults.add(&rule.place, message);
    }
    rule.finish(faults);
    Some(BreakerRule {
        failure_threshold,
        failure_threshold_percentage: percentage,
        minimum_requests,
        cooldown: Duration::from_millis(cooldown.unwrap_or(30_000).into()),
        failure_status_codes,
    })
}

fn host(level: &mut Reader<'_>, faults: &mut Faults) -> Option<String> {
    let host = level.string("custom_host", faults)?;
    if !is_host(host) {
        faults.add(&level.place, "Invalid custom host");
    }
    Some(host.to_owned())
}

fn assistants(level: &mut Reader<'_>, faults: &mut Faults) -> Option<bool> {
    match level.string("assistants", faults)? {
        "native" => Some(false),
        "upstream" => Some(true),
        _ => {
            faults.add(&level.at("assistants"), "must be 'native' or 'upstream'");
            None
        }
    }
}

fn forwarded(level: &mut Reader<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    let mut names = level.strings("forward_headers", faults)?;
    for (index, name) in names.iter_mut().enumerate() {
        name.make_ascii_lowercase();
        let place = || join(&level.at("forward_headers"), index);
        if NEVER_FORWARDED.contains(&name.as_str()) {
            let message = format!("forward_headers must not contain the '{name}' header");
            faults.add(&place(), message);
        } else if !is_header(name) {
            faults.add(&place(), "is not the name of a header");
        }
    }
    Some(names)
}

fn is_header(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(letter)
}

/// Guardrails stand under two names; both count.
fn hooks(
    level: &mut Reader<'_>,
    name: &str,
    shorthand: &str,
    walk: &mut Walk,
) -> Option<Vec<Hook>> {
    if !level.has(name) && !level.has(shorthand) {
        return None;
    }
    let mut hooks = Vec::new();
    for name in [name, shorthand] {
        let Some(value) = level.take(name) else {
            continue;
        };
        let place = level.at(name);
        let Some(entries) = value.as_array() else {
            walk.faults.add(&place, expected("array", value));
            continue;
        };
        if hooks.len() + entries.len() > MOST_HOOKS {
            let message = format!("there are at most {MOST_HOOKS} guardrails on a side");
            walk.faults.add(&place, message);
            continue;
        }
        if !walk.has_room_for_patterns(value, &place) {
            continue;
        }
        for (index, entry) in entries.iter().enumerate() {
            match Hook::parse(entry) {
                Ok(mut hook) => {
                    if hook.id.is_empty() {
                        hook.id = format!("{name}_{index}");
                    }
                    hooks.push(hook);
                }
                Err(message) => walk.faults.add(&join(&place, index), message),
            }
        }
    }
    Some(hooks)
}
