//! A request that got no answer.

use std::{error::Error as _, io};

use hyper_util::client::legacy;

use crate::egress::Refusal;

/// Why a request got no answer. The texts have no URL, no header and no byte of a body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The host may not be called.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// No connection could be made, or it was gone before the request was begun.
    #[error("no connection: {0}")]
    Connect(String),
    /// No connection was made in time: looking up the name and the TLS handshake included.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The name could not be looked up.
    #[error("the name was not found: {0}")]
    Dns(String),
    /// The server did not prove who it is, or speaks no TLS; the log has its words.
    #[error("the TLS handshake failed")]
    Tls,
    /// The connection broke, or the server does not speak HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl SendError {
    /// Whether the server may have seen the request, so that sending it again may do things twice.
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Refused(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Dns(_)
            | Self::Tls => false,
            Self::Broken(_) => true,
        }
    }

    pub(super) fn of_client(error: &legacy::Error) -> Self {
        if error.is_connect() {
            let mut cause = error.source();
            while let Some(source) = cause {
                if let Some(known) = source.downcast_ref::<Self>() {
                    return known.clone();
                }
                cause = source.source();
            }
        }
        let cause = error.source().and_then(|source| source.downcast_ref());
        // Without a connection, or given back by it unread: nothing was written.
        let unsent = error.connect_info().is_none() || cause.is_some_and(hyper::Error::is_canceled);
        let text = words(error, cause);
        if unsent {
            Self::Connect(text)
        } else {
            Self::Broken(text)
        }
    }
}

/// The client's and the system's own words; what the server or the body had to say stays out.
fn words(error: &legacy::Error, cause: Option<&hyper::Error>) -> String {
    let Some(cause) = cause else {
        return error.to_string();
    };
    let system = cause
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match system {
        Some(system) => format!("{cause}: {}", system.kind()),
        None => cause.to_string(),
    }
}
