//! Scenes: what servers are put through, each so short that it can be played once for every boundary
//! that it crosses.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use anyhow::{bail, ensure};
use serde_json::json;

use super::{
    attachments, command, documents, old,
    pen::{Ledger, Pen},
    place::Place,
    records, renewal, rounds,
};
use crate::{
    api::Api,
    client::{self, Client, Round},
    database::Database,
    history::{History, text},
    model::StandIn,
    stage::{self, KEYS},
};

/// The API key of scenes that need the right to do everything.
pub(super) const ADMIN: &str = "lg-chaos-admin-0000000000000000000000000";

/// Makes receipts ones of long ago, and adds a count of a window that is over.
const AGE: &str = "UPDATE receipts SET created_at = created_at - 100000";
const OLD_COUNTER: &str =
    "INSERT INTO counters (subject, meter, start, amount) VALUES ('key:old', 'requests:rph', 0, 1)";

/// Lets the time of files and uploads be over, and that of bytes that nobody has. Documents stay.
const AGE_FILES: [&str; 3] = [
    "UPDATE files SET expires_at = 1 WHERE filename = 'a.png'",
    "UPDATE uploads SET expires_at = 1",
    "UPDATE blobs SET due_at = 1 WHERE due_at IS NOT NULL",
];

/// One of the scenes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scene {
    FirstStart,
    Start,
    Polled,
    Streamed,
    Cancelled,
    Beside,
    Deployed,
    Expired,
    ThreadAndRun,
    Records,
    Files,
    VectorStores,
    Attachments,
    Renewed,
    Administration,
    Relayed,
    Rotated,
    Copied,
    Migrated,
}

/// What was done in a scene, for whoever checks it.
#[derive(Debug, Default)]
pub(super) struct Played {
    /// The client's number, and what it has seen.
    pub(super) history: Option<(u32, History)>,
    pub(super) ledger: Ledger,
}

impl Scene {
    pub(super) const ALL: [Self; 19] = [
        Self::FirstStart,
        Self::Start,
        Self::Polled,
        Self::Streamed,
        Self::Cancelled,
        Self::Beside,
        Self::Deployed,
        Self::Expired,
        Self::ThreadAndRun,
        Self::Records,
        Self::Files,
        Self::VectorStores,
        Self::Attachments,
        Self::Renewed,
        Self::Administration,
        Self::Relayed,
        Self::Rotated,
        Self::Copied,
        Self::Migrated,
    ];

