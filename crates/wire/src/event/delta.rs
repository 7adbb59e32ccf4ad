//! The bodies of deltas.

use serde::Serialize;

/// `{"id","object","delta"}`
#[derive(Serialize)]
pub(super) struct Delta<'a, D> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    #[serde(rename = "delta")]
    pub(super) changed: D,
}

#[derive(Serialize)]
pub(super) struct MessageDelta<'a> {
    pub(super) content: [Part<'a>; 1],
}

/// A piece of one content part. `index` stands before `type`, as recorded.
pub(super) enum Part<'a> {
    Text { index: usize, text: TextDelta<'a> },
    Refusal { index: usize, refusal: &'a str },
}

impl Serialize for Part<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut part = serializer.serialize_struct("Part", 3)?;
        match self {
            Self::Text { index, text } => {
                part.serialize_field("index", index)?;
                part.serialize_field("type", "text")?;
                part.serialize_field("text", text)?;
            }
            Self::Refusal { index, refusal } => {
                part.serialize_field("index", index)?;
                part.serialize_field("type", "refusal")?;
                part.serialize_field("refusal", refusal)?;
            }
        }
        part.end()
    }
}

#[derive(Serialize)]
pub(super) struct TextDelta<'a> {
    pub(super) value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<[(); 0]>,
}

#[derive(Serialize)]
pub(super) struct StepDelta<'a> {
    step_details: CallsDelta<'a>,
}

#[derive(Serialize)]
struct CallsDelta<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    tool_calls: [ToolDelta<'a>; 1],
}

impl<'a> StepDelta<'a> {
    pub(super) fn new(call: ToolDelta<'a>) -> Self {
        Self {
            step_details: CallsDelta {
                kind: "tool_calls",
                tool_calls: [call],
            },
        }
    }
}

#[derive(Serialize)]
pub(super) struct ToolDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: FunctionDelta<'a>,
}

#[derive(Serialize)]
struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
    /// Null on a call's first delta, absent afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<()>,
}

impl<'a> ToolDelta<'a> {
    pub(super) fn started(index: usize, id: &'a str, name: &'a str) -> Self {
        Self {
            index,
            id: Some(id),
            kind: "function",
            function: FunctionDelta {
                name: Some(name),
                arguments: "",
                output: Some(()),
            },
        }
    }

    pub(super) fn arguments(index: usize, text: &'a str) -> Self {
        Self {
            index,
            id: None,
            kind: "function",
            function: FunctionDelta {
                name: None,
                arguments: text,
                output: None,
            },
        }
    }
}
