//! The admin API: virtual keys, API keys, configs, logs, graphs and feedback, on Portkey's paths
//! (contract portkey.md sections 7 and 8), so that its official SDKs drive them as they are.
//!
//! Every handler acts in one workspace, that of its [`tenant::Tenant`]. Bodies and queries are
//! strict: what nobody acts on is refused by name. The command line changes and shows keys with the
//! same readers and writers. Errors have both Portkey's form and the usual
//! one ([`crate::error::AdminError`]).
//!
//! Invariant: no answer holds a provider's key, nor an API key but the one that it has just made.
//! Invariant: nobody makes, changes, rotates or revokes a key that may do what they may not.
//! Invariant: a stored provider key only goes to an address that came with it.

pub(crate) mod allowance;
mod analytics;
pub(crate) mod api_keys;
mod configs;
mod feedback;
pub(crate) mod fields;
mod logs;
mod moment;
mod path;
mod query;
mod reply;
mod slug;
mod tenant;
pub(crate) mod virtual_keys;

use super::access::Routes;
use crate::error::{AdminError, ApiError};

/// How often a change is made anew because somebody else's came between. In each round one of those
/// who contend is through.
const CONTENDERS: usize = 64;

/// 409: it was changed by others each time.
fn contended() -> AdminError {
    ApiError::conflict("It is being changed by many others at the same time: try again.").into()
}

/// The routes of the admin API.
pub fn routes() -> Routes {
    Routes::default()
        .merge(virtual_keys::routes())
        .merge(api_keys::routes())
        .merge(configs::routes())
        .merge(logs::routes())
        .merge(analytics::routes())
        .merge(feedback::routes())
}
