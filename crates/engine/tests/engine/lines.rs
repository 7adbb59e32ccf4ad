//! A line to PostgreSQL that breaks while nobody knows what came of a commit.

use loomgate_domain::Limits;
use loomgate_store::{Options, Postgres, PostgresUrl};
use loomgate_testkit::postgres::{Cut, Database, Line};
use loomgate_wire::chat::FinishReason;

use crate::harness::{Bench, Seen, end, next, rest, word};

#[tokio::test]
async fn what_a_flush_has_stored_no_commit_stores_again() {
    let (line, database) = (Line::new(), Database::new());
    let url = PostgresUrl::parse(&line.to(&database)).unwrap();
    let options = Options::postgres(Postgres::at(url));
    let bench = Bench::on(options, Limits::default()).await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Hello")).unwrap();
    let mut seen = Vec::new();
    while seen
        .last()
        .is_none_or(|it: &Seen| it.name != "thread.message.in_progress")
    {
        seen.push(next(&mut events).await.unwrap());
    }
    // The next that is committed is what the model said: its message is there already.
    line.cut_at("COMMIT\0", Cut::After);
    model.send(word(" world")).unwrap();
    while !line.was_cut() {
        tokio::task::yield_now().await;
    }
    for event in end(FinishReason::Stop, 2) {
        model.send(event).unwrap();
    }
    drop(model);
    seen.extend(rest(&mut events).await);
    assert_eq!(seen.last().unwrap().name, "done");
    assert_eq!(bench.reopened(&run.id, seen[0].id).await, seen[1..]);
    let kept = database.texts("SELECT SUM(events) FROM run_events");
    assert_eq!(kept, [seen.len().to_string()]);
}
