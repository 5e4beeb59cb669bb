//! A lock store of one show, as far as it can be watched: a test says what happens to its seats.

use std::{
    net::SocketAddr,
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
    show_change::Change,
    watch_response::Item,
};
use holdfast_types::{Lineage, Revision};
use tokio::{net::TcpListener, sync::broadcast};
use tokio_stream::wrappers::BroadcastStream;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// How often it says that nothing else happened; less than the real one, for less waiting.
const BOOKMARK_PERIOD: Duration = Duration::from_millis(50);
/// More than any test makes wait.
const QUEUE: usize = 16_384;

pub(crate) fn at(index: u64) -> Revision {
    Revision::new(Lineage(1), index, 0)
}

#[derive(Default)]
struct Script {
    /// The log index that it has come to.
    index: u64,
    /// One a seat, as on the wire; none while there is no such show.
    seats: Option<Vec<u8>>,
    /// What happened, by log index.
    log: Vec<(u64, Item)>,
    quiet: bool,
    watched: Vec<pb::WatchRequest>,
}

#[derive(Clone)]
pub(crate) struct Store {
    script: Arc<Mutex<Script>>,
    out: broadcast::Sender<Item>,
}

impl Store {
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let store = Self {
            script: Arc::default(),
            out: broadcast::Sender::new(QUEUE),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(LockStoreServiceServer::new(store.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let telling = store.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(BOOKMARK_PERIOD).await;
                telling.bookmark();
            }
        });
        (store, address)
    }

    fn bookmark(&self) {
        let script = self.script.lock().unwrap();
        if !script.quiet {
            let _ = self.out.send(Item::Bookmark(pb::WatchBookmark {
                revision: at(script.index).as_u64(),
                cluster_time_ms: 1,
            }));
        }
    }

    /// The show is there with so many free seats, at log index `index`.
    pub(crate) fn open(&self, index: u64, seats: usize) {
        let mut script = self.script.lock().unwrap();
        script.seats = Some(vec![1; seats]);
        script.index = index;
    }

    /// From now on it says nothing, not even that nothing happened.
    pub(crate) fn be_quiet(&self) {
        self.script.lock().unwrap().quiet = true;
    }

    /// Seats are held at log index `index`.
    pub(crate) fn hold(&self, index: u64, seats: impl IntoIterator<Item = u32>) {
        self.change(index, seats, 2, |seat_nos| {
            Change::Held(pb::SeatsHeld {
                hold_id: vec![1; 16].into(),
                fence: at(index).as_u64(),
                seat_nos,
                expires_at_ms: 1,
            })
        });
    }

    /// They are free again.
    pub(crate) fn free(&self, index: u64, seats: impl IntoIterator<Item = u32>) {
        self.change(index, seats, 1, |seat_nos| {
            Change::Ended(pb::HoldEnded {
                hold_id: vec![1; 16].into(),
                fence: at(1).as_u64(),
                seat_nos,
                reason: pb::HoldEndReason::Released.into(),
            })
        });
    }

    fn change(
        &self,
        index: u64,
        seats: impl IntoIterator<Item = u32>,
        to: u8,
        change: impl FnOnce(Vec<u32>) -> Change,
    ) {
        let mut script = self.script.lock().unwrap();
        let seats: Vec<u32> = seats.into_iter().collect();
        let states = script.seats.as_mut().expect("the show is there");
        for seat in &seats {
            states[*seat as usize] = to;
        }
        let previous = script.log.last().map_or(0, |(index, _)| *index);
        let item = Item::Changes(pb::RevisionChanges {
            revision: at(index).as_u64(),
            shows: vec![pb::ShowChanges {
                show_id: vec![9; 16].into(),
                previous_revision: at(previous).as_u64(),
                changes: vec![pb::ShowChange {
                    change: Some(change(seats)),
                }],
            }],
        });
        script.index = index;
        script.log.push((index, item.clone()));
        let _ = self.out.send(item);
    }

    /// Who asked to watch, so far.
    pub(crate) fn watched(&self) -> Vec<pb::WatchRequest> {
        self.script.lock().unwrap().watched.clone()
    }

    /// What a new watcher begins with, and what follows.
    fn begin(&self, request: pb::WatchRequest) -> (Vec<Item>, broadcast::Receiver<Item>) {
        let mut script = self.script.lock().unwrap();
        let next = self.out.subscribe();
        let after = request.after_revision;
        let resumed = after != 0;
        let begun = pb::WatchBegun {
            lineage: 1,
            revision: if resumed {
                after
            } else {
                at(script.index).as_u64()
            },
            resumed,
            snapshots: u64::from(!resumed),
        };
        let mut items = vec![Item::Begun(begun)];
        if resumed {
            let missed = script.log.iter();
            let missed = missed.filter(|(index, _)| at(*index).as_u64() > after);
            items.extend(missed.map(|(_, item)| item.clone()));
        } else {
            let seats = script.seats.clone();
            items.push(Item::Snapshot(pb::ShowSnapshot {
                show_id: request.show_id.clone(),
                found: seats.is_some(),
                state: pb::ShowState::OnSale.into(),
                seat_states: seats.unwrap_or_default().into(),
                queue: None,
            }));
        }
        script.watched.push(request);
        (items, next)
    }
}

macro_rules! unasked {
    ($($method:ident($request:ident) -> $response:ident;)+) => {
        #[tonic::async_trait]
        impl LockStoreService for Store {
            type WatchStream = BoxStream<'static, Result<pb::WatchResponse, Status>>;

            async fn watch(
                &self,
                request: Request<pb::WatchRequest>,
            ) -> Result<Response<Self::WatchStream>, Status> {
                let (items, next) = self.begin(request.into_inner());
                let next = BroadcastStream::new(next).map(|item| item.expect("the queue is long"));
                let items = stream::iter(items).chain(next);
                let items = items.map(|item| Ok(pb::WatchResponse { item: Some(item) }));
                Ok(Response::new(items.boxed()))
            }

            type HoldStreamStream = BoxStream<'static, Result<pb::HoldStreamResponse, Status>>;

            async fn hold_stream(
                &self,
                _: Request<tonic::Streaming<pb::HoldStreamRequest>>,
            ) -> Result<Response<Self::HoldStreamStream>, Status> {
                Err(Status::unimplemented("the gateway only watches"))
            }

            $(async fn $method(
                &self,
                _: Request<pb::$request>,
            ) -> Result<Response<pb::$response>, Status> {
                Err(Status::unimplemented("the gateway only watches"))
            })+
        }
    };
}

unasked! {
    open_show(OpenShowRequest) -> OpenShowResponse;
    change_show(ChangeShowRequest) -> ChangeShowResponse;
    hold_seats(HoldSeatsRequest) -> HoldSeatsResponse;
    extend_hold(ExtendHoldRequest) -> ExtendHoldResponse;
    release_hold(ReleaseHoldRequest) -> ReleaseHoldResponse;
    commit_hold(CommitHoldRequest) -> CommitHoldResponse;
    return_seats(ReturnSeatsRequest) -> ReturnSeatsResponse;
    block_seats(BlockSeatsRequest) -> BlockSeatsResponse;
    unblock_seats(UnblockSeatsRequest) -> UnblockSeatsResponse;
    load_seats(LoadSeatsRequest) -> LoadSeatsResponse;
    advance_queue(AdvanceQueueRequest) -> AdvanceQueueResponse;
    get_show(GetShowRequest) -> GetShowResponse;
    get_hold(GetHoldRequest) -> GetHoldResponse;
    get_time(GetTimeRequest) -> GetTimeResponse;
}
