//! A lock-store node that says what a test tells it to say.

use std::{
    collections::{HashMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use holdfast_proto::lockstore::v1::{
    self as pb,
    lock_store_service_server::{LockStoreService, LockStoreServiceServer},
    read_consistency::Level,
    watch_response::Item,
};
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId};
use lockstore_client::{Client, HoldSeats, Selection};
use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Cluster time of every node.
pub(crate) const TIME: u64 = 1_000_000;

/// What to say to one write.
#[derive(Clone)]
pub(crate) enum Say {
    /// The write's own success.
    Yes,
    /// A refusal for this reason.
    No(pb::RefusalReason),
    /// A refusal of the deadline by a store whose time is this.
    TooLate(u64),
    /// What a store whose time is this says by the deadline.
    ByDeadline(u64),
    NotLeader(Option<String>),
    NoQuorum,
    OutcomeUnknown,
    Overloaded(Duration),
    OutOfSpace,
    Behind,
    /// A revision of another lineage than this.
    OtherLineage(u8),
    Invalid,
    /// Ends the stream that the command came on, with an error.
    Breaks,
    /// Nothing, ever.
    Silence,
    /// An answer without the outcome.
    Nonsense,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Say>,
    then: Option<Say>,
    holds: Vec<pb::HoldSeatsRequest>,
    /// `traceparent` of each hold.
    traces: Vec<Option<String>>,
    extensions: Vec<pb::ExtendHoldRequest>,
    times_asked: u32,
    /// What each read that is no command of a stream asked for.
    reads: Vec<Option<Level>>,
    has_no_streams: bool,
    streams: VecDeque<Stream>,
    watched: Vec<pb::WatchRequest>,
}

/// What to answer to one watcher.
#[derive(Clone)]
pub(crate) enum Stream {
    /// These, and then nothing for ever.
    Stays(Vec<Item>),
    /// These, and then the connection's end.
    Breaks(Vec<Item>),
    Refused(&'static str),
}

/// A running node; it ends with the test.
pub(crate) struct Node {
    pub(crate) uri: String,
    script: Arc<Mutex<Script>>,
    server: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Node {
    /// Says `first`, one a write, then `then` for ever.
    pub(crate) async fn start(first: &[Say], then: Say) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let uri = format!("http://{}", listener.local_addr().expect("it is bound"));
        let script = Script {
            next: first.iter().cloned().collect(),
            then: Some(then),
            ..Script::default()
        };
        let script = Arc::new(Mutex::new(script));
        let service = LockStoreServiceServer::new(Service(Arc::clone(&script)));
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            let served = tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming);
            served.await.expect("the server runs until it is aborted");
        });
        Self {
            uri,
            script,
            server,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(vec![self.uri.clone()])
    }

    pub(crate) fn holds(&self) -> Vec<pb::HoldSeatsRequest> {
        self.script
            .lock()
            .expect("no test panics with it")
            .holds
            .clone()
    }

    pub(crate) fn traces(&self) -> Vec<Option<String>> {
        let script = self.script.lock().expect("no test panics with it");
        script.traces.clone()
    }

    pub(crate) fn extensions(&self) -> Vec<pb::ExtendHoldRequest> {
        self.script
            .lock()
            .expect("no test panics with it")
            .extensions
            .clone()
    }

    /// What the next watcher is answered that none was named for yet.
    pub(crate) fn stream_next(&self, stream: Stream) {
        let mut script = self.script.lock().expect("no test panics with it");
        script.streams.push_back(stream);
    }

    pub(crate) fn watched(&self) -> Vec<pb::WatchRequest> {
        let script = self.script.lock().expect("no test panics with it");
        script.watched.clone()
    }

    pub(crate) fn times_asked(&self) -> u32 {
        self.script
            .lock()
            .expect("no test panics with it")
            .times_asked
    }

    pub(crate) fn reads(&self) -> Vec<Option<Level>> {
        let script = self.script.lock().expect("no test panics with it");
        script.reads.clone()
    }

    /// From now on it is as one of a release without streams.
    pub(crate) fn forget_streams(&self) {
        let mut script = self.script.lock().expect("no test panics with it");
        script.has_no_streams = true;
    }

    pub(crate) fn say_next(&self, say: Say) {
        self.script
            .lock()
            .expect("no test panics with it")
            .next
            .push_back(say);
    }
}

/// An address where nothing listens.
pub(crate) struct Nowhere {
    pub(crate) uri: String,
    /// Bound and not listening, so that nobody else gets the port.
    _reserved: TcpSocket,
}

pub(crate) fn nowhere() -> Nowhere {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(any).expect("a free port");
    Nowhere {
        uri: format!("http://{}", socket.local_addr().expect("it is bound")),
        _reserved: socket,
    }
}

