//! A real server: stopped, started, damaged, and reached through lines that break.

use std::{path::Path, time::Duration};

use tokio::process::Command;

use super::{line::Proxy, *};
use crate::database::Database;

async fn cluster(folder: &Path) -> Cluster {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let printed = Command::new(root.join("scripts/ensure-postgres.sh"))
        .output()
        .await
        .unwrap();
    let bin = String::from_utf8(printed.stdout).unwrap();
    start(Path::new(bin.trim()), folder).await.unwrap()
}

async fn look(cluster: &Cluster, sql: &str) -> Vec<Option<String>> {
    let database = Database::open(&records(cluster)).await.unwrap();
    let rows = database.rows(sql).await.unwrap();
    rows.into_iter().flatten().collect()
}

#[tokio::test]
async fn it_keeps_what_it_has_over_stops_and_an_index_that_is_damaged_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = cluster(folder.path()).await;
    let table =
        "CREATE TABLE it (id INT PRIMARY KEY); INSERT INTO it SELECT generate_series(1, 900)";
    look(&cluster, table).await;
    for how in [Stop::Fast, Stop::Immediate] {
        cluster.stop(how).await.unwrap();
        let gone = Database::open(&records(&cluster)).await;
        assert!(gone.is_err());
        cluster.begin().await.unwrap();
        let count = look(&cluster, "SELECT COUNT(*) FROM it").await;
        assert_eq!(count, [Some("900".to_owned())]);
    }
    let database = Database::open(&records(&cluster)).await.unwrap();
    assert_eq!(database.faults().await.unwrap(), Vec::<String>::new());
    drop(database);

    let file = look(
        &cluster,
        "CHECKPOINT; SELECT pg_relation_filepath('it_pkey')",
    )
    .await;
    cluster.stop(Stop::Fast).await.unwrap();
    let file = cluster.data().join(file[0].as_ref().unwrap());
    let mut bytes = std::fs::read(&file).unwrap();
    // A key in the first leaf, behind the page of the index itself.
    let end = 2 * 8 * 1024;
    bytes[end - 64..end - 32].fill(0x55);
    std::fs::write(&file, bytes).unwrap();
    cluster.begin().await.unwrap();
    let database = Database::open(&records(&cluster)).await.unwrap();
    assert!(!database.faults().await.unwrap().is_empty());
}

#[tokio::test]
async fn lines_to_it_break_until_it_is_calm() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = cluster(folder.path()).await;
    let lines = Proxy::start(&cluster.socket(), 1).await.unwrap();
    let behind = Records::Postgres(cluster.url(Some(lines.port)));
    lines.storm();
    let mut broken = 0;
    for _ in 0..100 {
        let work = async {
            let database = Database::open(&behind).await?;
            database.rows("SELECT repeat('x', 20000)").await
        };
        let worked = tokio::time::timeout(Duration::from_millis(300), work).await;
        broken += usize::from(!matches!(worked, Ok(Ok(_))));
    }
    assert!((5..60).contains(&broken), "{broken}");
    assert!(lines.connections() >= 100 && lines.kinds().iter().sum::<u64>() > 4);
    lines.calm();
    for _ in 0..20 {
        let database = Database::open(&behind).await.unwrap();
        database.rows("SELECT repeat('x', 20000)").await.unwrap();
    }
}
