//! Where scenes are played: a folder and a database of its own for each time, copied from what was
//! prepared.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use loomgate_bench::statistics::any_number;
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, Semaphore},
    time::timeout,
};

use super::{
    boundary::Trace,
    case::{LONGEST, Outcome, Plan},
    command,
    pen::Ledger,
    scene::{ADMIN, Scene},
};
use crate::{
    api::Api,
    cluster::{self, Cluster},
    database::{Database, Records},
    ground::Engine,
    model::{Pace, StandIn},
    stage::{Postgres, Role, Setup, Stage},
    storm,
};

/// The variables that a debug build reads.
const PLAN: &str = "LOOMGATE_FAILPOINT";
const TRACE: &str = "LOOMGATE_FAILPOINT_TRACE";
/// The longest wait until sessions of a process that is gone are gone.
const PATIENCE: Duration = Duration::from_secs(20);

/// The one server of a place.
pub(super) const SERVER: usize = 0;

/// A place.
pub(super) struct Place {
    pub(super) stage: Stage,
    pub(super) folder: TempDir,
    pub(super) model: StandIn,
    pub(super) records: Records,
    /// Variables of all its processes.
    calm: Vec<(&'static str, String)>,
}

impl Place {
    /// Has processes from now on abort there, and write down what they cross.
    pub(super) fn arm(&mut self, plan: Option<&Plan>) {
        self.disarm();
        let trace = self.trace_file().display().to_string();
        let plan = plan.map(|plan| (PLAN, plan.words()));
        let armed = plan.into_iter().chain([(TRACE, trace)]);
        self.stage.environment.extend(armed);
    }

    /// Has them do nothing of it.
    pub(super) fn disarm(&mut self) {
        self.stage.environment.clone_from(&self.calm);
    }

    /// Lets processes do without a variable, until it is armed or disarmed again.
    pub(super) fn unset(&mut self, name: &str) {
        self.stage.environment.retain(|(set, _)| *set != name);
    }

    /// Starts the server.
    pub(super) async fn start(&mut self) -> anyhow::Result<()> {
        self.stage.start(SERVER, Role::All).await?;
        Ok(())
    }

    /// Kills it, and waits until its sessions are gone.
    pub(super) async fn kill(&mut self) -> anyhow::Result<()> {
        self.stage.kill(SERVER).await?;
        self.is_left().await
    }

    /// Calls with a key to the server.
    pub(super) fn api(&self, key: &str) -> Api {
        self.stage.api(key, SERVER)
    }

    /// What they have crossed so far.
    pub(super) fn trace(&self) -> anyhow::Result<Trace> {
        Trace::read(&self.trace_file())
    }

