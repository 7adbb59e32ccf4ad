//! The database that a storm goes on over: an embedded one, or a PostgreSQL of its own with lines
//! that break.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use crate::{
    cluster::{self, Cluster, line::Proxy},
    stage::Postgres,
};

/// Where servers keep their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

#[derive(clap::Args)]
pub(crate) struct Ground {
    /// The database.
    #[arg(long, value_enum, default_value = "sqlite")]
    pub(crate) database: Engine,
    /// Servers on it; more than one share a PostgreSQL.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) replicas: u8,
    /// The folder of PostgreSQL's programs; scripts/ensure-postgres.sh prints it.
    #[arg(long, global = true)]
    pub(crate) postgres_bin: Option<PathBuf>,
}

/// A PostgreSQL, and the lines to it.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) lines: Proxy,
}

impl Ground {
    /// As arguments, unless it is what they are without.
    pub(crate) fn words(&self) -> String {
        match self.database {
            Engine::Sqlite => String::new(),
            Engine::Postgres => format!(" --database postgres --replicas {}", self.replicas),
        }
    }

    /// Where the document tells of it.
    pub(crate) fn section(&self) -> &'static str {
        match self.database {
            Engine::Sqlite => "storm",
            Engine::Postgres => "storm-postgres",
        }
    }

    /// Prepares the database in a folder. None: the server makes it.
    pub(crate) async fn prepare(&self, folder: &Path, seed: u64) -> anyhow::Result<Option<Shared>> {
        if self.database == Engine::Sqlite {
            let is_alone = self.replicas == 1;
            ensure!(
                is_alone,
                "an embedded database has one server: --replicas 1"
            );
            return Ok(None);
        }
        let cluster = self.cluster(folder).await?;
        let lines = Proxy::start(&cluster.socket(), seed ^ 0x11fe).await?;
        Ok(Some(Shared { cluster, lines }))
    }

    /// Starts a PostgreSQL in a folder.
    pub(crate) async fn cluster(&self, folder: &Path) -> anyhow::Result<Cluster> {
        let bin = self.postgres_bin.as_ref();
        let bin = bin.context("--postgres-bin is missing: scripts/ensure-postgres.sh prints it")?;
        cluster::start(bin, folder).await
    }
}

impl Shared {
    /// For servers, whose lines break, and for the checker, whose do not.
    pub(crate) fn postgres(&self) -> Postgres {
        Postgres {
            // A line that is half open while it comes about costs no more time than that.
            url: self.cluster.url(Some(self.lines.port)) + "&connect_timeout=1",
            records: cluster::records(&self.cluster),
        }
    }
}
