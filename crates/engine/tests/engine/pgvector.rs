//! Stores that are too large for the memory, in a database that has pgvector: against the same search
//! page by page, by a process that began before the database had it.

use std::sync::Arc;

use loomgate_domain::{
    VectorStoreId,
    vector_store::{AttributeValue, Attributes},
};
use loomgate_engine::Embedder;
use loomgate_search::filter::Filter;
use loomgate_store::{Options, Postgres, PostgresUrl, Store};
use loomgate_testkit::postgres::Database;
use serde_json::json;

use crate::{
    library::{FOOD, Library, MIB, PETS, STORE, Subjects, file_id, paragraphs},
    meaning::changes_are_seen_at_the_next_search,
};

fn open(database: &Database) -> Store {
    let url = PostgresUrl::parse(database.url()).unwrap();
    Store::open(Options::postgres(Postgres::at(url))).unwrap()
}

/// The table's rows that have a vector's digest.
fn kept(database: &Database) -> Vec<String> {
    database.texts(
        "SELECT COUNT(chunk_embeddings.seq) || ' of ' || COUNT(*) FROM chunk_vectors \
         LEFT JOIN chunk_embeddings USING (seq, digest)",
    )
}

async fn filled_in(database: &Database) {
    let count = database.texts("SELECT COUNT(*) FROM chunk_vectors");
    while kept(database) != [format!("{0} of {0}", count[0])] {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn changes_are_seen_in_a_database_with_pgvector() {
    let database = Database::for_pgvector();
    database.execute("CREATE EXTENSION vector");
    let library = Library::on(open(&database)).await;
    assert!(library.store.uses_pgvector());
    changes_are_seen_at_the_next_search(&library).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pages_find_pgvector_finds_and_whatever_becomes_of_it_something_is_found() {
    let database = Database::for_pgvector();
    let library = Library::on(open(&database)).await;
    let embedder = Subjects::new("subjects");
    let by = || Some(Arc::clone(&embedder) as Arc<dyn Embedder>);
    let old = library.indexer_of(&library.store, by()).await;
    library.index(1, &paragraphs(0..80)).await;
    library.index(2, PETS).await;
    database.execute("CREATE EXTENSION vector");
    let store = open(&database);
    assert!(store.uses_pgvector() && !library.store.uses_pgvector());
    let pages = library.engine_of(&library.store, by(), 0);
    let memory = library.engine_of(&store, by(), MIB);
    let asked = library.engine_of(&store, by(), 0);
    let filter = || {
        let filter = json!({"type": "eq", "key": "year", "value": 2024});
        Filter::parse(&filter, "filters").unwrap()
    };
    let same = async || {
        for question in [
            "Should a cat get this?",
            "an eat-in dinner",
            "a train",
            "pet and soup",
        ] {
            for filter in [None, Some(filter())] {
                let expected = library.find_in(&memory, question, filter.clone()).await;
                for engine in [&pages, &asked] {
                    let found = library.find_in(engine, question, filter.clone()).await;
                    assert_eq!(found, expected, "{question}");
                }
            }
        }
    };
    same().await;
    let new = library.indexer_of(&store, by()).await;
    filled_in(&database).await;
    same().await;
    // By one who does not know of the table, and by one who does.
    library.index(3, FOOD).await;
    same().await;
    old.drain().await.unwrap();
    library.index(4, "A pet dog on a train.").await;
    let year = ("year".to_owned(), AttributeValue::Number(2024.into()));
    let of_2024 = Attributes::new([year]).unwrap();
    library.put(5, "A cat.", of_2024).await;
    library.done(5).await;
    library.index(2, "A voyage with a pet.").await;
    let files = library.store.vector_store_files();
    let id = VectorStoreId::trusted(STORE);
    assert!(files.remove(&library.ws, &id, &file_id(4)).await.unwrap());
    same().await;

    // It goes away in the middle.
    database.execute("DROP EXTENSION vector CASCADE");
    same().await;
    library.index(1, "An old cat and a young dog.").await;
    same().await;
    assert!(!store.uses_pgvector());
    new.drain().await.unwrap();
}

#[tokio::test]
async fn codes_are_not_read_where_pgvector_tells() {
    let database = Database::for_pgvector();
    database.execute("CREATE EXTENSION vector");
    let library = Library::on(open(&database)).await;
    let embedder = Subjects::new("subjects");
    let by = || Some(Arc::clone(&embedder) as Arc<dyn Embedder>);
    let indexer = library.indexer_of(&library.store, by()).await;
    library.index(1, &paragraphs(0..80)).await;
    library.index(2, PETS).await;
    // Codes that say nothing, of 8 dimensions, before numbers that do.
    database.execute(
        "UPDATE chunk_vectors SET vector = \
         substr(vector, 1, 4) || decode(repeat('00', 8), 'hex') || substr(vector, 13)",
    );
    let engine = library.engine_of(&library.store, by(), 0);
    assert_eq!(library.names(&engine, "a cat or dog").await, ["2.txt"]);
    database.execute("DELETE FROM chunk_embeddings");
    let again = library.engine_of(&library.store, by(), 0);
    assert_eq!(library.names(&again, "a cat or dog").await, [""; 0]);
    indexer.drain().await.unwrap();
}
