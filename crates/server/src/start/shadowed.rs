//! What stands in the database by a name that the config file has, too.

use loomgate_store::{Error, Store};

use crate::config::Config;

/// Tells the log of virtual keys and configs that are out of use, because the config file has others
/// of the same name, which count.
pub(super) async fn warn(config: &Config, store: &Store) -> Result<(), Error> {
    for (workspace, slug) in store.virtual_keys().slugs().await? {
        if config.virtual_keys.get(&slug).is_some() {
            tracing::warn!(
                %workspace,
                slug,
                "a virtual key of the database is out of use: [virtual_keys] of the config file has \
                 one of the same name; give one of them another"
            );
        }
    }
    for (workspace, slug) in store.configs().slugs().await? {
        if config.saved_configs.contains_key(&slug) {
            tracing::warn!(
                %workspace,
                slug,
                "a config of the database is out of use: [configs] of the config file has one of the \
                 same name; give one of them another"
            );
        }
    }
    Ok(())
}
