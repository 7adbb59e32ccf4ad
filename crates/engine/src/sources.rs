//! Where a run searches: the stores of its assistant, of the request that made it, and of its thread
//! (contract sections 7.3 and 8.3).

use std::time::Duration;

use loomgate_domain::{
    Run, Timestamp, VectorStoreId,
    run::{FileSearchCall, SearchResult},
    tool::ToolResources,
    vector_store::VectorStoreStatus,
};
use loomgate_search::fuse::{Ranker, RankingOptions};
use loomgate_store::Guard;

use crate::{
    engine::Shared,
    retrieval::{self, Search, Weights},
    search::SearchTool,
};

/// For how many seconds from its beginning a run waits for files of its thread's store that are being
/// indexed. Counted from what is stored: whoever takes the run over does not begin to wait anew.
const PATIENCE_S: u32 = 60;
/// How soon it looks again meanwhile: another process may index them. Doubled each time, from the first
/// to the last.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Why a run can not search.
#[derive(Debug)]
pub(crate) enum Unsearchable {
    /// The time of the thread's store is over.
    Expired(VectorStoreId),
    /// The store failed.
    Store(loomgate_store::Error),
}

impl From<loomgate_store::Error> for Unsearchable {
    fn from(error: loomgate_store::Error) -> Self {
        Self::Store(error)
    }
}

/// What a run may search is used from now on, and does not expire meanwhile. Errors:
/// [`Unsearchable::Expired`] where the thread's store has expired already.
pub(crate) async fn begin(shared: &Shared, guard: &Guard, run: &Run) -> Result<(), Unsearchable> {
    let stores = shared.store.vector_stores();
    let mut used = Vec::new();
    let now = shared.clock.now();
    let of_thread = of_thread(shared, guard).await?;
    for id in &of_thread {
        let found = stores.get(&guard.ws, id).await?;
        if found.is_some_and(|store| store.has_expired(now)) {
            return Err(Unsearchable::Expired(id.clone()));
        }
    }
    for id in of_thread.into_iter().chain(of_run(run)) {
        if !used.contains(&id) {
            used.push(id);
        }
    }
    if !used.is_empty() {
        stores.touch(&guard.ws, used, now).await?;
    }
    Ok(())
}

/// Carries searches of a run out; gives the results of each.
pub(crate) async fn search(
    shared: &Shared,
    guard: &Guard,
    run: &Run,
    calls: &[FileSearchCall],
) -> Result<Vec<Vec<SearchResult>>, Unsearchable> {
    let stores = stores(shared, guard, run).await?;
    let most = SearchTool::of(run).map_or(0, |tool| tool.results);
    let mut found = Vec::with_capacity(calls.len());
    for call in calls {
        let search = Search {
            stores: stores.clone(),
            queries: call.queries.clone(),
            filter: None,
            ranking: ranking(call),
            weights: weights(call),
            most,
        };
        found.push(retrieval::search(shared, &guard.ws, search).await?);
    }
    Ok(found)
}

/// The options were checked when the tool was declared.
fn ranking(call: &FileSearchCall) -> RankingOptions {
    let options = &call.ranking_options;
    RankingOptions::new(&options.ranker, options.score_threshold).unwrap_or(RankingOptions {
        ranker: Ranker::Auto,
        score_threshold: 0.0,
    })
}

/// `hybrid_search` of a tool; one of before it was checked, without weights, leaves both the same.
fn weights(call: &FileSearchCall) -> Weights {
    let hybrid = call.ranking_options.hybrid_search.as_ref();
    let weight = |name: &str| {
        let weight = hybrid.and_then(|hybrid| hybrid.get(name)?.as_f64());
        weight.unwrap_or(1.0).max(0.0)
    };
    let weights = Weights {
        embedding: weight("embedding_weight"),
        text: weight("text_weight"),
    };
    if weights.embedding + weights.text > 0.0 {
        weights
    } else {
        Weights::default()
    }
}

