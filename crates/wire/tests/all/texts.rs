//! The texts of contract section 2.4, and the order in which they are told.

use loomgate_domain::Limits;
use loomgate_wire::{
    Problem, Request, parse,
    request::{
        CreateAssistant, CreateMessage, CreateRun, CreateThread, CreateThreadAndRun,
        ModifyAssistant, ModifyRun, SubmitToolOutputs,
    },
};
use serde_json::{Value, json};

use crate::{problem, read};

fn told<T: Request>(body: &Value, message: &str, param: &str, code: &'static str) {
    let expected = Problem {
        message: message.to_owned(),
        param: Some(param.to_owned()),
        code: Some(code),
    };
    assert_eq!(problem::<T>(body), expected);
}

#[test]
fn unknown_keys() {
    told::<ModifyRun>(
        &json!({"foo": 1}),
        "Unknown parameter: 'foo'.",
        "foo",
        "unknown_parameter",
    );
    told::<CreateAssistant>(
        &json!({"model": "m", "tools": [{"type": "code_interpreter", "foo": 1}]}),
        "Unknown parameter: 'tools[0].foo'.",
        "tools[0].foo",
        "unknown_parameter",
    );
    told::<ModifyRun>(
        &json!({"metdata": {}}),
        "Unknown parameter: 'metdata'. Did you mean 'metadata'?",
        "metdata",
        "unknown_parameter",
    );
    told::<CreateThread>(
        &json!({"messages": [{"role": "user", "content": "x", "contents": "y"}]}),
        "Unknown parameter: 'messages[0].contents'. Did you mean 'content'?",
        "messages[0].contents",
        "unknown_parameter",
    );
    told::<ModifyRun>(
        &json!({"a": {}}),
        "Unknown parameter: 'a'.",
        "a",
        "unknown_parameter",
    );
}

#[test]
fn missing_parameters() {
    let code = "missing_required_parameter";
    told::<CreateRun>(
        &json!({}),
        "Missing required parameter: 'assistant_id'.",
        "assistant_id",
        code,
    );
    told::<CreateAssistant>(
        &json!({}),
        "Missing required parameter: 'model'.",
        "model",
        code,
    );
    told::<SubmitToolOutputs>(
        &json!({"tool_outputs": [{"output": "x"}]}),
        "Missing required parameter: 'tool_outputs[0].tool_call_id'.",
        "tool_outputs[0].tool_call_id",
        code,
    );
    told::<CreateAssistant>(
        &json!({"model": "m", "tools": [{}]}),
        "Missing required parameter: 'tools[0].type'.",
        "tools[0].type",
        code,
    );
    told::<CreateRun>(
        &json!({"assistant_id": "asst_1", "truncation_strategy": {"type": "last_messages"}}),
        "Missing required parameter: 'truncation_strategy.last_messages'.",
        "truncation_strategy.last_messages",
        code,
    );
}

#[test]
fn wrong_types() {
    let assistant = |name: &str, value: Value| {
        let mut body = json!({"model": "m"});
        body[name] = value;
        problem::<CreateAssistant>(&body).message
    };
    for (name, value, message) in [
        (
            "name",
            json!(1),
            "Invalid type for 'name': expected a string, but got an integer instead.",
        ),
        (
            "name",
            json!(1.5),
            "Invalid type for 'name': expected a string, but got a decimal instead.",
        ),
        (
            "name",
            json!(true),
            "Invalid type for 'name': expected a string, but got a boolean instead.",
        ),
        (
            "name",
            json!({}),
            "Invalid type for 'name': expected a string, but got an object instead.",
        ),
        (
            "name",
            json!([]),
            "Invalid type for 'name': expected a string, but got an array instead.",
        ),
        (
            "model",
            json!(null),
            "Invalid type for 'model': expected a string, but got null instead.",
        ),
        (
            "temperature",
            json!("1"),
            "Invalid type for 'temperature': expected a decimal, but got a string instead.",
        ),
        (
            "metadata",
            json!("x"),
            "Invalid type for 'metadata': expected an object, but got a string instead.",
        ),
        (
            "metadata",
            json!({"k": 1}),
            "Invalid type for 'metadata.k': expected a string, but got an integer instead.",
        ),
        (
            "metadata",
            json!({"k": null}),
            "Invalid type for 'metadata.k': expected a string, but got null instead.",
        ),
        (
            "tools",
            json!({}),
            "Invalid type for 'tools': expected an array of objects, but got an object instead.",
        ),
        (
            "tools",
            json!(["x"]),
            "Invalid type for 'tools[0]': expected an object, but got a string instead.",
        ),
        (
            "tool_resources",
            json!({"code_interpreter": {"file_ids": "x"}}),
            "Invalid type for 'tool_resources.code_interpreter.file_ids': expected an array, but got a string instead.",
        ),
        (
            "response_format",
            json!(1),
            "Invalid type for 'response_format': expected one of a string or object, but got an integer instead.",
        ),
    ] {
        assert_eq!(assistant(name, value), message);
    }
}

