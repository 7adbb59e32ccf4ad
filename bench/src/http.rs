//! A client that costs next to nothing: HTTP/1.1 over one connection, one request at a time.

use std::{net::SocketAddr, ops::Range};

use anyhow::{Context, bail};
use memchr::memmem::find;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What came and was not taken yet.
    pub(crate) buffer: Vec<u8>,
}

/// A request, encoded once and sent many times.
pub(crate) fn encode(method: &str, path: &str, key: &str, body: &str) -> Vec<u8> {
    encode_with("", method, path, key, body)
}

/// The same with headers more, each with its end of line.
pub(crate) fn encode_with(
    headers: &str,
    method: &str,
    path: &str,
    key: &str,
    body: &str,
) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\
         openai-beta: assistants=v2\r\ncontent-type: application/json\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The same with a body of another kind.
pub(crate) fn encode_bytes(
    method: &str,
    path: &str,
    key: &str,
    (kind, body): (&str, &[u8]),
) -> Vec<u8> {
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n\
         content-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

impl Connection {
    /// Connects, without delay of small packets.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(8 * 1024),
        })
    }

    /// Sends an encoded request and returns the body of a 200; anything else is an error.
    pub(crate) async fn send(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let end = loop {
            self.read().await?;
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
        };
        let head = std::str::from_utf8(&self.buffer[..end])?;
        let is_ok = head.starts_with("HTTP/1.1 200 ");
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, length)| length.trim().parse::<usize>())
            .transpose()?;
        let begin = end + 4;
        let body = match length {
            Some(length) => {
                while self.buffer.len() < begin + length {
                    self.read().await?;
                }
                begin..begin + length
            }
            None => self.join_chunks(begin).await?,
        };
        if !is_ok {
            bail!("not a 200: {}", String::from_utf8_lossy(&self.buffer));
        }
        Ok(&self.buffer[body])
    }

    /// Sends an encoded request and reads the head of its answer, whose body comes in chunks; they
    /// begin the buffer. Anything but a 200 is an error.
    pub(crate) async fn begin(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request).await?;
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.read().await?;
        };
        let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
        let is_stream = head.contains("transfer-encoding: chunked");
        if !head.starts_with("http/1.1 200 ") || !is_stream {
            bail!("no stream: {}", String::from_utf8_lossy(&self.buffer));
        }
        self.buffer.drain(..end + 4);
        Ok(())
    }

    /// Drops what came, and the memory for it.
    pub(crate) fn forget(&mut self) {
        self.buffer = Vec::new();
    }

    /// Reads the chunks of a body up to the last, and moves their data together; where they are.
    async fn join_chunks(&mut self, begin: usize) -> anyhow::Result<Range<usize>> {
        let (mut end, mut at) = (begin, begin);
        loop {
            let line = loop {
                match find(&self.buffer[at..], b"\r\n") {
                    Some(line) => break line,
                    None => self.read().await?,
                }
            };
            let size = std::str::from_utf8(&self.buffer[at..at + line])?;
            let size = usize::from_str_radix(size.trim(), 16).context("no size of a chunk")?;
            let data = at + line + 2;
            while self.buffer.len() < data + size + 2 {
                self.read().await?;
            }
            self.buffer.copy_within(data..data + size, end);
            end += size;
            at = data + size + 2;
            if size == 0 {
                return Ok(begin..end);
            }
        }
    }

    /// Reads what there is, or comes next.
    pub(crate) async fn read(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}
