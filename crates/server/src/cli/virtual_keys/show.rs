//! `loomgate virtual-keys show`.

use std::io::Write;

use loomgate_domain::virtual_key::VirtualKey;
use loomgate_store::Store;
use serde_json::Value;

use super::{
    super::{Failure, limits, open, table},
    OneArgs, find, shown,
};

pub(super) async fn run(args: &OneArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let config = args.config.load()?;
    let (_, store) = open(&config)?;
    let object = if let Some(key) = config.virtual_keys.get(&args.slug) {
        let mut object = shown::record_of_configured(&args.slug, key);
        let holder = shown::holder_of_configured(&args.slug, key);
        limits::add(&store, &holder, &mut object).await?;
        Value::Object(object)
    } else {
        object(&store, &find(&config, &store, args).await?).await?
    };
    store.close().await;
    table::object(out, &object)?;
    Ok(())
}

/// One of the store, as `GET /v1/virtual-keys/{slug}` shows it.
pub(super) async fn object(store: &Store, key: &VirtualKey) -> Result<Value, Failure> {
    let mut object = shown::record(key);
    limits::add(store, &shown::holder(key), &mut object).await?;
    Ok(Value::Object(object))
}
