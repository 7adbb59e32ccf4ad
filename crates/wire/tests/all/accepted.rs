//! What has to be accepted, and what becomes of it (contract sections 3.2, 5.2, 7.2 and 18).

use loomgate_domain::{
    FileId, Limits, Patch,
    message::{Content, ImageDetail, ImageUrl},
    tool::{ResponseFormat, Tool, ToolChoice, Truncation},
};
use loomgate_wire::{
    Request, parse,
    request::{
        CreateAssistant, CreateMessage, CreateRun, CreateThread, CreateThreadAndRun,
        CreateVectorStore, ModifyAssistant, ModifyRun, ModifyThread, SubmitToolOutputs,
    },
};
use serde_json::json;

use crate::read;

#[test]
fn no_body_is_an_empty_one() {
    for body in [&b""[..], b" \n\t", b"{}"] {
        let thread: CreateThread = parse(body, &Limits::default()).unwrap();
        assert_eq!(thread, CreateThread::default());
    }
}

#[test]
fn what_clients_in_the_field_send() {
    let message = json!({"role": "user", "content": "hi", "attachments": null, "metadata": null});
    let read_message: CreateMessage = read(&message).unwrap();
    assert_eq!(read_message.0.attachments, []);

    read::<CreateAssistant>(&json!({
        "model": "m", "temperature": null, "top_p": null, "metadata": null, "name": null,
        "response_format": null, "reasoning_effort": null, "instructions": null,
        "tool_resources": {"code_interpreter": null, "file_search": null},
    }))
    .unwrap();
    let stores = json!({"file_search": {"vector_store_ids": ["vs_1"], "vector_stores": null}});
    let thread: CreateThread = read(&json!({"messages": [], "tool_resources": stores})).unwrap();
    assert_eq!(
        thread.tool_resources.file_search.unwrap().vector_store_ids,
        ["vs_1"]
    );
    read::<ModifyThread>(&json!({ "tool_resources": stores })).unwrap();

    let both: CreateThreadAndRun = read(&json!({
        "assistant_id": "asst_1", "thread": {}, "stream": null, "tools": null, "model": null,
        "tool_choice": null, "truncation_strategy": {"type": "auto", "last_messages": null},
        "reasoning_effort": "low", "response_format": null, "max_prompt_tokens": null,
    }))
    .unwrap();
    assert!(!both.options.stream);
    assert!(both.options.parallel_tool_calls);
    assert_eq!(both.options.truncation, Truncation::Auto);

    let run: CreateRun = read(&json!({
        "assistant_id": "asst_1", "additional_messages": [message], "stream": true,
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "truncation_strategy": {"type": "last_messages", "last_messages": 5_000_000_000_u64},
    }))
    .unwrap();
    assert_eq!(run.options.tool_choice, ToolChoice::Function("f".into()));
    let last_messages = u32::MAX;
    assert_eq!(
        run.options.truncation,
        Truncation::LastMessages { last_messages }
    );
    assert_eq!(run.additional_messages.len(), 1);

    read::<CreateRun>(&json!({"assistant_id": "asst_1", "additional_messages": null})).unwrap();
    let choice = json!({"type": "file_search", "function": null});
    read::<CreateRun>(&json!({"assistant_id": "asst_1", "tool_choice": choice})).unwrap();
}

