//! How runs end: limits, cancellation, expiry.

use loomgate_domain::{
    Limits,
    message::{IncompleteReason, MessageStatus},
    run::{RunIncompleteReason, RunState, RunStatus},
    tool::ToolChoice,
};
use loomgate_engine::{Action, Error, RunRequest};
use loomgate_wire::chat::{ChatEvent, FinishReason};

use crate::harness::{
    Bench, Reply, calls, end, names, next, options, output, rest, until, usage, word,
};

#[tokio::test]
async fn cancel_stops_the_model_and_keeps_what_was_said() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Half an")).unwrap();
    until(&mut events, "thread.message.delta").await;
    let cancelling = bench.engine.cancel(&bench.ws, &bench.thread, &run.id).await;
    assert_eq!(cancelling.unwrap().state.status(), RunStatus::Cancelling);
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen),
        [
            "thread.run.cancelling",
            "thread.message.incomplete",
            "thread.run.step.cancelled",
            "thread.run.cancelled",
            "done",
        ]
    );
    // Nobody reads the model's stream any more.
    model.closed().await;
    let messages = bench.messages().await;
    let last = messages.last().unwrap();
    assert!(matches!(
        last.status,
        MessageStatus::Incomplete {
            reason: IncompleteReason::RunCancelled,
            ..
        }
    ));
    assert_eq!(bench.said().await, ["Half an"]);
}

#[tokio::test]
async fn a_polled_run_that_is_cancelled_keeps_what_was_said() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let run = bench.run("hi").await;
    model.send(word("Half an")).unwrap();
    bench.model.asked(1).await;
    bench
        .engine
        .cancel(&bench.ws, &bench.thread, &run.id)
        .await
        .unwrap();
    assert_eq!(
        bench.settled(&run.id).await.state.status(),
        RunStatus::Cancelled
    );
    model.closed().await;
}

#[tokio::test]
async fn a_waiting_run_is_cancelled_with_its_step() {
    let bench = Bench::new().await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let run = bench.run("go").await;
    bench.settled(&run.id).await;
    bench
        .engine
        .cancel(&bench.ws, &bench.thread, &run.id)
        .await
        .unwrap();
    while bench.get(&run.id).await.state.status() != RunStatus::Cancelled {
        tokio::task::yield_now().await;
    }
    let steps = serde_json::to_value(bench.steps(&run.id).await).unwrap();
    assert_eq!(steps[0]["status"]["status"], "cancelled");

    let again = bench.engine.cancel(&bench.ws, &bench.thread, &run.id).await;
    let Err(Error::WrongStatus { action, status }) = again else {
        panic!("{again:?}");
    };
    assert_eq!((action, status), (Action::Cancel, RunStatus::Cancelled));
    let outputs = vec![output("call_1", "late")];
    let late = bench
        .engine
        .submit_tool_outputs(&bench.ws, &bench.thread, &run.id, outputs, false);
    assert!(matches!(late.await, Err(Error::WrongStatus { .. })));
}

fn short() -> Limits {
    Limits {
        run_expiry_s: 1,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_run_expires_in_the_middle_of_its_answer() {
    let bench = Bench::with(short()).await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    model.send(word("Half an")).unwrap();
    until(&mut events, "thread.message.delta").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen),
        [
            "thread.message.incomplete",
            "thread.run.step.expired",
            "thread.run.expired",
            "done",
        ]
    );
    model.closed().await;
    assert_eq!(bench.get(&run.id).await.state.status(), RunStatus::Expired);
}

#[tokio::test]
async fn a_run_expires_while_it_waits_for_its_client() {
    let bench = Bench::with(short()).await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "f", &["{}"])])));
    let run = bench.run("go").await;
    bench.settled(&run.id).await;
    while bench.get(&run.id).await.state.status() != RunStatus::Expired {
        tokio::task::yield_now().await;
    }
    let steps = serde_json::to_value(bench.steps(&run.id).await).unwrap();
    assert_eq!(steps[0]["status"]["status"], "expired");
}

#[tokio::test]
async fn the_models_own_limit_ends_a_run_incomplete() {
    let bench = Bench::new().await;
    let turn = [word("Once upon")].into_iter();
    let turn = turn.chain(end(FinishReason::Length, 2)).collect();
    bench.model.then(Reply::Events(turn));
    let (run, mut events) = bench.stream("tell").await;
    let seen = rest(&mut events).await;
    assert_eq!(
        names(&seen)[8..],
        [
            "thread.message.incomplete",
            "thread.run.step.completed",
            "thread.run.incomplete",
            "done",
        ]
    );
    let run = bench.get(&run.id).await;
    assert_eq!(run.usage, usage(10, 2));
    assert!(matches!(
        run.state,
        RunState::Incomplete {
            reason: RunIncompleteReason::MaxCompletionTokens,
            ..
        }
    ));
}

async fn create(bench: &Bench, change: impl FnOnce(&mut RunRequest)) -> loomgate_domain::Run {
    let mut request = bench.request("go", options(false));
    change(&mut request);
    bench
        .engine
        .create_run(&bench.ws, request)
        .await
        .unwrap()
        .run
}

