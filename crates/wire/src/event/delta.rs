//! The bodies of deltas.

use loomgate_domain::{
    message::{Annotation, FileRef},
    tool::RankingOptions,
};
use serde::Serialize;

use crate::object::step::Ranking;

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
    pub(super) annotations: Option<Vec<AnnotationDelta<'a>>>,
}

/// A new annotation. `index` counts those of the part; `quote` is empty, as recorded.
#[derive(Serialize)]
pub(super) struct AnnotationDelta<'a> {
    index: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
    start_index: u32,
    end_index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_citation: Option<CitedFile<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_path: Option<&'a FileRef>,
}

#[derive(Serialize)]
struct CitedFile<'a> {
    file_id: &'a str,
    quote: &'static str,
}

impl<'a> AnnotationDelta<'a> {
    pub(super) fn new(index: usize, annotation: &'a Annotation) -> Self {
        match annotation {
            Annotation::FileCitation {
                text,
                start_index,
                end_index,
                file_citation,
            } => Self {
                index,
                kind: "file_citation",
                text,
                start_index: *start_index,
                end_index: *end_index,
                file_citation: Some(CitedFile {
                    file_id: &file_citation.file_id,
                    quote: "",
                }),
                file_path: None,
            },
            Annotation::FilePath {
                text,
                start_index,
                end_index,
                file_path,
            } => Self {
                index,
                kind: "file_path",
                text,
                start_index: *start_index,
                end_index: *end_index,
                file_citation: None,
                file_path: Some(file_path),
            },
        }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<FunctionDelta<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_search: Option<SearchDelta<'a>>,
}

#[derive(Serialize)]
struct SearchDelta<'a> {
    ranking_options: Ranking<'a>,
    results: [(); 0],
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
            function: Some(FunctionDelta {
                name: Some(name),
                arguments: "",
                output: Some(()),
            }),
            file_search: None,
        }
    }

    pub(super) fn searching(index: usize, id: &'a str, ranking: &'a RankingOptions) -> Self {
        Self {
            index,
            id: Some(id),
            kind: "file_search",
            function: None,
            file_search: Some(SearchDelta {
                ranking_options: ranking.into(),
                results: [],
            }),
        }
    }

    pub(super) fn arguments(index: usize, text: &'a str) -> Self {
        Self {
            index,
            id: None,
            kind: "function",
            function: Some(FunctionDelta {
                name: None,
                arguments: text,
                output: None,
            }),
            file_search: None,
        }
    }
}
