//! Log lines as text, where nobody looks at a terminal: one an event, with the fields behind the
//! words. Every request leaves one, so that what they cost is a part of what a request costs;
//! `tracing-subscriber`'s own writer of such lines takes about three times as long.

use std::fmt::{self, Write as _};

use loomgate_domain::{Clock as _, Timestamp};
use parking_lot::Mutex;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::clock::SystemClock;

/// `2026-11-28T01:36:03.123Z  INFO loomgate_server::headers: request method="GET" status=200`
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The second that was written last, and how: all of it but the `Z`.
    second: Mutex<(Timestamp, String)>,
}

impl Line {
    fn time(&self, now_ms: i64, writer: &mut Writer<'_>) -> fmt::Result {
        let now = Timestamp(now_ms.div_euclid(1000));
        let mut second = self.second.lock();
        if second.0 != now || second.1.is_empty() {
            let time = OffsetDateTime::from_unix_timestamp(now.0).map_err(|_| fmt::Error)?;
            let mut text = time.format(&Rfc3339).map_err(|_| fmt::Error)?;
            text.truncate(text.trim_end_matches('Z').len());
            *second = (now, text);
        }
        write!(writer, "{}.{:03}Z", second.1, now_ms.rem_euclid(1000))
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        self.time(SystemClock.now_ms(), &mut writer)?;
        writer.write_char(' ')?;
        let level = metadata.level().as_str();
        // So that all have the same width.
        if level.len() < "ERROR".len() {
            writer.write_char(' ')?;
        }
        writer.write_str(level)?;
        writer.write_char(' ')?;
        writer.write_str(metadata.target())?;
        writer.write_char(':')?;
        let mut fields = Fields {
            writer,
            result: Ok(()),
        };
        event.record(&mut fields);
        fields.result?;
        fields.writer.write_char('\n')
    }
}

struct Fields<'w> {
    writer: Writer<'w>,
    result: fmt::Result,
}

impl Fields<'_> {
    /// The message stands alone, everything else behind its name.
    fn begin(&mut self, field: &Field) -> fmt::Result {
        self.writer.write_char(' ')?;
        if field.name() != "message" {
            self.writer.write_str(field.name())?;
            self.writer.write_char('=')?;
        }
        Ok(())
    }

    fn write(&mut self, field: &Field, value: impl FnOnce(&mut Writer<'_>) -> fmt::Result) {
        if self.result.is_ok() {
            self.result = self.begin(field).and_then(|()| value(&mut self.writer));
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // What a caller sent may hold a line's end, and pass for a line of ours.
        let is_plain = value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\');
        self.write(field, |writer| {
            if !is_plain {
                return write!(writer, "{value:?}");
            }
            writer.write_char('"')?;
            writer.write_str(value)?;
            writer.write_char('"')
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // What is told by its `Display` comes here too, and may hold what a caller sent.
        self.write(field, |writer| write!(Printable(writer), "{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.write(field, |writer| write!(Printable(writer), "{value}"));
    }
}

/// Passes text on with its control characters escaped.
struct Printable<'p, 'w>(&'p mut Writer<'w>);

impl fmt::Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            match piece.chars().next_back().filter(|last| last.is_control()) {
                Some(last) => {
                    self.0.write_str(&piece[..piece.len() - last.len_utf8()])?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                None => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(Line::default())
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_a_line_with_its_fields() {
        let absent: Option<&str> = None;
        let line = logged(|| {
            tracing::warn!(
                route = "/v1/x",
                status = 200_u16,
                ms = 0.25,
                absent,
                "request"
            );
        });
        let (time, rest) = line.split_once(' ').unwrap();
        let time = OffsetDateTime::parse(time, &Rfc3339).unwrap();
        assert!(time.unix_timestamp() > 1_700_000_000);
        let target = module_path!();
        assert_eq!(
            rest,
            format!(" WARN {target}: request route=\"/v1/x\" status=200 ms=0.25\n")
        );
    }

    #[test]
    fn nothing_that_a_caller_sends_makes_a_line_of_its_own() {
        let evil = "a\n2026 ERROR \u{1b}[31m \"b\" \\ \u{85}";
        let lines = [
            logged(|| tracing::info!(path = evil, "x")),
            logged(|| tracing::info!(path = %evil, "x")),
            logged(|| tracing::info!("{evil}")),
            logged(|| {
                let error = io::Error::other(evil);
                tracing::info!(error = &error as &(dyn std::error::Error + 'static), "x");
            }),
        ];
        for line in lines {
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn the_time_is_that_of_the_second() {
        let line = Line::default();
        let written = |now_ms| {
            let mut text = String::new();
            line.time(now_ms, &mut Writer::new(&mut text)).unwrap();
            text
        };
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(written(1_700_000_000_999), "2023-11-14T22:13:20.999Z");
        assert_eq!(written(1_700_000_001_000), "2023-11-14T22:13:21.000Z");
    }
}
