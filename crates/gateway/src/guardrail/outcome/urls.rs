//! The check of the addresses in a text.

use serde_json::json;
use url::Url;

use super::verdict::{Found, excerpt, judged};

/// How many addresses of a text are listed.
const MOST_LISTED: usize = 100;

/// Whether every address can be one. The original calls them; nothing is called here.
pub(super) fn valid(not: bool, text: &str) -> Found {
    let urls: Vec<&str> = urls(text).collect();
    let can_be = |url: &&str| Url::parse(url).is_ok_and(|url| url.has_host());
    let (good, bad): (Vec<&str>, Vec<&str>) = urls.iter().partition(|url| can_be(url));
    if urls.is_empty() {
        let data = json!({
            "explanation": "No URLs found in the text.",
            "urls": [],
            "validationMethod": "syntax",
            "not": not,
            "textExcerpt": excerpt(text),
        });
        return (false, data);
    }
    let listed = |urls: &[&str]| -> Vec<String> {
        urls.iter()
            .take(MOST_LISTED)
            .map(|url| excerpt(url))
            .collect()
    };
    let data = json!({
        "validUrls": listed(&good),
        "invalidUrls": listed(&bad),
        "validationMethod": "syntax",
    });
    let sentences = ["All URLs are valid", "Some URLs are invalid"];
    judged(bad.is_empty(), not, sentences, data, text)
}

/// From `http://` or `https://` to what can not be part of an address.
fn urls(text: &str) -> impl Iterator<Item = &str> {
    let end = |letter: char| letter.is_whitespace() || r#",'"{}[]"#.contains(letter);
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find("http")?..];
            let scheme = ["https://", "http://"].into_iter();
            let scheme = scheme
                .filter(|scheme| rest.starts_with(scheme))
                .map(str::len)
                .next();
            let Some(scheme) = scheme else {
                rest = &rest["http".len()..];
                continue;
            };
            let length = rest[scheme..]
                .find(end)
                .map_or(rest.len(), |end| scheme + end);
            let (url, after) = rest.split_at(length);
            rest = after;
            let url = without_ending(url);
            if url.len() > scheme {
                return Some(url);
            }
        }
    })
}

/// Without the punctuation of the sentence around it.
fn without_ending(url: &str) -> &str {
    url.trim_end_matches(|letter: char| match letter {
        '.' | ';' | ':' | '!' | '?' | '>' | '*' => true,
        ')' => !url.contains('('),
        _ => false,
    })
}
