//! Bodies of the run operations (contract sections 8.2 to 8.4 and 8.8).

use loomgate_domain::{
    AssistantId, CallId, Limits, Metadata, Patch,
    limits::MIN_TOKEN_CAP,
    run::ToolOutput,
    tool::{ReasoningEffort, ResponseFormat, Tool, ToolChoice, ToolResources, Truncation},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Request,
    assistant::{INSTRUCTIONS, MODEL, TEMPERATURE, TOP_P},
    message::{MessageBody, NewMessage},
    quick,
    resources::{RESOURCES, ResourcesBody},
    thread::{CREATE as THREAD, CreateBody, CreateThread, INITIAL_MESSAGES},
    tool::{RUN_TOOLS, ToolBody, tools_of},
    turn::{REASONING_EFFORT, RESPONSE_FORMAT, TOOL_CHOICE, TRUNCATION, TruncationBody},
};
use crate::{
    Problem,
    shape::{Cap, Field, Format, STRING, Shape, Text, filled, inline, list, object, read},
};

/// What both ways to create a run share. `None` means: as the assistant has it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOptions {
    /// Another model.
    pub model: Option<String>,
    /// How hard a reasoning model thinks.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// Instructions that replace the assistant's.
    pub instructions: Option<String>,
    /// Tools that replace the assistant's.
    pub tools: Option<Vec<Tool>>,
    /// The run's own pairs; not taken from the assistant.
    pub metadata: Metadata,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// Whether to answer with a stream.
    pub stream: bool,
    /// Prompt tokens over the whole run, at least 256.
    pub max_prompt_tokens: Option<u64>,
    /// Completion tokens over the whole run, at least 256.
    pub max_completion_tokens: Option<u64>,
    /// How the thread is cut to fit.
    pub truncation: Truncation,
    /// Whether, and which, tools must be called.
    pub tool_choice: ToolChoice,
    /// Whether one model turn may call several functions.
    pub parallel_tool_calls: bool,
    /// What form an answer takes.
    pub response_format: Option<ResponseFormat>,
}

/// `POST /threads/{thread_id}/runs`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRun {
    /// Who does the work.
    pub assistant_id: AssistantId,
    /// Appended to the effective instructions.
    pub additional_instructions: Option<String>,
    /// Added to the thread before the run starts, in order.
    pub additional_messages: Vec<NewMessage>,
    /// Everything else.
    pub options: RunOptions,
}

/// `POST /threads/runs`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateThreadAndRun {
    /// Who does the work.
    pub assistant_id: AssistantId,
    /// The thread to make.
    pub thread: CreateThread,
    /// Files and stores that tools may use in this run.
    pub tool_resources: ToolResources,
    /// Everything else.
    pub options: RunOptions,
}

/// `POST /threads/{thread_id}/runs/{run_id}`
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModifyRun {
    /// The client's own pairs: the whole map is replaced.
    #[serde(default)]
    pub metadata: Patch<Metadata>,
}

/// `POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmitToolOutputs {
    /// In the client's order.
    pub tool_outputs: Vec<ToolOutput>,
    /// Whether to answer with a stream.
    pub stream: bool,
}

static CREATE: Shape = object(
    "CreateRunRequest",
    "A new run on a thread.",
    &fields(
        Field::optional(
            "additional_instructions",
            &INSTRUCTIONS,
            "Appended to the effective instructions.",
        )
        .nullable(),
        Field::optional(
            "additional_messages",
            &INITIAL_MESSAGES,
            "Added to the thread before the run starts.",
        )
        .nullable(),
    ),
);

static CREATE_WITH_THREAD: Shape = object(
    "CreateThreadAndRunRequest",
    "A new thread and a run on it.",
    &fields(
        Field::optional("thread", &THREAD, "The thread to make.").or("{}"),
        Field::optional(
            "tool_resources",
            &RESOURCES,
            "Files and stores that tools may use in this run.",
        )
        .nullable(),
    ),
);

static TOKEN_CAP: Shape = Shape::Integer {
    min: Some(MIN_TOKEN_CAP.cast_signed()),
    max: None,
};

static ASSISTANT_ID: Shape = filled(Cap::At(256), Format::Id("asst"));

/// The fields of both ways to create a run, with two of its own.
const fn fields(one: Field, other: Field) -> [Field; 17] {
    [
        Field::required("assistant_id", &ASSISTANT_ID, "Who does the work."),
        one,
        other,
        Field::optional("model", &MODEL, "A model that replaces the assistant's.").nullable(),
        Field::optional(
            "reasoning_effort",
            &REASONING_EFFORT,
            "How hard a reasoning model thinks.",
        )
        .nullable(),
        Field::optional(
            "instructions",
            &INSTRUCTIONS,
            "Instructions that replace the assistant's.",
        )
        .nullable(),
        Field::optional("tools", &RUN_TOOLS, "Tools that replace the assistant's.").nullable(),
        Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
        Field::optional("temperature", &TEMPERATURE, "Sampling temperature.").nullable(),
        Field::optional("top_p", &TOP_P, "Nucleus sampling.").nullable(),
        Field::optional(
            "stream",
            &Shape::Boolean,
            "Whether to answer with a stream of events.",
        )
        .nullable()
        .or("false"),
        Field::optional(
            "max_prompt_tokens",
            &TOKEN_CAP,
            "Prompt tokens over all model turns of the run.",
        )
        .nullable(),
        Field::optional(
            "max_completion_tokens",
            &TOKEN_CAP,
            "Completion tokens over all model turns of the run.",
        )
        .nullable(),
        Field::optional(
            "truncation_strategy",
            &TRUNCATION,
            "How the thread is cut down to fit the model.",
        )
        .nullable(),
        Field::optional(
            "tool_choice",
            &TOOL_CHOICE,
            "Whether, and which, tools must be called.",
        )
        .nullable()
        .or("\"auto\""),
        Field::optional(
            "parallel_tool_calls",
            &Shape::Boolean,
            "Whether one model turn may call several functions.",
        )
        .or("true"),
        Field::optional(
            "response_format",
            &RESPONSE_FORMAT,
            "What form an answer takes.",
        )
        .nullable(),
    ]
}

