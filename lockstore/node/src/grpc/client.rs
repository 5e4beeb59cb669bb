//! `LockStoreService`: decode, have it replicated or read, encode.
//!
//! Always holds: only the leader decides, and answers reads that don't say how fresh they must be; anyone
//! answers those that do, and lets itself be watched; a request whose deadline has passed isn't
//! proposed; reads in flight are bounded, and a seat map is encoded where it keeps nobody waiting. Leaves
//! to the state machine every rule.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::Stream;
use holdfast_mesh::deadline::Deadline;
use holdfast_proto::lockstore::v1::{self as pb, lock_store_service_server::LockStoreService};
use holdfast_types::ShowId;
use lockstore_core::Outcome;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    answer, failure,
    read::{Consistency, Reader, WantedHold},
    stream, watch,
};
use crate::{
    behaviour::Behaviours,
    codec::{self, Body},
    config::Config,
    disk::Disk,
    machine::{Machine, Reply, View},
    proposer::{self, Proposer},
    raft::Node,
};

/// How long before the caller's deadline its answer leaves, so that it learns the reason.
pub(super) const ANSWER_AHEAD: Duration = Duration::from_millis(10);

/// What decides commands.
pub(crate) struct Decider {
    pub(crate) config: Arc<Config>,
    pub(crate) node: Node,
    pub(crate) machine: Arc<Machine>,
    pub(crate) behaviours: Arc<Behaviours>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) proposer: Proposer,
}

/// What the client plane needs.
pub(crate) struct Client {
    pub(crate) decider: Arc<Decider>,
    pub(crate) reader: Arc<Reader>,
    /// Places for watchers: [`limits::WATCHERS_MAX`].
    pub(crate) watchers: Arc<Semaphore>,
    /// Places for streams of commands: [`limits::HOLD_STREAMS_MAX`].
    pub(crate) streams: Arc<Semaphore>,
    /// When it is cancelled streams end.
    pub(crate) shutdown: CancellationToken,
}

impl Decider {
    pub(super) fn not_leader(&self) -> Status {
        let leader = self.node.standing().borrow().leader;
        match leader {
            Some(leader) if leader != self.config.node_id => failure::not_leader(
                self.config
                    .member(leader)
                    .map(|member| member.client_addr.as_str()),
            ),
            _ => failure::no_quorum(),
        }
    }

    pub(super) fn check_leads(&self) -> Result<(), Status> {
        if self.node.standing().borrow().leader == Some(self.config.node_id) {
            return Ok(());
        }
        Err(self.not_leader())
    }

    /// Whether a command can be decided here and now, and by all members alike.
    ///
    /// # Errors
    /// Another node leads, this one is short of disk space, or a member is too old for the command;
    /// nothing was done.
    pub(super) fn admit(&self, body: &Body) -> Result<(), Status> {
        self.check_leads()?;
        // What operators set and note is small, and may be what helps.
        let by_operator = matches!(body, Body::SetConfig(_) | Body::AdminRecord(_));
        if self.disk.is_short() && !by_operator {
            return Err(failure::out_of_space());
        }
        let in_log = || self.machine.read(|view| view.behaviour);
        let needed = codec::behaviour(body);
        if self.behaviours.allow(needed, in_log) {
            return Ok(());
        }
        let lacking = self.behaviours.refuse(needed, self.config.node_id);
        Err(failure::upgrading(&lacking))
    }

    /// Has a command decided; the answer is the state machine's.
    pub(super) async fn decide<T>(
        &self,
        request: Request<T>,
        body: fn(T) -> Body,
    ) -> Result<Reply, Status> {
        let deadline = Deadline::of(&request);
        let body = body(request.into_inner());
        check(&body)?;
        self.admit(&body)?;
        let wait = deadline.remaining().saturating_sub(ANSWER_AHEAD);
        let proposed = self.proposer.propose(body, Deadline::after(wait)).await;
        proposed.map_err(|error| self.refused(error))
    }

    /// As this node has applied it.
    pub(super) fn is_expiry_paused(&self) -> bool {
        self.machine.read(|view| view.state.is_expiry_paused())
    }

    /// Why a command got no reply.
    pub(super) fn refused(&self, error: proposer::Error) -> Status {
        match error {
            proposer::Error::NotLeader => self.not_leader(),
            proposer::Error::NoQuorum => failure::no_quorum(),
            proposer::Error::Overloaded => failure::overloaded(),
            proposer::Error::Unknown => failure::outcome_unknown(),
        }
    }
}

