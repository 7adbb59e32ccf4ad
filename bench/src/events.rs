//! Streams of server-sent events, read as they come.

use anyhow::{Context as _, ensure};
use memchr::memmem::find;

use crate::http::Connection;

/// A stream that is being read. Afterwards its connection can be used again.
pub(crate) struct Events<'c> {
    connection: &'c mut Connection,
    /// What came of the body, without the framing of chunks.
    text: Vec<u8>,
    /// What of it was handed out.
    read: usize,
    /// Bytes that are missing of the chunk that is being read, its end of line included.
    missing: usize,
    is_whole: bool,
}

/// The end of line of a chunk.
const END: usize = 2;

impl<'c> Events<'c> {
    /// Asks for a stream. Anything else is an error.
    pub(crate) async fn open(
        connection: &'c mut Connection,
        request: &[u8],
    ) -> anyhow::Result<Self> {
        connection.begin(request).await?;
        Ok(Self {
            connection,
            text: Vec::new(),
            read: 0,
            missing: 0,
            is_whole: false,
        })
    }

    /// The lines of the next event; none at the end.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<&[u8]>> {
        let end = loop {
            if let Some(end) = find(&self.text[self.read..], b"\n\n") {
                break self.read + end;
            }
            if self.is_whole {
                ensure!(self.read == self.text.len(), "half an event at the end");
                return Ok(None);
            }
            self.text.drain(..self.read);
            self.read = 0;
            while !self.take_chunks()? {
                self.connection.read().await?;
            }
        };
        let event = self.read..end;
        self.read = end + 2;
        Ok(Some(&self.text[event]))
    }

    /// Moves what came of chunks to the text. Whether there was any, or the last.
    fn take_chunks(&mut self) -> anyhow::Result<bool> {
        let raw = &mut self.connection.buffer;
        let (mut at, before) = (0, self.text.len());
        while at < raw.len() && !self.is_whole {
            if self.missing == 0 {
                let Some(line) = find(&raw[at..], b"\r\n") else {
                    break;
                };
                let size = std::str::from_utf8(&raw[at..at + line])?;
                let size = usize::from_str_radix(size.trim(), 16).context("no size of a chunk")?;
                if size == 0 {
                    // Its end of line, too, so that the connection can be used again.
                    if raw.len() < at + line + 2 * END {
                        break;
                    }
                    at += line + 2 * END;
                    self.is_whole = true;
                    break;
                }
                at += line + END;
                self.missing = size + END;
            }
            let come = self.missing.min(raw.len() - at);
            let data = come.min(self.missing.saturating_sub(END));
            self.text.extend_from_slice(&raw[at..at + data]);
            at += come;
            self.missing -= come;
        }
        raw.drain(..at);
        Ok(self.text.len() > before || self.is_whole)
    }
}

/// What stands behind a name in an event: `event: `, `data: `.
pub(crate) fn field<'e>(event: &'e [u8], name: &str) -> Option<&'e [u8]> {
    let mut lines = event.split(|byte| *byte == b'\n');
    lines.find_map(|line| line.strip_prefix(name.as_bytes()))
}

/// A JSON string that stands behind `"key":`, where it needs no unescaping.
pub(crate) fn string_at<'e>(data: &'e [u8], key: &str) -> Option<&'e str> {
    let begin = find(data, key.as_bytes())? + key.len();
    let rest = &data[begin..];
    let end = memchr::memchr(b'"', rest)?;
    std::str::from_utf8(&rest[..end]).ok()
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    use super::*;
    use crate::http::encode;

    #[tokio::test]
    async fn events_are_whole_however_they_are_cut_up() {
        let body = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
            5\r\nid: 1\r\n8\r\n\ndata: a\r\n2\r\n\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
        for piece in [1, 7, 500] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut connection = Connection::open(listener.local_addr().unwrap())
                .await
                .unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let sending = async {
                for piece in body.chunks(piece) {
                    stream.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                // The connection is used again.
                stream.write_all(body).await.unwrap();
            };
            let reading = async {
                for _ in 0..2 {
                    let request = encode("GET", "/", "k", "");
                    let mut events = Events::open(&mut connection, &request).await.unwrap();
                    let event = events.next().await.unwrap().unwrap();
                    assert_eq!(field(event, "id: "), Some(&b"1"[..]));
                    assert_eq!(field(event, "data: "), Some(&b"a"[..]));
                    let last = events.next().await.unwrap().unwrap();
                    assert_eq!(field(last, "data: "), Some(&b"[DONE]"[..]));
                    assert!(events.next().await.unwrap().is_none());
                }
            };
            tokio::join!(sending, reading);
        }
    }

    #[test]
    fn strings_are_found_behind_their_key() {
        let data = br#"{"delta":{"content":"a b "},"x":1}"#;
        assert_eq!(string_at(data, "\"content\":\""), Some("a b "));
        assert_eq!(string_at(data, "\"value\":\""), None);
    }
}
