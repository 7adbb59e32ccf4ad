//! What a request names: files in messages, in the resources of tools and for vector stores, and the
//! vector stores themselves.

use std::collections::{BTreeMap, BTreeSet};

use loomgate_domain::{
    File, FileId, VectorStoreId,
    message::{AttachmentTool, Content, attached},
    tool::ToolResources,
};
use loomgate_extract::Format;
use loomgate_wire::request::{CreateVectorStore, NewMessage};

use crate::{app::App, auth::Caller, error::ApiError};

/// Endings of names of images (contract section 7.2).
const IMAGES: [&str; 5] = [".jpeg", ".jpg", ".png", ".gif", ".webp"];

/// Where a request may name something.
#[derive(Default)]
pub(super) struct Named<'r> {
    /// Messages, with images and attachments.
    pub(super) messages: &'r [NewMessage],
    /// Resources of tools.
    pub(super) resources: &'r [&'r ToolResources],
    /// Files for a vector store.
    pub(super) searched: Vec<&'r FileId>,
}

impl<'r> Named<'r> {
    /// What messages name.
    pub(super) fn in_messages(messages: &'r [NewMessage]) -> Self {
        Self {
            messages,
            ..Self::default()
        }
    }

    /// Files that a vector store is to have.
    pub(super) fn for_store(files: impl IntoIterator<Item = &'r FileId>) -> Self {
        Self {
            searched: files.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same, and what resources of tools name.
    pub(super) fn and_resources(mut self, resources: &'r [&'r ToolResources]) -> Self {
        self.resources = resources;
        self
    }

    /// The same, and files that a vector store is to have which is made along the way.
    pub(super) fn and_store(mut self, store: Option<&'r CreateVectorStore>) -> Self {
        let files = store.into_iter().flat_map(|store| &store.file_ids);
        self.searched.extend(files);
        self
    }

    /// Errors: a file is not there, can not be searched, is no image or too large a one (400); a vector
    /// store is not there (404).
    pub(super) async fn expect(&self, app: &App, caller: &Caller) -> Result<(), ApiError> {
        let images: BTreeSet<&str> = self.messages.iter().flat_map(images).collect();
        let searched = self.searched();
        let named = self.files(&images, &searched);
        if !named.is_empty() {
            let found = find(app, caller, &named).await?;
            let is_missing = |id: &&str| !found.contains_key(*id);
            let missing: Vec<&str> = named.iter().copied().filter(is_missing).collect();
            if !missing.is_empty() {
                return Err(ApiError::no_such_files(&missing));
            }
            for file in images.iter().filter_map(|id| found.get(*id)) {
                expect_image(app, file)?;
            }
            expect_searchable(searched.iter().filter_map(|id| found.get(*id)))?;
        }
        self.expect_stores(app, caller).await
    }

    /// Files that are to be searched.
    fn searched(&self) -> BTreeSet<&str> {
        let attachments = self.messages.iter().map(|message| &message.attachments);
        let attached = attachments.flat_map(|them| attached(them, AttachmentTool::FileSearch));
        let searched = self.searched.iter().map(|id| id.as_str());
        searched.chain(attached).collect()
    }

    /// All files, each once, in the order in which they are looked at.
    fn files<'n>(
        &'n self,
        images: &BTreeSet<&'n str>,
        searched: &BTreeSet<&'n str>,
    ) -> Vec<&'n str> {
        let attachments = self.messages.iter().flat_map(|it| &it.attachments);
        let attached = attachments.filter_map(|attachment| attachment.file_id.as_deref());
        let resources = self.resources.iter().flat_map(|them| them.file_ids());
        let mut seen = BTreeSet::new();
        let named = images
            .iter()
            .copied()
            .chain(attached)
            .chain(resources.map(String::as_str))
            .chain(searched.iter().copied());
        named.filter(|id| seen.insert(*id)).collect()
    }

    async fn expect_stores(&self, app: &App, caller: &Caller) -> Result<(), ApiError> {
        let named = self.resources.iter().flat_map(|it| it.vector_store_ids());
        for id in named {
            let id = VectorStoreId::trusted(id.as_str());
            let stores = app.store.vector_stores();
            if stores.get(&caller.workspace, &id).await?.is_none() {
                return Err(ApiError::not_found(&id));
            }
        }
        Ok(())
    }
}

async fn find(
    app: &App,
    caller: &Caller,
    named: &[&str],
) -> Result<BTreeMap<String, File>, ApiError> {
    let ids = named.iter().map(|id| FileId::trusted(*id)).collect();
    let files = app.store.files();
    let found = files.find(&caller.workspace, ids, app.clock.now()).await?;
    let by_id = |file: File| (file.id.to_string(), file);
    Ok(found.into_iter().map(by_id).collect())
}

fn expect_image(app: &App, file: &File) -> Result<(), ApiError> {
    let extension = file.extension();
    if !IMAGES.contains(&&*extension) {
        return Err(ApiError::not_an_image(&extension));
    }
    let most = app.config.limits.image_bytes;
    if file.bytes > most {
        return Err(ApiError::image_too_large(&file.id, most));
    }
    Ok(())
}

fn expect_searchable<'f>(files: impl Iterator<Item = &'f File>) -> Result<(), ApiError> {
    let refused = files.filter_map(|file| Format::of_name(&file.filename).err());
    let refused: BTreeSet<String> = refused.map(|it| it.0).collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(ApiError::not_searchable(&refused))
}

fn images(message: &NewMessage) -> impl Iterator<Item = &str> {
    message.content.iter().filter_map(|part| match part {
        Content::ImageFile { image_file } => Some(image_file.file_id.as_str()),
        Content::Text { .. } | Content::Refusal { .. } | Content::ImageUrl { .. } => None,
    })
}
