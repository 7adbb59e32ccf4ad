//! Image files in the messages of a run: providers get their bytes, as data addresses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use loomgate_domain::{FileId, WorkspaceId};
use loomgate_wire::chat::{ChatMessage, ChatRequest, FileImage, ImageRef, UserContent, UserPart};

use crate::{app::Services, error::ApiError};

/// How many of the largest images one turn shows, by their bytes together; the newest go first.
const LARGEST_AT_ONCE: u64 = 2;

/// The request with the bytes of its image files; `None`: it has none. What can not be shown is told to
/// the model in words: a file may be deleted while messages name it.
pub(crate) async fn shown(
    services: &Services,
    workspace: &WorkspaceId,
    request: &ChatRequest,
) -> Result<Option<ChatRequest>, ApiError> {
    let is_file = |part: &UserPart| matches!(part, UserPart::ImageFile { .. });
    let has_files = |message: &ChatMessage| match message {
        ChatMessage::User {
            content: UserContent::Parts(parts),
        } => parts.iter().any(is_file),
        _ => false,
    };
    if !request.messages.iter().any(has_files) {
        return Ok(None);
    }
    let mut request = request.clone();
    let mut room = services
        .config
        .limits
        .image_bytes
        .saturating_mul(LARGEST_AT_ONCE);
    for message in request.messages.iter_mut().rev() {
        let ChatMessage::User {
            content: UserContent::Parts(parts),
        } = message
        else {
            continue;
        };
        for part in parts {
            if let UserPart::ImageFile { image_file } = part {
                *part = one(services, workspace, image_file, &mut room).await?;
            }
        }
    }
    Ok(Some(request))
}

async fn one(
    services: &Services,
    workspace: &WorkspaceId,
    image: &FileImage,
    room: &mut u64,
) -> Result<UserPart, ApiError> {
    let words = |what: &str| UserPart::Text {
        text: format!("[The image {} {what}.]", image.file_id),
    };
    let id = FileId::trusted(image.file_id.as_str());
    let files = services.store.files();
    let now = services.clock.now();
    let Some((file, blobs)) = files.with_blobs(workspace, &id, now).await? else {
        return Ok(words("is not there any more"));
    };
    let Some(left) = room.checked_sub(file.bytes) else {
        return Ok(words("is left out: there are too many"));
    };
    let bytes = services.content.collect(workspace, blobs).await?;
    let Some(kind) = kind(&bytes) else {
        return Ok(words("is not in a format that can be shown"));
    };
    *room = left;
    let data = STANDARD.encode(bytes);
    Ok(UserPart::ImageUrl {
        image_url: ImageRef {
            url: format!("data:{kind};base64,{data}"),
            detail: image.detail,
        },
    })
}

/// What an image is, by how it begins.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_beginning() {
        assert_eq!(kind(b"\x89PNG\r\n\x1a\n.."), Some("image/png"));
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(kind(b"GIF89a"), Some("image/gif"));
        assert_eq!(kind(b"RIFF1234WEBPVP8 "), Some("image/webp"));
        assert_eq!(kind(b"RIFF1234WAVE"), None);
        assert_eq!(kind(b""), None);
    }
}
