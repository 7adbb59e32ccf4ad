//! Configs as operators write them, good and bad.

mod api_keys;
mod default_file;
mod gateway;
mod saved_configs;
mod virtual_keys;

use std::{
    fs,
    path::{Path, PathBuf},
};

use loomgate_gateway::Provider;
use secrecy::ExposeSecret as _;

use super::{raw::RawConfig, *};

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
    assert_eq!(config.gateway.connect_timeout, Duration::from_secs(10));
    assert_eq!(config.gateway.cache_bytes, 64 << 20);
    assert_eq!(config.logs.record, Recording::All);
    assert!(!config.logs.bodies);
    assert!(config.saved_configs.is_empty() && config.master_key.is_none());
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
fn options_that_make_no_sense_are_refused() {
    for (file, text) in [
        (
            "database = 'postgres://u:secret@/d'",
            "`database`: it has no host",
        ),
        (
            "database = 'postgres://u:secret@h/d?sslmode=maybe'",
            "`database`: sslmode has to be",
        ),
        (
            "database = 'postgres://u:secret@h/d'\n[postgres]\nconnections = 0",
            "`postgres.connections` has to be at least 1",
        ),
        (
            "database = 'mysql://u:secret@h/d'",
            "unknown kind of database",
        ),
        ("files = 's3://'", "the name of the bucket is missing"),
        ("files = 'ftp://x'", "\"s3://BUCKET/PREFIX\""),
        ("[s3]\nregion = 'x'", "the files are not in a bucket"),
        ("files_download = 'none'", "known: \"original\", \"all\""),
        (
            "[file_search]\nembeddings = 'x'",
            "`file_search.embeddings`: \"x\" is not VIRTUAL_KEY/MODEL",
        ),
        (
            "[file_search]\nembeddings = 'main/x'",
            "`file_search.embeddings`: there is no virtual key `main`",
        ),
        (
            "[file_search]\nembeddings = 'echo/x'",
            "the provider of the virtual key `echo` has no embeddings",
        ),
        (
            "[file_search]\nembeddings = 'local:'",
            "the folder is missing behind `local:`",
        ),
        (
            "[file_search]\nembeddings = 'local:x'\nembedding_dimensions = 8",
            "`file_search.embedding_dimensions` is for the model of an account",
        ),
        (
            "[virtual_keys.main]\nprovider = 'openai'\napi_key = 'sk-x'\n[file_search]\n\
             embeddings = 'main/x'\nembedding_dimensions = 9000",
            "has to be between 1 and 8192",
        ),
        (
            "[file_search]\nmemory_mb = 0",
            "`file_search.memory_mb` has to be at least 1",
        ),
        (
            "[file_search]\nrerank_model = 'echo/x'",
            "the provider of the virtual key `echo` has no `POST /rerank`",
        ),
        (
            "[file_search]\nrewrite_model = 'gpt-4o'",
            "`file_search.rewrite_model`: \"gpt-4o\" is not VIRTUAL_KEY/MODEL",
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
fn a_role_is_one_that_is_known() {
    let with = |role: &str| format!("database = 'postgres://u@h/d'\nrole = '{role}'");
    assert_eq!(
        error(&with("workr")),
        "`role`: unknown value \"workr\" | did you mean \"worker\"?"
    );
    let worker = load_with(&with("worker"), []).unwrap();
    assert!(worker.role.works() && !worker.role.serves());
    let api = load_with("database = 'postgres://u@h/d'", [("LOOMGATE_ROLE", "api")]).unwrap();
    assert!(api.role.serves() && !api.role.works());
}

#[test]
fn a_database_is_shown_without_its_password() {
    let file = "[postgres]\nconnections = 3";
    let url = "postgres://app:hush%2Fhush@db.example:5433/loom?sslmode=require";
    let config = load_with(file, [("LOOMGATE_DATABASE", url)]).unwrap();
    let Database::Postgres(postgres) = &config.database else {
        panic!("{:?}", config.database)
    };
    assert_eq!(postgres.url.to_string(), "app@db.example:5433/loom");
    assert_eq!((postgres.connections, postgres.log_connections), (3, 2));
    assert!(!format!("{config:?}").contains("hush"), "{config:?}");
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
    let Provider::Http(account) = &config.virtual_keys.get("main").unwrap().target.provider else {
        panic!("the echo");
    };
    assert_eq!(account.api_key.as_ref().unwrap().expose_secret(), "0012");
    assert_eq!(
        config.api_keys[0].key.expose_secret(),
        "lg-0123456789abcdef"
    );
    let settings = &config.api_keys[0].settings;
    assert_eq!(settings.default_virtual_key.as_deref(), Some("main"));
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
fn secrets_have_no_debug_form() {
    let file = "[[api_keys]]\nname = 'a'\nkey = 'lg-canary-0123456789'\n\
                [virtual_keys.m]\nprovider = 'openai'\napi_key = 'sk-canary'\n\
                [configs.c]\n\
                json = '{\"provider\":\"openai\",\"api_key\":\"sk-canary\"}'\n";
    let master_key = format!("1:{}", "ca9a47".repeat(11).split_at(64).0);
    let variables = [
        ("LOOMGATE_HASH_KEY", "canary"),
        ("LOOMGATE_MASTER_KEY", &master_key),
        ("OTHER", "canary"),
    ];
    let config = load_with(file, variables).unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("canary") && !shown.contains("ca9a47"),
        "{shown}"
    );
    assert!(!format!("{:?}", Environment::from(variables)).contains("canary"));
    let raw: RawConfig = toml::from_str(file).unwrap();
    assert!(!format!("{raw:?}").contains("canary"));
}
