//! Logs to stderr, and the metrics that `/metrics` shows.

mod line;

use std::{
    io::IsTerminal as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use foldhash::HashMap;
use loomgate_domain::Clock as _;
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::RwLock;
use tracing_subscriber::{
    Layer as _, filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::{
    clock::SystemClock,
    config::{Log, LogFormat},
};

/// Upper bounds of the duration histogram, in seconds: from a read of one row to a long stream's
/// first byte.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];

/// Libraries that write headers, and with them secrets, into their debug lines. They are never
/// heard below this level, whatever the filter says.
const QUIET: [(&str, tracing::Level); 6] = [
    ("h2", tracing::Level::WARN),
    ("hyper", tracing::Level::INFO),
    ("hyper_util", tracing::Level::INFO),
    ("reqwest", tracing::Level::INFO),
    ("rustls", tracing::Level::WARN),
    ("tower", tracing::Level::WARN),
];

/// Sets the process's logger. A second call changes nothing.
pub fn start_logging(log: &Log) {
    let filter = filter(log);
    let registry = tracing_subscriber::registry();
    let layer = fmt::layer().with_writer(std::io::stderr);
    // Fails only when there is a logger already.
    let _ = match log.format {
        LogFormat::Text if std::io::stderr().is_terminal() => {
            registry.with(layer.with_filter(filter)).try_init()
        }
        LogFormat::Text => {
            let layer = layer.event_format(line::Line::default());
            registry.with(layer.with_filter(filter)).try_init()
        }
        LogFormat::Json => {
            let layer = layer
                .json()
                .with_ansi(false)
                .flatten_event(true)
                .with_current_span(false);
            registry.with(layer.with_filter(filter)).try_init()
        }
    };
}

fn filter(log: &Log) -> Targets {
    // The config was checked, so the filter can be read.
    let wanted: Targets = log.level.parse().unwrap_or_default();
    let quiet = QUIET.map(|(target, most)| {
        let level = if wanted.would_enable(target, &most) {
            Some(most)
        } else {
            None
        };
        (target, tracing::level_filters::LevelFilter::from(level))
    });
    wanted.with_targets(quiet)
}

/// The numbers of this process. They are the process's, not an [`crate::App`]'s: recorders are
/// global.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    requests: Arc<Requests>,
}

/// What counts requests, by route, method and status: looking it up among all metrics costs more
/// than counting. As many as there are rows in `/metrics`.
type Requests = RwLock<HashMap<Box<str>, HashMap<(&'static str, u16), (Counter, Histogram)>>>;

impl Metrics {
    /// Starts recording, once.
    pub fn start() -> Self {
        static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
        let handle = HANDLE.get_or_init(|| {
            let recorder = recorder();
            let handle = recorder.handle();
            // Fails only when somebody else records; this handle then shows nothing.
            let _ = metrics::set_global_recorder(recorder);
            describe();
            handle
        });
        Self {
            handle: handle.clone(),
            requests: Arc::default(),
        }
    }

    /// Counts a request, and how long it took until its answer began.
    pub(crate) fn request(
        &self,
        method: &'static str,
        route: &str,
        status: u16,
        elapsed: Duration,
    ) {
        let count = |(counter, histogram): &(Counter, Histogram)| {
            counter.increment(1);
            histogram.record(elapsed.as_secs_f64());
        };
        {
            let requests = self.requests.read();
            let known = requests.get(route).and_then(|of| of.get(&(method, status)));
            if let Some(known) = known {
                return count(known);
            }
        }
        let label = || route.to_owned();
        let counter = metrics::counter!("loomgate_http_requests_total",
            "method" => method, "route" => label(), "status" => status.to_string());
        let histogram = metrics::histogram!("loomgate_http_request_duration_seconds",
            "method" => method, "route" => label());
        let mut requests = self.requests.write();
        let of_route = requests.entry(route.into()).or_default();
        count(
            of_route
                .entry((method, status))
                .or_insert((counter, histogram)),
        );
    }

    /// In the text format of Prometheus.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds samples into their histograms. Has to be called now and then, or they pile up.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn recorder() -> metrics_exporter_prometheus::PrometheusRecorder {
    let builder = PrometheusBuilder::new();
    let seconds = Matcher::Suffix("_seconds".to_owned());
    match builder.set_buckets_for_metric(seconds, &SECONDS) {
        Ok(builder) => builder.build_recorder(),
        // Only an empty list of buckets is refused.
        Err(_) => PrometheusBuilder::new().build_recorder(),
    }
}

fn describe() {
    metrics::describe_counter!(
        "loomgate_http_requests_total",
        "Requests that were answered."
    );
    metrics::describe_histogram!(
        "loomgate_http_request_duration_seconds",
        "Time until a request's answer began."
    );
    metrics::describe_gauge!("loomgate_open_streams", "Event streams that are open.");
    metrics::describe_gauge!(
        "process_start_time_seconds",
        "When the process began, in seconds since 1970."
    );
    // The value is exact for the next 285 million years.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    metrics::gauge!("process_start_time_seconds").set(SystemClock.now().0 as f64);
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn libraries_that_log_headers_stay_quiet() {
        let log = |level: &str| Log {
            format: LogFormat::Text,
            level: level.to_owned(),
        };
        let all = filter(&log("trace,h2=trace"));
        assert!(all.would_enable("loomgate_server", &Level::TRACE));
        assert!(!all.would_enable("h2::codec", &Level::DEBUG));
        assert!(!all.would_enable("hyper::proto", &Level::DEBUG));
        let errors = filter(&log("error"));
        assert!(!errors.would_enable("hyper", &Level::INFO));
    }
}
