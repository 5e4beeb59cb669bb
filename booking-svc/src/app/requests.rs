//! What an `Idempotency-Key` means: the same request again is given the answer that it was first given.
//!
//! Always holds: a key counts per user and stands for one request, its call and its body, from when that
//! request has an effect, because both are written in one transaction; nothing is written before it, so
//! a process that dies leaves no key that is blocked. What is done again is idempotent by itself. A
//! refusal is no effect: the same request is judged anew. An answer is kept once and never changed.
//! Copies that come to this process at once take turns; those of two processes meet in the database.

use std::{
    collections::HashMap,
    future::Future,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_proto::booking::v1 as pb;
use holdfast_types::{ErrorCode, UserId};
use prost::Message;
use sha2::{Digest, Sha256};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{
    App,
    answer::{Answer, booking_message},
    hold_seats::check_key,
    read::BookingView,
    refusal::key_reused,
};
use crate::{
    error::Error,
    store::{
        self,
        requests::{self, Named, Route, Seen},
    },
};

/// How long a copy waits for the first before it is told to come again: a request takes milliseconds,
/// and a second or two while the lock store elects a leader. The copies that our own channels send when
/// a connection breaks are so answered like the first.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// When a copy may come again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Requests forgotten in one statement, and such statements in one round: together more than the
/// purchases that a second may bring.
const FORGET_MAX: u32 = 500;
const FORGET_ROUNDS_MAX: usize = 5;

/// A request with its name; none if it has no name, as it may.
pub(crate) fn named(
    user_id: UserId,
    idempotency_key: String,
    route: Route,
    body: &[&[u8]],
) -> Result<Option<Named>, Failure> {
    if idempotency_key.is_empty() {
        return Ok(None);
    }
    check_key(&idempotency_key)?;
    let mut hash = Sha256::new();
    for part in body {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(Some(Named {
        user_id,
        idempotency_key,
        route,
        body_hash: hash.finalize().into(),
    }))
}

/// Requests that this process is at work on.
#[derive(Debug, Default)]
pub(crate) struct UnderWay(Mutex<HashMap<(UserId, String), watch::Receiver<()>>>);

impl UnderWay {
    /// Waits until no copy is under way.
    ///
    /// # Errors
    /// `IN_PROGRESS` when one is for too long.
    pub(crate) async fn turn(
        &self,
        named: &Named,
        deadline: Deadline,
    ) -> Result<Turn<'_>, Failure> {
        let name = (named.user_id, named.idempotency_key.clone());
        let until = wait_until(deadline);
        loop {
            let (end, ended) = watch::channel(());
            let mut other = {
                let mut names = self.names();
                match names.get(&name) {
                    Some(other) => other.clone(),
                    None => {
                        names.insert(name.clone(), ended);
                        break Ok(Turn {
                            of: self,
                            name,
                            _end: end,
                        });
                    }
                }
            };
            // Nothing is ever sent: the sender goes with the turn.
            if timeout_at(until, other.changed()).await.is_err() {
                break Err(in_progress());
            }
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<(UserId, String), watch::Receiver<()>>> {
        self.0.lock().expect("no holder panics")
    }
}

/// Lets the next copy go on when it is dropped, which it is whatever becomes of the request.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    of: &'a UnderWay,
    name: (UserId, String),
    /// Dropped after the name is free.
    _end: watch::Sender<()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.of.names().remove(&self.name);
    }
}

/// Until when a copy waits: what is left then is for its own work.
pub(super) fn wait_until(deadline: Deadline) -> Instant {
    Instant::now() + WAIT_MAX.min(deadline.remaining() / 2)
}

pub(super) fn in_progress() -> Failure {
    Failure::new(
        ErrorCode::InProgress,
        "the same request is being worked on; repeat it",
    )
    .with_retry_after(RETRY_AFTER)
}

/// The answer that was kept, if one was.
pub(super) fn replay(seen: &Seen) -> Result<Option<Answer>, Error> {
    let Some(kept) = &seen.request else {
        return Ok(None);
    };
    if !kept.is_same {
        return Err(key_reused().into());
    }
    kept.answer.as_deref().map(read).transpose()
}

fn read(answer: &[u8]) -> Result<Answer, Error> {
    let booking = pb::Booking::decode(answer)
        .map_err(|error| Error::Corrupt(store::corrupt("requests", error)))?;
    Ok(Answer {
        booking,
        replayed: true,
    })
}

impl App {
    /// Answers a request: by `work`, or as it was answered before. A request without a name is just
    /// worked on.
    pub(crate) async fn once(
        &self,
        named: Option<&Named>,
        deadline: Deadline,
        work: impl Future<Output = Result<BookingView, Error>> + Send,
    ) -> Result<Answer, Error> {
        let Some(named) = named else {
            return Ok(Answer {
                booking: booking_message(work.await?),
                replayed: false,
            });
        };
        let _turn = self.under_way.turn(named, deadline).await?;
        let seen = requests::look(&self.pool, named, None).await?;
        if let Some(answer) = replay(&seen)? {
            return Ok(answer);
        }
        let view = work.await?;
        self.keep(named, view).await
    }

    /// Keeps what the request comes to, unless an answer was kept meanwhile, which then counts.
    pub(super) async fn keep(&self, named: &Named, view: BookingView) -> Result<Answer, Error> {
        let booking = booking_message(view);
        let ours = booking.encode_to_vec();
        let kept = requests::answer(&self.pool, named, &ours).await?;
        match kept {
            None => Err(key_reused().into()),
            Some(kept) if kept == ours => Ok(Answer {
                booking,
                replayed: false,
            }),
            Some(kept) => read(&kept),
        }
    }

    /// Forgets requests that were remembered long enough.
    pub(crate) async fn forget_requests(&self) -> Result<(), Error> {
        for _ in 0..FORGET_ROUNDS_MAX {
            let forgotten = requests::forget(&self.pool, FORGET_MAX).await?;
            if forgotten < u64::from(FORGET_MAX) {
                break;
            }
        }
        Ok(())
    }
}
