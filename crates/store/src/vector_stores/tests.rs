//! What no public method does yet: the part that a file's deletion has in its stores.

use loomgate_domain::{
    FileId, Timestamp, VectorStore, VectorStoreId, WorkspaceId,
    vector_store::{Attributes, Chunking, FileCounts},
};
use loomgate_testkit::postgres::Database;

use super::{NewVectorStoreFile, PutFiles, files::forget_file};
use crate::{Options, Postgres, PostgresUrl, Store};

async fn a_deleted_file_is_taken_out_of_every_store(store: Store) {
    let ws = WorkspaceId::trusted("ws_1");
    let file = FileId::trusted("file-1");
    let insert = "INSERT INTO files (workspace_id, id, created_at, filename, purpose, bytes, status) \
        VALUES ('ws_1', 'file-1', 0, 'a', 'assistants', 1, 'processed')";
    let inserted = store.records().write(move |tx| tx.execute(insert, &[]));
    inserted.await.unwrap();
    let id = |n: u32| VectorStoreId::trusted(format!("vs_{n}"));
    for n in 1..=2 {
        let record = VectorStore::new(id(n), Timestamp(1));
        let put = PutFiles {
            files: vec![NewVectorStoreFile {
                file_id: file.clone(),
                chunking: Chunking::default(),
                attributes: Attributes::default(),
            }],
            at: Timestamp(1),
            most: 9,
        };
        let stores = store.vector_stores();
        stores.create(&ws, record, put, None).await.unwrap();
    }
    let (of, gone) = (ws.clone(), file.clone());
    let forgotten = store.records().write(move |tx| forget_file(tx, &of, &gone));
    forgotten.await.unwrap();
    for n in 1..=2 {
        let found = store.vector_store_files().get(&ws, &id(n), &file).await;
        assert_eq!(found.unwrap(), None);
        let record = store.vector_stores().get(&ws, &id(n)).await.unwrap();
        assert_eq!(record.unwrap().file_counts, FileCounts::default());
    }
}

#[tokio::test]
async fn a_deleted_file_is_taken_out_of_every_store_of_sqlite() {
    let store = Store::open(Options::memory()).unwrap();
    a_deleted_file_is_taken_out_of_every_store(store).await;
}

#[tokio::test]
async fn a_deleted_file_is_taken_out_of_every_store_of_postgresql() {
    let database = Database::new();
    let url = PostgresUrl::parse(database.url()).unwrap();
    let store = Store::open(Options::postgres(Postgres::at(url))).unwrap();
    a_deleted_file_is_taken_out_of_every_store(store).await;
}