#[test]
fn wrong_types_elsewhere() {
    told::<CreateMessage>(
        &json!({"role": "user", "content": 1}),
        "Invalid type for 'content': expected one of a string or array of objects, but got an \
         integer instead.",
        "content",
        "invalid_type",
    );
    told::<CreateRun>(
        &json!({"assistant_id": "asst_1", "max_prompt_tokens": 300.0}),
        "Invalid type for 'max_prompt_tokens': expected an integer, but got a decimal instead.",
        "max_prompt_tokens",
        "invalid_type",
    );
    told::<CreateRun>(
        &json!({"assistant_id": "asst_1", "stream": "yes"}),
        "Invalid type for 'stream': expected a boolean, but got a string instead.",
        "stream",
        "invalid_type",
    );
    told::<SubmitToolOutputs>(
        &json!({"tool_outputs": [{"tool_call_id": "call_1", "output": null}]}),
        "Invalid type for 'tool_outputs[0].output': expected a string, but got null instead.",
        "tool_outputs[0].output",
        "invalid_type",
    );
    let whole = problem::<ModifyRun>(&json!([]));
    assert_eq!(
        (&*whole.message, whole.param, whole.code),
        (
            "Invalid type: expected an object, but got an array instead.",
            None,
            Some("invalid_type")
        )
    );
    assert!(parse::<ModifyRun>(b"null", &Limits::default()).is_err());
}

#[test]
fn values_that_are_not_supported() {
    let code = "invalid_value";
    told::<CreateMessage>(
        &json!({"role": "bogus", "content": "x"}),
        "Invalid value: 'bogus'. Supported values are: 'user' and 'assistant'.",
        "role",
        code,
    );
    told::<CreateAssistant>(
        &json!({"model": "m", "tools": [{"type": "bogus"}]}),
        "Invalid value: 'bogus'. Supported values are: 'code_interpreter', 'file_search', and \
         'function'.",
        "tools[0].type",
        code,
    );
    told::<CreateAssistant>(
        &json!({"model": "m", "response_format": "text"}),
        "Invalid value: 'text'. Supported values are: 'auto'.",
        "response_format",
        code,
    );
    told::<CreateRun>(
        &json!({"assistant_id": "asst_1", "tool_choice": "some"}),
        "Invalid value: 'some'. Supported values are: 'none', 'auto', and 'required'.",
        "tool_choice",
        code,
    );
    told::<CreateRun>(
        &json!({"assistant_id": "wf_69"}),
        "Invalid 'assistant_id': 'wf_69'. Expected an ID that begins with 'asst'.",
        "assistant_id",
        code,
    );
    told::<CreateMessage>(
        &json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}),
        "Invalid 'content[0].image_url.url'. Expected a valid URL, but got a value with an \
         invalid format.",
        "content[0].image_url.url",
        code,
    );
    told::<CreateAssistant>(
        &json!({"model": "m", "tools": [{"type": "function", "function": {"name": "a b"}}]}),
        "Invalid 'tools[0].function.name': string does not match pattern. Expected a string that \
         matches the pattern '^[a-zA-Z0-9_-]+$'.",
        "tools[0].function.name",
        code,
    );
}

