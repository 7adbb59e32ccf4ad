//! Tools and the settings of a model turn, in the normalised form in which responses echo them
//! (contract sections 5.1 to 5.3 and 8.2).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A tool of an assistant or a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Tool {
    /// Runs Python for the model.
    CodeInterpreter,
    /// Searches vector stores for the model.
    FileSearch {
        /// How to search. Always present in responses.
        #[serde(default)]
        file_search: FileSearch,
    },
    /// A function that the client carries out.
    Function {
        /// Its declaration.
        function: Function,
    },
}

/// Settings of the search tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FileSearch {
    /// 1 to 50; only echoed when it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_num_results: Option<u32>,
    /// Ranking; filled with the defaults when it was not sent.
    #[serde(default)]
    pub ranking_options: RankingOptions,
}

/// How search results are ranked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankingOptions {
    /// The ranker's name; `auto` is echoed as the default one.
    pub ranker: String,
    /// 0 to 1.
    pub score_threshold: f64,
    /// Echoed as null, as the original did.
    pub hybrid_search: Option<Value>,
}

impl Default for RankingOptions {
    fn default() -> Self {
        Self {
            ranker: "default_2024_08_21".to_owned(),
            score_threshold: 0.0,
            hybrid_search: None,
        }
    }
}

/// A function's declaration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// Up to 64 of `[A-Za-z0-9_-]`.
    pub name: String,
    /// What it does, for the model. Echoed only when it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON schema of the arguments.
    #[serde(default = "no_parameters")]
    pub parameters: Map<String, Value>,
    /// Whether the model must keep to the schema exactly.
    #[serde(default)]
    pub strict: bool,
}

/// What the original echoed for a function declared without parameters.
pub fn no_parameters() -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".to_owned(), Value::from("object"));
    map.insert("properties".to_owned(), Value::Object(Map::new()));
    map
}

/// Files and stores that tools may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ToolResources {
    /// For the code interpreter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_interpreter: Option<CodeInterpreterResources>,
    /// For file search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_search: Option<FileSearchResources>,
}

impl ToolResources {
    /// The files that they name.
    pub fn file_ids(&self) -> &[String] {
        self.code_interpreter
            .as_ref()
            .map_or(&[], |resources| &resources.file_ids)
    }

    /// The vector stores that they name.
    pub fn vector_store_ids(&self) -> &[String] {
        self.file_search
            .as_ref()
            .map_or(&[], |resources| &resources.vector_store_ids)
    }

    /// Names a vector store, and no other.
    pub fn set_vector_store(&mut self, id: &str) {
        self.file_search = Some(FileSearchResources {
            vector_store_ids: vec![id.to_owned()],
        });
    }

    /// Names a file, once.
    pub fn add_file(&mut self, id: &str) {
        let resources = self.code_interpreter.get_or_insert_default();
        if resources.file_ids.iter().all(|known| known != id) {
            resources.file_ids.push(id.to_owned());
        }
    }

    /// Names a file no more. False: they did not name it.
    pub fn forget_file(&mut self, id: &str) -> bool {
        let Some(resources) = &mut self.code_interpreter else {
            return false;
        };
        let before = resources.file_ids.len();
        resources.file_ids.retain(|known| known != id);
        resources.file_ids.len() < before
    }
}

/// Files of the code interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CodeInterpreterResources {
    /// Up to 20 file ids.
    #[serde(default)]
    pub file_ids: Vec<String>,
}

/// Stores of file search.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileSearchResources {
    /// At most one store id.
    #[serde(default)]
    pub vector_store_ids: Vec<String>,
}

/// `"auto"`, or an object with a type.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ResponseFormat {
    /// The model's choice.
    #[default]
    Auto,
    /// Plain text.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema(Map<String, Value>),
}