    /// In a few words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::FirstStart => "first start",
            Self::Start => "start after a kill",
            Self::Polled => "polled runs",
            Self::Streamed => "streamed runs",
            Self::Cancelled => "cancelled runs",
            Self::Beside => "writes beside a run",
            Self::Deployed => "deploy under a run",
            Self::Expired => "expiry",
            Self::ThreadAndRun => "thread with run",
            Self::Records => "records",
            Self::Files => "files",
            Self::VectorStores => "vector stores",
            Self::Attachments => "attachments",
            Self::Renewed => "other embeddings",
            Self::Administration => "administration",
            Self::Relayed => "relayed calls",
            Self::Rotated => "`secrets rotate`",
            Self::Copied => "`copy`",
            Self::Migrated => "`migrate`",
        }
    }

    /// Whether it is a command that is aborted, not a server.
    pub(super) fn is_command(self) -> bool {
        matches!(self, Self::Rotated | Self::Copied | Self::Migrated)
    }

    /// What the configuration says of limits.
    pub(super) fn limits(self) -> &'static str {
        match self {
            Self::Expired => "[limits]\nrun_expiry_s = 3\n",
            _ => "",
        }
    }

    /// What it says of workers, where that is its own.
    pub(super) fn worker(self) -> Option<&'static str> {
        match self {
            Self::Beside | Self::VectorStores | Self::Attachments | Self::Renewed => {
                Some("[worker]\nlease_s = 1\n")
            }
            Self::Start => Some("[worker]\nlease_s = 2\nstream_retention_s = 0\n"),
            _ => None,
        }
    }

    /// Variables of its servers.
    pub(super) fn environment(self) -> Vec<(&'static str, String)> {
        match self {
            Self::Relayed => vec![("LOOMGATE_LOGS__RECORD", "all".to_owned())],
            Self::Renewed => vec![(renewal::EMBEDDINGS, "model/embedder".to_owned())],
            _ => Vec::new(),
        }
    }

    /// Whether what is crossed while the server starts belongs to the scene.
    pub(super) fn is_about_start(self) -> bool {
        matches!(self, Self::FirstStart | Self::Start | Self::Renewed)
    }

    /// What its server crosses by itself, sooner or later: it is not stopped before.
    pub(super) fn awaits(self) -> &'static [&'static str] {
        match self {
            Self::Start => &[
                "blobs::Blobs::removed",
                "vector_stores::queue::Indexing::restart",
                "vector_stores::queue::Indexing::retry",
            ],
            Self::Renewed => &renewal::BOUNDARIES,
            _ => &[],
        }
    }

    /// What happens before, with a server that is not aborted, and that this kills. What has to be
    /// there then.
    pub(super) async fn prepare(self, place: &mut Place) -> anyhow::Result<Ledger> {
        let mut ledger = Ledger::default();
        if self == Self::FirstStart {
            return Ok(ledger);
        }
        // How far it has come is seen by what it crosses.
        place.arm(None);
        if self == Self::Renewed {
            place.unset(renewal::EMBEDDINGS);
        }
        place.start().await?;
        stage::assistant(&place.api(ADMIN)).await?;
        match self {
            Self::Start => leave_work(place).await?,
            Self::Renewed => renewal::leave_without_vectors(place).await?,
            _ if self.is_command() => ledger = command::fill(place).await?,
            _ => {}
        }
        place.kill().await?;
        place.disarm();
        match self {
            Self::Start => {
                let database = Database::open(&place.records).await?;
                let half = database.rows(documents::HALF_DONE).await?;
                ensure!(half.len() == 1, "the file was indexed before the kill");
                database.rows(AGE).await?;
                database.rows(OLD_COUNTER).await?;
                for age in AGE_FILES {
                    database.rows(age).await?;
                }
            }
            Self::Migrated => old::make(place).await?,
            _ => {}
        }
        Ok(ledger)
    }

    /// Whether the server is to be told to stop at this moment.
    pub(super) async fn is_time_to_stop(self, model: &StandIn) {
        if self != Self::Deployed {
            std::future::pending::<()>().await;
        }
        while !model.live().contains_key(&records::SLOW.number) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// Plays it, over whatever happens to the server.
    pub(super) async fn play(self, apis: Apis) -> anyhow::Result<Played> {
        let mut pen = Pen::new(apis.admin.clone());
        match self {
            Self::FirstStart => {
                pen.create("/threads", json!({})).await?;
            }
            Self::Start => {
                let list = pen.api.read("/assistants").await?;
                pen.ledger.counts("/assistants", 1);
                ensure!(list["data"][0]["object"] == "assistant", "{list}");
            }
            Self::Polled => return play(&apis, 0, rounds::polled()).await,
            Self::Streamed => return play(&apis, 0, rounds::streaming()).await,
            Self::Cancelled => return play(&apis, 1, rounds::cancelling()).await,
            Self::Beside => return play(&apis, 0, rounds::beside()).await,
            Self::Deployed => return play(&apis, 0, rounds::deployed()).await,
            Self::Expired => {
                let played = play(&apis, 0, rounds::expiring()).await?;
                if let Some((_, history)) = &played.history
                    && let Some(run) = history.known().keys().next()
                {
                    let run = format!("/threads/{}/runs/{run}", history.thread);
                    let pen = Pen::new(apis.of[0].clone());
                    pen.becomes(&run, "expired").await?;
                }
                return Ok(played);
            }
            Self::ThreadAndRun => records::thread_and_run(&mut pen).await?,
            Self::Records => records::records(&mut pen).await?,
            Self::Files => records::files(&mut pen).await?,
            Self::VectorStores => documents::vector_stores(&mut pen).await?,
            Self::Attachments => attachments::attachments(&mut pen).await?,
            Self::Renewed => renewal::renewed(&mut pen).await?,
            Self::Administration => records::administration(&mut pen).await?,
            Self::Relayed => records::relayed(&mut pen).await?,
            Self::Rotated | Self::Copied | Self::Migrated => {
                bail!("a command is given, not played")
            }
        }
        Ok(Played {
            history: None,
            ledger: pen.ledger,
        })
    }
}

/// Leaves a stream that can be forgotten, and a run whose model was asked.
async fn leave_work(place: &Place) -> anyhow::Result<()> {
    let mut pen = Pen::new(place.api(ADMIN));
    let streamed = json!({"stream": true});
    let begun = records::begin(&mut pen, records::PLAIN, &streamed, &[]).await;
    // It comes as a stream, which is no JSON.
    ensure!(begun.is_err(), "a stream was none: {begun:?}");
    records::file(&mut pen, "left").await?;
    let gone = records::file(&mut pen, "gone").await?;
    pen.remove(&format!("/files/{}", text(&gone["id"]))).await?;
    let upload = records::upload(&mut pen).await?;
    records::part(&mut pen, &upload).await?;
    documents::leave_half_done(&mut pen, place).await?;
    records::begin(&mut pen, records::SLOW, &json!({}), &[]).await?;
    while !place.model.live().contains_key(&records::SLOW.number) {
        pen.api.pause().await;
    }
    Ok(())
}

/// How the players of a scene reach the server.
#[derive(Clone)]
pub(super) struct Apis {
    pub(super) admin: Api,
    /// With each of [`KEYS`].
    pub(super) of: [Api; KEYS.len()],
}

impl Apis {
    pub(super) fn of(place: &Place) -> Self {
        Self {
            admin: place.api(ADMIN),
            of: KEYS.map(|key| place.api(key.secret)),
        }
    }
}

async fn play(apis: &Apis, client: u32, rounds: Vec<Round>) -> anyhow::Result<Played> {
    let shared = Arc::new(client::Shared {
        began: Instant::now(),
        is_over: AtomicBool::new(false),
        ended: 0.into(),
    });
    let list = apis.admin.read("/assistants").await?;
    let assistant = text(&list["data"][0]["id"]);
    let api = apis.of[client as usize].clone();
    let player = Client::new(&shared, api, &assistant, (0, client));
    Ok(Played {
        history: Some((client, player.play(rounds).await)),
        ledger: Ledger::default(),
    })
}
