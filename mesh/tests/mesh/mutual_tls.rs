//! gRPC over mutual TLS, as those see it who may call, and those who may not.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use holdfast_mesh::{self as mesh, Failure, client::Channel, server::Callers, tls};
use holdfast_types::ErrorCode;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{
    Code, Request, Status,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    LIMIT,
    certificates::Authority,
    relay::{Relay, Way},
    text_service::{Server, call, start_as},
};

/// What all tests' servers say, line by line; a line is found by an address, which no other has.
#[derive(Clone)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn install() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Self(Arc::default());
            let writer = log.clone();
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::WARN)
                .with_ansi(false)
                .with_writer(move || writer.clone())
                .init();
            log
        })
        .clone()
    }

    /// Waits for a line with all of `words`.
    async fn wait(&self, words: &[&str]) {
        let found = timeout(LIMIT, async {
            loop {
                let text = self
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let text = String::from_utf8_lossy(&text).into_owned();
                if text
                    .lines()
                    .any(|line| words.iter().all(|w| line.contains(w)))
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        assert!(found.is_ok(), "no line with {words:?}");
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server of `b`, which `a` may call and `c` may not.
struct World {
    dir: TempDir,
    authority: Authority,
    server: Server,
    log: Log,
}

impl World {
    async fn start() -> Self {
        let log = Log::install();
        let dir = tempfile::tempdir().expect("a folder");
        let authority = Authority::new();
        authority.fill(dir.path(), &["a", "b", "c"]);
        let context = mesh::Context {
            identity: Some(identity(dir.path(), "b")),
            callers: Callers::new([("a", "test.v1.Text")]),
            ..mesh::Context::new()
        };
        let name_of = |request: Request<String>| async move {
            let peer = request.extensions().get::<mesh::server::Peer>().cloned();
            let name = peer.and_then(|peer| peer.name);
            Ok(name.map_or_else(String::new, |name| name.to_string()))
        };
        let server = start_as(context, name_of).await;
        Self {
            dir,
            authority,
            server,
            log,
        }
    }

    fn uri(&self) -> String {
        format!("https://{}", self.server.address)
    }

    fn channel(&self, name: &'static str, peer: &str) -> Channel {
        self.channel_to(&self.uri(), name, peer)
    }

    fn channel_to(&self, uri: &str, name: &'static str, peer: &str) -> Channel {
        let context = mesh::Context {
            identity: Some(identity(self.dir.path(), name)),
            ..mesh::Context::new()
        };
        context.channel(uri, peer).expect("a channel")
    }

    /// Calls with certificates that no process of ours would start with.
    async fn call_with(&self, dir: &Path, name: Option<&str>) -> Result<String, Status> {
        let read = |file: &str| fs::read(dir.join(file)).expect("a file");
        let authority = fs::read(self.dir.path().join(tls::CA_FILE)).expect("a file");
        let mut config = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority))
            .domain_name(format!("b.{}", tls::DOMAIN));
        if let Some(name) = name {
            let (pem, key) = (read(&format!("{name}.pem")), read(&format!("{name}.key")));
            config = config.identity(Identity::from_pem(pem, key));
        }
        let endpoint = Endpoint::from_shared(self.uri()).expect("an address");
        let channel = endpoint.tls_config(config).expect("good").connect_lazy();
        let mut client = HealthClient::new(channel);
        let answer = client.check(HealthCheckRequest::default());
        let answer = timeout(LIMIT, answer).await.expect("ends in time");
        answer.map(|answer| format!("{:?}", answer.into_inner().status()))
    }
}

fn identity(dir: &Path, name: &'static str) -> tls::Identity {
    tls::Identity::load(dir, name).unwrap_or_else(|error| panic!("{error}"))
}

fn ask() -> Request<String> {
    Request::new(String::new())
}

#[tokio::test]
async fn who_may_call_is_answered_and_known_by_name() {
    let world = World::start().await;
    let answer = call(&world.channel("a", "b"), ask()).await;
    assert_eq!(answer.expect("answers").into_inner(), "a");
}

#[tokio::test]
async fn who_may_not_call_is_refused_and_named_in_the_log() {
    let world = World::start().await;
    let refused = call(&world.channel("c", "b"), ask())
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let failure = Failure::from_status(&refused);
    assert_eq!(failure.code(), ErrorCode::Forbidden);
    let words = [
        "WARN",
        "its caller may not make it",
        "caller=\"c\"",
        "test.v1.Text/Call",
    ];
    world.log.wait(&words).await;
}

#[tokio::test]
async fn health_is_for_everyone_with_a_certificate() {
    let world = World::start().await;
    let channel = world.channel("c", "b");
    let answer = HealthClient::new(channel)
        .check(HealthCheckRequest::default())
        .await;
    answer.expect("answers");
}

#[tokio::test]
async fn a_client_talks_to_nobody_but_whom_it_asked_for() {
    let world = World::start().await;
    // The server is `b`, and shows so.
    let refused = call(&world.channel("a", "c"), ask()).await;
    assert_eq!(refused.expect_err("refused").code(), Code::Unavailable);
    world
        .log
        .wait(&["a handshake was refused", "by_client"])
        .await;
}

#[tokio::test]
async fn certificates_that_are_no_good_are_refused_and_the_log_says_whose_and_why() {
    let world = World::start().await;
    let other = tempfile::tempdir().expect("a folder");
    let own = world.dir.path();
    Authority::new().fill(other.path(), &["stranger"]);
    world.authority.issue_expired(own, "late");
    let names = [
        format!("twice.{}", tls::DOMAIN),
        format!("too.{}", tls::DOMAIN),
    ];
    let names = names.each_ref().map(String::as_str);
    world.authority.issue(own, "twice", &names, LIMIT);
    for (dir, name, reason) in [
        (other.path(), Some("stranger"), "other_authority"),
        (own, Some("late"), "expired"),
        (own, Some("twice"), "nameless"),
        (own, None, "no_certificate"),
    ] {
        let answer = world.call_with(dir, name).await;
        assert!(answer.is_err(), "{reason}: {answer:?}");
        let reason = format!("reason=\"{reason}\"");
        let claims = match name {
            Some(name) if name != "twice" => format!("claims_to_be=\"{name}\""),
            _ => "claims_to_be=\"nobody\"".to_owned(),
        };
        let words = [
            "WARN",
            "a handshake was refused",
            &reason,
            &claims,
            "peer=\"127.0.0.1:",
        ];
        world.log.wait(&words).await;
    }
    // And with one that is good it is answered.
    world.call_with(own, Some("c")).await.expect("answers");
}

#[tokio::test]
async fn plain_text_is_refused_and_the_log_names_the_address() {
    let world = World::start().await;
    let plain = format!("http://{}", world.server.address);
    let channel = mesh::client::channel(&plain).expect("a channel");
    let refused = call(&channel, ask()).await.expect_err("refused");
    // No handler's answer: the connection was of no use.
    let code = refused.code();
    assert!(
        matches!(code, Code::Unavailable | Code::Unknown),
        "{refused}"
    );

    let mut stream = TcpStream::connect(world.server.address)
        .await
        .expect("connects");
    let own = format!("peer=\"{}\"", stream.local_addr().expect("an address"));
    stream
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("is sent");
    let mut rest = Vec::new();
    let read = timeout(LIMIT, stream.read_to_end(&mut rest)).await;
    let _ = read.expect("is closed in time");
    world
        .log
        .wait(&["WARN", "reason=\"plain_text\"", &own])
        .await;
}

#[tokio::test]
async fn unfinished_handshakes_hold_up_nobody() {
    let world = World::start().await;
    let mut idle = Vec::new();
    // More than may be under way: the oldest make room.
    for _ in 0..600 {
        idle.push(
            TcpStream::connect(world.server.address)
                .await
                .expect("connects"),
        );
    }
    let answer = call(&world.channel("a", "b"), ask()).await;
    assert_eq!(answer.expect("answers").into_inner(), "a");
    let oldest = idle.first_mut().expect("there are some");
    let mut rest = Vec::new();
    let ended = timeout(LIMIT, oldest.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the oldest is given up");
    let newest = idle.last_mut().expect("there are some");
    let ended = timeout(LIMIT, newest.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "each has a limit of time");
}

#[tokio::test]
async fn a_peer_that_takes_connections_and_never_speaks_is_given_up_and_used_when_it_does() {
    let world = World::start().await;
    let speaks = Arc::new(AtomicBool::new(false));
    let way = Way::MuteUntil(Arc::clone(&speaks), world.server.address);
    let relay = Relay::start(way).await;
    let channel = world.channel_to(&format!("https://{}", relay.address), "a", "b");
    let mut patient = ask();
    patient.set_timeout(2 * LIMIT);
    let refused = timeout(LIMIT, call(&channel, patient)).await;
    let refused = refused.expect("the handshake has a limit of its own");
    assert_eq!(refused.expect_err("no answer").code(), Code::Unavailable);

    // Not one connection that was open is cut: the channel itself must make others.
    speaks.store(true, Ordering::Relaxed);
    let answered = timeout(LIMIT, async {
        loop {
            if let Ok(answer) = call(&channel, ask()).await {
                return answer.into_inner();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(answered.await.expect("in time"), "a");
}

#[tokio::test]
async fn grpc_in_the_clear_beyond_loopback_is_warned_of() {
    let log = Log::install();
    let anywhere = ([0, 0, 0, 0], 0).into();
    mesh::server::bind_grpc("in-the-clear", anywhere, true, &mesh::Context::new())
        .await
        .expect("is bound");
    let words = ["WARN", "whoever reaches it", "server=\"in-the-clear\""];
    log.wait(&words).await;
}

#[tokio::test]
async fn a_server_over_tls_without_a_table_answers_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    Authority::new().fill(dir.path(), &["a"]);
    let context = mesh::Context {
        identity: Some(identity(dir.path(), "a")),
        ..mesh::Context::new()
    };
    let server = start_as(context.clone(), |_| async { Ok(String::new()) }).await;
    let uri = format!("https://{}", server.address);
    let refused = call(&context.channel(&uri, "a").expect("a channel"), ask()).await;
    assert_eq!(refused.expect_err("refused").code(), Code::PermissionDenied);
}

#[test]
fn an_identity_ends_with_its_authority_where_that_is_earlier() {
    let dir = tempfile::tempdir().expect("a folder");
    Authority::good_for(LIMIT * 10).fill(dir.path(), &["a"]);
    let early = identity(dir.path(), "a");
    assert_eq!(early.first_to_end(), tls::CA_FILE);
    let expiry = tls::expiry(&dir.path().join(tls::CA_FILE)).expect("can be told");
    assert_eq!(early.expires(), expiry);
}

#[test]
fn identities_that_peers_would_refuse_are_not_loaded_and_the_file_is_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let (own, path) = (Authority::new(), dir.path());
    own.fill(path, &["good", "no_key", "other_key"]);
    fs::remove_file(path.join("no_key.key")).expect("removed");
    fs::copy(path.join("good.key"), path.join("other_key.key")).expect("copied");
    own.issue_expired(path, "late");
    own.issue(path, "renamed", &["good.holdfast.internal"], LIMIT);
    let elsewhere = tempfile::tempdir().expect("a folder");
    Authority::new().fill(elsewhere.path(), &["foreign"]);
    for file in ["foreign.pem", "foreign.key"] {
        fs::copy(elsewhere.path().join(file), path.join(file)).expect("copied");
    }
    fs::write(path.join("text.pem"), "nothing").expect("written");

    let good = tls::Identity::load(path, "good").expect("is good");
    assert_eq!(good.first_to_end(), "good.pem");
    let expiry = tls::expiry(&path.join("good.pem")).expect("can be told");
    assert_eq!(good.expires(), expiry);
    let cases: BTreeMap<&'static str, (&str, &str)> = [
        ("missing", ("missing.pem", "can't read")),
        ("no_key", ("no_key.key", "can't read")),
        ("other_key", ("other_key.key", "isn't the key of")),
        ("late", ("late.pem", "has expired")),
        (
            "renamed",
            ("renamed.pem", "must name renamed.holdfast.internal"),
        ),
        (
            "foreign",
            ("foreign.pem", "of another authority than ca.pem"),
        ),
        ("text", ("text.pem", "is no certificate")),
    ]
    .into();
    for (name, (file, why)) in cases {
        let error = tls::Identity::load(path, name).expect_err(name);
        let text = error.to_string();
        let file = path.join(file);
        assert!(text.contains(why), "{name}: {text}");
        assert!(text.contains(&file.display().to_string()), "{name}: {text}");
    }
}
