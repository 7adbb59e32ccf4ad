//! Where a leaf goes: its provider, its credential, the options of its provider; and whether a
//! level says enough to be one.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use super::{
    Destination, Inline,
    fault::{Faults, join},
    reader::Reader,
};

/// What a level must say, in the words that clients know.
const TOO_LITTLE: &str = "Invalid configuration. It must have either 'provider' and 'api_key', \
                          or 'strategy' and 'targets', or 'cache', or 'retry', or \
                          'request_timeout'";

/// Providers that want no key.
const KEYLESS: [&str; 5] = ["ollama", "triton", "vllm", "llama.cpp", "echo"];

/// Any of these alone makes a level worth having.
const ENOUGH: [&str; 13] = [
    "cache",
    "retry",
    "request_timeout",
    "virtual_key",
    "forward_headers",
    "passthrough",
    "default_params",
    "drop_params",
    "before_request_hooks",
    "after_request_hooks",
    "input_guardrails",
    "output_guardrails",
    "azure_auth_mode",
];

/// All keys of a level, to tell a misspelt one from an option of a provider.
const KNOWN: [&str; 28] = [
    "strategy",
    "targets",
    "name",
    "weight",
    "provider",
    "api_key",
    "virtual_key",
    "prompt_id",
    "passthrough",
    "retry",
    "cache",
    "request_timeout",
    "override_params",
    "default_params",
    "drop_params",
    "custom_host",
    "forward_headers",
    "strict_open_ai_compliance",
    "before_request_hooks",
    "after_request_hooks",
    "input_guardrails",
    "output_guardrails",
    "input_mutators",
    "output_mutators",
    "cb_config",
    "assistants",
    "on_status_codes",
    "fetch_integrated_models",
];

/// What belongs into a body; at a level it would do nothing.
const PARAMS: [&str; 8] = [
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stream",
    "stop",
];

/// The longest value of an option, in bytes.
const MOST_BYTES: usize = 16 * 1024;

/// Refuses a level that says too little, and takes out what this gateway does not have. It must
/// see the whole level: call it before fields are taken out.
pub(super) fn check(level: &mut Reader<'_>, faults: &mut Faults) {
    if !says_enough(level) {
        faults.add(&level.place, TOO_LITTLE);
    }
    for (name, message) in [
        (
            "prompt_id",
            "saved prompts do not exist in this gateway; send the messages",
        ),
        (
            "input_mutators",
            "mutators do not exist in this gateway; use 'override_params' or 'default_params'",
        ),
        ("output_mutators", "mutators do not exist in this gateway"),
        ("on_status_codes", "belongs into 'strategy' or into 'retry'"),
        (
            "fetch_integrated_models",
            "integrated models do not exist in this gateway; GET /v1/models lists the provider's",
        ),
    ] {
        if level.take(name).is_some() {
            faults.add(&level.at(name), message);
        }
    }
}

fn says_enough(level: &Reader<'_>) -> bool {
    let text = |name| level.peek(name).and_then(Value::as_str);
    let provider = text("provider");
    let provider_enough = provider.is_some_and(|provider| {
        KEYLESS.contains(&provider)
            || provider.starts_with('@')
            || level.has("api_key")
            || level.has("custom_host")
            || level.has("azure_ad_token")
    });
    let vertex = level.has("vertex_region")
        && (level.has("vertex_service_account_json") || level.has("vertex_project_id"));
    // `{"override_params": {"model": "@slug/model"}}` names a credential too.
    let model = level.peek("override_params");
    let model = model.and_then(|params| params.get("model")?.as_str());
    let names_a_key = model.is_some_and(|model| slug_in_model(model).is_some());
    provider_enough
        || (provider.is_some() && vertex)
        || level.has("strategy") && level.has("targets")
        || level.has("aws_access_key_id") && level.has("aws_secret_access_key")
        || names_a_key
        || ENOUGH.iter().any(|name| level.has(name))
}

