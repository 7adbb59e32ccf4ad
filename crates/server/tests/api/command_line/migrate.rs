//! `loomgate migrate`: what it says, and what it leaves alone.

use loomgate_testkit::postgres::Database;

use crate::program::{Program, fail, run};

#[tokio::test]
async fn migrate_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new();
    for place in ["sqlite", database.url()] {
        let migrate = ["migrate", "--database", place];
        let first = run(folder.path(), &migrate).await;
        for (line, name) in first.lines().zip(["store", "logs"]) {
            assert!(
                line.starts_with(&format!("{name}: schema 0 -> ")),
                "{first}"
            );
        }
        let second = run(folder.path(), &migrate).await;
        assert_eq!(second.lines().count(), 2, "{second}");
        assert!(second.lines().all(|line| line.ends_with(", up to date")));
    }
}

#[tokio::test]
async fn migrate_refuses_what_is_newer_and_files_that_are_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::new();
    run(folder.path(), &["migrate", "--database", database.url()]).await;
    database.execute("INSERT INTO schema_version VALUES (4711)");
    let (code, said) = fail(folder.path(), &["migrate", "--database", database.url()]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: the database has schema 4711"),
        "{said}"
    );

    let server = Program::on("sqlite", folder.path()).await;
    let (code, said) = fail(folder.path(), &["migrate", "--database", "sqlite"]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("error: ") && said.contains("is in use by process"),
        "{said}"
    );
    server.stop().await;
}
