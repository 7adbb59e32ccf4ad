//! A server of the test's own: the real router and accept loop on a free port, a database in a
//! folder that goes away, the built-in model, and a scripted upstream.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use loomgate_domain::Clock;
use loomgate_server::{
    App,
    clock::SystemClock,
    config::{self, Flags, Sources},
    serve,
    start::start_at,
};
use loomgate_testkit::upstream::FakeUpstream;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{database, files};

/// The key of workspace `a`, whose model is `echo`.
pub(crate) const KEY_A: &str = "lg-test-workspace-a-0123456789abcdef";
/// The key of workspace `b`, whose model is the scripted upstream.
pub(crate) const KEY_B: &str = "lg-test-workspace-b-0123456789abcdef";
/// What the scripted upstream is called with.
pub(crate) const UPSTREAM_KEY: &str = "sk-test-upstream-0123456789abcdef";

/// A client for loopback addresses. Reqwest wants a provider of TLS although none is spoken.
pub(crate) fn client(builder: ClientBuilder) -> Client {
    // Fails when there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    builder.no_proxy().build().unwrap()
}

/// A running server.
pub(crate) struct TestApp {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: FakeUpstream,
    folder: TempDir,
    client: Client,
    /// The server's state, to look behind its answers.
    pub(crate) behind: App,
    clock: Arc<TestClock>,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

/// The system's time, and as much more as a test lets pass.
#[derive(Debug, Default)]
struct TestClock {
    passed_ms: AtomicI64,
    /// When it was stopped; 0: it runs.
    stopped_ms: AtomicI64,
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        let now_ms = match self.stopped_ms.load(Ordering::SeqCst) {
            0 => SystemClock.now_ms(),
            stopped_ms => stopped_ms,
        };
        now_ms + self.passed_ms.load(Ordering::SeqCst)
    }
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more options: lines of TOML for the end of the file.
    pub(crate) async fn start_with(options: &str) -> Self {
        Self::start_in(
            tempfile::tempdir().unwrap(),
            FakeUpstream::start().await,
            options,
        )
        .await
    }

    /// With options from the environment.
    pub(crate) async fn start_set(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_all(folder, FakeUpstream::start().await, "", variables).await
    }

    /// On a folder that may hold the data of another server.
    pub(crate) async fn start_in(folder: TempDir, upstream: FakeUpstream, options: &str) -> Self {
        Self::start_all(folder, upstream, options, &[]).await
    }

    pub(crate) async fn start_all(
        folder: TempDir,
        upstream: FakeUpstream,
        options: &str,
        variables: &[(&str, &str)],
    ) -> Self {
        let file = format!(
            "[[api_keys]]\nname = 'a'\nkey = '{KEY_A}'\nworkspace = 'a'\n\
             default_virtual_key = 'echo'\nscopes = ['admin']\n\
             [[api_keys]]\nname = 'b'\nkey = '{KEY_B}'\nworkspace = 'b'\n\
             default_virtual_key = 'scripted'\n\
             [virtual_keys.echo]\nprovider = 'echo'\n\
             [virtual_keys.scripted]\nprovider = 'openai'\nbase_url = '{}'\n\
             api_key = '{UPSTREAM_KEY}'\n{options}",
            upstream.url()
        );
        let path = folder.path().join("loomgate.toml");
        std::fs::write(&path, file).unwrap();
        let sources = Sources {
            file: Some(path),
            folder: folder.path().to_owned(),
            environment: variables
                .iter()
                .fold(files::environment(), |known, (name, value)| {
                    known.with(name, value)
                }),
            flags: Flags {
                listen: Some("127.0.0.1:0".to_owned()),
                data_dir: Some(folder.path().join("data")),
                database: database::url(folder.path()),
                ..Flags::default()
            },
        };
        let mut config = config::load(&sources).unwrap();
        config.indexing.reader = Some(env!("CARGO_BIN_EXE_loomgate").into());
        if !options.contains("[indexing]") {
            // Tests of the queue are its workers themselves.
            config.indexing.concurrency = 0;
        }
        let listener = serve::bind(&config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(TestClock::default());
        let started = start_at(config, address, clock.clone()).await.unwrap();
        let behind = started.app.clone();
        let stop = CancellationToken::new();
        let serving = serve::run(listener, started.app, started.scribe, stop.clone());
        #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
        let server = tokio::spawn(async move { serving.await.unwrap() });
        Self {
            address,
            upstream,
            folder,
            client: client(Client::builder().redirect(reqwest::redirect::Policy::none())),
            behind,
            clock,
            stop,
            server,
        }
    }

    /// A request without a key.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url)
    }

    /// A request of workspace `a`.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(KEY_A)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// Sends bytes as they are and reads until the server closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        rest(&mut stream).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Lets time pass, by the clock of the server.
    pub(crate) fn pass(&self, time: Duration) {
        let passed = i64::try_from(time.as_millis()).unwrap();
        self.clock.passed_ms.fetch_add(passed, Ordering::SeqCst);
    }

    /// Has no time pass by itself any more.
    pub(crate) fn stop_clock(&self) {
        let now_ms = SystemClock.now_ms();
        self.clock.stopped_ms.store(now_ms, Ordering::SeqCst);
    }

    /// What the server's files are in.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Ends the server in good order, and waits until it has.
    pub(crate) async fn stop(self) -> TempDir {
        self.end().await.0
    }

    /// The same; gives the upstream too, for a server that goes on where this one ended.
    pub(crate) async fn end(self) -> (TempDir, FakeUpstream) {
        self.stop.cancel();
        self.server.await.unwrap();
        (self.folder, self.upstream)
    }
}

/// What comes until the connection ends, in whatever way it ends.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        bytes.extend_from_slice(&buffer[..length]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    async fn read(response: Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .map(|value| value.to_str().unwrap())
            .unwrap_or_default()
    }

    /// The error, which has to have the one form.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> Error {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        let error = body["error"].as_object().unwrap();
        let keys: Vec<_> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["message", "type", "param", "code"], "{}", self.text);
        let text = |key: &str| error[key].as_str().map(str::to_owned);
        Error {
            message: text("message").unwrap(),
            kind: text("type").unwrap(),
            param: text("param"),
            code: text("code"),
        }
    }
}

/// The four parts of an error.
#[derive(Debug)]
pub(crate) struct Error {
    pub(crate) message: String,
    pub(crate) kind: String,
    pub(crate) param: Option<String>,
    pub(crate) code: Option<String>,
}

impl Error {
    #[track_caller]
    pub(crate) fn expect(&self, start: &str, code: Option<&str>) {
        assert!(self.message.starts_with(start), "{self:?}");
        assert_eq!(self.kind, "invalid_request_error", "{self:?}");
        assert_eq!(self.param, None, "{self:?}");
        assert_eq!(self.code.as_deref(), code, "{self:?}");
    }
}
