//! A scene of embeddings: files were indexed by a server without any, and the next one makes vectors of
//! them.

use serde_json::{Value, json};

use super::{
    documents::{document, long_text, small_chunks},
    pen::Pen,
    place::Place,
    records::of,
    scene::ADMIN,
};
use crate::{
    history::text,
    model::{LINGERING, UNEMBEDDABLE},
};

/// The variable that names what makes vectors.
pub(super) const EMBEDDINGS: &str = "LOOMGATE_FILE_SEARCH__EMBEDDINGS";

/// What is crossed meanwhile, also where no request waits for it.
pub(super) const BOUNDARIES: [&str; 5] = [
    "vector_stores::renewal::begin_renewal",
    "vector_stores::renewal::claim_outdated",
    "vector_stores::renewal::complete_renewal",
    "vector_stores::renewal::leave_renewal",
    "vector_stores::renewal::write_vectors",
];

/// Leaves a store whose files have no vectors: a short one whose vectors take longer than a third of a
/// lease, so that it is renewed; one of several pages of chunks; and one that is refused.
pub(super) async fn leave_without_vectors(place: &Place) -> anyhow::Result<()> {
    let mut pen = Pen::new(place.api(ADMIN));
    let store = pen.create("/vector_stores", json!({})).await?;
    let files = format!("{}/files", of("/vector_stores", &store));
    let long = long_text(9_000);
    for content in [LINGERING, &long, UNEMBEDDABLE] {
        let file = document(&mut pen, "a.txt", content).await?;
        let body = json!({
            "file_id": file, "chunking_strategy": small_chunks(),
            "attributes": {"refused": content == UNEMBEDDABLE},
        });
        pen.create(&files, body).await?;
        pen.becomes(&format!("{files}/{file}"), "completed").await?;
    }
    Ok(())
}

/// They get vectors, which count among what a file uses; nobody has to ask.
pub(super) async fn renewed(pen: &mut Pen) -> anyhow::Result<()> {
    let stores = pen.api.read("/vector_stores").await?;
    let files = format!("{}/files", of("/vector_stores", &stores["data"][0]));
    let list = pen.api.read(&files).await?;
    for file in list["data"].as_array().into_iter().flatten() {
        let path = of(&files, file);
        if file["attributes"]["refused"] == false {
            let bytes = pen
                .api
                .read(&format!("/files/{}", text(&file["id"])))
                .await?;
            while used(&pen.api.read(&path).await?) <= bytes["bytes"].as_u64() {
                pen.api.pause().await;
            }
        }
        pen.ledger.has(path, json!({"status": "completed"}));
    }
    pen.ledger.counts(&files, 3);
    Ok(())
}

fn used(file: &Value) -> Option<u64> {
    file["usage_bytes"].as_u64()
}
