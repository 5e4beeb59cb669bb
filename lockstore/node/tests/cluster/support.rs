//! A cluster of real nodes in one process, and what to ask of it.
//!
//! Everything that is waited for is waited for with a limit, and when it doesn't come, every node is
//! asked why. Each cluster has a name and ports that no other has. A leader, once asked for, may be
//! replaced at any time: what needs one that stays looks at the term, or asks anew.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use holdfast_mesh as mesh;
use holdfast_mesh::client::Channel;
use holdfast_proto::lockstore::v1::{
    self as pb, admin_service_client::AdminServiceClient,
    lock_store_service_client::LockStoreServiceClient,
};
use lockstore_node::{Config, Error, Member, Surroundings};
use tempfile::TempDir;
use tokio::{net::TcpSocket, runtime::Runtime, task::JoinHandle};
use tonic::{Code, Status};

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(50);
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// How far ahead the tests' deadlines lie, in cluster time: longer than a request is retried, and
/// within the 60 s that the store allows though a new leader's time may lag a little.
const AHEAD_MS: u64 = 55_000;
/// Election timeout unless a test sets another: a stalled disk or processor costs no leader.
const ELECTION_TIMEOUT_MS: u64 = 2_000;
/// For tests that need a new leader soon, and stand it if there is one unasked.
pub(crate) const ELECTION_TIMEOUT_MS_SHORT: u64 = 500;
/// How long a node that failed a test may take to say where it stands.
const REPORT_WAIT: Duration = Duration::from_secs(2);
/// How long the end of a killed node is waited for.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// What cluster time may be off: where it went on over the wall clock, that may be set by as much
/// meanwhile; where a leader passed it on, its word came late by less.
const TIME_OFF_MAX: Duration = Duration::from_secs(1);

pub(crate) type Client = LockStoreServiceClient<Channel>;
type Ended = Result<(), Arc<Error>>;

struct Running {
    context: mesh::Context,
    serving: JoinHandle<Ended>,
    /// What `serving` came to, for reports.
    ended: Arc<OnceLock<Ended>>,
    /// Its own, so that it can be killed: everything of it then ends where it stands.
    runtime: Option<Runtime>,
}

impl Running {
    async fn ended(&mut self) -> Ended {
        tokio::time::timeout(LIMIT, &mut self.serving)
            .await
            .expect("ends in time")
            .expect("doesn't panic")
    }

    /// How it ended, if it did.
    fn end(&self) -> Option<String> {
        match self.ended.get() {
            Some(Ok(())) => Some("ended as if told to".to_owned()),
            Some(Err(error)) => Some(format!("ended: {error}")),
            None => self.serving.is_finished().then(|| "panicked".to_owned()),
        }
    }
}

impl Drop for Running {
    /// Waits for its threads: a node that fails to write its log ends the process, so none may
    /// outlive its folder.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not here: a runtime's thread must not wait for another runtime.
            let ending = std::thread::spawn(move || runtime.shutdown_timeout(KILL_WAIT));
            drop(ending.join());
        }
    }
}

/// A node's disk.
struct Disk {
    /// Bytes free on it.
    free: AtomicU64,
    /// It gives no answer.
    hangs: AtomicBool,
    /// Somebody waits for one.
    is_waited_for: AtomicBool,
}

impl Disk {
    fn answer(&self) -> u64 {
        while self.hangs.load(Ordering::Acquire) {
            self.is_waited_for.store(true, Ordering::Release);
            thread::sleep(POLL);
        }
        self.free.load(Ordering::Relaxed)
    }
}

pub(crate) struct Cluster {
    /// No other cluster's, so that nodes which meet by mistake refuse each other.
    name: String,
    tune: fn(&mut Config),
    members: Vec<Member>,
    /// Their ports.
    reserved: Vec<TcpSocket>,
    running: Vec<Option<Running>>,
    /// Nodes of an older release, and the newest behaviour each knows.
    pub(crate) older: BTreeMap<u64, u32>,
    /// By how much the wall clocks of nodes that start are ahead.
    pub(crate) wall_ahead_ms: i64,
    disks: Vec<Arc<Disk>>,
    /// The last failure that each node answered with, for reports.
    failures: Mutex<BTreeMap<u64, Status>>,
    /// Last, so that it outlives the nodes.
    folder: TempDir,
}

