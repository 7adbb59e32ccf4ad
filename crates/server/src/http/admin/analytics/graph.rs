//! Graphs: a figure per stretch of time, and one of the whole.

use loomgate_domain::WorkspaceId;
use loomgate_store::{FeedbackPoint, Figure, GraphPoint, GraphQuery, LogFilter, Measure};
use serde_json::{Map, Value, json};

use super::{
    super::{allowance::dollars, moment},
    Span,
};
use crate::{
    app::App,
    error::{AdminError, ApiError},
};

/// Lengths of a stretch, in milliseconds: 1, 5, 15 minutes; 1, 6 hours; 1, 7, 30 days.
const STEPS: [i64; 8] = [
    60_000,
    300_000,
    900_000,
    3_600_000,
    21_600_000,
    86_400_000,
    604_800_000,
    2_592_000_000,
];
/// The points that a graph has about, at most, as long as there is a step for it.
const POINTS: i64 = 100;

macro_rules! kinds {
    ($($kind:ident = $name:literal;)*) => {
        /// A graph, by its path.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind {
            $(#[doc = $name] $kind,)*
        }

        const KINDS: &[(&str, Kind)] = &[$(($name, Kind::$kind)),*];
    };
}

kinds! {
    Requests = "requests";
    Cost = "cost";
    Latency = "latency";
    Tokens = "tokens";
    Users = "users";
    UserRequests = "users/requests";
    Errors = "errors";
    ErrorRate = "errors/rate";
    ErrorCodes = "errors/status-codes";
    Rescued = "requests/rescued";
    CacheHits = "cache/hit-rate";
    CacheLatency = "cache/latency";
    Feedbacks = "feedbacks";
    FeedbackScores = "feedbacks/scores";
    WeightedFeedback = "feedbacks/weighted";
}

/// What Portkey's Node SDK calls some of them.
const ALIASES: [(&str, &str); 7] = [
    ("users-requests", "users/requests"),
    ("errors-rate", "errors/rate"),
    ("errors-status-code", "errors/status-codes"),
    ("requests-rescued", "requests/rescued"),
    ("cache-hit-rate", "cache/hit-rate"),
    ("cache-latency", "cache/latency"),
    ("feedbacks/score", "feedbacks/scores"),
];

impl Kind {
    /// The graph of a path below `/v1/analytics/graphs/`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = alias.map_or(name, |(_, name)| name);
        let found = KINDS.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind)
    }

    /// All paths, in one line.
    pub(super) fn names() -> String {
        KINDS
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// What the records are asked for; `None`: it is feedback.
    fn measure(self) -> Option<Measure> {
        match self {
            Self::Requests => Some(Measure::Requests),
            Self::Cost => Some(Measure::Cost),
            Self::Latency | Self::CacheLatency => Some(Measure::Latency),
            Self::Tokens => Some(Measure::Tokens),
            Self::Users | Self::UserRequests => Some(Measure::Users),
            Self::Errors | Self::ErrorRate => Some(Measure::Errors),
            Self::ErrorCodes => Some(Measure::StatusCodes),
            Self::Rescued => Some(Measure::Rescued),
            Self::CacheHits => Some(Measure::CacheHits),
            Self::Feedbacks | Self::FeedbackScores | Self::WeightedFeedback => None,
        }
    }
}

/// `{"summary":{..},"data_points":[{"timestamp",..}],"object":"analytics-graph"}`
pub(super) async fn draw(
    app: &App,
    workspace: &WorkspaceId,
    kind: Kind,
    span: Span,
) -> Result<Value, AdminError> {
    let step = step(span.to_ms - span.from_ms);
    let start = span.from_ms.div_euclid(step) * step;
    let (points, summary) = match kind.measure() {
        Some(measure) => of_records(app, workspace, kind, measure, (&span, start, step)).await?,
        None => of_feedback(app, workspace, kind, (&span, step)).await?,
    };
    let points: Vec<_> = points
        .into_iter()
        .map(|(start_ms, mut point)| {
            point.insert("timestamp".to_owned(), json!(moment::text_ms(start_ms)));
            point
        })
        .collect();
    Ok(json!({"object": "analytics-graph", "summary": summary, "data_points": points}))
}

fn step(length: i64) -> i64 {
    let fits = |step: &&i64| length / **step <= POINTS;
    STEPS
        .iter()
        .find(fits)
        .copied()
        .unwrap_or(STEPS[STEPS.len() - 1])
}

type Drawn = (Vec<(i64, Map<String, Value>)>, Map<String, Value>);

