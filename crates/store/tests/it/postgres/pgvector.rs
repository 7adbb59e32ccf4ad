//! The nearest vectors, asked of a database that has pgvector, against a comparison with all of them.

use std::collections::BTreeSet;

use loomgate_domain::{WorkspaceId, vector_store::ChunkId};
use loomgate_store::{
    ClaimRequest, Complete, EmbeddedFile, Filled, Indexed, IndexingGuard, Near, NewChunk,
    NewVector, Options, Store, copy::copy,
};
use loomgate_testkit::postgres::Database;

use crate::{
    documents::{self, attach, create, library, put, sweep, take},
    fixtures::{LEASE_MS, NOW, NOW_MS, id, ws},
    home::{Home, postgres},
};

/// A database, with the extension or without.
fn home(has_pgvector: bool) -> (Home, Database) {
    let database = Database::for_pgvector();
    if has_pgvector {
        database.execute("CREATE EXTENSION vector");
    }
    (Home::Postgres(database.clone()), database)
}

/// Numbers by chance, between -1 and 1, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        f32::from(i16::try_from((it >> 31) & 0x7fff).unwrap()) / 16384.0 - 1.0
    }

    fn vector(&mut self, width: usize) -> Vec<f32> {
        (0..width).map(|_| self.number()).collect()
    }
}

/// A vector as an indexer writes it; its code is of no interest here.
fn stored(vector: &[f32]) -> Vec<u8> {
    let code = vec![0; 4 + vector.len()];
    let numbers = vector.iter().flat_map(|number| number.to_le_bytes());
    code.into_iter().chain(numbers).collect()
}

fn new_vector(vector: &[f32]) -> NewVector {
    let mut digest = [0; 32];
    for (place, byte) in digest.iter_mut().zip(vector[0].to_le_bytes()) {
        *place = byte;
    }
    NewVector {
        digest,
        bytes: stored(vector),
    }
}

fn chunks(vectors: &[Vec<f32>]) -> Vec<NewChunk> {
    let chunk = |vector: &Vec<f32>| NewChunk {
        start: 0,
        tokens: 1,
        text: format!("{:?}", vector[0]),
        words: "word".to_owned(),
        vector: Some(new_vector(vector)),
    };
    vectors.iter().map(chunk).collect()
}

async fn finish(store: &Store, guard: IndexingGuard, by: &str) {
    let indexed = Indexed {
        usage_bytes: 1,
        embedding: Some(by.to_owned()),
    };
    assert!(store.indexing().complete(guard, indexed).await.unwrap());
}

/// Puts file `n` into store 1, as a text with these vectors.
async fn index(store: &Store, n: u32, by: &str, vectors: &[Vec<f32>]) {
    attach(store, put(&[n])).await;
    let guard = take(store).await;
    let written = store.indexing().write(guard.clone(), chunks(vectors)).await;
    assert!(written.unwrap());
    finish(store, guard, by).await;
}

async fn files(store: &Store, by: &str) -> Vec<EmbeddedFile> {
    let found = store.chunks().embedded(&ws(), &id(1), by).await.unwrap();
    found.unwrap().files
}

