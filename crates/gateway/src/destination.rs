//! The address that a caller named instead of the provider's own, when it may be called.

use url::Url;

use crate::{
    egress::{self, Exceptions},
    plan::Way,
};

/// Why it may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WrongHost {
    /// The credential is kept here, and is for its own address.
    #[error(
        "A stored credential only goes to its own address: leave out the custom host, or send a \
         credential of your own."
    )]
    Stored,
    /// It is no address that anybody may call.
    #[error("Invalid custom host")]
    Invalid,
}

impl WrongHost {
    /// The code of the error.
    pub(crate) fn code(self) -> Option<&'static str> {
        match self {
            Self::Stored => Some("custom_host_not_allowed"),
            Self::Invalid => None,
        }
    }
}

/// The address that the headers or the config of a call name; `None`: the account's own is meant.
pub(crate) fn custom_host(way: Way<'_>, exceptions: &Exceptions) -> Result<Option<Url>, WrongHost> {
    let Some(host) = &way.leaf.rules.custom_host else {
        return Ok(None);
    };
    if way.target.is_stored {
        return Err(WrongHost::Stored);
    }
    egress::check_url(host, exceptions)
        .map(Some)
        .map_err(|_| WrongHost::Invalid)
}
