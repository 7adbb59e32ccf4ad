//! Each limit of contract section 12 at its edge: the last value that is taken and the first one
//! that is not.

use loomgate_domain::Limits;
use loomgate_wire::{
    Request, parse,
    request::{
        CreateAssistant, CreateMessage, CreateRun, CreateThread, ModifyRun, SubmitToolOutputs,
    },
};
use serde_json::{Map, Value, json};

use crate::{problem, read};

fn edge<T: Request>(body: impl Fn(Value) -> Value, good: Value, bad: Value, text: &str) {
    if let Err(problem) = read::<T>(&body(good)) {
        panic!("{problem}");
    }
    assert_eq!(problem::<T>(&body(bad)).message, text);
}

fn assistant(path: &str) -> impl Fn(Value) -> Value {
    move |value| {
        let mut body = json!({"model": "m"});
        body[path] = value;
        body
    }
}

fn run(path: &str) -> impl Fn(Value) -> Value {
    move |value| {
        let mut body = json!({"assistant_id": "asst_1"});
        body[path] = value;
        body
    }
}

fn long(name: &str, max: usize) -> String {
    format!(
        "Invalid '{name}': string too long. Expected a string with maximum length {max}, but got \
         a string with length {} instead.",
        max + 1
    )
}

fn many(name: &str, max: usize) -> String {
    format!(
        "Invalid '{name}': array too long. Expected an array with maximum length {max}, but got \
         an array with length {} instead.",
        max + 1
    )
}

/// Two bytes a character: limits count characters.
fn chars(count: usize) -> Value {
    Value::from("é".repeat(count))
}

#[test]
fn texts_of_assistants() {
    for (name, max) in [
        ("name", 256),
        ("description", 512),
        ("instructions", 256_000),
    ] {
        edge::<CreateAssistant>(
            assistant(name),
            chars(max),
            chars(max + 1),
            &long(name, max),
        );
    }
}

#[test]
fn sampling() {
    edge::<CreateAssistant>(
        assistant("temperature"),
        json!(2),
        json!(3),
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
    );
    edge::<CreateAssistant>(
        assistant("temperature"),
        json!(0),
        json!(-0.5),
        "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -0.5 instead.",
    );
    edge::<CreateAssistant>(
        assistant("top_p"),
        json!(1.0),
        json!(1.01),
        "Invalid 'top_p': decimal above maximum value. Expected a value <= 1, but got 1.01 instead.",
    );
}

#[test]
fn tools() {
    let functions = |count: usize| -> Value {
        (0..count)
            .map(|n| json!({"type": "function", "function": {"name": format!("f{n}")}}))
            .collect()
    };
    edge::<CreateAssistant>(
        assistant("tools"),
        functions(128),
        functions(129),
        &many("tools", 128),
    );
    edge::<CreateRun>(
        run("tools"),
        functions(20),
        functions(21),
        &many("tools", 20),
    );
    edge::<CreateAssistant>(
        |name| json!({"model": "m", "tools": [{"type": "function", "function": {"name": name}}]}),
        json!("f".repeat(64)),
        json!("f".repeat(65)),
        &long("tools[0].function.name", 64),
    );
    edge::<CreateAssistant>(
        |n| json!({"model": "m", "tools": [{"type": "file_search", "file_search": {"max_num_results": n}}]}),
        json!(50),
        json!(51),
        "Invalid 'tools[0].file_search.max_num_results': integer above maximum value. Expected a \
         value <= 50, but got 51 instead.",
    );
}

#[test]
fn resources() {
    let ids = |count: usize| -> Value { (0..count).map(|n| format!("file-{n}")).collect() };
    edge::<CreateThread>(
        |ids| json!({"tool_resources": {"code_interpreter": {"file_ids": ids}}}),
        ids(20),
        ids(21),
        &many("tool_resources.code_interpreter.file_ids", 20),
    );
    edge::<CreateThread>(
        |ids| json!({"tool_resources": {"file_search": {"vector_store_ids": ids}}}),
        ids(1),
        ids(2),
        &many("tool_resources.file_search.vector_store_ids", 1),
    );
    let stores = |stores| json!({"tool_resources": {"file_search": {"vector_stores": stores}}});
    edge::<CreateThread>(
        stores,
        json!([{}]),
        json!([{}, {}]),
        &many("tool_resources.file_search.vector_stores", 1),
    );
    edge::<CreateThread>(
        |ids| stores(json!([{ "file_ids": ids }])),
        ids(10_000),
        ids(10_001),
        &many(
            "tool_resources.file_search.vector_stores[0].file_ids",
            10_000,
        ),
    );
}

#[test]
fn token_caps() {
    for name in ["max_prompt_tokens", "max_completion_tokens"] {
        edge::<CreateRun>(
            run(name),
            json!(256),
            json!(10),
            &format!(
                "Invalid '{name}': integer below minimum value. Expected a value >= 256, but got \
                 10 instead."
            ),
        );
        assert!(read::<CreateRun>(&run(name)(json!(u64::MAX))).is_ok());
    }
}

#[test]
fn metadata() {
    let map = |count: usize| -> Value {
        let pairs: Map<String, Value> = (0..count).map(|n| (n.to_string(), json!(""))).collect();
        pairs.into()
    };
    let body = |map: Value| json!({ "metadata": map });
    edge::<ModifyRun>(
        body,
        map(16),
        map(17),
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, \
         but got an object with 17 properties instead.",
    );
    edge::<ModifyRun>(
        |value| body(json!({ "k": value })),
        chars(512),
        chars(513),
        &long("metadata.k", 512),
    );
    edge::<ModifyRun>(
        |key| body(json!({ key.as_str().unwrap(): "" })),
        json!("k".repeat(64)),
        json!("k".repeat(70)),
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. Expected a string with \
         maximum length 64, but got a string with length 70 instead.",
    );
    let key = "k".repeat(65);
    let problem = problem::<ModifyRun>(&body(json!({ key.as_str(): "" })));
    assert_eq!(problem.param, Some(format!("metadata.{key}")));
    assert_eq!(problem.code, Some("property_name_above_max_length"));
}

#[test]
fn messages() {
    let message = |content: Value| json!({"role": "user", "content": content});
    edge::<CreateMessage>(
        message,
        chars(256_000),
        chars(256_001),
        &long("content", 256_000),
    );
    edge::<CreateMessage>(
        |text| message(json!([{"type": "text", "text": text}])),
        chars(256_000),
        chars(256_001),
        &long("content[0].text", 256_000),
    );
    let messages = |count: usize| -> Value { (0..count).map(|_| message(json!("x"))).collect() };
    edge::<CreateThread>(
        |messages| json!({ "messages": messages }),
        messages(512),
        messages(513),
        &many("messages", 512),
    );
    edge::<CreateRun>(
        run("additional_messages"),
        messages(512),
        messages(513),
        &many("additional_messages", 512),
    );
}

#[test]
fn what_the_operator_sets_holds() {
    let limits = Limits {
        tool_output_bytes: 4,
        message_chars: 2,
        ..Limits::default()
    };
    let submit = |output: &str| {
        let body = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": output}]});
        parse::<SubmitToolOutputs>(body.to_string().as_bytes(), &limits)
    };
    // Outputs are counted in bytes.
    assert!(submit("éé").is_ok());
    let text = long("tool_outputs[0].output", 4);
    assert_eq!(submit("éé.").unwrap_err().message, text);
    let body = br#"{"role":"user","content":"abc"}"#;
    let problem = parse::<CreateMessage>(body, &limits).unwrap_err();
    assert_eq!(problem.message, long("content", 2));
}
