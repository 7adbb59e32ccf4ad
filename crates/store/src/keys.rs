//! API keys. Only keyed hashes of the secrets are kept.

use loomgate_domain::{
    ApiKeyId, Timestamp, WorkspaceId,
    key::{ApiKey, KeySettings, PreviousHash},
};

use crate::{
    Error, OwnReceipt,
    pool::Pool,
    receipts,
    tx::{Row, Tx, statements, to_json, values},
};

macro_rules! columns {
    () => {
        "id, workspace_id, name, hash, hint, previous_hash, previous_until, settings, created_at, \
         updated_at, revoked_at"
    };
}

statements! {
    INSERT = concat!("INSERT INTO api_keys (", columns!(), ") \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)");
    // The id, the time and above all a revocation stay.
    REPLACE = concat!("UPDATE api_keys SET workspace_id = $1, name = $2, hint = $3, \
        settings = $4, updated_at = $5 WHERE hash = $6 RETURNING ", columns!());
    BY_HASH = concat!("SELECT ", columns!(), " FROM api_keys WHERE hash = $1");
    BY_PREVIOUS_HASH = concat!("SELECT ", columns!(), " FROM api_keys WHERE previous_hash = $1");
    GET = concat!("SELECT ", columns!(), " FROM api_keys WHERE workspace_id = $1 AND id = $2");
    LIST = concat!("SELECT ", columns!(), " FROM api_keys ORDER BY seq");
    LIST_OF_WORKSPACE = concat!("SELECT ", columns!(), " FROM api_keys \
        WHERE workspace_id = $1 ORDER BY seq");
    UPDATE = concat!("UPDATE api_keys SET settings = $1, name = $2, updated_at = $3 \
        WHERE workspace_id = $4 AND id = $5 RETURNING ", columns!());
    ROTATE = concat!("UPDATE api_keys SET previous_hash = hash, previous_until = $1, hash = $2, \
        hint = $3, updated_at = $4 \
        WHERE workspace_id = $5 AND id = $6 AND revoked_at IS NULL RETURNING ", columns!());
    REVOKE = "UPDATE api_keys SET revoked_at = $1, updated_at = $2 \
        WHERE id = $3 AND revoked_at IS NULL";
    DELETE = "DELETE FROM api_keys WHERE workspace_id = $1 AND id = $2";
}

/// The API keys of a [`crate::Store`]. Some methods name no workspace: the key is what names one.
#[derive(Debug)]
pub struct Keys<'s>(pub(crate) &'s Pool);

