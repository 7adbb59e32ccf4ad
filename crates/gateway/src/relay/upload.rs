//! A body that goes on to a provider as it comes in: sent once, never held whole.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::http_client::{BoxBody, BoxError};

/// A body that is sent while it comes in.
pub struct Upload {
    body: Mutex<Option<BoxBody>>,
    /// The most bytes it may have.
    most: usize,
    course: Arc<Mutex<Course>>,
}

/// How the sending goes.
#[derive(Debug, Clone, Copy)]
struct Course {
    /// When the last piece went on.
    moved: Instant,
    fault: Option<Fault>,
}

/// Why a body did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It has more bytes than these.
    TooLarge(usize),
    /// The caller's connection ended first.
    BrokeOff,
}

impl Upload {
    /// A body of at most `most` bytes.
    pub fn new<B>(body: B, most: usize) -> Self
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self {
            body: Mutex::new(Some(body.map_err(Into::into).boxed_unsync())),
            most,
            course: Arc::new(Mutex::new(Course {
                moved: Instant::now(),
                fault: None,
            })),
        }
    }

    /// The body, for the one time that it is sent.
    pub(super) fn take(&self) -> Option<BoxBody> {
        let body = self.body.lock().take()?;
        self.course.lock().moved = Instant::now();
        let observed = Observed {
            body: Limited::new(body, self.most),
            most: self.most,
            course: Arc::clone(&self.course),
        };
        Some(observed.boxed_unsync())
    }

    /// Whether it was taken.
    pub(super) fn is_spent(&self) -> bool {
        self.body.lock().is_none()
    }

    /// What went wrong with it, on the caller's side.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.course.lock().fault
    }

    /// Waits for the answer to this body. `None`: for so long neither a piece of the body went on
    /// nor did the answer come.
    pub(super) async fn answered<T>(
        &self,
        patience: Duration,
        answer: impl Future<Output = T>,
    ) -> Option<T> {
        let mut answer = pin!(answer);
        loop {
            let moved = self.course.lock().moved;
            if let Ok(answer) = timeout_at(moved + patience, answer.as_mut()).await {
                return Some(answer);
            }
            if self.course.lock().moved == moved {
                return None;
            }
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").finish_non_exhaustive()
    }
}

/// The body on its way.
struct Observed {
    body: Limited<BoxBody>,
    most: usize,
    course: Arc<Mutex<Course>>,
}

impl Body for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            let mut course = self.course.lock();
            course.moved = Instant::now();
            if let Some(Err(error)) = frame {
                course.fault = Some(if error.is::<LengthLimitError>() {
                    Fault::TooLarge(self.most)
                } else {
                    Fault::BrokeOff
                });
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt as _, stream};
    use http_body_util::StreamBody;
    use tokio::time::sleep;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(2);

    /// So many pieces, each after so long.
    fn slow(pieces: usize, each: Duration) -> Upload {
        let pieces = stream::iter(0..pieces).then(move |_| async move {
            sleep(each).await;
            Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"piece")))
        });
        Upload::new(StreamBody::new(Box::pin(pieces)), 1_000)
    }

    /// A provider that reads all of a body, and then thinks.
    async fn read(body: BoxBody, thinks: Duration) -> Result<usize, BoxError> {
        let bytes = body.collect().await?.to_bytes();
        sleep(thinks).await;
        Ok(bytes.len())
    }

    async fn answered(upload: &Upload, thinks: Duration) -> Option<Result<usize, BoxError>> {
        let body = upload.take().unwrap();
        upload.answered(PATIENCE, read(body, thinks)).await
    }

    #[tokio::test(start_paused = true)]
    async fn time_to_answer_begins_when_the_last_piece_went_on() {
        let began = Instant::now();
        let upload = slow(10, Duration::from_secs(119));
        let answer = answered(&upload, Duration::from_secs(119)).await;
        assert_eq!(answer.unwrap().unwrap(), 50);
        assert_eq!(began.elapsed(), Duration::from_secs(11 * 119));
        assert!(upload.is_spent() && upload.fault().is_none());

        let began = Instant::now();
        let upload = slow(2, Duration::from_secs(100));
        assert!(answered(&upload, Duration::from_secs(121)).await.is_none());
        assert_eq!(began.elapsed(), Duration::from_secs(2 * 100 + 120));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_not_waited_for() {
        let began = Instant::now();
        let upload = slow(10, Duration::from_secs(121));
        assert!(answered(&upload, Duration::ZERO).await.is_none());
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_ended_a_body_is_known() {
        let upload = slow(300, Duration::ZERO);
        let answer = answered(&upload, Duration::ZERO).await;
        assert!(answer.unwrap().is_err());
        assert_eq!(upload.fault(), Some(Fault::TooLarge(1_000)));

        let broken = stream::once(async { Err::<Frame<Bytes>, BoxError>("gone".into()) });
        let upload = Upload::new(StreamBody::new(Box::pin(broken)), 1_000);
        assert!(
            answered(&upload, Duration::ZERO)
                .await
                .is_some_and(|answer| answer.is_err())
        );
        assert_eq!(upload.fault(), Some(Fault::BrokeOff));
    }
}
