//! API keys. Only keyed hashes of the secrets are kept.

use loomgate_domain::{ApiKeyId, Timestamp, key::ApiKey};

use crate::{
    Error, Store,
    tx::{Row, Tx, statements, values},
};

macro_rules! columns {
    () => {
        "id, workspace_id, name, hash, hint, default_virtual_key, created_at, revoked_at"
    };
}

macro_rules! insert {
    () => {
        concat!(
            "INSERT INTO api_keys (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        )
    };
}

statements! {
    INSERT = insert!();
    // The id, the time and above all a revocation stay.
    PUT = concat!(insert!(), " ON CONFLICT (hash) DO UPDATE SET \
        workspace_id = excluded.workspace_id, name = excluded.name, hint = excluded.hint, \
        default_virtual_key = excluded.default_virtual_key RETURNING ", columns!());
    BY_HASH = concat!("SELECT ", columns!(), " FROM api_keys WHERE hash = $1");
    LIST = concat!("SELECT ", columns!(), " FROM api_keys ORDER BY seq");
    REVOKE = "UPDATE api_keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
}

/// The API keys of a [`Store`]: those of all workspaces, since the key is what names one.
#[derive(Debug)]
pub struct Keys<'s>(pub(crate) &'s Store);

impl Keys<'_> {
    /// Keeps a new key. Its workspace has to exist. Error: [`Error::Duplicate`].
    pub async fn insert(&self, key: ApiKey) -> Result<(), Error> {
        self.0
            .write(move |tx| write(tx, INSERT, &key).map(|_| ()))
            .await
    }

    /// Keeps a key, or changes the one of the same hash: for keys that stand in the config file.
    /// Returns the key as it is now. A revoked key stays revoked.
    pub async fn put(&self, key: ApiKey) -> Result<ApiKey, Error> {
        self.0
            .write(move |tx| {
                write(tx, PUT, &key)?.ok_or_else(|| Error::corrupt("api_keys returned no row"))
            })
            .await
    }

    /// The key of this hash, revoked or not.
    pub async fn by_hash(&self, hash: &str) -> Result<Option<ApiKey>, Error> {
        let hash = hash.to_owned();
        self.0
            .read(move |tx| tx.row(BY_HASH, values![&hash], read))
            .await
    }

    /// All keys, oldest first, revoked ones too.
    pub async fn list(&self) -> Result<Vec<ApiKey>, Error> {
        self.0.read(|tx| tx.rows(LIST, &[], read)).await
    }

    /// Revokes a key. False: there is none, or it was revoked before.
    pub async fn revoke(&self, id: &ApiKeyId, at: Timestamp) -> Result<bool, Error> {
        let id = id.clone();
        self.0
            .write(move |tx| Ok(tx.execute(REVOKE, values![at, &id])? > 0))
            .await
    }
}

fn write(tx: &mut dyn Tx, sql: &'static str, key: &ApiKey) -> Result<Option<ApiKey>, Error> {
    let values = values![
        &key.id,
        &key.workspace,
        &key.name,
        &key.hash,
        &key.hint,
        key.default_virtual_key.as_ref(),
        key.created_at,
        key.revoked_at,
    ];
    tx.row(sql, values, read)
}

fn read(row: &dyn Row) -> Result<ApiKey, Error> {
    Ok(ApiKey {
        id: row.id(0)?,
        workspace: row.id(1)?,
        name: row.text(2)?.to_owned(),
        hash: row.text(3)?.to_owned(),
        hint: row.text(4)?.to_owned(),
        default_virtual_key: row.optional_text(5)?.map(str::to_owned),
        created_at: row.time(6)?,
        revoked_at: row.optional_integer(7)?.map(Timestamp),
    })
}
