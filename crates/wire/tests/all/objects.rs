//! Objects as clients get them: keys, order and nulls as recorded from the original, and each
//! state of each object true to its shape.

use loomgate_domain::{
    AssistantId, Limits, StepId, Timestamp, Usage,
    message::{
        Annotation, Attachment, AttachmentTool, Content, FileRef, ImageFile, IncompleteReason,
        MessageStatus, Text,
    },
    run::{
        ErrorCode, LastError, RunIncompleteReason, RunState, RunStatus, StepDetails, StepStatus,
    },
    tool::{FileSearch, Tool, ToolChoice, Truncation},
};
use loomgate_wire::{
    object::{
        self, Deleted, List, Model, ModelList, assistant, deleted, list, message, model, run, step,
        thread,
    },
    shape::{Shape, validate},
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::records::{self, LATER, NOW};

fn text(object: &impl Serialize) -> String {
    serde_json::to_string(object).unwrap()
}

/// The object, having checked that its shape describes it.
fn shaped(object: &impl Serialize, shape: &Shape) -> Value {
    let value: Value = serde_json::from_str(&text(object)).unwrap();
    validate(shape, &value, &Limits::default()).unwrap();
    value
}

const TOOL: &str = r#"{"type":"function","function":{"name":"get_weather","description":"Gets the weather","parameters":{"type":"object","properties":{}},"strict":false}}"#;

#[test]
fn an_assistant_as_recorded() {
    let record = records::assistant();
    let expected = format!(
        r#"{{"id":"asst_1","object":"assistant","created_at":1761861531,"name":null,"description":null,"model":"gpt-4o","instructions":null,"tools":[{TOOL}],"top_p":1.0,"temperature":1.0,"reasoning_effort":null,"tool_resources":{{}},"metadata":{{}},"response_format":"auto"}}"#
    );
    assert_eq!(text(&object::Assistant::from(&record)), expected);
    shaped(&object::Assistant::from(&record), &assistant::SHAPE);
}

#[test]
fn a_code_interpreter_shows_its_files_even_where_there_are_none() {
    let mut record = records::assistant();
    let file_search = FileSearch::default();
    record.tools = vec![Tool::CodeInterpreter, Tool::FileSearch { file_search }];
    let value = shaped(&object::Assistant::from(&record), &assistant::SHAPE);
    assert_eq!(
        value["tool_resources"],
        json!({"code_interpreter": {"file_ids": []}})
    );
}

#[test]
fn a_thread_as_recorded() {
    let record = records::thread();
    let expected = r#"{"id":"thread_1","object":"thread","created_at":1761861531,"metadata":{"k":"v"},"tool_resources":{}}"#;
    assert_eq!(text(&object::Thread::from(&record)), expected);
    shaped(&object::Thread::from(&record), &thread::SHAPE);
}

#[test]
fn a_message_as_recorded() {
    let record = records::message(MessageStatus::Completed {
        completed_at: LATER,
    });
    let expected = r#"{"id":"msg_1","object":"thread.message","created_at":1761861531,"assistant_id":"asst_1","thread_id":"thread_1","run_id":"run_1","status":"completed","incomplete_details":null,"incomplete_at":null,"completed_at":1761861536,"role":"assistant","content":[{"type":"text","text":{"value":"Hello!","annotations":[]}}],"attachments":[],"metadata":{}}"#;
    assert_eq!(text(&object::Message::from(&record)), expected);
}

#[test]
fn messages_in_every_status_are_true_to_their_shape() {
    let mut record = records::message(MessageStatus::InProgress);
    let value = shaped(&object::Message::from(&record), &message::SHAPE);
    assert_eq!(value["status"], "in_progress");
    assert_eq!(value["completed_at"], json!(null));
    record.status = MessageStatus::Incomplete {
        incomplete_at: LATER,
        reason: IncompleteReason::RunCancelled,
    };
    let file = || FileRef {
        file_id: "file-1".into(),
    };
    record.content = vec![
        Content::Text {
            text: Text {
                value: "a【0†b】c".into(),
                annotations: vec![
                    Annotation::FileCitation {
                        text: "【0†b】".into(),
                        start_index: 1,
                        end_index: 6,
                        file_citation: file(),
                    },
                    Annotation::FilePath {
                        text: "sandbox:/mnt/data/x".into(),
                        start_index: 0,
                        end_index: 19,
                        file_path: file(),
                    },
                ],
            },
        },
        Content::Refusal {
            refusal: "no".into(),
        },
        Content::ImageFile {
            image_file: ImageFile {
                file_id: "file-1".into(),
                detail: <_>::default(),
            },
        },
    ];
    record.attachments = vec![Attachment {
        file_id: Some("file-1".into()),
        tools: vec![AttachmentTool::FileSearch],
    }];
    let value = shaped(&object::Message::from(&record), &message::SHAPE);
    assert_eq!(
        value["incomplete_details"],
        json!({"reason": "run_cancelled"})
    );
    assert_eq!(value["incomplete_at"], json!(LATER));
}

#[test]
fn a_run_that_waits_as_recorded() {
    let record = records::run(RunState::RequiresAction {
        started_at: NOW,
        step: StepId::trusted("step_1"),
        calls: vec![records::call()],
    });
    let expected = format!(
        r#"{{"id":"run_1","object":"thread.run","created_at":1761861531,"assistant_id":"asst_1","thread_id":"thread_1","status":"requires_action","started_at":1761861531,"expires_at":1761862131,"cancelled_at":null,"failed_at":null,"completed_at":null,"required_action":{{"type":"submit_tool_outputs","submit_tool_outputs":{{"tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"get_weather","arguments":"{{}}"}}}}]}}}},"last_error":null,"model":"gpt-4o","instructions":"","tools":[{TOOL}],"tool_resources":{{}},"metadata":{{}},"temperature":1.0,"top_p":0.5,"reasoning_effort":null,"max_completion_tokens":null,"max_prompt_tokens":1000,"truncation_strategy":{{"type":"auto","last_messages":null}},"incomplete_details":null,"usage":null,"response_format":"auto","tool_choice":"auto","parallel_tool_calls":true}}"#
    );
    assert_eq!(text(&object::Run::from(&record)), expected);
}

#[test]
fn a_run_that_is_done_as_recorded() {
    let record = records::run(RunState::Completed {
        started_at: NOW,
        completed_at: LATER,
    });
    let value = shaped(&object::Run::from(&record), &run::SHAPE);
    assert_eq!(value["expires_at"], json!(null));
    assert_eq!(value["completed_at"], json!(LATER));
    let usage = r#"{"prompt_tokens":32,"completion_tokens":11,"total_tokens":43,"prompt_token_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}"#;
    assert_eq!(value["usage"].to_string(), usage);
}

fn every_state() -> [RunState; 9] {
    let started_at = Some(NOW);
    let error = LastError {
        code: ErrorCode::InvalidPrompt,
        message: "no".into(),
    };
    [
        RunState::Queued { started_at: None },
        RunState::InProgress {
            started_at: NOW,
            open: None,
        },
        RunState::RequiresAction {
            started_at: NOW,
            step: StepId::trusted("step_1"),
            calls: vec![records::call()],
        },
        RunState::Cancelling {
            started_at,
            open: None,
        },
        RunState::Cancelled {
            started_at,
            cancelled_at: LATER,
        },
        RunState::Failed {
            started_at,
            failed_at: LATER,
            error,
        },
        RunState::Completed {
            started_at: NOW,
            completed_at: LATER,
        },
        RunState::Incomplete {
            started_at: NOW,
            reason: RunIncompleteReason::MaxPromptTokens,
        },
        RunState::Expired { started_at },
    ]
}

#[test]
fn runs_in_every_state_are_true_to_their_shape() {
    let every = every_state();
    let names: Vec<RunStatus> = every.iter().map(RunState::status).collect();
    assert_eq!(names, RunStatus::ALL);
    for state in every {
        let mut record = records::run(state);
        record.usage = Usage::default();
        record.settings.truncation = Truncation::LastMessages { last_messages: 3 };
        record.settings.tool_choice = ToolChoice::Function("get_weather".into());
        let value = shaped(&object::Run::from(&record), &run::SHAPE);
        let status = record.state.status();
        let is = |name: &str, wanted: bool| {
            assert_eq!(!value[name].is_null(), wanted, "{name} of {status:?}");
        };
        assert_eq!(value["status"], status.as_str());
        is("expires_at", status.is_active());
        is("usage", !status.is_active());
        is("required_action", status == RunStatus::RequiresAction);
        is("last_error", status == RunStatus::Failed);
        is("failed_at", status == RunStatus::Failed);
        is("cancelled_at", status == RunStatus::Cancelled);
        is("completed_at", status == RunStatus::Completed);
        is("incomplete_details", status == RunStatus::Incomplete);
        is("started_at", status != RunStatus::Queued);
    }
}

#[test]
fn a_step_as_recorded() {
    let record = records::step(StepStatus::Completed {
        completed_at: LATER,
    });
    let object = |expires_at: &str| {
        format!(
            r#"{{"id":"step_1","object":"thread.run.step","created_at":1761861531,"run_id":"run_1","assistant_id":"asst_1","thread_id":"thread_1","type":"tool_calls","status":"completed","cancelled_at":null,"completed_at":1761861536,"expires_at":{expires_at},"expired_at":null,"failed_at":null,"last_error":null,"step_details":{{"type":"tool_calls","tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"get_weather","arguments":"{{}}","output":"warm"}}}}]}},"usage":{{"prompt_tokens":32,"completion_tokens":11,"total_tokens":43,"prompt_token_details":{{"cached_tokens":1}},"completion_tokens_details":{{"reasoning_tokens":2}}}},"metadata":{{}}}}"#
        )
    };
    assert_eq!(
        text(&object::RunStep::listed(&record, false)),
        object("null")
    );
    assert_eq!(
        text(&object::RunStep::event(&record, false)),
        object("1761862131")
    );
}

#[test]
fn steps_in_every_status_are_true_to_their_shape() {
    let error = LastError {
        code: ErrorCode::InvalidPrompt,
        message: "no".into(),
    };
    let statuses = [
        (StepStatus::InProgress, None),
        (
            StepStatus::Cancelled {
                cancelled_at: LATER,
            },
            Some("cancelled_at"),
        ),
        (
            StepStatus::Failed {
                failed_at: LATER,
                error,
            },
            Some("failed_at"),
        ),
        (
            StepStatus::Completed {
                completed_at: LATER,
            },
            Some("completed_at"),
        ),
        (
            StepStatus::Expired { expired_at: LATER },
            Some("expired_at"),
        ),
    ];
    for (status, ended) in statuses {
        let mut record = records::step(status);
        let value = shaped(&object::RunStep::listed(&record, false), &step::SHAPE);
        assert_eq!(value["expires_at"].is_null(), ended.is_some());
        assert_eq!(value["usage"].is_null(), ended.is_none());
        for name in ["cancelled_at", "failed_at", "completed_at", "expired_at"] {
            assert_eq!(!value[name].is_null(), Some(name) == ended);
        }
        // Steps know two codes; the run keeps the third.
        let code = if ended == Some("failed_at") {
            json!("server_error")
        } else {
            json!(null)
        };
        assert_eq!(value["last_error"]["code"], code);
        record.details = StepDetails::message(loomgate_domain::MessageId::trusted("msg_1"));
        let value = shaped(&object::RunStep::event(&record, false), &step::SHAPE);
        assert!(value["expires_at"].is_number());
        assert_eq!(value["type"], "message_creation");
    }
}

#[test]
fn lists() {
    let none: List<object::Run> = List::new(Vec::new(), false);
    let expected = r#"{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}"#;
    assert_eq!(text(&none), expected);
    shaped(&none, &list::RUNS);

    let (one, mut other) = (records::assistant(), records::assistant());
    other.id = AssistantId::trusted("asst_2");
    let page = List::new(vec![object::Assistant::from(&one), (&other).into()], true);
    let value = shaped(&page, &list::ASSISTANTS);
    assert_eq!(value["first_id"], "asst_1");
    assert_eq!(value["last_id"], "asst_2");
    assert_eq!(value["has_more"], true);

    let models = ModelList::new(vec![Model::new("echo", Timestamp(0), "loomgate")]);
    let expected = r#"{"object":"list","data":[{"id":"echo","object":"model","created":0,"owned_by":"loomgate"}]}"#;
    assert_eq!(text(&models), expected);
    shaped(&models, &model::MODELS);
}

#[test]
fn deletions() {
    let record = records::assistant();
    let gone = Deleted::assistant(&record.id);
    let expected = r#"{"id":"asst_1","object":"assistant.deleted","deleted":true}"#;
    assert_eq!(text(&gone), expected);
    shaped(&gone, &deleted::ASSISTANT);
    let thread = records::thread();
    shaped(&Deleted::thread(&thread.id), &deleted::THREAD);
    let message = records::message(MessageStatus::InProgress);
    shaped(&Deleted::message(&message.id), &deleted::MESSAGE);
}
