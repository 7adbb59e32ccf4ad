//! Where a call may go: the one guard that every way out crosses.
//!
//! What it is: the rule which addresses are public ([`is_public`]), the operator's exceptions to
//! it ([`Exceptions`]), the check of a host that a caller named ([`check_url`]), and the connector
//! that resolves a name once, checks every address it got, and connects to one of these very
//! addresses. [`crate::http_client`] is the only user of the connector.
//!
//! What it is not: it does not decide whose secret goes along; that is decided where a request is
//! made. Networks that translate addresses with a prefix of their own (NAT64 other than
//! `64:ff9b::/96`) are not known to it.
//!
//! Invariant: a guarded connection goes to an address that was checked, never to a second answer
//! of the resolver.
//! Invariant: one forbidden address among a host's addresses refuses the host.
//! Invariant: this server's own addresses are refused, whatever the exceptions say.

mod address;
mod custom_host;
mod dial;
mod exceptions;
mod guard;
mod resolve;
pub(crate) mod tls;

pub(crate) use self::dial::{Connector, Dial};
pub use self::{
    address::is_public,
    custom_host::{InvalidHost, check_url},
    exceptions::Exceptions,
    guard::{Guard, Refusal},
    resolve::{Resolve, SystemResolver},
};
