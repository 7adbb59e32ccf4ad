//! Where a run searches: the stores of its assistant, of the request that made it, and of its thread
//! (contract sections 7.3 and 8.3).

use std::time::Duration;

use loomgate_domain::{
    Run, ThreadId, VectorStoreId, WorkspaceId,
    run::{FileSearchCall, SearchResult},
    tool::ToolResources,
    vector_store::VectorStoreStatus,
};
use loomgate_search::fuse::{Ranker, RankingOptions};
use tokio::time::Instant;

use crate::{
    engine::Shared,
    retrieval::{self, Search},
    search::SearchTool,
};

/// How long a run waits for files of its thread's store that are being indexed.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it looks meanwhile.
const LOOK: Duration = Duration::from_millis(200);

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

/// Carries searches of a run out; gives the results of each.
pub(crate) async fn search(
    shared: &Shared,
    (workspace, thread): (&WorkspaceId, &ThreadId),
    run: &Run,
    calls: &[FileSearchCall],
) -> Result<Vec<Vec<SearchResult>>, Unsearchable> {
    let stores = stores(shared, (workspace, thread), run).await?;
    let most = SearchTool::of(run).map_or(0, |tool| tool.results);
    let mut found = Vec::with_capacity(calls.len());
    for call in calls {
        let search = Search {
            stores: stores.clone(),
            queries: call.queries.clone(),
            filter: None,
            ranking: ranking(call),
            most,
        };
        found.push(retrieval::search(&shared.store, workspace, search).await?);
    }
    if !stores.is_empty() {
        let now = shared.clock.now();
        shared
            .store
            .vector_stores()
            .touch(workspace, stores, now)
            .await?;
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

/// The stores that can be searched. Those that are gone, and assistants' stores whose time is over, have
/// nothing; files of the thread's store that are being indexed are waited for.
async fn stores(
    shared: &Shared,
    (workspace, thread): (&WorkspaceId, &ThreadId),
    run: &Run,
) -> Result<Vec<VectorStoreId>, Unsearchable> {
    let own = ids(&run.settings.tool_resources);
    let of_assistant = run
        .settings
        .vector_stores
        .iter()
        .cloned()
        .map(VectorStoreId::trusted);
    let record = shared.store.threads().get(workspace, thread).await?;
    let of_thread = record
        .map(|thread| ids(&thread.tool_resources))
        .unwrap_or_default();
    let mut stores = Vec::new();
    for id in own.into_iter().chain(of_assistant) {
        let found = shared.store.vector_stores().get(workspace, &id).await?;
        let is_usable = found.is_some_and(|store| !store.has_expired(shared.clock.now()));
        if is_usable && !stores.contains(&id) {
            stores.push(id);
        }
    }
    let until = Instant::now() + PATIENCE;
    for id in of_thread {
        loop {
            let found = shared.store.vector_stores().get(workspace, &id).await?;
            match found.map(|store| store.status(shared.clock.now())) {
                None => break,
                Some(VectorStoreStatus::Expired) => return Err(Unsearchable::Expired(id)),
                Some(VectorStoreStatus::InProgress) if Instant::now() < until => {
                    tokio::time::sleep(LOOK).await;
                }
                Some(VectorStoreStatus::InProgress | VectorStoreStatus::Completed) => {
                    if !stores.contains(&id) {
                        stores.push(id);
                    }
                    break;
                }
            }
        }
    }
    Ok(stores)
}

fn ids(resources: &ToolResources) -> Vec<VectorStoreId> {
    let stores = resources.file_search.iter();
    let ids = stores.flat_map(|resources| resources.vector_store_ids.iter().cloned());
    ids.map(VectorStoreId::trusted).collect()
}
