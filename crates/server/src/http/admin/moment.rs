//! Times as the admin API writes and reads them: RFC 3339.

use loomgate_domain::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// `2026-01-31T12:00:00Z`
pub(super) fn text(at: Timestamp) -> String {
    text_ms(at.0.saturating_mul(1000))
}

/// `2026-01-31T12:00:00.125Z`, from milliseconds.
pub(super) fn text_ms(ms: i64) -> String {
    let nanos = i128::from(ms).saturating_mul(1_000_000);
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| ms.to_string())
}

/// Milliseconds since 1970 of a time that a client wrote: RFC 3339, without an offset (then it is
/// UTC), or a date alone. A blank may stand for the `+` that it was before it came in a query.
pub(super) fn parse_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.len() > 40 || !text.is_ascii() {
        return None;
    }
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' ']).unwrap_or(rest);
    let time = if rest.is_empty() {
        "00:00:00Z".to_owned()
    } else {
        let rest = rest.replace(' ', "+");
        let has_offset = rest.ends_with(['Z', 'z']) || rest.contains(['+', '-']);
        if has_offset { rest } else { format!("{rest}Z") }
    };
    let time = OffsetDateTime::parse(&format!("{date}T{time}"), &Rfc3339).ok()?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// The same in whole seconds.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    Some(Timestamp(parse_ms(text)?.div_euclid(1000)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_in_all_their_forms() {
        for (text, ms) in [
            ("2026-01-31T12:00:00Z", 1_769_860_800_000),
            ("2026-01-31T12:00:00.125Z", 1_769_860_800_125),
            ("2026-01-31T17:30:00+05:30", 1_769_860_800_000),
            ("2026-01-31T17:30:00 05:30", 1_769_860_800_000),
            ("2026-01-31 12:00:00", 1_769_860_800_000),
            ("2026-01-31", 1_769_817_600_000),
        ] {
            assert_eq!(parse_ms(text), Some(ms), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-02-30",
            "2026-01-31T25:00:00Z",
            "1769860800",
        ] {
            assert_eq!(parse_ms(text), None, "{text}");
        }
        assert_eq!(text(Timestamp(1_769_860_800)), "2026-01-31T12:00:00Z");
        assert_eq!(text_ms(1_769_860_800_125), "2026-01-31T12:00:00.125Z");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,50}") {
            let _ = parse_ms(&text);
        }

        #[test]
        fn what_is_written_is_read_again(ms in 0_i64..4_000_000_000_000) {
            prop_assert_eq!(parse_ms(&text_ms(ms)), Some(ms));
        }
    }
}