    /// Where they write it.
    pub(super) fn trace_file(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// Where an embedded database stands that is to be copied.
    pub(super) fn source(&self) -> PathBuf {
        self.folder.path().join("source")
    }

    /// Where a server keeps what is not in a PostgreSQL.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Waits until nobody has the database open.
    pub(super) async fn is_left(&self) -> anyhow::Result<()> {
        let Records::Postgres(url) = &self.records else {
            return Ok(());
        };
        let database = Database::open(&Records::Postgres(at(url, "postgres"))).await?;
        let name = name(url);
        let others = format!("SELECT pid FROM pg_stat_activity WHERE datname = '{name}'");
        let left = async {
            while !database.rows(&others).await?.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        let left = timeout(PATIENCE, left).await;
        left.with_context(|| format!("somebody stays in {name}"))?
    }
}

/// What a scene begins with.
pub(super) struct Prepared {
    place: Place,
    /// What has to be there then.
    pub(super) ledger: Ledger,
}

/// All of them, so many at a time.
pub(super) struct Places {
    binary: PathBuf,
    room: Semaphore,
    /// None: each has an embedded database.
    postgres: Option<Shared>,
}

impl Places {
    /// `folder` is for what all of them share.
    pub(super) async fn new(
        storm: &storm::Options,
        room: usize,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let postgres = match storm.ground.database {
            Engine::Sqlite => None,
            Engine::Postgres => {
                let cluster = storm.ground.cluster(folder).await?;
                let database = Database::open(&cluster::records(&cluster)).await?;
                let database = Mutex::new(database);
                Some(Shared { cluster, database })
            }
        };
        Ok(Self {
            binary: storm.binary.clone(),
            room: Semaphore::new(room),
            postgres,
        })
    }

    /// A place as it is when a scene begins.
    pub(super) async fn prepare(&self, scene: Scene) -> anyhow::Result<Prepared> {
        let _room = self.room.acquire().await?;
        let mut place = self.place(scene, None).await?;
        let prepared = timeout(LONGEST, scene.prepare(&mut place)).await;
        let ledger = prepared.context("it does not come to its end")??;
        Ok(Prepared { place, ledger })
    }

    /// Plays a scene in a copy of that.
    pub(super) async fn play(
        &self,
        scene: Scene,
        prepared: &Prepared,
        plan: Option<&Plan>,
    ) -> anyhow::Result<Outcome> {
        let _room = self.room.acquire().await?;
        let mut place = self.place(scene, Some(prepared)).await?;
        let outcome = if scene.is_command() {
            command::run(scene, &mut place, &prepared.ledger, plan).await
        } else {
            super::case::run(scene, &mut place, plan).await
        };
        self.remove(&place).await?;
        outcome
    }

    async fn place(&self, scene: Scene, prepared: Option<&Prepared>) -> anyhow::Result<Place> {
        let folder = tempfile::tempdir()?;
        let model = StandIn::start(Pace::Even).await?;
        // What is to be copied to a PostgreSQL comes from an embedded database.
        let is_source = scene == Scene::Copied && prepared.is_none();
        let database = match &self.postgres {
            Some(postgres) if !is_source => Some(postgres.make(prepared, scene).await?),
            _ => None,
        };
        let stage = Stage::set(Setup {
            binary: &self.binary,
            folder: folder.path(),
            model: model.address,
            config: &self.config(scene, &model),
            postgres: database.map(|url| Postgres {
                records: Records::Postgres(url.clone()),
                url,
            }),
            replicas: 1,
        })?;
        let place = Place {
            records: stage.records(),
            stage,
            folder,
            model,
            calm: scene.environment(),
        };
        if let Some(prepared) = prepared {
            let target = if scene == Scene::Copied {
                place.source()
            } else {
                place.data()
            };
            copy(&prepared.place.data(), &target)?;
        }
        Ok(place)
    }

    fn config(&self, scene: Scene, model: &StandIn) -> String {
        let lease = match self.postgres {
            // Others may have those of a process that is gone, so the next one waits for their end.
            Some(_) => "[worker]\nlease_s = 2\nstream_retention_s = 3600\n",
            None => "",
        };
        let worker = scene.worker().unwrap_or(lease);
        format!(
            "[egress]\nallow = [\"127.0.0.1\"]\n{worker}{}[virtual_keys.there]\nprovider = \"openai\"\n\
             assistants = \"upstream\"\nbase_url = \"http://{}/v1\"\n\
             api_key = \"sk-stand-in-000000000000000000\"\n[[api_keys]]\nname = \"admin\"\n\
             key = \"{ADMIN}\"\nscopes = [\"admin\"]\n\
             usage_limits = {{ type = \"tokens\", credit_limit = 1000000.0 }}\n",
            scene.limits(),
            model.address,
        )
    }

    async fn remove(&self, place: &Place) -> anyhow::Result<()> {
        let (Some(postgres), Records::Postgres(url)) = (&self.postgres, &place.records) else {
            return Ok(());
        };
        let drop = format!("DROP DATABASE {} WITH (FORCE)", name(url));
        postgres.database.lock().await.rows(&drop).await?;
        Ok(())
    }
}

/// The PostgreSQL of all places.
struct Shared {
    cluster: Cluster,
    /// Its first database, where others are made.
    database: Mutex<Database>,
}

impl Shared {
    /// Makes a database, as it was prepared. Its URL.
    async fn make(&self, prepared: Option<&Prepared>, scene: Scene) -> anyhow::Result<String> {
        let prepared = prepared.filter(|_| scene != Scene::Copied);
        let template = match prepared.map(|prepared| &prepared.place.records) {
            Some(Records::Postgres(url)) => name(url),
            _ => "template0",
        };
        let name = format!("place_{:016x}", any_number());
        let make = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.database.lock().await.rows(&make).await?;
        Ok(at(&self.cluster.url(None), &name))
    }
}

impl Prepared {
    /// Removes what is outside of its folder.
    pub(super) async fn remove(&self, places: &Places) -> anyhow::Result<()> {
        places.remove(&self.place).await
    }
}

/// Another database of the same server.
fn at(url: &str, name: &str) -> String {
    let base = url.rsplit_once('/').map_or(url, |(base, _)| base);
    format!("{base}/{name}?sslmode=disable")
}

/// The name of a database.
fn name(url: &str) -> &str {
    let name = url.rsplit_once('/').map_or(url, |(_, name)| name);
    name.split('?').next().unwrap_or(name)
}

/// Copies what is in a folder, and in its folders. There may be nothing yet.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
