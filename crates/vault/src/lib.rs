//! Sealing of secrets that are kept in the database: provider keys of virtual keys.
//!
//! What it is: an authenticated cipher (XChaCha20-Poly1305) under versioned master keys, and the
//! text form of what was sealed.
//!
//! What it is not: it reads no file and makes no randomness; both come from the server. It does
//! not hash the keys of callers, which are never to be read again.
//!
//! Start at [`Vault::seal`]; then [`MasterKeys`] for the form of the key file.
//!
//! Invariant: what was sealed for one context opens in no other.
//! Invariant: whatever was changed after sealing does not open.
//! Invariant: after a rotation the old secrets still open, and new ones use the new key.
//! Invariant: neither keys nor secrets are in `Debug` output or errors.

mod keys;
mod vault;

pub use keys::{MasterKeys, MasterKeysError};
pub use vault::{OpenError, Vault};