/// Users and percentiles can not be added up, so the whole is asked for on its own.
async fn of_records(
    app: &App,
    workspace: &WorkspaceId,
    kind: Kind,
    measure: Measure,
    (span, start, step): (&Span, i64, i64),
) -> Result<Drawn, AdminError> {
    let mut filter = span.filter.clone();
    if kind == Kind::CacheLatency {
        filter.cache = Some("HIT".to_owned());
    }
    if kind == Kind::ErrorCodes {
        filter.errors_only = true;
    }
    let query = GraphQuery {
        from_ms: start,
        to_ms: span.to_ms,
        bucket_ms: step,
        filter,
        measure,
    };
    let whole = GraphQuery {
        bucket_ms: span.to_ms - start,
        ..query.clone()
    };
    let logs = app.store.logs();
    let points = logs.graph(workspace, query).await?;
    let points = points
        .iter()
        .map(|point| (point.start_ms, figures(kind, point)));
    let points = points.collect();
    let whole = logs.graph(workspace, whole).await?;
    let summary = whole.first().map(|point| figures(kind, point));
    Ok((points, summary.unwrap_or_default()))
}

async fn of_feedback(
    app: &App,
    workspace: &WorkspaceId,
    kind: Kind,
    (span, step): (&Span, i64),
) -> Result<Drawn, AdminError> {
    let of_time = LogFilter {
        from_ms: span.filter.from_ms,
        to_ms: span.filter.to_ms,
        ..LogFilter::default()
    };
    if span.filter != of_time {
        let message = "Graphs of feedback can not be filtered: send the two times alone.";
        return Err(ApiError::invalid(message).into());
    }
    let logs = app.store.logs();
    let points = logs
        .feedback_graph(workspace, span.from_ms, span.to_ms, step)
        .await?;
    let whole = logs
        .feedback_graph(
            workspace,
            span.from_ms,
            span.to_ms,
            span.to_ms - span.from_ms,
        )
        .await?;
    let points = points
        .iter()
        .map(|point| (point.start_ms, opinions(kind, point)));
    let points = points.collect();
    let summary = whole.first().map(|point| opinions(kind, point));
    Ok((points, summary.unwrap_or_default()))
}

fn opinions(kind: Kind, point: &FeedbackPoint) -> Map<String, Value> {
    let total = match kind {
        Kind::FeedbackScores => json!(point.average()),
        Kind::WeightedFeedback => json!(point.weighted_average()),
        _ => json!(point.count),
    };
    fields(json!({"total": total, "count": point.count}))
}

fn figures(kind: Kind, point: &GraphPoint) -> Map<String, Value> {
    let requests = point.requests;
    let each = |amount: f64| {
        if requests == 0 {
            0.0
        } else {
            amount / float(requests)
        }
    };
    fields(match &point.figure {
        Figure::Count(count) => match kind {
            Kind::ErrorRate | Kind::CacheHits => {
                let rate = each(float(*count)) * 100.0;
                json!({"total": count, "rate": rate, "requests": requests})
            }
            Kind::UserRequests => {
                let per_user = if *count == 0 {
                    0.0
                } else {
                    float(requests) / float(*count)
                };
                json!({"total": requests, "users": count, "avg": per_user})
            }
            _ => json!({"total": count}),
        },
        Figure::Tokens { prompt, completion } => {
            let total = prompt.saturating_add(*completion);
            json!({
                "total": total,
                "avg": each(float(total)),
                "prompt": prompt,
                "completion": completion,
            })
        }
        Figure::Cost(cost) => {
            let cents = dollars(*cost) * 100.0;
            json!({"total": cents, "avg": each(cents)})
        }
        Figure::Latency(latency) => {
            let ms = |us: u64| float(us) / 1000.0;
            json!({
                "total": requests,
                "avg": ms(latency.avg_us),
                "p50": ms(latency.p50_us),
                "p90": ms(latency.p90_us),
                "p99": ms(latency.p99_us),
            })
        }
        Figure::StatusCodes(codes) => {
            let stats = codes.iter();
            let stats = stats.map(|(code, count)| json!({"status_code": code, "count": count}));
            json!({"total": codes.values().sum::<u64>(), "stats": stats.collect::<Vec<_>>()})
        }
    })
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_has_a_handy_number_of_points() {
        const HOUR: i64 = 3_600_000;
        for (length, minutes) in [
            (1, 1),
            (HOUR, 1),
            (6 * HOUR, 5),
            (24 * HOUR, 15),
            (7 * 24 * HOUR, 360),
            (90 * 24 * HOUR, 1_440),
            (5_000 * 24 * HOUR, 43_200),
        ] {
            assert_eq!(step(length), minutes * 60_000, "{length}");
        }
    }
}