pub(crate) fn a_hold() -> HoldSeats {
    HoldSeats {
        hold_id: HoldId::from_bytes([1; 16]),
        show_id: ShowId::from_bytes([2; 16]),
        holder: UserId::from_bytes([3; 16]),
        selection: Selection::Seats(vec![SeatNo(4), SeatNo(5)]),
        ttl: DurationMs(0),
        price_version: 6,
        late_money: false,
    }
}

fn info(cluster_time_ms: u64) -> Option<pb::AnswerInfo> {
    Some(pb::AnswerInfo {
        lineage: 1,
        revision: (1 << 55) | (9 << 15),
        cluster_time_ms,
    })
}

fn with_reason(code: Code, reason: &str, metadata: HashMap<String, String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, "holdfast", metadata);
    Status::with_error_details(code, reason, details)
}

#[derive(Clone)]
struct Service(Arc<Mutex<Script>>);

impl Service {
    fn next(&self) -> Say {
        let mut script = self.0.lock().expect("no test panics with it");
        script
            .next
            .pop_front()
            .or_else(|| script.then.clone())
            .expect("start sets it")
    }

    /// The time to answer with, and the refusal, if it is one.
    async fn refusal(&self, not_after: u64) -> Result<(u64, Option<pb::Refusal>), Status> {
        let refusal = |reason: pb::RefusalReason, limit| pb::Refusal {
            reason: reason.into(),
            seats: vec![pb::SeatRefusal {
                seat_no: 5,
                state: pb::SeatState::Sold.into(),
            }],
            limit,
        };
        match self.next() {
            Say::Yes | Say::Nonsense => Ok((TIME, None)),
            Say::No(reason) => Ok((TIME, Some(refusal(reason, 7)))),
            Say::TooLate(time) => {
                Ok((time, Some(refusal(pb::RefusalReason::DeadlinePassed, time))))
            }
            Say::ByDeadline(time) => {
                let reason = if not_after > time + 60_000 {
                    Some(pb::RefusalReason::DeadlineTooFar)
                } else if not_after < time {
                    Some(pb::RefusalReason::DeadlinePassed)
                } else {
                    None
                };
                Ok((time, reason.map(|reason| refusal(reason, time))))
            }
            Say::NotLeader(leader) => {
                let metadata = leader
                    .map(|uri| ("leader_addr".to_owned(), uri))
                    .into_iter()
                    .collect();
                Err(with_reason(Code::Unavailable, "NOT_LEADER", metadata))
            }
            Say::NoQuorum => Err(with_reason(Code::Unavailable, "NO_QUORUM", HashMap::new())),
            Say::OutcomeUnknown => Err(with_reason(
                Code::Unavailable,
                "OUTCOME_UNKNOWN",
                HashMap::new(),
            )),
            Say::Overloaded(delay) => {
                let mut details =
                    ErrorDetails::with_error_info("OVERLOADED", "holdfast", HashMap::new());
                details.set_retry_info(Some(delay));
                Err(Status::with_error_details(
                    Code::ResourceExhausted,
                    "busy",
                    details,
                ))
            }
            Say::OutOfSpace => Err(with_reason(
                Code::ResourceExhausted,
                "OUT_OF_SPACE",
                HashMap::new(),
            )),
            Say::Behind => Err(with_reason(Code::Unavailable, "BEHIND", HashMap::new())),
            Say::OtherLineage(lineage) => {
                let metadata = HashMap::from([("lineage".to_owned(), lineage.to_string())]);
                let code = Code::FailedPrecondition;
                Err(with_reason(code, "LINEAGE_CHANGED", metadata))
            }
            Say::Invalid => Err(Status::invalid_argument("show_id: not 16 bytes")),
            Say::Silence => std::future::pending().await,
            Say::Breaks => Err(Status::aborted("the stream ends")),
        }
    }

    fn note_read(&self, consistency: Option<pb::ReadConsistency>) {
        let mut script = self.0.lock().expect("no test panics with it");
        let level = consistency.and_then(|consistency| consistency.level);
        script.reads.push(level);
    }

    fn says_nonsense(&self) -> bool {
        let script = self.0.lock().expect("no test panics with it");
        matches!(script.then, Some(Say::Nonsense))
    }
}

