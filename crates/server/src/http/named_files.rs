//! Files that a request names: in messages, and in the resources of tools.

use loomgate_domain::{
    FileId,
    message::{Attachment, AttachmentTool, Content},
    tool::ToolResources,
};
use loomgate_wire::request::NewMessage;

use crate::{app::App, auth::Caller, error::ApiError};

/// Endings of names of images (contract section 7.2).
const IMAGES: [&str; 5] = [".jpeg", ".jpg", ".png", ".gif", ".webp"];

/// Errors, all 400: a file is not there, an image is none or too large, or a file is attached for what
/// is not built yet.
pub(super) async fn expect(
    app: &App,
    caller: &Caller,
    messages: &[NewMessage],
    resources: &[&ToolResources],
) -> Result<(), ApiError> {
    let attachments = || messages.iter().flat_map(|message| &message.attachments);
    let images: Vec<&str> = messages.iter().flat_map(images).collect();
    let attached = attachments().filter_map(|attachment| attachment.file_id.as_deref());
    let resources = resources.iter().flat_map(|resources| resources.file_ids());
    let named: Vec<&str> = images
        .iter()
        .copied()
        .chain(attached)
        .chain(resources.map(String::as_str))
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let ids = named.iter().map(|id| FileId::trusted(*id)).collect();
    let files = app.store.files();
    let found = files.find(&caller.workspace, ids, app.clock.now()).await?;
    let is_missing = |id: &&str| found.iter().all(|file| file.id.as_str() != *id);
    let missing: Vec<&str> = named.iter().copied().filter(is_missing).collect();
    if !missing.is_empty() {
        return Err(ApiError::no_such_files(&missing));
    }
    for file in found
        .iter()
        .filter(|file| images.contains(&file.id.as_str()))
    {
        let extension = file.extension();
        if !IMAGES.contains(&&*extension) {
            return Err(ApiError::not_an_image(&extension));
        }
        let most = app.config.limits.image_bytes;
        if file.bytes > most {
            return Err(ApiError::image_too_large(&file.id, most));
        }
    }
    if attachments().any(wants_search) {
        return Err(ApiError::search_not_built());
    }
    Ok(())
}

fn images(message: &NewMessage) -> impl Iterator<Item = &str> {
    message.content.iter().filter_map(|part| match part {
        Content::ImageFile { image_file } => Some(image_file.file_id.as_str()),
        Content::Text { .. } | Content::Refusal { .. } | Content::ImageUrl { .. } => None,
    })
}

fn wants_search(attachment: &Attachment) -> bool {
    attachment.tools.contains(&AttachmentTool::FileSearch)
}
