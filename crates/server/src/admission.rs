//! How many requests a key and a workspace may have at the same time.

use std::sync::Arc;

use foldhash::HashMap;
use loomgate_domain::{ApiKeyId, WorkspaceId};
use loomgate_gateway::meter::Admitted;
use parking_lot::Mutex;

use crate::{config::Http, error::ApiError};

/// Counts the requests that are under way. An open stream is a request that is under way.
#[derive(Debug)]
pub struct Admission {
    counts: Arc<Mutex<Counts>>,
    per_key: usize,
    per_workspace: usize,
}

#[derive(Debug, Default)]
struct Counts {
    keys: HashMap<ApiKeyId, usize>,
    workspaces: HashMap<WorkspaceId, usize>,
}

/// A request that is under way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    key: ApiKeyId,
    workspace: WorkspaceId,
    counts: Arc<Mutex<Counts>>,
    /// The place in the key's own concurrency cap.
    place: Option<Admitted>,
}

impl Permit {
    /// Holds a place in the key's concurrency cap for as long as the request is under way.
    pub(crate) fn hold(&mut self, place: Admitted) {
        self.place = Some(place);
    }
}

impl Admission {
    /// With the limits of `[http]`.
    pub fn new(http: &Http) -> Self {
        Self {
            counts: Arc::default(),
            per_key: http.max_requests_per_key,
            per_workspace: http.max_requests_per_workspace,
        }
    }

    /// Counts a request, or answers 429.
    pub(crate) fn admit(
        &self,
        key: &ApiKeyId,
        workspace: &WorkspaceId,
    ) -> Result<Permit, ApiError> {
        let mut counts = self.counts.lock();
        let of_key = counts.keys.get(key).copied().unwrap_or(0);
        let of_workspace = counts.workspaces.get(workspace).copied().unwrap_or(0);
        if of_key >= self.per_key {
            return Err(too_many("API key", self.per_key));
        }
        if of_workspace >= self.per_workspace {
            return Err(too_many("workspace", self.per_workspace));
        }
        enter(&mut counts.keys, key);
        enter(&mut counts.workspaces, workspace);
        Ok(Permit {
            key: key.clone(),
            workspace: workspace.clone(),
            counts: Arc::clone(&self.counts),
            place: None,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        leave(&mut counts.keys, &self.key);
        leave(&mut counts.workspaces, &self.workspace);
    }
}

fn enter<K: std::hash::Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, name: &K) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.clone(), 1);
        }
    }
}

/// Names that have no request are forgotten, so the maps are as small as the traffic.
fn leave<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, name: &K) {
    match counts.get_mut(name) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            counts.remove(name);
        }
    }
}

fn too_many(whose: &str, limit: usize) -> ApiError {
    ApiError::too_many_requests(format!(
        "Too many requests at the same time: the limit of your {whose} is {limit}. Please retry \
         when one of them has ended."
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn admission(per_key: usize, per_workspace: usize) -> Admission {
        Admission::new(&Http {
            header_timeout: Duration::ZERO,
            body_timeout: Duration::ZERO,
            drain: Duration::ZERO,
            max_connections: 1,
            max_requests_per_key: per_key,
            max_requests_per_workspace: per_workspace,
        })
    }

    #[test]
    fn a_key_and_a_workspace_have_limits_of_their_own() {
        let admission = admission(1, 2);
        let workspace = WorkspaceId::trusted("ws_a");
        let [one, two, three] = ["key_1", "key_2", "key_3"].map(ApiKeyId::trusted);
        let first = admission.admit(&one, &workspace).unwrap();
        let refused = admission.admit(&one, &workspace).unwrap_err();
        assert!(
            refused.message().contains("API key is 1"),
            "{}",
            refused.message()
        );
        let second = admission.admit(&two, &workspace).unwrap();
        let refused = admission.admit(&three, &workspace).unwrap_err();
        assert!(
            refused.message().contains("workspace is 2"),
            "{}",
            refused.message()
        );
        assert!(
            admission
                .admit(&three, &WorkspaceId::trusted("ws_b"))
                .is_ok()
        );
        drop(first);
        assert!(admission.admit(&one, &workspace).is_ok());
        drop(second);
        assert!(admission.counts.lock().keys.is_empty());
        assert!(admission.counts.lock().workspaces.is_empty());
    }
}