/// A command of a stream, answered as by its own rpc.
async fn answer_streamed(
    service: Service,
    asked: pb::StreamedCommand,
) -> Result<pb::StreamedAnswer, Status> {
    use pb::{streamed_answer::Answer, streamed_command::Command};
    let answer = match asked.command.expect("the client names one") {
        Command::HoldSeats(c) => service
            .hold_seats(of_trace(c, &asked.traceparent))
            .await
            .map(|a| Answer::HoldSeats(a.into_inner())),
        Command::ExtendHold(c) => service
            .extend_hold(Request::new(c))
            .await
            .map(|a| Answer::ExtendHold(a.into_inner())),
        Command::ReleaseHold(c) => service
            .release_hold(Request::new(c))
            .await
            .map(|a| Answer::ReleaseHold(a.into_inner())),
        Command::CommitHold(c) => service
            .commit_hold(Request::new(c))
            .await
            .map(|a| Answer::CommitHold(a.into_inner())),
        Command::GetHold(c) => service
            .get_hold(of_trace(c, &asked.traceparent))
            .await
            .map(|a| Answer::GetHold(a.into_inner())),
    };
    if let Err(status) = &answer
        && status.code() == Code::Aborted
    {
        return Err(status.clone());
    }
    let answer = answer.unwrap_or_else(|status| {
        Answer::Failure(pb::StreamedFailure {
            code: status.code().into(),
            message: status.message().to_owned(),
            details: status.details().to_vec().into(),
        })
    });
    Ok(pb::StreamedAnswer {
        tag: asked.tag,
        answer: Some(answer),
    })
}

fn of_trace<T>(message: T, traceparent: &str) -> Request<T> {
    let mut request = Request::new(message);
    if !traceparent.is_empty() {
        let value = traceparent.parse().expect("metadata");
        request.metadata_mut().insert("traceparent", value);
    }
    request
}

fn unscripted<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("no test asks this"))
}

#[tonic::async_trait]
impl LockStoreService for Service {
    async fn hold_seats(
        &self,
        request: Request<pb::HoldSeatsRequest>,
    ) -> Result<Response<pb::HoldSeatsResponse>, Status> {
        use pb::hold_seats_response::Outcome;
        let trace = request.metadata().get("traceparent");
        let trace = trace.map(|value| value.to_str().expect("text").to_owned());
        let request = request.into_inner();
        {
            let mut script = self.0.lock().expect("no test panics with it");
            script.traces.push(trace);
            script.holds.push(request.clone());
        }
        let not_after = request.request.as_ref().map_or(0, |info| info.not_after_ms);
        let (time, outcome) = match self.refusal(not_after).await? {
            (time, Some(refusal)) => (time, Outcome::Refusal(refusal)),
            (time, None) => {
                let hold = pb::Hold {
                    hold_id: request.request.unwrap_or_default().id,
                    fence: (1 << 55) | (9 << 15),
                    seat_nos: request.seat_nos,
                    granted_at_ms: TIME,
                    expires_at_ms: TIME + 600_000,
                    extendable_until_ms: TIME + 1_800_000,
                    price_version: request.price_version,
                };
                (time, Outcome::Held(hold))
            }
        };
        let outcome = (!self.says_nonsense()).then_some(outcome);
        Ok(Response::new(pb::HoldSeatsResponse {
            info: info(time),
            outcome,
            replayed: true,
        }))
    }

    async fn extend_hold(
        &self,
        request: Request<pb::ExtendHoldRequest>,
    ) -> Result<Response<pb::ExtendHoldResponse>, Status> {
        use pb::extend_hold_response::Outcome;
        let request = request.into_inner();
        self.0
            .lock()
            .expect("no test panics with it")
            .extensions
            .push(request.clone());
        let not_after = request.request.as_ref().map_or(0, |info| info.not_after_ms);
        let (time, outcome) = match self.refusal(not_after).await? {
            (time, Some(refusal)) => (time, Outcome::Refusal(refusal)),
            (time, None) => {
                let hold = pb::Hold {
                    hold_id: request.hold_id,
                    fence: request.fence,
                    expires_at_ms: request.until_ms,
                    ..pb::Hold::default()
                };
                (time, Outcome::Extended(hold))
            }
        };
        Ok(Response::new(pb::ExtendHoldResponse {
            info: info(time),
            outcome: Some(outcome),
        }))
    }

    type HoldStreamStream = BoxStream<'static, Result<pb::HoldStreamResponse, Status>>;

    async fn hold_stream(
        &self,
        request: Request<tonic::Streaming<pb::HoldStreamRequest>>,
    ) -> Result<Response<Self::HoldStreamStream>, Status> {
        if self
            .0
            .lock()
            .expect("no test panics with it")
            .has_no_streams
        {
            return Err(Status::unimplemented("of a later release"));
        }
        let service = self.clone();
        let answers = request
            .into_inner()
            .flat_map(|message| stream::iter(message.expect("the client is there").commands))
            .map(move |asked| answer_streamed(service.clone(), asked))
            .buffer_unordered(64)
            .map(|answer| {
                Ok(pb::HoldStreamResponse {
                    answers: vec![answer?],
                })
            });
        Ok(Response::new(answers.boxed()))
    }

