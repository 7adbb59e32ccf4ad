//! Accounts of callers with a credential of their own.

use std::collections::BTreeMap;

use loomgate_gateway::{Target, http_client::Trust};
use secrecy::{ExposeSecret, SecretString};

use crate::{account, app::Services, error::ApiError};

/// The account of a caller with a credential of its own: no limits but the key's, and public
/// addresses only.
pub(super) fn target(
    services: &Services,
    provider: &str,
    key: Option<&SecretString>,
    options: &BTreeMap<String, String>,
) -> Result<Target, ApiError> {
    if let Some(slug) = provider.strip_prefix('@') {
        return Err(ApiError::no_virtual_key(slug, "in the config"));
    }
    let secret = key.map(ExposeSecret::expose_secret);
    let identity = services.keyring.hex(secret.unwrap_or_default());
    let built = account::build(provider, key.cloned(), options)?;
    let mut target = Target::new(built.brand, built.brand, built.provider);
    target.identity = format!("own:{}:{identity}", built.brand).into();
    target.trust = Trust::Guarded;
    target.is_stored = false;
    Ok(target)
}
