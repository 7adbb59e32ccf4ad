//! Saved configs, and every version that they had.

use loomgate_domain::{
    ConfigVersionId, Timestamp, WorkspaceId,
    config::{ConfigVersion, SavedConfig},
};
use serde_json::Value;

use crate::{
    Error, OwnReceipt,
    pool::Pool,
    receipts,
    tx::{Row, Tx, statements, to_json, values},
};

/// The most versions that a list shows.
const VERSIONS: i64 = 1_000;

macro_rules! select {
    () => {
        "SELECT configs.workspace_id, configs.slug, name, version_id, config, configs.created_at, \
         updated_at FROM configs JOIN config_versions \
         ON config_versions.workspace_id = configs.workspace_id \
         AND config_versions.slug = configs.slug AND config_versions.id = version_id \
         WHERE configs.workspace_id = $1"
    };
}

statements! {
    INSERT = "INSERT INTO configs \
        (workspace_id, slug, name, version_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    INSERT_VERSION = "INSERT INTO config_versions (workspace_id, slug, id, config, created_at) \
        VALUES ($1, $2, $3, $4, $5)";
    GET = concat!(select!(), " AND configs.slug = $2");
    LIST = concat!(select!(), " ORDER BY configs.seq");
    SLUGS = "SELECT workspace_id, slug FROM configs ORDER BY workspace_id, slug";
    UPDATE = "UPDATE configs SET name = COALESCE($1, name), \
        version_id = COALESCE($2, version_id), updated_at = $3 \
        WHERE workspace_id = $4 AND slug = $5";
    DELETE = "DELETE FROM configs WHERE workspace_id = $1 AND slug = $2";
    EXISTS = "SELECT 1 FROM configs WHERE workspace_id = $1 AND slug = $2";
    LIST_VERSIONS = "SELECT id, config, created_at FROM config_versions \
        WHERE workspace_id = $1 AND slug = $2 ORDER BY seq DESC LIMIT $3";
}

/// The saved configs of a [`crate::Store`].
#[derive(Debug)]
pub struct Configs<'s>(pub(crate) &'s Pool);

impl Configs<'_> {
    /// Keeps a new config with its first version. Error: [`Error::Duplicate`].
    pub async fn insert(
        &self,
        config: SavedConfig,
        receipt: Option<OwnReceipt>,
    ) -> Result<(), Error> {
        self.0
            .write(move |tx| {
                receipts::keep_own(tx, receipt.as_ref())?;
                let (ws, slug) = (&config.workspace, &config.slug);
                let values = values![
                    ws,
                    slug,
                    &config.name,
                    &config.version,
                    config.created_at,
                    config.updated_at,
                ];
                tx.execute(INSERT, values)?;
                let body = to_json(&config.config)?;
                let version = values![ws, slug, &config.version, body, config.created_at];
                tx.execute(INSERT_VERSION, version)?;
                Ok(())
            })
            .await
    }

    /// A config in its newest version.
    pub async fn get(&self, ws: &WorkspaceId, slug: &str) -> Result<Option<SavedConfig>, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        self.0.read_one(move |tx| get(tx, &ws, &slug)).await
    }

    /// All configs of a workspace in their newest versions, oldest config first.
    pub async fn list(&self, ws: &WorkspaceId) -> Result<Vec<SavedConfig>, Error> {
        let ws = ws.clone();
        self.0
            .read_one(move |tx| tx.rows(LIST, values![&ws], read))
            .await
    }

    /// The slugs of every workspace.
    pub async fn slugs(&self) -> Result<Vec<(WorkspaceId, String)>, Error> {
        let read = |row: &dyn Row| Ok((row.id(0)?, row.text(1)?.to_owned()));
        self.0.read_one(move |tx| tx.rows(SLUGS, &[], read)).await
    }

    /// Gives a config another name, another version, or both, and returns what it is then. `None`:
    /// no such config. Error: [`Error::Duplicate`] if it has a version of that id.
    pub async fn update(
        &self,
        ws: &WorkspaceId,
        slug: &str,
        name: Option<String>,
        version: Option<(ConfigVersionId, Value)>,
        at: Timestamp,
    ) -> Result<Option<SavedConfig>, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        self.0
            .write(move |tx| {
                let id = version.as_ref().map(|(id, _)| id);
                let values = values![name.as_ref(), id, at, &ws, &slug];
                if tx.execute(UPDATE, values)? == 0 {
                    return Ok(None);
                }
                if let Some((id, config)) = &version {
                    let version = values![&ws, &slug, id, to_json(config)?, at];
                    tx.execute(INSERT_VERSION, version)?;
                }
                get(tx, &ws, &slug)
            })
            .await
    }

    /// Removes a config with all its versions. False: there was none.
    pub async fn delete(&self, ws: &WorkspaceId, slug: &str) -> Result<bool, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        self.0
            .write_one(move |tx| Ok(tx.execute(DELETE, values![&ws, &slug])? > 0))
            .await
    }

    /// The versions of a config, newest first, 1000 at most. `None`: no such config.
    pub async fn versions(
        &self,
        ws: &WorkspaceId,
        slug: &str,
    ) -> Result<Option<Vec<ConfigVersion>>, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        self.0
            .read(move |tx| {
                if !tx.exists(EXISTS, values![&ws, &slug])? {
                    return Ok(None);
                }
                let versions = tx.rows(LIST_VERSIONS, values![&ws, &slug, VERSIONS], |row| {
                    Ok(ConfigVersion {
                        id: row.id(0)?,
                        config: row.json(1)?,
                        created_at: row.time(2)?,
                    })
                })?;
                Ok(Some(versions))
            })
            .await
    }
}

fn get(tx: &mut dyn Tx, ws: &WorkspaceId, slug: &str) -> Result<Option<SavedConfig>, Error> {
    tx.row(GET, values![ws, slug], read)
}

fn read(row: &dyn Row) -> Result<SavedConfig, Error> {
    Ok(SavedConfig {
        workspace: row.id(0)?,
        slug: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        version: row.id(3)?,
        config: row.json(4)?,
        created_at: row.time(5)?,
        updated_at: row.time(6)?,
    })
}
