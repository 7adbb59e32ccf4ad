//! Vectors for the table of pgvector, which the database may have got since they were written; so also
//! those of processes that do not know of it. Each process goes through all vectors once after its start, in
//! the order of their numbers. What is there is passed over, so that what was ended anywhere goes on.

use std::{sync::Arc, time::Duration};

use super::Shared;

/// Between two lots others have their turn at the database.
const PAUSE: Duration = Duration::from_millis(20);
/// Until the next attempt where one failed.
const LONG_PAUSE: Duration = Duration::from_mins(1);

/// Fills the table in; where there is none, that ends at once.
pub(super) async fn fill(shared: Arc<Shared>) {
    let (mut after, mut written) = (Some(0), 0);
    while let Some(from) = after {
        let pause = match shared.store.chunks().fill_embeddings(from).await {
            Ok(filled) => {
                after = filled.after;
                written += filled.written;
                PAUSE
            }
            Err(error) => {
                tracing::error!(%error, "vectors could not be put into the table of pgvector");
                LONG_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = shared.draining.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
    if written > 0 {
        tracing::info!(
            chunks = written,
            "vectors were put into the table of pgvector"
        );
    }
}
