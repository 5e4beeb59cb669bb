//! Puts a node together, serves, and takes it apart again.
//!
//! Always holds: nothing listens before the configuration and the data directory are accepted;
//! when [`serve`] returns, the data directory can be opened again, unless it said that something
//! still used it; consensus and the peer plane run on a thread of their own, which clients don't keep
//! from its work.

use std::{
    sync::{Arc, OnceLock, RwLock},
    time::Duration,
};

use holdfast_mesh as mesh;
use holdfast_proto::lockstore::v1::{
    admin_service_server::AdminServiceServer, lock_store_service_server::LockStoreServiceServer,
    peer_service_server::PeerServiceServer,
};
use holdfast_types::Lineage;
use tokio::{
    net::TcpListener,
    runtime::Handle,
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use crate::{
    Error,
    behaviour::{self, Behaviours},
    clock::Clock,
    config::Config,
    disk::{self, Disk, FreeSpace},
    founding::Founding,
    freshness::Freshness,
    grpc,
    identity::{Identity, log_folder, snapshot_folder},
    leader, limits,
    machine::Machine,
    peers::Peers,
    proposer::Proposer,
    raft::{
        Node, Parts,
        log_store::LogStore,
        peer_service::PeerServer,
        snapshot::Snapshots,
        watermark::{self, Watermark},
    },
    replay,
    status::StatusSource,
    threads::Threads,
    wall::Wall,
    watch,
};

/// The client plane's name in readiness and logs.
const NAME: &str = "lockstore";
/// The peer plane's name in errors.
const PEER_NAME: &str = "lockstore-peer";
/// How long a leader that stops waits for another to take over.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);

/// Runs a node until `context.shutdown`. The client plane's address and readiness are under
/// `lockstore` in `context.readiness`; it is ready while it knows a leader.
///
/// # Errors
/// [`Error`] if it can't start, must not (its state is another's, or lost), or stopped by itself.
pub async fn serve(config: Config, context: mesh::Context) -> Result<(), Error> {
    serve_with(config, context, Surroundings::default()).await
}

/// What a node finds around it, so that a test can put other things there.
#[doc(hidden)]
pub struct Surroundings {
    /// How much disk space is free.
    pub free_space: FreeSpace,
    /// The newest behaviour that it knows: that of an older release in tests of two together.
    pub knows: u32,
    /// By how many milliseconds its wall clock is ahead of this machine's.
    pub wall_ahead_ms: i64,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            free_space: disk::free_space(),
            knows: behaviour::NEWEST,
            wall_ahead_ms: 0,
        }
    }
}

/// [`serve`] in other surroundings.
///
/// # Errors
/// As [`serve`].
#[doc(hidden)]
pub async fn serve_with(
    config: Config,
    context: mesh::Context,
    surroundings: Surroundings,
) -> Result<(), Error> {
    config.validate(context.identity.is_some())?;
    context.readiness.declare(NAME);
    let found = Identity::read(&config)?;
    let path = log_folder(&config.data_dir);
    let opening = path.clone();
    let opened =
        tokio::task::spawn_blocking(move || LogStore::open(&opening, limits::LOG_TAIL_BYTES_MAX))
            .await
            .map_err(|error| Error::Raft(error.to_string()))?;
    let (log, closed) = opened.map_err(|error| Error::Log {
        path,
        source: Box::new(error),
    })?;
    let disk = Arc::new(Disk::new(&config, surroundings.free_space));
    let wall = Wall {
        ahead_ms: surroundings.wall_ahead_ms,
    };
    let result = run(surroundings.knows, wall, config, &context, found, log, disk).await;
    // It resolves, with nothing, when the last of the node has let go of the database.
    if tokio::time::timeout(limits::SHUTDOWN_TIMEOUT, closed)
        .await
        .is_err()
    {
        tracing::warn!("the log was still in use when the node stopped");
    }
    result
}

/// What every part of a running node shares.
struct Shared {
    /// Where consensus runs.
    threads: Handle,
    behaviours: Arc<Behaviours>,
    wall: Wall,
    config: Arc<Config>,
    log: LogStore,
    watermark: Watermark,
    snapshots: Arc<Snapshots>,
    machine: Arc<Machine>,
    clock: Arc<Clock>,
    peers: Arc<Peers>,
    status: Arc<StatusSource>,
    disk: Arc<Disk>,
    node: Arc<OnceLock<Node>>,
}

