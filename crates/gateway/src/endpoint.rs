//! What a path under `/v1` is about, as far as the gateway treats paths differently.

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /chat/completions`
    Chat,
    /// `POST /completions`
    Completions,
    /// `POST /embeddings`
    Embeddings,
    /// `POST /responses`
    Responses,
    /// `POST /messages`: Anthropic's own form of a chat.
    Messages,
    /// Other calls that name a model and create nothing that stays: moderations, images, audio.
    Model,
    /// `/models`
    Models,
    /// Assistants, threads, runs, files, vector stores, uploads: things that stay with the account
    /// that they were made in.
    Assistants,
    /// Everything else.
    Other,
}

impl Endpoint {
    /// The resources of the Assistants API. What is made in one account, other accounts do not know.
    pub const RESOURCES: [&str; 5] = ["assistants", "threads", "files", "vector_stores", "uploads"];

    /// Of a method and a path that begins with `/v1`.
    pub fn of(method: &http::Method, path: &str) -> Self {
        let rest = path.strip_prefix("/v1/").unwrap_or_default();
        let rest = rest.trim_end_matches('/');
        let resource = rest.split('/').next().unwrap_or_default();
        let is_post = *method == http::Method::POST;
        if Self::RESOURCES.contains(&resource) {
            return Self::Assistants;
        }
        // Also below something else: `deployments/{name}/chat/completions`, `v1/messages`. A
        // provider that knows such a path serves a model call.
        let is = |call: &str| {
            let before = rest.strip_suffix(call);
            is_post && before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        match resource {
            _ if is("chat/completions") => Self::Chat,
            _ if is("completions") => Self::Completions,
            _ if is("embeddings") => Self::Embeddings,
            _ if is("responses") => Self::Responses,
            _ if is("messages") => Self::Messages,
            // `models/{name}:generateContent` is Google's own form.
            "moderations" | "images" | "audio" | "rerank" | "models" if is_post => Self::Model,
            "models" => Self::Models,
            _ => Self::Other,
        }
    }

    /// The parts of a path behind `/v1`.
    pub fn segments(path: &str) -> Vec<&str> {
        let rest = path.strip_prefix("/v1/").unwrap_or_default();
        rest.split('/').filter(|part| !part.is_empty()).collect()
    }

    /// Whether a call makes something that its account alone knows from then on.
    pub fn creates(method: &http::Method, path: &str) -> bool {
        *method == http::Method::POST
            && match Self::segments(path).as_slice() {
                [resource] => Self::RESOURCES.contains(resource),
                ["threads", "runs"] | ["uploads", _, "complete"] => true,
                _ => false,
            }
    }

    /// The model, or deployment, that a path names whatever the body says:
    /// `deployments/{name}/chat/completions`.
    pub(crate) fn model_in_path(path: &str) -> Option<&str> {
        let mut segments = path.split('/').skip_while(|segment| {
            // Azure's, and OpenAI's of old.
            !matches!(*segment, "deployments" | "engines")
        });
        segments.next()?;
        segments.next().filter(|name| !name.is_empty())
    }

    /// Whether bodies of this kind name a model, so that aliases and parameters of configs apply.
    pub fn has_parameters(self) -> bool {
        matches!(
            self,
            Self::Chat
                | Self::Completions
                | Self::Embeddings
                | Self::Responses
                | Self::Messages
                | Self::Model
        )
    }

    /// Whether bodies of this kind are JSON, whatever their content type says: many servers do not
    /// look at it, so that what is not read as JSON here would pass unseen.
    pub fn takes_json(self) -> bool {
        self.has_parameters() && self != Self::Model
    }

    /// The name that guardrails know it by; `None`: guardrails do not look at it.
    pub fn guarded(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some("chatComplete"),
            Self::Completions => Some("complete"),
            Self::Embeddings => Some("embed"),
            Self::Responses => Some("createModelResponse"),
            Self::Messages => Some("messages"),
            Self::Model | Self::Models | Self::Assistants | Self::Other => None,
        }
    }

    /// How a stream of this kind tells that it is whole; `path` is that of the call. What is not
    /// known is not judged.
    pub(crate) fn stream_end(self, path: &str) -> StreamEnd {
        let path = path.trim_end_matches('/');
        let types: &[&str] = match self {
            // One that is opened again behind its end has nothing left to say, not even that.
            Self::Assistants if path.ends_with("/stream") => return StreamEnd::Untold,
            Self::Chat | Self::Completions | Self::Assistants => return StreamEnd::Done,
            Self::Responses => &RESPONSE_ENDS,
            // `GET`: what a response said so far, and goes on to say.
            Self::Other if path.starts_with("/v1/responses/") => &RESPONSE_ENDS,
            Self::Messages => &["message_stop"],
            Self::Model if path.ends_with("/audio/speech") => &["speech.audio.done"],
            Self::Model if path.ends_with("/audio/transcriptions") => &["transcript.text.done"],
            Self::Model if path.ends_with("/images/generations") => &["image_generation.completed"],
            Self::Model if path.ends_with("/images/edits") => &["image_edit.completed"],
            Self::Embeddings | Self::Model | Self::Models | Self::Other => {
                return StreamEnd::Untold;
            }
        };
        StreamEnd::Event(types)
    }
}

/// The last event of a response.
const RESPONSE_ENDS: [&str; 3] = [
    "response.completed",
    "response.failed",
    "response.incomplete",
];

/// How a stream tells that it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// It does not, as far as is known.
    Untold,
    /// By `data: [DONE]`, or by a choice's reason to end.
    Done,
    /// By an event of one of these types; `[DONE]` will do as well.
    Event(&'static [&'static str]),
}

impl StreamEnd {
    /// The types of the last event.
    pub(crate) fn types(self) -> &'static [&'static str] {
        match self {
            Self::Untold | Self::Done => &[],
            Self::Event(types) => types,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn things_are_made_by_a_few_calls() {
        for (method, path, creates_something) in [
            (Method::POST, "/v1/threads", true),
            (Method::POST, "/v1/files/", true),
            (Method::POST, "/v1/threads/runs", true),
            (Method::POST, "/v1/uploads/upload_1/complete", true),
            (Method::GET, "/v1/threads", false),
            (Method::POST, "/v1/threads/thread_1", false),
            (Method::POST, "/v1/threads/thread_1/runs", false),
            (Method::POST, "/v1/chat/completions", false),
        ] {
            assert_eq!(
                Endpoint::creates(&method, path),
                creates_something,
                "{path}"
            );
        }
    }

    #[test]
    fn a_model_in_the_path_is_found() {
        for (path, model) in [
            ("/v1/deployments/d/chat/completions", Some("d")),
            ("/v1/v1/engines/e/embeddings", Some("e")),
            ("/v1/deployments", None),
            ("/v1/deployments/", None),
            ("/v1/chat/completions", None),
        ] {
            assert_eq!(Endpoint::model_in_path(path), model, "{path}");
        }
    }

    #[test]
    fn paths_are_told_apart() {
        for (method, path, endpoint) in [
            (Method::POST, "/v1/chat/completions", Endpoint::Chat),
            (Method::GET, "/v1/chat/completions", Endpoint::Other),
            (Method::POST, "/v1/chat/completions/", Endpoint::Chat),
            (Method::POST, "/v1/completions", Endpoint::Completions),
            (Method::POST, "/v1/embeddings", Endpoint::Embeddings),
            (Method::POST, "/v1/responses", Endpoint::Responses),
            (Method::GET, "/v1/responses/resp_1", Endpoint::Other),
            (Method::POST, "/v1/audio/speech", Endpoint::Model),
            (Method::POST, "/v1/messages", Endpoint::Messages),
            (
                Method::POST,
                "/v1/threads/thread_1/messages",
                Endpoint::Assistants,
            ),
            (
                Method::POST,
                "/v1/deployments/d/chat/completions",
                Endpoint::Chat,
            ),
            (
                Method::POST,
                "/v1/engines/e/embeddings",
                Endpoint::Embeddings,
            ),
            (Method::POST, "/v1/v1/responses/", Endpoint::Responses),
            (Method::POST, "/v1/messages/batches", Endpoint::Other),
            (
                Method::POST,
                "/v1/models/gemini-pro:generateContent",
                Endpoint::Model,
            ),
            (Method::GET, "/v1/models/a/b", Endpoint::Models),
            (
                Method::POST,
                "/v1/threads/thread_1/runs/run_1",
                Endpoint::Assistants,
            ),
            (Method::GET, "/v1/files", Endpoint::Assistants),
            (Method::POST, "/v1/batches", Endpoint::Other),
            (Method::POST, "/v1", Endpoint::Other),
        ] {
            assert_eq!(Endpoint::of(&method, path), endpoint, "{method} {path}");
        }
    }
    #[test]
    fn streams_whose_end_is_known_are_judged() {
        let end = |path: &str| Endpoint::of(&Method::POST, path).stream_end(path);
        assert_eq!(end("/v1/completions"), StreamEnd::Done);
        assert_eq!(end("/v1/threads/runs"), StreamEnd::Done);
        assert_eq!(
            end("/v1/threads/thread_1/runs/run_1/stream"),
            StreamEnd::Untold
        );
        assert_eq!(end("/v1/responses/"), StreamEnd::Event(&RESPONSE_ENDS));
        assert_eq!(
            end("/v1/images/edits"),
            StreamEnd::Event(&["image_edit.completed"])
        );
        assert_eq!(
            end("/v1/models/gemini:streamGenerateContent"),
            StreamEnd::Untold
        );
        assert_eq!(end("/v1/audio/translations"), StreamEnd::Untold);
        let path = "/v1/responses/resp_1";
        let again = Endpoint::of(&Method::GET, path).stream_end(path);
        assert_eq!(again, StreamEnd::Event(&RESPONSE_ENDS));
    }
}