/// A port that is its cluster's until the socket is dropped, whether a node listens there or not:
/// being bound, it is given to nobody who asks for any port, and to no outgoing connection; having
/// `SO_REUSEADDR` and not listening, it lets a server that names it bind and listen.
fn reserve_port() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("set");
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(any).expect("a free port");
    socket
}

fn members(count: u64) -> (Vec<Member>, Vec<TcpSocket>) {
    let reserved: Vec<TcpSocket> = (0..2 * count).map(|_| reserve_port()).collect();
    let uri = |socket: &TcpSocket| format!("http://{}", socket.local_addr().expect("bound"));
    let members = (1..=count)
        .zip(reserved.chunks(2))
        .map(|(node_id, ports)| Member {
            node_id,
            peer_addr: uri(&ports[0]),
            client_addr: uri(&ports[1]),
        });
    (members.collect(), reserved)
}

fn address(uri: &str) -> SocketAddr {
    uri.trim_start_matches("http://")
        .parse()
        .expect("an address")
}

fn slot(node_id: u64) -> usize {
    usize::try_from(node_id - 1).expect("small")
}

impl Cluster {
    /// Three nodes, all of them serving and with a leader.
    pub(crate) async fn start(tune: fn(&mut Config)) -> Self {
        let mut cluster = Self::prepare(3, tune);
        for node_id in 1..=3 {
            cluster.start_node(node_id);
        }
        for node_id in 1..=3 {
            cluster.status_of(node_id).await;
        }
        cluster.leader().await;
        cluster
    }

