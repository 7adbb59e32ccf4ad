//! placeholder
pub(crate) mod azure;
use serde_json::Value;
pub(crate) struct VendorRequest {
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}
pub(crate) struct Unsupported {
    pub message: String,
    pub param: Option<String>,
}
pub(crate) struct AnswerFacts {
    pub id: String,
    pub created: i64,
    pub model: String,
    pub include_usage: bool,
}
pub(crate) struct StreamError {
    pub status: Option<u16>,
    pub message: String,
}
macro_rules! placeholder {
    ($name:ident) => {
        pub(crate) mod $name {
            use super::*;
            pub(crate) fn chat_request(_: &Value, _: &str) -> Result<VendorRequest, Unsupported> {
                Err(Unsupported {
                    message: "x".into(),
                    param: None,
                })
            }
            pub(crate) fn chat_response(_: &Value, _: &AnswerFacts) -> Result<Value, String> {
                Err("x".into())
            }
            pub(crate) fn embeddings_request(
                _: &Value,
                _: &str,
            ) -> Result<VendorRequest, Unsupported> {
                Err(Unsupported {
                    message: "x".into(),
                    param: None,
                })
            }
            pub(crate) fn embeddings_response(_: &Value, _: &AnswerFacts) -> Result<Value, String> {
                Err("x".into())
            }
            pub(crate) fn error_body(_: u16, _: &[u8]) -> Value {
                Value::Null
            }
            pub(crate) fn models(_: &Value) -> Result<Value, String> {
                Err("x".into())
            }
            pub(crate) struct ChatStream;
            impl ChatStream {
                pub(crate) fn new(_: AnswerFacts) -> Self {
                    Self
                }
                pub(crate) fn event(
                    &mut self,
                    _: Option<&str>,
                    _: &[u8],
                    _: &mut Vec<u8>,
                ) -> Result<(), StreamError> {
                    Ok(())
                }
                pub(crate) fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), StreamError> {
                    Ok(())
                }
            }
        }
    };
}
placeholder!(anthropic);
placeholder!(google);