#[test]
fn a_store_is_made_along_the_way() {
    let resources = |stores| json!({"file_search": {"vector_stores": stores}});
    let full = json!([{"file_ids": ["file-1", "file-2"], "metadata": {"k": "v"},
        "chunking_strategy": {"type": "static", "static": {
            "max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}}]);
    let assistant: CreateAssistant =
        read(&json!({"model": "m", "tool_resources": resources(full)})).unwrap();
    // It is never echoed: what names it is filled in once it has an id.
    let search = assistant.tool_resources.file_search.unwrap();
    assert_eq!(search.vector_store_ids, <[String; 0]>::default());
    let store = assistant.vector_store.unwrap();
    let ids: Vec<&str> = store.file_ids.iter().map(FileId::as_str).collect();
    assert_eq!(ids, ["file-1", "file-2"]);
    assert_eq!(
        (store.chunking.max_tokens, store.chunking.overlap_tokens),
        (100, 50)
    );
    assert_eq!(store.metadata.iter().collect::<Vec<_>>(), [("k", "v")]);
    assert_eq!((store.name, store.expires_after_days), (None, None));

    let bare = json!([{"chunking_strategy": {"type": "auto"}, "metadata": null}]);
    let run: CreateThreadAndRun =
        read(&json!({"assistant_id": "asst_1", "thread": {"tool_resources": resources(bare)}}))
            .unwrap();
    let bare = run.thread.vector_store;
    assert_eq!(bare, Some(CreateVectorStore::default()));
    for none in [json!([]), json!(null)] {
        let thread: CreateThread = read(&json!({"tool_resources": resources(none)})).unwrap();
        assert_eq!(thread.vector_store, None);
    }
    // An empty list beside ids asks for nothing.
    let both = json!({"file_search": {"vector_store_ids": ["vs_1"], "vector_stores": []}});
    read::<CreateThread>(&json!({ "tool_resources": both })).unwrap();
}

#[test]
fn parts_of_messages() {
    let message: CreateMessage = read(&json!({"role": "assistant", "content": [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
    ], "attachments": [
        {"file_id": "file-1", "tools": [{"type": "code_interpreter"}]},
        {"file_id": "file-1", "tools": [{"type": "file_search"}]},
    ]}))
    .unwrap();
    assert_eq!(message.0.content.len(), 3);
    assert_eq!(message.0.content[0], Content::text("look"));
    let image_url = ImageUrl {
        url: "data:image/png;base64,AA==".into(),
        detail: ImageDetail::Auto,
    };
    assert_eq!(message.0.content[1], Content::ImageUrl { image_url });
    assert_eq!(message.0.attachments.len(), 2);
}

#[test]
fn tools_come_out_normalised() {
    let assistant: CreateAssistant = read(&json!({"model": "m", "tools": [
        {"type": "file_search", "file_search": {"max_num_results": null, "ranking_options": {
            "ranker": "auto", "score_threshold": 0.5, "hybrid_search": null}}},
        {"type": "function", "function": {"name": "f", "strict": null}},
        {"type": "code_interpreter"},
    ]}))
    .unwrap();
    assert_eq!(
        serde_json::to_value(&assistant.tools).unwrap(),
        json!([
            {"type": "file_search", "file_search": {"ranking_options": {
                "ranker": "default_2024_08_21", "score_threshold": 0.5, "hybrid_search": null}}},
            {"type": "function", "function": {
                "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": false}},
            {"type": "code_interpreter"},
        ])
    );
    // What an assistant echoes can be sent back.
    let echoed = json!({ "tools": serde_json::to_value(&assistant.tools).unwrap() });
    let again: ModifyAssistant = read(&echoed).unwrap();
    assert_eq!(again.tools, Patch::Set(assistant.tools));
    let bare: ModifyAssistant =
        read(&json!({"tools": [{"type": "file_search", "file_search": {}}]})).unwrap();
    let Patch::Set(tools) = bare.tools else {
        panic!("tools were sent")
    };
    assert_eq!(
        tools,
        [Tool::FileSearch {
            file_search: <_>::default()
        }]
    );
}

#[test]
fn modify_tells_absent_null_and_set_apart() {
    let patch: ModifyAssistant = read(&json!({
        "name": null, "description": "d", "temperature": null, "tool_resources": null,
        "response_format": {"type": "json_object"},
    }))
    .unwrap();
    assert_eq!(patch.name, Patch::Null);
    assert_eq!(patch.description, Patch::Set("d".into()));
    assert_eq!(patch.instructions, Patch::Absent);
    assert_eq!(patch.temperature, Patch::Null);
    assert_eq!(patch.tool_resources, Patch::Null);
    assert_eq!(
        patch.response_format,
        Patch::Set(ResponseFormat::JsonObject)
    );
    assert_eq!(patch.metadata, Patch::Absent);
    assert_eq!(patch.model, None);

    let metadata = |body| read::<ModifyRun>(&body).unwrap().metadata;
    assert_eq!(metadata(json!({})), Patch::Absent);
    assert_eq!(metadata(json!({"metadata": null})), Patch::Null);
    let Patch::Set(set) = metadata(json!({"metadata": {"b": "1", "a": ""}})) else {
        panic!("metadata was sent")
    };
    assert_eq!(set.iter().collect::<Vec<_>>(), [("b", "1"), ("a", "")]);
}

#[test]
fn outputs_may_be_left_out() {
    let submit: SubmitToolOutputs = read(&json!({"tool_outputs": [
        {"tool_call_id": "call_1"}, {"tool_call_id": "any id", "output": "42"},
    ], "stream": null}))
    .unwrap();
    assert_eq!(submit.tool_outputs[0].output, "");
    assert_eq!(submit.tool_outputs[1].call_id.as_str(), "any id");
    assert!(!submit.stream);
}

#[test]
fn both_ways_of_modify_run_read_the_same() {
    let limits = Limits::default();
    for text in [
        r#"{"metadata":{"b":"1","a":"é\u00e9","b":"2"}}"#,
        r#"{"metadata":{}}"#,
        r#"{"metadata":null}"#,
        "{}",
    ] {
        let quick = ModifyRun::quick(text.as_bytes()).unwrap();
        let value = serde_json::from_str(text).unwrap();
        assert_eq!(ModifyRun::from_value(value, &limits).unwrap(), quick);
    }
    // What comes twice goes the long way, where the last one counts.
    let twice = br#"{"metadata":{"a":"1"},"metadata":null}"#;
    assert_eq!(ModifyRun::quick(twice), None);
    let read: ModifyRun = parse(twice, &limits).unwrap();
    assert_eq!(read.metadata, Patch::Null);
}
