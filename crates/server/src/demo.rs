//! `loomgate demo`: a guided tour of the Assistants API against a running server.
//!
//! It is an ordinary HTTP client and imports nothing of the server: whatever it shows, a program of
//! the reader's can do. `tour` has the steps, `screen` what they look like, `client` and `sse` the
//! calls. It leaves what it made on the server, so that the ids that it shows can be looked up.

mod client;
mod curl;
mod diff;
mod own_server;
mod screen;
mod sse;
mod tour;

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;

use client::Client;
use own_server::OwnServer;
use screen::Screen;
use tour::Tour;

/// What `loomgate demo` takes.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Where the server is, for example <http://127.0.0.1:8787> [default: one of the demo's own,
    /// with the built-in `echo` model]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// An API key of that server [default: the one in ./loomgate-data/api-key]
    #[arg(long, value_name = "KEY")]
    pub api_key: Option<String>,
    /// The virtual key that the conversation goes through [default: the API key's own]
    #[arg(long, value_name = "NAME")]
    pub virtual_key: Option<String>,
    /// The model that answers [default: the first that the server lists]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Plain text even on a terminal (so does the environment variable `NO_COLOR`)
    #[arg(long)]
    pub no_color: bool,
}

/// Why the tour ended early. Each text says what was called and what came back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The server of the tour's own did not start; it has said why.
    #[error("the demo's own server did not start (its message stands above)")]
    OwnServer,
    /// No `--api-key`, and no file that the server left.
    #[error("the demo needs an API key: --api-key is missing")]
    NoApiKey,
    /// Nothing answered, or the connection broke.
    #[error("{call}\n    got no answer: {}", causes(source))]
    Unreachable {
        /// What was called.
        call: String,
        /// What the HTTP client says.
        source: reqwest::Error,
    },
    /// A status other than 2xx.
    #[error("{call}\n    answered {status}: {message}")]
    Refused {
        /// What was called.
        call: String,
        /// The HTTP status.
        status: u16,
        /// The message of the error body.
        message: String,
    },
    /// An answer without what the contract promises.
    #[error("{call}\n    expected {expected}, but got: {got}")]
    Unexpected {
        /// What was called.
        call: String,
        /// What should have come.
        expected: String,
        /// What came, shortened.
        got: String,
    },
    /// A stream that broke, or told of an error.
    #[error("{call}\n    streamed an error: {message}")]
    Stream {
        /// What was called.
        call: String,
        /// What went wrong.
        message: String,
    },
    /// The terminal or pipe that the tour is written to.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl DemoError {
    /// What to do about it, where that is not plain from the text.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoApiKey => Some(
                "`loomgate serve` prints one at its first start and keeps it in its data folder, in the file `api-key`",
            ),
            Self::Unreachable { .. } => {
                Some("is the server running, and is --base-url its address?")
            }
            Self::Refused { .. }
            | Self::Unexpected { .. }
            | Self::Stream { .. }
            | Self::OwnServer
            | Self::Output(_) => None,
        }
    }
}

/// Gives the tour on stdout.
pub async fn run(args: DemoArgs) -> Result<(), DemoError> {
    let stdout = io::stdout();
    let colour = !args.no_color
        && stdout.is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    give(args, stdout, colour).await
}

/// Gives the tour to `out`, with colours or without.
pub async fn give<W: Write>(args: DemoArgs, out: W, colour: bool) -> Result<(), DemoError> {
    let own = match args.base_url {
        Some(_) => None,
        None => Some(OwnServer::start()?),
    };
    let (base_url, api_key) = match (&own, args.base_url) {
        (Some(own), _) => (own.url.clone(), own.api_key.clone()),
        (None, base_url) => {
            let api_key = args
                .api_key
                .or_else(|| stored_api_key(Path::new("loomgate-data")))
                .ok_or(DemoError::NoApiKey)?;
            (base_url.unwrap_or_default(), api_key)
        }
    };
    let client = Client::new(&base_url, api_key)?;
    let mut tour = Tour {
        screen: Screen::new(out, colour),
        client,
        virtual_key: args.virtual_key,
    };
    tour.give(args.model).await
}

fn stored_api_key(data_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data_dir.join("api-key")).ok()?;
    Some(text.trim().to_owned()).filter(|key| !key.is_empty())
}

/// The HTTP client's own text is short ("error sending request"); the reason is in its sources.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