#[tokio::test]
async fn token_limits_are_budgets_over_the_whole_run() {
    let bench = Bench::new().await;
    let run = create(&bench, |request| {
        request.options.max_completion_tokens = Some(1000);
        request.options.max_prompt_tokens = Some(500);
    });
    let first = calls(&[("call_1", "f", &["{}"])]).into_iter();
    let first = first.take(2).chain([
        Ok(ChatEvent::Finished(FinishReason::ToolCalls)),
        Ok(ChatEvent::Usage(usage(200, 300))),
    ]);
    bench.model.then(Reply::Events(first.collect()));
    let run = run.await;
    bench.settled(&run.id).await;
    assert_eq!(bench.model.requests()[0].max_completion_tokens, Some(1000));

    let second = calls(&[("call_2", "f", &["{}"])]).into_iter();
    let second = second.take(2).chain([
        Ok(ChatEvent::Finished(FinishReason::ToolCalls)),
        Ok(ChatEvent::Usage(usage(300, 700))),
    ]);
    bench.model.then(Reply::Events(second.collect()));
    submit(&bench, &run.id, "call_1").await;
    assert_eq!(bench.model.requests()[1].max_completion_tokens, Some(700));

    // Nothing is left: the third turn is not asked for.
    submit(&bench, &run.id, "call_2").await;
    assert_eq!(bench.model.requests().len(), 2);
    assert!(matches!(
        bench.get(&run.id).await.state,
        RunState::Incomplete {
            reason: RunIncompleteReason::MaxCompletionTokens,
            ..
        }
    ));
}

async fn submit(bench: &Bench, run: &loomgate_domain::RunId, call: &str) {
    bench.submit(run, vec![output(call, "ok")]).await;
    bench.settled(run).await;
}

#[tokio::test]
async fn a_prompt_that_can_not_be_cut_to_fit_ends_the_run_incomplete() {
    let bench = Bench::new().await;
    let mut request = bench.request(&"word ".repeat(400), options(true));
    request.options.max_prompt_tokens = Some(256);
    let created = bench.engine.create_run(&bench.ws, request).await.unwrap();
    let seen = rest(&mut created.events.unwrap()).await;
    assert_eq!(
        names(&seen)[2..],
        ["thread.run.in_progress", "thread.run.incomplete", "done"]
    );
    assert!(bench.model.requests().is_empty());
    assert_eq!(
        seen[3].data["incomplete_details"]["reason"],
        "max_prompt_tokens"
    );
}

#[tokio::test]
async fn a_message_beyond_the_window_is_left_to_the_provider() {
    let small = Limits {
        context_window_tokens: 10,
        ..Limits::default()
    };
    let bench = Bench::with(small).await;
    bench.model.says(&["It was long."]);
    let run = bench.run(&"word ".repeat(20_000)).await;
    assert_eq!(
        bench.settled(&run.id).await.state.status(),
        RunStatus::Completed
    );
    assert_eq!(bench.model.requests()[0].messages.len(), 2);
}

#[tokio::test]
async fn a_forced_call_is_forced_once() {
    let bench = Bench::new().await;
    bench
        .model
        .then(Reply::Events(calls(&[("call_1", "g", &["{}"])])));
    let run = create(&bench, |request| {
        request.options.tool_choice = ToolChoice::Function("g".to_owned());
    });
    let run = run.await;
    bench.settled(&run.id).await;
    bench.model.says(&["Done."]);
    submit(&bench, &run.id, "call_1").await;
    let choices: Vec<_> = bench
        .model
        .requests()
        .into_iter()
        .map(|r| r.tool_choice)
        .collect();
    assert_eq!(
        choices,
        [ToolChoice::Function("g".to_owned()), ToolChoice::Auto]
    );
}

#[tokio::test]
async fn a_locked_thread_takes_no_second_run() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let run = bench.run("one").await;
    let request = bench.request("two", options(true));
    let refused = bench.engine.create_run(&bench.ws, request).await;
    let Err(Error::ThreadLocked {
        thread,
        run: active,
    }) = refused
    else {
        panic!("not refused");
    };
    assert_eq!((thread, active), (bench.thread.clone(), run.id.clone()));
    assert_eq!(bench.messages().await.len(), 1, "nothing was appended");
    drop(model);
    bench
        .engine
        .cancel(&bench.ws, &bench.thread, &run.id)
        .await
        .unwrap();
    bench.settled(&run.id).await;
}

#[tokio::test]
async fn a_deleted_thread_takes_its_run_with_it() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let (_, mut events) = bench.stream("hi").await;
    model.send(word("Hello")).unwrap();
    until(&mut events, "thread.message.delta").await;
    assert!(
        bench
            .engine
            .delete_thread(&bench.ws, &bench.thread)
            .await
            .unwrap()
    );
    model.closed().await;
    let error = next(&mut events).await.unwrap();
    assert_eq!(error.name, "error");
    assert!(
        !bench
            .engine
            .delete_thread(&bench.ws, &bench.thread)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_run_that_was_cancelled_elsewhere_ends_with_the_word_that_came_last() {
    let bench = Bench::new().await;
    let model = bench.model.live();
    let (run, mut events) = bench.stream("hi").await;
    until(&mut events, "thread.run.in_progress").await;
    bench.model.asked(1).await;
    // The worker learns of it when it commits the message that begins with the word.
    let elsewhere = bench.another(&Bench::settings(Limits::default()));
    let cancelled = elsewhere.cancel(&bench.ws, &bench.thread, &run.id).await;
    cancelled.unwrap();
    model.send(word("Half")).unwrap();
    let delta = until(&mut events, "thread.message.delta").await;
    assert_eq!(delta.data["delta"]["content"][0]["text"]["value"], "Half");
    let ended = until(&mut events, "thread.message.incomplete").await;
    assert_eq!(ended.data["content"][0]["text"]["value"], "Half");
    rest(&mut events).await;
    assert_eq!(bench.said().await, ["Half"]);
}
