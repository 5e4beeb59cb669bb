//! What is sent of a snapshot, to a peer that is only played.

use std::{fs, future::pending, sync::Mutex, time::Duration};

use holdfast_types::Lineage;
use pb::{install_snapshot_request::Part, peer_service_server::PeerServiceServer};
use tempfile::TempDir;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming, transport::Server};

use super::*;
use crate::{
    config::{Config, Member},
    raft::{snapshot::Snapshots, types::SnapshotMeta},
};

const LENGTH: usize = 2 * limits::SNAPSHOT_CHUNK_BYTES + 5;

/// A peer that has some of the file, or is of release 0.1.0 and can't say.
struct Peer {
    has: Option<u64>,
    got: Arc<Mutex<Vec<Part>>>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl pb::peer_service_server::PeerService for Peer {
    async fn get_snapshot_progress(
        &self,
        _: Request<pb::GetSnapshotProgressRequest>,
    ) -> Answer<pb::GetSnapshotProgressResponse> {
        let offset = self.has.ok_or_else(|| Status::unimplemented("of 0.1.0"))?;
        Ok(Response::new(pb::GetSnapshotProgressResponse { offset }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::InstallSnapshotRequest>>,
    ) -> Answer<pb::InstallSnapshotResponse> {
        let mut parts = request.into_inner();
        let mut vote = None;
        while let Some(message) = parts.message().await? {
            let part = message.part.expect("of a kind");
            if let Part::Start(start) = &part {
                vote = start.vote;
            }
            self.got.lock().expect("nothing panics with it").push(part);
        }
        Ok(Response::new(pb::InstallSnapshotResponse { vote }))
    }

    async fn append_entries(
        &self,
        _: Request<pb::AppendEntriesRequest>,
    ) -> Answer<pb::AppendEntriesResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn vote(&self, _: Request<pb::VoteRequest>) -> Answer<pb::VoteResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn pre_vote(&self, _: Request<pb::PreVoteRequest>) -> Answer<pb::PreVoteResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn transfer_leader(
        &self,
        _: Request<pb::TransferLeaderRequest>,
    ) -> Answer<pb::TransferLeaderResponse> {
        Err(Status::unimplemented("not asked"))
    }

    async fn get_peer_status(
        &self,
        _: Request<pb::GetPeerStatusRequest>,
    ) -> Answer<pb::GetPeerStatusResponse> {
        Err(Status::unimplemented("not asked"))
    }
}

/// A file of random bytes.
fn file(folder: &TempDir) -> (Vec<u8>, SnapshotFile) {
    let snapshots = Snapshots::open(folder.path().to_owned(), "test".to_owned(), Lineage(1));
    let unfinished = snapshots.expect("opens").unfinished();
    let bytes: Vec<u8> = (0..LENGTH).map(|_| rand::random()).collect();
    fs::write(unfinished.path(), &bytes).expect("written");
    let file = SnapshotFile::open_unfinished(unfinished).expect("opens");
    (bytes, file)
}

/// What a peer that has `has` of `file` is sent.
async fn sent(file: SnapshotFile, has: Option<u64>) -> (pb::InstallSnapshotStart, Vec<Part>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("bound"));
    let got = Arc::new(Mutex::new(Vec::new()));
    let peer = Peer {
        has,
        got: Arc::clone(&got),
    };
    let service =
        PeerServiceServer::new(peer).max_decoding_message_size(limits::PEER_MESSAGE_BYTES_MAX);
    let serving = tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let member = |node_id| Member {
        node_id,
        peer_addr: address.clone(),
        client_addr: address.clone(),
    };
    let config = Config {
        members: vec![member(1), member(2)],
        ..Config::default()
    };
    let mut network = Network {
        peers: Arc::new(Peers::new(&config, None).expect("addresses")),
        clock: Arc::default(),
        behaviours: Arc::new(Behaviours::new(0, [2])),
        quorum: Arc::new(Quorum::new(false)),
    };
    let mut link = network
        .new_snapshot_client(2, &openraft::EmptyNode::new())
        .await;
    let snapshot = Snapshot {
        meta: SnapshotMeta::default(),
        snapshot: file,
    };
    let option = RPCOption::new(Duration::from_secs(60));
    let vote = Vote::new_committed(1, 1);
    let response = link.full_snapshot(vote, snapshot, pending(), option).await;
    assert_eq!(response.expect("sent").vote, vote);
    serving.abort();
    let mut got = std::mem::take(&mut *got.lock().expect("nothing panics with it"));
    let Part::Start(start) = got.remove(0) else {
        panic!("no start: {got:?}")
    };
    (start, got)
}

#[tokio::test]
async fn only_what_a_peer_lacks_of_a_snapshot_is_sent_in_checked_chunks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bytes, file) = file(&folder);
    for has in [0, limits::SNAPSHOT_CHUNK_BYTES + 7, LENGTH] {
        let (start, parts) = sent(file.clone(), Some(has as u64)).await;
        assert_eq!(start.crc32c, Some(crc32c::crc32c(&bytes)));
        assert_eq!((start.length, start.offset), (LENGTH as u64, has as u64));
        let mut at = has;
        for part in parts {
            let Part::Chunk(chunk) = part else {
                panic!("{part:?}")
            };
            assert_eq!(chunk.offset, at as u64);
            assert_eq!(chunk.crc32c, crc32c::crc32c(&chunk.bytes));
            let end = at + chunk.bytes.len();
            assert!(chunk.bytes == bytes[at..end] && end > at, "from {at}");
            at = end;
        }
        assert_eq!(at, LENGTH);
    }
}

#[tokio::test]
async fn peer_of_release_0_1_0_is_sent_a_snapshot_as_it_knows_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bytes, file) = file(&folder);
    let (start, parts) = sent(file, None).await;
    assert_eq!((start.crc32c, start.offset), (None, 0));
    let whole: Vec<u8> = parts
        .into_iter()
        .flat_map(|part| match part {
            Part::Bytes(bytes) => bytes,
            part => panic!("{part:?}"),
        })
        .collect();
    assert!(whole == bytes);
}
