//! `loomgate virtual-keys`.

use std::{path::Path, process::Stdio};

use loomgate_testkit::upstream::FakeUpstream;
use tokio::io::AsyncWriteExt as _;

use crate::{
    database::kept_below,
    program::{Program, fail, program, run},
};

const SECRET: &str = "sk-canary-0123456789abcdefwxyz";

/// A command that gets a secret, through a variable or on its standard input.
pub(super) async fn with_secret(folder: &Path, arguments: &[&str], stdin: Option<&str>) -> String {
    let mut command = program(folder);
    command.args(arguments).env("PROVIDER_KEY", SECRET);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(stdin.unwrap_or_default().as_bytes())
        .await
        .unwrap();
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_providers_key_is_kept_sealed_listed_masked_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let create = [
        "virtual-keys",
        "create",
        "--slug",
        "main",
        "--provider",
        "openai",
        "--key-env",
        "PROVIDER_KEY",
        "--assistants",
        "upstream",
        "--budget",
        "cost:5",
    ];
    let made = with_secret(folder, &create, None).await;
    assert!(
        made.starts_with("virtual key: main (workspace default)\n"),
        "{made}"
    );
    assert!(made.contains("sk-****wxyz"), "{made}");
    let listed = run(folder, &["virtual-keys", "list"]).await;
    let line = listed
        .lines()
        .find(|line| line.starts_with("main "))
        .unwrap();
    for part in [
        " default ",
        " openai ",
        " sk-****wxyz ",
        " upstream ",
        " $5 in all ",
    ] {
        assert!(line.contains(part), "{part}: {listed}");
    }
    assert!(
        listed.lines().any(|line| line.starts_with("echo ")),
        "{listed}"
    );

    // Another key, by the standard input.
    let rotate = ["virtual-keys", "rotate-key", "main", "--key-stdin"];
    let told = with_secret(folder, &rotate, Some("sk-canary-another-0123456789\n")).await;
    assert_eq!(told, "main has the key sk-****6789 now.\n");

    for (path, bytes) in kept_below(&folder.join("loomgate-data")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary"), "{}", path.display());
    }

    let told = run(folder, &["virtual-keys", "delete", "main"]).await;
    assert_eq!(told, "main (workspace default) is deleted.\n");
    let (code, told) = fail(folder, &["virtual-keys", "delete", "main"]).await;
    assert_eq!(code, Some(1));
    assert!(
        told.starts_with("error: there is no virtual key `main`"),
        "{told}"
    );
}

#[tokio::test]
async fn virtual_keys_that_make_no_sense_are_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let upstream = FakeUpstream::start().await;
    let local = upstream.url();
    for (arguments, code, error) in [
        (
            &["--slug", "x", "--provider", "opnai"][..],
            2,
            "there is no such provider",
        ),
        (
            &["--slug", "x", "--provider", "openai"],
            2,
            "The provider 'openai' needs a key",
        ),
        (
            &["--slug", "x", "--provider", "openai", "--key-env", "UNSET"],
            2,
            "the environment variable UNSET is not set",
        ),
        (
            &["--slug", "x", "--provider", "vllm", "--base-url", &local],
            2,
            "the address can not be called",
        ),
        // The provider's own address is on this machine, which no caller may name.
        (
            &["--slug", "x", "--provider", "ollama"],
            2,
            "the address can not be called",
        ),
        (
            &[
                "--slug",
                "x",
                "--provider",
                "echo",
                "--assistants",
                "upstream",
            ],
            2,
            "the provider \"echo\" has no assistants API",
        ),
        (
            &[
                "--slug",
                "x",
                "--provider",
                "echo",
                "--base-url",
                "https://x.com",
            ],
            2,
            "the provider \"echo\" takes no `base_url`",
        ),
        (
            &[
                "--slug",
                "x",
                "--provider",
                "vllm",
                "--base-url",
                "https://x.com/v1?key=x",
            ],
            2,
            "a key in its query would not be sealed",
        ),
        (
            &["--slug", "x", "--provider", "echo", "--option", "region=x"],
            2,
            "--option: not NAME=VALUE",
        ),
        (
            &["--slug", "a b", "--provider", "echo"],
            2,
            "--slug: a name has",
        ),
        // It stands in the configuration.
        (
            &["--slug", "echo", "--provider", "echo"],
            1,
            "there is a virtual key `echo` already",
        ),
    ] {
        let arguments = [&["virtual-keys", "create"], arguments].concat();
        let (got, told) = fail(folder, &arguments).await;
        assert_eq!(got, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(error), "{arguments:?}: {told}");
        assert!(told.contains("\nhelp: "), "{arguments:?}: {told}");
    }
}

#[tokio::test]
async fn virtual_keys_are_changed_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let create = [
        "virtual-keys",
        "create",
        "--slug",
        "x",
        "--provider",
        "echo",
    ];
    run(folder, &create).await;
    let (code, told) = fail(folder, &create).await;
    assert_eq!(code, Some(1));
    assert!(
        told.contains("there is a virtual key `x` already"),
        "{told}"
    );
    for (arguments, error) in [
        (
            &["virtual-keys", "delete", "echo"][..],
            "stands in the configuration",
        ),
        (
            &["virtual-keys", "rotate-key", "x", "--key-env", "PATH"],
            "has no key",
        ),
    ] {
        let (code, told) = fail(folder, arguments).await;
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(error), "{told}");
    }
}

#[tokio::test]
async fn the_log_names_what_the_config_file_puts_out_of_use() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for slug in ["main", "other"] {
        let create = ["--slug", slug, "--provider", "openai", "--key-env"];
        let create = [&["virtual-keys", "create"], &create[..], &["PROVIDER_KEY"]];
        with_secret(folder, &create.concat(), None).await;
    }
    std::fs::write(folder.join("routing.json"), r#"{"virtual_key":"echo"}"#).unwrap();
    let save = ["configs", "save", "pc-main", "--file", "routing.json"];
    run(folder, &save).await;
    let config = "[virtual_keys.main]\nprovider = \"echo\"\n\
        [configs.pc-main]\njson = '{\"virtual_key\":\"echo\"}'\n";
    let program = Program::start(folder, config).await;
    let log = program.stop().await;
    let warned = |line: &&str| line.contains(" WARN ");
    let warned: Vec<&str> = log.lines().filter(warned).collect();
    let [key, config] = warned[..] else {
        panic!("{warned:?}");
    };
    assert!(key.contains("a virtual key of the database is out of use"));
    assert!(key.contains("slug=\"main\""), "{key}");
    assert!(config.contains("a config of the database is out of use"));
    assert!(config.contains("slug=\"pc-main\""), "{config}");
}
