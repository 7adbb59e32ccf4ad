//! The PostgreSQL that servers share while they are disturbed, and the lines to it.

pub(crate) mod line;

use std::path::Path;

pub(crate) use loomgate_bench::cluster::{Cluster, Stop};

use crate::database::Records;

/// No plug is pulled: what the operating system was told is safe.
const SETTINGS: &str = "shared_buffers = 64MB\nfsync = off\nfull_page_writes = off\n";

/// Makes one in a folder, with the programs of `bin`, and starts it.
pub(crate) async fn start(bin: &Path, folder: &Path) -> anyhow::Result<Cluster> {
    Cluster::start(bin, folder, SETTINGS, None).await
}

/// Where to look at it.
pub(crate) fn records(cluster: &Cluster) -> Records {
    Records::Postgres(cluster.url(None))
}

#[cfg(test)]
mod tests;
