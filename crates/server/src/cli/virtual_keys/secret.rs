//! A provider's key on its way in: never as an argument, which every user of the machine can see.

use std::io::{self, Read as _};

use clap::Args;
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Failure;
use crate::{auth::key, config::Environment};

/// The most characters of a provider's key.
const LONGEST: usize = 4096;

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// The environment variable that holds the provider's key
    #[arg(long, value_name = "NAME")]
    key_env: Option<String>,
    /// Read the provider's key from the standard input
    #[arg(long, conflicts_with = "key_env")]
    key_stdin: bool,
}

impl SecretArgs {
    /// The key, where one is given.
    pub(super) fn read(&self) -> Result<Option<SecretString>, Failure> {
        if let Some(name) = &self.key_env {
            let environment = Environment::of_process();
            let Some(key) = environment.get(name) else {
                return Err(Failure::misused(
                    format!("--key-env: the environment variable {name} is not set"),
                    "it has to hold the provider's key",
                ));
            };
            return checked(key).map(Some);
        }
        if !self.key_stdin {
            return Ok(None);
        }
        let mut text = Zeroizing::new(String::with_capacity(LONGEST + 2));
        let read = io::stdin()
            .take(LONGEST as u64 + 2)
            .read_to_string(&mut text);
        match read {
            Ok(_) => checked(text.trim()).map(Some),
            Err(error) => Err(Failure::failed(
                format!("--key-stdin: {error}"),
                "the provider's key is read from there",
            )),
        }
    }
}

fn checked(key: &str) -> Result<SecretString, Failure> {
    let is_key =
        (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_key {
        return Err(Failure::misused(
            format!("the provider's key has to be 1 to {LONGEST} visible ASCII characters"),
            "a blank or a line break within it is a mistake of copying",
        ));
    }
    if key.starts_with(key::PREFIX) {
        return Err(Failure::misused(
            "this is an API key of Loomgate, not a provider's".to_owned(),
            "the provider's console shows its keys",
        ));
    }
    Ok(SecretString::from(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_key_is_taken() {
        assert!(checked("sk-abc").is_ok());
        assert!(checked(&"k".repeat(LONGEST)).is_ok());
        for text in [
            "",
            "sk abc",
            "sk-\u{e9}",
            "sk-a\nsk-b",
            &"k".repeat(LONGEST + 1),
        ] {
            let told = checked(text).unwrap_err().message;
            assert!(told.contains("visible ASCII"), "{told}");
        }
        let told = checked("lg-abcdef").unwrap_err().message;
        assert!(told.contains("API key of Loomgate"), "{told}");
    }
}
