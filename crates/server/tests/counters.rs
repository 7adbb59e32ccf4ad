//! What a call costs, in what can be counted: allocations, SQL statements, commits. Never in time. Whoever makes a
//! call dearer finds it here, and either mends it or says why and raises the number (`docs/performance.md`).
//!
//! One process, one call after the other; a count is the median of many calls, since the server's own upkeep falls
//! between some of them. The client and the provider take no memory of their own.

#![expect(clippy::unwrap_used, reason = "a failing test says where")]

use std::{
    alloc::System,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use loomgate_server::{
    App,
    config::{self, Environment, Flags, Sources},
    serve,
    start::start,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KEY: &str = "lg-test-counters-0123456789abcdef";
/// Calls before the counting: connections, statements and tables are made.
const WARM_UP: usize = 50;
const CALLS: usize = 201;

/// What one call took, at the median.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    allocations: usize,
    statements: u64,
    commits: u64,
}

impl Cost {
    /// The most that a call may take. Allocations are those of today and a twentieth.
    fn is_within(&self, what: &str, most: &Cost) {
        assert!(
            self.allocations <= most.allocations + most.allocations / 20
                && self.statements <= most.statements
                && self.commits <= most.commits,
            "{what}: {self:?} where {most:?} was enough"
        );
        // Who makes it cheaper keeps it so.
        assert!(
            self.allocations * 10 >= most.allocations * 9,
            "{what} has become cheaper, {self:?}: let the number follow"
        );
    }
}

/// The server, on a thread of its own.
struct Bench {
    app: App,
    address: SocketAddr,
    stop: CancellationToken,
    server: Option<thread::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let provider = provider();
        let file = format!(
            "[[api_keys]]\nname = 'a'\nkey = '{KEY}'\ndefault_virtual_key = 'echo'\n\
             [virtual_keys.echo]\nprovider = 'echo'\n\
             [virtual_keys.plain]\nprovider = 'openai'\nbase_url = 'http://{provider}/v1'\n\
             api_key = 'sk-test-counters'\n"
        );
        let path = folder.path().join("loomgate.toml");
        std::fs::write(&path, file).unwrap();
        let sources = Sources {
            file: Some(path),
            folder: folder.path().to_owned(),
            environment: Environment::default(),
            flags: Flags {
                listen: Some("127.0.0.1:0".to_owned()),
                data_dir: Some(folder.path().join("data")),
                ..Flags::default()
            },
        };
        let config = config::load(&sources).unwrap();
        let (sender, receiver) = std::sync::mpsc::channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let server = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = serve::bind(&config.listen).await.unwrap();
                let address = listener.local_addr().unwrap();
                let started = start(config, address).await.unwrap();
                sender.send((started.app.clone(), address)).unwrap();
                let serving = serve::run(listener, started.app, started.scribe, stopped);
                serving.await.unwrap();
            });
        });
        let (app, address) = receiver.recv().unwrap();
        Self {
            app,
            address,
            stop,
            server: Some(server),
            _folder: folder,
        }
    }

    /// Makes the same call many times, on one connection, and reads each answer to its `end`.
    fn cost(&self, request: &str, end: &[u8]) -> Cost {
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.set_nodelay(true).unwrap();
        let mut room = vec![0; 64 << 10];
        let mut seen = Vec::with_capacity(WARM_UP + CALLS + 1);
        for _ in 0..=WARM_UP + CALLS {
            let stats = self.app.store.stats();
            let allocations = ALLOCATOR.stats().allocations;
            seen.push((allocations, stats.statements, stats.commits));
            connection.write_all(request.as_bytes()).unwrap();
            let mut read = 0;
            while !room[..read].ends_with(end) {
                let more = connection.read(&mut room[read..]).unwrap();
                assert!(more > 0, "{}", String::from_utf8_lossy(&room[..read]));
                read += more;
            }
            assert!(
                room.starts_with(b"HTTP/1.1 200"),
                "{}",
                String::from_utf8_lossy(&room[..read])
            );
        }
        let each = |of: fn(&(usize, u64, u64)) -> u64| {
            let all: Vec<u64> = seen[WARM_UP..].iter().map(of).collect();
            let mut each: Vec<u64> = all.windows(2).map(|it| it[1] - it[0]).collect();
            each.sort_unstable();
            each[each.len() / 2]
        };
        Cost {
            allocations: usize::try_from(each(|it| it.0 as u64)).unwrap(),
            statements: each(|it| it.1),
            commits: each(|it| it.2),
        }
    }

    /// The answer to one call, as JSON.
    fn json(&self, request: &str) -> serde_json::Value {
        let mut connection = TcpStream::connect(self.address).unwrap();
        let closing = request.replacen("\r\n", "\r\nconnection: close\r\n", 1);
        connection.write_all(closing.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        serde_json::from_str(body).unwrap()
    }
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n{headers}\
         openai-beta: assistants=v2\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.server.take().map(thread::JoinHandle::join);
        assert!(thread::panicking() || matches!(ended, Some(Ok(()))));
    }
}

/// What a chat is asked, and what the provider answers.
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const ANSWER: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// A provider that answers whatever it is asked on one connection after the other.
fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        );
        let mut room = vec![0; 16 << 10];
        while let Ok((mut connection, _)) = listener.accept() {
            let mut read = 0;
            while let Ok(more @ 1..) = connection.read(&mut room[read..]) {
                read += more;
                if room[..read].ends_with(CHAT.as_bytes()) {
                    connection.write_all(answer.as_bytes()).unwrap();
                    read = 0;
                }
            }
        }
    });
    address
}

/// One test, so that nothing else allocates in this process.
#[test]
fn calls_cost_what_they_did() {
    let bench = Bench::start();
    let assistant = bench.json(&post("/v1/assistants", "", r#"{"model":"echo"}"#));
    let assistant = assistant["id"].as_str().unwrap();

    let body = format!(
        r#"{{"assistant_id":"{assistant}","stream":true,"thread":{{"messages":[{{"role":"user","content":"hi"}}]}}}}"#
    );
    let run = post("/v1/threads/runs", "", &body);
    let streamed = bench.cost(&run, b"data: [DONE]\n\n\r\n0\r\n\r\n");

    let body = body.replace(r#""stream":true,"#, "");
    let made = bench.json(&post("/v1/threads/runs", "", &body));
    let (thread, id) = (&made["thread_id"], &made["id"]);
    let path = format!(
        "/v1/threads/{}/runs/{}",
        thread.as_str().unwrap(),
        id.as_str().unwrap()
    );
    let modify = post(&path, "", r#"{"metadata":{"user":"u-1234","plan":"pro"}}"#);
    let modified = bench.cost(&modify, b"}");

    let chat = post(
        "/v1/chat/completions",
        "x-portkey-virtual-key: plain\r\n",
        CHAT,
    );
    let relayed = bench.cost(&chat, b"}}");

    modified.is_within(
        "Modify Run",
        &Cost {
            allocations: 116,
            statements: 1,
            commits: 1,
        },
    );
    relayed.is_within(
        "a relayed chat",
        &Cost {
            allocations: 106,
            statements: 0,
            commits: 0,
        },
    );
    streamed.is_within(
        "a streamed run",
        &Cost {
            allocations: 384,
            statements: 20,
            commits: 3,
        },
    );
}
