//! Log records and feedback: kept, found, purged.

use std::collections::BTreeMap;

use loomgate_domain::{
    LogId, Order, PageRequest, Usage, WorkspaceId,
    feedback::Feedback,
    limit::Nanodollars,
    log::{LogRecord, RecordKind, Span, log_id_prefix},
};
use loomgate_store::{Error, LogFilter, Options, Store};
use serde_json::json;

use crate::{
    fixtures::{NOW, NOW_MS, id, ws},
    home::Home,
};

on_both_engines! {
    a_record_is_kept_whole_and_once,
    an_id_of_another_time_is_refused_with_its_batch,
    every_filter_filters,
    a_failure_with_a_good_status_is_an_error_too,
    pages_follow_each_other_in_both_directions,
    a_purge_takes_the_oldest_of_everyone_and_stops_where_it_should,
    feedback_is_kept_changed_found_by_its_trace_and_purged,
}

/// The id of the record that begins `n` milliseconds after [`NOW_MS`].
pub(crate) fn log_id(n: u32) -> LogId {
    LogId::trusted(format!("{}x", log_id_prefix(NOW_MS + i64::from(n))))
}

/// A record with little in it.
pub(crate) fn record(ws: &WorkspaceId, n: u32) -> LogRecord {
    LogRecord {
        id: log_id(n),
        workspace: ws.clone(),
        created_at_ms: NOW_MS + i64::from(n),
        kind: RecordKind::Request,
        request_id: format!("req_{n}"),
        trace_id: format!("trace {n}"),
        span: Span::default(),
        api_key: id(1),
        method: "POST".into(),
        path: "/v1/chat/completions".into(),
        config: None,
        virtual_key: None,
        provider: "loomgate".into(),
        option_index: "config".into(),
        model: None,
        served_model: None,
        attempts: 0,
        status: 200,
        error: None,
        usage: None,
        cost: None,
        first_byte_us: None,
        total_us: 1_000,
        overhead_us: 0,
        cache: "DISABLED".into(),
        guardrails: None,
        metadata: BTreeMap::new(),
        run: None,
        thread: None,
        request_body: None,
        response_body: None,
    }
}

/// A record with something in every field.
pub(crate) fn full(n: u32) -> LogRecord {
    LogRecord {
        kind: RecordKind::ModelCall,
        span: Span {
            id: Some("span".into()),
            parent_id: Some("parent".into()),
            name: None,
        },
        config: Some("pc-main".into()),
        virtual_key: Some("main".into()),
        provider: "openai".into(),
        model: Some("asked".into()),
        served_model: Some("served".into()),
        attempts: 2,
        status: 429,
        error: Some("too many \u{1f9f5}".into()),
        usage: Some(Usage {
            prompt_tokens: 1,
            completion_tokens: 2,
            cached_tokens: 3,
            reasoning_tokens: 4,
        }),
        cost: Some(Nanodollars(5)),
        first_byte_us: Some(6),
        overhead_us: 7,
        cache: "HIT".into(),
        guardrails: Some(json!([{ "verdict": true }])),
        metadata: [("team".to_owned(), "a\"b".to_owned())].into(),
        run: Some(id(1)),
        thread: Some(id(1)),
        request_body: Some("{\"asked\":1}".into()),
        response_body: Some("{\"answered\":1}".into()),
        ..record(&ws(), n)
    }
}

pub(crate) fn feedback(n: u32, trace: &str, value: i8) -> Feedback {
    Feedback {
        id: id(n),
        workspace: ws(),
        trace_id: trace.into(),
        value,
        weight: 0.1,
        metadata: [("n".to_owned(), n.to_string())].into(),
        created_at: NOW.plus(n),
    }
}

async fn found(store: &Store, filter: LogFilter) -> Vec<LogId> {
    let request = PageRequest::default();
    let page = store.logs().list(&ws(), filter, request).await.unwrap();
    page.items.into_iter().map(|record| record.id).collect()
}

async fn a_record_is_kept_whole_and_once(home: Home) {
    let store = home.open();
    let kept = vec![full(1), record(&ws(), 2)];
    assert_eq!(store.logs().insert(kept.clone(), None).await.unwrap(), 2);
    let mut again = full(1);
    again.status = 500;
    let more = vec![again, record(&ws(), 3)];
    assert_eq!(store.logs().insert(more, None).await.unwrap(), 1);
    for record in kept {
        let found = store.logs().get(&ws(), &record.id).await.unwrap();
        assert_eq!(found, Some(record));
    }
    assert_eq!(store.logs().get(&ws(), &log_id(9)).await.unwrap(), None);
}

