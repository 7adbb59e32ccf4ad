//! The command line: what it does, and what it says when it can not do what it was told.

mod backup;
mod changes;
mod configs;
mod copy;
mod keys;
mod migrate;
mod secrets;
mod virtual_keys;

use std::os::unix::process::ExitStatusExt as _;

use crate::program::program;

#[tokio::test]
async fn a_debug_build_aborts_where_it_is_told_and_refuses_a_plan_that_it_can_not_follow() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let run = async |plan: &str| {
        let mut command = program(folder.path());
        command.arg("migrate").env("LOOMGATE_FAILPOINT", plan);
        command.env("LOOMGATE_FAILPOINT_TRACE", &trace);
        command.output().await.unwrap()
    };
    let refused = run("sometimes").await;
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("LOOMGATE_FAILPOINT"), "{said}");
    let point = std::fs::read_to_string(&trace).unwrap_or_default();
    assert_eq!(point, "");
    // What it crosses says where it can be aborted.
    assert!(run("before 1 nothing").await.status.success());
    let crossed = std::fs::read_to_string(&trace).unwrap();
    assert!(!crossed.contains("abort"), "{crossed}");
    let of_store = crossed.lines().find(|line| line.contains("migration"));
    let name = of_store.unwrap().strip_prefix("1 ").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = program(elsewhere.path());
    let plan = format!("before 1 {name}");
    command.arg("migrate").env("LOOMGATE_FAILPOINT", plan);
    let aborted = command.output().await.unwrap();
    assert_eq!(aborted.status.signal(), Some(6), "{aborted:?}");
}

#[tokio::test]
async fn failures_of_the_command_line_are_one_line_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap().to_string();
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::write(folder.path().join("bad.toml"), "lisen = 'x'").unwrap();
    for (arguments, code, error, help) in [
        (
            &["serve", "--listen", &address][..],
            1,
            format!("error: cannot listen on {address}: "),
            "help: another program listens there",
        ),
        (
            &["serve", "--listen", "127.0.0.1:0", "--data-dir", "file/x"],
            1,
            "error: the data folder file/x: ".to_owned(),
            "",
        ),
        (
            &["check-config", "--config", "bad.toml"],
            2,
            "error: bad.toml: unknown option `lisen`".to_owned(),
            "help: did you mean `listen`?",
        ),
        (
            &["check-config", "--config", "none.toml"],
            2,
            "error: none.toml: ".to_owned(),
            "",
        ),
        (
            &["serve", "--database", "postgres://u:hush@127.0.0.1:1/d"],
            1,
            "error: cannot connect to the database u@127.0.0.1:1/d: ".to_owned(),
            "help: `database` says where it is",
        ),
        (
            &["serve", "--database", "postgres://u:hush@h/d?sslmode=no"],
            2,
            "error: `database`: sslmode has to be disable, ".to_owned(),
            "help: \"sqlite\", ",
        ),
        (
            &["keys", "revoke", "nobody"],
            1,
            "error: there is no key `nobody`".to_owned(),
            "help: `loomgate keys list`",
        ),
    ] {
        let output = program(folder.path())
            .args(arguments)
            .output()
            .await
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        let mut lines = stderr.lines().filter(|line| !line.contains(" INFO "));
        assert!(
            lines.next().unwrap().starts_with(&error),
            "{arguments:?}: {stderr}"
        );
        assert!(
            lines.next().unwrap_or_default().starts_with(help),
            "{arguments:?}: {stderr}"
        );
        assert_eq!(lines.next(), None, "{stderr}");
        assert!(output.stdout.is_empty());
    }
}