async fn run(
    knows: u32,
    wall: Wall,
    config: Config,
    context: &mesh::Context,
    found: Option<Identity>,
    log: LogStore,
    disk: Arc<Disk>,
) -> Result<(), Error> {
    let identity = Identity::settle(found, &config, &log).await?;
    let lineage = Lineage(config.lineage);
    let folder = snapshot_folder(&config.data_dir);
    let snapshots = Snapshots::open(folder, config.cluster_id.clone(), lineage)?;
    let snapshots = Arc::new(snapshots.knowing(knows));
    let watermark = Watermark::settle(&config, identity.incarnation(), &log, &snapshots).await?;
    tokio::select! {
        () = disk.look() => {}
        () = context.shutdown.cancelled() => return Ok(()),
    }
    let machine = Arc::new(Machine::new(lineage).knowing(knows));
    let clock = Arc::new(Clock::default());
    let threads = Threads::start().map_err(|error| Error::Raft(error.to_string()))?;
    let peers = {
        // Its connections are driven where it is made.
        let _there = threads.handle().enter();
        Arc::new(Peers::new(&config, context.identity.as_ref())?)
    };
    let node = Arc::new(OnceLock::new());
    let others = config.members.iter().map(|member| member.node_id);
    let others = others.filter(|node_id| *node_id != config.node_id);
    let behaviours = Arc::new(Behaviours::new(knows, others));
    let status = Arc::new(StatusSource {
        node_id: config.node_id,
        incarnation: identity.incarnation(),
        founders: RwLock::default(),
        node: Arc::clone(&node),
        machine: Arc::clone(&machine),
        clock: Arc::clone(&clock),
        disk: Arc::clone(&disk),
        behaviours: Arc::clone(&behaviours),
    });
    let (listen, insecure) = (config.listen_peer, config.insecure);
    let own = context.clone();
    let binding = async move { mesh::server::bind_grpc(PEER_NAME, listen, insecure, &own).await };
    let listener = threads.handle().spawn(binding).await.map_err(broke)??;
    tracing::info!(node = config.node_id, listen = %config.listen_peer, "serving peers");
    let peer_server = PeerServer {
        peers: Arc::clone(&peers),
        clock: Arc::clone(&clock),
        snapshots: Arc::clone(&snapshots),
        status: Arc::clone(&status),
        node: Arc::clone(&node),
        behaviour: knows,
        receiving: Arc::new(Semaphore::new(limits::SNAPSHOTS_RECEIVED_MAX)),
    };
    let stop_peers = CancellationToken::new();
    let mut serving_peers = threads.handle().spawn(serve_peers(
        listener,
        peer_server,
        context.clone(),
        stop_peers.clone(),
    ));

    let config = Arc::new(config);
    let shared = Shared {
        threads: threads.handle().clone(),
        behaviours,
        wall,
        config,
        log,
        watermark,
        snapshots,
        machine,
        clock,
        peers,
        status,
        disk,
        node,
    };
    let result = tokio::select! {
        result = take_part(shared, context) => result,
        // Without its peers it is of no use.
        ended = &mut serving_peers => match ended {
            Ok(result) => result.map_err(Error::from),
            Err(error) => Err(broke(error)),
        },
    };
    stop_peers.cancel();
    if !serving_peers.is_finished()
        && tokio::time::timeout(limits::SHUTDOWN_TIMEOUT, &mut serving_peers)
            .await
            .is_err()
    {
        serving_peers.abort();
    }
    threads.stop().await;
    result
}

/// A task of the node panicked, or its threads are gone.
fn broke(error: JoinError) -> Error {
    Error::Raft(error.to_string())
}

async fn serve_peers(
    listener: TcpListener,
    server: PeerServer,
    context: mesh::Context,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let service = PeerServiceServer::new(server)
        .max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
    Server::builder()
        .layer(mesh::server::callers(&context))
        .add_service(service)
        .serve_with_incoming_shutdown(
            mesh::server::connections(PEER_NAME, listener, &context),
            stop.cancelled_owned(),
        )
        .await
}

