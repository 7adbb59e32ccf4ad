//! Scenes of everything but runs of a thread: each writes, and knows what has to be there then.

use hyper::Method;
use serde_json::{Value, json};

use super::pen::Pen;
use crate::{
    api::Answer,
    history::text,
    question::{Question, right_output},
};

/// Questions of scenes that ask one: whose model calls a function, that is answered at once, and that
/// takes its time.
pub(super) const CALLING: Question = Question {
    number: 1,
    rounds: 1,
};
pub(super) const PLAIN: Question = Question {
    number: 1,
    rounds: 0,
};
pub(super) const SLOW: Question = Question {
    number: 10,
    rounds: 0,
};

/// Assistants, threads and messages are made, changed and deleted.
pub(super) async fn records(pen: &mut Pen) -> anyhow::Result<()> {
    let made = pen.create("/assistants", json!({"model": "m"})).await?;
    pen.set_metadata(&of("/assistants", &made), "kept").await?;
    let made = pen.create("/assistants", json!({"model": "m"})).await?;
    pen.remove(&of("/assistants", &made)).await?;

    let user = |text: &str| json!({"role": "user", "content": text});
    let messages = [user("one"), user("two")];
    let made = pen
        .create("/threads", json!({ "messages": messages }))
        .await?;
    let thread = of("/threads", &made);
    pen.set_metadata(&thread, "kept").await?;
    let messages = format!("{thread}/messages");
    let made = pen.create(&messages, user("three")).await?;
    pen.set_metadata(&of(&messages, &made), "kept").await?;
    let made = pen.create(&messages, user("four")).await?;
    pen.remove(&of(&messages, &made)).await?;

    let made = pen.create("/threads", json!({})).await?;
    pen.remove(&of("/threads", &made)).await?;
    // One is there from the beginning.
    pen.ledger.counts("/assistants", 2);
    pen.ledger.counts(messages, 3);
    for (table, rows) in [("assistants", 2), ("threads", 1), ("messages", 3)] {
        pen.ledger.rows(table, rows);
    }
    pen.ledger.rows("receipts", pen.creations());
    Ok(())
}

/// A thread is made together with its run, under a key.
pub(super) async fn thread_and_run(pen: &mut Pen) -> anyhow::Result<()> {
    let made = begin(pen, CALLING, &json!({}), &[]).await?;
    let run = run_of(&made);
    let waiting = pen.becomes(&run, "requires_action").await?;
    submit(pen, &run, &waiting).await?;
    pen.becomes(&run, "completed").await?;
    pen.ledger.has(&*run, json!({"status": "completed"}));
    let thread = format!("/threads/{}", text(&made["thread_id"]));
    pen.ledger.counts(format!("{thread}/runs"), 1);
    pen.ledger.counts(format!("{thread}/messages"), 2);
    for (table, rows) in [("threads", 1), ("runs", 1), ("messages", 2)] {
        pen.ledger.rows(table, rows);
    }
    // The assistant was made without a key.
    pen.ledger.rows("receipts", pen.creations());
    Ok(())
}

