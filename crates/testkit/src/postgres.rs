//! Tables of a test's own, on the PostgreSQL that all tests share.
//!
//! The server is started by `scripts/test-postgres.sh` when the first test wants it, and goes some
//! seconds after the last process that used it. `LOOMGATE_TEST_POSTGRES` names another one. What is about
//! the extension pgvector has a server of its own, which has it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests call this"
)]

mod line;

use std::{
    fs::{File, OpenOptions},
    hash::{BuildHasher as _, RandomState},
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
};

use tokio_postgres::{Client, NoTls};

pub use line::{Cut, Line};

/// The environment variable that says which engine tests of whole servers use.
const ENGINE: &str = "LOOMGATE_TEST_DATABASE";

/// The server, for as long as this process lives.
struct Server {
    url: String,
    /// The folder of its files.
    folder: Option<PathBuf>,
    /// Keeps it from going.
    _in_use: Option<File>,
}

/// A schema of its own: nobody else's tables are in it.
#[derive(Debug, Clone)]
pub struct Database {
    name: String,
    url: String,
    /// Where statements about it go.
    admin: String,
}

/// Whether tests that could use either engine are to use PostgreSQL.
///
/// # Panics
///
/// Where `LOOMGATE_TEST_DATABASE` names neither.
pub fn is_wanted() -> bool {
    match std::env::var_os(ENGINE) {
        None => false,
        Some(engine) if engine == "sqlite" => false,
        Some(engine) if engine == "postgres" => true,
        Some(engine) => panic!("{ENGINE} is {}", engine.display()),
    }
}

impl Database {
    /// Makes one.
    ///
    /// # Panics
    ///
    /// Where there is no server, and none could be started.
    pub fn new() -> Self {
        let name = format!("t_{:016x}", RandomState::new().hash_one(()));
        admin(&format!("CREATE SCHEMA {name}"));
        Self::of(&name, base_url())
    }

    /// One on the server that has pgvector. It is a whole database, since there is an extension or none in
    /// each; this one has none yet: `CREATE EXTENSION vector`.
    ///
    /// # Panics
    ///
    /// Where there is no such server, and none could be started.
    pub fn for_pgvector() -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        let server = &SERVER.get_or_init(|| start(Some("pgvector"))).url;
        let name = format!("t_{:016x}", RandomState::new().hash_one(()));
        execute(server, &format!("CREATE DATABASE {name}"));
        let (server, _) = server.rsplit_once('/').expect("a URL with a database");
        Self::of("public", &format!("{server}/{name}"))
    }

    fn of(schema: &str, admin: &str) -> Self {
        Self {
            name: schema.to_owned(),
            url: format!("{admin}?sslmode=disable&options=-csearch_path%3D{schema}"),
            admin: admin.to_owned(),
        }
    }

    /// The one that [`Database::url`] told.
    ///
    /// # Panics
    ///
    /// Where the URL is another's.
    pub fn at(url: &str) -> Self {
        let (admin, _) = url.split_once('?').expect("a URL of this type");
        let (_, name) = url.rsplit_once("%3D").expect("a URL of this type");
        Self::of(name, admin)
    }

    /// Where it is, password included. TLS is off.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The schema's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements in it.
    ///
    /// # Panics
    ///
    /// When they fail.
    pub fn execute(&self, sql: &str) {
        let sql = format!("SET search_path = {}; {sql}", self.name);
        execute(&self.admin, &sql);
    }

    /// Every row of every table, as text, with the table's name.
    ///
    /// # Panics
    ///
    /// Where there is no server any more.
    pub fn dump(&self) -> Vec<(String, String)> {
        let tables = self.texts(
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = current_schema ORDER BY 1",
        );
        let rows = tables.into_iter().flat_map(|table| {
            let rows = self.texts(&format!("SELECT it::text FROM {table} AS it"));
            rows.into_iter().map(move |row| (table.clone(), row))
        });
        rows.collect()
    }

    /// The first column of all rows of a statement in it, as text.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        let (search, sql) = (format!("SET search_path = {}", self.name), sql.to_owned());
        connected(&self.admin, async move |client| {
            client.batch_execute(&search).await.unwrap();
            let rows = client.simple_query(&sql).await.unwrap();
            let texts = rows.iter().filter_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some(row.get(0).unwrap_or_default().to_owned())
                }
                _ => None,
            });
            texts.collect()
        })
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs statements as the owner of all tables.
///
/// # Panics
///
/// When they fail.
pub fn admin(sql: &str) {
    execute(base_url(), sql);
}

fn execute(url: &str, sql: &str) {
    let sql = sql.to_owned();
    connected(url, async move |client| {
        client.batch_execute(&sql).await.unwrap();
    });
}

/// `postgres://user:password@127.0.0.1:port/database` of the server.
///
/// # Panics
///
/// Where there is none, and none could be started.
pub fn base_url() -> &'static str {
    &server().url
}

/// The file of the authority that the server's certificate, which is for `localhost`, comes from.
///
/// # Panics
///
/// Where the server was not started by the tests.
pub fn authority() -> PathBuf {
    let folder = server().folder.as_ref();
    folder.expect("the tests' own server").join("ca.crt")
}

/// Does something on a connection, on a thread that belongs to no runtime.
fn connected<T: Send + 'static>(
    url: &str,
    work: impl AsyncFnOnce(&Client) -> T + Send + 'static,
) -> T {
    let url = url.to_owned();
    let done = thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
            runtime.spawn(connection);
            work(&client).await
        })
    });
    done.join().unwrap()
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        if let Some(url) = std::env::var_os("LOOMGATE_TEST_POSTGRES") {
            return Server {
                url: url.into_string().unwrap(),
                folder: None,
                _in_use: None,
            };
        }
        start(None)
    })
}

/// Starts the server, or the one with an extension.
fn start(extension: Option<&str>) -> Server {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // From the project's folder, as cargo was called there: tests run in their crates' folders.
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let home = root.join(target).join(extension.map_or_else(
        || "test-postgres".to_owned(),
        |extension| format!("test-{extension}"),
    ));
    std::fs::create_dir_all(&home).unwrap();
    let in_use = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join("in-use"));
    let in_use = in_use.unwrap();
    in_use.lock_shared().unwrap();
    // Runs where one is running already cost some milliseconds.
    let mut script = Command::new(root.join("scripts/test-postgres.sh"));
    if let Some(extension) = extension {
        script.env_remove("LOOMGATE_TEST_POSTGRES");
        script.env("TEST_POSTGRES_WITH", extension);
    }
    let output = script.output().unwrap();
    assert!(
        output.status.success(),
        "no PostgreSQL for this test: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let folder = std::fs::read_to_string(home.join("folder")).unwrap();
    Server {
        url: String::from_utf8(output.stdout).unwrap().trim().to_owned(),
        folder: Some(folder.trim().into()),
        _in_use: Some(in_use),
    }
}
