//! Vector stores with files to index.

use loomgate_domain::{
    FileBatchId, FileId, VectorStoreId,
    vector_store::{
        AttributeValue, Attributes, Chunk, Chunking, FileBatch, FileCounts, IndexingError,
        IndexingErrorCode, IndexingStatus, VectorStore, VectorStoreFile,
    },
};
use loomgate_store::{
    ClaimRequest, Digest, Indexed, IndexingClaim, IndexingGuard, IndexingTurns, LexicalHit,
    NewChunk, NewVector, NewVectorStoreFile, PutFiles, Store,
};

use crate::{
    fixtures::{LEASE_MS, NOW, NOW_MS, id, ws},
    home::Home,
};

/// A home that keeps what is written, with files 1 to 12, and a store on it.
pub(crate) fn library(home: Home) -> (Home, Store) {
    let home = home.kept();
    let store = home.open();
    for n in 1..=12 {
        home.execute(&format!(
            "INSERT INTO files (workspace_id, id, created_at, filename, purpose, bytes, status) \
             VALUES ('ws_1', 'file-{n}', 0, 'file {n}.txt', 'assistants', 10, 'processed')"
        ));
    }
    (home, store)
}

pub(crate) fn vector_store(n: u32) -> VectorStore {
    VectorStore {
        name: Some(format!("store {n}")),
        ..VectorStore::new(id(n), NOW)
    }
}

/// Files with no attributes.
pub(crate) fn put(numbers: &[u32]) -> PutFiles {
    let file = |n: &u32| NewVectorStoreFile {
        file_id: id(*n),
        chunking: Chunking::default(),
        attributes: Attributes::default(),
    };
    PutFiles {
        files: numbers.iter().map(file).collect(),
        at: NOW,
        most: 10_000,
    }
}

pub(crate) fn tagged(n: u32, year: u32) -> PutFiles {
    let mut put = put(&[n]);
    put.files[0].attributes = year_of(year);
    put
}

pub(crate) fn year_of(year: u32) -> Attributes {
    Attributes::new([("year".to_owned(), AttributeValue::Number(year.into()))]).unwrap()
}

pub(crate) fn batch(n: u32) -> FileBatch {
    FileBatch {
        id: id(n),
        vector_store_id: id(1),
        created_at: NOW,
        is_cancelled: false,
        file_counts: FileCounts::default(),
    }
}

/// Makes store `n` with files.
pub(crate) async fn create(store: &Store, n: u32, files: &[u32]) {
    let stores = store.vector_stores();
    let created = stores
        .create(&ws(), vector_store(n), put(files), None)
        .await;
    created.unwrap();
}

/// Puts files into store 1.
pub(crate) async fn attach(store: &Store, put: PutFiles) {
    let files = store.vector_store_files();
    files.put(&ws(), &id(1), put, None).await.unwrap().unwrap();
}

/// Puts files into store 1 as batch `n`.
pub(crate) async fn attach_batch(store: &Store, n: u32, files: &[u32]) {
    let batches = store.file_batches();
    let created = batches.create(&ws(), batch(n), put(files), None).await;
    created.unwrap().unwrap();
}

pub(crate) fn request(worker: &str, now_ms: i64, max: u32) -> ClaimRequest {
    ClaimRequest {
        worker: worker.to_owned(),
        now_ms,
        lease_ms: LEASE_MS,
        max,
    }
}

pub(crate) async fn claim(
    store: &Store,
    worker: &str,
    now_ms: i64,
    max: u32,
) -> Vec<IndexingClaim> {
    let mut turns = IndexingTurns::default();
    let claims = store
        .indexing()
        .claim(request(worker, now_ms, max), &mut turns)
        .await;
    claims.unwrap()
}

/// Takes one file, as worker `w`.
pub(crate) async fn take(store: &Store) -> IndexingGuard {
    claim(store, "w", NOW_MS, 1).await.remove(0).guard
}

pub(crate) fn file_ids(claims: &[IndexingClaim]) -> Vec<FileId> {
    let ids = claims.iter().map(|claim| claim.guard.file_id.clone());
    ids.collect()
}

