//! Models that fail, each in its own way.

use loomgate_domain::{
    Limits,
    run::{ErrorCode, RunState, RunStatus},
};
use loomgate_engine::{ModelError, ModelErrorKind};
use loomgate_store::Options;
use loomgate_wire::chat::{ChatEvent, FinishReason};

use crate::harness::{Bench, Reply, end, names, options, rest, text, until, word};

fn error(kind: ModelErrorKind, message: &str) -> ModelError {
    ModelError {
        kind,
        message: message.to_owned(),
    }
}

fn broken() -> Reply {
    let cut = Err(error(ModelErrorKind::Broken, "cut"));
    Reply::Events(vec![word("Hel"), word("lo"), cut])
}

#[tokio::test]
async fn a_provider_that_refuses_fails_the_run() {
    for (kind, code) in [
        (ModelErrorKind::InvalidRequest, ErrorCode::InvalidPrompt),
        (ModelErrorKind::Unauthorized, ErrorCode::ServerError),
        (ModelErrorKind::RateLimited, ErrorCode::RateLimitExceeded),
        (ModelErrorKind::Timeout, ErrorCode::ServerError),
    ] {
        let bench = Bench::new().await;
        bench
            .model
            .then(Reply::Refused(error(kind, "its own words")));
        let (run, mut events) = bench.stream("hi").await;
        let seen = rest(&mut events).await;
        assert_eq!(names(&seen)[3..], ["thread.run.failed", "done"]);
        assert_eq!(seen[3].data["usage"]["total_tokens"], 0);
        let RunState::Failed { error, .. } = bench.get(&run.id).await.state else {
            panic!("not failed");
        };
        assert_eq!(error.code, code);
        assert!(
            error.message.ends_with("its own words"),
            "{}",
            error.message
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_asked_for_again_and_leaves_one_answer() {
    let bench = Bench::new().await;
    bench.model.then(broken());
    bench.model.says(&["Hello", " world"]);
    let (run, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen)[7..],
        [
            "thread.message.delta x2",
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.step.created",
            "thread.run.step.in_progress",
            "thread.message.created",
            "thread.message.in_progress",
            "thread.message.delta x2",
            "thread.message.completed",
            "thread.run.step.completed",
            "thread.run.completed",
            "done",
        ]
    );
    // The event of the broken message holds all that was streamed: readers index into it.
    assert_eq!(seen[9].data["content"][0]["text"]["value"], "Hello");
    assert_eq!(bench.said().await, ["Hello world"]);
    assert_eq!(
        bench.get(&run.id).await.state.status(),
        RunStatus::Completed
    );
    let requests = bench.model.requests();
    assert_eq!(
        requests[0], requests[1],
        "the half answer is not shown to the model"
    );
}

/// Words, and the beginning of a call.
fn half_a_turn() -> Vec<Result<ChatEvent, ModelError>> {
    let call = ChatEvent::CallStarted {
        index: 0,
        id: "call_1".to_owned(),
        name: "f".to_owned(),
        signature: None,
    };
    vec![word("Let me see."), Ok(call)]
}

#[tokio::test]
async fn words_before_calls_that_broke_are_not_said_twice() {
    for stream in [false, true] {
        let bench = Bench::new().await;
        let mut events = half_a_turn();
        events.push(Err(error(ModelErrorKind::Broken, "cut")));
        bench.model.then(Reply::Events(events));
        bench.model.says(&["Hello"]);
        let request = bench.request("hi", options(stream));
        let run = bench
            .engine
            .create_run(&bench.ws, request)
            .await
            .unwrap()
            .run;
        bench.settled(&run.id).await;
        assert_eq!(bench.said().await, ["Hello"], "stream: {stream}");
        let requests = bench.model.requests();
        assert_eq!(requests[0], requests[1], "stream: {stream}");
    }
}

#[tokio::test]
async fn words_before_calls_that_a_lost_worker_began_are_not_said_twice() {
    // Whose leases are void at a start.
    let mut bench = Bench::on(Options::memory(), Limits::default()).await;
    let lost = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    for event in half_a_turn() {
        lost.send(event).unwrap();
    }
    until(&mut events, "thread.run.step.delta").await;
    bench.model.says(&["Hello"]);
    bench.restart().await;
    bench.settled(&run.id).await;
    assert_eq!(bench.said().await, ["Hello"]);
    let requests = bench.model.requests();
    assert_eq!(requests[0], requests[1]);
}

#[tokio::test]
async fn a_polled_run_shows_one_answer_too() {
    let bench = Bench::new().await;
    bench.model.then(broken());
    bench.model.says(&["Hello"]);
    let run = bench.run("hi").await;
    assert_eq!(
        bench.settled(&run.id).await.state.status(),
        RunStatus::Completed
    );
    assert_eq!(bench.said().await, ["Hello"]);
}

#[tokio::test]
async fn a_stream_that_always_breaks_fails_the_run() {
    let bench = Bench::new().await;
    for _ in 0..3 {
        bench.model.then(broken());
    }
    let run = bench.run("hi").await;
    assert_eq!(
        bench.settled(&run.id).await.state.status(),
        RunStatus::Failed
    );
    assert_eq!(bench.model.requests().len(), 3);
    assert_eq!(bench.said().await, ["Hello"], "what was said last is kept");
}

#[tokio::test]
async fn a_stream_that_ends_without_saying_so_is_broken() {
    let bench = Bench::new().await;
    bench.model.then(Reply::Events(vec![word("Hel")]));
    bench.model.says(&["Hello"]);
    let run = bench.run("hi").await;
    bench.settled(&run.id).await;
    assert_eq!(bench.said().await, ["Hello"]);
}

#[tokio::test]
async fn a_content_filter_fails_the_run_and_marks_the_message() {
    let bench = Bench::new().await;
    let turn = [word("Well")].into_iter();
    let turn = turn.chain(end(FinishReason::ContentFilter, 1)).collect();
    bench.model.then(Reply::Events(turn));
    let (_, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    let message = seen
        .iter()
        .find(|event| event.name == "thread.message.incomplete");
    let details = &message.unwrap().data["incomplete_details"];
    assert_eq!(details["reason"], "content_filter");
    assert_eq!(names(&seen).last().unwrap(), "done");
}

#[tokio::test]
async fn an_error_after_words_keeps_them_and_fails_the_run() {
    let bench = Bench::new().await;
    let failed = Err(error(ModelErrorKind::Server, "overloaded"));
    bench.model.then(Reply::Events(vec![word("Hel"), failed]));
    let (_, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen)[8..],
        [
            "thread.message.incomplete",
            "thread.run.step.failed",
            "thread.run.failed",
            "done",
        ]
    );
    assert_eq!(bench.said().await, ["Hel"]);
}

#[tokio::test]
async fn a_defect_fails_the_run_instead_of_locking_the_thread() {
    let bench = Bench::new().await;
    bench.model.then(Reply::Panic);
    let (run, mut events) = bench.stream("hi").await;
    let seen = rest(&mut events).await;
    assert_eq!(names(&seen)[3..], ["thread.run.failed", "done"]);
    let RunState::Failed { error, .. } = bench.get(&run.id).await.state else {
        panic!("not failed");
    };
    assert_eq!(error.message, "Sorry, something went wrong.");
    bench.model.then(Reply::Events(text(&["Better."])));
    let next = bench.run("again").await;
    bench.settled(&next.id).await;
    assert_eq!(bench.said().await, ["Better."]);
}
