//! The client: one method a command or read.

use std::{sync::Arc, time::Duration};

use holdfast_types::{
    ClusterTime, DurationMs, HoldId, Revision, ShowId, UserId, limits::NOT_AFTER_AHEAD_MAX,
};
use tokio::time::Instant;
use tonic::{metadata::MetadataMap, transport::ClientTlsConfig};

use crate::{
    AdvanceOutcome, AdvanceQueue, Answer, BlockOutcome, BlockSeats, ChangeOutcome, ChangeShow,
    CommitHold, CommitOutcome, Consistency, Error, ExtendHold, ExtendOutcome, GetHoldOutcome,
    HoldOutcome, HoldSeats, LoadOutcome, LoadSeats, OpenOutcome, OpenShow, ReleaseHold,
    ReleaseOutcome, ReturnOutcome, ReturnSeats, Show, Start, UnblockOutcome, UnblockSeats, Until,
    Watch, Watched,
    budget::Budget,
    call::{Caller, Try, answered},
    clock::ClusterClock,
    convert::{self, Answered},
    peers::{Peer, Peers},
    status::Failed,
};

/// How far ahead a write's deadline is named at most: 5 s below what the store allows, because a new
/// leader's time may lag a little behind what the old one said.
const NOT_AFTER_AHEAD: DurationMs = DurationMs(NOT_AFTER_AHEAD_MAX.0 - 5_000);

/// What a client may be told besides its nodes.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections to each node. One carries some thousand calls a second; at least 1.
    pub channels_per_endpoint: usize,
    /// Who this client is to the nodes, and how it knows them; every address is `https` then. None
    /// to talk in the clear, to `http` addresses.
    pub tls: Option<ClientTlsConfig>,
    /// Adds to the metadata of every try of a call, in the task that makes it: the trace it is a
    /// part of, for one. Streams carry its `traceparent` and nothing else.
    pub decorate: Option<fn(&mut MetadataMap)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            channels_per_endpoint: 2,
            tls: None,
            decorate: None,
        }
    }
}

/// A client of one cluster. Cheap to clone; clones share connections and knowledge.
///
/// Every method takes how long the caller will wait, `deadline`, and ends by then. A write's copies
/// can't take effect after it either, as far as cluster time is known. All errors are those of
/// [`Error`]; for reads `OutcomeUnknown` doesn't occur.
#[derive(Debug, Clone)]
pub struct Client {
    caller: Arc<Caller>,
    clock: Arc<ClusterClock>,
    reads: Consistency,
}

/// How one write is sent.
struct Write {
    deadline: Instant,
    id: [u8; 16],
}

impl Client {
    /// A client of the nodes at `endpoints`, each the URI of a client plane
    /// (`http://host:port`). Nothing is sent yet; call it within a Tokio runtime. An address that
    /// can't be used is logged and left out, and so are those beyond 32.
    pub fn connect(endpoints: Vec<String>) -> Self {
        Self::connect_with(endpoints, Options::default())
    }

    /// [`Client::connect`] with options.
    pub fn connect_with(endpoints: Vec<String>, options: Options) -> Self {
        let decorate = options.decorate;
        let peers = Peers::new(&endpoints, options);
        Self {
            caller: Arc::new(Caller {
                peers,
                budget: Budget::new(),
                decorate,
            }),
            clock: Arc::new(ClusterClock::default()),
            reads: Consistency::Linearizable,
        }
    }

    /// The same client, whose reads ([`show`](Self::show), [`get_hold`](Self::get_hold),
    /// [`time`](Self::time)) are as fresh as this. Those that any node can answer are spread over all,
    /// and go to another where one can't.
    #[must_use]
    pub fn reading(&self, reads: Consistency) -> Self {
        Self {
            reads,
            ..self.clone()
        }
    }