    /// Nodes that don't run yet.
    pub(crate) fn prepare(count: u64, tune: fn(&mut Config)) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(format!("test-{}-{number}", std::process::id()), count, tune)
    }

    /// The same cluster elsewhere and without data, not running yet: for copies of its data.
    pub(crate) fn twin(&self) -> Self {
        Self::named(self.name.clone(), self.members.len() as u64, self.tune)
    }

    fn named(name: String, count: u64, tune: fn(&mut Config)) -> Self {
        let (members, reserved) = members(count);
        Self {
            name,
            tune,
            members,
            reserved,
            running: (0..count).map(|_| None).collect(),
            older: BTreeMap::new(),
            wall_ahead_ms: 0,
            disks: (0..count)
                .map(|_| {
                    Arc::new(Disk {
                        free: AtomicU64::new(u64::MAX),
                        hangs: AtomicBool::new(false),
                        is_waited_for: AtomicBool::new(false),
                    })
                })
                .collect(),
            failures: Mutex::default(),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn data_dir(&self, node_id: u64) -> PathBuf {
        self.folder.path().join(node_id.to_string())
    }

    pub(crate) fn config(&self, node_id: u64) -> Config {
        let member = &self.members[slot(node_id)];
        let mut config = Config {
            node_id,
            cluster_id: self.name.clone(),
            lineage: 1,
            listen_client: address(&member.client_addr),
            listen_peer: address(&member.peer_addr),
            data_dir: self.data_dir(node_id),
            members: self.members.clone(),
            election_timeout_ms_min: ELECTION_TIMEOUT_MS,
            ..Config::default()
        };
        (self.tune)(&mut config);
        config
    }

    pub(crate) fn start_node(&mut self, node_id: u64) {
        let context = mesh::Context::new();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let ended = Arc::new(OnceLock::new());
        let serving = runtime.spawn({
            let (config, context, ended) =
                (self.config(node_id), context.clone(), Arc::clone(&ended));
            let disk = Arc::clone(&self.disks[slot(node_id)]);
            let mut surroundings = Surroundings {
                free_space: Arc::new(move |_| Ok(disk.answer())),
                ..Surroundings::default()
            };
            surroundings.wall_ahead_ms = self.wall_ahead_ms;
            if let Some(knows) = self.older.get(&node_id) {
                surroundings.knows = *knows;
            }
            async move {
                let result = lockstore_node::serve_with(config, context, surroundings).await;
                ended.get_or_init(|| result.map_err(Arc::new)).clone()
            }
        });
        let running = Running {
            context,
            serving,
            ended,
            runtime: Some(runtime),
        };
        self.running[slot(node_id)] = Some(running);
    }

    /// Keeps the thread of a running node's client plane from all work until what is returned is
    /// dropped, or for as long as anything is waited for.
    pub(crate) fn stall(&self, node_id: u64) -> mpsc::Sender<()> {
        let (stalled, until) = mpsc::channel();
        let running = self.running[slot(node_id)].as_ref().expect("runs");
        let runtime = running.runtime.as_ref().expect("until it is dropped");
        runtime.spawn(async move {
            let _ = until.recv_timeout(LIMIT);
        });
        stalled
    }

    /// Tells a node to stop, and waits until it has.
    pub(crate) async fn stop_node(&mut self, node_id: u64) {
        let Some(mut running) = self.running[slot(node_id)].take() else {
            return;
        };
        running.context.shutdown.cancel();
        if let Err(error) = running.ended().await {
            panic!("node {node_id} stopped with an error: {error}");
        }
    }

    /// Ends a node where it stands: it hands nothing over and finishes nothing.
    pub(crate) fn kill_node(&mut self, node_id: u64) {
        drop(self.running[slot(node_id)].take());
    }

    /// Whether a running node says that it can serve.
    pub(crate) fn is_ready(&self, node_id: u64) -> bool {
        let running = self.running[slot(node_id)].as_ref().expect("runs");
        running.context.readiness.is_ready()
    }

    /// Why a node ended that nobody told to.
    pub(crate) async fn ended(&mut self, node_id: u64) -> Arc<Error> {
        let mut running = self.running[slot(node_id)].take().expect("runs");
        running.ended().await.expect_err("ends by itself")
    }

    /// Says how many bytes are free on a node's disk from now on.
    pub(crate) fn set_free(&self, node_id: u64, bytes: u64) {
        let disk = &self.disks[slot(node_id)];
        disk.free.store(bytes, Ordering::Relaxed);
    }

    /// Has a running node's disk give no answer any more, and waits until the node has asked.
    pub(crate) async fn hang_disk(&self, node_id: u64) {
        let disk = &self.disks[slot(node_id)];
        disk.hangs.store(true, Ordering::Release);
        self.until("the node looks at its disk", || async {
            disk.is_waited_for.load(Ordering::Acquire).then_some(())
        })
        .await;
    }

    /// What a node that must not start says.
    pub(crate) async fn refusal(&mut self, node_id: u64) -> Arc<Error> {
        self.start_node(node_id);
        let mut running = self.running[slot(node_id)].take().expect("just started");
        running.ended().await.expect_err("must not start")
    }

    /// Stops every node and starts all again, on other ports.
    pub(crate) async fn restart_elsewhere(&mut self) {
        for node_id in self.ids() {
            self.stop_node(node_id).await;
        }
        (self.members, self.reserved) = members(self.members.len() as u64);
        for node_id in self.ids() {
            self.start_node(node_id);
        }
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.members.iter().map(|member| member.node_id).collect()
    }

    pub(crate) fn client_addr(&self, node_id: u64) -> &str {
        &self.members[slot(node_id)].client_addr
    }

    fn channel(&self, node_id: u64) -> Channel {
        mesh::client::channel(self.client_addr(node_id)).expect("an address")
    }

    pub(crate) fn client(&self, node_id: u64) -> Client {
        LockStoreServiceClient::new(self.channel(node_id))
    }

    pub(crate) fn admin(&self, node_id: u64) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel(node_id))
    }

    pub(crate) async fn status(&self, node_id: u64) -> Result<pb::GetStatusResponse, Status> {
        match self
            .admin(node_id)
            .get_status(pb::GetStatusRequest {})
            .await
        {
            Ok(status) => Ok(status.into_inner()),
            Err(status) => Err(self.failed(node_id, status)),
        }
    }

    /// The status of a node that runs.
    pub(crate) async fn status_of(&self, node_id: u64) -> pb::GetStatusResponse {
        self.until("the node says where it stands", || async {
            self.status(node_id).await.ok()
        })
        .await
    }

    fn failed(&self, node_id: u64, status: Status) -> Status {
        let mut failures = self.failures.lock().expect("nothing panics with it");
        failures.insert(node_id, status.clone());
        status
    }

    /// Waits for `look` to find something.
    pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
        &self,
        what: &str,
        mut look: impl FnMut() -> F,
    ) -> T {
        let looking = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        match tokio::time::timeout(LIMIT, looking).await {
            Ok(found) => found,
            Err(_) => panic!("not within {LIMIT:?}: {what}{}", self.report().await),
        }
    }

    /// Where every node stands.
    async fn report(&self) -> String {
        let mut report = String::new();
        let failures = self
            .failures
            .lock()
            .expect("nothing panics with it")
            .clone();
        for node_id in self.ids() {
            let stands = match &self.running[slot(node_id)] {
                None => "doesn't run".to_owned(),
                Some(running) => match running.end() {
                    Some(end) => end,
                    None => match tokio::time::timeout(REPORT_WAIT, self.status(node_id)).await {
                        Ok(Ok(status)) => format!("serves: {status:?}"),
                        Ok(Err(status)) => format!("runs and gives no status: {status}"),
                        Err(_) => format!("runs and gives no status within {REPORT_WAIT:?}"),
                    },
                },
            };
            let _ = write!(report, "\nnode {node_id} {stands}");
            if let Some(status) = failures.get(&node_id) {
                let _ = write!(report, "\n  its last failure: {status}");
            }
        }
        report
    }

    /// The node that leads, once it does.
    pub(crate) async fn leader(&self) -> u64 {
        self.until("there is a leader", || async {
            for node_id in self.ids() {
                if let Ok(status) = self.status(node_id).await
                    && status.role() == pb::NodeRole::Leader
                {
                    return Some(node_id);
                }
            }
            None
        })
        .await
    }

    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        self.ids()
            .into_iter()
            .find(|id| *id != leader)
            .expect("three nodes")
    }

    /// Asks the leader, whoever that is, until it answers.
    pub(crate) async fn ask<T, F: Future<Output = Result<tonic::Response<T>, Status>>>(
        &self,
        ask: impl Fn(Client) -> F,
    ) -> T {
        self.until("the leader answers", || async {
            for node_id in self.ids() {
                match ask(self.client(node_id)).await {
                    Ok(answer) => return Some(answer.into_inner()),
                    // Anything else passes: a node that stops, or is killed in the middle, gives
                    // Cancelled, Unknown, Internal, ResourceExhausted and more.
                    Err(status) if is_final(status.code()) => panic!("node {node_id}: {status}"),
                    Err(status) => drop(self.failed(node_id, status)),
                }
            }
            None
        })
        .await
    }

    pub(crate) async fn now(&self) -> u64 {
        let ask = |mut client: Client| async move {
            client.get_time(pb::GetTimeRequest::default()).await
        };
        self.ask(ask).await.info.expect("info").cluster_time_ms
    }

    /// Cluster time now. The time that is asked for in vain counts as if it were before.
    pub(crate) async fn time(&self) -> Time {
        self.now().await;
        let asked = Instant::now();
        let ms = self.now().await;
        Time {
            ms,
            asked,
            answered: Instant::now(),
        }
    }

    async fn request(&self, id: Bytes) -> Option<pb::RequestInfo> {
        Some(pb::RequestInfo {
            id,
            not_after_ms: self.now().await + AHEAD_MS,
        })
    }

    /// Opens a show of one row that holds `ttl_ms`, and says its id.
    pub(crate) async fn open_show(&self, seats: u32, ttl_ms: u64) -> Bytes {
        let show_id = new_id();
        let request = pb::OpenShowRequest {
            request: self.request(new_id()).await,
            show_id: show_id.clone(),
            seat_count: seats,
            rules: Some(pb::ShowRules {
                hold_ttl_ms: ttl_ms,
                hold_total_ms_max: 1_800_000,
                seats_per_customer_max: 10,
                no_lone_seat: false,
            }),
            first_seat_no: 0,
            seats: vec![pb::LayoutSeat::default(); seats as usize],
            on_sale: true,
        };
        let answer = self
            .ask(|mut client| {
                let request = request.clone();
                async move { client.open_show(request).await }
            })
            .await;
        let outcome = answer.outcome.expect("an outcome");
        let pb::open_show_response::Outcome::Opened(opened) = outcome else {
            panic!("refused: {outcome:?}")
        };
        assert_eq!(
            (opened.state(), opened.seats_known),
            (pb::ShowState::OnSale, seats)
        );
        show_id
    }

    pub(crate) async fn try_hold(
        &self,
        show_id: &Bytes,
        seat_nos: &[u32],
    ) -> Result<Held, pb::Refusal> {
        let holder = new_id();
        let request = pb::HoldSeatsRequest {
            request: self.request(new_id()).await,
            show_id: show_id.clone(),
            holder: holder.clone(),
            seat_nos: seat_nos.to_vec(),
            ..Default::default()
        };
        let answer = self
            .ask(|mut client| {
                let request = request.clone();
                async move { client.hold_seats(request).await }
            })
            .await;
        match answer.outcome.expect("an outcome") {
            pb::hold_seats_response::Outcome::Held(hold) => Ok(Held {
                show_id: show_id.clone(),
                holder,
                hold,
            }),
            pb::hold_seats_response::Outcome::Refusal(refusal) => Err(refusal),
        }
    }

    pub(crate) async fn hold(&self, show_id: &Bytes, seat_nos: &[u32]) -> Held {
        self.try_hold(show_id, seat_nos)
            .await
            .expect("the seats are free")
    }

    pub(crate) async fn extend(&self, held: &Held, until_ms: u64) -> pb::Hold {
        let request = pb::ExtendHoldRequest {
            request: self.request(new_id()).await,
            show_id: held.show_id.clone(),
            holder: held.holder.clone(),
            hold_id: held.hold.hold_id.clone(),
            fence: held.hold.fence,
            until_ms,
        };
        let answer = self
            .ask(|mut client| {
                let request = request.clone();
                async move { client.extend_hold(request).await }
            })
            .await;
        match answer.outcome.expect("an outcome") {
            pb::extend_hold_response::Outcome::Extended(hold) => hold,
            pb::extend_hold_response::Outcome::Refusal(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    pub(crate) async fn release(&self, held: &Held) {
        let request = pb::ReleaseHoldRequest {
            request: self.request(new_id()).await,
            show_id: held.show_id.clone(),
            holder: held.holder.clone(),
            hold_id: held.hold.hold_id.clone(),
            fence: held.hold.fence,
        };
        let answer = self
            .ask(|mut client| {
                let request = request.clone();
                async move { client.release_hold(request).await }
            })
            .await;
        let outcome = answer.outcome.expect("an outcome");
        assert!(
            matches!(outcome, pb::release_hold_response::Outcome::Released(_)),
            "{outcome:?}"
        );
    }

    pub(crate) async fn commit(&self, held: &Held, booking_id: &Bytes) -> pb::SeatsSold {
        let request = pb::CommitHoldRequest {
            request: self.request(new_id()).await,
            show_id: held.show_id.clone(),
            hold_id: held.hold.hold_id.clone(),
            fence: held.hold.fence,
            seat_nos: held.hold.seat_nos.clone(),
            booking_id: booking_id.clone(),
        };
        let answer = self
            .ask(|mut client| {
                let request = request.clone();
                async move { client.commit_hold(request).await }
            })
            .await;
        match answer.outcome.expect("an outcome") {
            pb::commit_hold_response::Outcome::Sold(sold) => sold,
            pb::commit_hold_response::Outcome::Refusal(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    pub(crate) async fn give_back(&self, held: &Held, booking_id: &Bytes) -> pb::SeatsReturned {
        let request = pb::ReturnSeatsRequest {
            request: self.request(new_id()).await,
            show_id: held.show_id.clone(),
            fence: held.hold.fence,
            seat_nos: held.hold.seat_nos.clone(),
            booking_id: booking_id.clone(),
        };
        let answer = self
            .ask(|mut client| {
                let request = request.clone();
                async move { client.return_seats(request).await }
            })
            .await;
        match answer.outcome.expect("an outcome") {
            pb::return_seats_response::Outcome::Returned(returned) => returned,
            pb::return_seats_response::Outcome::Refusal(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    pub(crate) async fn show(&self, show_id: &Bytes) -> pb::GetShowResponse {
        self.ask(|mut client| {
            let request = pb::GetShowRequest {
                show_id: show_id.clone(),
                ..Default::default()
            };
            async move { client.get_show(request).await }
        })
        .await
    }

    /// Seat states, by letter: `A`vailable, `H`eld, `S`old.
    pub(crate) async fn seats(&self, show_id: &Bytes) -> String {
        let states = self.show(show_id).await.seat_states;
        states
            .iter()
            .map(|state| ['?', 'A', 'H', 'S', 'B'][usize::from(*state)])
            .collect()
    }

    /// Waits until every node has applied the same and has the same state; that is the leader's
    /// status then.
    pub(crate) async fn agrees(&self) -> pb::GetStatusResponse {
        self.until("every node has the same state", || async {
            let leader = self.leader().await;
            let status = self.status(leader).await.ok()?;
            let first = status.members.first()?;
            let leads = status.role() == pb::NodeRole::Leader;
            let same = leads
                && status.members.iter().all(|member| {
                    member.reachable
                        && member.applied == first.applied
                        && member.applied == status.last_log
                        && member.state_hash == first.state_hash
                });
            same.then_some(status)
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for disk in &self.disks {
            disk.hangs.store(false, Ordering::Release);
        }
    }
}

/// A granted hold and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) show_id: Bytes,
    pub(crate) holder: Bytes,
    pub(crate) hold: pb::Hold,
}

/// A reading of cluster time, and when it was taken by this process's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time {
    ms: u64,
    asked: Instant,
    answered: Instant,
}

impl Time {
    /// Cluster time never goes back, and goes on as true time does, whoever leads.
    pub(crate) fn assert_went_on_to(self, later: Self) {
        let least = later.asked.duration_since(self.answered);
        let earliest = self.ms + ms(least.saturating_sub(TIME_OFF_MAX));
        self.assert_came_to(later, earliest);
    }

    /// Time may have stood while nobody kept it, and that is all.
    pub(crate) fn assert_did_not_jump_to(self, later: Self) {
        self.assert_came_to(later, self.ms);
    }

    fn assert_came_to(self, later: Self, earliest: u64) {
        let most = later.answered.duration_since(self.asked);
        let latest = self.ms + ms(most + TIME_OFF_MAX);
        assert!(
            (earliest..=latest).contains(&later.ms),
            "{} became {}, which is not from {earliest} to {latest}",
            self.ms,
            later.ms
        );
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).expect("small")
}

/// Whether a request is wrong, so that no node ever takes it.
fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument | Code::FailedPrecondition | Code::Unimplemented
    )
}

/// 16 bytes that no other call gave.
pub(crate) fn new_id() -> Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = u128::from(NEXT.fetch_add(1, Ordering::Relaxed));
    Bytes::copy_from_slice(&number.to_be_bytes())
}
