//! An author: uploads texts, puts them into a vector store of its own, looks whether they are found,
//! and deletes some; and remembers what was acknowledged.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use anyhow::{Context as _, bail, ensure};
use hyper::Method;
use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

use super::paper::{Facts, Kind, Paper, Place, Text};
use crate::{
    api::{Answer, Api},
    form::{FORM, form},
    history::text,
};

/// How often it is asked whether a file is indexed.
const LOOKS: u32 = 6_000;
/// In how many parts a text goes up.
const PARTS: usize = 3;

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    Upload,
    Part,
    Completion,
    Entry,
    Deletion,
    Other,
}

impl Doing {
    pub(super) const TOLD: [Self; 5] = [
        Self::Upload,
        Self::Part,
        Self::Completion,
        Self::Entry,
        Self::Deletion,
    ];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Upload => "uploads of a file",
            Self::Part => "uploads of a part",
            Self::Completion => "completions of an upload",
            Self::Entry => "entries into a vector store",
            Self::Deletion => "deletions",
            Self::Other => "others",
        }
    }
}

/// What all authors have in common.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) is_over: AtomicBool,
    under_way: [AtomicU64; Doing::TOLD.len() + 1],
    pub(super) acknowledged: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl Shared {
    /// Requests that are not answered yet, by what they are about.
    pub(super) fn under_way(&self) -> [u64; Doing::TOLD.len()] {
        Doing::TOLD.map(|doing| self.under_way[doing as usize].load(Ordering::Relaxed))
    }
}

pub(super) struct Author {
    shared: Arc<Shared>,
    api: Api,
    number: u32,
    dice: Dice,
    store: Option<String>,
    keys: u32,
    papers: Vec<Paper>,
    wrong: Vec<String>,
}

/// What an author has written, and what was not as it has to be.
pub(super) struct Written {
    pub(super) api: Api,
    pub(super) papers: Vec<Paper>,
    pub(super) wrong: Vec<String>,
}