    /// Makes a show known, or adds the next chunk of its layout. The same chunk again changes
    /// nothing.
    pub async fn open_show(
        &self,
        request: OpenShow,
        deadline: Duration,
    ) -> Result<Answer<OpenOutcome>, Error> {
        let message = convert::open_show(request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().open_show(ask.call()).await)
        })
        .await
    }

    /// Changes a show's state or rules.
    pub async fn change_show(
        &self,
        request: ChangeShow,
        deadline: Duration,
    ) -> Result<Answer<ChangeOutcome>, Error> {
        let message = convert::change_show(&request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().change_show(ask.call()).await)
        })
        .await
    }

    /// Holds seats, all or none.
    pub async fn hold(
        &self,
        request: HoldSeats,
        deadline: Duration,
    ) -> Result<Answer<HoldOutcome>, Error> {
        let write = Write {
            id: request.hold_id.to_bytes(),
            ..Write::new(deadline)
        };
        let message = convert::hold_seats(&request);
        self.write(write, message, Peer::streamed).await
    }

    /// Moves a hold's end; the answer is also the check of holder, fence and seats.
    pub async fn extend(
        &self,
        request: ExtendHold,
        deadline: Duration,
    ) -> Result<Answer<ExtendOutcome>, Error> {
        let write = Write::new(deadline);
        let until = match request.until {
            Until::At(time) => time,
            Until::FromNow(span) => self.cluster_time(write.deadline).await?.plus(span),
        };
        let message = convert::extend_hold(&request, until);
        self.write(write, message, Peer::streamed).await
    }

    /// Ends a hold and frees its seats. One that was released before is success again.
    pub async fn release(
        &self,
        request: ReleaseHold,
        deadline: Duration,
    ) -> Result<Answer<ReleaseOutcome>, Error> {
        let message = convert::release_hold(&request);
        self.write(Write::new(deadline), message, Peer::streamed)
            .await
    }

    /// Sells a hold's seats to a booking. Sold to it before is success again.
    pub async fn commit(
        &self,
        request: CommitHold,
        deadline: Duration,
    ) -> Result<Answer<CommitOutcome>, Error> {
        let message = convert::commit_hold(&request);
        self.write(Write::new(deadline), message, Peer::streamed)
            .await
    }

    /// Puts sold seats back on sale.
    pub async fn return_seats(
        &self,
        request: ReturnSeats,
        deadline: Duration,
    ) -> Result<Answer<ReturnOutcome>, Error> {
        let message = convert::return_seats(&request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().return_seats(ask.call()).await)
        })
        .await
    }

    /// Takes seats out of sale, all or none; a seat that is held or sold is refused. What was
    /// blocked before is success again. A copy of the request changes nothing.
    pub async fn block_seats(
        &self,
        request: BlockSeats,
        deadline: Duration,
    ) -> Result<Answer<BlockOutcome>, Error> {
        let message = convert::block_seats(&request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().block_seats(ask.call()).await)
        })
        .await
    }

    /// Puts blocked seats back on sale; others are left as they are.
    pub async fn unblock_seats(
        &self,
        request: UnblockSeats,
        deadline: Duration,
    ) -> Result<Answer<UnblockOutcome>, Error> {
        let message = convert::unblock_seats(&request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().unblock_seats(ask.call()).await)
        })
        .await
    }

    /// Puts claims of an earlier life of the cluster back, all or none. What is there as it is named is
    /// success again.
    pub async fn load_seats(
        &self,
        request: LoadSeats,
        deadline: Duration,
    ) -> Result<Answer<LoadOutcome>, Error> {
        let message = convert::load_seats(&request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().load_seats(ask.call()).await)
        })
        .await
    }

    /// Hands out numbers of a show's waiting room, and moves the threshold of who is served.
    pub async fn advance_queue(
        &self,
        request: AdvanceQueue,
        deadline: Duration,
    ) -> Result<Answer<AdvanceOutcome>, Error> {
        let message = convert::advance_queue(&request);
        self.write(Write::new(deadline), message, |peer, ask| async move {
            answered(peer.stub().advance_queue(ask.call()).await)
        })
        .await
    }

    /// A show with every seat's state at one revision; `None` if the store has no such show.
    /// Linearizable, unless [`reading`](Self::reading) says otherwise.
    pub async fn show(
        &self,
        show_id: ShowId,
        deadline: Duration,
    ) -> Result<Answer<Option<Show>>, Error> {
        let message = convert::get_show(show_id, self.reads);
        self.read(deadline, message, |peer, ask| async move {
            answered(peer.stub().get_show(ask.call()).await)
        })
        .await
    }

    /// A live hold of this holder. As fresh as [`show`](Self::show).
    pub async fn get_hold(
        &self,
        show_id: ShowId,
        hold_id: HoldId,
        holder: UserId,
        deadline: Duration,
    ) -> Result<Answer<GetHoldOutcome>, Error> {
        let message = convert::get_hold(show_id, hold_id, holder, self.reads);
        if self.reads == Consistency::Linearizable {
            return self.read(deadline, message, Peer::streamed).await;
        }
        self.read(deadline, message, |peer, ask| async move {
            answered(peer.stub().get_hold(ask.call()).await)
        })
        .await
    }

    /// Follows a show, or all: what is there and then what changes, from any node. Nothing is sent
    /// before the first [`Watch::next`].
    pub fn watch(&self, watched: Watched, start: Start) -> Watch {
        Watch::new(Arc::clone(&self.caller), watched, start)
    }

    /// Cluster time. As fresh as [`show`](Self::show): where that is linearizable it is also a check
    /// that a leader with a quorum is there.
    pub async fn time(&self, deadline: Duration) -> Result<Answer<()>, Error> {
        let message = convert::get_time(self.reads);
        self.read(deadline, message, |peer, ask| async move {
            answered(peer.stub().get_time(ask.call()).await)
        })
        .await
    }

    /// The leader's time.
    async fn read_time(&self, deadline: Instant) -> Result<Answer<()>, Error> {
        let message = convert::get_time(Consistency::Linearizable);
        self.ask(false, deadline, message, |peer, ask| async move {
            answered(peer.stub().get_time(ask.call()).await)
        })
        .await
    }

    /// Cluster time as known here, asked for if nothing was heard yet.
    async fn cluster_time(&self, deadline: Instant) -> Result<ClusterTime, Error> {
        match self.clock.time_at(Instant::now().into_std()) {
            Some(time) => Ok(time),
            None => Ok(self.read_time(deadline).await?.cluster_time),
        }
    }

    async fn read<M, A, F>(
        &self,
        deadline: Duration,
        message: M,
        method: impl Fn(Arc<Peer>, Try<M>) -> F,
    ) -> Result<Answer<A::Outcome>, Error>
    where
        M: Clone,
        A: Answered,
        F: Future<Output = Result<A, Failed>>,
    {
        let deadline = Instant::now() + deadline;
        let asked = match self.reads {
            Consistency::Linearizable => return self.ask(false, deadline, message, method).await,
            Consistency::AtLeast(revision) => Some(revision),
            Consistency::Stale { .. } => None,
        };
        let lineage = asked.map(Revision::lineage);
        let answer = self.caller.call_any(lineage, deadline, message, method);
        let answer = self.heard(answer.await?, None)?;
        if let Some(asked) = asked {
            // A node of a release that doesn't know what was asked answers as of now.
            let lineage = answer.lineage;
            if lineage != asked.lineage() {
                return Err(Error::LineageChanged { lineage });
            }
            if answer.revision < asked {
                return Err(Error::Malformed("an earlier revision"));
            }
        }
        Ok(answer)
    }

    /// Names the deadline in cluster time and asks. If the store says that it has passed or is too
    /// far ahead, what was known of its time was wrong. This copy had no effect, and the id is the
    /// same, so it is sent once more with a new deadline, by the time that the answer taught.
    async fn write<M, A, F>(
        &self,
        write: Write,
        mut message: M,
        method: impl Fn(Arc<Peer>, Try<M>) -> F,
    ) -> Result<Answer<A::Outcome>, Error>
    where
        M: convert::Named + Clone,
        A: Answered,
        F: Future<Output = Result<A, Failed>>,
    {
        let mut last_chance = false;
        loop {
            let now = self.cluster_time(write.deadline).await?;
            let left = write.deadline.saturating_duration_since(Instant::now());
            let left = DurationMs(u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
            let not_after = now.plus(left.min(NOT_AFTER_AHEAD));
            message.name(write.id, not_after);
            let answer: Answer<A::Outcome> = self
                .ask(true, write.deadline, message.clone(), &method)
                .await?;
            let misnamed = A::says_deadline_is_wrong(&answer.outcome);
            if !misnamed || last_chance || Instant::now() >= write.deadline {
                return Ok(answer);
            }
            last_chance = true;
        }
    }

    async fn ask<M, A, F>(
        &self,
        is_write: bool,
        deadline: Instant,
        message: M,
        method: impl Fn(Arc<Peer>, Try<M>) -> F,
    ) -> Result<Answer<A::Outcome>, Error>
    where
        M: Clone,
        A: Answered,
        F: Future<Output = Result<A, Failed>>,
    {
        let (answer, sent) = self
            .caller
            .call(is_write, deadline, message, method)
            .await?;
        self.heard(answer, is_write.then_some(sent))
    }

    /// Understands an answer, and takes the time from it. That of a write was read after it was sent.
    fn heard<A: Answered>(
        &self,
        answer: A,
        decided_after: Option<Instant>,
    ) -> Result<Answer<A::Outcome>, Error> {
        let answer = convert::answer(answer)?;
        self.clock.hear(
            answer.lineage,
            answer.cluster_time,
            Instant::now().into_std(),
            decided_after.map(Instant::into_std),
        );
        Ok(answer)
    }
}

impl Write {
    /// Under an id of its own.
    fn new(deadline: Duration) -> Self {
        Self {
            deadline: Instant::now() + deadline,
            id: rand::random(),
        }
    }
}
