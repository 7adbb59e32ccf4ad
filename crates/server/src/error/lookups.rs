//! Ids, cursors and names that lead nowhere (contract section 2.2).

use loomgate_domain::{Id, IdKind};
use loomgate_wire::Problem;

use super::ApiError;

impl ApiError {
    /// 404: `No thread found with id 'thread_abc'.`
    pub fn not_found<K: IdKind>(id: &Id<K>) -> Self {
        Self::missing(format!("No {} found with id '{id}'.", K::NOUN))
    }

    /// 400: a cursor of a list that names nothing in it. `noun` is what the list holds.
    pub fn no_such_cursor(noun: &str, id: &str) -> Self {
        Self::invalid(format!("No {noun} found with id '{id}'."))
    }

    /// 400: `Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.`
    pub fn invalid_id(param: &'static str, value: &str, expected: &str) -> Self {
        Problem::invalid_id(param, value, expected).into()
    }

    /// 400: a path that is not UTF-8 once it is decoded.
    pub fn bad_path(cause: &str) -> Self {
        Self::invalid(format!("The URL of your request can not be read: {cause}."))
    }

    /// 400: files that a message names; this release keeps none.
    pub fn no_such_files(ids: &[&str]) -> Self {
        let ids: Vec<_> = ids.iter().map(|id| format!("'{id}'")).collect();
        Self::invalid(format!("File IDs [{}] were not found.", ids.join(", ")))
    }

    /// 404: `The model 'x' does not exist`
    pub fn no_such_model(name: &str) -> Self {
        Self::missing(format!("The model '{name}' does not exist"))
            .param("model")
            .code("model_not_found")
    }

    /// 403: models belong to their providers.
    pub fn model_not_deletable(name: &str) -> Self {
        Self::forbidden(format!(
            "The model '{name}' can not be deleted: it is not yours."
        ))
        .param("model")
    }

    /// 400: a virtual key that the config does not have.
    pub fn no_virtual_key(name: &str) -> Self {
        Self::invalid(format!("The virtual key '{name}' is not configured."))
            .code("invalid_virtual_key")
    }

    /// A provider that did not answer a call of the client's own (not of a run). The message is
    /// the provider's; it holds no header and no key.
    pub fn provider(error: &loomgate_gateway::Error) -> Self {
        use loomgate_gateway::Who;
        match error.who {
            Who::Upstream | Who::Network => {
                Self::upstream(format!("The provider failed: {}", error.message))
            }
            Who::Timeout => Self::upstream_timeout("The provider did not answer in time."),
            Who::Local => Self::internal(error),
        }
    }
}
