//! `/v1/files` (contract sections 11.1 and 2.4).

use std::ops::Range;

use axum::{
    body::Body,
    extract::{RawQuery, Request, State},
    response::Response,
};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use loomgate_domain::{
    File, FileId, Timestamp,
    file::{Blob, FileStatus},
    id::new_id,
};
use loomgate_wire::{
    object,
    request::{CreateFile, FileForm, file_list_query},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    App,
    auth::Caller,
    content::Incoming,
    error::ApiError,
    http::{
        access::{Access, Routes},
        form::Form,
        idempotency::{FormIdempotency, Settled},
        list,
        path::FilePath,
        reply,
    },
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .get("/v1/files", DataPlane, index)
        .post("/v1/files", DataPlane, create)
        .get("/v1/files/{file_id}", DataPlane, show)
        .delete("/v1/files/{file_id}", DataPlane, delete)
        .get("/v1/files/{file_id}/content", DataPlane, content)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    once: FormIdempotency,
    request: Request,
) -> Result<Response, ApiError> {
    let form = Form::open(request, &app, app.config.limits.file_bytes)?;
    let Received {
        asked,
        filename,
        blob,
    } = receive(&app, &caller, form).await?;
    let fingerprint = || fingerprint(&asked, &filename, &blob);
    let settled = once.settle(&app, &caller.workspace, fingerprint).await;
    let once = match settled {
        Ok(Settled::Once(once)) => once,
        other => {
            app.content.abandon(&caller.workspace, &blob.id).await;
            return match other? {
                Settled::Before(response) => Ok(response),
                Settled::Once(_) => Err(ApiError::internal_logged()),
            };
        }
    };
    let now = app.clock.now();
    let lifetime = asked.expires_after_s.or(asked.purpose.lifetime_s());
    let file = File {
        id: new_id(&*app.ids),
        created_at: now,
        filename,
        purpose: asked.purpose,
        bytes: blob.bytes,
        expires_at: lifetime.map(|seconds| Timestamp(now.0 + i64::from(seconds))),
        status: FileStatus::Processed,
    };
    let (reply, receipt) = once.clone().reply(&object::File::from(&file))?;
    let unused = blob.id.clone();
    let files = app.store.files();
    match files
        .create(&caller.workspace, file, blob, (receipt, now))
        .await
    {
        Ok(()) => Ok(reply),
        Err(error) => {
            app.content.abandon(&caller.workspace, &unused).await;
            once.or_replay(&app, &caller.workspace, error).await
        }
    }
}

/// What a form brought.
struct Received {
    asked: CreateFile,
    filename: String,
    blob: Blob,
}

/// Reads a whole form. Where it is refused, the bytes that came are nobody's.
async fn receive(app: &App, caller: &Caller, form: Form) -> Result<Received, ApiError> {
    let mut incoming = None;
    match parts(app, caller, form, &mut incoming).await {
        Ok((asked, filename)) => match incoming {
            Some(incoming) => Ok(Received {
                asked,
                filename,
                blob: incoming.finish().await?,
            }),
            None => Err(ApiError::missing_field("file")),
        },
        Err(error) => {
            if let Some(incoming) = incoming {
                incoming.abandon().await;
            }
            Err(error)
        }
    }
}

/// The parts of a form, in whatever order they come.
async fn parts(
    app: &App,
    caller: &Caller,
    mut form: Form,
    incoming: &mut Option<Incoming>,
) -> Result<(CreateFile, String), ApiError> {
    let mut fields = FileForm::default();
    let mut filename = String::new();
    while let Some(mut field) = form.next().await? {
        if field.name() != "file" {
            let name = field.name().to_owned();
            if !FileForm::FIELDS.contains(&&*name) {
                return Err(ApiError::unexpected_field(&name));
            }
            fields.put(&name, field.text().await?)?;
            continue;
        }
        fields.file()?;
        filename = field.file_name().ok_or_else(ApiError::nameless_file)?;
        let writing = incoming.insert(app.content.begin(&caller.workspace).await?);
        let most = app.config.limits.file_bytes;
        while let Some(piece) = field.chunk().await? {
            if writing.bytes() + piece.len() as u64 > most {
                return Err(ApiError::body_too_large(most));
            }
            writing.push(piece).await?;
        }
    }
    Ok((fields.end()?, filename))
}

