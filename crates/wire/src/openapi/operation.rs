//! One operation, and what all have in common.

use serde_json::{Map, Value, json};

use super::parameter::{self, Query};
use crate::object as objects;
use crate::shape::{
    Field, Presence, STRING, Shape, inline, list, object, one_of,
    openapi::{Components, schema},
};

/// A method on a path.
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) tag: &'static str,
    pub(super) query: &'static [Query],
    pub(super) body: Option<fn() -> &'static Shape>,
    /// Whether the body is a form and no JSON.
    pub(super) is_form: bool,
    pub(super) answer: Answer,
    /// Whether model calls follow from it.
    pub(super) calls_model: bool,
}

/// What an operation answers when all went well.
pub(super) enum Answer {
    /// This JSON.
    Json(&'static Shape),
    /// This JSON, or a stream of events where the body asks for one.
    Streamable(&'static Shape),
    /// A stream of events.
    Stream,
    /// Plain text.
    Text(&'static str),
    /// The bytes of a file.
    Bytes,
    /// This JSON, open to everybody.
    Open(&'static Shape),
}

/// The body of every error.
pub(super) static ERROR: Shape = object(
    "Error",
    "What went wrong. Errors of the gateway say it in Portkey's form, too.",
    &[
        Field::required(
            "error",
            &inline(&[
                Field::required("message", &STRING, "For people."),
                Field::required("type", &STRING, "The family of errors."),
                Field::required("param", &STRING, "Which part of the request.").nullable(),
                Field::required("code", &STRING, "For programs.").nullable(),
            ]),
            "The error.",
        ),
        Field::optional("status", &one_of(&["failure"]), "In errors of the gateway."),
        Field::optional(
            "message",
            &STRING,
            "In errors of the gateway: the same text.",
        ),
        Field::optional("errors", &list(&STRING), "All that is wrong in a config."),
    ],
);

const ERRORS: [(&str, &str, &str); 13] = [
    (
        "400",
        "BadRequest",
        "The request can not be carried out as it was sent.",
    ),
    ("401", "Unauthorized", "No API key, or an unknown one."),
    ("403", "Forbidden", "The API key does not allow it."),
    ("404", "NotFound", "No such object."),
    (
        "405",
        "MethodNotAllowed",
        "The path does not take this method.",
    ),
    ("408", "RequestTimeout", "The body took too long to come."),
    (
        "412",
        "BudgetExhausted",
        "The budget of the API key is used up.",
    ),
    ("413", "PayloadTooLarge", "The body is too large."),
    ("415", "UnsupportedMediaType", "The body is no JSON."),
    (
        "429",
        "TooManyRequests",
        "Too many requests; Retry-After says how long to wait.",
    ),
    ("500", "ServerError", "Something broke here."),
    (
        "502",
        "BadGateway",
        "The provider could not be reached, or broke off.",
    ),
    (
        "503",
        "Unavailable",
        "The server is starting, stopping or out of capacity.",
    ),
];

/// The error answers, by name.
pub(super) fn error_responses() -> Value {
    let response = |(_, name, description): (&str, &str, &str)| {
        let content =
            json!({"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}});
        (
            name.to_owned(),
            json!({"description": description, "content": content}),
        )
    };
    Value::Object(ERRORS.into_iter().map(response).collect())
}

impl Operation {
    pub(super) fn describe(&self, components: &mut Components) -> Value {
        let mut described = Map::new();
        let mut put = |key: &str, value: Value| described.insert(key.to_owned(), value);
        put("operationId", json!(self.id));
        put("summary", json!(self.summary));
        put("tags", json!([self.tag]));
        if self.is_open() {
            put("security", json!([]));
        }
        let parameters = self.parameters();
        if !parameters.is_empty() {
            put("parameters", Value::Array(parameters));
        }
        if let Some(body) = self.body {
            let kind = if self.is_form {
                "multipart/form-data"
            } else {
                "application/json"
            };
            put(
                "requestBody",
                json!({
                    "required": needs_body(body()),
                    "content": {kind: {"schema": schema(body(), components)}},
                }),
            );
        }
        put("responses", self.responses(components));
        Value::Object(described)
    }

    fn is_open(&self) -> bool {
        matches!(self.answer, Answer::Open(_))
    }

    fn parameters(&self) -> Vec<Value> {
        let mut all = parameter::of_path(self.path);
        all.extend(self.query.iter().flat_map(|query| query.describe()));
        if matches!(self.tag, "Assistants" | "Threads" | "Messages" | "Runs") {
            all.push(parameter::beta());
        }
        if self.calls_model {
            all.extend(parameter::ways());
        }
        all
    }

    fn responses(&self, components: &mut Components) -> Value {
        let mut content = Map::new();
        let text = |content: &mut Map<String, Value>, kind: &str, description: &str| {
            let schema = json!({"type": "string", "description": description});
            content.insert(kind.to_owned(), json!({"schema": schema}));
        };
        match self.answer {
            Answer::Text(kind) => text(&mut content, kind, "Plain text."),
            Answer::Stream => {}
            Answer::Bytes => {
                let schema = json!({"type": "string", "format": "binary"});
                content.insert(
                    "application/octet-stream".to_owned(),
                    json!({"schema": schema}),
                );
            }
            Answer::Json(shape) | Answer::Open(shape) | Answer::Streamable(shape) => {
                let schema = schema(shape, components);
                content.insert("application/json".to_owned(), json!({"schema": schema}));
            }
        }
        if matches!(self.answer, Answer::Streamable(_) | Answer::Stream) {
            text(
                &mut content,
                "text/event-stream",
                "Events of the run as they happen, each with the object that it is about and an \
                 `id` that the stream can be opened again with; the last one is `done`.",
            );
        }
        if let Some(Value::Object(stream)) = content.get_mut("text/event-stream") {
            // Tools hold each event against it.
            let text = json!({"type": "string"});
            stream["schema"] = json!({
                "type": "object",
                "description": stream["schema"]["description"],
                "properties": {"id": text, "event": text, "data": text},
                "required": ["data"],
                "additionalProperties": false,
            });
            stream.insert("x-events".to_owned(), events(components));
        }
        let mut responses = Map::new();
        responses.insert(
            "200".to_owned(),
            json!({"description": "Done.", "content": content}),
        );
        for (status, name, _) in ERRORS {
            if self.may_answer(status) {
                let response = json!({"$ref": format!("#/components/responses/{name}")});
                responses.insert(status.to_owned(), response);
            }
        }
        Value::Object(responses)
    }

    fn may_answer(&self, status: &str) -> bool {
        match status {
            // New assistants and threads may name a vector store that is not there.
            "404" => {
                self.path.contains('{')
                    || self.calls_model
                    || ["createAssistant", "createThread"].contains(&self.id)
            }
            "408" | "413" => self.body.is_some(),
            "415" => self.body.is_some() && !self.is_form,
            "502" => self.tag == "Models",
            "405" | "500" | "503" => true,
            _ => !self.is_open(),
        }
    }
}

/// What the data of each event is.
fn events(components: &mut Components) -> Value {
    let kinds: [(&[&str], &Shape); 7] = [
        (&["thread.created"], &objects::thread::SHAPE),
        (
            &[
                "thread.run.created",
                "thread.run.queued",
                "thread.run.in_progress",
                "thread.run.requires_action",
                "thread.run.completed",
                "thread.run.incomplete",
                "thread.run.failed",
                "thread.run.cancelling",
                "thread.run.cancelled",
                "thread.run.expired",
            ],
            &objects::run::SHAPE,
        ),
        (
            &[
                "thread.run.step.created",
                "thread.run.step.in_progress",
                "thread.run.step.completed",
                "thread.run.step.failed",
                "thread.run.step.cancelled",
                "thread.run.step.expired",
            ],
            &objects::step::SHAPE,
        ),
        (&["thread.run.step.delta"], &objects::delta::STEP),
        (
            &[
                "thread.message.created",
                "thread.message.in_progress",
                "thread.message.completed",
                "thread.message.incomplete",
            ],
            &objects::message::SHAPE,
        ),
        (&["thread.message.delta"], &objects::delta::MESSAGE),
        (&["error"], &ERROR),
    ];
    let mut events = Map::new();
    for (names, shape) in kinds {
        for name in names {
            events.insert((*name).to_owned(), schema(shape, components));
        }
    }
    Value::Object(events)
}

/// Whether a body has a field that has to be there.
fn needs_body(shape: &Shape) -> bool {
    match shape {
        Shape::Object(object) => object
            .fields
            .iter()
            .any(|field| field.presence == Presence::Required),
        _ => true,
    }
}
