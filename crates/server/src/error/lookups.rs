//! Ids, cursors and names that lead nowhere (contract section 2.2).

use loomgate_domain::{FileId, Id, IdKind, VectorStoreId};
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

    /// 404: a file that is not in a vector store.
    pub fn not_in_store(file: &FileId, store: &VectorStoreId) -> Self {
        Self::missing(format!(
            "No file found with id '{file}' in vector store '{store}'."
        ))
    }

    /// 400: a vector store whose time is over.
    pub fn expired(store: &VectorStoreId) -> Self {
        Self::invalid(format!("Vector store '{store}' has expired."))
    }

    /// 400: a vector store that would hold more files than it may.
    pub fn store_full() -> Self {
        Self::invalid("The vector store holds as many files as it may.").code("vector_store_full")
    }

    /// 400: files that a message, an assistant or a thread names, and that are not there.
    pub fn no_such_files(ids: &[impl AsRef<str>]) -> Self {
        let ids: Vec<_> = ids.iter().map(|id| format!("'{}'", id.as_ref())).collect();
        Self::invalid(format!("File IDs [{}] were not found.", ids.join(", ")))
    }

    /// 400: a virtual key that nobody knows. Which ones there are is not told to whoever guesses.
    pub fn no_virtual_key(slug: &str, whose: &str) -> Self {
        Self::invalid(format!("Unknown virtual key {whose}: '{slug}'."))
            .param("x-portkey-virtual-key")
            .code("invalid_virtual_key")
    }

    /// 400: a config that is neither JSON nor the slug of a saved one.
    pub fn no_config(slug: &str) -> Self {
        Self::invalid(format!(
            "Invalid config passed. You need to pass a valid json, or the slug of a saved config: \
             there is no config '{slug}'."
        ))
        .param("x-portkey-config")
        .code("invalid_config")
    }
}
