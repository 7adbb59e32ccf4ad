//! Assistants.

use loomgate_domain::{Assistant, AssistantId, Page, PageRequest, Receipt, WorkspaceId};

use crate::{
    Error,
    page::{List, page},
    pool::Pool,
    receipts,
    tx::{Tx, statements, to_json, values},
};

statements! {
    INSERT = "INSERT INTO assistants (workspace_id, id, record) VALUES ($1, $2, $3)";
    GET = "SELECT record FROM assistants WHERE workspace_id = $1 AND id = $2";
    UPDATE = "UPDATE assistants SET record = $1 WHERE workspace_id = $2 AND id = $3";
    DELETE = "DELETE FROM assistants WHERE workspace_id = $1 AND id = $2";
    CURSOR = "SELECT seq FROM assistants WHERE workspace_id = $1 AND id = $2";
    LIST_ASC = "SELECT record FROM assistants \
        WHERE workspace_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq LIMIT $4";
    LIST_DESC = "SELECT record FROM assistants \
        WHERE workspace_id = $1 AND seq > $2 AND seq < $3 ORDER BY seq DESC LIMIT $4";
}

const LIST: List = List {
    cursor: CURSOR,
    ascending: LIST_ASC,
    descending: LIST_DESC,
};

/// The assistants of a [`crate::Store`].
#[derive(Debug)]
pub struct Assistants<'s>(pub(crate) &'s Pool);

impl Assistants<'_> {
    /// Keeps a new assistant. Error: [`Error::Duplicate`].
    pub async fn insert(&self, ws: &WorkspaceId, assistant: Assistant) -> Result<(), Error> {
        self.create(ws, assistant, None).await
    }

    /// The same under an idempotency key. Error: [`Error::Repeated`].
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        assistant: Assistant,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        let is_keyed = receipt.is_some();
        let insert = move |tx: &mut dyn Tx| {
            receipts::keep(tx, &ws, receipt.as_ref())?;
            let record = to_json(&assistant)?;
            tx.execute(INSERT, values![&ws, &assistant.id, record])?;
            Ok(())
        };
        if is_keyed {
            self.0.write(insert).await
        } else {
            self.0.write_one(insert).await
        }
    }

    /// An assistant.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        id: &AssistantId,
    ) -> Result<Option<Assistant>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .read_one(move |tx| tx.row(GET, values![&ws, &id], |row| row.json(0)))
            .await
    }

    /// Changes an assistant and returns what it became. Its id and creation time stay.
    pub async fn update(
        &self,
        ws: &WorkspaceId,
        id: &AssistantId,
        change: impl Fn(Assistant) -> Assistant + Send + 'static,
    ) -> Result<Option<Assistant>, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                let Some(before) = tx.lock(GET, values![&ws, &id], |row| row.json(0))? else {
                    return Ok(None);
                };
                let before: Assistant = before;
                let created_at = before.created_at;
                let after = Assistant {
                    id: id.clone(),
                    created_at,
                    ..change(before)
                };
                tx.execute(UPDATE, values![to_json(&after)?, &ws, &id])?;
                Ok(Some(after))
            })
            .await
    }

    /// Removes an assistant. Its runs stay. False: there was none.
    pub async fn delete(&self, ws: &WorkspaceId, id: &AssistantId) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write_one(move |tx| Ok(tx.execute(DELETE, values![&ws, &id])? > 0))
            .await
    }

    /// A page of a workspace's assistants. Error: [`Error::NoSuchCursor`].
    pub async fn list(
        &self,
        ws: &WorkspaceId,
        request: PageRequest<AssistantId>,
    ) -> Result<Page<Assistant>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let scope = values![&ws];
                page(tx, &LIST, scope, scope, &request, |row| row.json(0))
            })
            .await
    }
}
