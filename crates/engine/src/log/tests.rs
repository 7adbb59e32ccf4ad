use bytes::Bytes;
use loomgate_domain::{
    AssistantId, MessageId, Metadata, ThreadId, Timestamp, Usage,
    run::{Route, RunSettings, RunState},
    tool::{ResponseFormat, ToolChoice, ToolResources, Truncation},
};

use super::*;

fn id(attempt: i64, number: i64) -> EventId {
    EventId { attempt, number }
}

fn slot(at: EventId) -> Slot {
    Slot {
        id: at,
        frame: Bytes::from(at.to_string()),
        ends_leg: false,
    }
}

fn told(attempt: i64, numbers: std::ops::RangeInclusive<i64>) -> Vec<Slot> {
    numbers.map(|number| slot(id(attempt, number))).collect()
}

fn log() -> Arc<RunLog> {
    Arc::new(RunLog::new(RunId::trusted("run_1")))
}

fn ws() -> WorkspaceId {
    WorkspaceId::trusted("ws_1")
}

fn words(text: &str) -> Entry {
    Entry::Text {
        message: MessageId::trusted("msg_1"),
        index: 0,
        begins: false,
        pieces: vec![text.to_owned()],
    }
}

fn run() -> Run {
    Run {
        id: RunId::trusted("run_1"),
        thread_id: ThreadId::trusted("thread_1"),
        assistant_id: AssistantId::trusted("asst_1"),
        created_at: Timestamp(0),
        settings: RunSettings {
            model: String::new(),
            instructions: String::new(),
            tools: Vec::new(),
            tool_resources: ToolResources::default(),
            temperature: None,
            top_p: None,
            reasoning_effort: None,
            max_prompt_tokens: None,
            max_completion_tokens: None,
            truncation: Truncation::Auto,
            response_format: ResponseFormat::Auto,
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            expires_at: Timestamp(600),
            stream: true,
            include_results: false,
            vector_stores: Vec::new(),
            route: Route::Sealed,
            origin: None,
        },
        metadata: Metadata::default(),
        state: RunState::Queued { started_at: None },
        usage: Usage::default(),
    }
}

/// All that a reader finds from a place on, and what it finds behind that.
fn read(log: &RunLog, reader: u64, mut at: EventId) -> (Vec<String>, Look) {
    let mut seen = Vec::new();
    loop {
        match log.look(reader, at) {
            Look::Slot(slot) => {
                at = slot.id;
                seen.push(at.to_string());
            }
            other => return (seen, other),
        }
    }
}

#[test]
fn what_a_command_told_comes_before_what_the_worker_told_meanwhile() {
    let log = log();
    let reader = log.register(EventId::START);
    log.adopt(ws(), 1, id(0, 2), told(1, 3..=3));
    assert!(matches!(
        log.look(reader, EventId::START),
        Look::Behind { .. }
    ));
    log.extend(EventId::START, told(0, 1..=2));
    let (seen, then) = read(&log, reader, EventId::START);
    assert_eq!(seen, ["0.1", "0.2", "1.3"]);
    assert!(matches!(then, Look::Wait { here: true }));
}

#[test]
fn events_that_were_let_go_of_are_not_missed_behind_those_of_a_command() {
    let log = log();
    // Nobody reads yet.
    log.adopt(ws(), 1, id(0, 2), told(1, 3..=5));
    log.extend(EventId::START, told(0, 1..=2));
    let reader = log.register(EventId::START);
    let look = log.look(reader, EventId::START);
    assert!(matches!(look, Look::Behind { stored: true }), "{look:?}");
    assert!(matches!(
        log.look(reader, id(1, 5)),
        Look::Wait { here: true }
    ));
}

