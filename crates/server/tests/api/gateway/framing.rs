//! Streams as servers really write them: what comes back is whole, untouched, and judged rightly.

use loomgate_testkit::upstream::Reply;
use serde_json::json;

use super::stage::{Stage, question};
use crate::app::Answer;

const EVENTS: (&str, &str) = ("content-type", "text/event-stream");
const WORD: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const STOP: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const COUNTS: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":1}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const CUT: &str = "\"code\":\"upstream_cut\"";

/// What a caller of a streamed chat gets of this reply.
async fn streamed(stage: &Stage, choices: u32, reply: Reply) -> Answer {
    stage.providers[0].push(reply);
    let mut body = question();
    body["stream"] = json!(true);
    body["n"] = json!(choices);
    let call = stage
        .post("/v1/chat/completions", &body)
        .header("x-portkey-virtual-key", "one");
    Answer::of(call).await
}

#[tokio::test]
async fn every_end_of_a_line_ends_one() {
    let stage = Stage::start().await;
    let (all, kept) = (
        [WORD, STOP, COUNTS, DONE].concat(),
        [WORD, STOP, DONE].concat(),
    );
    for (from, to) in [
        ("\n", "\n"),
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("\n\n", "\n\r\n"),
        ("\n\n", "\r\n\n"),
    ] {
        let sent = all.replace(from, to);
        // In pieces that cut through events and ends of lines alike.
        let pieces: Vec<_> = sent
            .as_bytes()
            .chunks(7)
            .map(|piece| std::str::from_utf8(piece).unwrap())
            .collect();
        let answer = streamed(&stage, 1, Reply::chunked(&[EVENTS], &pieces)).await;
        assert_eq!(answer.text, kept.replace(from, to), "{to:?}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn half_an_event_is_not_handed_out_before_the_error() {
    let stage = Stage::start().await;
    let half = &STOP[..40];
    for broken in [false, true] {
        let reply = Reply::chunked(&[EVENTS], &[WORD, half]);
        let reply = if broken { reply.broken() } else { reply };
        let answer = streamed(&stage, 1, reply).await;
        let rest = answer.text.strip_prefix(WORD).expect(&answer.text);
        assert!(rest.trim_start().starts_with("event: error\n"), "{rest}");
        assert!(rest.contains(CUT), "{rest}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn whoever_hangs_up_behind_the_last_word_has_said_all() {
    let stage = Stage::start().await;
    let reply = Reply::chunked(&[EVENTS], &[WORD, STOP, DONE]).broken();
    let answer = streamed(&stage, 1, reply).await;
    assert_eq!(answer.text, [WORD, STOP, DONE].concat());
    // Before it, nobody knows.
    let reply = Reply::chunked(&[EVENTS], &[WORD, STOP]).broken();
    let answer = streamed(&stage, 1, reply).await;
    assert!(answer.text.contains(CUT), "{}", answer.text);
    stage.stop().await;
}

#[tokio::test]
async fn all_choices_have_to_end() {
    let stage = Stage::start().await;
    let other = STOP.replace("\"index\":0", "\"index\":1");
    for (choices, pieces, is_whole) in [
        (1, vec![WORD, STOP], true),
        (2, vec![WORD, STOP], false),
        (2, vec![WORD, STOP, STOP], false),
        (2, vec![WORD, &other, STOP], true),
        (2, vec![WORD, STOP, DONE], true),
    ] {
        let answer = streamed(&stage, choices, Reply::chunked(&[EVENTS], &pieces)).await;
        assert_eq!(
            !answer.text.contains(CUT),
            is_whole,
            "{choices}: {}",
            answer.text
        );
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_compressed_stream_is_bytes() {
    let stage = Stage::start().await;
    let headers = [EVENTS, ("content-encoding", "gzip")];
    let bytes = "\u{1f}\u{8b} pretends to be compressed";
    let answer = streamed(&stage, 1, Reply::chunked(&headers, &[bytes])).await;
    assert_eq!(answer.text, bytes);
    assert_eq!(answer.header("content-encoding"), "gzip");
    stage.stop().await;
}

#[tokio::test]
async fn events_are_known_by_any_name_where_they_were_asked_for() {
    let stage = Stage::start().await;
    for kind in [
        "Text/Event-Stream; charset=utf-8",
        "text/plain",
        "application/octet-stream",
    ] {
        let headers = [("content-type", kind)];
        let whole = Reply::chunked(&headers, &[WORD, STOP, COUNTS, DONE]);
        let answer = streamed(&stage, 1, whole).await;
        assert_eq!(answer.text, [WORD, STOP, DONE].concat(), "{kind}");
        assert_eq!(answer.header("content-type"), kind);
        let answer = streamed(&stage, 1, Reply::chunked(&headers, &[WORD])).await;
        assert!(answer.text.contains(CUT), "{kind}: {}", answer.text);
    }
    // A refusal in JSON is none.
    let refusal = json!({"error": {"message": "no"}});
    let answer = streamed(&stage, 1, Reply::status(200, refusal.clone(), &[])).await;
    assert_eq!(answer.json(), refusal);
    stage.stop().await;
}

#[tokio::test]
async fn bytes_that_are_no_events_are_not_held() {
    let stage = Stage::start().await;
    let audio = Reply::chunked(
        &[("content-type", "application/octet-stream")],
        &["\nID3", "ab"],
    );
    stage.providers[0].push(audio);
    let body = json!({"model": "tts", "input": "x", "stream": true});
    let call = stage
        .post("/v1/audio/speech", &body)
        .header("x-portkey-virtual-key", "one");
    assert_eq!(Answer::of(call).await.text, "\nID3ab");
    // Nor is the last event of a stream that nobody judges, whatever is in it.
    stage.providers[0].push(Reply::chunked(&[EVENTS], &["data: 1\n\n", "data: words"]));
    let call = stage
        .post("/v1/batches", &json!({}))
        .header("x-portkey-virtual-key", "one");
    assert_eq!(Answer::of(call).await.text, "data: 1\n\ndata: words");
    stage.stop().await;
}
