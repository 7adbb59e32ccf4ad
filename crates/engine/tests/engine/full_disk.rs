//! A database that has no room for a while, or takes no writes: no run fails over it.

use std::{sync::Arc, time::Duration};

use loomgate_domain::{Limits, run::RunStatus};
use loomgate_engine::Settings;
use loomgate_store::{DrivenDatabase, Driver, Error};
use loomgate_wire::chat::FinishReason;
use parking_lot::Mutex;

use crate::harness::{Bench, end, names, rest, until, word};

/// What is to be refused yet, and what was.
#[derive(Default)]
struct Disk {
    refuses: Option<(Error, u32)>,
    refused: u32,
}

/// Does whatever waits for the database, or refuses it while the disk does.
async fn work(mut driver: Driver, disk: Arc<Mutex<Disk>>) {
    loop {
        if driver.begin(8) > 0 {
            let mut disk = disk.lock();
            match disk.refuses.take() {
                Some((error, times)) if driver.changed() > 0 => {
                    driver.refuse(&error);
                    disk.refused += 1;
                    disk.refuses = (times > 1).then(|| (error, times - 1));
                }
                refuses => {
                    disk.refuses = refuses;
                    driver.commit();
                }
            }
        }
        while driver.read() {}
        tokio::task::yield_now().await;
    }
}

/// The first refusal is that of the commit that would end the run. Where it is the only one, whoever
/// would fail the run could; of more, also the claims of the run are refused.
#[tokio::test]
async fn a_run_goes_on_when_there_is_room() {
    for (error, times) in [(Error::Full, 1), (Error::Full, 6), (Error::ReadOnly, 1)] {
        for is_streamed in [false, true] {
            let database = DrivenDatabase::open(false).unwrap();
            let (store, driver) = database.attach(64).unwrap();
            let disk = Arc::new(Mutex::new(Disk::default()));
            let work = work(driver, Arc::clone(&disk));
            let test = async {
                let settings = Settings {
                    poll: Duration::from_millis(10),
                    lease: Duration::from_millis(100),
                    flush_every: Duration::from_hours(1),
                    ..Bench::settings(Limits::default())
                };
                let bench = Bench::of(store, settings).await;
                bench.engine.start().await.unwrap();
                let model = bench.model.live();
                bench.model.says(&["Once", " more."]);
                let (run, mut events) = if is_streamed {
                    let (run, events) = bench.stream("hi").await;
                    (run, Some(events))
                } else {
                    (bench.run("hi").await, None)
                };
                bench.model.asked(1).await;
                model.send(word("Once")).unwrap();
                if let Some(events) = &mut events {
                    until(events, "thread.message.delta").await;
                }
                disk.lock().refuses = Some((error.clone(), times));
                for event in end(FinishReason::Stop, 2) {
                    model.send(event).unwrap();
                }
                drop(model);

                let ended = bench.settled(&run.id).await;
                assert_eq!(ended.state.status(), RunStatus::Completed, "{error}");
                assert_eq!(disk.lock().refused, times);
                assert_eq!(bench.said().await, ["Once more."]);
                if let Some(events) = &mut events {
                    let told = names(&rest(events).await);
                    assert_eq!(told.last().unwrap(), "done", "{told:?}");
                    assert!(
                        told.contains(&"thread.run.completed".to_owned()),
                        "{told:?}"
                    );
                }
            };
            tokio::select! {
                () = work => {}
                () = test => {}
            }
        }
    }
}