/// Asks a question in a thread of its own. `more` stands in the body besides.
pub(super) async fn begin(
    pen: &mut Pen,
    question: Question,
    more: &Value,
    headers: &[(&'static str, &str)],
) -> anyhow::Result<Value> {
    let list = pen.api.read("/assistants").await?;
    let message = json!({"role": "user", "content": question.text(1)});
    let mut body = more.clone();
    body["assistant_id"] = list["data"][0]["id"].clone();
    body["thread"] = json!({ "messages": [message] });
    pen.create_with("/threads/runs", body, headers).await
}

/// Hands in the outputs that a run waits for.
pub(super) async fn submit(pen: &mut Pen, run: &str, waiting: &Value) -> anyhow::Result<()> {
    let calls = &waiting["required_action"]["submit_tool_outputs"]["tool_calls"];
    let calls = calls.as_array().into_iter().flatten();
    let outputs = calls.map(|call| {
        let id = text(&call["id"]);
        json!({"output": right_output(&id), "tool_call_id": id})
    });
    let body = json!({ "tool_outputs": outputs.collect::<Vec<_>>() });
    let path = format!("{run}/submit_tool_outputs");
    pen.change(Method::POST, &path, body).await?;
    Ok(())
}

/// The path of a run.
pub(super) fn run_of(run: &Value) -> String {
    format!(
        "/threads/{}/runs/{}",
        text(&run["thread_id"]),
        text(&run["id"])
    )
}

/// Virtual keys, configs, API keys, feedback, records of logs and their exports.
pub(super) async fn administration(pen: &mut Pen) -> anyhow::Result<()> {
    virtual_keys(pen).await?;
    configs(pen).await?;
    api_keys(pen).await?;
    pen.ledger.rows("receipts", pen.creations());
    logs(pen).await
}

async fn virtual_keys(pen: &mut Pen) -> anyhow::Result<()> {
    let list = "/virtual-keys";
    for slug in ["kept", "gone"] {
        let body =
            json!({"name": slug, "slug": slug, "provider": "openai", "key": "sk-0123456789"});
        pen.make(list, body, &[]).await?;
    }
    pen.ledger.rows("virtual_keys", 1);
    let kept = format!("{list}/kept");
    let note = json!({"note": "changed"});
    pen.change(Method::PUT, &kept, note.clone()).await?;
    pen.ledger.has(kept, note);
    pen.remove(&format!("{list}/gone")).await
}

async fn configs(pen: &mut Pen) -> anyhow::Result<()> {
    let list = "/configs";
    let config = |key: &str| json!({ "virtual_key": key });
    pen.ledger.rows("configs", 1);
    let mut paths = Vec::new();
    for name in ["kept", "gone"] {
        let body = json!({"name": name, "config": config("model")});
        let made = pen.make(list, body, &[]).await?;
        paths.push(format!("{list}/{}", text(&made["slug"])));
    }
    let change = json!({"config": config("kept")});
    pen.change(Method::PUT, &paths[0], change.clone()).await?;
    pen.ledger.has(&*paths[0], change);
    pen.remove(&paths[1]).await
}

async fn api_keys(pen: &mut Pen) -> anyhow::Result<()> {
    let list = "/api-keys";
    let mut paths = Vec::new();
    pen.ledger.rows("api_keys", 2);
    for name in ["kept", "gone"] {
        let body = json!({"name": name, "scopes": ["completions.write"]});
        let made = pen.create("/api-keys/workspace/service", body).await?;
        paths.push(of(list, &made));
    }
    let change = json!({"rate_limits": [{"type": "requests", "unit": "rpm", "value": 77}]});
    pen.change(Method::PUT, &paths[0], change.clone()).await?;
    pen.change(Method::PUT, &paths[0], json!({"reset_usage": true}))
        .await?;
    let rotation = format!("{}/rotate", paths[0]);
    let rotated = pen.make(&rotation, json!({}), &[]).await?;
    pen.api
        .with_key(&text(&rotated["key"]))
        .read("/assistants")
        .await?;
    pen.ledger.has(&*paths[0], change);
    pen.remove(&paths[1]).await
}

async fn logs(pen: &mut Pen) -> anyhow::Result<()> {
    let record = json!({
        "request": {"method": "POST", "url": "https://example.com/v1/chat/completions", "headers": {},
            "body": {"model": "m"}},
        "response": {"status": 200, "headers": {}, "body": {}, "response_time": 12},
        "metadata": {"traceId": "told"},
    });
    let made = pen.make("/logs", record, &[]).await?;
    let id = text(&made["data"]["ids"][0]);
    pen.ledger.has(format!("/logs/{id}"), json!({}));
    let feedback = json!({"trace_id": "told", "value": 5});
    let made = pen.make("/feedback", feedback, &[]).await?;
    let path = format!("/feedback/{}", text(&made["feedback_ids"][0]));
    let change = json!({"value": 1, "weight": 1});
    pen.change(Method::PUT, &path, change).await?;
    let export = json!({
        "filters": {"time_of_generation_min": "2020-01-01"},
        "description": "all", "requested_data": ["id"],
    });
    let list = "/logs/exports";
    let made = pen.create(list, export).await?;
    pen.ledger.counts(list, 1);
    let path = of(list, &made);
    let change = json!({"requested_data": ["id", "ai_model"]});
    pen.change(Method::PUT, &path, change.clone()).await?;
    pen.change(Method::POST, &format!("{path}/start"), json!({}))
        .await?;
    pen.ledger.has(path, change);
    Ok(())
}

/// Calls that are passed on: one that costs, and one that makes something at its provider.
pub(super) async fn relayed(pen: &mut Pen) -> anyhow::Result<()> {
    ask(pen, &[]).await?;
    let there = [("x-portkey-virtual-key", "there")];
    let made = pen.change_with("/threads", json!({}), &there).await?;
    anyhow::ensure!(made["id"] == "thread_there", "{made}");
    Ok(())
}

/// Files and uploads are made, refused, named, completed, cancelled and deleted.
pub(super) async fn files(pen: &mut Pen) -> anyhow::Result<()> {
    let purpose = ("purpose", None, "vision");
    let kept = file(pen, "kept").await?;
    // Its bytes are those of the first.
    let named = file(pen, "kept").await?;
    let user = json!({"tool_resources": {"code_interpreter": {"file_ids": [named["id"]]}}});
    let thread = of("/threads", &pen.create("/threads", user).await?);
    let refused = [
        ("file", Some("a"), "refused"),
        purpose,
        ("colour", None, "red"),
    ];
    let refused = pen.send_form("/files", &refused).await?;
    anyhow::ensure!(refused == Err(400), "{refused:?}");
    pen.remove(&of("/files", &named)).await?;
    let none = json!({"tool_resources": {"code_interpreter": {"file_ids": []}}});
    pen.ledger.has(thread, none);
    pen.ledger.has(of("/files", &kept), json!({"bytes": 4}));

    let upload = upload(pen).await?;
    let part = part(pen, &upload).await?;
    let body = json!({"part_ids": [part["id"]]});
    let done = pen.create(&format!("{upload}/complete"), body).await?;
    pen.ledger
        .has(of("/files", &done["file"]), json!({"bytes": 4}));
    let given_up = self::upload(pen).await?;
    self::part(pen, &given_up).await?;
    // The second time it is no more pending.
    cancel(pen, &given_up).await?;
    pen.ledger.counts("/files", 2);
    for (table, rows) in [
        ("files", 2),
        ("file_blobs", 2),
        ("file_users", 0),
        ("upload_parts", 0),
    ] {
        pen.ledger.rows(table, rows);
    }
    Ok(())
}

async fn cancel(pen: &mut Pen, upload: &str) -> anyhow::Result<()> {
    let path = format!("{upload}/cancel");
    let mut was_lost = false;
    loop {
        match pen.api.post(&path, &json!({})).await {
            Answer::Done(_) => return Ok(()),
            Answer::Refused(400, _) if was_lost => return Ok(()),
            Answer::Refused(status, why) => anyhow::bail!("POST {path}: {status} {why}"),
            Answer::Lost => pen.api.pause().await,
        }
        was_lost = true;
    }
}

/// A file of these bytes.
pub(super) async fn file(pen: &mut Pen, bytes: &str) -> anyhow::Result<Value> {
    let fields = [("purpose", None, "vision"), ("file", Some("a.png"), bytes)];
    let made = pen.send_form("/files", &fields).await?;
    made.map_err(|status| anyhow::anyhow!("a file was refused: {status}"))
}

/// The path of an upload of four bytes.
pub(super) async fn upload(pen: &mut Pen) -> anyhow::Result<String> {
    let body = json!({
        "filename": "a", "purpose": "batch", "bytes": 4, "mime_type": "text/plain",
    });
    Ok(of("/uploads", &pen.create("/uploads", body).await?))
}

/// A part of it.
pub(super) async fn part(pen: &mut Pen, upload: &str) -> anyhow::Result<Value> {
    let path = format!("{upload}/parts");
    let made = pen
        .send_form(&path, &[("data", Some("data"), "part")])
        .await?;
    made.map_err(|status| anyhow::anyhow!("a part was refused: {status}"))
}

/// Asks the model itself.
pub(super) async fn ask(pen: &mut Pen, headers: &[(&'static str, &str)]) -> anyhow::Result<()> {
    let message = json!({"role": "user", "content": PLAIN.text(1)});
    let body = json!({"model": "m", "messages": [message]});
    let answer = pen.change_with("/chat/completions", body, headers).await?;
    let said = &answer["choices"][0]["message"]["content"];
    anyhow::ensure!(*said == *PLAIN.answer(), "{answer}");
    Ok(())
}

/// The path of something that was made.
pub(super) fn of(list: &str, made: &Value) -> String {
    format!("{list}/{}", text(&made["id"]))
}
