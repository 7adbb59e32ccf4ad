//! Words of files that an earlier release put into the index in another way.

use std::time::{Duration, Instant};

use loomgate_search::lexical::index_text;
use loomgate_store::{Error, Store};

/// Chunks of a transaction.
const LOT: u32 = 500;
/// How often the log is told how far it is.
const TOLD: Duration = Duration::from_secs(5);

/// Puts them into it anew, once. Goes on where a process before was stopped.
pub(super) async fn renew(store: &Store) -> Result<(), Error> {
    let (mut chunks, mut told) = (0, None::<Instant>);
    loop {
        let done = store.chunks().renew_words(index_text, LOT).await?;
        if done == 0 {
            break;
        }
        chunks += done;
        if told.is_none_or(|told| told.elapsed() > TOLD) {
            told = Some(Instant::now());
            tracing::info!(chunks, "putting the words of files into the index anew");
        }
    }
    if chunks > 0 {
        tracing::info!(chunks, "the words of all files are in the index");
    }
    Ok(())
}
