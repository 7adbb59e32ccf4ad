//! Virtual keys. The provider's secret arrives sealed, and stays so.

use loomgate_domain::{WorkspaceId, virtual_key::VirtualKey};

use crate::{
    Error, OwnReceipt,
    pool::Pool,
    receipts,
    tx::{Row, statements, to_json, values},
};

macro_rules! columns {
    () => {
        "workspace_id, slug, name, provider, sealed_key, masked_key, settings, created_at, \
         updated_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO virtual_keys (", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    GET = concat!("SELECT ", columns!(), " FROM virtual_keys \
        WHERE workspace_id = $1 AND slug = $2");
    LIST = concat!("SELECT ", columns!(), " FROM virtual_keys \
        WHERE workspace_id = $1 ORDER BY seq");
    LIST_ALL = concat!("SELECT ", columns!(), " FROM virtual_keys ORDER BY seq");
    SLUGS = "SELECT workspace_id, slug FROM virtual_keys ORDER BY workspace_id, slug";
    UPDATE = "UPDATE virtual_keys SET name = $1, provider = $2, sealed_key = $3, \
        masked_key = $4, settings = $5, updated_at = $6 WHERE workspace_id = $7 AND slug = $8";
    RESEAL = "UPDATE virtual_keys SET sealed_key = $1 \
        WHERE workspace_id = $2 AND slug = $3 AND sealed_key = $4";
    DELETE = "DELETE FROM virtual_keys WHERE workspace_id = $1 AND slug = $2";
}

/// The virtual keys of a [`crate::Store`].
#[derive(Debug)]
pub struct VirtualKeys<'s>(pub(crate) &'s Pool);

impl VirtualKeys<'_> {
    /// Keeps a new virtual key. Error: [`Error::Duplicate`].
    pub async fn insert(&self, key: VirtualKey, receipt: Option<OwnReceipt>) -> Result<(), Error> {
        self.0
            .write(move |tx| {
                receipts::keep_own(tx, receipt.as_ref())?;
                let values = values![
                    &key.workspace,
                    &key.slug,
                    &key.name,
                    &key.provider,
                    key.sealed_key.as_ref(),
                    key.masked_key.as_ref(),
                    to_json(&key.settings)?,
                    key.created_at,
                    key.updated_at,
                ];
                tx.execute(INSERT, values)?;
                Ok(())
            })
            .await
    }

    /// A virtual key.
    pub async fn get(&self, ws: &WorkspaceId, slug: &str) -> Result<Option<VirtualKey>, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &slug], read))
            .await
    }

    /// All virtual keys of a workspace, oldest first.
    pub async fn list(&self, ws: &WorkspaceId) -> Result<Vec<VirtualKey>, Error> {
        let ws = ws.clone();
        self.0
            .read_one(move |tx| tx.rows(LIST, values![&ws], read))
            .await
    }

    /// Replaces a virtual key that is still as it was read; its slug and creation time stay.
    /// False: somebody else has changed it meanwhile, or it is not there.
    pub async fn update(
        &self,
        ws: &WorkspaceId,
        before: &VirtualKey,
        after: VirtualKey,
    ) -> Result<bool, Error> {
        let (ws, before) = (ws.clone(), before.clone());
        self.0
            .write(move |tx| {
                let slug = &before.slug;
                if tx.lock(GET, values![&ws, slug], read)?.as_ref() != Some(&before) {
                    return Ok(false);
                }
                let values = values![
                    &after.name,
                    &after.provider,
                    after.sealed_key.as_ref(),
                    after.masked_key.as_ref(),
                    to_json(&after.settings)?,
                    after.updated_at,
                    &ws,
                    slug,
                ];
                Ok(tx.execute(UPDATE, values)? > 0)
            })
            .await
    }

    /// Removes a virtual key. False: there was none.
    pub async fn delete(&self, ws: &WorkspaceId, slug: &str) -> Result<bool, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        self.0
            .write_one(move |tx| Ok(tx.execute(DELETE, values![&ws, &slug])? > 0))
            .await
    }

    /// The virtual keys of every workspace, oldest first: for sealing them anew.
    pub async fn all(&self) -> Result<Vec<VirtualKey>, Error> {
        self.0.read_one(|tx| tx.rows(LIST_ALL, &[], read)).await
    }

    /// The slugs of every workspace.
    pub async fn slugs(&self) -> Result<Vec<(WorkspaceId, String)>, Error> {
        let read = |row: &dyn Row| Ok((row.id(0)?, row.text(1)?.to_owned()));
        self.0.read_one(move |tx| tx.rows(SLUGS, &[], read)).await
    }

    /// Replaces a sealed secret. False: it is not `old_sealed` any more, or the virtual key is gone.
    pub async fn reseal(
        &self,
        ws: &WorkspaceId,
        slug: &str,
        old_sealed: &str,
        new_sealed: &str,
    ) -> Result<bool, Error> {
        let (ws, slug) = (ws.clone(), slug.to_owned());
        let (old, new) = (old_sealed.to_owned(), new_sealed.to_owned());
        self.0
            .write_one(move |tx| Ok(tx.execute(RESEAL, values![&new, &ws, &slug, &old])? > 0))
            .await
    }
}

fn read(row: &dyn Row) -> Result<VirtualKey, Error> {
    Ok(VirtualKey {
        workspace: row.id(0)?,
        slug: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        provider: row.text(3)?.to_owned(),
        sealed_key: row.optional_text(4)?.map(str::to_owned),
        masked_key: row.optional_text(5)?.map(str::to_owned),
        settings: row.json(6)?,
        created_at: row.time(7)?,
        updated_at: row.time(8)?,
    })
}
