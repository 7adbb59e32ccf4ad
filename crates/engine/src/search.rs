//! `file_search`: a function that the engine carries out itself. What the model is told of it, what it
//! asks for, and what it gets (contract sections 8.9, 9 and 11.8).

use loomgate_domain::{
    Run, RunStep,
    run::{FileSearchCall, StepDetails, ToolCall},
    tool::{FileSearch, Function, Tool},
};
use serde_json::{Map, Value, json};

use crate::citation::{label, mark};

/// What the function is called, unless the client has one of this name.
const NAMES: [&str; 3] = ["file_search", "search_files", "loomgate_file_search"];
/// The most queries of one call.
const QUERIES: usize = 5;
/// The most characters of a query.
const QUERY_CHARS: usize = 1_000;
/// Chunks that a search gives to the model, unless the tool says another number (contract section 12).
const RESULTS: u32 = 20;
/// The same for models with a small window.
const FEW_RESULTS: u32 = 5;
/// The most searches of a run: a model that wants more has to answer with what it has.
const SEARCHES: usize = 20;
/// The tool of a run, as its model knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SearchTool {
    /// The function's name.
    pub(crate) name: &'static str,
    /// How to search.
    pub(crate) settings: FileSearch,
    /// Chunks for each call.
    pub(crate) results: u32,
}

impl SearchTool {
    /// The tool of a run, if it has it.
    pub(crate) fn of(run: &Run) -> Option<Self> {
        let tools = &run.settings.tools;
        let settings = tools.iter().find_map(|tool| match tool {
            Tool::FileSearch { file_search } => Some(file_search.clone()),
            Tool::CodeInterpreter | Tool::Function { .. } => None,
        })?;
        let is_taken = |name: &&str| {
            tools
                .iter()
                .any(|tool| matches!(tool, Tool::Function { function } if function.name == **name))
        };
        let few = run.settings.model.contains("gpt-3.5");
        let usual = if few { FEW_RESULTS } else { RESULTS };
        Some(Self {
            name: NAMES
                .into_iter()
                .find(|name| !is_taken(name))
                .unwrap_or(NAMES[2]),
            results: settings.max_num_results.unwrap_or(usual),
            settings,
        })
    }

    /// What the model is told of it.
    pub(crate) fn function(&self) -> Function {
        let parameters = json!({
            "type": "object",
            "properties": {
                "queries": {
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "maxItems": QUERIES,
                    "description": "What to look for: whole questions or key words, each about one thing.",
                },
            },
            "required": ["queries"],
            "additionalProperties": false,
        });
        let description = "Searches the files that the user and the developer have provided, and returns the passages \
            that fit best. Use it whenever an answer may be in them. Each passage begins with a mark such as 【4:0†source】. \
            Behind every statement that rests on a passage, repeat its mark exactly; never invent one.";
        Function {
            name: self.name.to_owned(),
            description: Some(description.to_owned()),
            parameters: match parameters {
                Value::Object(parameters) => parameters,
                _ => Map::new(),
            },
            strict: false,
        }
    }

    /// A call as the model made it. `block` is where its results will stand.
    pub(crate) fn call(&self, arguments: &str, block: u32) -> FileSearchCall {
        FileSearchCall {
            block,
            queries: queries(arguments),
            ranking_options: self.settings.ranking_options.clone(),
            results: None,
        }
    }
}

/// What a model looks for. Models that do not keep to the form are understood all the same.
fn queries(arguments: &str) -> Vec<String> {
    let parsed: Value = serde_json::from_str(arguments).unwrap_or_else(|_| arguments.into());
    let named = match &parsed {
        Value::Object(fields) => fields.get("queries").or_else(|| fields.get("query")),
        other => Some(other),
    };
    let texts: Vec<&str> = match named {
        Some(Value::Array(queries)) => queries.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(query)) => vec![query],
        _ => Vec::new(),
    };
    texts
        .into_iter()
        .map(str::trim)
        .filter(|query| !query.is_empty())
        .take(QUERIES)
        .map(|query| query.chars().take(QUERY_CHARS).collect())
        .collect()
}

/// The arguments of a call, as the model is shown them again.
pub(crate) fn arguments(call: &FileSearchCall) -> String {
    json!({"queries": call.queries}).to_string()
}

/// What the model gets for a call.
pub(crate) fn answer(call: &FileSearchCall) -> String {
    let Some(results) = call.results.as_ref().filter(|results| !results.is_empty()) else {
        return if call.queries.is_empty() {
            "Nothing was searched: give at least one query in 'queries'.".to_owned()
        } else {
            "Nothing was found. Answer from what you know, and say that the files do not tell, or search for other words."
                .to_owned()
        };
    };
    let passages = (0..).zip(results).map(|(number, result)| {
        let mark = mark(call.block, number, &label(&result.file_name));
        format!("{mark}\n{}", result.text.trim())
    });
    passages.collect::<Vec<_>>().join("\n\n")
}

/// Whether a run has searched often enough.
pub(crate) fn is_exhausted(steps: &[RunStep]) -> bool {
    let calls = steps.iter().filter_map(|step| match &step.details {
        StepDetails::ToolCalls { tool_calls } => Some(tool_calls),
        StepDetails::MessageCreation { .. } => None,
    });
    let searches = calls
        .flatten()
        .filter(|call| matches!(call, ToolCall::FileSearch { .. }));
    searches.count() >= SEARCHES
}

/// The searches of a step that have not been carried out.
pub(crate) fn pending(calls: &[ToolCall]) -> impl Iterator<Item = &FileSearchCall> {
    calls.iter().filter_map(|call| match call {
        ToolCall::FileSearch { file_search, .. } if file_search.results.is_none() => {
            Some(file_search)
        }
        ToolCall::FileSearch { .. } | ToolCall::Function { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_understood_in_every_form() {
        for (arguments, expected) in [
            (r#"{"queries":["a"," b ",""]}"#, &["a", "b"][..]),
            (r#"{"queries":"a"}"#, &["a"]),
            (r#"{"query":"a"}"#, &["a"]),
            (r#"["a",1]"#, &["a"]),
            (r#""a""#, &["a"]),
            ("plain words", &["plain words"]),
            ("{}", &[]),
            (r#"{"queries":[1]}"#, &[]),
            (
                r#"{"queries":["1","2","3","4","5","6"]}"#,
                &["1", "2", "3", "4", "5"],
            ),
        ] {
            assert_eq!(queries(arguments), expected, "{arguments}");
        }
        assert_eq!(queries(&"x".repeat(5_000))[0].len(), QUERY_CHARS);
    }
}