static MODIFY: Shape = object(
    "ModifyRunRequest",
    "The metadata is replaced as a whole; null empties it.",
    &[Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable()],
);

static SUBMIT: Shape = object(
    "SubmitToolOutputsRequest",
    "What came of the function calls that the run waits for.",
    &[
        Field::required(
            "tool_outputs",
            &OUTPUTS,
            "One output for each pending call.",
        ),
        Field::optional(
            "stream",
            &Shape::Boolean,
            "Whether to answer with a stream of events.",
        )
        .nullable()
        .or("false"),
    ],
);

static OUTPUTS: Shape = list(&OUTPUT);

static OUTPUT: Shape = inline(&[
    Field::required("tool_call_id", &STRING, "The call that is answered."),
    Field::optional("output", &OUTPUT_TEXT, "What came of it.").or("\"\""),
]);

static OUTPUT_TEXT: Shape = Shape::Text(Text {
    min: 0,
    max: Cap::Limit(|limits| limits.tool_output_bytes),
    bytes: true,
    format: Format::Any,
});

#[derive(Deserialize)]
struct RunBody {
    assistant_id: AssistantId,
    additional_instructions: Option<String>,
    additional_messages: Option<Vec<MessageBody>>,
    thread: Option<CreateBody>,
    tool_resources: Option<ResourcesBody>,
    model: Option<String>,
    reasoning_effort: Option<ReasoningEffort>,
    instructions: Option<String>,
    tools: Option<Vec<ToolBody>>,
    metadata: Option<Metadata>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    stream: Option<bool>,
    max_prompt_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    truncation_strategy: Option<TruncationBody>,
    tool_choice: Option<ToolChoice>,
    parallel_tool_calls: Option<bool>,
    response_format: Option<ResponseFormat>,
}

impl From<RunBody> for RunOptions {
    fn from(body: RunBody) -> Self {
        Self {
            model: body.model,
            reasoning_effort: body.reasoning_effort,
            instructions: body.instructions,
            tools: body.tools.map(tools_of),
            metadata: body.metadata.unwrap_or_default(),
            temperature: body.temperature,
            top_p: body.top_p,
            stream: body.stream.unwrap_or_default(),
            max_prompt_tokens: body.max_prompt_tokens,
            max_completion_tokens: body.max_completion_tokens,
            truncation: body
                .truncation_strategy
                .map(Truncation::from)
                .unwrap_or_default(),
            tool_choice: body.tool_choice.unwrap_or_default(),
            parallel_tool_calls: body.parallel_tool_calls.unwrap_or(true),
            response_format: body.response_format,
        }
    }
}

impl Request for CreateRun {
    fn shape() -> &'static Shape {
        &CREATE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let mut body: RunBody = read(&CREATE, value, limits)?;
        let messages = body.additional_messages.take().unwrap_or_default();
        Ok(Self {
            assistant_id: body.assistant_id.clone(),
            additional_instructions: body.additional_instructions.take(),
            additional_messages: messages.into_iter().map(NewMessage::from).collect(),
            options: body.into(),
        })
    }
}

impl Request for CreateThreadAndRun {
    fn shape() -> &'static Shape {
        &CREATE_WITH_THREAD
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let mut body: RunBody = read(&CREATE_WITH_THREAD, value, limits)?;
        Ok(Self {
            assistant_id: body.assistant_id.clone(),
            thread: body.thread.take().unwrap_or_default().into(),
            tool_resources: body.tool_resources.take().unwrap_or_default().into(),
            options: body.into(),
        })
    }
}

impl Request for ModifyRun {
    fn shape() -> &'static Shape {
        &MODIFY
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        read(&MODIFY, value, limits)
    }

    fn quick(body: &[u8]) -> Option<Self> {
        quick(body)
    }
}

#[derive(Deserialize)]
struct SubmitBody {
    tool_outputs: Vec<OutputBody>,
    stream: Option<bool>,
}

#[derive(Deserialize)]
struct OutputBody {
    tool_call_id: String,
    #[serde(default)]
    output: String,
}

impl Request for SubmitToolOutputs {
    fn shape() -> &'static Shape {
        &SUBMIT
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: SubmitBody = read(&SUBMIT, value, limits)?;
        let output = |body: OutputBody| ToolOutput {
            call_id: CallId::trusted(body.tool_call_id),
            output: body.output,
        };
        Ok(Self {
            tool_outputs: body.tool_outputs.into_iter().map(output).collect(),
            stream: body.stream.unwrap_or_default(),
        })
    }
}
