//! Assistants.

use loomgate_domain::{Assistant, AssistantId, FileId, Page, PageRequest, Receipt, WorkspaceId};

use crate::{
    Error, NewVectorStore, files,
    page::{List, page},
    pool::Pool,
    receipts,
    tx::{Tx, statements, to_json, values},
    vector_stores,
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
    /// Keeps a new assistant. Errors: [`Error::Duplicate`], [`Error::NoSuchFiles`].
    pub async fn insert(&self, ws: &WorkspaceId, assistant: Assistant) -> Result<(), Error> {
        self.create(ws, assistant, None, None).await
    }

    /// The same, perhaps with a vector store that is made for it, and under an idempotency key.
    ///
    /// More errors: [`Error::StoreFull`], [`Error::Repeated`]; then nothing was written.
    pub async fn create(
        &self,
        ws: &WorkspaceId,
        assistant: Assistant,
        store: Option<NewVectorStore>,
        receipt: Option<Receipt>,
    ) -> Result<(), Error> {
        let ws = ws.clone();
        let has_files = !assistant.tool_resources.file_ids().is_empty();
        let is_alone = receipt.is_none() && store.is_none() && !has_files;
        let insert = move |tx: &mut dyn Tx| {
            receipts::keep(tx, &ws, receipt.as_ref())?;
            let record = to_json(&assistant)?;
            tx.execute(INSERT, values![&ws, &assistant.id, record])?;
            let files = assistant.tool_resources.file_ids();
            files::set_used(tx, &ws, assistant.id.as_str(), &[], files)?;
            match &store {
                Some(store) => vector_stores::make(tx, &ws, store),
                None => Ok(()),
            }
        };
        if is_alone {
            self.0.write_one(insert).await
        } else {
            self.0.write(insert).await
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

    /// Changes an assistant and returns what it became. Its id and creation time stay. Error:
    /// [`Error::NoSuchFiles`].
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
                let files = before.tool_resources.file_ids().to_vec();
                let after = Assistant {
                    id: id.clone(),
                    created_at,
                    ..change(before)
                };
                tx.execute(UPDATE, values![to_json(&after)?, &ws, &id])?;
                let used = after.tool_resources.file_ids();
                files::set_used(tx, &ws, id.as_str(), &files, used)?;
                Ok(Some(after))
            })
            .await
    }

    /// Removes an assistant. Its runs stay. False: there was none.
    pub async fn delete(&self, ws: &WorkspaceId, id: &AssistantId) -> Result<bool, Error> {
        let (ws, id) = (ws.clone(), id.clone());
        self.0
            .write(move |tx| {
                if tx.execute(DELETE, values![&ws, &id])? == 0 {
                    return Ok(false);
                }
                files::unused(tx, &ws, id.as_str())?;
                Ok(true)
            })
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

/// Takes a file out of an assistant's resources, where this is an assistant.
pub(crate) fn forget_file(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    id: &str,
    file: &FileId,
) -> Result<(), Error> {
    let Some(assistant) = tx.lock(GET, values![ws, id], |row| row.json(0))? else {
        return Ok(());
    };
    let mut assistant: Assistant = assistant;
    if assistant.tool_resources.forget_file(file.as_str()) {
        tx.execute(UPDATE, values![to_json(&assistant)?, ws, id])?;
    }
    Ok(())
}
