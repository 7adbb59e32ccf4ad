//! Virtual keys in the configuration, and those that the environment makes.

use std::time::Duration;

use loomgate_gateway::{Account, Api, MaxTokensField, Provider, http_client::Trust};

use super::{Config, assert_refused, load_with};

fn account<'a>(config: &'a Config, name: &str) -> &'a Account {
    match &config.virtual_keys.get(name).unwrap().target.provider {
        Provider::Http(account) => account,
        Provider::Echo => panic!("{name} is the echo"),
    }
}

#[test]
fn every_option_of_a_virtual_key_arrives() {
    let file = "[virtual_keys.main]\nprovider = 'openai'\nbase_url = 'http://10.0.0.1/v1'\n\
                api_key = 'sk-0123456789abcdefghij'\norganization = 'o'\nproject = 'p'\n\
                model_aliases = { 'gpt-4o' = 'qwen' }\nassistants = 'upstream'\n\
                max_tokens_field = 'max_completion_tokens'\nfirst_byte_s = 7\nidle_s = 8\n\
                concurrency = 2\n";
    let config = load_with(file, []).unwrap();
    let key = config.virtual_keys.get("main").unwrap();
    assert_eq!(key.masked_key.as_deref(), Some("sk-****ghij"));
    assert_eq!(key.allowance.concurrency, Some(2));
    let target = &key.target;
    assert_eq!((&*target.name, &*target.brand), ("main", "openai"));
    assert_eq!(&*target.identity, "vk:config/main");
    assert_eq!(target.trust, Trust::Trusted);
    assert!(target.assistants_upstream && target.is_stored);
    assert_eq!(target.model("gpt-4o"), "qwen");
    assert_eq!(target.timeouts.first_byte, Duration::from_secs(7));
    assert_eq!(target.timeouts.idle, Duration::from_secs(8));
    let account = account(&config, "main");
    assert_eq!(account.base_url.as_str(), "http://10.0.0.1/v1");
    assert_eq!(account.organization.as_deref(), Some("o"));
    assert_eq!(account.project.as_deref(), Some("p"));
    let newer = MaxTokensField::MaxCompletionTokens;
    assert_eq!(account.max_tokens_field, newer);
}

#[test]
fn providers_have_addresses_and_aliases_of_their_own() {
    for (provider, brand, host) in [
        ("openai", "openai", "api.openai.com"),
        ("anthropic", "anthropic", "api.anthropic.com"),
        ("google", "google", "generativelanguage.googleapis.com"),
        ("ollama", "ollama", "127.0.0.1"),
        ("vllm", "vllm", "127.0.0.1"),
        ("llama.cpp", "llama.cpp", "127.0.0.1"),
        ("openrouter", "openrouter", "openrouter.ai"),
        ("groq", "groq", "api.groq.com"),
        ("mistral-ai", "mistral", "api.mistral.ai"),
        ("deepseek", "deepseek", "api.deepseek.com"),
        ("together-ai", "together", "api.together.xyz"),
    ] {
        let file = format!("[virtual_keys.v]\nprovider = '{provider}'\napi_key = 'k'");
        let config = load_with(&file, []).unwrap();
        let target = &config.virtual_keys.get("v").unwrap().target;
        assert_eq!(&*target.brand, brand);
        assert_eq!(account(&config, "v").base_url.host_str(), Some(host));
    }
    let file = "[virtual_keys.v]\nprovider = 'azure-openai'\napi_key = 'k'\n\
                resource_name = 'mine'\ndeployment_name = 'd'\napi_version = '2024-10-21'";
    let config = load_with(file, []).unwrap();
    let azure = account(&config, "v");
    assert_eq!(azure.base_url.host_str(), Some("mine.openai.azure.com"));
    let api = Api::Azure {
        deployment: Some("d".to_owned()),
        api_version: Some("2024-10-21".to_owned()),
        is_token: false,
    };
    assert_eq!(azure.api, api);
}