    type WatchStream = BoxStream<'static, Result<pb::WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<pb::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let mut script = self.0.lock().expect("no test panics with it");
        script.watched.push(request.into_inner());
        let respond = |item| Ok(pb::WatchResponse { item: Some(item) });
        let (items, end) = match script.streams.pop_front() {
            Some(Stream::Stays(items)) => (items, None),
            Some(Stream::Breaks(items)) => (items, Some(Err(Status::unavailable("broke")))),
            Some(Stream::Refused(reason)) => {
                let code = match reason {
                    "LINEAGE_CHANGED" => Code::FailedPrecondition,
                    _ => Code::Unavailable,
                };
                return Err(with_reason(code, reason, HashMap::new()));
            }
            None => return Err(Status::unavailable("nothing to watch")),
        };
        let items = stream::iter(items.into_iter().map(respond));
        Ok(Response::new(match end {
            Some(end) => items.chain(stream::iter([end])).boxed(),
            None => items.chain(stream::pending()).boxed(),
        }))
    }

    async fn get_time(
        &self,
        request: Request<pb::GetTimeRequest>,
    ) -> Result<Response<pb::GetTimeResponse>, Status> {
        self.0.lock().expect("no test panics with it").times_asked += 1;
        self.note_read(request.into_inner().consistency);
        Ok(Response::new(pb::GetTimeResponse { info: info(TIME) }))
    }

    async fn get_show(
        &self,
        request: Request<pb::GetShowRequest>,
    ) -> Result<Response<pb::GetShowResponse>, Status> {
        self.note_read(request.into_inner().consistency);
        self.refusal(0).await?;
        Ok(Response::new(pb::GetShowResponse {
            info: info(TIME),
            found: true,
            state: pb::ShowState::OnSale.into(),
            rules: Some(pb::ShowRules {
                hold_ttl_ms: 1,
                hold_total_ms_max: 2,
                seats_per_customer_max: 3,
                no_lone_seat: false,
            }),
            seat_states: vec![1, 2, 3, 4].into(),
            queue: None,
        }))
    }

    async fn get_hold(
        &self,
        request: Request<pb::GetHoldRequest>,
    ) -> Result<Response<pb::GetHoldResponse>, Status> {
        use pb::get_hold_response::Outcome;
        let request = request.into_inner();
        self.note_read(request.consistency);
        let hold = pb::Hold {
            hold_id: request.hold_id,
            fence: (1 << 55) | (9 << 15),
            ..pb::Hold::default()
        };
        Ok(Response::new(pb::GetHoldResponse {
            info: info(TIME),
            outcome: Some(Outcome::Hold(hold)),
        }))
    }

    async fn open_show(
        &self,
        _: Request<pb::OpenShowRequest>,
    ) -> Result<Response<pb::OpenShowResponse>, Status> {
        unscripted()
    }

    async fn change_show(
        &self,
        _: Request<pb::ChangeShowRequest>,
    ) -> Result<Response<pb::ChangeShowResponse>, Status> {
        unscripted()
    }

    async fn release_hold(
        &self,
        _: Request<pb::ReleaseHoldRequest>,
    ) -> Result<Response<pb::ReleaseHoldResponse>, Status> {
        unscripted()
    }

    async fn commit_hold(
        &self,
        _: Request<pb::CommitHoldRequest>,
    ) -> Result<Response<pb::CommitHoldResponse>, Status> {
        unscripted()
    }

    async fn return_seats(
        &self,
        _: Request<pb::ReturnSeatsRequest>,
    ) -> Result<Response<pb::ReturnSeatsResponse>, Status> {
        unscripted()
    }

    async fn block_seats(
        &self,
        _: Request<pb::BlockSeatsRequest>,
    ) -> Result<Response<pb::BlockSeatsResponse>, Status> {
        unscripted()
    }

    async fn unblock_seats(
        &self,
        _: Request<pb::UnblockSeatsRequest>,
    ) -> Result<Response<pb::UnblockSeatsResponse>, Status> {
        unscripted()
    }
    async fn load_seats(
        &self,
        _: Request<pb::LoadSeatsRequest>,
    ) -> Result<Response<pb::LoadSeatsResponse>, Status> {
        unscripted()
    }

    async fn advance_queue(
        &self,
        _: Request<pb::AdvanceQueueRequest>,
    ) -> Result<Response<pb::AdvanceQueueResponse>, Status> {
        unscripted()
    }
}
