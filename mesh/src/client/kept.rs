//! A request's body, kept while it is sent, so that it can be sent again.
//!
//! Always holds: every copy says the same; no more than [`KEPT_BYTES_MAX`] is kept, and a longer body
//! is sent once. Nothing is read before it is sent.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::Frame;
use tonic::{Status, body::Body};

/// Longest body that is kept: a customer's request has less than a kilobyte; the batches of an
/// operator's import have more, and the operator's command repeats those itself.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What is kept of one body.
#[derive(Debug, Clone)]
pub(super) struct Kept(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    rest: Body,
    /// What was taken from `rest`, in order.
    sent: Vec<Bytes>,
    sent_bytes: usize,
    /// Something that was taken isn't in `sent`.
    is_partial: bool,
    /// It can't be read to its end, which is the caller's fault.
    is_broken: bool,
}

impl Kept {
    pub(super) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(State {
            rest: body,
            sent: Vec::new(),
            sent_bytes: 0,
            is_partial: false,
            is_broken: false,
        })))
    }

    /// The body from its beginning.
    pub(super) fn copy(&self) -> Body {
        Body::new(Sending {
            of: self.clone(),
            next: 0,
        })
    }

    /// Whether another copy would be whole.
    pub(super) fn is_whole(&self) -> bool {
        let state = self.state();
        !state.is_partial && !state.is_broken
    }

    /// Whether reading it failed.
    pub(super) fn is_broken(&self) -> bool {
        self.state().is_broken
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder panics")
    }
}

struct Sending {
    of: Kept,
    /// How much of `sent` it has given.
    next: usize,
}

impl http_body::Body for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let mut state = this.of.state();
        if let Some(bytes) = state.sent.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
        }
        let polled = Pin::new(&mut state.rest).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                Some(data)
                    if state.sent_bytes + data.len() <= KEPT_BYTES_MAX && !state.is_partial =>
                {
                    let data = data.clone();
                    state.sent_bytes += data.len();
                    state.sent.push(data);
                    this.next += 1;
                }
                _ => state.is_partial = true,
            },
            Poll::Ready(Some(Err(_))) => state.is_broken = true,
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let state = self.of.state();
        self.next == state.sent.len() && state.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};
    use http_body::Body as _;

    use super::*;

    /// Frames of these sizes, each of one letter.
    fn body(sizes: &[usize]) -> Body {
        let frames: Vec<_> = sizes
            .iter()
            .zip(b'a'..)
            .map(|(&size, letter)| Ok(Frame::data(Bytes::from(vec![letter; size]))))
            .collect();
        Body::new(Frames(stream::iter(frames)))
    }

    struct Frames<S>(S);

    impl<S: futures::Stream<Item = Result<Frame<Bytes>, Status>> + Unpin> http_body::Body
        for Frames<S>
    {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            self.0.poll_next_unpin(cx)
        }
    }

    async fn frame(body: &mut Body) -> Option<Result<Frame<Bytes>, Status>> {
        std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    async fn text(mut body: Body) -> String {
        let mut text = String::new();
        while let Some(next) = frame(&mut body).await {
            let data = next.expect("is readable").into_data().expect("is data");
            text.push_str(std::str::from_utf8(&data).expect("letters"));
        }
        text
    }

    #[tokio::test]
    async fn every_copy_says_the_same_wherever_the_one_before_stopped() {
        let kept = Kept::new(body(&[2, 1]));
        assert!(kept.is_whole(), "nothing was sent");
        let mut broken_off = kept.copy();
        frame(&mut broken_off)
            .await
            .expect("one")
            .expect("is readable");
        assert_eq!(text(kept.copy()).await, "aab");
        assert_eq!(text(kept.copy()).await, "aab");
        assert!(kept.is_whole());
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_to_keep_is_sent_once() {
        let kept = Kept::new(body(&[KEPT_BYTES_MAX, 1, 1]));
        assert_eq!(text(kept.copy()).await.len(), KEPT_BYTES_MAX + 2);
        assert!(!kept.is_whole());
        let kept = Kept::new(body(&[KEPT_BYTES_MAX]));
        text(kept.copy()).await;
        assert!(kept.is_whole(), "this just fits");
    }

    #[tokio::test]
    async fn a_body_that_can_not_be_read_is_not_sent_again() {
        let kept = Kept::new(Body::new(Frames(stream::iter([Err(Status::internal(
            "no message",
        ))]))));
        let mut copy = kept.copy();
        frame(&mut copy).await.expect("one").expect_err("broken");
        assert!(kept.is_broken() && !kept.is_whole());
    }
}