#[test]
fn what_every_reader_has_seen_is_let_go_of() {
    let log = log();
    let (fast, slow) = (log.register(EventId::START), log.register(EventId::START));
    log.extend(EventId::START, told(0, 1..=4));
    read(&log, fast, EventId::START);
    assert_eq!(log.state.lock().window.len(), 4);
    log.saw(slow, id(0, 3));
    assert_eq!(log.state.lock().window.len(), 1);
    log.unregister(slow);
    let state = log.state.lock();
    assert_eq!((state.window.len(), state.bytes), (0, 0));
}

#[test]
fn a_slow_reader_costs_no_more_than_the_cap_and_is_sent_to_the_table() {
    let log = log();
    let reader = log.register(EventId::START);
    log.extend(EventId::START, told(0, 1..=1));
    let large = |number| Slot {
        frame: Bytes::from(vec![b'x'; MAX_BYTES / 4]),
        ..slot(id(0, number))
    };
    for number in 2..10 {
        log.extend(id(0, number - 1), vec![large(number)]);
    }
    assert!(log.state.lock().bytes <= MAX_BYTES);
    let look = log.look(reader, EventId::START);
    assert!(matches!(look, Look::Behind { .. }), "{look:?}");
    let (seen, _) = read(&log, reader, id(0, 6));
    assert_eq!(seen, ["0.7", "0.8", "0.9"]);
}

#[test]
fn a_command_that_tells_nothing_takes_nothing_from_readers() {
    let log = log();
    let reader = log.register(EventId::START);
    log.adopt(ws(), 1, EventId::START, told(1, 1..=2));
    log.tell(1, words("not stored yet"), &mut run()).unwrap();
    log.extend(id(1, 2), Vec::new());
    let (seen, _) = read(&log, reader, EventId::START);
    assert_eq!(seen, ["1.1", "1.2", "1.3"]);
}

#[test]
fn a_lost_workers_tail_gives_way_to_its_successor() {
    let log = log();
    let reader = log.register(EventId::START);
    log.adopt(ws(), 1, EventId::START, told(1, 1..=2));
    log.tell(1, words("not stored"), &mut run()).unwrap();
    let (seen, _) = read(&log, reader, EventId::START);
    assert_eq!(seen, ["1.1", "1.2", "1.3"]);
    let late = log.register(EventId::START);
    log.adopt(ws(), 2, id(1, 2), told(2, 3..=3));
    assert!(log.tell(1, words("no"), &mut run()).is_none());
    assert_eq!(read(&log, reader, id(1, 3)).0, ["2.3"]);
    assert_eq!(read(&log, late, id(1, 2)).0, ["2.3"]);
}

#[test]
fn a_lease_that_is_lost_leaves_nothing_to_be_read() {
    let log = log();
    let reader = log.register(EventId::START);
    log.adopt(ws(), 1, EventId::START, told(1, 1..=2));
    log.tell(1, words("not stored"), &mut run()).unwrap();
    log.retire(1, false);
    assert!(matches!(
        log.look(reader, id(1, 1)),
        Look::Behind { stored: false }
    ));
    assert!(log.take(Some(1)).is_none());
}

#[test]
fn what_was_not_stored_is_pending_again_in_its_place() {
    let log = log();
    log.adopt(ws(), 1, EventId::START, told(1, 1..=2));
    assert!(log.tell(1, words("a"), &mut run()).unwrap().begins);
    let pending = log.take(None).unwrap();
    assert!(log.take(None).is_none(), "one at a time");
    assert!(log.tell(1, words("b"), &mut run()).unwrap().begins);
    drop(pending);
    assert_eq!(log.pending_bytes(), 2);
    let pending = log.take(Some(1)).unwrap();
    assert_eq!(pending.entries, [words("a"), words("b")]);
    assert_eq!(pending.first(), id(1, 3));
    pending.settle(id(1, 4));
    let pending = log.take(Some(1)).unwrap();
    assert_eq!((pending.after, pending.first()), (id(1, 4), id(1, 5)));
    assert_eq!(log.last_told(1), Some(id(1, 4)));
}
