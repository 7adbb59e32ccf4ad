//! The real program: what it prints, what it logs, and how it ends.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use crate::database;

/// A running `loomgate serve`. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// What it printed after that.
    pub(crate) printed: String,
    log: PathBuf,
}

/// The program's file.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_loomgate");

/// Variables that make virtual keys.
const ACCOUNTS: [&str; 4] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "OLLAMA_HOST",
];

/// The key itself, as a first start and `keys create` print it.
pub(crate) fn made_key(told: &str) -> String {
    let key = told.lines().find_map(|line| line.strip_prefix("api key: "));
    key.unwrap_or_else(|| panic!("{told}")).to_owned()
}

/// The program in a folder, with the database that goes with it, and without what the environment
/// of the tests would tell it.
pub(crate) fn program(folder: &Path) -> Command {
    at_home(Command::new(PROGRAM), folder)
}

/// A command that starts the program, with the same.
pub(crate) fn at_home(mut command: Command, folder: &Path) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("LOOMGATE_") || ACCOUNTS.contains(&&*text) {
            command.env_remove(name);
        }
    }
    if let Some(url) = database::url(folder) {
        command.env("LOOMGATE_DATABASE", url);
        // What a killed process had is free after this time.
        command.env("LOOMGATE_WORKER__LEASE_S", "1");
    }
    command.current_dir(folder).kill_on_drop(true);
    command
}

impl Program {
    /// `loomgate serve` in a folder, with this file and every log line that it can write.
    pub(crate) async fn start(folder: &Path, config: &str) -> Self {
        std::fs::write(folder.join("loomgate.toml"), config).unwrap();
        Self::of(program(folder), folder).await
    }

    /// The same with a database of the test's choice.
    pub(crate) async fn on(database: &str, folder: &Path) -> Self {
        let mut command = program(folder);
        command.env("LOOMGATE_DATABASE", database);
        Self::of(command, folder).await
    }

    /// A command that ends with the program's name, to which `serve` is added.
    pub(crate) async fn of(mut command: Command, folder: &Path) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("LOOMGATE_LOG", "trace")
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap();
        let url = first.strip_prefix("loomgate listening on ").unwrap();
        let url = url.to_owned();
        // The banner is written in one go; the blank line before the snippets ends its head.
        let mut printed = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            printed.push_str(&line);
            printed.push('\n');
            if line.starts_with("API keys in") || line.trim_start().starts_with("print(") {
                break;
            }
        }
        Self {
            child,
            url,
            printed,
            log: folder.join("log"),
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Ends the process with SIGTERM. Returns what it logged.
    pub(crate) async fn stop(mut self) -> String {
        let pid = self.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().await;
        assert!(killed.unwrap().success());
        let ended = self.child.wait().await.unwrap();
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(ended.success(), "{log}");
        log
    }
}

/// What a command prints.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> String {
    let output = program(folder).args(arguments).output().await.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// The exit code of a command that fails, and what it says.
pub(crate) async fn fail(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = program(folder).args(arguments).output().await.unwrap();
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), stderr)
}