fn cosine(one: &[f32], other: &[f32]) -> f64 {
    let product = |a: &[f32], b: &[f32]| {
        let products = a.iter().zip(b);
        products
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum::<f64>()
    };
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

/// By a comparison with all vectors of these files, nearest first: chunk, file, cosine.
async fn compared(
    store: &Store,
    by: &str,
    entries: &[i64],
    question: &[f32],
) -> Vec<(ChunkId, i64, f64)> {
    let mut all = Vec::new();
    for file in files(store, by).await {
        if !entries.contains(&file.entry) {
            continue;
        }
        let place = (file.entry, file.generation);
        let codes = store.chunks().codes(&ws(), place, 0, 1000).await.unwrap();
        let ids: Vec<ChunkId> = codes.iter().map(|it| it.chunk).collect();
        let vectors = store
            .chunks()
            .vectors(&ws(), ids, by, vec![])
            .await
            .unwrap();
        for (chunk, bytes) in vectors {
            let width = (bytes.len() - 4) / 5;
            let numbers = bytes[4 + width..].chunks_exact(4);
            let vector: Vec<f32> = numbers
                .map(|it| f32::from_le_bytes(it.try_into().unwrap()))
                .collect();
            if width == question.len() {
                all.push((chunk, file.entry, cosine(&vector, question)));
            }
        }
    }
    all.sort_by(|one, other| other.2.total_cmp(&one.2));
    all
}

fn near(by: &str, entries: &[i64], question: &[f32], most: u32) -> Near {
    Near {
        embedding: by.to_owned(),
        entries: entries.to_vec(),
        questions: vec![Some(question.to_vec())],
        most,
    }
}

/// What the database says; `None`: it can not.
async fn asked(
    store: &Store,
    near: Near,
    known: Option<Complete>,
) -> Option<(Complete, Vec<(ChunkId, i64, f64)>)> {
    let found = store.chunks().nearest(&ws(), &id(1), near, known).await;
    found.unwrap().map(|(complete, mut lists)| {
        let list = lists.remove(0).into_iter();
        let list = list.map(|it| (it.chunk, it.entry, it.cosine));
        (complete, list.collect())
    })
}

/// Holds both against each other.
async fn expect_the_same(store: &Store, by: &str, entries: &[i64], question: &[f32]) {
    for most in [1, 7, 1000] {
        let expected = compared(store, by, entries, question).await;
        let near = near(by, entries, question, most);
        let (_, found) = asked(store, near, None).await.unwrap();
        assert_eq!(found.len(), expected.len().min(most as usize));
        for (one, other) in found.iter().zip(&expected) {
            // Those that are as near as each other may stand in any order.
            assert!((one.2 - other.2).abs() < 1e-5, "{one:?} {other:?}");
            let own = expected.iter().find(|it| it.0 == one.0).unwrap();
            assert!(own.1 == one.1 && (own.2 - one.2).abs() < 1e-5);
        }
        let each: BTreeSet<i64> = found.iter().map(|it| it.0.0).collect();
        assert_eq!(each.len(), found.len());
    }
}

/// Fills in until nothing is missing. How many were.
async fn fill(store: &Store) -> usize {
    let (mut after, mut all) = (Some(0), 0);
    while let Some(from) = after {
        let filled = store.chunks().fill_embeddings(from).await.unwrap();
        all += filled.written;
        after = filled.after;
    }
    all
}

#[tokio::test]
async fn the_nearest_are_those_of_a_comparison_with_all() {
    let (home, _) = home(true);
    let (_home, store) = library(home);
    assert!(store.uses_pgvector());
    create(&store, 1, &[]).await;
    let mut chance = Chance(7);
    // Inline, beside their row, and as wide as they may be.
    for (round, width) in [1, 3, 384, 1536, 2500, 8192].into_iter().enumerate() {
        let by = format!("of {width}");
        let count = if width > 1000 { 4 } else { 40 };
        for n in 1..=3 {
            let vectors: Vec<_> = (0..count).map(|_| chance.vector(width)).collect();
            index(&store, n, &by, &vectors).await;
        }
        // By somebody else, and one that is wider than the others.
        index(&store, 4, "other", &[chance.vector(width)]).await;
        let mut mixed = vec![chance.vector(width), chance.vector(width + 1)];
        mixed[0][0] = 1e-42;
        index(&store, 5, &by, &mixed).await;
        // Written, and not shown; and what was shown until then.
        attach(&store, put(&[6])).await;
        let unseen = take(&store).await;
        let written = chunks(&[chance.vector(width)]);
        assert!(
            store
                .indexing()
                .write(unseen.clone(), written)
                .await
                .unwrap()
        );

        let all: Vec<i64> = files(&store, &by).await.iter().map(|it| it.entry).collect();
        assert_eq!(all.len(), 4, "round {round}");
        let question = chance.vector(width);
        expect_the_same(&store, &by, &all, &question).await;
        expect_the_same(&store, &by, &all[1..3], &question).await;
        expect_the_same(&store, &by, &[], &question).await;
        assert!(documents::fail(&store, &unseen).await);
        let members = store.vector_store_files();
        assert!(members.remove(&ws(), &id(1), &id(2)).await.unwrap());
        expect_the_same(&store, &by, &all, &question).await;
        // Neither length nor direction make a question fail.
        let long: Vec<f32> = question.iter().map(|number| number * 1e30).collect();
        expect_the_same(&store, &by, &all, &long).await;
        let none = asked(&store, near(&by, &all, &vec![0.0; width], 9), None).await;
        assert_eq!(none.unwrap().1, []);
        let other = WorkspaceId::trusted("ws_other");
        let near = near(&by, &all, &question, 9);
        let found = store.chunks().nearest(&other, &id(1), near, None).await;
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(fill(&store).await, 0, "nothing was missing");
}

/// A renewal of file 1 by a process that may not know of the table.
async fn renew(store: &Store, by: &str, vectors: &[Vec<f32>]) {
    let request = ClaimRequest {
        worker: "w".to_owned(),
        now_ms: NOW_MS,
        lease_ms: LEASE_MS,
        max: 1,
    };
    let queue = store.indexing();
    let taken = queue.claim_outdated(request, by, 0).await.unwrap();
    let guard = taken.claims[0].guard.clone();
    let begun = queue.begin_renewal(guard.clone(), NOW).await.unwrap();
    let texts = store.chunks().texts(&ws(), begun.unwrap(), 0, 99).await;
    let new = texts.unwrap().into_iter().zip(vectors);
    let new = new.map(|(text, vector)| (text.chunk, new_vector(vector)));
    let written = queue.write_vectors(guard.clone(), new.collect()).await;
    assert!(written.unwrap());
    let indexed = Indexed {
        usage_bytes: 1,
        embedding: Some(by.to_owned()),
    };
    assert!(queue.complete_renewal(guard, indexed).await.unwrap());
}

#[tokio::test]
async fn what_a_process_wrote_that_does_not_know_the_table_is_filled_in() {
    let (home, database) = home(false);
    let (home, old) = library(home);
    assert!(!old.uses_pgvector());
    create(&old, 1, &[]).await;
    let mut chance = Chance(1);
    let mut vectors = |count| (0..count).map(|_| chance.vector(8)).collect::<Vec<_>>();
    let question = vectors(1).remove(0);
    index(&old, 1, "a", &vectors(70)).await;
    let all: Vec<i64> = files(&old, "a").await.iter().map(|it| it.entry).collect();
    let near = |by: &str| near(by, &all, &question, 5);
    assert_eq!(asked(&old, near("a"), None).await, None);

    database.execute("CREATE EXTENSION vector");
    let new = home.open();
    assert!(new.uses_pgvector() && !old.uses_pgvector());
    assert_eq!(asked(&new, near("a"), None).await, None, "all are missing");
    // Some, by a process that then ends; and the rest, by the next.
    let first = new.chunks().fill_embeddings(0).await.unwrap();
    assert!(matches!(
        first,
        Filled {
            written: 64,
            after: Some(_)
        }
    ));
    assert_eq!(asked(&new, near("a"), None).await, None, "some are missing");
    assert_eq!(fill(&new).await, 6);
    expect_the_same(&new, "a", &all, &question).await;
    let (known, _) = asked(&new, near("a"), None).await.unwrap();
    assert_eq!(fill(&new).await, 0);

    // Other vectors in place of those that the table has.
    renew(&old, "b", &vectors(70)).await;
    assert_eq!(asked(&new, near("b"), Some(known)).await, None);
    assert_eq!(fill(&new).await, 70);
    expect_the_same(&new, "b", &all, &question).await;
    // And by one that knows it.
    renew(&new, "a", &vectors(70)).await;
    expect_the_same(&new, "a", &all, &question).await;
    assert_eq!(fill(&new).await, 0);

    // What is deleted, by whomever, is deleted here.
    let members = old.vector_store_files();
    assert!(members.remove(&ws(), &id(1), &id(1)).await.unwrap());
    sweep(&old).await;
    assert_eq!(home.count("chunk_embeddings"), 0);
}

#[tokio::test]
async fn what_is_no_vector_keeps_the_database_from_telling() {
    let (home, _) = home(true);
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    attach(&store, put(&[1])).await;
    let guard = take(&store).await;
    assert!(documents::write(&store, &guard, &["these bytes"]).await);
    finish(&store, guard, "a").await;
    let all: Vec<i64> = files(&store, "a").await.iter().map(|it| it.entry).collect();
    assert_eq!(asked(&store, near("a", &all, &[1.0], 5), None).await, None);
    assert_eq!(fill(&store).await, 0);
}

#[tokio::test]
async fn an_extension_that_goes_away_is_done_without() {
    let (home, database) = home(true);
    let (home, store) = library(home);
    create(&store, 1, &[]).await;
    let mut chance = Chance(2);
    let mut vectors = |count| (0..count).map(|_| chance.vector(3)).collect::<Vec<_>>();
    let question = vectors(1).remove(0);
    index(&store, 1, "a", &vectors(5)).await;
    let all: Vec<i64> = files(&store, "a").await.iter().map(|it| it.entry).collect();
    let near = near("a", &all, &question, 5);
    let beside = home.open();
    assert!(asked(&store, near.clone(), None).await.is_some());
    let (known, _) = asked(&beside, near.clone(), None).await.unwrap();
    // It takes the column, and leaves the table.
    database.execute("DROP EXTENSION vector CASCADE");
    assert_eq!(asked(&beside, near.clone(), Some(known)).await, None);
    assert!(!beside.uses_pgvector());
    index(&store, 2, "a", &vectors(5)).await;
    assert!(!store.uses_pgvector());
    assert_eq!(asked(&store, near.clone(), None).await, None);
    assert_eq!(fill(&store).await, 0);
    assert!(!home.open().uses_pgvector());

    // It comes again.
    database.execute("CREATE EXTENSION vector");
    let next = home.open();
    let third = home.open();
    assert!(next.uses_pgvector() && !store.uses_pgvector());
    assert_eq!(asked(&next, near.clone(), None).await, None);
    assert_eq!(fill(&next).await, 10);
    expect_the_same(&next, "a", &all, &question).await;
    let (known, _) = asked(&third, near.clone(), None).await.unwrap();
    // The table alone goes away, and somebody makes it anew.
    database.execute("DROP TABLE chunk_embeddings");
    index(&next, 3, "a", &vectors(5)).await;
    assert!(!next.uses_pgvector());
    let last = home.open();
    assert!(last.uses_pgvector());
    assert_eq!(asked(&third, near.clone(), Some(known)).await, None);
    assert_eq!(fill(&last).await, 15);
    expect_the_same(&third, "a", &all, &question).await;
    // Emptied, with the store as it was.
    let (known, _) = asked(&third, near.clone(), None).await.unwrap();
    database.execute("TRUNCATE chunk_embeddings");
    assert_eq!(asked(&third, near, Some(known)).await, None);
}

#[tokio::test]
async fn who_has_no_right_to_the_table_or_does_not_see_the_type_does_without() {
    let (home, database) = home(false);
    home.open().close().await;
    let user = format!("u_{}", std::process::id());
    let schema = database.name();
    database.execute(&format!(
        "CREATE EXTENSION vector; CREATE ROLE {user} LOGIN PASSWORD 'p'; \
         GRANT USAGE ON SCHEMA {schema} TO {user}; \
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user}; \
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}"
    ));
    let (_, server) = database.url().split_once('@').unwrap();
    let of_user = format!("postgres://{user}:p@{server}");
    let open = |url: &str| Store::open(Options::postgres(postgres(url))).unwrap();
    assert!(!open(&of_user).uses_pgvector(), "it may make no table");
    let store = home.open();
    assert!(store.uses_pgvector(), "its owner may");
    let theirs = open(&of_user);
    assert!(!theirs.uses_pgvector(), "the table is another's");
    let (_home, store) = library(Home::Postgres(database.clone()));
    create(&theirs, 1, &[]).await;
    index(&theirs, 1, "a", &[vec![1.0, 0.0]]).await;
    assert_eq!(fill(&store).await, 1);
    database.execute(&format!(
        "GRANT SELECT, INSERT, UPDATE ON chunk_embeddings TO {user}"
    ));
    let theirs = open(&of_user);
    assert!(theirs.uses_pgvector());
    index(&theirs, 2, "a", &[vec![1.0, 0.0]]).await;
    assert_eq!(fill(&store).await, 0);
    // Taken away while it is used.
    database.execute(&format!("REVOKE ALL ON chunk_embeddings FROM {user}"));
    index(&theirs, 3, "a", &[vec![1.0, 0.0]]).await;
    assert!(!theirs.uses_pgvector());

    database.execute("CREATE SCHEMA elsewhere; ALTER EXTENSION vector SET SCHEMA elsewhere");
    assert!(!home.open().uses_pgvector());
}

#[tokio::test]
async fn copied_vectors_are_in_the_table() {
    let (from, store) = library(Home::Memory);
    create(&store, 1, &[]).await;
    let mut chance = Chance(3);
    let vectors: Vec<_> = (0..600).map(|_| chance.vector(16)).collect();
    index(&store, 1, "a", &vectors).await;
    let question = chance.vector(16);
    store.close().await;
    let (to, _) = home(true);
    let copied = copy(
        (from.options(), "from".to_owned()),
        (to.options(), documents::words),
        |_| {},
    );
    copied.await.unwrap();
    let store = to.open();
    assert_eq!(fill(&store).await, 0);
    assert_eq!(to.count("chunk_embeddings"), 600);
    let all: Vec<i64> = files(&store, "a").await.iter().map(|it| it.entry).collect();
    expect_the_same(&store, "a", &all, &question).await;
    // And back: the table is nothing of its own.
    store.close().await;
    let back = Home::Memory.kept();
    let copied = copy(
        (to.options(), "to".to_owned()),
        (back.options(), documents::words),
        |_| {},
    );
    copied.await.unwrap();
    assert_eq!(files(&back.open(), "a").await.len(), 1);
}
