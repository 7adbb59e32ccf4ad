//! What each check makes of a text.
//!
//! The fields of the data are the original's; a check that was not given a text can not be made.
//! Counts and cases are as there: sentences are full stops, question and exclamation marks;
//! characters are UTF-16 units.

use regex::Regex;
use serde_json::{Value, json};

use super::{
    super::{
        Subject,
        check::{Case, Kind, Unit},
        quoted,
    },
    json, lists, urls,
};

/// How much of a text is quoted in data, in characters.
const EXCERPT: usize = 100;

/// How many languages of code are listed.
const MOST_LISTED: usize = 100;

/// A verdict and its reasons.
pub(super) type Found = (bool, Value);

/// Makes a check; the error says why that is not possible.
pub(super) fn of(kind: &Kind, subject: &Subject<'_>) -> Result<Found, String> {
    let text = subject.text;
    match kind {
        Kind::RegexMatch { rule, not } => Ok(pattern(rule, *not, some(text)?)),
        Kind::Count {
            unit,
            least,
            most,
            not,
        } => count(*unit, (*least, *most), *not, text),
        Kind::Contains { words, operator } => Ok(lists::words(words, *operator, text)),
        Kind::JsonSchema { schema, not } => Ok(json::schema(schema, *not, text)),
        Kind::JsonKeys { keys, operator } => Ok(json::keys(keys, *operator, some(text)?)),
        Kind::ValidUrls { not } => Ok(urls::valid(*not, some(text)?)),
        Kind::Case { case, not } => Ok(letters(*case, *not, some(text)?)),
        Kind::EndsWith { suffix, not } => Ok(end(suffix, *not, some(text)?)),
        Kind::ContainsCode { format, not } => Ok(code(format, *not, some(text)?)),
        Kind::ModelWhitelist { models, not } => lists::model(models, *not, subject),
        Kind::RequiredMetadataKeys { keys, operator } => {
            Ok(lists::metadata_keys(keys, *operator, subject.metadata))
        }
        Kind::AllowedRequestTypes { allowed, blocked } => {
            Ok(lists::request_type(allowed, blocked, subject.endpoint))
        }
        Kind::NotNull { not } => {
            let holds = !text.trim().is_empty();
            let sentences = ["There is a text", "There is no text"];
            Ok(judged(
                holds,
                *not,
                sentences,
                json!({"isNull": !holds}),
                text,
            ))
        }
    }
}

fn pattern(rule: &Regex, not: bool, text: &str) -> Found {
    let found = rule.find(text);
    let matched = found.map(|found| {
        let index = utf16(&text[..found.start()]);
        json!({"matchedText": excerpt(found.as_str()), "index": index})
    });
    let data = json!({"regexPattern": rule.as_str(), "matchDetails": matched});
    let sentences = [
        "The text matches the pattern",
        "The text does not match the pattern",
    ];
    judged(found.is_some(), not, sentences, data, text)
}

fn letters(case: Case, not: bool, text: &str) -> Found {
    let (other, sentences): (fn(char) -> bool, _) = match case {
        Case::Upper => (
            char::is_lowercase,
            ["No letter is lower case", "Some letters are lower case"],
        ),
        Case::Lower => (
            char::is_uppercase,
            ["No letter is upper case", "Some letters are upper case"],
        ),
    };
    judged(!text.chars().any(other), not, sentences, json!({}), text)
}

/// A full stop behind the suffix does not count.
fn end(suffix: &str, not: bool, text: &str) -> Found {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let holds = text.ends_with(suffix) || bare.ends_with(suffix);
    let sentences = ["The text ends with the suffix", "The text ends otherwise"];
    judged(holds, not, sentences, json!({"suffix": suffix}), text)
}

fn code(format: &str, not: bool, text: &str) -> Found {
    let languages: Vec<_> = quoted::blocks(text)
        .iter()
        .filter(|block| !block.language.is_empty())
        .map(|block| quoted::language(block.language))
        .collect();
    let holds = languages
        .iter()
        .any(|name| name.eq_ignore_ascii_case(format));
    let listed: Vec<_> = languages.iter().take(MOST_LISTED).collect();
    let data = json!({"searchedFormat": format, "foundFormats": listed});
    let sentences = [
        "The text has code in the format",
        "The text has no such code",
    ];
    judged(holds, not, sentences, data, text)
}

/// The beginning of a text.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn some(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        return Err("Missing text to analyze".to_owned());
    }
    Ok(text)
}

fn utf16(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Turns the answer round where asked, and completes the data. The sentences are for what holds
/// and for what does not.
pub(super) fn judged(
    holds: bool,
    not: bool,
    sentences: [&str; 2],
    mut data: Value,
    text: &str,
) -> Found {
    let verdict = holds != not;
    let sentence = if holds { sentences[0] } else { sentences[1] };
    let expected = if verdict { "as" } else { "which is not" };
    data["not"] = not.into();
    data["verdict"] = verdict.into();
    data["explanation"] = format!("{sentence}, {expected} expected.").into();
    data["textExcerpt"] = excerpt(text).into();
    (verdict, data)
}

pub(super) fn without_excerpt(data: &mut Value) {
    if let Value::Object(fields) = data {
        fields.shift_remove("textExcerpt");
    }
}

fn count(unit: Unit, (least, most): (u64, u64), not: bool, text: &str) -> Result<Found, String> {
    let (count, [counted, from, to]) = match unit {
        Unit::Sentences => (
            text.matches(['.', '!', '?']).count(),
            ["sentenceCount", "minCount", "maxCount"],
        ),
        Unit::Words => (
            some(text.trim())?.split_whitespace().count(),
            ["wordCount", "minWords", "maxWords"],
        ),
        Unit::Characters => (
            utf16(some(text)?),
            ["characterCount", "minCharacters", "maxCharacters"],
        ),
    };
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let mut data = json!({});
    data[counted] = count.into();
    data[from] = least.into();
    data[to] = if most == u64::MAX {
        Value::Null
    } else {
        most.into()
    };
    let sentences = [
        "The count is within the range",
        "The count is outside of the range",
    ];
    Ok(judged(
        (least..=most).contains(&count),
        not,
        sentences,
        data,
        text,
    ))
}
