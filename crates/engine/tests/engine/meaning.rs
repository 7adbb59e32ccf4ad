//! Search by meaning.

use std::time::Duration;

use loomgate_domain::{
    Timestamp, VectorStoreId,
    vector_store::{AttributeValue, Attributes, IndexingErrorCode, IndexingStatus},
};
use loomgate_engine::EmbedError;
use loomgate_search::filter::Filter;
use serde_json::json;

use crate::library::{FOOD, Library, MIB, PETS, STORE, Subjects, file_id, paragraphs};

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
