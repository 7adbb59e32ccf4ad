//! The virtual keys of a start without any: one for each account that the environment names.

use std::collections::BTreeMap;

use loomgate_gateway::Target;
use secrecy::SecretString;
use url::Url;

use super::{
    super::{Environment, error::ConfigError},
    ConfiguredVirtualKey,
};
use crate::{account, auth::key};

/// Variables that hold a provider's key, in the order in which they become the default.
const KEYS: [(&str, &str); 3] = [
    ("OPENAI_API_KEY", "openai"),
    ("ANTHROPIC_API_KEY", "anthropic"),
    ("GEMINI_API_KEY", "google"),
];

/// Their names are the providers'. `notes` are for the operator.
pub(super) fn in_environment(
    environment: &Environment,
    notes: &mut Vec<String>,
) -> Result<Vec<ConfiguredVirtualKey>, ConfigError> {
    let mut found = Vec::new();
    for (variable, name) in KEYS {
        match environment.get(variable) {
            // A client on the same machine, which is to call this server.
            Some(key) if key.starts_with(key::PREFIX) => notes.push(format!(
                "{variable} holds an API key of Loomgate, so it makes no virtual key"
            )),
            Some(key) => {
                let masked = account::masked(key);
                let key = Some(SecretString::from(key));
                let built = account::build(name, key, &BTreeMap::new());
                let built =
                    built.map_err(|error| ConfigError::new(format!("{variable}: {error}")))?;
                let target = Target::new(name, built.brand, built.provider);
                found.push(ConfiguredVirtualKey::plain(target, Some(masked)));
            }
            None => {}
        }
    }
    if let Some(host) = environment.get("OLLAMA_HOST") {
        let url = ollama_url(host).ok_or_else(|| {
            ConfigError::new("environment variable OLLAMA_HOST: no address of a server")
                .help("for example OLLAMA_HOST=127.0.0.1:11434")
        })?;
        let options = BTreeMap::from([("base_url".to_owned(), url.to_string())]);
        let built = account::build("ollama", None, &options);
        let built = built.map_err(|error| {
            ConfigError::new(format!("environment variable OLLAMA_HOST: {error}"))
        })?;
        let target = Target::new("ollama", built.brand, built.provider);
        found.push(ConfiguredVirtualKey::plain(target, None));
    }
    Ok(found)
}

/// Ollama takes `host`, `host:port`, `:port` and URLs; `0.0.0.0` is where *it* listens.
fn ollama_url(host: &str) -> Option<Url> {
    let host = host.trim().trim_end_matches('/');
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = match rest.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None => rest.to_owned(),
    };
    let mut url = Url::parse(&format!("{scheme}://{rest}")).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    if url.host_str() == Some("0.0.0.0") {
        url.set_host(Some("127.0.0.1")).ok()?;
    }
    let names_port = rest
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if !names_port && scheme == "http" {
        url.set_port(Some(11434)).ok()?;
    }
    if url.path() == "/" {
        url.set_path("/v1");
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_hosts_become_base_urls() {
        for (host, url) in [
            ("127.0.0.1", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0:9999", "http://127.0.0.1:9999/v1"),
            (":9999", "http://127.0.0.1:9999/v1"),
            ("http://box:80", "http://box/v1"),
            (
                "https://models.example.com/",
                "https://models.example.com/v1",
            ),
            (
                "models.example.com/ollama/v1",
                "http://models.example.com:11434/ollama/v1",
            ),
        ] {
            assert_eq!(ollama_url(host).unwrap().as_str(), url, "{host}");
        }
        assert_eq!(ollama_url("ftp://box"), None);
        assert_eq!(ollama_url(" "), None);
    }
}
