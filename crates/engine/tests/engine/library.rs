//! What tests of search by meaning share: an embedder that knows three subjects, an indexer, and engines that
//! search what it has indexed, like processes that share a store.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use loomgate_domain::{
    BlobId, Clock, File, FileId, Limits, Timestamp, VectorStoreId, WorkspaceId,
    file::{Blob, FileStatus, Purpose as FilePurpose},
    vector_store::{Attributes, Chunking, IndexingStatus, VectorStore, VectorStoreFile},
};
use loomgate_engine::{
    Documents, EmbedError, Embedder, Engine, Indexer, IndexingSettings, Purpose, Search, Settings,
    Unreadable, Weights,
};
use loomgate_search::{filter::Filter, fuse::RankingOptions};
use loomgate_store::{NewVectorStoreFile, PutFiles, Store};
use parking_lot::Mutex;

use crate::harness::{Bench, CountingIds, ScriptedModel, store};

pub(crate) const STORE: &str = "vs_1";

/// Knows what a text is about: pets, food or travel.
#[derive(Debug)]
pub(crate) struct Subjects {
    identity: &'static str,
    /// The texts of each call that was to be kept.
    pub(crate) asked: Mutex<Vec<Vec<String>>>,
    /// What the next calls end with instead of vectors.
    pub(crate) faults: Mutex<VecDeque<Option<EmbedError>>>,
    pub(crate) search_fails: Mutex<bool>,
}

impl Subjects {
    pub(crate) fn new(identity: &'static str) -> Arc<Self> {
        Arc::new(Self {
            identity,
            asked: Mutex::default(),
            faults: Mutex::default(),
            search_fails: Mutex::new(false),
        })
    }

    /// How many texts were embedded in each call since the last time.
    pub(crate) fn asked(&self) -> Vec<usize> {
        let asked = std::mem::take(&mut *self.asked.lock());
        asked.iter().map(Vec::len).collect()
    }
}

fn vector(text: &str) -> Vec<f32> {
    const SUBJECTS: [&[&str]; 3] = [
        &["cat", "dog", "kitten", "whiskers", "pet"],
        &["pizza", "soup", "meal", "eat", "dinner"],
        &["train", "ship", "voyage", "luggage"],
    ];
    let text = text.to_lowercase();
    let mut vector = vec![0.05; 8];
    for (place, words) in vector.iter_mut().zip(SUBJECTS) {
        let named = words.iter().filter(|word| text.contains(**word));
        *place += named.map(|_| 1.0).sum::<f32>();
    }
    vector
}

impl Embedder for Subjects {
    fn identity(&self) -> &str {
        self.identity
    }

    fn embed<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        texts: &'a [&'a str],
        purpose: Purpose,
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, EmbedError>> {
        let fault = match purpose {
            Purpose::Search => self
                .search_fails
                .lock()
                .then(|| EmbedError::Unavailable("It is down.".into())),
            Purpose::Indexing => {
                let texts = texts.iter().map(|text| (*text).to_owned()).collect();
                self.asked.lock().push(texts);
                self.faults.lock().pop_front().flatten()
            }
        };
        let vectors = texts.iter().map(|text| vector(text)).collect();
        async move { fault.map_or(Ok(vectors), Err) }.boxed()
    }
}

/// Texts by their files.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<FileId, String>>);

impl Documents for Shelf {
    fn text<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        file: &'a FileId,
    ) -> BoxFuture<'a, Result<String, Unreadable>> {
        let text = self.0.lock().get(file).cloned().unwrap();
        async move { Ok(text) }.boxed()
    }
}

/// A clock that goes on when it is told to.
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

pub(crate) struct Library {
    pub(crate) store: Store,
    pub(crate) ws: WorkspaceId,
    shelf: Arc<Shelf>,
    clock: Arc<Hands>,
    ids: Arc<CountingIds>,
}

impl Library {
    pub(crate) async fn new() -> Self {
        Self::on(store()).await
    }

    pub(crate) async fn on(store: Store) -> Self {
        let ws = store.workspaces().ensure("default").await.unwrap();
        let record = VectorStore::new(VectorStoreId::trusted(STORE), Timestamp(1));
        let none = PutFiles {
            files: Vec::new(),
            at: Timestamp(1),
            most: 100,
        };
        let stores = store.vector_stores();
        stores.create(&ws, record, none, None).await.unwrap();
        Self {
            store,
            ws,
            shelf: Arc::default(),
            clock: Arc::new(Hands(AtomicI64::new(1_700_000_000_000))),
            ids: Arc::default(),
        }
    }

    /// An indexer that works.
    pub(crate) async fn indexer(&self, embedder: Option<&Arc<Subjects>>) -> Indexer {
        let embedder = embedder.map(|it| Arc::clone(it) as Arc<dyn Embedder>);
        self.indexer_of(&self.store, embedder).await
    }

    /// One of another process.
    pub(crate) async fn indexer_of(
        &self,
        store: &Store,
        embedder: Option<Arc<dyn Embedder>>,
    ) -> Indexer {
        let settings = IndexingSettings {
            poll: Duration::from_millis(2),
            embedder,
            ..IndexingSettings::default()
        };
        let indexer = Indexer::new(
            (store.clone(), self.shelf.clone()),
            (self.clock.clone(), self.ids.clone()),
            settings,
        );
        indexer.start().await.unwrap();
        indexer
    }

