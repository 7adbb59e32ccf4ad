//! The texts of files, for indexing: bytes from where they are kept, through a reader of document
//! formats in a child process of this same program.

use std::{io, pin::pin};

use futures::{FutureExt as _, TryStreamExt as _, future::BoxFuture};
use loomgate_domain::{FileId, WorkspaceId, vector_store::IndexingErrorCode};
use loomgate_engine::{Documents, Unreadable};
use loomgate_extract::{Code, Extractor, Format, Refusal};
use tokio_util::io::StreamReader;

use crate::content::Content;

/// The hidden subcommand that makes this program the reader of one file.
pub const READER: &str = "read-document";

/// Reads the files of this server.
pub(crate) struct FileTexts {
    pub(crate) content: Content,
    pub(crate) extractor: Extractor,
}

impl Documents for FileTexts {
    fn text<'a>(
        &'a self,
        workspace: &'a WorkspaceId,
        file: &'a FileId,
    ) -> BoxFuture<'a, Result<String, Unreadable>> {
        self.read(workspace, file).boxed()
    }
}

impl FileTexts {
    async fn read(&self, workspace: &WorkspaceId, file: &FileId) -> Result<String, Unreadable> {
        let files = self.content.store.files();
        let now = self.content.clock.now();
        let found = files
            .with_blobs(workspace, file, now)
            .await
            .map_err(|error| unavailable(&error))?;
        let (record, blobs) = found.ok_or_else(|| {
            let message = "The file was deleted, or has expired, before it was indexed.";
            unreadable(IndexingErrorCode::InvalidFile, message.to_owned())
        })?;
        let format = Format::of_name(&record.filename)
            .map_err(|error| unreadable(IndexingErrorCode::UnsupportedFile, error.to_string()))?;
        let bytes = self.content.read(workspace, blobs, None);
        let bytes = pin!(StreamReader::new(bytes.map_err(io::Error::other)));
        let text = self.extractor.extract(format, bytes, record.bytes).await;
        Ok(text.map_err(refused)?.text)
    }
}

/// The store could not say: the same file may be read a little later.
fn unavailable(error: &loomgate_store::Error) -> Unreadable {
    tracing::error!(%error, "a file could not be looked up to be indexed");
    let message = "The file could not be looked up.";
    unreadable(IndexingErrorCode::ServerError, message.to_owned())
}

fn refused(Refusal { code, message }: Refusal) -> Unreadable {
    let code = match code {
        Code::ServerError => IndexingErrorCode::ServerError,
        Code::UnsupportedFile => IndexingErrorCode::UnsupportedFile,
        Code::InvalidFile => IndexingErrorCode::InvalidFile,
    };
    unreadable(code, message)
}

fn unreadable(code: IndexingErrorCode, message: String) -> Unreadable {
    Unreadable { code, message }
}