async fn an_id_of_another_time_is_refused_with_its_batch(home: Home) {
    let store = home.open();
    for wrong in [log_id(2).as_str(), &log_id_prefix(NOW_MS + 1), "log_", "x"] {
        let misfiled = LogRecord {
            id: LogId::trusted(wrong),
            ..record(&ws(), 1)
        };
        let refused = store
            .logs()
            .insert(vec![record(&ws(), 3), misfiled], None)
            .await;
        assert!(matches!(refused, Err(Error::Driver(_))), "{wrong}");
    }
    assert!(found(&store, LogFilter::default()).await.is_empty());
}

fn filter(change: impl FnOnce(&mut LogFilter)) -> LogFilter {
    let mut filter = LogFilter::default();
    change(&mut filter);
    filter
}

fn span(from_ms: i64, to_ms: i64) -> LogFilter {
    filter(|it| (it.from_ms, it.to_ms) = (Some(from_ms), Some(to_ms)))
}

async fn every_filter_filters(home: Home) {
    let store = home.open();
    let records = vec![record(&ws(), 1), full(2), record(&ws(), 3)];
    store.logs().insert(records, None).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let pair = |key: &str, value: &str| Some((key.to_owned(), value.to_owned()));
    let only_the_full_one = [
        filter(|it| it.kind = Some(RecordKind::ModelCall)),
        filter(|it| it.virtual_key = text("main")),
        filter(|it| it.config = text("pc-main")),
        filter(|it| it.provider = text("openai")),
        filter(|it| it.model = text("asked")),
        filter(|it| it.model = text("served")),
        filter(|it| it.status_min = Some(429)),
        filter(|it| (it.status_min, it.status_max) = (Some(201), Some(429))),
        filter(|it| it.trace_id = text("trace 2")),
        filter(|it| it.run = Some(id(1))),
        filter(|it| it.thread = Some(id(1))),
        filter(|it| it.metadata = pair("team", "a\"b")),
        filter(|it| it.errors_only = true),
        filter(|it| it.cache = text("HIT")),
        span(NOW_MS + 2, NOW_MS + 3),
    ];
    for filter in only_the_full_one {
        let found = found(&store, filter.clone()).await;
        assert_eq!(found, [log_id(2)], "{filter:?}");
    }
    let nothing = [
        filter(|it| it.api_key = Some(id(2))),
        filter(|it| it.run = Some(id(2))),
        filter(|it| it.metadata = pair("team", "a")),
        filter(|it| it.metadata = pair("a\"b", "team")),
        filter(|it| (it.cache, it.provider) = (text("HIT"), text("loomgate"))),
        filter(|it| it.from_ms = Some(NOW_MS + 4)),
        filter(|it| it.to_ms = Some(NOW_MS + 1)),
        span(i64::MAX, i64::MIN),
    ];
    for filter in nothing {
        assert!(found(&store, filter.clone()).await.is_empty(), "{filter:?}");
    }
    let all = found(&store, filter(|it| it.api_key = Some(id(1)))).await;
    assert_eq!(all, [3, 2, 1].map(log_id));
    let good = found(&store, filter(|it| it.status_max = Some(428))).await;
    assert_eq!(good, [3, 1].map(log_id));
}

async fn a_failure_with_a_good_status_is_an_error_too(home: Home) {
    let store = home.open();
    let broken = LogRecord {
        error: Some("the stream broke off".into()),
        ..record(&ws(), 1)
    };
    store
        .logs()
        .insert(vec![broken, record(&ws(), 2)], None)
        .await
        .unwrap();
    let errors = LogFilter {
        errors_only: true,
        ..LogFilter::default()
    };
    assert_eq!(found(&store, errors).await, [log_id(1)]);
}

async fn pages_follow_each_other_in_both_directions(home: Home) {
    let store = home.open();
    let records: Vec<_> = (1..=2500)
        .map(|n| LogRecord {
            metadata: [("odd".to_owned(), (n % 2).to_string())].into(),
            ..record(&ws(), n)
        })
        .collect();
    store.logs().insert(records, None).await.unwrap();
    let odd = LogFilter {
        metadata: Some(("odd".into(), "1".into())),
        ..LogFilter::default()
    };
    for (filter, step) in [(LogFilter::default(), 1), (odd, 2)] {
        for order in [Order::Asc, Order::Desc] {
            let mut expected: Vec<_> = (1..=2500).step_by(step).map(log_id).collect();
            if order == Order::Desc {
                expected.reverse();
            }
            let mut request = PageRequest {
                limit: 700,
                order,
                after: None,
                before: None,
            };
            let mut seen: Vec<LogId> = Vec::new();
            loop {
                let page = store
                    .logs()
                    .list(&ws(), filter.clone(), request.clone())
                    .await;
                let page = page.unwrap();
                seen.extend(page.items.iter().map(|record| record.id.clone()));
                request.after = seen.last().cloned();
                assert_eq!(page.has_more, seen.len() < expected.len());
                if !page.has_more {
                    break;
                }
            }
            assert_eq!(seen, expected);
        }
    }
    let between = PageRequest {
        after: Some(log_id(10)),
        before: Some(log_id(5)),
        ..PageRequest::default()
    };
    let page = store
        .logs()
        .list(&ws(), LogFilter::default(), between)
        .await;
    let page = page.unwrap();
    let ids: Vec<_> = page.items.into_iter().map(|record| record.id).collect();
    assert_eq!(ids, [9, 8, 7, 6].map(log_id));
}