    /// A process that searches.
    pub(crate) fn engine(&self, embedder: Option<&Arc<Subjects>>, vector_bytes: usize) -> Engine {
        let embedder = embedder.map(|it| Arc::clone(it) as Arc<dyn Embedder>);
        self.engine_of(&self.store, embedder, vector_bytes)
    }

    /// Another one.
    pub(crate) fn engine_of(
        &self,
        store: &Store,
        embedder: Option<Arc<dyn Embedder>>,
        vector_bytes: usize,
    ) -> Engine {
        let settings = Settings {
            workers: false,
            embedder,
            vector_bytes,
            ..Bench::settings(Limits::default())
        };
        let model = Arc::new(ScriptedModel::default());
        let (clock, ids) = (self.clock.clone(), self.ids.clone());
        Engine::new(store.clone(), model, clock, ids, settings)
    }

    /// Puts a text into the store as file `n`, which may be there already.
    pub(crate) async fn put(&self, n: u32, text: &str, attributes: Attributes) {
        let (id, now) = (file_id(n), Timestamp(1));
        if self
            .shelf
            .0
            .lock()
            .insert(id.clone(), text.to_owned())
            .is_none()
        {
            let blob = Blob {
                id: BlobId::trusted(format!("blob_{n}")),
                hash: format!("{n:064x}"),
                bytes: 1,
            };
            let file = File {
                id: id.clone(),
                created_at: now,
                filename: format!("{n}.txt"),
                purpose: FilePurpose::Assistants,
                bytes: 1,
                expires_at: None,
                status: FileStatus::Processed,
            };
            self.store
                .blobs()
                .begin(&self.ws, &blob.id, now)
                .await
                .unwrap();
            let files = self.store.files();
            files
                .create(&self.ws, file, blob, (None, now))
                .await
                .unwrap();
        }
        let put = PutFiles {
            files: vec![NewVectorStoreFile {
                file_id: id,
                chunking: Chunking {
                    max_tokens: 100,
                    overlap_tokens: 0,
                },
                attributes,
            }],
            at: now,
            most: 100,
        };
        let files = self.store.vector_store_files();
        let store = VectorStoreId::trusted(STORE);
        let done = files.put(&self.ws, &store, put, None).await;
        done.unwrap().unwrap();
    }

    pub(crate) async fn file(&self, n: u32) -> VectorStoreFile {
        let files = self.store.vector_store_files();
        let store = VectorStoreId::trusted(STORE);
        let found = files.get(&self.ws, &store, &file_id(n)).await;
        found.unwrap().unwrap()
    }

    /// Waits until a file is done with.
    pub(crate) async fn done(&self, n: u32) -> VectorStoreFile {
        loop {
            let file = self.file(n).await;
            if file.status != IndexingStatus::InProgress {
                return file;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until nothing is in hand and a file has `pause` to wait, and has that time pass.
    pub(crate) async fn next_attempt(&self, pause: Duration) {
        let due_ms = self.clock.now_ms() + i64::try_from(pause.as_millis()).unwrap();
        while self.store.indexing().next_wake().await.unwrap() != Some(due_ms) {
            tokio::task::yield_now().await;
        }
        self.clock.0.store(due_ms + 1, Ordering::SeqCst);
    }

    /// Puts a text into the store, and waits until it is searched.
    pub(crate) async fn index(&self, n: u32, text: &str) {
        self.put(n, text, Attributes::default()).await;
        let file = self.done(n).await;
        assert_eq!(file.status, IndexingStatus::Completed, "{file:?}");
    }

    /// What a question finds: the files' names and scores.
    pub(crate) async fn find(&self, engine: &Engine, query: &str) -> Vec<(String, f64)> {
        self.find_in(engine, query, None).await
    }

    pub(crate) async fn find_in(
        &self,
        engine: &Engine,
        query: &str,
        filter: Option<Filter>,
    ) -> Vec<(String, f64)> {
        let search = Search {
            stores: vec![VectorStoreId::trusted(STORE)],
            queries: vec![query.to_owned()],
            filter,
            ranking: RankingOptions::new("auto", 0.5).unwrap(),
            weights: Weights::default(),
            most: 3,
        };
        let found = engine.search(&self.ws, search).await.unwrap();
        let found = found.into_iter();
        found.map(|it| (it.file_name, it.score)).collect()
    }

    pub(crate) async fn names(&self, engine: &Engine, query: &str) -> Vec<String> {
        let found = self.find(engine, query).await.into_iter();
        found.map(|(name, _)| name).collect()
    }
}

pub(crate) fn file_id(n: u32) -> FileId {
    FileId::trusted(format!("file-{n}"))
}

/// A text that is cut up into about as many chunks.
pub(crate) fn paragraphs(numbers: Range<usize>) -> String {
    let words = " word".repeat(95);
    let all: Vec<_> = numbers
        .map(|n| format!("Paragraph {n}.{words}\n\n"))
        .collect();
    all.concat()
}

pub(crate) const PETS: &str = "The kitten has long whiskers.";
pub(crate) const FOOD: &str = "Pizza is the best meal.";
pub(crate) const MIB: usize = 1 << 20;