/// Checks what can be checked of a command without the state.
pub(super) fn check(body: &Body) -> Result<(), Status> {
    codec::check_lengths(body).map_err(failure::invalid)?;
    codec::command(body).map(drop).map_err(failure::invalid)
}

impl Client {
    async fn decide<T>(&self, request: Request<T>, body: fn(T) -> Body) -> Result<Reply, Status> {
        self.decider.decide(request, body).await
    }
}

fn show_to_pb(view: &View, show_id: ShowId, info: Option<pb::AnswerInfo>) -> pb::GetShowResponse {
    let Some(show) = view.state.show(show_id) else {
        return pb::GetShowResponse {
            info,
            ..Default::default()
        };
    };
    pb::GetShowResponse {
        info,
        found: true,
        state: codec::show_state_to_pb(show.state()).into(),
        rules: Some(codec::rules_to_pb(show.rules())),
        seat_states: codec::seat_states_to_pb(show),
        queue: codec::queue_of_pb(show.queue()),
    }
}

#[tonic::async_trait]
impl LockStoreService for Client {
    async fn open_show(
        &self,
        request: Request<pb::OpenShowRequest>,
    ) -> Result<Response<pb::OpenShowResponse>, Status> {
        use pb::open_show_response::Outcome as Answer;
        let reply = self.decide(request, Body::OpenShow).await?;
        let outcome = match &reply.outcome {
            Outcome::ShowOpened { state, seats_known } => Answer::Opened(pb::ShowOpened {
                state: codec::show_state_to_pb(*state).into(),
                seats_known: *seats_known,
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("OpenShow")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::OpenShowResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn change_show(
        &self,
        request: Request<pb::ChangeShowRequest>,
    ) -> Result<Response<pb::ChangeShowResponse>, Status> {
        use pb::change_show_response::Outcome as Answer;
        let reply = self.decide(request, Body::ChangeShow).await?;
        let outcome = match &reply.outcome {
            Outcome::ShowChanged { state } => Answer::Changed(pb::ShowChanged {
                state: codec::show_state_to_pb(*state).into(),
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("ChangeShow")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::ChangeShowResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn hold_seats(
        &self,
        request: Request<pb::HoldSeatsRequest>,
    ) -> Result<Response<pb::HoldSeatsResponse>, Status> {
        let reply = self.decide(request, Body::HoldSeats).await?;
        answer::hold_seats(&reply).map(Response::new)
    }

    async fn extend_hold(
        &self,
        request: Request<pb::ExtendHoldRequest>,
    ) -> Result<Response<pb::ExtendHoldResponse>, Status> {
        let reply = self.decide(request, Body::ExtendHold).await?;
        answer::extend_hold(&reply).map(Response::new)
    }

    async fn release_hold(
        &self,
        request: Request<pb::ReleaseHoldRequest>,
    ) -> Result<Response<pb::ReleaseHoldResponse>, Status> {
        let reply = self.decide(request, Body::ReleaseHold).await?;
        answer::release_hold(&reply).map(Response::new)
    }

    async fn commit_hold(
        &self,
        request: Request<pb::CommitHoldRequest>,
    ) -> Result<Response<pb::CommitHoldResponse>, Status> {
        let reply = self.decide(request, Body::CommitHold).await?;
        answer::commit_hold(&reply).map(Response::new)
    }

    async fn return_seats(
        &self,
        request: Request<pb::ReturnSeatsRequest>,
    ) -> Result<Response<pb::ReturnSeatsResponse>, Status> {
        use pb::return_seats_response::Outcome as Answer;
        let reply = self.decide(request, Body::ReturnSeats).await?;
        let outcome = match &reply.outcome {
            Outcome::Returned { seat_nos, already } => Answer::Returned(pb::SeatsReturned {
                seat_nos: answer::numbers(seat_nos),
                already: *already,
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("ReturnSeats")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::ReturnSeatsResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    type HoldStreamStream = stream::Answers;

    async fn hold_stream(
        &self,
        request: Request<Streaming<pb::HoldStreamRequest>>,
    ) -> Result<Response<Self::HoldStreamStream>, Status> {
        let place = failure::own_place(&self.streams)?;
        let reader = Arc::clone(&self.reader);
        let answers = stream::serve(reader, request.into_inner(), place, self.shutdown.clone());
        Ok(Response::new(answers))
    }

    async fn block_seats(
        &self,
        request: Request<pb::BlockSeatsRequest>,
    ) -> Result<Response<pb::BlockSeatsResponse>, Status> {
        use pb::block_seats_response::Outcome as Answer;
        let reply = self.decide(request, Body::BlockSeats).await?;
        let outcome = match &reply.outcome {
            Outcome::Blocked { seat_nos, already } => Answer::Blocked(pb::SeatsBlocked {
                seat_nos: answer::numbers(seat_nos),
                already: *already,
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("BlockSeats")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::BlockSeatsResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn unblock_seats(
        &self,
        request: Request<pb::UnblockSeatsRequest>,
    ) -> Result<Response<pb::UnblockSeatsResponse>, Status> {
        use pb::unblock_seats_response::Outcome as Answer;
        let reply = self.decide(request, Body::UnblockSeats).await?;
        let outcome = match &reply.outcome {
            Outcome::Unblocked { seat_nos, already } => Answer::Unblocked(pb::SeatsUnblocked {
                seat_nos: answer::numbers(seat_nos),
                already: *already,
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("UnblockSeats")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::UnblockSeatsResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn load_seats(
        &self,
        request: Request<pb::LoadSeatsRequest>,
    ) -> Result<Response<pb::LoadSeatsResponse>, Status> {
        use pb::load_seats_response::Outcome as Answer;
        let reply = self.decide(request, Body::LoadSeats).await?;
        let outcome = match &reply.outcome {
            Outcome::Loaded { claims, already } => Answer::Loaded(pb::SeatsLoaded {
                claims: *claims,
                already: *already,
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("LoadSeats")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::LoadSeatsResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn advance_queue(
        &self,
        request: Request<pb::AdvanceQueueRequest>,
    ) -> Result<Response<pb::AdvanceQueueResponse>, Status> {
        use pb::advance_queue_response::Outcome as Answer;
        let reply = self.decide(request, Body::AdvanceQueue).await?;
        let outcome = match &reply.outcome {
            Outcome::QueueAdvanced {
                first_no,
                joins,
                queue,
            } => Answer::Advanced(pb::QueueAdvanced {
                first_no: *first_no,
                joins: *joins,
                queue: Some(codec::queue_to_pb(*queue)),
            }),
            Outcome::Refused(refusal) => Answer::Refusal(codec::refusal_to_pb(refusal)),
            _ => return Err(failure::internal("AdvanceQueue")),
        };
        let info = Some(answer::info(&reply));
        Ok(Response::new(pb::AdvanceQueueResponse {
            info,
            outcome: Some(outcome),
        }))
    }

    async fn get_show(
        &self,
        request: Request<pb::GetShowRequest>,
    ) -> Result<Response<pb::GetShowResponse>, Status> {
        let deadline = Deadline::of(&request);
        let show_id = codec::id("show_id", &request.get_ref().show_id, ShowId::from_slice)
            .map_err(failure::invalid)?;
        let consistency = Consistency::of(request.get_ref().consistency.as_ref())?;
        let read = self.reader.read(consistency, deadline.remaining()).await?;
        let (info, view) = (Some(read.info()), read.view.clone());
        // A hundred thousand seats would keep consensus from its worker.
        tokio::task::spawn_blocking(move || show_to_pb(&view, show_id, info))
            .await
            .map(Response::new)
            .map_err(|_| failure::internal("GetShow"))
    }

    async fn get_hold(
        &self,
        request: Request<pb::GetHoldRequest>,
    ) -> Result<Response<pb::GetHoldResponse>, Status> {
        let deadline = Deadline::of(&request);
        let wanted = WantedHold::of(request.get_ref())?;
        let consistency = Consistency::of(request.get_ref().consistency.as_ref())?;
        let read = self.reader.read(consistency, deadline.remaining()).await?;
        Ok(Response::new(read.hold(&wanted)))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<pb::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let wait = Deadline::of(&request)
            .remaining()
            .saturating_sub(ANSWER_AHEAD);
        let asked = watch::Asked::of(request.get_ref()).map_err(failure::invalid)?;
        let place = failure::own_place(&self.watchers)?;
        let (machine, shutdown) = (Arc::clone(&self.decider.machine), self.shutdown.clone());
        let stream = watch::begin(asked, machine, place, shutdown, wait).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn get_time(
        &self,
        request: Request<pb::GetTimeRequest>,
    ) -> Result<Response<pb::GetTimeResponse>, Status> {
        let deadline = Deadline::of(&request);
        let consistency = Consistency::of(request.get_ref().consistency.as_ref())?;
        let read = self.reader.read(consistency, deadline.remaining()).await?;
        // Without a leader's clock the applied time may be hours old.
        let is_now = !matches!(consistency, Consistency::AtLeast(_));
        if is_now && !read.has_leaders_time() {
            return Err(failure::no_quorum());
        }
        let info = Some(read.info());
        Ok(Response::new(pb::GetTimeResponse { info }))
    }
}
