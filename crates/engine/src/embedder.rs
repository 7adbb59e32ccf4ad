//! What makes vectors of texts, as the engine sees it.

use std::fmt;

use futures::future::BoxFuture;
use loomgate_domain::WorkspaceId;

/// Makes vectors of texts, so that they are found by what they mean. The server implements it over a
/// model in a folder and over providers.
pub trait Embedder: fmt::Debug + Send + Sync + 'static {
    /// What vectors are kept under. Those of different identities are never compared, so another model
    /// or another width has another one.
    fn identity(&self) -> &str;

    /// A vector for each of the texts, in their order, all equally wide and none without direction.
    /// How many texts go together, and how often what failed is tried again, is decided there.
    /// Dropping the future ends the work.
    fn embed<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        texts: &'a [&'a str],
        purpose: Purpose,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>>;
}

/// What vectors are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be kept: there are many, and nobody waits.
    Indexing,
    /// To search with: somebody waits.
    Search,
}

/// Why there are no vectors. The texts are for whoever uploaded a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbedError {
    /// It may be better a little later.
    #[error("{0}")]
    Unavailable(String),
    /// It will not: somebody has to mend something first.
    #[error("{0}")]
    Refused(String),
}
