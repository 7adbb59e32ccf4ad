//! Recorded answers and streams, as a run reads them and as a relay sees them.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::json;

use super::{
    super::{
        accounts::named,
        line::{Line, Read, Sevens, reply},
        *,
    },
    asked::plain,
};
use crate::{
    ChatRequest, Timeouts,
    openai::{Body, Decoder},
    reading::Wire,
};

/// `(account, folder, file, status)` as [`Recorded`].
macro_rules! recorded {
    ($(($at:literal, $folder:literal, $file:literal, $status:literal)),* $(,)?) => {
        &[$(($at, concat!($folder, "_", $file), $status, include_bytes!(concat!("../../fixtures/", $folder, "/", $file)))),*]
    };
}

/// Account, `folder_file`, status, body.
type Recorded = (&'static str, &'static str, u16, &'static [u8]);

const ANSWERS: &[Recorded] = recorded![
    ("openai", "openai", "tools.json", 200),
    ("openai", "openai", "refusal.json", 200),
    ("openai", "openai", "quota.json", 429),
    ("openai", "openai", "tools.sse", 200),
    ("openai", "openai", "refusal.sse", 200),
    ("openai", "openai", "error.sse", 200),
    ("azure-openai", "azure-openai", "tools.json", 200),
    ("azure-openai", "azure-openai", "filtered.json", 200),
    ("azure-openai", "azure-openai", "prompt_filtered.json", 400),
    ("azure-openai", "azure-openai", "tools.sse", 200),
    ("azure-openai", "azure-openai", "filtered.sse", 200),
    ("azure-openai", "azure-openai", "error.sse", 200),
    ("compatible", "compatible", "llamacpp.json", 200),
    ("compatible", "compatible", "bare.json", 200),
    ("compatible", "compatible", "llamacpp.sse", 200),
    ("compatible", "compatible", "ollama.sse", 200),
    ("compatible", "compatible", "deepseek.sse", 200),
    ("compatible", "compatible", "bare.sse", 200),
    ("compatible", "compatible", "vllm_error.sse", 200),
    ("compatible", "compatible", "cut.sse", 200),
    ("compatible", "compatible", "empty_reason_cut.sse", 200),
    ("claude-opus-5", "anthropic", "tools.sse", 200),
    ("claude-opus-5", "anthropic", "searched.sse", 200),
    ("claude-opus-5", "anthropic", "overloaded.sse", 200),
    ("gemini-3.8-flash", "google", "tools.sse", 200),
    ("gemini-3.8-flash", "google", "grounded.sse", 200),
    ("gemini-3.8-flash", "google", "blocked.sse", 200),
    ("gemini-3.8-flash", "google", "unavailable.sse", 200),
];

fn is_stream(file: &str) -> bool {
    matches!(file.rsplit_once('.'), Some((_, "sse")))
}

async fn read(line: &Line, (at, file, status, bytes): Recorded) -> Read {
    let at = named(at);
    let request = ChatRequest {
        model: at.model.to_owned(),
        ..plain()
    };
    line.upstream.push(reply(status, is_stream(file), bytes));
    line.turn(at, &request).await
}

#[tokio::test]
async fn answers_of_every_vendor_are_read_as_recorded() {
    let line = Line::start().await;
    for recorded @ (at, file, status, bytes) in ANSWERS {
        let read = read(&line, *recorded).await;
        let at = named(at);
        let mut body = json!({"model": at.model, "messages": [{"role": "user", "content": "Hi"}]});
        if is_stream(file) {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        line.upstream.push(reply(*status, is_stream(file), bytes));
        let (relayed, mut seen) = line.relay(at, "/v1/chat/completions", &body).await;
        // What a vendor's own form becomes stands in `answers` and `streams`.
        seen["as_it_came"] = json!(relayed == bytes);
        golden!(json format!("turn_{file}"), json!({"turn": read.shown(), "relayed": seen}));
    }
}

#[tokio::test]
async fn streams_are_read_alike_wherever_they_are_cut() {
    let line = Line::start().await;
    let speaks_openai = |at: &str| matches!(at, "openai" | "azure-openai" | "compatible");
    for recorded @ (at, file, _, bytes) in ANSWERS {
        if !speaks_openai(at) || !is_stream(file) {
            continue;
        }
        let whole = read(&line, *recorded).await;
        for size in 1..20 {
            let pieces = bytes.chunks(size).map(Bytes::from_static);
            let wire = Wire::of_frames(stream::iter(pieces.collect::<Vec<_>>()).boxed());
            let decoder = Decoder::new(Arc::new(Sevens), None);
            let mut body = Body::new(wire, decoder, Timeouts::default());
            let mut read = Read::default();
            while let Some(event) = body.next().await {
                match event {
                    Ok(event) => read.take(event),
                    Err(error) => read.fail(&error),
                }
            }
            assert_eq!(read, whole, "{file} in pieces of {size}");
        }
    }
}

/// The same answer, as each vendor says it.
#[tokio::test]
async fn a_turn_is_the_same_at_every_vendor() {
    let line = Line::start().await;
    for (files, counts) in [
        (
            ["openai_tools.json", "azure-openai_tools.json"].as_slice(),
            true,
        ),
        (
            &[
                "openai_tools.json",
                "compatible_llamacpp.json",
                "compatible_bare.json",
            ],
            false,
        ),
        (
            &[
                "openai_tools.sse",
                "azure-openai_tools.sse",
                "anthropic_tools.sse",
            ],
            true,
        ),
        (
            &[
                "openai_tools.sse",
                "compatible_llamacpp.sse",
                "compatible_ollama.sse",
                "compatible_bare.sse",
            ],
            false,
        ),
    ] {
        let mut first = None;
        for file in files {
            let recorded = ANSWERS.iter().find(|(_, name, ..)| name == file).unwrap();
            let mut turn = read(&line, *recorded).await.shown();
            // Ids are each vendor's own; arguments are the same JSON, with other white space.
            for call in turn["calls"].as_array_mut().unwrap() {
                call["id"].take();
                let arguments = match call["arguments"].as_str().unwrap() {
                    "" => json!({}),
                    text => json(text),
                };
                call["arguments"] = arguments;
            }
            if !counts {
                turn["usage"].take();
            }
            let first = first.get_or_insert_with(|| turn.clone());
            assert_eq!(turn, *first, "{file}");
        }
    }
}
