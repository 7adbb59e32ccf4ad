//! Configs as operators write them, good and bad.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use figment::{
    error::Kind,
    value::{Dict, Value},
};
use loomgate_gateway::Provider;
use secrecy::ExposeSecret as _;

use super::{load::read, raw::RawConfig, *};

/// A config of this file and these variables. Errors call the file `F`.
fn load_with<const N: usize>(file: &str, variables: [(&str, &str); N]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loomgate.toml");
    fs::write(&path, file).unwrap();
    let sources = Sources {
        folder: folder.path().to_owned(),
        environment: Environment::from(variables),
        ..Sources::default()
    };
    load(&sources).map_err(|error| {
        let help = error.help.as_ref().map(|help| format!(" | {help}"));
        let text = format!("{error}{}", help.unwrap_or_default());
        text.replace(&path.display().to_string(), "F")
    })
}

fn error(file: &str) -> String {
    load_with(file, []).unwrap_err()
}

#[test]
fn nothing_at_all_is_a_config() {
    let config = load_with("", []).unwrap();
    assert_eq!(config.listen, "127.0.0.1:8787");
    assert_eq!(config.data_dir, Path::new("loomgate-data"));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.gateway.attempts, AttemptPolicy::default());
    assert_eq!(config.worker.concurrency, 256);
    assert_eq!(config.virtual_keys.list(), "echo");
    assert_eq!(&**config.virtual_keys.default_name().unwrap(), "echo");
    assert_eq!(config.log.format, LogFormat::Text);
    assert!(config.api_keys.is_empty());
}

#[test]
fn unknown_keys_are_named_with_their_path_and_the_nearest_known_one() {
    for (file, text) in [
        (
            "lisen = 'x'",
            "F: unknown option `lisen` | did you mean `listen`?",
        ),
        (
            "[limits]\nrun_expiry = 5",
            "F: unknown option `limits.run_expiry` | did you mean `limits.run_expiry_s`?",
        ),
        (
            "[virtual_keys.main]\nbaseurl = 'x'",
            "F: unknown option `virtual_keys.main.baseurl` | did you mean \
             `virtual_keys.main.base_url`?",
        ),
        (
            "[[api_keys]]\nname = 'a'\n[[api_keys]]\nnme = 'x'",
            "F: unknown option `api_keys.1.nme` | did you mean `api_keys.1.name`?",
        ),
        (
            "[log]\ncolour = true",
            "F: unknown option `log.colour` | known here: format, level",
        ),
    ] {
        assert_eq!(error(file), text, "{file}");
    }
}

#[test]
fn wrong_types_are_named_without_the_value() {
    for (file, text) in [
        (
            "listen = 8787",
            "F: `listen`: expected a string, got a whole number",
        ),
        (
            "[limits]\nbody_bytes = 'big'",
            "F: `limits.body_bytes`: expected a whole number, got a string",
        ),
        (
            "limits = 3",
            "F: `limits`: expected a table, got a whole number",
        ),
        (
            "api_keys = 'lg-secret'",
            "F: `api_keys`: expected a list, got a string",
        ),
        (
            "[[api_keys]]\nkey = 12345678901234567",
            "F: `api_keys.0.key`: expected a string, got a whole number",
        ),
        (
            "[worker]\nlease_s = -1",
            "F: `worker.lease_s`: the value is out of range for a whole number",
        ),
    ] {
        assert_eq!(error(file), text, "{file}");
    }
}

#[test]
fn text_that_is_no_toml_is_told_by_its_line_and_not_shown() {
    let text = error("listen = 'x'\n[[api_keys]]\nkey = 'lg-secret");
    assert!(text.starts_with("F:3: "), "{text}");
    assert!(!text.contains("lg-secret"), "{text}");
    assert!(!text.contains('\n'), "{text}");
}