#[test]
fn rules_over_several_fields() {
    let twice = json!([{"type": "file_search"}, {"type": "file_search"}]);
    told::<ModifyAssistant>(
        &json!({"tools": twice}),
        "Invalid 'tools': only one tool of type 'file_search' is allowed.",
        "tools",
        "invalid_value",
    );
    let store = json!([{"file_ids": ["file-1"]}]);
    let search = |fields: Value| json!({"tool_resources": {"file_search": fields}});
    told::<CreateThread>(
        &search(
            json!({"vector_stores": [{"chunking_strategy": {"type": "static", "static": {
            "max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}}]}),
        ),
        "Invalid 'tool_resources.file_search.vector_stores[0].chunking_strategy.static.\
         chunk_overlap_tokens': the overlap must be at most half of 'max_chunk_size_tokens'.",
        "tool_resources.file_search.vector_stores[0].chunking_strategy.static.chunk_overlap_tokens",
        "invalid_value",
    );
    told::<CreateThread>(
        &search(json!({"vector_stores": [{"file_ids": ["x"]}]})),
        "Invalid 'tool_resources.file_search.vector_stores[0].file_ids[0]': 'x'. Expected an ID \
         that begins with 'file'.",
        "tool_resources.file_search.vector_stores[0].file_ids[0]",
        "invalid_value",
    );
    told::<CreateThread>(
        &search(json!({"vector_stores": [{"name": "n"}]})),
        "Unknown parameter: 'tool_resources.file_search.vector_stores[0].name'.",
        "tool_resources.file_search.vector_stores[0].name",
        "unknown_parameter",
    );
    told::<CreateThreadAndRun>(
        &json!({"assistant_id": "asst_1", "thread": {"tool_resources": {"file_search": {
            "vector_store_ids": ["vs_1"], "vector_stores": store}}}}),
        "Mutually exclusive parameters. Ensure you are only providing one of: \
         'vector_store_ids' or 'vector_stores'.",
        "thread.tool_resources.file_search.vector_stores",
        "mutually_exclusive_parameters",
    );
    told::<ModifyAssistant>(
        &json!({"tool_resources": {"file_search": {"vector_stores": []}}}),
        "Unknown parameter: 'tool_resources.file_search.vector_stores'.",
        "tool_resources.file_search.vector_stores",
        "unknown_parameter",
    );
}

#[test]
fn weights_of_the_rankings() {
    let tools = |weights: Value| {
        let ranking = json!({"score_threshold": 0, "hybrid_search": weights});
        json!({"tools": [{"type": "file_search", "file_search": {"ranking_options": ranking}}]})
    };
    let path = "tools[0].file_search.ranking_options.hybrid_search";
    read::<ModifyAssistant>(&tools(json!({"embedding_weight": 0, "text_weight": 2.5}))).unwrap();
    told::<ModifyAssistant>(
        &tools(json!({"embedding_weight": 0, "text_weight": 0})),
        &format!("Invalid '{path}': at least one weight must be greater than 0."),
        path,
        "invalid_value",
    );
    told::<ModifyAssistant>(
        &tools(json!({"embedding_weight": 1})),
        &format!("Missing required parameter: '{path}.text_weight'."),
        &format!("{path}.text_weight"),
        "missing_required_parameter",
    );
    told::<ModifyAssistant>(
        &tools(json!({"embedding_weight": 1, "text_weight": 1, "weight": 1})),
        &format!("Unknown parameter: '{path}.weight'."),
        &format!("{path}.weight"),
        "unknown_parameter",
    );
}

#[test]
fn empty_content() {
    for content in [json!(""), json!([{"type": "text", "text": ""}])] {
        let problem = problem::<CreateMessage>(&json!({"role": "user", "content": content}));
        assert_eq!(problem.message, "Message content must be non-empty.");
    }
    told::<CreateMessage>(
        &json!({"role": "user", "content": []}),
        "Invalid 'content': empty array. Expected an array with minimum length 1, but got an \
         empty array instead.",
        "content",
        "empty_array",
    );
    told::<CreateAssistant>(
        &json!({"model": ""}),
        "Invalid 'model': empty string. Expected a string with minimum length 1, but got an \
         empty string instead.",
        "model",
        "empty_string",
    );
}

#[test]
fn the_order_of_checks_spans_the_whole_body() {
    // Cross-field, bounds, type, unknown, missing: each later one stands earlier in the body.
    let mut body = json!({
        "tools": [{"type": "file_search"}, {"type": "file_search"}],
        "temperature": 3,
        "name": 1,
        "foo": 1,
    });
    let code = |body: &Value| problem::<CreateAssistant>(body).code.unwrap();
    assert_eq!(code(&body), "missing_required_parameter");
    body["model"] = json!("m");
    assert_eq!(code(&body), "unknown_parameter");
    body.as_object_mut().unwrap().remove("foo");
    assert_eq!(code(&body), "invalid_type");
    body["name"] = json!("n");
    assert_eq!(code(&body), "decimal_above_max_value");
    body["temperature"] = json!(2);
    assert_eq!(code(&body), "invalid_value");
    body["tools"] = json!([]);
    assert!(crate::read::<CreateAssistant>(&body).is_ok());
}

#[test]
fn bodies_that_are_no_json() {
    let deep = "[".repeat(200);
    let bodies: [&[u8]; 5] = [
        b"{",
        b"\xff",
        b"{\"metadata\":{\"a\":\"\xff\"}}",
        b"{} x",
        deep.as_bytes(),
    ];
    for body in bodies {
        let problem = parse::<ModifyRun>(body, &Limits::default()).unwrap_err();
        let first = "We could not parse the JSON body of your request. (HINT: ";
        assert!(problem.message.starts_with(first));
        assert!(!problem.message.contains("openai.com"));
        assert_eq!((problem.param, problem.code), (None, None));
    }
}

#[test]
fn long_texts_of_clients_are_shortened() {
    let long = "k".repeat(100_000);
    let problem = problem::<ModifyRun>(&json!({ long: 1 }));
    assert_eq!(problem.message, "Unknown parameter: 'kkk...kkk'.");
}
