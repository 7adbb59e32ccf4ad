//! Calls of the measurement: uploads, stores, searches, pages.

use std::{sync::Arc, time::Duration};

use anyhow::{bail, ensure};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::{
    api::{Api, id},
    http::encode_bytes,
    server::Server,
};

/// Uploads at the same time.
const UPLOADERS: usize = 8;
/// The most files that a batch takes, well within its limit.
const BATCH: usize = 500;
const FORM: &str = "multipart/form-data; boundary=loomgate-bench";

pub(crate) struct Client(Api);

impl Client {
    pub(crate) async fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self(Api::of(server).await?))
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        self.0.get(path).await
    }

    /// Uploads a text under a name; its id.
    pub(crate) async fn upload(&mut self, name: &str, text: &str) -> anyhow::Result<String> {
        let body = format!(
            "--loomgate-bench\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n\
             --loomgate-bench\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n\
             {text}\r\n--loomgate-bench--\r\n"
        );
        let request = encode_bytes("POST", "/v1/files", &self.0.key, (FORM, body.as_bytes()));
        let made: Value = serde_json::from_slice(self.0.connection.send(&request).await?)?;
        id(&made)
    }

    /// Makes an empty store; its path.
    pub(crate) async fn store(&mut self) -> anyhow::Result<String> {
        let made = self.0.post("/v1/vector_stores", &json!({})).await?;
        Ok(format!("/v1/vector_stores/{}", id(&made)?))
    }

    /// Has files indexed, and waits until all are.
    pub(crate) async fn index(
        &mut self,
        store: &str,
        files: &[String],
        chunking: &Value,
    ) -> anyhow::Result<()> {
        for files in files.chunks(BATCH) {
            let body = json!({"file_ids": files, "chunking_strategy": chunking});
            self.0.post(&format!("{store}/file_batches"), &body).await?;
        }
        loop {
            let counts = self.get(store).await?["file_counts"].take();
            if counts["in_progress"] == 0 {
                ensure!(
                    counts["completed"] == files.len(),
                    "not all were indexed: {counts}"
                );
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Results, so many at the most.
    pub(crate) async fn search(
        &mut self,
        store: &str,
        question: &str,
        wanted: usize,
    ) -> anyhow::Result<Vec<Value>> {
        let body = json!({"query": question, "max_num_results": wanted});
        let mut page = self.0.post(&format!("{store}/search"), &body).await?;
        match page["data"].take() {
            Value::Array(results) => Ok(results),
            other => bail!("{question}: no results, but {other}"),
        }
    }
}

/// Uploads texts, several at a time; their ids.
pub(crate) async fn upload_all(
    server: &Server,
    texts: &Arc<[String]>,
) -> anyhow::Result<Vec<String>> {
    let mut uploads = JoinSet::new();
    for uploader in 0..UPLOADERS {
        let mut client = Client::of(server).await?;
        let texts = Arc::clone(texts);
        uploads.spawn(async move {
            let mut files = Vec::new();
            for text in texts.iter().skip(uploader).step_by(UPLOADERS) {
                files.push(client.upload("a.txt", text).await?);
            }
            anyhow::Ok(files)
        });
    }
    let mut all = Vec::with_capacity(texts.len());
    while let Some(files) = uploads.join_next().await {
        all.extend(files??);
    }
    Ok(all)
}
