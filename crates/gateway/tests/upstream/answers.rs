//! What goes out, and good answers of every kind.

use bytes::Bytes;
use futures::StreamExt;
use loomgate_domain::Usage;
use loomgate_gateway::{ChatEvent, Provider};
use loomgate_testkit::upstream::{FakeUpstream, Gate, Reply};
use loomgate_wire::chat::FinishReason;
use serde_json::json;

use super::*;

fn usage(prompt_tokens: u64, completion_tokens: u64) -> ChatEvent {
    ChatEvent::Usage(Usage {
        prompt_tokens,
        completion_tokens,
        ..Usage::default()
    })
}

#[tokio::test]
async fn a_text_comes_word_by_word() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::text("one two").usage(7, 2));
    let events = whole(chat(&upstream).await.unwrap()).await;
    let finished = ChatEvent::Finished(FinishReason::Stop);
    assert_eq!(events, [text("one "), text("two"), finished, usage(7, 2)]);
}

#[tokio::test]
async fn only_what_belongs_to_the_call_is_sent() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::text("ok"));
    let mut target = target_at(&format!("{}?api-version=1", upstream.url()));
    let Provider::Http(provider) = &mut target.provider else {
        unreachable!()
    };
    provider.organization = Some("org-1".to_owned());
    provider.project = Some("proj-1".to_owned());
    whole(turn(&gateway(), &target, &request()).await.unwrap()).await;
    let sent = upstream.next_request().await;
    assert_eq!(sent.method, "POST");
    assert_eq!(sent.path, "/v1/chat/completions?api-version=1");
    assert_eq!(
        sent.body,
        json!({
            "model": "local-model",
            "messages": [{"role": "user", "content": "hi"}],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": 500
        })
    );
    let mut headers: Vec<_> = sent
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .filter(|header| !header.starts_with("host: ") && !header.starts_with("content-length: "))
        .collect();
    headers.sort();
    assert_eq!(
        headers,
        [
            "accept: text/event-stream".to_owned(),
            format!("authorization: Bearer {KEY}"),
            "content-type: application/json".to_owned(),
            "openai-organization: org-1".to_owned(),
            "openai-project: proj-1".to_owned(),
            concat!("user-agent: loomgate/", env!("CARGO_PKG_VERSION")).to_owned(),
        ]
    );
}

#[tokio::test]
async fn calls_come_one_after_another() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::calls(&[("c1", "a", "{\"x\":1}"), ("c2", "b", "{}")]));
    let events = whole(chat(&upstream).await.unwrap()).await;
    let started = |index, id: &str, name: &str| ChatEvent::CallStarted {
        index,
        id: id.to_owned(),
        name: name.to_owned(),
        signature: None,
    };
    let arguments = |index, text: &str| ChatEvent::CallArguments {
        index,
        text: text.to_owned(),
    };
    assert_eq!(
        events,
        [
            started(0, "c1", "a"),
            arguments(0, "{\"x"),
            arguments(0, "\":1}"),
            started(1, "c2", "b"),
            arguments(1, "{}"),
            ChatEvent::Finished(FinishReason::ToolCalls),
            usage(10, 2),
        ]
    );
}

#[tokio::test]
async fn a_word_is_handed_out_before_the_next_is_written() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    upstream.push(Reply::gated("one two", &gate));
    gate.release(1);
    let mut stream = chat(&upstream).await.unwrap();
    assert_eq!(stream.next().await, Some(Ok(text("one "))));
    gate.release(1);
    assert_eq!(stream.next().await, Some(Ok(text("two"))));
}

#[tokio::test]
async fn an_answer_in_one_piece_is_taken_too() {
    let upstream = FakeUpstream::start().await;
    let body = json!({
        "object": "chat.completion",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "Hello there", "refusal": null},
            "finish_reason": "length"
        }],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2}
    });
    upstream.push(Reply::status(200, body, &[]));
    let events = whole(chat(&upstream).await.unwrap()).await;
    let finished = ChatEvent::Finished(FinishReason::Length);
    assert_eq!(events, [text("Hello there"), finished, usage(3, 2)]);
}

#[tokio::test]
async fn a_server_without_stream_options_is_asked_once() {
    let upstream = FakeUpstream::start().await;
    let refusal = json!({"detail": [{"loc": ["body", "stream_options"], "msg": "extra fields not permitted"}]});
    upstream.push(Reply::status(422, refusal, &[]));
    upstream.push(Reply::text("one"));
    upstream.push(Reply::text("two"));
    let gateway = gateway();
    let target = target(&upstream);
    for word in ["one", "two"] {
        let events = whole(turn(&gateway, &target, &request()).await.unwrap()).await;
        let finished = ChatEvent::Finished(FinishReason::Stop);
        assert_eq!(events, [text(word), finished]);
    }
    let with_options: Vec<_> = upstream
        .requests()
        .iter()
        .map(|request| request.body.get("stream_options").is_some())
        .collect();
    assert_eq!(with_options, [true, false, false]);
}

#[tokio::test]
async fn bytes_cut_anywhere_make_the_same_events() {
    let upstream = FakeUpstream::start().await;
    let stream = concat!(
        ": hello\r\n\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"é😀\"}}]}\r\n\r\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]",
    );
    let chunks = stream.as_bytes().chunks(1).map(Bytes::copy_from_slice);
    upstream.push(Reply::raw_chunks(chunks.collect()));
    let events = whole(chat(&upstream).await.unwrap()).await;
    let finished = ChatEvent::Finished(FinishReason::Stop);
    assert_eq!(events, [text("é😀"), finished]);
}

#[tokio::test]
async fn calls_one_after_another_share_a_connection() {
    let upstream = FakeUpstream::start().await;
    let gateway = gateway();
    let target = target(&upstream);
    for _ in 0..3 {
        upstream.push(Reply::text("one two"));
        whole(turn(&gateway, &target, &request()).await.unwrap()).await;
    }
    let requests = upstream.requests();
    assert_eq!(requests[0].peer, requests[1].peer);
    assert_eq!(requests[0].peer, requests[2].peer);
}

#[tokio::test]
async fn a_stream_that_is_dropped_hangs_up() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    gate.release(1);
    upstream.push(Reply::gated("one two", &gate));
    let mut stream = chat(&upstream).await.unwrap();
    assert_eq!(stream.next().await, Some(Ok(text("one "))));
    drop(stream);
    upstream.dropped().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_hangs_up() {
    let upstream = FakeUpstream::start().await;
    upstream.push(Reply::hang());
    let gateway = gateway();
    let (target, request) = (target(&upstream), request());
    tokio::select! {
        result = turn(&gateway, &target, &request) => panic!("answered: {result:?}"),
        _ = upstream.next_request() => {}
    }
    upstream.dropped().await;
}
