//! Forms: `multipart/form-data`, read part by part as they come, never as a whole.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{extract::Request, http::header};
use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use multer::Multipart;

use crate::{app::App, body::Paced, error::ApiError};

/// What a form has besides its file, in bytes: fields, heads of parts, boundaries.
const FRAME_BYTES: u64 = 64 * 1024;
/// The longest value of a field, in bytes.
const VALUE_BYTES: usize = 4 * 1024;

/// A form that is coming in.
pub(super) struct Form(Multipart<'static>);

/// A part of it.
pub(super) struct FormField(multer::Field<'static>);

impl Form {
    /// Begins to read a form with a file of so many bytes at most.
    ///
    /// Errors: 400 where it is no form, 413.
    pub(super) fn open(request: Request, app: &App, most: u64) -> Result<Self, ApiError> {
        let limit = most.saturating_add(FRAME_BYTES);
        let headers = request.headers();
        let announced = headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(ApiError::body_too_large(limit));
        }
        let kind = headers.get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(refused)?;
        let body = Paced::new(request.into_body(), limit, app.config.http.body_timeout);
        Ok(Self(Multipart::new(OneAtATime::new(body), boundary)))
    }

    /// The next part. Errors: 400 where the form is broken or breaks off, 408, 413.
    pub(super) async fn next(&mut self) -> Result<Option<FormField>, ApiError> {
        let field = self.0.next_field().await.map_err(refused)?;
        Ok(field.map(FormField))
    }
}

impl FormField {
    /// Its name; empty where it has none.
    pub(super) fn name(&self) -> &str {
        self.0.name().unwrap_or_default()
    }

    /// The name of its file, as it was sent, or in the form of RFC 5987 (`filename*`).
    pub(super) fn file_name(&self) -> Option<String> {
        let plain = self.0.file_name().map(str::to_owned);
        let name = plain.or_else(|| {
            let head = self.0.headers().get(header::CONTENT_DISPOSITION)?;
            extended(head.to_str().ok()?)
        });
        name.filter(|name| !name.is_empty())
    }

    /// The next bytes of its value. Errors as of [`Form::next`].
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        self.0.chunk().await.map_err(refused)
    }

    /// Its value as a text. Error: 400 where that is none, or longer than any that is asked for.
    pub(super) async fn text(mut self) -> Result<String, ApiError> {
        let mut value = Vec::new();
        while let Some(piece) = self.chunk().await? {
            if value.len() + piece.len() > VALUE_BYTES {
                let name = self.name();
                return Err(ApiError::bad_form(&format!(
                    "the field '{name}' is too long"
                )));
            }
            value.extend_from_slice(&piece);
        }
        String::from_utf8(value).map_err(|_| ApiError::bad_form("a field is not UTF-8"))
    }
}

/// `filename*=UTF-8''na%C3%AFve.txt`
fn extended(disposition: &str) -> Option<String> {
    let (_, rest) = disposition.split_once("filename*=")?;
    let value = rest.split(';').next()?.trim();
    let (charset, rest) = value.split_once('\'')?;
    let (_language, encoded) = rest.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(encoded);
    decoded.decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The body gives a reason of its own where it can not be read on.
#[derive(Debug, thiserror::Error)]
#[error("the body was refused")]
struct Refused(ApiError);

fn refused(error: multer::Error) -> ApiError {
    use multer::Error;
    match error {
        Error::StreamReadFailed(reason) => match reason.downcast::<Refused>() {
            Ok(refused) => refused.0,
            Err(other) => ApiError::internal(&*other),
        },
        Error::NoMultipart | Error::DecodeContentType(_) => {
            ApiError::bad_form("its content type is not multipart/form-data")
        }
        Error::NoBoundary => ApiError::bad_form("its content type names no boundary"),
        Error::IncompleteStream | Error::IncompleteFieldData { .. } | Error::IncompleteHeaders => {
            ApiError::bad_form("it breaks off")
        }
        _ => ApiError::bad_form("a part of it is broken"),
    }
}

/// One piece each time it is looked at: what reads forms takes all that there is into memory, and
/// there may be more than the disk takes at the same time.
struct OneAtATime {
    pieces: BoxStream<'static, Result<Bytes, Refused>>,
    has_given: bool,
}

impl OneAtATime {
    fn new(body: Paced) -> Self {
        let pieces = futures::stream::try_unfold(body, |mut body| async move {
            let piece = body.next().await.map_err(Refused)?;
            Ok(piece.map(|piece| (piece, body)))
        });
        Self {
            pieces: Box::pin(pieces),
            has_given: false,
        }
    }
}

impl Stream for OneAtATime {
    type Item = Result<Bytes, Refused>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.has_given) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = self.pieces.as_mut().poll_next(cx);
        self.has_given = matches!(polled, Poll::Ready(Some(Ok(_))));
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_names_are_decoded() {
        let head = "form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve%20a.txt; x=y";
        assert_eq!(extended(head).as_deref(), Some("na\u{ef}ve a.txt"));
        assert_eq!(extended("form-data; filename*=latin1''a"), None);
        assert_eq!(extended("form-data; filename=a"), None);
    }
}
