//! Graphs and tables, made from records.

use std::collections::BTreeMap;

use loomgate_domain::{Timestamp, Usage, feedback::Feedback, limit::Nanodollars, log::LogRecord};
use loomgate_store::{
    Figure, GraphPoint, GraphQuery, GroupBy, GroupQuery, Latency, LogFilter, Measure, Store, Sums,
};

use crate::{
    fixtures::{NOW, NOW_MS, id, ws},
    home::Home,
    logs::record,
};

on_both_engines! {
    every_measure_counts_what_it_says,
    points_say_when_they_begin_and_how_much_they_are_made_of,
    a_graph_has_a_thousand_points_at_most,
    groups_are_sorted_by_size_and_the_rest_is_summed,
    groups_beyond_the_limit_are_counted_among_the_others,
    feedback_is_averaged_by_time_and_weight,
}

/// Six records in the first two of three buckets of ten milliseconds, and one of somebody else.
async fn filled(home: &Home) -> Store {
    let store = home.open();
    let user = |name: &str| BTreeMap::from([("_user".to_owned(), name.to_owned())]);
    let with_tokens = |record: LogRecord, tokens: u64| LogRecord {
        usage: Some(Usage {
            prompt_tokens: tokens,
            completion_tokens: 2 * tokens,
            ..Usage::default()
        }),
        cost: Some(Nanodollars(100 * tokens)),
        ..record
    };
    let at = |n: u32| record(&ws(), n);
    let records = vec![
        with_tokens(
            LogRecord {
                metadata: user("ann"),
                total_us: 10,
                attempts: 2,
                ..at(0)
            },
            1,
        ),
        with_tokens(
            LogRecord {
                metadata: user("bob"),
                total_us: 20,
                attempts: 1,
                ..at(1)
            },
            2,
        ),
        LogRecord {
            metadata: user("ann"),
            total_us: 60,
            status: 500,
            attempts: 3,
            ..at(9)
        },
        LogRecord {
            total_us: 30,
            cache: "HIT".into(),
            provider: "openai".into(),
            ..at(10)
        },
        LogRecord {
            total_us: 30,
            status: 429,
            provider: "openai".into(),
            ..at(11)
        },
        with_tokens(
            LogRecord {
                total_us: 30,
                served_model: Some("m".into()),
                ..at(19)
            },
            4,
        ),
        record(&id(2), 5),
    ];
    store.logs().insert(records, None).await.unwrap();
    store
}

fn query(measure: Measure) -> GraphQuery {
    GraphQuery {
        from_ms: NOW_MS,
        to_ms: NOW_MS + 30,
        bucket_ms: 10,
        filter: LogFilter::default(),
        measure,
    }
}

async fn figures(store: &Store, query: GraphQuery) -> Vec<Figure> {
    let points = store.logs().graph(&ws(), query).await.unwrap();
    points.into_iter().map(|point| point.figure).collect()
}

async fn every_measure_counts_what_it_says(home: Home) {
    let store = filled(&home).await;
    for (measure, expected) in [
        (Measure::Requests, [3, 3, 0]),
        (Measure::Errors, [1, 1, 0]),
        (Measure::CacheHits, [0, 1, 0]),
        (Measure::Rescued, [1, 0, 0]),
        (Measure::Users, [2, 0, 0]),
    ] {
        let found = figures(&store, query(measure)).await;
        assert_eq!(found, expected.map(Figure::Count), "{measure:?}");
    }
    let tokens = figures(&store, query(Measure::Tokens)).await;
    let expected = [(3, 6), (4, 8), (0, 0)];
    let expected = expected.map(|(prompt, completion)| Figure::Tokens { prompt, completion });
    assert_eq!(tokens, expected);
    let cost = figures(&store, query(Measure::Cost)).await;
    assert_eq!(
        cost,
        [300, 400, 0].map(|cost| Figure::Cost(Nanodollars(cost)))
    );
    let latency = figures(&store, query(Measure::Latency)).await;
    let all_30 = Latency {
        p50_us: 30,
        p90_us: 30,
        p99_us: 30,
        avg_us: 30,
    };
    let mixed = Latency {
        p50_us: 20,
        p90_us: 60,
        p99_us: 60,
        avg_us: 30,
    };
    assert_eq!(
        latency,
        [mixed, all_30, Latency::default()].map(Figure::Latency)
    );
    let codes = figures(&store, query(Measure::StatusCodes)).await;
    let expected = [vec![(200, 2), (500, 1)], vec![(200, 2), (429, 1)], vec![]];
    assert_eq!(
        codes,
        expected.map(|codes| Figure::StatusCodes(codes.into_iter().collect()))
    );
}

async fn points_say_when_they_begin_and_how_much_they_are_made_of(home: Home) {
    let store = filled(&home).await;
    let graph = store
        .logs()
        .graph(&ws(), query(Measure::Errors))
        .await
        .unwrap();
    let point = |start_ms, requests, errors| GraphPoint {
        start_ms,
        requests,
        figure: Figure::Count(errors),
    };
    let expected = [
        point(NOW_MS, 3, 1),
        point(NOW_MS + 10, 3, 1),
        point(NOW_MS + 20, 0, 0),
    ];
    assert_eq!(graph, expected);
    // Of a part of the time, and of a part of the records.
    let part = GraphQuery {
        from_ms: NOW_MS + 5,
        bucket_ms: 100,
        filter: LogFilter {
            to_ms: Some(NOW_MS + 19),
            status_min: Some(200),
            metadata: None,
            provider: Some("openai".into()),
            ..LogFilter::default()
        },
        ..query(Measure::Requests)
    };
    let graph = store.logs().graph(&ws(), part).await.unwrap();
    assert_eq!(graph, [point(NOW_MS + 5, 2, 2)]);
    let of_ann = LogFilter {
        metadata: Some(("_user".into(), "ann".into())),
        ..LogFilter::default()
    };
    let of_ann = GraphQuery {
        filter: of_ann,
        ..query(Measure::Requests)
    };
    assert_eq!(figures(&store, of_ann).await, [2, 0, 0].map(Figure::Count));
}

