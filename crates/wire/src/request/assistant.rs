//! Bodies of the assistant operations (contract section 5).

use loomgate_domain::{
    Limits, Metadata, Patch, limits,
    tool::{ReasoningEffort, ResponseFormat, Tool, ToolResources},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Request, convert,
    resources::{NEW_RESOURCES, RESOURCES, ResourcesBody},
    tool::{ASSISTANT_TOOLS, ToolBody, tools_of},
    turn::{REASONING_EFFORT, RESPONSE_FORMAT},
    vector_store::CreateVectorStore,
};
use crate::{
    Problem,
    shape::{Cap, Field, Format, Shape, filled, object, read, text},
};

/// `POST /assistants`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateAssistant {
    /// The model as the client names it.
    pub model: String,
    /// Its name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// The system prompt.
    pub instructions: Option<String>,
    /// Tools in their normalised form.
    pub tools: Vec<Tool>,
    /// Files and stores that its tools may use.
    pub tool_resources: ToolResources,
    /// A vector store to make, which its resources are to name.
    pub vector_store: Option<CreateVectorStore>,
    /// The client's own pairs.
    pub metadata: Metadata,
    /// 0 to 2.
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// For models that reason.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// What form an answer takes.
    pub response_format: ResponseFormat,
}

/// `POST /assistants/{assistant_id}`
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ModifyAssistant {
    /// The model as the client names it.
    pub model: Option<String>,
    /// Its name.
    pub name: Patch<String>,
    /// What it is for.
    pub description: Patch<String>,
    /// The system prompt.
    pub instructions: Patch<String>,
    /// Tools in their normalised form.
    pub tools: Patch<Vec<Tool>>,
    /// Files and stores that its tools may use.
    pub tool_resources: Patch<ToolResources>,
    /// The client's own pairs: the whole map is replaced.
    pub metadata: Patch<Metadata>,
    /// 0 to 2.
    pub temperature: Patch<f64>,
    /// 0 to 1.
    pub top_p: Patch<f64>,
    /// For models that reason.
    pub reasoning_effort: Patch<ReasoningEffort>,
    /// What form an answer takes.
    pub response_format: Patch<ResponseFormat>,
}

pub(super) static MODEL: Shape = filled(Cap::None, Format::Any);
pub(super) static INSTRUCTIONS: Shape = text(Cap::Limit(|limits| limits.instructions_chars));
pub(super) static TEMPERATURE: Shape = Shape::Number {
    min: Some(0.0),
    max: Some(2.0),
};
pub(super) static TOP_P: Shape = Shape::Number {
    min: Some(0.0),
    max: Some(1.0),
};
static NAME: Shape = text(Cap::At(limits::NAME_CHARS));
static DESCRIPTION: Shape = text(Cap::At(limits::DESCRIPTION_CHARS));

/// What a Portkey SDK sends for a model that its caller left out, also when it modifies.
const PORTKEY_DEFAULT: &str = "portkey-default";

const MODEL_DOC: &str = "The model that does the work.";

static CREATE: Shape = object(
    "CreateAssistantRequest",
    "A new assistant.",
    &fields(
        Field::required("model", &MODEL, MODEL_DOC),
        Field::optional("tool_resources", &NEW_RESOURCES, RESOURCES_DOC),
    ),
);

static MODIFY: Shape = object(
    "ModifyAssistantRequest",
    "Fields left out keep their value; null resets them; tools, resources and metadata are \
     replaced as a whole.",
    &fields(
        Field::optional("model", &MODEL, MODEL_DOC),
        Field::optional("tool_resources", &RESOURCES, RESOURCES_DOC),
    ),
);

const RESOURCES_DOC: &str = "Files and stores that its tools may use.";

const fn fields(model: Field, tool_resources: Field) -> [Field; 11] {
    [
        model,
        Field::optional("name", &NAME, "Its name.").nullable(),
        Field::optional("description", &DESCRIPTION, "What it is for.").nullable(),
        Field::optional("instructions", &INSTRUCTIONS, "The system prompt.").nullable(),
        Field::optional(
            "reasoning_effort",
            &REASONING_EFFORT,
            "How hard a reasoning model thinks.",
        )
        .nullable(),
        Field::optional("tools", &ASSISTANT_TOOLS, "The tools it may use.").or("[]"),
        tool_resources.nullable(),
        Field::optional("metadata", &Shape::Metadata, "The client's own pairs.").nullable(),
        Field::optional("temperature", &TEMPERATURE, "Sampling temperature.")
            .nullable()
            .or("1"),
        Field::optional("top_p", &TOP_P, "Nucleus sampling.")
            .nullable()
            .or("1"),
        Field::optional(
            "response_format",
            &RESPONSE_FORMAT,
            "What form an answer takes.",
        )
        .nullable()
        .or("\"auto\""),
    ]
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Body {
    model: Option<String>,
    name: Patch<String>,
    description: Patch<String>,
    instructions: Patch<String>,
    tools: Patch<Vec<ToolBody>>,
    tool_resources: Patch<ResourcesBody>,
    metadata: Patch<Metadata>,
    temperature: Patch<f64>,
    top_p: Patch<f64>,
    reasoning_effort: Patch<ReasoningEffort>,
    response_format: Patch<ResponseFormat>,
}

impl Request for CreateAssistant {
    fn shape() -> &'static Shape {
        &CREATE
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: Body = read(&CREATE, value, limits)?;
        let resources = body.tool_resources.into_option().unwrap_or_default();
        let (tool_resources, vector_store) = resources.with_store();
        Ok(Self {
            model: body.model.unwrap_or_default(),
            name: body.name.into_option(),
            description: body.description.into_option(),
            instructions: body.instructions.into_option(),
            tools: tools_of(body.tools.into_option().unwrap_or_default()),
            tool_resources,
            vector_store,
            metadata: body.metadata.into_option().unwrap_or_default(),
            temperature: body.temperature.into_option(),
            top_p: body.top_p.into_option(),
            reasoning_effort: body.reasoning_effort.into_option(),
            response_format: body.response_format.into_option().unwrap_or_default(),
        })
    }
}

impl Request for ModifyAssistant {
    fn shape() -> &'static Shape {
        &MODIFY
    }

    fn from_value(value: Value, limits: &Limits) -> Result<Self, Problem> {
        let body: Body = read(&MODIFY, value, limits)?;
        Ok(Self {
            model: body.model.filter(|model| model != PORTKEY_DEFAULT),
            name: body.name,
            description: body.description,
            instructions: body.instructions,
            tools: convert(body.tools, tools_of),
            tool_resources: convert(body.tool_resources, ToolResources::from),
            metadata: body.metadata,
            temperature: body.temperature,
            top_p: body.top_p,
            reasoning_effort: body.reasoning_effort,
            response_format: body.response_format,
        })
    }
}
