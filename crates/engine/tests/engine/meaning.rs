//! Search by meaning: an embedder that knows three subjects, an indexer, and engines that search what
//! it has indexed, like processes that share a store.

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
    BlobId, Clock, File, FileId, Limits, Metadata, Timestamp, VectorStoreId, WorkspaceId,
    file::{Blob, FileStatus, Purpose as FilePurpose},
    vector_store::{
        AttributeValue, Attributes, Chunking, FileCounts, IndexingErrorCode, IndexingStatus,
        VectorStore, VectorStoreFile,
    },
};
use loomgate_engine::{
    Documents, EmbedError, Embedder, Engine, Indexer, IndexingSettings, Purpose, Search, Settings,
    Unreadable, Weights,
};
use loomgate_search::{filter::Filter, fuse::RankingOptions};
use loomgate_store::{NewVectorStoreFile, PutFiles, Store};
use parking_lot::Mutex;
use serde_json::json;

use crate::harness::{Bench, CountingIds, ScriptedModel, store};

pub(crate) const STORE: &str = "vs_1";

/// Knows what a text is about: pets, food or travel.
#[derive(Debug)]
pub(crate) struct Subjects {
    identity: &'static str,
    /// The texts of each call that was to be kept.
    asked: Mutex<Vec<Vec<String>>>,
    /// What the next calls end with instead of vectors.
    faults: Mutex<VecDeque<Option<EmbedError>>>,
    search_fails: Mutex<bool>,
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
    fn asked(&self) -> Vec<usize> {
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
    async fn new() -> Self {
        Self::on(store()).await
    }

    pub(crate) async fn on(store: Store) -> Self {
        let ws = store.workspaces().ensure("default").await.unwrap();
        let record = VectorStore {
            id: VectorStoreId::trusted(STORE),
            created_at: Timestamp(1),
            name: None,
            description: None,
            metadata: Metadata::default(),
            expires_after_days: None,
            last_active_at: Timestamp(1),
            file_counts: FileCounts::default(),
            usage_bytes: 0,
        };
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
    async fn indexer(&self, embedder: Option<&Arc<Subjects>>) -> Indexer {
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
    fn engine(&self, embedder: Option<&Arc<Subjects>>, vector_bytes: usize) -> Engine {
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

    async fn file(&self, n: u32) -> VectorStoreFile {
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
    async fn next_attempt(&self, pause: Duration) {
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

#[tokio::test]
async fn a_question_finds_what_shares_no_word_with_it() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let indexer = library.indexer(Some(&embedder)).await;
    library.index(1, PETS).await;
    library.index(2, FOOD).await;
    let engine = library.engine(Some(&embedder), MIB);
    let found = library.find(&engine, "What should a cat or dog get?").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "1.txt");
    assert!((0.9..=1.0).contains(&found[0].1), "{found:?}");
    // Whoever searches by words alone finds nothing of it, and what has the words.
    let by_words = library.engine(None, MIB);
    assert_eq!(library.names(&by_words, "a cat or dog").await, [""; 0]);
    assert_eq!(library.names(&by_words, "kitten whiskers").await, ["1.txt"]);
    // Vectors count as room that is taken: 4 bytes, and five for each of 8 dimensions.
    let takes = PETS.len() as u64 + 44;
    assert_eq!(library.file(1).await.usage_bytes, takes);
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn what_any_process_changes_is_seen_at_the_next_search() {
    changes_are_seen_at_the_next_search(&Library::new().await).await;
}

pub(crate) async fn changes_are_seen_at_the_next_search(library: &Library) {
    let embedder = Subjects::new("subjects");
    let indexer = library.indexer(Some(&embedder)).await;
    let engines = [
        library.engine(Some(&embedder), MIB),
        library.engine(Some(&embedder), MIB),
        // Too little for any store: it is scanned where it lies.
        library.engine(Some(&embedder), 0),
    ];
    let expect = async |query: &str, names: &[&str]| {
        for engine in &engines {
            let mut found = library.names(engine, query).await;
            found.sort();
            assert_eq!(found, names, "{query}");
        }
    };
    expect("a dog", &[]).await;
    library.index(1, PETS).await;
    expect("a dog", &["1.txt"]).await;
    library.index(2, "A pet is good company.").await;
    expect("a dog", &["1.txt", "2.txt"]).await;
    library.index(1, "A long voyage by ship.").await;
    expect("a dog", &["2.txt"]).await;
    expect("luggage", &["1.txt"]).await;
    let files = library.store.vector_store_files();
    let (ws, store) = (&library.ws, VectorStoreId::trusted(STORE));
    assert!(files.remove(ws, &store, &file_id(2)).await.unwrap());
    expect("a dog", &[]).await;
    expect("luggage", &["1.txt"]).await;
    let stores = library.store.vector_stores();
    assert!(stores.delete(ws, &store, Timestamp(2)).await.unwrap());
    expect("luggage", &[]).await;
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn no_text_is_embedded_twice() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let indexer = library.indexer(Some(&embedder)).await;
    library.index(1, &paragraphs(0..100)).await;
    let lots = embedder.asked();
    let chunks: usize = lots.iter().sum();
    assert!(chunks >= 90, "{lots:?}");
    assert!(lots.iter().all(|lot| *lot <= 64), "{lots:?}");
    library.index(1, &paragraphs(0..100)).await;
    library.index(2, &paragraphs(0..100)).await;
    assert_eq!(embedder.asked(), [0; 0], "indexed anew, and another file");
    library.index(1, &paragraphs(0..101)).await;
    let changed: usize = embedder.asked().iter().sum();
    assert!((1..=3).contains(&changed), "{changed}");
    // One that says the same again and again is asked for once.
    library.index(3, &"same ".repeat(1_000)).await;
    let same: usize = embedder.asked().iter().sum();
    assert!((1..=3).contains(&same), "{same}");
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn a_provider_that_fails_is_asked_again_for_the_rest() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let down = EmbedError::Unavailable("It is down.".into());
    embedder.faults.lock().extend([None, Some(down)]);
    let indexer = library.indexer(Some(&embedder)).await;
    library
        .put(1, &paragraphs(0..100), Attributes::default())
        .await;
    while embedder.asked.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    library.next_attempt(Duration::from_secs(2)).await;
    assert_eq!(library.done(1).await.status, IndexingStatus::Completed);
    let lots = embedder.asked();
    assert_eq!(lots.len(), 3, "{lots:?}");
    assert_eq!(lots[1], lots[2], "of what was embedded nothing is again");
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn a_refusal_ends_the_file_at_once_and_says_why() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let refused = EmbedError::Refused("The model does not exist.".into());
    embedder.faults.lock().push_back(Some(refused));
    let indexer = library.indexer(Some(&embedder)).await;
    library.put(1, PETS, Attributes::default()).await;
    let error = library.done(1).await.last_error.unwrap();
    assert_eq!(error.code, IndexingErrorCode::ServerError);
    assert_eq!(
        error.message,
        "The embeddings of the file could not be made. The model does not exist."
    );
    assert_eq!(embedder.asked().len(), 1);
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn files_without_vectors_and_those_of_other_models_are_found_by_words() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let indexer = library.indexer(None).await;
    library.index(1, PETS).await;
    indexer.drain().await.unwrap();
    let indexer = library.indexer(Some(&Subjects::new("other"))).await;
    library.index(2, PETS).await;
    indexer.drain().await.unwrap();
    let engine = library.engine(Some(&embedder), MIB);
    assert_eq!(library.names(&engine, "a dog").await, [""; 0]);
    let found = library.names(&engine, "kitten whiskers").await;
    assert_eq!(found, ["1.txt", "2.txt"]);
}

#[tokio::test]
async fn files_get_the_vectors_of_the_model_that_is_configured_now() {
    let library = Library::new().await;
    let indexer = library.indexer(None).await;
    for n in 1..=5 {
        library
            .index(n, &format!("{PETS} {}", paragraphs(0..70)))
            .await;
    }
    indexer.drain().await.unwrap();
    let before = library.file(1).await.usage_bytes;
    for name in ["first", "second"] {
        let embedder = Subjects::new(name);
        let engine = library.engine(Some(&embedder), MIB);
        assert_eq!(library.names(&engine, "a dog").await, [""; 0], "{name}");
        let indexer = library.indexer(Some(&embedder)).await;
        while library.names(&engine, "a dog").await.len() < 3 {
            tokio::task::yield_now().await;
        }
        while library.file(5).await.usage_bytes == before {
            tokio::task::yield_now().await;
        }
        // A new one is not kept waiting, and the texts of all files are the same.
        library.index(6, FOOD).await;
        let made: usize = embedder.asked().iter().sum();
        assert!((60..120).contains(&made), "{name}: {made}");
        for n in 1..=5 {
            let file = library.done(n).await;
            assert_eq!(file.status, IndexingStatus::Completed);
            assert!(file.usage_bytes > before);
        }
        indexer.drain().await.unwrap();
        // At the next start there is nothing to do.
        let indexer = library.indexer(Some(&embedder)).await;
        library.index(6, "A voyage by train.").await;
        assert_eq!(embedder.asked(), [1], "{name}");
        indexer.drain().await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_searched_stays_so_while_its_vectors_can_not_be_made() {
    let library = Library::new().await;
    let indexer = library.indexer(None).await;
    library.index(1, PETS).await;
    library.index(2, "A pet is good company.").await;
    indexer.drain().await.unwrap();
    let embedder = Subjects::new("subjects");
    let engine = library.engine(Some(&embedder), MIB);
    let down = EmbedError::Unavailable("It is down.".into());
    let refused = EmbedError::Refused("The text is too long.".into());
    embedder
        .faults
        .lock()
        .extend([Some(down.clone()), Some(refused), Some(down)]);
    let indexer = library.indexer(Some(&embedder)).await;
    while embedder.asked.lock().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(library.names(&engine, "long whiskers").await, ["1.txt"]);
    library.next_attempt(Duration::from_mins(1)).await;
    library.next_attempt(Duration::from_mins(2)).await;
    while library.names(&engine, "a dog").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(library.names(&engine, "a dog").await, ["1.txt"]);
    assert_eq!(embedder.asked(), [1, 1, 1, 1]);
    for n in 1..=2 {
        assert_eq!(library.file(n).await.status, IndexingStatus::Completed);
        assert_eq!(library.file(n).await.last_error, None);
    }
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn a_question_that_can_not_be_embedded_is_searched_by_its_words() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let indexer = library.indexer(Some(&embedder)).await;
    library.index(1, PETS).await;
    let engine = library.engine(Some(&embedder), MIB);
    *embedder.search_fails.lock() = true;
    assert_eq!(library.names(&engine, "a dog").await, [""; 0]);
    assert_eq!(library.names(&engine, "long whiskers").await, ["1.txt"]);
    *embedder.search_fails.lock() = false;
    assert_eq!(library.names(&engine, "a dog").await, ["1.txt"]);
    assert_eq!(library.names(&engine, "  ").await, [""; 0]);
    indexer.drain().await.unwrap();
}

#[tokio::test]
async fn a_filter_narrows_both_ways_down() {
    let library = Library::new().await;
    let embedder = Subjects::new("subjects");
    let indexer = library.indexer(Some(&embedder)).await;
    let of = |year: u32| {
        Attributes::new([("year".to_owned(), AttributeValue::Number(year.into()))]).unwrap()
    };
    for (n, year) in [(1, 2023), (2, 2024)] {
        library.put(n, PETS, of(year)).await;
        library.done(n).await;
    }
    for bytes in [MIB, 0] {
        let engine = library.engine(Some(&embedder), bytes);
        let filter = json!({"type": "eq", "key": "year", "value": 2024});
        let filter = Filter::parse(&filter, "filters").unwrap();
        let found = library.find_in(&engine, "a dog", Some(filter)).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, "2.txt");
    }
    indexer.drain().await.unwrap();
}