async fn a_graph_has_a_thousand_points_at_most(home: Home) {
    let store = filled(&home).await;
    let endless = GraphQuery {
        from_ms: i64::MIN,
        to_ms: i64::MAX,
        bucket_ms: i64::MIN,
        ..query(Measure::Requests)
    };
    let graph = store.logs().graph(&ws(), endless).await.unwrap();
    assert!((900..=1000).contains(&graph.len()), "{}", graph.len());
    let requests: u64 = graph.iter().map(|point| point.requests).sum();
    assert_eq!(requests, 6);
    let backwards = GraphQuery {
        from_ms: NOW_MS,
        to_ms: NOW_MS - 1,
        ..query(Measure::Requests)
    };
    assert!(
        store
            .logs()
            .graph(&ws(), backwards)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn groups_are_sorted_by_size_and_the_rest_is_summed(home: Home) {
    let store = filled(&home).await;
    let group = async |by: GroupBy, most: usize| {
        let query = GroupQuery {
            from_ms: NOW_MS,
            to_ms: NOW_MS + 30,
            filter: LogFilter::default(),
            by,
            most,
        };
        store.logs().group(&ws(), query).await.unwrap()
    };
    let names = async |by: GroupBy| {
        let rows = group(by, 10).await.rows.into_iter();
        rows.map(|row| (row.key.unwrap_or("-".into()), row.sums.requests))
            .collect::<Vec<_>>()
    };
    let name = |name: &str, count: u64| (name.to_owned(), count);
    assert_eq!(
        names(GroupBy::User).await,
        [name("-", 3), name("ann", 2), name("bob", 1)]
    );
    let of_metadata = names(GroupBy::Metadata("_user".into())).await;
    assert_eq!(of_metadata, names(GroupBy::User).await);
    assert_eq!(
        names(GroupBy::Provider).await,
        [name("loomgate", 4), name("openai", 2)]
    );
    assert_eq!(names(GroupBy::Model).await, [name("-", 5), name("m", 1)]);
    assert_eq!(names(GroupBy::ApiKey).await, [name("key_1", 6)]);
    assert_eq!(names(GroupBy::VirtualKey).await, [name("-", 6)]);
    assert_eq!(names(GroupBy::Config).await, [name("-", 6)]);
    let by_status = [name("200", 4), name("429", 1), name("500", 1)];
    assert_eq!(names(GroupBy::Status).await, by_status);

    let groups = group(GroupBy::Provider, 1).await;
    let expected = Sums {
        requests: 4,
        errors: 1,
        cache_hits: 0,
        prompt_tokens: 7,
        completion_tokens: 14,
        cost: Nanodollars(700),
        total_us: 120,
    };
    assert_eq!(groups.rows[0].sums, expected);
    let others = Sums {
        requests: 2,
        errors: 1,
        cache_hits: 1,
        total_us: 60,
        ..Sums::default()
    };
    assert_eq!((groups.rows.len(), groups.others), (1, others));
}

async fn groups_beyond_the_limit_are_counted_among_the_others(home: Home) {
    let store = home.open();
    let records = (0..10_005).map(|n| LogRecord {
        metadata: [("_user".to_owned(), n.to_string())].into(),
        ..record(&ws(), n)
    });
    store.logs().insert(records.collect(), None).await.unwrap();
    let query = GroupQuery {
        from_ms: NOW_MS,
        to_ms: NOW_MS + 100_000,
        filter: LogFilter::default(),
        by: GroupBy::User,
        most: usize::MAX,
    };
    let groups = store.logs().group(&ws(), query).await.unwrap();
    assert_eq!((groups.rows.len(), groups.others.requests), (10_000, 5));
}

async fn feedback_is_averaged_by_time_and_weight(home: Home) {
    let store = home.open();
    for (n, value, weight) in [(0, 10, 1.0), (1, -5, 0.5), (25, 3, 0.0)] {
        let feedback = Feedback {
            id: id(n),
            workspace: ws(),
            trace_id: "a".into(),
            value,
            weight,
            metadata: BTreeMap::new(),
            created_at: Timestamp(NOW.0 + i64::from(n)),
        };
        store
            .logs()
            .add_feedback(vec![feedback], None)
            .await
            .unwrap();
    }
    let graph = store
        .logs()
        .feedback_graph(&ws(), NOW_MS, NOW_MS + 30_000, 10_000)
        .await
        .unwrap();
    let found: Vec<_> = graph
        .iter()
        .map(|point| {
            (
                point.start_ms,
                point.count,
                point.average(),
                point.weighted_average(),
            )
        })
        .collect();
    let expected = [
        (NOW_MS, 2, Some(2.5), Some(5.0)),
        (NOW_MS + 10_000, 0, None, None),
        (NOW_MS + 20_000, 1, Some(3.0), None),
    ];
    assert_eq!(found, expected);
    // The second of the last lies before the end; that of the first before the beginning.
    let part = store
        .logs()
        .feedback_graph(&ws(), NOW_MS + 1, NOW_MS + 25_001, i64::MAX)
        .await
        .unwrap();
    assert_eq!((part.len(), part[0].count), (1, 2));
    let endless = store
        .logs()
        .feedback_graph(&ws(), i64::MIN, i64::MAX, i64::MIN)
        .await
        .unwrap();
    assert!((900..=1000).contains(&endless.len()), "{}", endless.len());
}
