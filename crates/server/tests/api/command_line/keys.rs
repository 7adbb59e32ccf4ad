//! `loomgate keys`.

use crate::program::{fail, run};

const CONFIG: &str = "[configs.fast]\njson = '{\"virtual_key\":\"echo\"}'\n";

#[tokio::test]
async fn keys_are_made_with_scopes_limits_and_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("loomgate.toml"), CONFIG).unwrap();
    let create = ["keys", "create", "--name"];
    run(folder, &[&create[..], &["plain"]].concat()).await;
    run(folder, &[&create[..], &["root", "--admin"]].concat()).await;
    let limited = [
        "limited",
        "--workspace",
        "team",
        "--scopes",
        "completions.write,logs.view",
        "--config-slug",
        "fast",
        "--rate-limit",
        "requests:rpm:60",
        "--rate-limit",
        "tokens:rpd:1000",
        "--budget",
        "cost:10:monthly",
        "--concurrency",
        "4",
    ];
    let made = run(folder, &[&create[..], &limited].concat()).await;
    assert!(made.contains("(workspace team)"), "{made}");
    let listed = run(folder, &["keys", "list"]).await;
    let line = |name: &str| {
        let found = listed
            .lines()
            .find(|line| line.contains(&format!(" {name} ")));
        found.unwrap_or_else(|| panic!("{listed}")).to_owned()
    };
    assert!(line("plain").contains(" usual "), "{listed}");
    assert!(line("root").contains(" admin "), "{listed}");
    let line = line("limited");
    for part in [
        " team ",
        " config fast ",
        " completions.write,logs.view ",
        " 60 requests rpm, 1000 tokens rpd, $10 monthly, 4 at once ",
        "valid, 0 % of budget used",
    ] {
        assert!(line.contains(part), "{part}: {listed}");
    }
}

#[tokio::test]
async fn keys_that_make_no_sense_are_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("loomgate.toml"), CONFIG).unwrap();
    for (arguments, error, help) in [
        (
            &["--scopes", "logs.viw"][..],
            "`--scopes`: unknown scope 'logs.viw'",
            "did you mean 'logs.view'?",
        ),
        (
            &["--rate-limit", "requests:rpm:0"],
            "`--rate-limit.value` has to be at least 1",
            "",
        ),
        (
            &["--budget", "money:1"],
            "`--budget.type`: unknown value \"money\"",
            "known: \"cost\", \"tokens\"",
        ),
        (
            &["--config-slug", "slow"],
            "default config: there is no config `slow`",
            "[configs.NAME]",
        ),
        (
            &["--virtual-key", "main"],
            "default virtual key: there is no virtual key `main`",
            "known virtual keys: echo",
        ),
        (
            &["--workspace", "a b"],
            "--workspace: a name has 1 to 64 characters",
            "",
        ),
        (
            &["--admin", "--scopes", "logs.view"],
            "the argument '--admin' cannot be used with '--scopes",
            "",
        ),
    ] {
        let arguments = [&["keys", "create", "--name", "x"], arguments].concat();
        let (code, told) = fail(folder, &arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {told}");
        assert!(told.contains(error), "{arguments:?}: {told}");
        assert!(told.contains(help), "{arguments:?}: {told}");
    }
    let listed = run(folder, &["keys", "list"]).await;
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[tokio::test]
async fn a_key_may_use_a_virtual_key_of_its_workspace_only() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let make = ["virtual-keys", "create", "--slug", "own", "--provider"];
    run(
        folder,
        &[&make[..], &["echo", "--workspace", "team"]].concat(),
    )
    .await;
    let key = ["keys", "create", "--name", "x", "--virtual-key", "own"];
    run(folder, &[&key[..], &["--workspace", "team"]].concat()).await;
    let (code, told) = fail(folder, &key).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("there is no virtual key `own`"), "{told}");
}

#[tokio::test]
async fn a_key_without_a_way_is_made_and_the_operator_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let two = "[virtual_keys.a]\nprovider = 'echo'\n[virtual_keys.b]\nprovider = 'echo'\n";
    std::fs::write(folder.join("loomgate.toml"), two).unwrap();
    let create = ["keys", "create", "--name", "x"];
    let made = run(folder, &create).await;
    let hint = "Its requests have to name one of several virtual keys: a, b, echo\n";
    assert!(made.ends_with(hint), "{made}");
    let made = run(folder, &[&create[..], &["--virtual-key", "b"]].concat()).await;
    assert!(made.ends_with("It is not shown again.\n"), "{made}");
}
