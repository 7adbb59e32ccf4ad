//! The parts of a message's content.

use serde_json::Value;

use super::Unsupported;

/// One part. Borrows from the request; nothing is decoded. What a vendor may refuse knows where it
/// stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part<'a> {
    /// Words, and a mark for Anthropic's prompt cache where the caller set one.
    Text {
        text: &'a str,
        cache_control: Option<&'a Value>,
    },
    Image {
        source: Source<'a>,
        path: String,
    },
    /// A document at a data address.
    File {
        source: Data<'a>,
        name: Option<&'a str>,
        path: String,
    },
    /// Base64 and `wav` or `mp3`.
    Audio {
        data: &'a str,
        format: &'a str,
        path: String,
    },
}

/// Where an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source<'a> {
    Data(Data<'a>),
    /// At an http or https address.
    Url(&'a str),
}

/// What a data address holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Data<'a> {
    /// `image/png`; without parameters.
    pub(super) media_type: &'a str,
    /// Base64, as it came.
    pub(super) base64: &'a str,
}

impl<'a> Part<'a> {
    /// Plain words.
    pub(super) fn text(text: &'a str) -> Self {
        Self::Text {
            text,
            cache_control: None,
        }
    }

    /// Words that are not just white space, which vendors refuse.
    pub(super) fn says_something(&self) -> bool {
        !matches!(self, Self::Text { text, .. } if text.trim().is_empty())
    }
}

/// Reads `content`: null, a text, or a list of parts. `path` is where it stands in the request.
pub(super) fn parts<'a>(content: &'a Value, path: &str) -> Result<Vec<Part<'a>>, Unsupported> {
    match content {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(vec![Part::text(text)]),
        Value::Array(parts) => parts
            .iter()
            .enumerate()
            .map(|(index, value)| part(value, &format!("{path}[{index}]")))
            .collect(),
        _ => {
            let message = format!("'{path}' must be a string or an array of parts.");
            Err(Unsupported::new(path, message))
        }
    }
}

/// Like [`parts`], where only words make sense.
pub(super) fn words<'a>(content: &'a Value, path: &str) -> Result<Vec<Part<'a>>, Unsupported> {
    let parts = parts(content, path)?;
    if parts.iter().all(|part| matches!(part, Part::Text { .. })) {
        return Ok(parts);
    }
    Err(no_words(path))
}

/// Reads a part of `path`, where only words make sense; it stands at `at`.
pub(super) fn word<'a>(value: &'a Value, at: &str, path: &str) -> Result<Part<'a>, Unsupported> {
    let part = part(value, at)?;
    matches!(part, Part::Text { .. })
        .then_some(part)
        .ok_or_else(|| no_words(path))
}

fn no_words(path: &str) -> Unsupported {
    Unsupported::new(path, format!("'{path}' may only hold text."))
}

/// Reads one part; `path` is where it stands.
pub(super) fn part<'a>(value: &'a Value, path: &str) -> Result<Part<'a>, Unsupported> {
    let read = |field: &'a Value, name: &str| {
        field.as_str().ok_or_else(|| {
            let param = format!("{path}.{name}");
            let message = format!("'{param}' must be a string.");
            Unsupported::new(param, message)
        })
    };
    match value["type"].as_str() {
        Some("text") => Ok(Part::Text {
            text: read(&value["text"], "text")?,
            cache_control: value.get("cache_control").filter(|mark| !mark.is_null()),
        }),
        Some("refusal") => Ok(Part::text(read(&value["refusal"], "refusal")?)),
        Some("image_url") => {
            // Some clients leave out the object around the address.
            let address = match &value["image_url"] {
                Value::String(address) => address,
                object => read(&object["url"], "image_url.url")?,
            };
            let path = format!("{path}.image_url.url");
            let source = source(address, &path)?;
            Ok(Part::Image { source, path })
        }
        Some("file") => {
            let path = format!("{path}.file.file_data");
            let file = &value["file"];
            let Some(source) = file["file_data"].as_str().and_then(data) else {
                let message = "A file must come along as a base64 data URL in 'file_data'.";
                return Err(Unsupported::new(path, message));
            };
            let name = file["filename"].as_str();
            Ok(Part::File { source, name, path })
        }
        Some("input_audio") => Ok(Part::Audio {
            data: read(&value["input_audio"]["data"], "input_audio.data")?,
            format: read(&value["input_audio"]["format"], "input_audio.format")?,
            path: format!("{path}.input_audio.format"),
        }),
        _ => {
            let param = format!("{path}.type");
            let message = format!("'{param}' names no part that this provider can be sent.");
            Err(Unsupported::new(param, message))
        }
    }
}

fn source<'a>(address: &'a str, path: &str) -> Result<Source<'a>, Unsupported> {
    let scheme = address.split_once(':').map_or("", |(scheme, _)| scheme);
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return Ok(Source::Url(address));
    }
    data(address).map(Source::Data).ok_or_else(|| {
        let message = format!("'{path}' must be an http, https or base64 data URL.");
        Unsupported::new(path, message)
    })
}

/// `data:image/png;base64,AAAA`; parameters before `base64` are left out.
fn data(address: &str) -> Option<Data<'_>> {
    let (scheme, rest) = address.split_once(':')?;
    let (head, base64) = rest.split_once(',')?;
    let (kind, encoding) = head.rsplit_once(';')?;
    let media_type = match kind.split(';').next()?.trim() {
        // A name that is often used, and no type.
        wrong if wrong.eq_ignore_ascii_case("image/jpg") => "image/jpeg",
        media_type => media_type,
    };
    let is_data =
        scheme.eq_ignore_ascii_case("data") && encoding.trim().eq_ignore_ascii_case("base64");
    (is_data && media_type.contains('/')).then_some(Data { media_type, base64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_addresses_are_taken_apart() {
        let png = |base64| {
            Some(Data {
                media_type: "image/png",
                base64,
            })
        };
        assert_eq!(data("data:image/png;base64,AAAA"), png("AAAA"));
        assert_eq!(data("DATA:image/png;name=x;Base64,"), png(""));
        let jpeg = data("data:image/jpg;base64,AAAA").unwrap();
        assert_eq!(jpeg.media_type, "image/jpeg");
        for wrong in [
            "data:image/png,AAAA",
            "data:;base64,AAAA",
            "data:base64,AAAA",
            "data:image/png;base64",
            "date:image/png;base64,AAAA",
            "",
        ] {
            assert_eq!(data(wrong), None, "{wrong}");
        }
    }
}
