//! What the server prints once it is ready: the address first, for programs; then something to
//! paste, for people.

use std::{
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use loomgate_gateway::{Provider, Target};
use secrecy::ExposeSecret as _;

use crate::{config::Config, start::Started};

pub(super) fn write(
    out: &mut dyn Write,
    address: &SocketAddr,
    started: &Started,
) -> io::Result<()> {
    writeln!(out, "loomgate listening on http://{address}")?;
    let config = &started.app.config;
    let url = format!("http://{}/v1", reachable(address));
    match (&started.new_key, &started.key_file) {
        (Some(key), file) => {
            let key = key.expose_secret();
            writeln!(out, "api key: {key}")?;
            if let Some(file) = file {
                writeln!(out, "\nThe key is kept in {}.", file.display())?;
            }
            snippets(out, config, &url, key, &format!("\"{key}\""))
        }
        (None, Some(file)) => {
            let file = std::path::absolute(file)?;
            writeln!(out, "\nThe API key is kept in {}.", file.display())?;
            let (shell, python) = from_file(&file);
            snippets(out, config, &url, &shell, &python)
        }
        (None, None) => {
            let keys = config.api_keys.len();
            writeln!(
                out,
                "\nAPI keys in the configuration: {keys}. Base URL: {url}"
            )
        }
    }
}

/// The same key as an expression of the shell and of Python.
fn from_file(file: &Path) -> (String, String) {
    let path = file.display().to_string();
    (
        format!("$(cat '{}')", path.replace('\'', r"'\''")),
        format!("open({path:?}).read().strip()"),
    )
}

fn snippets(
    out: &mut dyn Write,
    config: &Config,
    url: &str,
    shell_key: &str,
    python_key: &str,
) -> io::Result<()> {
    let default = config.virtual_keys.default_name();
    let target = default.and_then(|name| config.virtual_keys.get(name));
    let model = target.map_or_else(|| "MODEL".to_owned(), |key| model(&key.target));
    write!(
        out,
        // Nothing is indented, so that it can be pasted as it is.
        "
Try it in a shell:

curl -s {url}/models -H \"Authorization: Bearer {shell_key}\"

or in Python (pip install openai):

from openai import OpenAI
client = OpenAI(base_url=\"{url}\", api_key={python_key})
assistant = client.beta.assistants.create(model={model})
run = client.beta.threads.create_and_run_poll(
    assistant_id=assistant.id,
    thread={{\"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}})
print(client.beta.threads.messages.list(run.thread_id).data[0].content[0].text.value)

"
    )
}

/// A Python expression for a model that the virtual key has.
fn model(target: &Target) -> String {
    match &target.provider {
        Provider::Echo => "\"echo\"".to_owned(),
        Provider::Http(account) if account.base_url.host_str() == Some("api.openai.com") => {
            "\"gpt-4o-mini\"".to_owned()
        }
        Provider::Http(_) => "client.models.list().data[0].id".to_owned(),
    }
}

/// A server that listens everywhere is reached at home.
fn reachable(address: &SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_means_everywhere_is_shown_as_this_machine() {
        for (bound, shown) in [
            ("0.0.0.0:8787", "127.0.0.1:8787"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.7:80", "192.0.2.7:80"),
        ] {
            assert_eq!(reachable(&bound.parse().unwrap()).to_string(), shown);
        }
    }

    #[test]
    fn a_path_with_quotes_can_be_pasted() {
        let (shell, python) = from_file(Path::new("/a \"b\"/it's/api-key"));
        assert_eq!(shell, r#"$(cat '/a "b"/it'\''s/api-key')"#);
        assert_eq!(python, r#"open("/a \"b\"/it's/api-key").read().strip()"#);
    }
}
