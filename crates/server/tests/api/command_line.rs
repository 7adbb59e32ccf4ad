//! The command line: what it does, and what it says when it can not do what it was told.

mod backup;
mod configs;
mod copy;
mod keys;
mod migrate;
mod secrets;
mod virtual_keys;

use crate::program::program;

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
