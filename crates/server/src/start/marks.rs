//! Whether this process has the keys that the database was written with: API keys are found by a
//! hash under the hash key, secrets are sealed with the master key. With others, every caller would be a
//! stranger and no secret could be opened.

use loomgate_store::Store;
use loomgate_vault::Vault;
use secrecy::ExposeSecret as _;

use super::{Foundation, StartError};

const HASH_KEY: &str = "hash_key";
const MASTER_KEY: &str = "master_key";
/// What is hashed and sealed for the marks.
const TEXT: &str = "loomgate";
/// What the mark of the master key is sealed for.
const CONTEXT: &str = "mark";

/// Errors where the database's API keys were hashed with another hash key. The first process to come
/// says which one it is.
pub(crate) async fn expect_hash_key(
    foundation: &Foundation,
    store: &Store,
) -> Result<(), StartError> {
    let own = foundation.hasher.hex(TEXT);
    if store.marks().keep(HASH_KEY, own.clone()).await? == own {
        return Ok(());
    }
    Err(StartError::OtherKey("hash key"))
}

/// Errors where the database's secrets were sealed with another master key.
pub(crate) async fn expect_master_key(
    foundation: &Foundation,
    store: &Store,
    vault: &Vault,
) -> Result<(), StartError> {
    let mark = sealed(foundation, vault);
    let kept = store.marks().keep(MASTER_KEY, mark).await?;
    match vault.open(CONTEXT, &kept) {
        Ok(text) if text.expose_secret() == TEXT => Ok(()),
        Ok(_) | Err(_) => Err(StartError::OtherKey("master key")),
    }
}

/// Seals the mark anew, with the newest master key.
pub(crate) async fn reseal(
    foundation: &Foundation,
    store: &Store,
    vault: &Vault,
) -> Result<(), StartError> {
    let mark = sealed(foundation, vault);
    Ok(store.marks().replace(MASTER_KEY, mark).await?)
}

/// Makes this process's keys the database's.
pub(crate) async fn adopt(
    foundation: &Foundation,
    store: &Store,
    vault: &Vault,
) -> Result<(), StartError> {
    let mark = foundation.hasher.hex(TEXT);
    store.marks().replace(HASH_KEY, mark).await?;
    reseal(foundation, store, vault).await
}

fn sealed(foundation: &Foundation, vault: &Vault) -> String {
    vault.seal(CONTEXT, TEXT, &mut |bytes| foundation.ids.fill(bytes))
}
