//! Outputs that are handed in again, by a client that did not get its answer: the run is returned as
//! it is, however far it has come since.

use loomgate_domain::{
    Run,
    run::{RunStatus, ToolOutput},
    tool::{FileSearch, Tool},
};
use loomgate_engine::{Error, Subscription};
use loomgate_wire::chat::FinishReason;

use crate::harness::{
    Bench, Reply, Seen, calls, end, function, names, options, output, rest, word,
};

type Submitted = Result<(Run, Option<Subscription>), Error>;

async fn submit(bench: &Bench, run: &Run, outputs: &[ToolOutput], stream: bool) -> Submitted {
    let engine = &bench.engine;
    let (ws, thread) = (&bench.ws, &bench.thread);
    let submitted = engine.submit_tool_outputs(ws, thread, &run.id, outputs.to_vec(), stream);
    submitted.await
}

/// The leg that outputs begin, or have begun.
async fn leg(bench: &Bench, run: &Run, outputs: &[ToolOutput]) -> Vec<Seen> {
    let submitted = submit(bench, run, outputs, true).await;
    rest(&mut submitted.unwrap().1.unwrap()).await
}

fn call(bench: &Bench, ids: &[&str]) {
    let of: Vec<_> = ids.iter().map(|id| (*id, "f", &["{}"] as &[_])).collect();
    bench.model.then(Reply::Events(calls(&of)));
}

#[tokio::test]
async fn outputs_of_an_earlier_round_are_known_while_the_run_waits_for_others() {
    let bench = Bench::new().await;
    call(&bench, &["call_1", "call_2"]);
    let (run, mut events) = bench.stream("go").await;
    rest(&mut events).await;
    let first = [output("call_1", "one"), output("call_2", "two")];
    call(&bench, &["call_3"]);
    let second_leg = leg(&bench, &run, &first).await;
    assert_eq!(
        second_leg[second_leg.len() - 2].name,
        "thread.run.requires_action"
    );

    // In another order they are the same.
    let [one, two] = first.clone();
    let (known, events) = submit(&bench, &run, &[two, one], false).await.unwrap();
    assert!(events.is_none());
    assert_eq!(known, bench.get(&run.id).await);
    assert_eq!(known.state.status(), RunStatus::RequiresAction);
    assert_eq!(leg(&bench, &run, &first).await, second_leg);
    for others in [
        vec![output("call_1", "other"), output("call_2", "two")],
        vec![output("call_1", "one")],
        vec![output("call_1", "one"), output("call_1", "one")],
        [&first[..], &[output("call_3", "three")]].concat(),
    ] {
        let refused = submit(&bench, &run, &others, true).await;
        assert!(matches!(refused, Err(Error::WrongOutputs { .. })));
    }

    // Nor does another leg behind it make a difference.
    bench.model.says(&["Done."]);
    let last = [output("call_3", "three")];
    let third_leg = leg(&bench, &run, &last).await;
    assert_eq!(third_leg.last().unwrap().name, "done");
    assert_ne!(third_leg, second_leg);
    assert_eq!(leg(&bench, &run, &first).await, second_leg);
    assert_eq!(leg(&bench, &run, &last).await, third_leg);
    let others = [output("call_3", "other")];
    let refused = submit(&bench, &run, &others, false).await;
    assert!(matches!(refused, Err(Error::WrongStatus { .. })));
    assert_eq!(bench.model.requests().len(), 3);
}

#[tokio::test]
async fn outputs_are_known_while_their_round_is_followed_by_a_search() {
    let bench = Bench::new().await;
    call(&bench, &["call_1"]);
    let mut options = options(false);
    let search = FileSearch::default();
    let search = Tool::FileSearch {
        file_search: search,
    };
    options.tools = Some(vec![function("f"), search]);
    let created = bench
        .engine
        .create_run(&bench.ws, bench.request("go", options));
    let run = created.await.unwrap().run;
    bench.settled(&run.id).await;

    let searches = calls(&[("call_2", "file_search", &[r#"{"queries":["food"]}"#])]);
    bench.model.then(Reply::Events(searches));
    let model = bench.model.live();
    let outputs = [output("call_1", "one")];
    submit(&bench, &run, &outputs, false).await.unwrap();
    bench.model.asked(3).await;
    let refused = [Vec::new(), vec![output("call_1", "other")]];
    let (known, _) = submit(&bench, &run, &outputs, false).await.unwrap();
    assert_eq!(known.state.status(), RunStatus::InProgress);
    for others in &refused {
        let refused = submit(&bench, &run, others, false).await;
        assert!(matches!(refused, Err(Error::WrongStatus { .. })));
    }

    let last = end(FinishReason::Stop, 1);
    for event in [word("Pizza.")].into_iter().chain(last) {
        model.send(event).unwrap();
    }
    drop(model);
    bench.settled(&run.id).await;
    let (known, _) = submit(&bench, &run, &outputs, false).await.unwrap();
    assert_eq!(known.state.status(), RunStatus::Completed);
    // What was not recorded is told by its states.
    let states = leg(&bench, &run, &outputs).await;
    assert_eq!(names(&states), ["thread.run.completed", "done"]);
    for others in &refused {
        let refused = submit(&bench, &run, others, false).await;
        assert!(matches!(refused, Err(Error::WrongStatus { .. })));
    }
    assert_eq!(bench.model.requests().len(), 3);
}
