//! One connection that makes the same call again and again, each time with another number.

use std::net::SocketAddr;

use anyhow::ensure;
use serde_json::Value;

use super::call::{Call, DIGITS, Numbered};
use crate::{
    frame::load::Caller,
    http::{Connection, encode_with},
};

/// Where calls go.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    /// What it wants to be told besides, each with its end of line.
    pub(crate) headers: String,
    /// Whether it writes answers anew: what they mean is compared then, not their bytes.
    pub(crate) rewrites: bool,
}

/// One connection.
pub(crate) struct Client {
    connection: Connection,
    request: Numbered,
    answer: Numbered,
    number: u64,
    rewrites: bool,
}

/// Numbers of one connection: more than any block has calls.
const NUMBERS: u64 = 1_000_000_000;

impl Client {
    pub(crate) async fn open(
        destination: &Destination,
        call: Call,
        which: u32,
    ) -> anyhow::Result<Self> {
        let body = call.request();
        let text = std::str::from_utf8(&body.bytes)?;
        let Destination { headers, key, .. } = destination;
        let bytes = encode_with(headers, "POST", call.path(), key, text);
        let head = bytes.len() - body.bytes.len();
        Ok(Self {
            connection: Connection::open(destination.address).await?,
            request: Numbered {
                bytes,
                number: head + body.number.start..head + body.number.end,
            },
            answer: call.answer(),
            number: u64::from(which) * NUMBERS,
            rewrites: destination.rewrites,
        })
    }
}

impl Caller for Client {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let number = format!("{:0DIGITS$}", self.number);
        self.request.set(number.as_bytes());
        self.answer.set(number.as_bytes());
        let answer = self.connection.send(&self.request.bytes).await?;
        let is_right = answer == self.answer.bytes
            || self.rewrites && says_the_same(answer, &self.answer.bytes);
        ensure!(is_right, "a wrong answer");
        Ok(())
    }
}

/// Whether two chat completions have the same id and words.
fn says_the_same(one: &[u8], other: &[u8]) -> bool {
    let read = |bytes| {
        let answer: Value = serde_json::from_slice(bytes).ok()?;
        let words = answer["choices"][0]["message"]["content"].as_str()?;
        Some((answer["id"].as_str()?.to_owned(), words.to_owned()))
    };
    let one = read(one);
    one.is_some() && one == read(other)
}
