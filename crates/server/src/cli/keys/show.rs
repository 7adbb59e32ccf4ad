//! `loomgate keys show`.

use std::io::Write;

use loomgate_domain::{Clock as _, WorkspaceId, key::ApiKey};
use loomgate_store::Store;
use serde_json::Value;

use super::{
    super::{Failure, limits, open, table},
    OneArgs, configured, find, shown,
};
use crate::clock::SystemClock;

pub(super) async fn run(args: &OneArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    let (_, store) = open(&config)?;
    let object = if let Some(key) = configured(&config, &args.key) {
        let workspace = WorkspaceId::trusted(format!("ws_{}", key.workspace));
        let mut object = shown::record_of_configured(&key.id(), &workspace, &key.settings);
        let id = key.id();
        limits::add(&store, &shown::holder(&id, &key.settings), &mut object).await?;
        Value::Object(object)
    } else {
        object(&store, &find(&config, &store, &args.key).await?).await?
    };
    store.close().await;
    table::object(out, &object)?;
    Ok(())
}

/// One of the store, as `GET /v1/api-keys/{id}` shows it.
pub(super) async fn object(store: &Store, key: &ApiKey) -> Result<Value, Failure> {
    let mut object = shown::record(key, SystemClock.now());
    limits::add(store, &shown::holder(&key.id, &key.settings), &mut object).await?;
    Ok(Value::Object(object))
}