impl Serialize for ResponseFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let kind = match self {
            Self::Auto => return serializer.serialize_str("auto"),
            Self::Text => "text",
            Self::JsonObject => "json_object",
            Self::JsonSchema(_) => "json_schema",
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", kind)?;
        if let Self::JsonSchema(schema) = self {
            map.serialize_entry("json_schema", schema)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ResponseFormat {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Name(String),
            Object {
                #[serde(rename = "type")]
                kind: String,
                json_schema: Option<Map<String, Value>>,
            },
        }
        match Form::deserialize(deserializer)? {
            Form::Name(name) if name == "auto" => Ok(Self::Auto),
            Form::Object { kind, json_schema } => match (kind.as_str(), json_schema) {
                ("text", _) => Ok(Self::Text),
                ("json_object", _) => Ok(Self::JsonObject),
                ("json_schema", Some(schema)) => Ok(Self::JsonSchema(schema)),
                _ => Err(serde::de::Error::custom("unknown response format")),
            },
            Form::Name(_) => Err(serde::de::Error::custom("unknown response format")),
        }
    }
}

/// How hard a reasoning model thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ReasoningEffort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// Whether, and which, tools a run must call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ToolChoice {
    /// No tool.
    None,
    /// The model's choice.
    #[default]
    Auto,
    /// At least one tool before answering.
    Required,
    /// This function, once; then as `Auto`.
    Function(String),
    /// The search tool, once.
    FileSearch,
    /// The code interpreter, once.
    CodeInterpreter,
}

impl Serialize for ToolChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::Auto => serializer.serialize_str("auto"),
            Self::Required => serializer.serialize_str("required"),
            Self::Function(name) => {
                serde_json::json!({"type": "function", "function": {"name": name}})
                    .serialize(serializer)
            }
            Self::FileSearch => serde_json::json!({"type": "file_search"}).serialize(serializer),
            Self::CodeInterpreter => {
                serde_json::json!({"type": "code_interpreter"}).serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Name(String),
            Object {
                #[serde(rename = "type")]
                kind: String,
                function: Option<Named>,
            },
        }
        match Form::deserialize(deserializer)? {
            Form::Name(name) => match name.as_str() {
                "none" => Ok(Self::None),
                "auto" => Ok(Self::Auto),
                "required" => Ok(Self::Required),
                _ => Err(serde::de::Error::custom("unknown tool choice")),
            },
            Form::Object { kind, function } => match (kind.as_str(), function) {
                ("function", Some(function)) => Ok(Self::Function(function.name)),
                ("file_search", _) => Ok(Self::FileSearch),
                ("code_interpreter", _) => Ok(Self::CodeInterpreter),
                _ => Err(serde::de::Error::custom("unknown tool choice")),
            },
        }
    }
}

/// How a thread is cut down to fit a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Truncation {
    /// Messages are dropped from the middle until the rest fits.
    #[default]
    Auto,
    /// Only the newest messages are kept.
    LastMessages {
        /// How many, at least 1.
        last_messages: u32,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn echo<T: Serialize + for<'de> Deserialize<'de>>(sent: Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(sent).unwrap()).unwrap()
    }

    #[test]
    fn tools_are_echoed_normalised() {
        assert_eq!(
            echo::<Tool>(json!({"type":"function","function":{"name":"f"}})),
            json!({"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}},"strict":false}})
        );
        assert_eq!(
            echo::<Tool>(json!({"type":"file_search"})),
            json!({"type":"file_search","file_search":{"ranking_options":{
                "ranker":"default_2024_08_21","score_threshold":0.0,"hybrid_search":null}}})
        );
        assert_eq!(
            echo::<Tool>(json!({"type":"code_interpreter"})),
            json!({"type":"code_interpreter"})
        );
    }

    #[test]
    fn choices_and_formats_keep_their_form() {
        for choice in [
            json!("none"),
            json!("required"),
            json!({"type":"function","function":{"name":"f"}}),
            json!({"type":"file_search"}),
        ] {
            assert_eq!(echo::<ToolChoice>(choice.clone()), choice);
        }
        for format in [
            json!("auto"),
            json!({"type":"text"}),
            json!({"type":"json_object"}),
            json!({"type":"json_schema","json_schema":{"name":"n","schema":{"b":1,"a":2}}}),
        ] {
            assert_eq!(echo::<ResponseFormat>(format.clone()), format);
        }
        assert!(serde_json::from_value::<ToolChoice>(json!("some")).is_err());
        assert!(serde_json::from_value::<ResponseFormat>(json!("text")).is_err());
    }
}