/// Reads where a leaf goes, and whatever else the level says. Everything that is not an option of
/// a provider must have been taken out. A virtual key that its `override_params` name in the model
/// is taken out of there.
pub(super) fn read(
    mut level: Reader<'_>,
    override_params: &mut Map<String, Value>,
    faults: &mut Faults,
) -> Destination {
    let provider = level.name("provider", faults);
    let api_key = level.name("api_key", faults);
    let virtual_key = level.name("virtual_key", faults);
    let stored = virtual_key.or(provider.and_then(|provider| provider.strip_prefix('@')));
    let place = level.place.clone();
    let options = options(level, faults);

    if let Some(slug) = stored {
        // A provider beside a virtual key is how older examples are written; the key knows it.
        if api_key.is_some() {
            let message = "a virtual key brings its credential; leave one of the two out";
            faults.add(&join(&place, "api_key"), message);
        }
        if !is_slug(slug) {
            faults.add(
                &join(&place, "virtual_key"),
                "is not the slug of a virtual key",
            );
        }
        refuse(&options, &place, "belongs to the virtual key", faults);
        return Destination::VirtualKey(slug.into());
    }
    let Some(provider) = provider else {
        if api_key.is_some() {
            faults.add(&join(&place, "api_key"), "needs a 'provider'");
        }
        refuse(
            &options,
            &place,
            "is an option of a provider: name the 'provider'",
            faults,
        );
        return of_model(override_params).map_or(Destination::Request, Destination::VirtualKey);
    };
    if !is_slug(provider) {
        faults.add(&join(&place, "provider"), "is not the name of a provider");
    }
    Destination::Inline(Inline {
        provider: provider.to_owned(),
        api_key: api_key.map(SecretString::from),
        options,
    })
}

/// The virtual key that a model names; what stays is the model's own name.
fn of_model(params: &mut Map<String, Value>) -> Option<Arc<str>> {
    let model = params.get_mut("model")?;
    let (slug, name) = slug_in_model(model.as_str()?)?;
    let (slug, name) = (slug.into(), Value::from(name));
    *model = name;
    Some(slug)
}

/// `@slug/name`: a virtual key, and the model that is asked of it.
pub fn slug_in_model(model: &str) -> Option<(&str, &str)> {
    let (slug, name) = model.strip_prefix('@')?.split_once('/')?;
    (is_slug(slug) && !name.is_empty()).then_some((slug, name))
}

/// Refuses what only a target says, at a level with targets.
pub(super) fn refuse_all(level: Reader<'_>, faults: &mut Faults) {
    let place = level.place.clone();
    let mut level = level;
    for name in ["provider", "api_key", "virtual_key"] {
        if level.take(name).is_some() {
            let message = "stands beside 'targets'; say it in each target";
            faults.add(&join(&place, name), message);
        }
    }
    let options = options(level, faults);
    refuse(
        &options,
        &place,
        "stands beside 'targets'; say it in each target",
        faults,
    );
}

fn refuse(options: &BTreeMap<String, String>, place: &str, why: &str, faults: &mut Faults) {
    for name in options.keys() {
        faults.add(&join(place, format_args!("{name:.64}")), why);
    }
}

/// What is left of a level: the options of its provider.
fn options(level: Reader<'_>, faults: &mut Faults) -> BTreeMap<String, String> {
    let place = level.place.clone();
    let mut options = BTreeMap::new();
    for (name, value) in level.rest() {
        let at = join(&place, format_args!("{name:.64}"));
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            // Written as JSON: the provider's own format of a key.
            Value::Object(_) if name == "vertex_service_account_json" => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                faults.add(&at, unknown(&name));
                continue;
            }
        };
        if PARAMS.contains(&name.as_str()) {
            faults.add(&at, "is a field of requests: put it into 'override_params'");
        } else if let Some(meant) = nearest(&name) {
            faults.add(&at, format!("Unknown key; did you mean '{meant}'?"));
        } else if text.len() > MOST_BYTES {
            faults.add(&at, format!("has at most {MOST_BYTES} bytes"));
        } else {
            options.insert(name, text);
        }
    }
    options
}

fn unknown(name: &str) -> String {
    nearest(name).map_or_else(
        || "Unknown key".to_owned(),
        |meant| format!("Unknown key; did you mean '{meant}'?"),
    )
}

/// The key that a name is a misspelling of: two letters away, one where the key is short.
fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > 40 {
        return None;
    }
    KNOWN
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .filter(|(distance, known)| *distance <= if known.len() > 6 { 2 } else { 1 })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn is_slug(slug: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !slug.is_empty() && slug.len() <= 128 && slug.bytes().all(letter)
}

/// Whether a text can be a provider's base address, as far as its letters tell: `http` or `https`,
/// a plain host name or IPv4 address, no user, no query. Whether its host may be called is decided
/// where it is resolved. Source: `contract/portkey.md` section 2.1.
pub fn is_host(text: &str) -> bool {
    let odd = |letter: char| {
        letter.is_control() || letter.is_whitespace() || r"<>{}|\^`@?#".contains(letter)
    };
    let lower = text.to_ascii_lowercase();
    let Some(rest) = lower
        .strip_prefix("https://")
        .or_else(|| lower.strip_prefix("http://"))
    else {
        return false;
    };
    if text.chars().any(odd) || lower.contains("api.portkey") {
        return false;
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let plain = !host.is_empty()
        && !host.ends_with('.')
        && host.split('.').count() <= 10
        && host.bytes().all(letter);
    plain && Url::parse(text).is_ok_and(|url| url.port() != Some(0))
}