#[track_caller]
fn assert_refused(file: &str, text: &str) {
    let told = error(file);
    assert!(told.contains(text), "{file}\n-> {told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn api_keys_that_make_no_sense_are_refused() {
    let key = "[[api_keys]]\nname = 'a'\nkey = 'lg-0123456789secret'\n";
    let same = key.replace("'a'", "'b'");
    let two = "[virtual_keys.a]\nprovider = 'echo'\n[virtual_keys.b]\nprovider = 'echo'\n";
    for (rest, text) in [
        (
            "default_virtual_key = 'main'",
            "there is no virtual key `main` | known virtual keys: echo",
        ),
        (key, "two API keys have the name \"a\""),
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
            two,
            "several virtual keys are configured, and the API key \"a\"",
        ),
    ] {
        assert_refused(&format!("{key}{rest}"), text);
    }
    assert_refused(
        two,
        "several virtual keys are configured, and the API key that is made",
    );
}

#[test]
fn virtual_keys_that_make_no_sense_are_refused() {
    for (options, text) in [
        ("", "`virtual_keys.a.provider` is missing"),
        ("provider = 'opnai'", "unknown value \"opnai\""),
        ("provider = 'anthropic'", "is not built yet"),
        (
            "provider = 'openai'\nbase_url = 'ftp://secret@x'",
            "`virtual_keys.a.base_url`: has to begin with http:// or https://",
        ),
        (
            "provider = 'openai'\nassistants = 'upstream'",
            "`virtual_keys.a.assistants = \"upstream\"` is not built yet | docs/status.md",
        ),
        (
            "provider = 'openai'\nmax_tokens_field = 'x'",
            "known: \"max_tokens\", \"max_completion_tokens\"",
        ),
        (
            "provider = 'echo'\napi_key = 'secret'",
            "takes no `api_key`",
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
fn options_that_make_no_sense_are_refused() {
    for (file, text) in [
        (
            "database = 'postgres://u:secret@h/d'",
            "PostgreSQL is not built yet",
        ),
        (
            "database = 'mysql://u:secret@h/d'",
            "unknown kind of database",
        ),
        ("files = 's3://bucket'", "S3 is not built yet"),
        (
            "[file_search]\nembeddings = 'x'",
            "`file_search` is not built yet",
        ),
        (
            "[configs.fast]\njson = '{}'",
            "`configs.fast` is not built yet",
        ),
        ("listen = 'localhost'", "is not HOST:PORT"),
        ("[log]\nformat = 'xml'", "known: \"text\", \"json\""),
        ("[log]\nlevel = 'loud=very'", "`log.level`"),
        (
            "[limits]\nbody_bytes = 0",
            "`limits.body_bytes` has to be at least 1",
        ),
        ("[http]\nheader_timeout_s = 0", "has to be at least 1"),
    ] {
        assert_refused(file, text);
    }
}

#[test]
fn the_environment_is_over_the_file_and_flags_are_over_both() {
    let file = "listen = 'f:1'\ndata_dir = 'f'\n[limits]\nrun_expiry_s = 1\nmessage_chars = 1";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.toml");
    fs::write(&path, file).unwrap();
    let sources = Sources {
        file: Some(path),
        environment: Environment::from([
            ("LOOMGATE_LISTEN", "e:2"),
            ("LOOMGATE_DATA_DIR", "e"),
            ("LOOMGATE_LIMITS__RUN_EXPIRY_S", "2"),
            ("LOOMGATE_LOG__FORMAT", "json"),
            ("LOOMGATE_LOG", "warn,loomgate_engine=debug"),
        ]),
        flags: Flags {
            data_dir: Some(PathBuf::from("flag")),
            ..Flags::default()
        },
        ..Sources::default()
    };
    let config = load(&sources).unwrap();
    assert_eq!(config.listen, "e:2");
    assert_eq!(config.data_dir, Path::new("flag"));
    assert_eq!(config.limits.run_expiry_s, 2);
    assert_eq!(config.limits.message_chars, 1);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.log.level, "warn,loomgate_engine=debug");
}

#[test]
fn variables_are_text_where_text_is_wanted() {
    let config = load_with(
        "",
        [
            ("LOOMGATE_VIRTUAL_KEYS__MAIN__PROVIDER", "openai"),
            ("LOOMGATE_VIRTUAL_KEYS__MAIN__API_KEY", "0012"),
            (
                "LOOMGATE_API_KEYS",
                "[{name = \"app\", key_env = \"APP_KEY\"}]",
            ),
            ("APP_KEY", "lg-0123456789abcdef"),
        ],
    )
    .unwrap();
    let Provider::Http(openai) = &config.virtual_keys.get("main").unwrap().provider else {
        panic!("not an openai provider");
    };
    assert_eq!(openai.api_key.as_ref().unwrap().expose_secret(), "0012");
    assert_eq!(
        config.api_keys[0].key.expose_secret(),
        "lg-0123456789abcdef"
    );
    assert_eq!(
        config.api_keys[0].settings.default_virtual_key.as_deref(),
        Some("main")
    );
    assert_eq!(config.virtual_keys.list(), "echo, main");
}

#[test]
fn variables_that_are_no_options_are_refused_unless_they_are_somebody_elses() {
    let told = load_with("", [("LOOMGATE_LIMITS__RUN_EXPIRY", "2")]).unwrap_err();
    assert_eq!(
        told,
        "environment variable LOOMGATE_LIMITS__RUN_EXPIRY: unknown option `limits.run_expiry` | \
         did you mean `limits.run_expiry_s`?"
    );
    let told = load_with("", [("LOOMGATE_WORKER__CONCURRENCY", "lg-secret")]).unwrap_err();
    assert!(
        told.contains("expected a whole number, got a string"),
        "{told}"
    );
    assert!(!told.contains("lg-secret"), "{told}");
    let somebody_elses = [
        ("LOOMGATE_SERVICE_HOST", "10.0.0.1"),
        ("LOOMGATE_PORT", "tcp://10.0.0.1:8787"),
        ("LOOMGATE_PORT_8787_TCP_ADDR", "10.0.0.1"),
        ("LOOMGATE_BIN", "x"),
        ("LOOMGATEWAY", "x"),
    ];
    assert!(load_with("", somebody_elses).is_ok());
}

#[test]
fn without_virtual_keys_the_environment_names_them() {
    let config = load_with(
        "",
        [
            ("OPENAI_API_KEY", "sk-made-up"),
            ("ANTHROPIC_API_KEY", "sk-ant"),
            ("OLLAMA_HOST", "0.0.0.0"),
        ],
    )
    .unwrap();
    assert_eq!(config.virtual_keys.list(), "echo, ollama, openai");
    assert_eq!(&**config.virtual_keys.default_name().unwrap(), "openai");
    assert!(config.notes[0].starts_with("ANTHROPIC_API_KEY is set, but"));

    // The key of a client on the same machine is not a key of OpenAI's.
    let config = load_with("", [("OPENAI_API_KEY", "lg-made-up")]).unwrap();
    assert_eq!(config.virtual_keys.list(), "echo");

    let file = "[virtual_keys.mine]\nprovider = 'openai'";
    let config = load_with(file, [("OLLAMA_HOST", "box")]).unwrap();
    assert_eq!(config.virtual_keys.list(), "echo, mine");
    assert_eq!(&**config.virtual_keys.default_name().unwrap(), "mine");
}

#[test]
fn secrets_have_no_debug_form() {
    let file = "[[api_keys]]\nname = 'a'\nkey = 'lg-canary-0123456789'\n\
                [virtual_keys.m]\nprovider = 'openai'\napi_key = 'sk-canary'\n";
    let variables = [("LOOMGATE_HASH_KEY", "canary"), ("OTHER", "canary")];
    let config = load_with(file, variables).unwrap();
    assert!(!format!("{config:?}").contains("canary"));
    assert!(!format!("{:?}", Environment::from(variables)).contains("canary"));
    let raw: RawConfig = toml::from_str(file).unwrap();
    assert!(!format!("{raw:?}").contains("canary"));
}

/// The default file with every option set: the marks before options are taken away.
fn default_file_uncommented() -> String {
    let is_option = |line: &str| {
        let name = line.split('=').next().unwrap_or_default().trim();
        let names = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        line.starts_with('[') || (line.contains(" = ") && names(name))
    };
    let lines = DEFAULT_FILE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(option) if is_option(option) => option,
            _ => line,
        });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_default_file_is_the_default() {
    assert!(load_with(DEFAULT_FILE, []).is_ok());
    let config = load_with(&default_file_uncommented(), []).unwrap_err();
    // It holds both of two options that exclude each other, and parts that are not built.
    assert!(config.contains("not built yet"), "{config}");
}

#[test]
fn the_default_file_and_the_types_know_the_same_options() {
    let table: toml::Table = default_file_uncommented().parse().unwrap();
    let Ok(Value::Dict(_, file)) = Value::serialize(table) else {
        panic!("not a table");
    };
    read::<RawConfig>(&file).unwrap();
    for path in [
        &[][..],
        &["api_keys"],
        &["virtual_keys", "main"],
        &["http"],
        &["gateway"],
        &["worker"],
        &["limits"],
        &["log"],
        &["file_search"],
        &["configs", "fast"],
    ] {
        let mut at = &file;
        for key in path {
            at = match &at[*key] {
                Value::Dict(_, inner) => inner,
                Value::Array(_, items) => items[0].as_dict().unwrap(),
                other => panic!("{other:?}"),
            };
        }
        for known in known_options(path) {
            assert!(
                at.contains_key(*known),
                "{path:?} lacks {known} in default.toml"
            );
        }
    }
}

/// What the types know at a place: asked by an option that nobody can know.
fn known_options(path: &[&str]) -> &'static [&'static str] {
    let mut value = Value::from(BTreeMap::from([("?".to_owned(), Value::from(1))]));
    for key in path.iter().rev() {
        if *key == "api_keys" {
            value = Value::from(vec![value]);
        }
        value = Value::from(BTreeMap::from([((*key).to_owned(), value)]));
    }
    let options: Dict = value.into_dict().unwrap();
    match read::<RawConfig>(&options).unwrap_err().kind {
        Kind::UnknownField(_, known) => known,
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_in_the_default_file_are_the_defaults() {
    let file: Dict = {
        let table: toml::Table = default_file_uncommented().parse().unwrap();
        Value::serialize(table).unwrap().into_dict().unwrap()
    };
    let raw: RawConfig = read(&file).unwrap();
    let config = load_with("", []).unwrap();
    assert_eq!(raw.limits, config.limits);
    assert_eq!(raw.listen.unwrap(), config.listen);
    assert_eq!(raw.data_dir.unwrap(), config.data_dir);
    let http = config.http;
    assert_eq!(
        raw.http.header_timeout_s.unwrap(),
        http.header_timeout.as_secs()
    );
    assert_eq!(
        raw.http.body_timeout_s.unwrap(),
        http.body_timeout.as_secs()
    );
    assert_eq!(raw.http.drain_s.unwrap(), http.drain.as_secs());
    assert_eq!(raw.http.max_connections.unwrap(), http.max_connections);
    assert_eq!(
        raw.http.max_requests_per_key.unwrap(),
        http.max_requests_per_key
    );
    let of_workspace = raw.http.max_requests_per_workspace.unwrap();
    assert_eq!(of_workspace, http.max_requests_per_workspace);
    assert_eq!(
        raw.gateway.retries.unwrap(),
        config.gateway.attempts.retries
    );
    assert_eq!(
        raw.gateway.connect_s.unwrap(),
        config.gateway.connect_timeout.as_secs()
    );
    assert_eq!(raw.worker.concurrency.unwrap(), config.worker.concurrency);
    assert_eq!(
        u64::from(raw.worker.lease_s.unwrap()),
        config.worker.lease.as_secs()
    );
    assert_eq!(raw.log.level.unwrap(), config.log.level);
    let timeouts = loomgate_gateway::Timeouts::default();
    let virtual_key = &raw.virtual_keys["main"];
    assert_eq!(
        virtual_key.first_byte_s.unwrap(),
        timeouts.first_byte.as_secs()
    );
    assert_eq!(virtual_key.idle_s.unwrap(), timeouts.idle.as_secs());
}
