//! What is to change about a key, in the words of the admin API.

use std::io::{self, Read as _};

use clap::Args;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Failure;
use crate::{error::AdminError, http::admin::fields::Fields};

/// The most bytes of a change.
const LONGEST: u64 = 1024 * 1024;
const HELP: &str = "docs/gateway.md shows what it may say";

#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// JSON with the fields that are to change, as `PUT` takes them (docs/gateway.md); `null` takes
    /// one out; `-` reads it from the standard input
    #[arg(value_name = "JSON")]
    change: String,
}

impl ChangeArgs {
    /// Its fields. Every user of the machine can see the arguments of a program, so those may not
    /// hold a provider's key.
    pub(super) fn fields(&self) -> Result<Fields, Failure> {
        let mut text = Zeroizing::new(String::new());
        let is_seen = self.change != "-";
        if is_seen {
            text.push_str(&self.change);
        } else if let Err(error) = io::stdin().take(LONGEST).read_to_string(&mut text) {
            return Err(Failure::failed(
                format!("cannot read the change from the standard input: {error}"),
                HELP,
            ));
        }
        let change: Value = serde_json::from_str(&text)
            .map_err(|error| Failure::misused(format!("the change is no JSON: {error}"), HELP))?;
        if is_seen && change.get("key").is_some_and(Value::is_string) {
            return Err(Failure::misused(
                "others on this machine can see a `key` among the arguments".to_owned(),
                "`-` in their place reads the change from the standard input; rotate-key changes \
                 the key alone",
            ));
        }
        Ok(Fields::of_body(change)?)
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::misused(error.message().to_owned(), HELP)
    }
}
