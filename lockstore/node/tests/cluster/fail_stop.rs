//! Writes that fail: the node ends at once, nothing is acknowledged after it, and what was before is
//! there when it starts again.

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use bytes::Bytes;
use holdfast_mesh as mesh;
use holdfast_proto::lockstore::v1 as pb;
use lockstore_node::{Config, Error};
use prost::Message;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::support::{Cluster, new_id};

const TTL_MS: u64 = 600_000;
/// How far ahead in cluster time requests may take effect.
const AHEAD_MS: u64 = 50_000;
/// The configuration of a node that runs in a process of its own, as JSON.
const CONFIG: &str = "LOCKSTORE_TEST_NODE";
/// What a process ends with that could not write its log: `EX_IOERR`.
const EXIT_WRITE_FAILED: i32 = 74;
/// Bytes in front of the body of a framed file.
const FRAME_BYTES: usize = 5;

/// The process that [`Process::start`] makes of this program.
#[test]
#[ignore = "it is no test of its own"]
fn node_in_a_process_of_its_own() {
    let Ok(text) = std::env::var(CONFIG) else {
        return;
    };
    let config: Config = serde_json::from_str(&text).expect("as it was given");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let served = runtime.block_on(lockstore_node::serve(config, mesh::Context::new()));
    served.expect("it ends by a failed write");
}

struct Process(Child);

impl Process {
    fn start(config: &Config) -> Self {
        // A file beyond its limit is an error to a process that ignores the signal, and the end of
        // one that doesn't.
        let child = Command::new("sh")
            .args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#])
            .arg(std::env::current_exe().expect("known"))
            .args(["--exact", "fail_stop::node_in_a_process_of_its_own"])
            .args(["--ignored", "--nocapture"])
            .env(CONFIG, serde_json::to_string(config).expect("plain data"))
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("starts"))
    }

    /// From now on no file of it can be written.
    fn forbid_writes(&self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let nothing = Rlimit {
            current: Some(0),
            ..getrlimit(Resource::Fsize)
        };
        prlimit(pid, Resource::Fsize, nothing).expect("set");
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("known")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Asks once, by this cluster time, to hold a seat; whether it is held.
async fn hold_once(cluster: &Cluster, show_id: &Bytes, seat: u32, not_after_ms: u64) -> bool {
    let mut request = tonic::Request::new(pb::HoldSeatsRequest {
        request: Some(pb::RequestInfo {
            id: new_id(),
            not_after_ms,
        }),
        show_id: show_id.clone(),
        holder: new_id(),
        seat_nos: vec![seat],
        ..Default::default()
    });
    request.set_timeout(Duration::from_secs(10));
    let mut client = cluster.client(1);
    let Ok(answer) = client.hold_seats(request).await else {
        return false;
    };
    let outcome = answer.into_inner().outcome;
    assert!(
        matches!(outcome, Some(pb::hold_seats_response::Outcome::Held(_))),
        "{outcome:?}"
    );
    true
}

/// Waits until the watermark has what the log has, so that it isn't what is written next.
async fn until_noted(cluster: &Cluster) {
    let path = cluster.data_dir(1).join("watermark");
    let noted = || {
        let framed = fs::read(&path).ok()?;
        pb::Watermark::decode(framed.get(FRAME_BYTES..)?)
            .ok()?
            .committed
    };
    cluster
        .until("the watermark is up with the log", || async {
            let last = cluster.status(1).await.ok()?.last_log;
            (last.is_some() && last == noted()).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn log_that_can_not_be_written_ends_the_process_and_nothing_more_is_acknowledged() {
    const SEATS: u32 = 60;
    const HELD: u32 = 10;
    let mut cluster = Cluster::prepare(1, |config| config.free_space_min_mb = 0);
    let mut process = Process::start(&cluster.config(1));
    let show = cluster.open_show(SEATS, TTL_MS).await;
    for seat in 0..HELD {
        cluster.hold(&show, &[seat]).await;
    }
    until_noted(&cluster).await;
    let not_after_ms = cluster.now().await + AHEAD_MS;
    process.forbid_writes();
    let asked = (HELD..SEATS).map(|seat| hold_once(&cluster, &show, seat, not_after_ms));
    let held = futures::future::join_all(asked).await;
    assert!(!held.contains(&true), "acknowledged: {held:?}");
    let status = cluster
        .until("the process ends", || {
            let ended = process.ended();
            async move { ended }
        })
        .await;
    assert_eq!(status.code(), Some(EXIT_WRITE_FAILED), "{status}");

    cluster.start_node(1);
    let seats = cluster.seats(&show).await;
    let expected = "H".repeat(10) + &"A".repeat(50);
    assert_eq!(seats, expected, "what was acknowledged, and nothing else");
}

/// Asks for seat after seat until the node has ended, and says which were held.
async fn hold_until_the_end(cluster: &mut Cluster, show: &Bytes, seats: u32) -> (String, String) {
    let mut expected = String::new();
    let not_after_ms = cluster.now().await + AHEAD_MS;
    for seat in 0..seats {
        let held = hold_once(cluster, show, seat, not_after_ms).await;
        expected.push(if held { 'H' } else { '?' });
        if !held {
            break;
        }
    }
    let error = cluster.ended(1).await;
    (expected, error.to_string())
}

/// What was acknowledged is there; one that got no answer may be.
async fn assert_there(cluster: &Cluster, show: &Bytes, expected: &str) {
    let seats = cluster.seats(show).await;
    for (found, expected) in seats.chars().zip(expected.chars()) {
        assert!(expected == '?' || found == expected, "{seats}: {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_that_can_not_be_written_ends_the_node() {
    const SEATS: u32 = 60;
    let mut cluster = Cluster::prepare(1, |config| config.snapshot_logs_since_last = 20);
    cluster.start_node(1);
    let show = cluster.open_show(SEATS, TTL_MS).await;
    let snapshots = cluster.data_dir(1).join("snapshots");
    fs::remove_dir(&snapshots).expect("none yet");
    let (expected, error) = hold_until_the_end(&mut cluster, &show, SEATS).await;
    assert!(error.contains(&*snapshots.to_string_lossy()), "{error}");
    cluster.start_node(1);
    assert_there(&cluster, &show, &expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watermark_that_can_not_be_written_ends_the_node() {
    const SEATS: u32 = 60;
    let mut cluster = Cluster::prepare(1, |_| {});
    cluster.start_node(1);
    let show = cluster.open_show(SEATS, TTL_MS).await;
    let in_the_way = cluster.data_dir(1).join("watermark.unfinished");
    cluster
        .until("a folder is in its way", || async {
            fs::create_dir(&in_the_way).ok()
        })
        .await;
    cluster.hold(&show, &[0]).await;
    let error = cluster.ended(1).await;
    let named = |path: &Path| path.ends_with("watermark");
    assert!(
        matches!(&*error, Error::Io { path, .. } if named(path)),
        "{error}"
    );
    fs::remove_dir(in_the_way).expect("removed");
    cluster.start_node(1);
    assert_there(&cluster, &show, "HAAA").await;
}
