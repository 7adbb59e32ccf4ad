//! A block: some connections that send the same call again and again, for a while: each call right
//! after the answer to the last one, or at times that are fixed beforehand.
//!
//! The thread never sleeps: whoever writes to it need not wake it up, which on a virtual machine
//! costs as much as a relay's whole work and is nothing that a network would ask of it. It also
//! hits the fixed times to the microsecond.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::ensure;
use tokio::task::{JoinSet, yield_now};

use super::call::{Call, DIGITS, Numbered};
use crate::http::{Connection, encode_with};

/// Calls on a connection before anything is measured.
const WARM_UP: u64 = 3;

/// Where calls go.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    /// What it wants to be told besides, each with its end of line.
    pub(crate) headers: String,
}

/// How much at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) connections: u32,
    /// Calls in a second, all connections together; none: as many as there can be.
    pub(crate) pace: Option<u32>,
}

/// What came of a block.
pub(crate) struct Block {
    /// How long the calls took, in seconds; at a pace from the time that they were due.
    pub(crate) latencies: Vec<f64>,
    /// Calls, those before the measurement included.
    pub(crate) calls: u64,
}

/// Runs a block. An answer that is not the one that was due ends it with an error.
pub(crate) async fn run(
    destination: &Destination,
    call: Call,
    load: Load,
    length: Duration,
) -> anyhow::Result<Block> {
    let mut tasks = JoinSet::new();
    let mut awake = JoinSet::new();
    awake.spawn(async {
        loop {
            yield_now().await;
        }
    });
    let interval = load
        .pace
        .map(|pace| Duration::from_secs(1) * load.connections / pace);
    for which in 0..load.connections {
        let mut client = Client::open(destination, call, which).await?;
        let wait = interval.unwrap_or_default() * which / load.connections;
        tasks.spawn(async move {
            for _ in 0..WARM_UP {
                client.call().await?;
            }
            let mut latencies = Vec::new();
            let mut due = Instant::now() + wait;
            let until = Instant::now() + length;
            loop {
                let mut began = Instant::now();
                if let Some(interval) = interval {
                    while began < due {
                        yield_now().await;
                        began = Instant::now();
                    }
                    began = due;
                    due += interval;
                }
                if began >= until {
                    return anyhow::Ok(latencies);
                }
                client.call().await?;
                latencies.push(began.elapsed().as_secs_f64());
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        latencies.append(&mut ended??);
    }
    let calls = latencies.len() as u64 + WARM_UP * u64::from(load.connections);
    Ok(Block { latencies, calls })
}

/// One connection.
struct Client {
    connection: Connection,
    request: Numbered,
    answer: Numbered,
    number: u64,
}

/// Numbers of one connection: more than any block has calls.
const NUMBERS: u64 = 1_000_000_000;

impl Client {
    async fn open(destination: &Destination, call: Call, which: u32) -> anyhow::Result<Self> {
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
        })
    }

    async fn call(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let number = format!("{:0DIGITS$}", self.number);
        self.request.set(number.as_bytes());
        self.answer.set(number.as_bytes());
        let answer = self.connection.send(&self.request.bytes).await?;
        ensure!(answer == self.answer.bytes, "a wrong answer");
        Ok(())
    }
}
