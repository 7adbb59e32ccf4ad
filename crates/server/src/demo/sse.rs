//! Splits a byte stream into server-sent events as the bytes come.
//!
//! Own code, like the relay's splitter: forty lines, and nothing to configure. It knows what an
//! Assistants stream uses (contract section 10.1): `event:` and `data:` lines, comments, and lines
//! that end in LF or CRLF. Other fields are ignored, as the standard asks.

/// One event: its name (`message` when the stream gave none) and its data.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SseEvent {
    pub(super) name: String,
    pub(super) data: String,
}

/// Holds the bytes of a line that is not complete yet, and the event being built.
#[derive(Debug, Default)]
pub(super) struct SseSplitter {
    line: Vec<u8>,
    name: String,
    data: Option<String>,
}

impl SseSplitter {
    /// Takes the next bytes, cut anywhere; returns the events that they complete, in order.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<SseEvent> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(self.end_line(&String::from_utf8_lossy(&line)));
            }
        }
        events
    }

    fn end_line(&mut self, line: &str) -> Option<SseEvent> {
        let line = line.trim_end_matches(['\n', '\r']);
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = self.data.take()?;
            let name = if name.is_empty() {
                "message".to_owned()
            } else {
                name
            };
            return Some(SseEvent { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> SseEvent {
        SseEvent {
            name: name.to_owned(),
            data: data.to_owned(),
        }
    }

    const STREAM: &str = "event: thread.run.created\ndata: {\"id\":\"run_1\"}\n\n\
        : a comment\nid: 1.2\nevent: thread.message.delta\ndata: {\"text\":\"grüße 🚢\"}\n\n\
        event: done\r\ndata: [DONE]\r\n\r\n";

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        let whole = SseSplitter::default().push(STREAM.as_bytes());
        assert_eq!(
            whole,
            [
                event("thread.run.created", "{\"id\":\"run_1\"}"),
                event("thread.message.delta", "{\"text\":\"grüße 🚢\"}"),
                event("done", "[DONE]"),
            ]
        );
        for cut in 1..STREAM.len() {
            let (first, second) = STREAM.as_bytes().split_at(cut);
            let mut splitter = SseSplitter::default();
            let mut events = splitter.push(first);
            events.extend(splitter.push(second));
            assert_eq!(events, whole, "cut at byte {cut}");
        }
    }

    #[test]
    fn an_event_comes_with_its_empty_line_and_not_before() {
        let mut splitter = SseSplitter::default();
        assert!(splitter.push(b"data: one\n").is_empty());
        assert_eq!(splitter.push(b"\n"), [event("message", "one")]);
    }

    #[test]
    fn several_data_lines_are_joined_and_events_without_data_dropped() {
        let mut splitter = SseSplitter::default();
        assert_eq!(
            splitter.push(b"event: ping\n\ndata:one\ndata: two\n\n"),
            [event("message", "one\ntwo")]
        );
    }
}