#[test]
fn virtual_keys_that_make_no_sense_are_refused() {
    let local = "provider = 'openai'\nbase_url = 'http://127.0.0.1/v1'\n";
    let with = |rest: &str| format!("{local}{rest}");
    let azure = "provider = 'azure-openai'\napi_key = 'k'\n";
    let claude = "provider = 'anthropic'\napi_key = 'k'\n";
    for (options, text) in [
        (String::new(), "`virtual_keys.a.provider` is missing"),
        (
            "provider = 'opnai'".to_owned(),
            "`virtual_keys.a.provider`: unknown value \"opnai\" | did you mean \"openai\"?",
        ),
        (
            "provider = 'openai'".to_owned(),
            "`virtual_keys.a.api_key` is missing | the provider \"openai\" wants a key",
        ),
        (
            "provider = 'openai'\nbase_url = 'ftp://secret@x'".to_owned(),
            "`virtual_keys.a.base_url`: it has to begin with http:// or https://",
        ),
        (
            "provider = 'openai'\nbase_url = 'https://user:secret@x'".to_owned(),
            "`virtual_keys.a.base_url`: it must not contain a user or password",
        ),
        (
            with("assistants = 'both'"),
            "`virtual_keys.a.assistants`: unknown value \"both\"",
        ),
        (
            with("max_tokens_field = 'x'"),
            "known: \"max_tokens\", \"max_completion_tokens\"",
        ),
        (with("first_byte_s = 0"), "has to be at least 1"),
        (
            with("api_version = 'v1'"),
            "`virtual_keys.a.api_version`: the provider \"openai\" takes no `api_version`",
        ),
        (with("resource_name = 'x'"), "takes no `resource_name`"),
        (with("deployment_name = 'x'"), "takes no `deployment_name`"),
        (azure.to_owned(), "needs a 'resource_name' or a 'base_url'"),
        (
            format!("{azure}resource_name = 'x.evil.example.com/'"),
            "`virtual_keys.a.resource_name`: it has 1 to 63",
        ),
        (
            format!("{azure}resource_name = 'x'\nbase_url = 'https://x'"),
            "`virtual_keys.a.resource_name` and `virtual_keys.a.base_url` are both set",
        ),
        (
            format!("{claude}organization = 'o'"),
            "takes no `organization`",
        ),
        (
            format!("{claude}max_tokens_field = 'max_tokens'"),
            "takes no `max_tokens_field`",
        ),
        (
            format!("{claude}assistants = 'upstream'"),
            "the provider \"anthropic\" has no assistants API",
        ),
        (
            "provider = 'google'\napi_key = 'k'\nassistants = 'upstream'".to_owned(),
            "the provider \"google\" has no assistants API",
        ),
        (
            "provider = 'echo'\nassistants = 'upstream'".to_owned(),
            "the provider \"echo\" has no assistants API",
        ),
        (
            "provider = 'echo'\napi_key = 'secret'".to_owned(),
            "takes no `api_key`",
        ),
        (
            "provider = 'echo'\nbase_url = 'https://x'".to_owned(),
            "takes no `base_url`",
        ),
    ] {
        assert_refused(&format!("[virtual_keys.a]\n{options}"), text);
    }
    assert_refused(
        "[virtual_keys.'a b']\nprovider = 'echo'",
        "a name has 1 to 64",
    );
}

#[test]
fn without_virtual_keys_the_environment_names_them() {
    let config = load_with(
        "",
        [
            ("OPENAI_API_KEY", "sk-made-up-0123456789"),
            ("ANTHROPIC_API_KEY", "sk-ant"),
            ("GEMINI_API_KEY", "AIza"),
            ("OLLAMA_HOST", "0.0.0.0"),
        ],
    )
    .unwrap();
    let list = "anthropic, echo, google, ollama, openai";
    assert_eq!(config.virtual_keys.list(), list);
    assert_eq!(&**config.virtual_keys.default_name().unwrap(), "openai");
    assert_eq!(account(&config, "anthropic").api, Api::Anthropic);
    assert_eq!(account(&config, "google").api, Api::Google);
    let masked = &config.virtual_keys.get("openai").unwrap().masked_key;
    assert_eq!(masked.as_deref(), Some("sk-****6789"));
    assert!(config.notes.is_empty());

    let config = load_with("", [("GEMINI_API_KEY", "AIza"), ("OLLAMA_HOST", "box")]).unwrap();
    assert_eq!(&**config.virtual_keys.default_name().unwrap(), "google");

    // The key of a client on the same machine is not a provider's.
    let config = load_with("", [("ANTHROPIC_API_KEY", "lg-made-up")]).unwrap();
    assert_eq!(config.virtual_keys.list(), "echo");
    assert!(config.notes[0].starts_with("ANTHROPIC_API_KEY holds an API key of Loomgate"));

    let file = "[virtual_keys.mine]\nprovider = 'vllm'";
    let config = load_with(file, [("OLLAMA_HOST", "box")]).unwrap();
    assert_eq!(config.virtual_keys.list(), "echo, mine");
    assert_eq!(&**config.virtual_keys.default_name().unwrap(), "mine");
}

#[test]
fn an_address_in_the_environment_holds_no_password() {
    let told = load_with("", [("OLLAMA_HOST", "http://user:secret@box")]).unwrap_err();
    assert!(
        told.contains("OLLAMA_HOST") && !told.contains("secret"),
        "{told}"
    );
}
