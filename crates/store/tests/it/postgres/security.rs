//! Who is at the other end, and who we are.

use loomgate_store::{Error, Options, PostgresUrl, Store};
use loomgate_testkit::postgres::{Database, authority, base_url};

use crate::{
    fixtures::{assistant, ws},
    home::postgres,
};

/// A database by another host name, with these parameters instead of the usual ones.
fn url(database: &Database, host: &str, parameters: &str) -> String {
    let base = base_url().replace("127.0.0.1", host);
    let name = database.name();
    format!("{base}?{parameters}&options=-csearch_path%3D{name}&application_name={name}")
}

fn open(url: &str) -> Result<Store, Error> {
    Store::open(Options::postgres(postgres(url)))
}

/// Whether all connections to a database are private.
fn is_private(database: &Database) -> bool {
    let name = database.name();
    let found = database.texts(&format!(
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE application_name = '{name}'"
    ));
    match &found[..] {
        [one] => one == "t",
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tls_is_what_sslmode_says() {
    let file = authority();
    let file = file.display();
    for (host, parameters, expected) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), false),
        ("127.0.0.1", String::new(), true),
        ("127.0.0.1", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca&sslrootcert={file}"),
            true,
        ),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={file}"),
            true,
        ),
    ] {
        let database = Database::new();
        let store = open(&url(&database, host, &parameters)).unwrap();
        store
            .assistants()
            .insert(&ws(), assistant(1))
            .await
            .unwrap();
        assert_eq!(is_private(&database), expected, "{parameters}");
        store.close().await;
    }
}

#[test]
fn a_server_that_is_not_the_right_one_is_refused() {
    let file = authority();
    let file = file.display();
    for (host, parameters) in [
        // The certificate is for localhost.
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={file}"),
        ),
        // And of no authority that the system knows.
        ("localhost", "sslmode=verify-full".to_owned()),
        ("localhost", "sslmode=verify-ca".to_owned()),
        ("localhost", "sslrootcert=system".to_owned()),
    ] {
        let refused = open(&url(&Database::new(), host, &parameters));
        let Err(Error::Connect { reason, .. }) = &refused else {
            panic!("{parameters}: {refused:?}")
        };
        assert!(reason.contains("certificate"), "{reason}");
    }
}

#[tokio::test]
async fn a_password_of_any_characters_opens_over_scram() {
    let database = Database::new();
    let (_, rest) = base_url().split_once('@').unwrap();
    let name = database.name();
    database.execute(&format!("GRANT ALL ON SCHEMA {name} TO scram_user"));
    let url = |password: &str, mode: &str| {
        format!(
            "postgres://scram_user:{password}@{rest}?sslmode={mode}\
             &options=-csearch_path%3D{name}"
        )
    };
    for mode in ["require", "disable"] {
        open(&url("a%20p%40ss%3Aword%2F%25", mode))
            .unwrap()
            .close()
            .await;
        let wrong = url("very-secret", mode);
        let refused = open(&wrong).unwrap_err();
        let text = format!("{refused} {refused:?}");
        assert!(text.contains("password authentication failed"), "{text}");
        assert!(!text.contains("very-secret"), "{text}");
        let options = Options::postgres(postgres(&wrong));
        assert!(!format!("{options:?}").contains("very-secret"));
    }
}

#[test]
fn a_server_that_is_not_there_is_told_by_its_name() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let refused = open(&format!("postgres://me:secret@{address}/db")).unwrap_err();
    let Error::Connect { to, reason } = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(*to, format!("me@{address}/db"));
    assert!(reason.contains("refused"), "{reason}");
    assert!(PostgresUrl::parse("postgres://me@/db").is_err());
}