/// A digest of what is asked for: forms that say the same have their boundaries of their own.
fn fingerprint(asked: &CreateFile, filename: &str, blob: &Blob) -> String {
    let said = format!(
        "/v1/files\n{}\n{:?}\n{}\n{filename}",
        asked.purpose.as_str(),
        asked.expires_after_s,
        blob.hash
    );
    blake3::hash(said.as_bytes()).to_hex().to_string()
}

async fn index(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = file_list_query(query.as_deref())?;
    let page = list::page(&query);
    let files = app.store.files();
    let now = app.clock.now();
    let page = files
        .list(&caller.workspace, query.purpose, page, now)
        .await
        .map_err(list::cursor::<FileId>)?;
    list::reply(page.items.iter().map(object::File::from), page.has_more)
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    path: FilePath,
) -> Result<Response, ApiError> {
    let files = app.store.files();
    let now = app.clock.now();
    let found = files.get(&caller.workspace, &path.file, now).await?;
    let file = found.ok_or_else(|| ApiError::no_such_file(&path.file))?;
    reply::json(&object::File::from(&file))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    path: FilePath,
) -> Result<Response, ApiError> {
    let files = app.store.files();
    let now = app.clock.now();
    if !files.delete(&caller.workspace, &path.file, now).await? {
        return Err(ApiError::no_such_file(&path.file));
    }
    reply::json(&object::Deleted::file(&path.file))
}

async fn content(
    State(app): State<App>,
    caller: Caller,
    path: FilePath,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let files = app.store.files();
    let now = app.clock.now();
    let found = files.with_blobs(&caller.workspace, &path.file, now).await?;
    let (file, blobs) = found.ok_or_else(|| ApiError::no_such_file(&path.file))?;
    if !file.purpose.is_downloadable() && !app.config.files.download_all {
        return Err(ApiError::not_downloadable(file.purpose));
    }
    let range = range(&headers, file.bytes);
    let mut pieces = Box::pin(app.content.read(&caller.workspace, blobs, range.as_ref()));
    // What can be told at once is told with its status.
    let first = pieces.next().await.transpose()?;
    let body = stream::iter(first.map(Ok)).chain(pieces);
    let mut response = Response::new(Body::from_stream(body));
    let length = range
        .as_ref()
        .map_or(file.bytes, |range| range.end - range.start);
    let headers = response.headers_mut();
    let octets = HeaderValue::from_static("application/octet-stream");
    headers.insert(header::CONTENT_TYPE, octets);
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // Whatever it is: no browser is to show it under our address.
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    if let Ok(disposition) = HeaderValue::try_from(disposition(&file.filename)) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    if let Some(Range { start, end }) = range {
        let place = format!("bytes {start}-{}/{}", end - 1, file.bytes);
        if let Ok(place) = HeaderValue::try_from(place) {
            headers.insert(header::CONTENT_RANGE, place);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// What is not quoted in a name (RFC 8187).
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

fn disposition(filename: &str) -> String {
    let name = utf8_percent_encode(filename, PLAIN);
    format!("attachment; filename*=UTF-8''{name}")
}

/// The one range that is asked for. Anything else than one that fits is not looked at: then all of it
/// is the answer (RFC 9110, section 14.2).
fn range(headers: &HeaderMap, bytes: u64) -> Option<Range<u64>> {
    let text = headers.get(header::RANGE)?.to_str().ok()?;
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = match (first.trim(), last.trim()) {
        ("", last) => bytes.saturating_sub(number(last)?)..bytes,
        (first, "") => number(first)?..bytes,
        (first, last) => number(first)?..number(last)?.checked_add(1)?.min(bytes),
    };
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_that_fits_is_taken() {
        let of = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            range(&HeaderMap::from_iter([(header::RANGE, value)]), 10)
        };
        assert_eq!(of("bytes=0-0"), Some(0..1));
        assert_eq!(of("bytes=2-"), Some(2..10));
        assert_eq!(of("bytes=-3"), Some(7..10));
        assert_eq!(of("bytes=4-99"), Some(4..10));
        for none in [
            "bytes=10-",
            "bytes=3-2",
            "bytes=0-1,3-4",
            "items=0-1",
            "bytes=-0",
            "bytes=a-",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(range(&HeaderMap::new(), 10), None);
    }
}
