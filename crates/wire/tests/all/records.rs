//! Stored records to make objects from.

use loomgate_domain::{
    Assistant, AssistantId, CallId, Message, MessageId, Metadata, Run, RunId, RunStep, StepId,
    Thread, ThreadId, Timestamp, Usage,
    message::{Content, MessageStatus, Role},
    run::{
        FunctionCall, FunctionToolCall, Route, RunSettings, RunState, StepDetails, StepStatus,
        ToolCall,
    },
    tool::{Function, ResponseFormat, Tool, ToolChoice, ToolResources, Truncation, no_parameters},
};

pub(crate) const NOW: Timestamp = Timestamp(1_761_861_531);
pub(crate) const LATER: Timestamp = Timestamp(1_761_861_536);

pub(crate) fn weather() -> Tool {
    Tool::Function {
        function: Function {
            name: "get_weather".into(),
            description: Some("Gets the weather".into()),
            parameters: no_parameters(),
            strict: false,
        },
    }
}

pub(crate) fn assistant() -> Assistant {
    Assistant {
        id: AssistantId::trusted("asst_1"),
        created_at: NOW,
        name: None,
        description: None,
        model: "gpt-4o".into(),
        instructions: None,
        tools: vec![weather()],
        tool_resources: ToolResources::default(),
        metadata: Metadata::default(),
        temperature: None,
        top_p: None,
        reasoning_effort: None,
        response_format: ResponseFormat::Auto,
    }
}

pub(crate) fn thread() -> Thread {
    Thread {
        id: ThreadId::trusted("thread_1"),
        created_at: NOW,
        metadata: Metadata::new([("k".to_owned(), "v".to_owned())]).unwrap(),
        tool_resources: ToolResources::default(),
    }
}

pub(crate) fn message(status: MessageStatus) -> Message {
    Message {
        id: MessageId::trusted("msg_1"),
        thread_id: ThreadId::trusted("thread_1"),
        created_at: NOW,
        role: Role::Assistant,
        content: vec![Content::text("Hello!")],
        attachments: Vec::new(),
        metadata: Metadata::default(),
        assistant_id: Some(AssistantId::trusted("asst_1")),
        run_id: Some(RunId::trusted("run_1")),
        status,
    }
}

pub(crate) fn run(state: RunState) -> Run {
    Run {
        id: RunId::trusted("run_1"),
        thread_id: ThreadId::trusted("thread_1"),
        assistant_id: AssistantId::trusted("asst_1"),
        created_at: NOW,
        settings: RunSettings {
            model: "gpt-4o".into(),
            instructions: String::new(),
            tools: vec![weather()],
            tool_resources: ToolResources::default(),
            temperature: None,
            top_p: Some(0.5),
            reasoning_effort: None,
            max_prompt_tokens: Some(1000),
            max_completion_tokens: None,
            truncation: Truncation::Auto,
            response_format: ResponseFormat::Auto,
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            expires_at: NOW.plus(600),
            stream: false,
            include_results: false,
            vector_stores: Vec::new(),
            route: Route::VirtualKey("echo".into()),
            origin: None,
        },
        metadata: Metadata::default(),
        state,
        usage: usage(),
    }
}

pub(crate) fn usage() -> Usage {
    Usage {
        prompt_tokens: 32,
        completion_tokens: 11,
        cached_tokens: 1,
        reasoning_tokens: 2,
    }
}

pub(crate) fn call() -> FunctionCall {
    FunctionCall {
        id: CallId::trusted("call_1"),
        name: "get_weather".into(),
        arguments: "{}".into(),
    }
}

pub(crate) fn step(status: StepStatus) -> RunStep {
    let FunctionCall {
        id,
        name,
        arguments,
    } = call();
    let function = FunctionToolCall {
        name,
        arguments,
        output: (status != StepStatus::InProgress).then(|| "warm".to_owned()),
    };
    RunStep {
        id: StepId::trusted("step_1"),
        run_id: RunId::trusted("run_1"),
        thread_id: ThreadId::trusted("thread_1"),
        assistant_id: AssistantId::trusted("asst_1"),
        created_at: NOW,
        expires_at: NOW.plus(600),
        status,
        details: StepDetails::ToolCalls {
            tool_calls: vec![ToolCall::Function {
                id,
                function,
                signature: Some("never-shown".into()),
            }],
        },
        usage: Some(usage()),
    }
}
