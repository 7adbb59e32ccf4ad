//! How long a provider wants to be left alone.

use std::time::Duration;

use http::HeaderMap;

/// `retry-after-ms`, `x-ms-retry-after-ms`, or `retry-after` in seconds or as a date, which is
/// counted from the response's own `date`.
pub(crate) fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name, unit: f64| {
        let seconds = text(name)?.parse::<f64>().ok()? * unit;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let date = || {
        let until = httpdate::parse_http_date(text("retry-after")?).ok()?;
        let now = httpdate::parse_http_date(text("date")?).ok()?;
        Some(until.duration_since(now).unwrap_or_default())
    };
    number("retry-after-ms", 0.001)
        .or_else(|| number("x-ms-retry-after-ms", 0.001))
        .or_else(|| number("retry-after", 1.0))
        .or_else(date)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Option<Duration> {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        of(&pairs.iter().map(pair).collect())
    }

    #[test]
    fn it_is_read_in_every_form() {
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(
            read(&[("retry-after-ms", "250"), ("retry-after", "9")]),
            ms(250)
        );
        assert_eq!(read(&[("x-ms-retry-after-ms", "20")]), ms(20));
        assert_eq!(read(&[("retry-after", "1.5")]), ms(1_500));
        assert_eq!(read(&[("retry-after", "-1")]), None);
        let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        let later = ("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT");
        assert_eq!(read(&[date, later]), ms(30_000));
        assert_eq!(read(&[later]), None);
        assert_eq!(read(&[("retry-after", "soon")]), None);
    }
}