impl Author {
    pub(super) fn new(shared: &Arc<Shared>, api: Api, (seed, number): (u64, u32)) -> Self {
        Self {
            shared: Arc::clone(shared),
            api,
            number,
            dice: Dice::new(seed ^ (u64::from(number) << 16)),
            store: None,
            keys: 0,
            papers: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Works until it is over, and comes to an end with what it has begun.
    pub(super) async fn work(mut self) -> Written {
        while !self.shared.is_over.load(Ordering::Relaxed) {
            if let Err(error) = Box::pin(self.write()).await {
                self.wrong
                    .push(format!("author {}: {error:#}", self.number));
            }
        }
        Written {
            api: self.api,
            papers: self.papers,
            wrong: self.wrong,
        }
    }

    async fn write(&mut self) -> anyhow::Result<()> {
        let text = self.draw();
        let content = text.whole();
        if self.dice.below(8) == 0 {
            self.give_up(text, &content).await?;
        }
        let file = if self.dice.below(3) == 0 {
            self.in_parts(text, &content).await?
        } else {
            self.at_once(text, &content).await?
        };
        let at = self.papers.len();
        self.papers.push(Paper {
            text,
            file,
            is_deleted: false,
            place: None,
        });
        if text.kind != Kind::Picture && self.dice.below(8) > 0 {
            self.enter(at).await?;
        }
        match self.dice.below(10) {
            0..=3 => self.delete(at).await,
            4..=5 => self.take_out(at).await,
            6 if self.dice.below(3) == 0 => self.close().await,
            _ => Ok(()),
        }
    }

    /// A new text, or once more one that was a note before: the same bytes.
    fn draw(&mut self) -> Text {
        let kind = match self.dice.below(10) {
            0..=4 => Kind::Note,
            5..=7 => Kind::Book,
            _ => Kind::Picture,
        };
        if kind == Kind::Note && self.dice.below(3) == 0 {
            let mut before = self.papers.iter().rev().map(|paper| paper.text);
            if let Some(text) = before.find(|text| text.kind == kind) {
                return text;
            }
        }
        Text {
            author: self.number,
            number: u32::try_from(self.papers.len()).unwrap_or(u32::MAX),
            kind,
        }
    }

    async fn at_once(&mut self, text: Text, content: &str) -> anyhow::Result<String> {
        let fields = [
            ("purpose", None, text.kind.purpose()),
            ("file", Some("text.txt"), content),
        ];
        let made = self.send_form(Doing::Upload, "/files", &fields).await?;
        Ok(text_of(&made, "id"))
    }

    async fn in_parts(&mut self, text: Text, content: &str) -> anyhow::Result<String> {
        let upload = self.upload(text, content.len()).await?;
        let mut parts = Vec::new();
        for part in cut(content) {
            parts.push(self.part(&upload, part).await?);
        }
        let body = json!({ "part_ids": parts });
        let path = format!("{upload}/complete");
        let done = self.create(Doing::Completion, &path, &body).await?;
        Ok(text_of(&done["file"], "id"))
    }

    /// Begins an upload, and cancels it.
    async fn give_up(&mut self, text: Text, content: &str) -> anyhow::Result<()> {
        let upload = self.upload(text, content.len()).await?;
        if let Some(part) = cut(content).next() {
            self.part(&upload, part).await?;
        }
        let path = format!("{upload}/cancel");
        // What was cancelled and not heard of is not pending the second time.
        self.ask(Doing::Other, Method::POST, &path, None, &[400])
            .await?;
        Ok(())
    }

    async fn upload(&mut self, text: Text, bytes: usize) -> anyhow::Result<String> {
        let body = json!({
            "filename": "text.txt", "purpose": text.kind.purpose(), "bytes": bytes,
            "mime_type": if text.kind == Kind::Picture { "image/png" } else { "text/plain" },
        });
        let made = self.create(Doing::Other, "/uploads", &body).await?;
        Ok(format!("/uploads/{}", text_of(&made, "id")))
    }

    async fn part(&mut self, upload: &str, part: &str) -> anyhow::Result<String> {
        let fields = [("data", Some("data"), part)];
        let path = format!("{upload}/parts");
        let made = self.send_form(Doing::Part, &path, &fields).await?;
        Ok(text_of(&made, "id"))
    }

    /// Puts a paper into the store, alone or as a batch, which is sometimes cancelled; waits for it
    /// sometimes.
    async fn enter(&mut self, at: usize) -> anyhow::Result<()> {
        let store = match &self.store {
            Some(store) => store.clone(),
            None => self.open().await?,
        };
        let Paper { text, file, .. } = self.papers[at].clone();
        let chunking = text.kind.chunking();
        let as_batch = self.dice.below(3) == 0;
        let is_cancelled = as_batch && self.dice.below(4) == 0;
        let (path, body) = if as_batch {
            let body = json!({"file_ids": [file], "chunking_strategy": chunking});
            (format!("{store}/file_batches"), body)
        } else {
            let body = json!({"file_id": file, "chunking_strategy": chunking});
            (format!("{store}/files"), body)
        };
        let made = self.create(Doing::Entry, &path, &body).await?;
        self.papers[at].place = Some(Place {
            store: store.clone(),
            is_cancelled,
            is_gone: false,
        });
        if is_cancelled {
            let path = format!("{path}/{}/cancel", text_of(&made, "id"));
            let asked = self.ask(Doing::Other, Method::POST, &path, None, &[]);
            asked.await?;
        }
        if self.dice.below(2) == 0 {
            self.settled(&format!("{store}/files/{file}")).await?;
        }
        let facts = look(&self.api, &self.papers[at], false).await?;
        let is_done = facts.status.as_deref() == Some("completed");
        // What was indexed is found; what is on its way may be by now.
        ensure!(
            !is_done || facts.found[1],
            "indexed, and not found: {facts:?}"
        );
        ensure!(facts.found[1] || !facts.found[0], "by halves: {facts:?}");
        Ok(())
    }

    async fn open(&mut self) -> anyhow::Result<String> {
        let made = self
            .create(Doing::Other, "/vector_stores", &json!({}))
            .await?;
        let store = format!("/vector_stores/{}", text_of(&made, "id"));
        self.store = Some(store.clone());
        Ok(store)
    }

    async fn settled(&self, path: &str) -> anyhow::Result<()> {
        for _ in 0..LOOKS {
            if self.api.read(path).await?["status"] != "in_progress" {
                return Ok(());
            }
            self.api.pause().await;
        }
        bail!("{path} does not come to its end")
    }

    async fn delete(&mut self, at: usize) -> anyhow::Result<()> {
        self.remove(&format!("/files/{}", self.papers[at].file))
            .await?;
        self.papers[at].is_deleted = true;
        self.is_gone(at).await
    }

    async fn take_out(&mut self, at: usize) -> anyhow::Result<()> {
        let Paper { file, place, .. } = self.papers[at].clone();
        let Some(place) = place else { return Ok(()) };
        self.remove(&format!("{}/files/{file}", place.store))
            .await?;
        self.papers[at].place = Some(Place {
            is_gone: true,
            ..place
        });
        self.is_gone(at).await
    }

    /// Deletes the store. Another one follows.
    async fn close(&mut self) -> anyhow::Result<()> {
        let Some(store) = self.store.take() else {
            return Ok(());
        };
        self.remove(&store).await?;
        for paper in &mut self.papers {
            if let Some(place) = paper.place.as_mut().filter(|place| place.store == store) {
                place.is_gone = true;
            }
        }
        Ok(())
    }

    async fn remove(&mut self, path: &str) -> anyhow::Result<()> {
        self.ask(Doing::Deletion, Method::DELETE, path, None, &[404])
            .await?;
        Ok(())
    }

    /// From the acknowledgement on.
    async fn is_gone(&self, at: usize) -> anyhow::Result<()> {
        let facts = look(&self.api, &self.papers[at], false).await?;
        let is_found = facts.found != [false, false];
        ensure!(facts.status.is_none() && !is_found, "deleted: {facts:?}");
        Ok(())
    }

    async fn send_form(
        &mut self,
        doing: Doing,
        path: &str,
        fields: &[(&str, Option<&str>, &str)],
    ) -> anyhow::Result<Value> {
        let body = (FORM, form(fields));
        self.made(doing, path, body).await
    }

    async fn create(&mut self, doing: Doing, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = ("application/json", body.to_string());
        self.made(doing, path, body).await
    }

    /// Creates something once, however often it has to ask.
    async fn made(
        &mut self,
        doing: Doing,
        path: &str,
        body: (&str, String),
    ) -> anyhow::Result<Value> {
        let made = self.ask(doing, Method::POST, path, Some(body), &[]).await?;
        made.with_context(|| format!("POST {path} made nothing"))
    }

    /// Asks until there is an answer. None: it was refused with one of these, after an answer was lost.
    async fn ask(
        &mut self,
        doing: Doing,
        method: Method,
        path: &str,
        body: Option<(&str, String)>,
        after_loss: &[u16],
    ) -> anyhow::Result<Option<Value>> {
        self.keys += 1;
        let key = format!("author-{}-{}", self.number, self.keys);
        let headers = [("idempotency-key", &*key)];
        let headers = if body.is_some() { &headers[..] } else { &[] };
        let mut was_lost = false;
        loop {
            let under_way = &self.shared.under_way[doing as usize];
            under_way.fetch_add(1, Ordering::Relaxed);
            let body = body.as_ref().map(|(kind, body)| (*kind, body.clone()));
            let answer = self.api.call_with(method.clone(), path, body, headers);
            let answer = answer.await;
            under_way.fetch_sub(1, Ordering::Relaxed);
            match answer {
                Answer::Done(value) => {
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                    return Ok(Some(value));
                }
                Answer::Refused(status, _) if was_lost && after_loss.contains(&status) => {
                    return Ok(None);
                }
                Answer::Refused(status, why) => bail!("{method} {path}: {status} {why}"),
                Answer::Lost => self.api.pause().await,
            }
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            was_lost = true;
        }
    }
}

/// What is there of a paper; `is_whole`: with its content, which takes a while.
pub(super) async fn look(api: &Api, paper: &Paper, is_whole: bool) -> anyhow::Result<Facts> {
    let Paper { text, file, .. } = paper;
    let whole = is_whole.then(|| text.whole());
    let content = match (&whole, there(api, &format!("/files/{file}")).await?) {
        (_, None) => None,
        (None, Some(_)) => Some(true),
        (Some(whole), Some(shown)) => {
            let bytes = api.bytes(&format!("/files/{file}/content")).await?;
            Some(bytes == whole.as_bytes() && shown["bytes"] == whole.len())
        }
    };
    let mut facts = Facts {
        content,
        status: None,
        is_read: false,
        found: [false, false],
    };
    let Some(Place { store, .. }) = &paper.place else {
        return Ok(facts);
    };
    if there(api, store).await?.is_none() {
        return Ok(facts);
    }
    // Its status first: what is completed by then has to be found.
    let path = format!("{store}/files/{file}");
    if let Some(entry) = there(api, &path).await? {
        facts.status = Some(text_of(&entry, "status"));
        if let Some(whole) = whole {
            let page = api.read(&format!("{path}/content")).await?;
            let read = text_of(&page["data"][0], "text");
            facts.is_read = read.split_whitespace().eq(whole.split_whitespace());
        }
    }
    // The first word first: what is found by it is found by the last one then.
    for (word, found) in [text.first(), text.last()].iter().zip(&mut facts.found) {
        let query = json!({"query": word, "max_num_results": 50});
        let page = loop {
            match api.post(&format!("{store}/search"), &query).await {
                Answer::Done(page) => break page,
                Answer::Lost => api.pause().await,
                Answer::Refused(status, why) => bail!("search: {status} {why}"),
            }
        };
        let mut hits = page["data"].as_array().into_iter().flatten();
        let is_it = |hit: &Value| hit["content"].to_string().contains(&**word);
        *found = hits.any(|hit| hit["file_id"] == **file && is_it(hit));
    }
    Ok(facts)
}

/// What is at a path, if anything is.
async fn there(api: &Api, path: &str) -> anyhow::Result<Option<Value>> {
    loop {
        match api.get(path).await {
            Answer::Done(value) => return Ok(Some(value)),
            Answer::Refused(404, _) => return Ok(None),
            Answer::Refused(status, why) => bail!("GET {path}: {status} {why}"),
            Answer::Lost => api.pause().await,
        }
    }
}

/// A text in parts.
fn cut(content: &str) -> impl Iterator<Item = &str> {
    // Texts are ASCII.
    let size = content.len().div_ceil(PARTS);
    (0..PARTS).filter_map(move |part| {
        let from = part * size;
        content.get(from..content.len().min(from + size))
    })
}

fn text_of(value: &Value, field: &str) -> String {
    text(&value[field])
}
