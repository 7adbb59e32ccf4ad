//! `/v1/uploads` (contract section 11.3).

use axum::{
    extract::{Request, State},
    response::Response,
};
use futures::TryStreamExt as _;
use loomgate_domain::{
    Receipt, Timestamp, Upload, UploadPart,
    file::Blob,
    id::{new_id, push_hex},
    receipt::Answer,
    upload::{UPLOAD_LIFETIME_S, UploadStatus},
};
use loomgate_store::{Completed, Completion};
use loomgate_wire::{
    object,
    request::{CompleteUpload, CreateUpload},
};
use md5::{Digest as _, Md5};

use crate::{
    App,
    auth::Caller,
    body::ApiJson,
    content::Incoming,
    error::ApiError,
    http::{
        access::{Access, Routes},
        form::Form,
        idempotency::{FormIdempotency, Idempotency, Settled},
        path::UploadPath,
        reply,
    },
};

/// The routes of this resource.
pub fn routes() -> Routes {
    use Access::DataPlane;
    Routes::default()
        .create("/v1/uploads", DataPlane, create)
        .post("/v1/uploads/{upload_id}/parts", DataPlane, add_part)
        .create("/v1/uploads/{upload_id}/complete", DataPlane, complete)
        .post("/v1/uploads/{upload_id}/cancel", DataPlane, cancel)
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    once: Idempotency,
    ApiJson(body): ApiJson<CreateUpload>,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let upload = Upload {
        id: new_id(&*app.ids),
        created_at: now,
        expires_at: Timestamp(now.0 + i64::from(UPLOAD_LIFETIME_S)),
        filename: body.filename,
        purpose: body.purpose,
        mime_type: body.mime_type,
        bytes: body.bytes,
        file_expires_after_s: body.expires_after_s,
        status: UploadStatus::Pending,
        file_id: None,
    };
    let (reply, receipt) = once.reply(&object::Upload::new(&upload, None))?;
    let uploads = app.store.uploads();
    uploads.create(&caller.workspace, upload, receipt).await?;
    Ok(reply)
}

async fn add_part(
    State(app): State<App>,
    caller: Caller,
    path: UploadPath,
    once: FormIdempotency,
    request: Request,
) -> Result<Response, ApiError> {
    let now = app.clock.now();
    let uploads = app.store.uploads();
    // Before 64 MiB are taken in for nothing.
    let found = uploads.get(&caller.workspace, &path.upload, now).await?;
    let upload = found.ok_or_else(|| ApiError::not_found(&path.upload))?;
    if upload.status != UploadStatus::Pending {
        return Err(ApiError::upload_closed(upload.status));
    }
    let most = app.config.limits.upload_part_bytes.min(upload.bytes);
    let form = Form::open(request, &app, most)?;
    let blob = receive(&app, &caller, form, most).await?;
    let fingerprint = || format!("/v1/uploads/{}/parts\n{}", path.upload, blob.hash);
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
    let part = UploadPart {
        id: new_id(&*app.ids),
        upload_id: path.upload.clone(),
        created_at: app.clock.now(),
    };
    let (reply, receipt) = once.clone().reply(&object::UploadPart::from(&part))?;
    let unused = blob.id.clone();
    // As much as was announced, and room for what comes twice.
    let together = app
        .config
        .limits
        .upload_total_bytes
        .saturating_add(upload.bytes);
    let added = uploads
        .add_part(&caller.workspace, part, blob, together, receipt)
        .await;
    match added {
        Ok(Some(())) => Ok(reply),
        not_added => {
            app.content.abandon(&caller.workspace, &unused).await;
            match not_added {
                Err(error) => once.or_replay(&app, &caller.workspace, error).await,
                Ok(_) => Err(ApiError::not_found(&path.upload)),
            }
        }
    }
}

/// Reads a whole form. Where it is refused, the bytes that came are nobody's.
async fn receive(app: &App, caller: &Caller, form: Form, most: u64) -> Result<Blob, ApiError> {
    let mut incoming = None;
    match parts(app, caller, form, (&mut incoming, most)).await {
        Ok(()) => match incoming {
            Some(incoming) => incoming.finish().await,
            None => Err(ApiError::missing_field("data")),
        },
        Err(error) => {
            if let Some(incoming) = incoming {
                incoming.abandon().await;
            }
            Err(error)
        }
    }
}

