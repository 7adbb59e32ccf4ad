//! What is wrong with a request, in the words of the original (contract sections 2.2 and 2.4).

use std::fmt::{Display, Write as _};

/// A request that can not be carried out as it was sent: always HTTP 400,
/// `invalid_request_error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// For people; clients match on its first sentence.
    pub message: String,
    /// Where: `tools[0].function.name`.
    pub param: Option<String>,
    /// For programs.
    pub code: Option<&'static str>,
}

/// What is counted when something is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Characters.
    String,
    /// Items.
    Array,
}

impl Counted {
    fn noun(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Array => "array",
        }
    }
}

/// Whether a number counts as an integer or as a decimal in the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Numeric {
    /// Of a whole-number field.
    Integer,
    /// Of any other.
    Decimal,
}

/// Longest piece of a client's own text that a message repeats.
const SHOWN_CHARS: usize = 256;

/// The text, or its two ends where it is long.
pub(crate) fn shown(text: &str) -> String {
    if text.len() <= SHOWN_CHARS {
        text.to_owned()
    } else {
        ends(text)
    }
}

/// `kkk...kkk`: how the original showed long names.
fn ends(text: &str) -> String {
    let head: String = text.chars().take(3).collect();
    let tail: Vec<char> = text.chars().rev().take(3).collect();
    let tail: String = tail.into_iter().rev().collect();
    format!("{head}...{tail}")
}

impl Problem {
    /// A problem with a place.
    pub fn new(
        message: impl Into<String>,
        param: impl Into<String>,
        code: Option<&'static str>,
    ) -> Self {
        Self {
            message: message.into(),
            param: Some(param.into()).filter(|param| !param.is_empty()),
            code,
        }
    }

    /// The body is no JSON.
    pub fn unparsable() -> Self {
        Self {
            message: "We could not parse the JSON body of your request. (HINT: This likely means \
                      you aren't using your HTTP library correctly. Loomgate expects a JSON \
                      payload, but what was sent was not valid JSON. GET /openapi.json describes what \
                      each operation takes.)"
                .to_owned(),
            param: None,
            code: None,
        }
    }

    /// An id that does not begin as ids of its kind do: `expected` is `thread`, `asst`, ...
    pub fn invalid_id(param: impl Into<String>, value: &str, expected: &str) -> Self {
        let param = param.into();
        let value = shown(value);
        Self::new(
            format!("Invalid '{param}': '{value}'. Expected an ID that begins with '{expected}'."),
            param,
            Some("invalid_value"),
        )
    }

    pub(crate) fn missing(param: String) -> Self {
        Self::new(
            format!("Missing required parameter: '{param}'."),
            param,
            Some("missing_required_parameter"),
        )
    }

    pub(crate) fn unknown(param: String, meant: Option<&str>) -> Self {
        let mut message = format!("Unknown parameter: '{param}'.");
        if let Some(meant) = meant {
            // Writing to a string can not fail.
            let _ = write!(message, " Did you mean '{meant}'?");
        }
        Self::new(message, param, Some("unknown_parameter"))
    }

    /// `expected` and `got` with their articles: `a string`, `null`.
    pub(crate) fn wrong_type(param: String, expected: &str, got: &str) -> Self {
        let place = if param.is_empty() {
            String::new()
        } else {
            format!(" for '{param}'")
        };
        Self::new(
            format!("Invalid type{place}: expected {expected}, but got {got} instead."),
            param,
            Some("invalid_type"),
        )
    }

    pub(crate) fn not_supported_value(param: String, got: &str, values: &[&str]) -> Self {
        let got = shown(got);
        let values = listed(values);
        Self::new(
            format!("Invalid value: '{got}'. Supported values are: {values}."),
            param,
            Some("invalid_value"),
        )
    }

    pub(crate) fn too_long(param: String, what: Counted, max: usize, got: usize) -> Self {
        let noun = what.noun();
        let (article, code) = match what {
            Counted::String => ("a", "string_above_max_length"),
            Counted::Array => ("an", "array_above_max_length"),
        };
        Self::new(
            format!(
                "Invalid '{param}': {noun} too long. Expected {article} {noun} with maximum \
                 length {max}, but got {article} {noun} with length {got} instead."
            ),
            param,
            Some(code),
        )
    }

    /// For things of which one is enough.
    pub(crate) fn empty(param: String, what: Counted) -> Self {
        let noun = what.noun();
        let (article, code) = match what {
            Counted::String => ("a", "empty_string"),
            Counted::Array => ("an", "empty_array"),
        };
        Self::new(
            format!(
                "Invalid '{param}': empty {noun}. Expected {article} {noun} with minimum length \
                 1, but got an empty {noun} instead."
            ),
            param,
            Some(code),
        )
    }

    pub(crate) fn pattern(param: String, pattern: &str) -> Self {
        Self::new(
            format!(
                "Invalid '{param}': string does not match pattern. Expected a string that \
                 matches the pattern '{pattern}'."
            ),
            param,
            Some("invalid_value"),
        )
    }

    pub(crate) fn not_a_url(param: String) -> Self {
        Self::new(
            format!(
                "Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
            ),
            param,
            Some("invalid_value"),
        )
    }

    pub(crate) fn empty_content(param: String) -> Self {
        Self::new("Message content must be non-empty.", param, None)
    }

    pub(crate) fn above(
        param: String,
        kind: Numeric,
        max: impl Display,
        got: impl Display,
    ) -> Self {
        let (noun, code) = match kind {
            Numeric::Integer => ("integer", "integer_above_max_value"),
            Numeric::Decimal => ("decimal", "decimal_above_max_value"),
        };
        Self::new(
            format!(
                "Invalid '{param}': {noun} above maximum value. Expected a value <= {max}, but \
                 got {got} instead."
            ),
            param,
            Some(code),
        )
    }

    pub(crate) fn below(
        param: String,
        kind: Numeric,
        min: impl Display,
        got: impl Display,
    ) -> Self {
        let (noun, code) = match kind {
            Numeric::Integer => ("integer", "integer_below_min_value"),
            Numeric::Decimal => ("decimal", "decimal_below_min_value"),
        };
        Self::new(
            format!(
                "Invalid '{param}': {noun} below minimum value. Expected a value >= {min}, but \
                 got {got} instead."
            ),
            param,
            Some(code),
        )
    }

    pub(crate) fn too_many_properties(param: String, max: usize, got: usize) -> Self {
        Self::new(
            format!(
                "Invalid '{param}': too many properties. Expected an object with at most {max} \
                 properties, but got an object with {got} properties instead."
            ),
            param,
            Some("object_above_max_properties"),
        )
    }

    /// `map` is the path of the map, `param` that of the key in it.
    pub(crate) fn key_too_long(map: &str, param: String, key: &str, got: usize) -> Self {
        let max = loomgate_domain::Metadata::MAX_KEY_CHARS;
        let key = ends(key);
        Self::new(
            format!(
                "Invalid property name in '{map}': '{key}' is too long. Expected a string with \
                 maximum length {max}, but got a string with length {got} instead."
            ),
            param,
            Some("property_name_above_max_length"),
        )
    }
}

/// `'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`.
fn listed(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [most @ .., last] => format!("{}, and {last}", most.join(", ")),
    }
}
