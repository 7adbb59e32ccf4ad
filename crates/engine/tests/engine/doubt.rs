//! A database that is lost while it commits: nobody knows whether it did.

use std::{sync::Arc, time::Duration};

use loomgate_domain::Limits;
use loomgate_engine::Settings;
use loomgate_store::{DrivenDatabase, Driver};
use loomgate_wire::chat::FinishReason;
use parking_lot::Mutex;

use crate::harness::{Bench, end, rest, until, word};

/// Does whatever waits for the database, until it is told to do so no more.
async fn work(driver: Arc<Mutex<Option<Driver>>>) {
    loop {
        if let Some(driver) = &mut *driver.lock() {
            driver.begin(8);
            driver.commit();
            while driver.read() {}
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn deltas_whose_commit_nobody_heard_of_are_told_once() {
    for kept in [true, false] {
        let database = DrivenDatabase::open(true).unwrap();
        let (store, driver) = database.attach(64).unwrap();
        let desk = Arc::new(Mutex::new(Some(driver)));
        let work = work(Arc::clone(&desk));
        let test = async {
            let settings = Settings {
                // What is pending is stored when there is enough of it.
                flush_every: Duration::from_hours(1),
                flush_bytes: 4,
                ..Bench::settings(Limits::default())
            };
            let bench = Bench::of(store, settings).await;
            bench.engine.start().await.unwrap();
            let model = bench.model.live();
            let (run, mut events) = bench.stream("hi").await;
            model.send(word("Half")).unwrap();
            let mut seen = vec![until(&mut events, "thread.message.delta").await];

            let mut driver = desk.lock().take().unwrap();
            model.send(word(" an answer")).unwrap();
            while driver.begin(8) == 0 {
                tokio::task::yield_now().await;
            }
            driver.interrupt(kept);
            *desk.lock() = Some(driver);

            for event in end(FinishReason::Stop, 2) {
                model.send(event).unwrap();
            }
            drop(model);
            seen.extend(rest(&mut events).await);
            bench.replays(&run.id, &seen).await;
            assert_eq!(bench.said().await, ["Half an answer"]);
        };
        tokio::select! {
            () = work => {}
            () = test => {}
        }
    }
}