impl Keys<'_> {
    /// Keeps a new key. Its workspace has to exist. Error: [`Error::Duplicate`].
    pub async fn insert(&self, key: ApiKey, receipt: Option<OwnReceipt>) -> Result<(), Error> {
        self.0
            .write(move |tx| {
                receipts::keep_own(tx, receipt.as_ref())?;
                insert(tx, &key)
            })
            .await
    }

    /// Keeps a key, or changes the one of the same hash: for keys that stand in the config file.
    /// Returns the key as it is now. A revoked key stays revoked, and what was used of a budget
    /// stays used: `usage_since` is that of the first time.
    pub async fn put(&self, key: ApiKey) -> Result<ApiKey, Error> {
        let again = key.clone();
        match self.0.write(move |tx| put(tx, &key)).await {
            // Another server with the same config was faster: now there is one to change.
            Err(Error::Duplicate) => self.0.write(move |tx| put(tx, &again)).await,
            other => other,
        }
    }

    /// The key of this hash, revoked or not; or else the one that had it before it was rotated:
    /// then [`ApiKey::previous`] says until when that opens anything.
    pub async fn by_hash(&self, hash: &str) -> Result<Option<ApiKey>, Error> {
        let hash = hash.to_owned();
        self.0
            .read(move |tx| {
                let found = tx.row(BY_HASH, values![&hash], read)?;
                match found {
                    Some(key) => Ok(Some(key)),
                    None => tx.row(BY_PREVIOUS_HASH, values![&hash], read),
                }
            })
            .await
    }

    /// A key, revoked or not.
    pub async fn get(&self, ws: &WorkspaceId, id: &ApiKeyId) -> Result<Option<ApiKey>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id], read))
            .await
    }

    /// All keys of a workspace, or of every one, oldest first, revoked ones too.
    pub async fn list(&self, ws: Option<&WorkspaceId>) -> Result<Vec<ApiKey>, Error> {
        let ws = ws.cloned();
        self.0
            .read_one(move |tx| match &ws {
                Some(ws) => tx.rows(LIST_OF_WORKSPACE, values![ws], read),
                None => tx.rows(LIST, &[], read),
            })
            .await
    }

    /// Gives a key that is still as it was read the settings and the name of `after`, and returns
    /// it. `None`: somebody else has changed or revoked it meanwhile, or it is not there.
    pub async fn update(
        &self,
        ws: &WorkspaceId,
        before: &ApiKey,
        after: ApiKey,
    ) -> Result<Option<ApiKey>, Error> {
        let (ws, before) = (ws.clone(), before.clone());
        self.0
            .write(move |tx| {
                if !is_as_before(tx, &ws, &before)? {
                    return Ok(None);
                }
                let settings = to_json(&after.settings)?;
                let values = values![settings, &after.name, after.updated_at, &ws, &before.id];
                tx.row(UPDATE, values, read)
            })
            .await
    }

    /// Gives a key that may still do what it might when it was read another secret
    /// ([`ApiKey::rotated`]), and returns the key. The hash that it had goes on opening it as long as
    /// `after` says; the one before that is forgotten. `None`: somebody else has changed or revoked
    /// it meanwhile, or it is not there. Error: [`Error::Duplicate`].
    pub async fn rotate(
        &self,
        ws: &WorkspaceId,
        before: &ApiKey,
        after: ApiKey,
        receipt: Option<OwnReceipt>,
    ) -> Result<Option<ApiKey>, Error> {
        let (ws, before) = (ws.clone(), before.clone());
        self.0
            .write(move |tx| {
                if !is_as_before(tx, &ws, &before)? {
                    return Ok(None);
                }
                receipts::keep_own(tx, receipt.as_ref())?;
                let until = after.previous.as_ref().map(|previous| previous.until);
                let at = after.updated_at;
                let values = values![until, &after.hash, &after.hint, at, &ws, &before.id];
                tx.row(ROTATE, values, read)
            })
            .await
    }

    /// Revokes a key. False: there is none, or it was revoked before.
    pub async fn revoke(&self, id: &ApiKeyId, at: Timestamp) -> Result<bool, Error> {
        let id = id.clone();
        self.0
            .write_one(move |tx| Ok(tx.execute(REVOKE, values![at, at, &id])? > 0))
            .await
    }

    /// Removes a key. False: there was none.
    pub async fn delete(&self, ws: &WorkspaceId, id: &ApiKeyId) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write_one(move |tx| Ok(tx.execute(DELETE, values![&ws, &id])? > 0))
            .await
    }
}

/// Whether a key is there, and nobody has changed or revoked it since it was read; nor can anybody
/// until the transaction ends. A rotation is no change: what a key may do stays.
fn is_as_before(tx: &mut dyn Tx, ws: &WorkspaceId, before: &ApiKey) -> Result<bool, Error> {
    let now = tx.lock(GET, values![ws, &before.id], read)?;
    Ok(now.is_some_and(|now| {
        now.settings == before.settings
            && now.name == before.name
            && now.revoked_at == before.revoked_at
    }))
}

fn put(tx: &mut dyn Tx, key: &ApiKey) -> Result<ApiKey, Error> {
    let Some(before) = tx.lock(BY_HASH, values![&key.hash], read)? else {
        insert(tx, key)?;
        return Ok(key.clone());
    };
    let settings = KeySettings {
        usage_since: before.settings.usage_since,
        ..key.settings.clone()
    };
    let (ws, name, hint) = (&key.workspace, &key.name, &key.hint);
    let settings = to_json(&settings)?;
    let values = values![ws, name, hint, settings, key.updated_at, &key.hash];
    tx.row(REPLACE, values, read)?
        .ok_or_else(|| Error::corrupt("a key vanished within a transaction"))
}

fn insert(tx: &mut dyn Tx, key: &ApiKey) -> Result<(), Error> {
    let previous = key.previous.as_ref();
    let values = values![
        &key.id,
        &key.workspace,
        &key.name,
        &key.hash,
        &key.hint,
        previous.map(|previous| &previous.hash),
        previous.map(|previous| previous.until),
        to_json(&key.settings)?,
        key.created_at,
        key.updated_at,
        key.revoked_at,
    ];
    tx.execute(INSERT, values)?;
    Ok(())
}

fn read(row: &dyn Row) -> Result<ApiKey, Error> {
    let previous = match row.optional_text(5)? {
        Some(hash) => Some(PreviousHash {
            hash: hash.to_owned(),
            until: row.time(6)?,
        }),
        None => None,
    };
    Ok(ApiKey {
        id: row.id(0)?,
        workspace: row.id(1)?,
        name: row.text(2)?.to_owned(),
        hash: row.text(3)?.to_owned(),
        hint: row.text(4)?.to_owned(),
        previous,
        settings: row.json(7)?,
        created_at: row.time(8)?,
        updated_at: row.time(9)?,
        revoked_at: row.optional_integer(10)?.map(Timestamp),
    })
}