async fn a_purge_takes_the_oldest_of_everyone_and_stops_where_it_should(home: Home) {
    let store = home.open();
    let other: WorkspaceId = id(2);
    let of = |ws: &WorkspaceId| (1..=10).map(|n| record(ws, n)).collect::<Vec<_>>();
    store.logs().insert(of(&ws()), None).await.unwrap();
    store.logs().insert(of(&other), None).await.unwrap();
    let cutoff = NOW_MS + 8;
    assert_eq!(store.logs().purge(cutoff, 5).await.unwrap(), 5);
    assert_eq!(
        found(&store, LogFilter::default()).await.last(),
        Some(&log_id(6))
    );
    assert_eq!(store.logs().purge(cutoff, 5).await.unwrap(), 5);
    assert_eq!(store.logs().purge(cutoff, 100).await.unwrap(), 4);
    assert_eq!(store.logs().purge(cutoff, 100).await.unwrap(), 0);
    for ws in [ws(), other] {
        let request = PageRequest::default();
        let kept = store.logs().list(&ws, LogFilter::default(), request).await;
        let kept = kept.unwrap().items;
        assert_eq!(kept, [10, 9, 8].map(|n| record(&ws, n)));
    }
    assert_eq!(store.logs().get(&ws(), &log_id(1)).await.unwrap(), None);
}

async fn feedback_is_kept_changed_found_by_its_trace_and_purged(home: Home) {
    let store = home.open();
    let logs = store.logs();
    for (n, trace) in [(3, "a"), (1, "b"), (2, "a")] {
        logs.add_feedback(vec![feedback(n, trace, 5)], None)
            .await
            .unwrap();
    }
    let again = logs.add_feedback(vec![feedback(3, "a", 5)], None).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    // Of a list, all is kept or nothing.
    let two = vec![feedback(4, "a", 5), feedback(3, "a", 5)];
    let again = logs.add_feedback(two, None).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    let metadata = [("k".to_owned(), "v".to_owned())];
    let updated = logs
        .update_feedback(&ws(), &id(2), -10, 0.3, metadata.clone().into())
        .await;
    assert!(updated.unwrap());
    let missing = logs
        .update_feedback(&ws(), &id(9), 1, 1.0, BTreeMap::new())
        .await;
    assert!(!missing.unwrap());
    let changed = Feedback {
        weight: 0.3,
        metadata: metadata.into(),
        ..feedback(2, "a", -10)
    };
    let on_a = logs.feedback(&ws(), "a").await.unwrap();
    assert_eq!(on_a, [feedback(3, "a", 5), changed.clone()]);

    assert_eq!(logs.purge((NOW.0 + 2) * 1000, 10).await.unwrap(), 1);
    assert!(logs.feedback(&ws(), "b").await.unwrap().is_empty());
    assert_eq!(logs.purge((NOW.0 + 9) * 1000, 1).await.unwrap(), 1);
    assert_eq!(logs.feedback(&ws(), "a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_logs_lie_in_a_file_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.db");
    let store = Store::open(Options::file(&path)).unwrap();
    store.logs().insert(vec![full(1)], None).await.unwrap();
    let (jobs, log_jobs) = (store.stats().jobs, store.log_stats().jobs);
    assert_eq!((jobs, log_jobs), (0, 1));
    store.close().await;
    assert!(!folder.path().join("logs.db-wal").exists());

    let store = Store::open(Options::file(&path)).unwrap();
    let found = store.logs().get(&ws(), &log_id(1)).await.unwrap();
    assert_eq!(found, Some(full(1)));
    store.close().await;

    // Neither is taken for the other.
    std::fs::rename(folder.path().join("logs.db"), &path).unwrap();
    let swapped = Store::open(Options::file(&path));
    assert!(matches!(swapped, Err(Error::Corrupt { .. })), "{swapped:?}");
    let same = Store::open(Options::file(folder.path().join("logs.db")));
    assert!(matches!(same, Err(Error::Driver(_))), "{same:?}");
}
