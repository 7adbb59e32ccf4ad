//! A server for the tour alone: this program once more, on a free port, in a folder of its own,
//! with the built-in `echo` model. Both are gone when the tour ends.

use std::{
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::DemoError;

/// A running server, until it is dropped.
pub(super) struct OwnServer {
    pub(super) url: String,
    pub(super) api_key: String,
    child: Child,
    folder: PathBuf,
}

impl OwnServer {
    /// Starts it and waits until it listens.
    pub(super) fn start() -> Result<Self, DemoError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::from)?;
        let random = format!("{:032x}", u128::from_be_bytes(bytes));
        let folder = std::env::temp_dir().join(format!("loomgate-demo-{random}"));
        std::fs::create_dir(&folder)?;
        let api_key = format!("lg-demo-{random}");
        let config = folder.join("demo.toml");
        let text = format!(
            "[[api_keys]]\nname = \"demo\"\nkey = \"{api_key}\"\n\n\
             [virtual_keys.echo]\nprovider = \"echo\"\n\n[log]\nlevel = \"error\"\n"
        );
        std::fs::write(&config, text)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database",
                "sqlite",
                "--config",
            ])
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut first = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut first)?;
        }
        let url = first
            .trim()
            .rsplit(' ')
            .next()
            .unwrap_or_default()
            .to_owned();
        let server = Self {
            url,
            api_key,
            child,
            folder,
        };
        if server.url.starts_with("http://") {
            Ok(server)
        } else {
            Err(DemoError::OwnServer)
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Nothing is to be saved: the folder goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
