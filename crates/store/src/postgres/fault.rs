//! What an error of PostgreSQL means for whoever gave it work.

use tokio_postgres::error::{DbError, SqlState};

use crate::Error;

/// What the server said, without its details: those may quote what was to be written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} (SQLSTATE {code})")]
pub(super) struct Refused {
    code: String,
    message: String,
}

impl From<&DbError> for Refused {
    fn from(error: &DbError) -> Self {
        Self {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
        }
    }
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is gone, or of no use any more.
    Lost,
    /// The server gave the transaction up in favour of another, or it wanted an extension that is gone:
    /// it may well succeed now.
    Conflict,
}

/// Whether an error is one of those that are not the job's fault.
pub(super) fn trouble(error: &tokio_postgres::Error) -> Option<Trouble> {
    let Some(code) = error.code() else {
        let cause = std::error::Error::source(error);
        let is_line = cause.is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
        return (is_line || error.is_closed()).then_some(Trouble::Lost);
    };
    match *code {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => {
            Some(Trouble::Conflict)
        }
        // A server that became a standby: the next connection goes to the one that did not.
        SqlState::READ_ONLY_SQL_TRANSACTION
        | SqlState::ADMIN_SHUTDOWN
        | SqlState::CRASH_SHUTDOWN
        | SqlState::CANNOT_CONNECT_NOW
        | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Some(Trouble::Lost),
        // 08: connection exceptions. 57P05: the session was idle for too long.
        _ if code.code().starts_with("08") || code.code() == "57P05" => Some(Trouble::Lost),
        _ => None,
    }
}

/// The store's word for an error of a statement.
pub(super) fn error(error: &tokio_postgres::Error) -> Error {
    match (trouble(error), error.as_db_error()) {
        (Some(Trouble::Lost), _) => Error::Unavailable(LOST),
        (_, Some(said)) => known(said.code()).unwrap_or_else(|| Error::driver(Refused::from(said))),
        (_, None) => Error::driver(Other(chain(error))),
    }
}

/// What a refusal means that has a word of its own. The transaction was undone.
fn known(code: &SqlState) -> Option<Error> {
    Some(match *code {
        SqlState::UNIQUE_VIOLATION => Error::Duplicate,
        // It took too long, or waited too long for what others had locked.
        SqlState::QUERY_CANCELED => Error::Unavailable(SLOW),
        SqlState::DISK_FULL => Error::Full,
        SqlState::OUT_OF_MEMORY | SqlState::TOO_MANY_CONNECTIONS => Error::Unavailable(SCARCE),
        _ => return None,
    })
}

/// What callers are told when the line broke.
pub(super) const LOST: &str = "the connection to the database was lost";

/// What they are told when a statement took longer than it may.
const SLOW: &str = "the database took too long";

/// What they are told when the server has too little of something that will be free again.
const SCARCE: &str = "the database has no memory or connection to spare";

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Other(String);

/// What is wrong, in words.
pub(super) fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => Refused::from(said).to_string(),
        None => chain(error),
    }
}

fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_what_is_scarce_and_from_defects() {
        let known = |code| known(&SqlState::from_code(code));
        assert!(matches!(known("53100"), Some(Error::Full)));
        for code in ["53200", "53300", "57014"] {
            assert!(matches!(known(code), Some(Error::Unavailable(_))), "{code}");
        }
        assert!(matches!(known("23505"), Some(Error::Duplicate)));
        for code in ["42P01", "53400", "XX000"] {
            assert!(known(code).is_none(), "{code}");
        }
    }
}