/// From founding to shutdown.
async fn take_part(shared: Shared, context: &mesh::Context) -> Result<(), Error> {
    let founding = Founding {
        config: &shared.config,
        log: &shared.log,
        peers: &shared.peers,
        status: &shared.status,
    };
    if !founding.wait(&context.shutdown).await? {
        return Ok(());
    }
    let Shared {
        threads,
        behaviours,
        wall,
        config,
        log,
        watermark,
        snapshots,
        machine,
        clock,
        peers,
        status,
        disk,
        node: cell,
    } = shared;
    watermark::ask_leader(&config.data_dir, &log, &snapshots, &peers).await?;
    let parts = Parts {
        log,
        snapshots: Arc::clone(&snapshots),
        machine: Arc::clone(&machine),
        peers: Arc::clone(&peers),
        clock: Arc::clone(&clock),
        disk: Arc::clone(&disk),
        behaviours: Arc::clone(&behaviours),
    };
    let starting = {
        let config = Arc::clone(&config);
        async move { Node::start(&config, parts).await }
    };
    // All tasks of consensus are where this one is.
    let node = threads.spawn(starting).await.map_err(broke)??;
    let node = cell.get_or_init(|| node).clone();
    let ids = || config.members.iter().map(|member| member.node_id);
    if ids().min() == Some(config.node_id) {
        node.initialize(ids()).await?;
    }

    // Beyond the other tasks, and consensus.
    let (mut keeping, stop_keeping) = (JoinSet::new(), CancellationToken::new());
    keeping.spawn(watermark.keep(stop_keeping.clone()));
    let mut tasks = JoinSet::new();
    let stop_tasks = CancellationToken::new();
    let proposer = Proposer::start(
        node.clone(),
        Arc::clone(&machine),
        Arc::clone(&clock),
        Arc::clone(&behaviours),
        wall,
    );
    tasks.spawn(leader::keep_time(
        node.clone(),
        Arc::clone(&machine),
        Arc::clone(&clock),
        wall,
        stop_tasks.clone(),
    ));
    tasks.spawn(leader::tick(
        proposer.clone(),
        Arc::clone(&machine),
        Arc::clone(&clock),
        Arc::clone(&behaviours),
        wall,
        stop_tasks.clone(),
    ));
    tasks.spawn(replay::keep_short(
        node.clone(),
        Arc::clone(&machine),
        snapshots,
        config.snapshot_log_mb,
        stop_tasks.clone(),
    ));
    let freshness = || Freshness {
        node: node.clone(),
        node_id: config.node_id,
        machine: Arc::clone(&machine),
        clock: Arc::clone(&clock),
    };
    tasks.spawn(watch::keep_bookmarks(freshness(), stop_tasks.clone()));
    tasks.spawn(disk::watch(
        Arc::clone(&disk),
        node.clone(),
        config.node_id,
        Arc::clone(&peers),
        Arc::clone(&clock),
        stop_tasks.clone(),
    ));
    let (speaking, freshness) = (Arc::clone(&clock), freshness());
    let decider = Arc::new(grpc::Decider {
        config: Arc::clone(&config),
        node: node.clone(),
        machine,
        behaviours,
        disk: Arc::clone(&disk),
        proposer,
    });
    let reader = Arc::new(grpc::Reader {
        decider: Arc::clone(&decider),
        clock,
        freshness,
        reads: Semaphore::new(limits::READS_IN_FLIGHT_MAX),
        waiting: Semaphore::new(limits::READS_WAITING_MAX),
    });
    let client = grpc::Client {
        decider,
        reader,
        watchers: Arc::new(Semaphore::new(limits::WATCHERS_MAX)),
        streams: Arc::new(Semaphore::new(limits::HOLD_STREAMS_MAX)),
        shutdown: context.shutdown.clone(),
    };
    let admin = grpc::Admin {
        config: Arc::clone(&config),
        peers: Arc::clone(&peers),
        status,
        decider: Arc::clone(&client.decider),
        reader: Arc::clone(&client.reader),
        asking: Semaphore::new(limits::STATUSES_IN_FLIGHT_MAX),
    };
    let served = CancellationToken::new();
    let serving = async {
        let _served = served.clone().drop_guard();
        tokio::select! {
            result = serve_clients(&config, client, admin, &node, speaking, context) => result,
            Some(ended) = keeping.join_next() => joined(ended),
        }
    };
    // As soon as it is to stop: while calls drain, another can lead already.
    let handing_over = async {
        tokio::select! {
            biased;
            () = context.shutdown.cancelled() => hand_over(&node, config.node_id, &peers).await,
            () = served.cancelled() => {}
        }
    };
    let (mut result, ()) = tokio::join!(serving, handing_over);
    // It may have been made the leader meanwhile, or end for another reason.
    hand_over(&node, config.node_id, &peers).await;
    stop_tasks.cancel();
    while tasks.join_next().await.is_some() {}
    node.shutdown().await;
    stop_keeping.cancel();
    while let Some(ended) = keeping.join_next().await {
        result = result.and(joined(ended));
    }
    result
}

fn joined(ended: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    ended.map_err(|error| Error::Raft(error.to_string()))?
}

/// If this node leads, makes another lead, one that can go on at once if there is one, and waits until
/// it does.
async fn hand_over(node: &Node, node_id: u64, peers: &Peers) {
    let leads = || node.standing().borrow().leader == Some(node_id);
    if !leads() {
        return;
    }
    // One that is short of space hands it on, when it finds another.
    let handed_over =
        disk::hand_over(node, peers).await || (leads() && node.hand_over(|_| true).await);
    if !handed_over {
        return;
    }
    let mut standing = node.standing();
    let taken =
        standing.wait_for(|standing| standing.leader.is_some_and(|leader| leader != node_id));
    if tokio::time::timeout(HAND_OVER_MAX, taken).await.is_err() {
        tracing::warn!("nobody took over the leadership in time");
    }
}

async fn serve_clients(
    config: &Config,
    client: grpc::Client,
    admin: grpc::Admin,
    node: &Node,
    clock: Arc<Clock>,
    context: &mesh::Context,
) -> Result<(), Error> {
    let clients = LockStoreServiceServer::new(client)
        .max_decoding_message_size(limits::CLIENT_MESSAGE_BYTES_MAX);
    let routes = Routes::new(clients).add_service(AdminServiceServer::new(admin));
    let options = mesh::server::Options {
        name: NAME,
        listen: config.listen_client,
        insecure: config.insecure,
        descriptor_set: holdfast_proto::FILE_DESCRIPTOR_SET,
    };
    let serving = mesh::server::serve_grpc(options, routes, context);
    tokio::pin!(serving);
    tokio::select! {
        result = &mut serving => result.map_err(Error::from),
        stopped = leader::watch(NAME, node.clone(), clock, config.node_id, context) => match stopped {
            Some(why) => Err(Error::Raft(why)),
            None => serving.await.map_err(Error::from),
        },
    }
}
