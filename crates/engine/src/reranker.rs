//! What judges passages against a question, as the engine sees it.

use std::fmt;

use futures::future::BoxFuture;
use loomgate_domain::WorkspaceId;

/// Reads a question and passages together, and says how relevant each is: slower than any index, and
/// better. The server implements it over providers.
pub trait Reranker: fmt::Debug + Send + Sync + 'static {
    /// How relevant each of the passages is to the question, 0 to 1, in their order; or why that is not
    /// known. Somebody waits. Dropping the future ends the work.
    fn judge<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        question: &'a str,
        passages: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Vec<f32>, String>>;
}
