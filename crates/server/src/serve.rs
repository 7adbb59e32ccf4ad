//! `loomgate serve`: from a configuration to a process that answers, and back.

mod banner;
mod connections;
mod socket;

use std::{io::Write, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

pub use connections::accept;

use crate::{
    app::App,
    config::Config,
    logbook::Scribe,
    start::{StartError, Started, start},
    sweeper, telemetry,
};

/// How often samples of metrics are folded.
const FOLD_METRICS: Duration = Duration::from_secs(5);

/// Serves until a signal comes, then ends in good order. `out` gets the address and, at a first
/// start, the API key.
pub async fn serve(config: Config, out: &mut dyn Write) -> Result<(), StartError> {
    telemetry::start_logging(&config.log);
    for note in &config.notes {
        tracing::info!("{note}");
    }
    let mut signals = Signals::new()?;
    let listener = bind(&config.listen).await?;
    let address = listener.local_addr()?;
    let started = start(config, address).await?;
    // Whoever started this may not care for what it prints.
    let _ = banner::write(out, &address, &started).and_then(|()| out.flush());
    let Started { app, scribe, .. } = started;
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "listening");

    let stop = CancellationToken::new();
    let served = run(listener, app, scribe, stop.clone());
    tokio::pin!(served);
    tokio::select! {
        result = &mut served => return result,
        name = signals.next() => {
            tracing::info!(signal = name, "stopping; a second signal stops at once");
            stop.cancel();
        }
    }
    tokio::select! {
        result = &mut served => result,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once");
            std::process::exit(1);
        }
    }
}

/// Listens on an address of the config.
pub async fn bind(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen {
            address: address.to_owned(),
            source,
        })
}

/// Serves until `stop`, then drains: requests and runs that are under way may end within
/// `http.drain_s`; runs that do not are resumed by the next process.
pub async fn run(
    listener: TcpListener,
    app: App,
    scribe: Scribe,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let grace = app.config.http.drain;
    let accepting = accept(listener, &app, stop.clone());
    let sweeping = async {
        if app.config.role.works() {
            sweeper::run(&app, stop.clone()).await;
        }
    };
    let folding = every(FOLD_METRICS, stop.clone(), || app.metrics.fold());
    // Streams end when the engine lets go of their runs.
    let engine = async {
        stop.cancelled().await;
        let (drained, indexed) = tokio::join!(app.engine.drain(grace), app.indexer.drain());
        if indexed? > 0 {
            tracing::info!("files that were being indexed are left to the next process");
        }
        drained
    };
    // The logbook is written until the last request and the last run have told their end.
    let quiet = CancellationToken::new();
    let services = (app.store.clone(), std::sync::Arc::clone(&app.gateway));
    let writing = scribe.run(services, std::sync::Arc::clone(&app.clock), quiet.clone());
    let working = async {
        let ((), (), (), drained) = tokio::join!(accepting, folding, sweeping, engine);
        quiet.cancel();
        drained
    };
    let (drained, ()) = tokio::join!(working, writing);
    let left = drained?;
    app.store.clone().close().await;
    tracing::info!(runs_left = left, "stopped");
    Ok(())
}

async fn every(period: Duration, stop: CancellationToken, work: impl Fn()) {
    let work = async {
        loop {
            tokio::time::sleep(period).await;
            work();
        }
    };
    stop.run_until_cancelled(work).await;
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
