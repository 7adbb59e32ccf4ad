//! The seam to models: the engine asks for a turn, the server answers over its gateway.

use futures::{future::BoxFuture, stream::BoxStream};
use loomgate_domain::{Run, Usage, WorkspaceId, limit::Charge};
use loomgate_wire::chat::{ChatEvent, ChatRequest};

/// The streamed answer of a model. Dropping it stops the call.
pub type ChatStream = BoxStream<'static, Result<ChatEvent, ModelError>>;

/// Something that carries out model turns.
pub trait ChatModel: Send + Sync + 'static {
    /// Asks for one turn of a run. Retrying what is transient before the first event is up to the
    /// implementation; the engine itself repeats only turns that broke midway.
    fn chat<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        run: &'a Run,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ModelTurn, ModelError>>;
}

/// A model turn that has begun.
pub struct ModelTurn {
    /// Its events.
    pub events: ChatStream,
    /// What it costs; `None` where nothing is counted.
    pub receipt: Option<Box<dyn Receipt>>,
}

/// What a model turn costs, and whom. The engine writes it in the commit of the turn, so that it
/// is counted once, whatever happens before or after.
pub trait Receipt: Send + Sync {
    /// The additions to write along with the turn.
    fn charges(&self, usage: &Usage) -> Vec<Charge>;

    /// They were written.
    fn settled(&self, usage: &Usage);
}

/// A model turn that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct ModelError {
    /// What it means for the run.
    pub kind: ModelErrorKind,
    /// The provider's own words, or ours. Shown to the client: no secrets.
    pub message: String,
}

/// What a failed model turn means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelErrorKind {
    /// The provider refused the request itself (400, 404, 413, 422).
    InvalidRequest,
    /// The provider refused the credential (401, 403).
    Unauthorized,
    /// The provider's rate or quota is used up (429), or a limit of the key is.
    RateLimited,
    /// A guardrail said no.
    Denied,
    /// The provider broke (5xx).
    Server,
    /// The provider did not answer in time.
    Timeout,
    /// The provider could not be reached.
    Unreachable,
    /// The answer broke off midway.
    Broken,
    /// The route leads nowhere: the virtual key is gone.
    Misconfigured,
}
