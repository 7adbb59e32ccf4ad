//! The model's side: a stand-in that speaks chat completions, and a proxy before it that breaks
//! what it passes on.

mod proxy;
mod stand_in;

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) use self::{
    proxy::{FAULTS, Proxy},
    stand_in::{LINGERING, Pace, Stage, StandIn, UNEMBEDDABLE},
};

/// The most bytes of a request.
const MOST: usize = 16 * 1024 * 1024;

/// A request, whole.
struct Request {
    bytes: Vec<u8>,
    /// Where its body begins.
    body: usize,
}

impl Request {
    /// Reads one whose body has a length.
    async fn read(stream: &mut TcpStream) -> anyhow::Result<Self> {
        let mut bytes = Vec::with_capacity(8 * 1024);
        let body = loop {
            more(stream, &mut bytes).await?;
            if let Some(end) = find(&bytes, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&bytes[..body])?.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(Ok(0), |length| length.trim().parse::<usize>())?;
        while bytes.len() < body + length {
            more(stream, &mut bytes).await?;
        }
        Ok(Self { bytes, body })
    }

    fn body(&self) -> &[u8] {
        &self.bytes[self.body..]
    }

    fn path(&self) -> String {
        let head = String::from_utf8_lossy(&self.bytes[..self.body]);
        head.split(' ').nth(1).unwrap_or_default().to_owned()
    }
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<()> {
    ensure!(bytes.len() < MOST, "a request of more than {MOST} bytes");
    let count = stream.read_buf(bytes).await?;
    ensure!(count > 0, "the client left");
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Answers in one piece, with the end of the connection.
async fn answer(stream: &mut TcpStream, status: &str, body: &str) -> anyhow::Result<()> {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    let written = stream.write_all(answer.as_bytes()).await;
    written.context("the client left")
}