/// The stores that can be searched. Those that are gone, and assistants' stores whose time is over, have
/// nothing; files of the thread's store that are being indexed are waited for.
async fn stores(
    shared: &Shared,
    guard: &Guard,
    run: &Run,
) -> Result<Vec<VectorStoreId>, Unsearchable> {
    let mut usable = Vec::new();
    let stores = shared.store.vector_stores();
    for id in of_run(run) {
        let found = stores.get(&guard.ws, &id).await?;
        let is_usable = found.is_some_and(|store| !store.has_expired(shared.clock.now()));
        if is_usable && !usable.contains(&id) {
            usable.push(id);
        }
    }
    let began = run.state.started_at().unwrap_or(run.created_at);
    let until = began.plus(PATIENCE_S);
    for id in of_thread(shared, guard).await? {
        if is_ready(shared, guard, &id, until).await? && !usable.contains(&id) {
            usable.push(id);
        }
    }
    Ok(usable)
}

/// Waits until nothing of a store is being indexed, or the time is over; meanwhile the run rests. False:
/// there is no such store.
async fn is_ready(
    shared: &Shared,
    guard: &Guard,
    id: &VectorStoreId,
    until: Timestamp,
) -> Result<bool, Unsearchable> {
    let (mut pause, longest) = LOOKS;
    let mut rest = None;
    loop {
        let now = shared.clock.now();
        let found = shared.store.vector_stores().get(&guard.ws, id).await?;
        match found.map(|store| store.status(now)) {
            None => return Ok(false),
            Some(VectorStoreStatus::Expired) => return Err(Unsearchable::Expired(id.clone())),
            Some(VectorStoreStatus::Completed) => return Ok(true),
            Some(VectorStoreStatus::InProgress) if now >= until => return Ok(true),
            Some(VectorStoreStatus::InProgress) => {}
        }
        rest.get_or_insert_with(|| shared.rest(guard));
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

/// The stores that a run was made with: those of its request, then those of its assistant.
fn of_run(run: &Run) -> impl Iterator<Item = VectorStoreId> {
    let assistants = run.settings.vector_stores.iter().cloned();
    let of_assistant = assistants.map(VectorStoreId::trusted);
    ids(&run.settings.tool_resources)
        .into_iter()
        .chain(of_assistant)
}

/// The stores that its thread names now.
async fn of_thread(shared: &Shared, guard: &Guard) -> Result<Vec<VectorStoreId>, Unsearchable> {
    let threads = shared.store.threads();
    let record = threads.get(&guard.ws, &guard.thread).await?;
    Ok(record
        .map(|thread| ids(&thread.tool_resources))
        .unwrap_or_default())
}

fn ids(resources: &ToolResources) -> Vec<VectorStoreId> {
    let ids = resources.vector_store_ids().iter();
    ids.map(|id| VectorStoreId::trusted(id.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use loomgate_domain::tool;
    use serde_json::json;

    use super::*;

    #[test]
    fn weights_are_those_of_the_tool_as_far_as_they_are_some() {
        for (hybrid, expected) in [
            (None, (1.0, 1.0)),
            (Some(json!({})), (1.0, 1.0)),
            (
                Some(json!({"embedding_weight": 0.5, "text_weight": 2})),
                (0.5, 2.0),
            ),
            (Some(json!({"text_weight": 0})), (1.0, 0.0)),
            (
                Some(json!({"embedding_weight": -1, "text_weight": 0})),
                (1.0, 1.0),
            ),
        ] {
            let call = FileSearchCall {
                block: 0,
                queries: Vec::new(),
                ranking_options: tool::RankingOptions {
                    hybrid_search: hybrid,
                    ..tool::RankingOptions::default()
                },
                results: None,
            };
            let Weights { embedding, text } = weights(&call);
            assert_eq!((embedding, text), expected);
        }
    }
}