async fn parts(
    app: &App,
    caller: &Caller,
    mut form: Form,
    (incoming, most): (&mut Option<Incoming>, u64),
) -> Result<(), ApiError> {
    while let Some(mut field) = form.next().await? {
        if field.name() != "data" {
            return Err(ApiError::unexpected_field(field.name()));
        }
        if incoming.is_some() {
            return Err(ApiError::field_twice("data"));
        }
        let writing = incoming.insert(app.content.begin(&caller.workspace).await?);
        while let Some(piece) = field.chunk().await? {
            if writing.bytes() + piece.len() as u64 > most {
                return Err(ApiError::body_too_large(most));
            }
            writing.push(piece).await?;
        }
    }
    Ok(())
}

async fn complete(
    State(app): State<App>,
    caller: Caller,
    path: UploadPath,
    once: Idempotency,
    ApiJson(body): ApiJson<CompleteUpload>,
) -> Result<Response, ApiError> {
    let CompleteUpload { part_ids, md5 } = body;
    if let Some(md5) = md5 {
        expect_md5(&app, &caller, &path, (part_ids.clone(), md5)).await?;
    }
    let completion = Completion {
        parts: part_ids,
        file: new_id(&*app.ids),
        now: app.clock.now(),
    };
    let keyed = once.into_request();
    let keep = move |completed: &Completed| match &keyed {
        None => Ok(None),
        Some(request) => {
            let answer = Answer::Body(rendered(completed)?);
            Ok(Some(Receipt {
                request: request.clone(),
                answer,
            }))
        }
    };
    let uploads = app.store.uploads();
    let completed = uploads.complete(&caller.workspace, &path.upload, completion, keep);
    let completed = completed.await?;
    let completed = completed.ok_or_else(|| ApiError::not_found(&path.upload))?;
    Ok(reply::rendered(rendered(&completed)?.into()))
}

fn rendered(completed: &Completed) -> Result<String, loomgate_store::Error> {
    let Completed { upload, file } = completed;
    let object = object::Upload::new(upload, file.as_ref());
    serde_json::to_string(&object).map_err(loomgate_store::Error::driver)
}

/// Reads the parts back, where the client says what it is to find. Parts stay as they are.
async fn expect_md5(
    app: &App,
    caller: &Caller,
    path: &UploadPath,
    (parts, expected): (Vec<loomgate_domain::PartId>, String),
) -> Result<(), ApiError> {
    let uploads = app.store.uploads();
    let now = app.clock.now();
    let blobs = uploads.blobs(&caller.workspace, &path.upload, parts, now);
    let blobs = blobs
        .await?
        .ok_or_else(|| ApiError::not_found(&path.upload))?;
    let Some(blobs) = blobs else {
        // It is a file already, and was one of these bytes.
        return Ok(());
    };
    let pieces = app.content.read(&caller.workspace, blobs, None);
    let digest = pieces.try_fold(Md5::new(), |digest, piece| async move {
        let hashed = tokio::task::spawn_blocking(move || digest.chain_update(piece));
        hashed
            .await
            .map_err(|error| loomgate_blobs::Error::from(std::io::Error::other(error)))
    });
    let mut got = String::new();
    for byte in digest.await?.finalize() {
        push_hex(&mut got, byte.into(), 2);
    }
    if got == expected {
        Ok(())
    } else {
        Err(ApiError::wrong_md5(&expected, &got))
    }
}

async fn cancel(
    State(app): State<App>,
    caller: Caller,
    path: UploadPath,
) -> Result<Response, ApiError> {
    let uploads = app.store.uploads();
    let now = app.clock.now();
    let cancelled = uploads.cancel(&caller.workspace, &path.upload, now).await?;
    let upload = cancelled.ok_or_else(|| ApiError::not_found(&path.upload))?;
    reply::json(&object::Upload::new(&upload, None))
}