/// The words of a text, in short.
pub(crate) fn words(text: &str) -> String {
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// What a query asks for.
pub(crate) fn terms(text: &str) -> Vec<String> {
    words(text).split(' ').map(str::to_owned).collect()
}

/// One digest for each text of up to 32 bytes.
pub(crate) fn digest(text: &str) -> Digest {
    let mut digest = Digest::default();
    for (place, byte) in digest.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    digest
}

/// Chunks that follow each other without sharing anything.
pub(crate) fn chunks(texts: &[&str]) -> Vec<NewChunk> {
    let mut start = 0;
    let mut chunks = Vec::new();
    for text in texts {
        chunks.push(NewChunk {
            start,
            tokens: 3,
            text: (*text).to_owned(),
            words: words(text),
            vector: Some(NewVector {
                digest: digest(text),
                bytes: text.as_bytes().to_vec(),
            }),
        });
        start += text.len() as u64;
    }
    chunks
}

pub(crate) async fn write(store: &Store, guard: &IndexingGuard, texts: &[&str]) -> bool {
    let written = store.indexing().write(guard.clone(), chunks(texts)).await;
    written.unwrap()
}

pub(crate) async fn complete(store: &Store, guard: &IndexingGuard, usage_bytes: u64) -> bool {
    let indexed = Indexed {
        usage_bytes,
        embedding: None,
    };
    let completed = store.indexing().complete(guard.clone(), indexed).await;
    completed.unwrap()
}

pub(crate) fn broken() -> IndexingError {
    IndexingError {
        code: IndexingErrorCode::InvalidFile,
        message: "The file could not be parsed.".into(),
    }
}

pub(crate) async fn fail(store: &Store, guard: &IndexingGuard) -> bool {
    store
        .indexing()
        .fail(guard.clone(), broken())
        .await
        .unwrap()
}

/// Puts a file into store 1, and indexes it.
pub(crate) async fn indexed(store: &Store, put: PutFiles, texts: &[&str]) {
    attach(store, put).await;
    let guard = take(store).await;
    assert!(write(store, &guard, texts).await);
    assert!(complete(store, &guard, 100).await);
}

/// What a search of store 1 finds.
pub(crate) async fn search(store: &Store, text: &str) -> Vec<LexicalHit> {
    let chunks = store.chunks();
    let found = chunks
        .lexical(&ws(), &[id(1)], (terms(text), 10), |_| true)
        .await;
    found.unwrap()
}

/// The texts that it finds.
pub(crate) async fn found(store: &Store, text: &str) -> Vec<String> {
    texts_of(store, &search(store, text).await).await
}

/// The chunks that were found, in the same order.
pub(crate) async fn chunks_of(store: &Store, hits: &[LexicalHit]) -> Vec<Chunk> {
    let ids = hits.iter().map(|hit| hit.chunk).collect();
    store.chunks().get(&ws(), ids, NOW).await.unwrap()
}

/// Their texts.
pub(crate) async fn texts_of(store: &Store, hits: &[LexicalHit]) -> Vec<String> {
    let chunks = chunks_of(store, hits).await.into_iter();
    chunks.map(|chunk| chunk.text).collect()
}

pub(crate) async fn get(store: &Store, n: u32) -> VectorStore {
    let found = store.vector_stores().get(&ws(), &id(n)).await;
    found.unwrap().unwrap()
}

/// A file in store 1.
pub(crate) async fn file(store: &Store, n: u32) -> VectorStoreFile {
    let files = store.vector_store_files();
    let found = files.get(&ws(), &id(1), &id(n)).await;
    found.unwrap().unwrap()
}

pub(crate) async fn status(store: &Store, n: u32) -> IndexingStatus {
    file(store, n).await.status
}

/// A batch in store 1.
pub(crate) async fn get_batch(store: &Store, n: u32) -> FileBatch {
    let (of, id): (VectorStoreId, FileBatchId) = (id(1), id(n));
    let found = store.file_batches().get(&ws(), &of, &id).await;
    found.unwrap().unwrap()
}

/// In progress, completed, failed, cancelled.
pub(crate) fn counted(counts: FileCounts) -> [u64; 4] {
    [
        counts.in_progress,
        counts.completed,
        counts.failed,
        counts.cancelled,
    ]
}

/// Sweeps until there is nothing left to do, some rows at a time.
pub(crate) async fn sweep(store: &Store) {
    while store.vector_stores().sweep(2, None).await.unwrap().rows > 0 {}
}
