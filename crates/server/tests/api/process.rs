//! The real program, as a process that can be killed.

use std::{path::Path, process::Stdio, time::Duration};

use loomgate_testkit::{postgres::Database, upstream::FakeUpstream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::{app::client, program::program};

const KEY: &str = "lg-restart-test-key-000000000000000000000";
const LIMITED_KEY: &str = "lg-restart-limited-key-000000000000000000";
/// A key of replicas that may do four requests a day.
const LIMITED: &str = "[[api_keys]]\nname = \"limited\"\n\
    key = \"lg-restart-limited-key-000000000000000000\"\ndefault_virtual_key = \"scripted\"\n\
    rate_limits = [{type = \"requests\", unit = \"rpd\", value = 4}]\n";

/// A running `loomgate serve` on a folder that outlives it. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Process {
    /// Starts the program on a free port, its model calls going to `upstream`.
    pub(crate) async fn start(folder: &Path, upstream: &FakeUpstream, more_config: &str) -> Self {
        Self::start_with(folder, upstream, more_config, &[]).await
    }

    /// One of several on one database, which share a folder for their secrets.
    pub(crate) async fn replica(
        (folder, database): (&Path, &Database),
        upstream: &FakeUpstream,
        (role, drain_s): (&str, &str),
    ) -> Self {
        let options = [
            ("LOOMGATE_DATABASE", database.url()),
            ("LOOMGATE_ROLE", role),
            ("LOOMGATE_WORKER__LEASE_S", "1"),
            ("LOOMGATE_HTTP__DRAIN_S", drain_s),
        ];
        Self::start_with(folder, upstream, LIMITED, &options).await
    }

    /// The same, with more in its environment.
    pub(crate) async fn start_with(
        folder: &Path,
        upstream: &FakeUpstream,
        more_config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let config = folder.join("loomgate.toml");
        let text = format!(
            "[[api_keys]]\nname = \"test\"\nkey = \"{KEY}\"\n\n\
             [virtual_keys.scripted]\nprovider = \"openai\"\nbase_url = \"{}\"\n\n{more_config}",
            upstream.url()
        );
        std::fs::write(&config, text).unwrap();
        let mut child = program(folder)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        let url = first.strip_prefix("loomgate listening on ").unwrap();
        Self {
            url: url.to_owned(),
            child,
            client: client(reqwest::Client::builder().timeout(Duration::from_secs(30))),
        }
    }

    /// SIGKILL: nothing is told to the program beforehand.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal: `STOP` freezes the program, `CONT` has it go on.
    pub(crate) async fn signal(&self, name: &str) {
        let (name, pid) = (format!("-{name}"), self.child.id().unwrap().to_string());
        let kill = Command::new("kill").args([&name, &pid]).status();
        assert!(kill.await.unwrap().success());
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.request(reqwest::Method::POST, path).json(&body);
        let answer = answer.send().await.unwrap();
        let status = answer.status();
        let body = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self
            .request(reqwest::Method::GET, path)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let body = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    /// SIGTERM, and the program's own end. Its exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        self.signal("TERM").await;
        self.child.wait().await.unwrap().code()
    }

    /// Opens a stream.
    pub(crate) async fn stream(&self, path: &str, body: Value) -> Stream {
        let answer = self.request(reqwest::Method::POST, path).json(&body);
        Stream {
            answer: answer.send().await.unwrap(),
            text: String::new(),
        }
    }

    /// Creates something under an idempotency key.
    pub(crate) async fn create(&self, path: &str, key: &str, body: &Value) -> Stream {
        let request = self.request(reqwest::Method::POST, path).json(body);
        let answer = request.header("idempotency-key", key).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        Stream {
            answer,
            text: String::new(),
        }
    }

    /// Opens a run's stream again.
    pub(crate) async fn reopen(&self, run: &str, last_event_id: Option<&str>) -> Stream {
        let mut request = self.request(reqwest::Method::GET, &format!("{run}/stream"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        Stream {
            answer,
            text: String::new(),
        }
    }

    /// An answer, whatever it is.
    pub(crate) async fn answer(&self, path: &str) -> reqwest::Response {
        let answer = self.request(reqwest::Method::GET, path).send().await;
        answer.unwrap()
    }

    /// The status of a call of the key that may do four requests a day.
    pub(crate) async fn limited_call(&self, path: &str, body: &Value) -> u16 {
        let request = self.client.post(format!("{}/v1{path}", self.url));
        let answer = request.bearer_auth(LIMITED_KEY).json(body).send().await;
        answer.unwrap().status().as_u16()
    }

    /// An answer's text.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.answer(path).await.text().await.unwrap()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self
            .client
            .request(method, format!("{}/v1{path}", self.url));
        request.bearer_auth(KEY)
    }

    /// Polls a run until its status is `status`; any other end fails the test.
    pub(crate) async fn settled(&self, path: &str, status: &str) -> Value {
        loop {
            let run = self.get(path).await;
            let now = run["status"].as_str().unwrap().to_owned();
            if now == status {
                return run;
            }
            let going_on = ["queued", "in_progress", "requires_action", "cancelling"];
            assert!(going_on.contains(&now.as_str()), "{run}");
            tokio::task::yield_now().await;
        }
    }

    /// An assistant with one function, and a thread with one message.
    pub(crate) async fn furnish(&self) -> (String, String) {
        let function = json!({"type": "function", "function": {"name": "f"}});
        let assistant = json!({"model": "m", "tools": [function]});
        let assistant = self.post("/assistants", assistant).await;
        let message = json!({"role": "user", "content": "Tell me a story."});
        let thread = self.post("/threads", json!({"messages": [message]})).await;
        (text(&assistant, "id"), text(&thread, "id"))
    }

    /// What the assistant said in a thread, newest first.
    pub(crate) async fn said(&self, thread: &str) -> Vec<String> {
        let list = self.get(&format!("/threads/{thread}/messages")).await;
        let messages = list["data"].as_array().unwrap().iter();
        let said = messages.filter(|message| message["role"] == "assistant");
        let value = |message: &Value| text(&message["content"][0]["text"], "value");
        said.map(value).collect()
    }
}

/// A stream that is being read.
pub(crate) struct Stream {
    answer: reqwest::Response,
    pub(crate) text: String,
}

impl Stream {
    /// Reads on until `last` has come.
    pub(crate) async fn until(&mut self, last: &str) {
        while !self.text.contains(last) {
            assert!(self.read().await.unwrap(), "ended without {last}");
        }
    }

    /// Reads to the end, and gives all of it.
    pub(crate) async fn end(&mut self) -> String {
        while self.read().await.unwrap() {}
        self.text.clone()
    }

    /// Reads more. Whether there was more; an error if the stream broke off.
    pub(crate) async fn read(&mut self) -> Result<bool, reqwest::Error> {
        let Some(chunk) = self.answer.chunk().await? else {
            return Ok(false);
        };
        self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        Ok(true)
    }
}

pub(crate) fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap().to_owned()
}
