//! Accounts of callers with a credential of their own.

use std::collections::BTreeMap;

use loomgate_gateway::{Target, config::is_host, http_client::Trust};
use secrecy::{ExposeSecret, SecretString};

use crate::{account, app::Services, error::ApiError};

/// The account of a caller with a credential of its own: no limits but the key's, and public
/// addresses only. Calls go to the custom host where there is one, so that a provider needs neither
/// an address nor a key beside it.
pub(super) fn target(
    services: &Services,
    provider: &str,
    key: Option<&SecretString>,
    (options, custom_host): (&BTreeMap<String, String>, Option<&str>),
) -> Result<Target, ApiError> {
    if let Some(slug) = provider.strip_prefix('@') {
        return Err(ApiError::no_virtual_key(slug, "in the config"));
    }
    let secret = key.map(ExposeSecret::expose_secret);
    let identity = services.keyring.hex(secret.unwrap_or_default());
    let mut options = options.clone();
    // What can be no host has a text of its own, where it is called.
    if let Some(host) = custom_host.filter(|host| is_host(host)) {
        options.insert("base_url".to_owned(), host.to_owned());
    }
    let built = account::build(provider, key.cloned(), &options)?;
    let mut target = Target::new(built.brand, built.brand, built.provider);
    target.identity = format!("own:{}:{identity}", built.brand).into();
    target.trust = Trust::Guarded;
    target.is_stored = false;
    Ok(target)
}
