//! A proxy between servers and their PostgreSQL that breaks lines. Which fault a connection meets,
//! and after how many bytes, follows from the seed and its number; none while it is calm.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use loomgate_bench::statistics::Dice;
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream, unix},
    sync::watch,
    task::JoinSet,
};

use crate::line::{FAULTS, Fault};

/// Serves until it is dropped.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    seed: u64,
    socket: PathBuf,
    is_calm: watch::Sender<bool>,
    /// Those that came so far.
    connections: AtomicU64,
    kinds: [AtomicU64; FAULTS.len()],
}

impl Proxy {
    /// On a free port, before the server at `socket`. It is calm at first.
    pub(crate) async fn start(socket: &Path, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            seed,
            socket: socket.to_owned(),
            is_calm: watch::Sender::new(true),
            connections: AtomicU64::new(0),
            kinds: Default::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self {
            port,
            shared,
            _serving: serving,
        })
    }

    /// From now on lines break.
    pub(crate) fn storm(&self) {
        self.shared.is_calm.send_replace(false);
    }

    /// From now on no line breaks; those that were half open end.
    pub(crate) fn calm(&self) {
        self.shared.is_calm.send_replace(true);
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many faults of each kind there were.
    pub(crate) fn kinds(&self) -> [u64; FAULTS.len()] {
        self.shared
            .kinds
            .each_ref()
            .map(|kind| kind.load(Ordering::Relaxed))
    }
}

/// A fifth of all connections breaks at some time: within the handshake, or within what servers do
/// on them in a few seconds.
fn draw(seed: u64, number: u64) -> Option<Fault> {
    let mut dice = Dice::new(seed ^ (number << 24));
    let bytes = 1 << (6 + dice.below(13));
    let after = bytes + dice.below(bytes);
    (dice.below(5) == 0).then(|| Fault::draw(&mut dice, after))
}

impl Shared {
    fn is_calm(&self) -> bool {
        *self.is_calm.borrow()
    }

    /// Waits until it is calm.
    async fn calm(&self) {
        // It is there as long as this is.
        let _ = self.is_calm.subscribe().wait_for(|is_calm| *is_calm).await;
    }

    fn count(&self, fault: Fault) {
        self.kinds[fault.index()].fetch_add(1, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // Either end may go away at any time.
            let _ = pass_on(client, &shared).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn pass_on(mut client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let number = shared.connections.fetch_add(1, Ordering::Relaxed);
    let fault = draw(shared.seed, number);
    let mut server = UnixStream::connect(&shared.socket).await?;
    let (mut answers, mut requests) = server.split();
    let end = {
        let (mut said, mut heard) = client.split();
        let there = async {
            io::copy(&mut said, &mut requests).await?;
            requests.shutdown().await?;
            Ok(None)
        };
        tokio::select! {
            ended = there => ended,
            ended = back(&mut answers, &mut heard, fault, shared) => ended,
        }
    };
    if let Some(end) = end? {
        tokio::select! {
            befallen = end.befall(&client) => befallen?,
            () = shared.calm() => {}
        }
    }
    Ok(())
}

/// Hands answers on, until the line breaks.
async fn back(
    answers: &mut unix::ReadHalf<'_>,
    heard: &mut (impl io::AsyncWrite + Unpin),
    fault: Option<Fault>,
    shared: &Shared,
) -> io::Result<Option<crate::line::End>> {
    let (mut buffer, mut passed) = (Vec::with_capacity(64 * 1024), 0);
    if fault == Some(Fault::SlowDrip) && !shared.is_calm() {
        shared.count(Fault::SlowDrip);
    }
    loop {
        buffer.clear();
        if answers.read_buf(&mut buffer).await? == 0 {
            return Ok(None);
        }
        match fault.filter(|_| !shared.is_calm()) {
            Some(fault) => {
                let end = fault.pass(heard, passed, &buffer).await?;
                if end.is_some() {
                    shared.count(fault);
                    return Ok(end);
                }
            }
            None => heard.write_all(&buffer).await?,
        }
        passed += buffer.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_faults() {
        let drawn: Vec<_> = (0..500).map(|number| draw(3, number)).collect();
        assert!(
            (0..500)
                .map(|number| draw(3, number))
                .eq(drawn.iter().copied())
        );
        let broken = drawn.iter().flatten().count();
        assert!((70..130).contains(&broken), "{broken}");
        assert_ne!(
            drawn,
            (0..500).map(|number| draw(4, number)).collect::<Vec<_>>()
        );
    }
}
