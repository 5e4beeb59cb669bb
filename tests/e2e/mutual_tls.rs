//! Who is answered by the processes of a running system: those with a certificate of its authority,
//! and each for what its part may call. What is refused is said.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::{Certificates, Expected, Look, System, until, with_system};
use holdfast_proto::{
    booking::v1::{ListBookingsRequest, booking_service_client::BookingServiceClient},
    lockstore::v1::{
        GetPeerStatusRequest, HoldSeatsRequest, WatchRequest,
        lock_store_service_client::LockStoreServiceClient, peer_service_client::PeerServiceClient,
    },
};
use tonic::{
    Code, Status,
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::options;

/// What this test makes the servers say.
const REFUSED: &[Expected] = &[
    Expected {
        process: "",
        words: &["a call was refused: its caller may not make it"],
        reason: "the test calls what it may not",
    },
    Expected {
        process: "",
        words: &["a handshake was refused"],
        reason: "the test shows certificates that are no good",
    },
];

#[tokio::test]
async fn processes_answer_only_those_who_may_call_them() {
    with_system(options().expecting(REFUSED), async |system| {
        let certificates = system.certificates();
        calls_of_other_parts_are_refused(system, &certificates).await?;
        strangers_are_refused(system, &certificates).await?;
        health_is_for_every_part(system, &certificates).await?;
        let dir = system.dir().join("tls");
        let dir = dir.to_str().context("a path that isn't UTF-8")?;
        let shown = system.cli(&["certs", "show", "--dir", dir])?;
        ensure!(shown.contains("booking"), "{shown}");
        system.cli(&["cluster", "status"])?;
        Ok(())
    })
    .await;
}

async fn calls_of_other_parts_are_refused(
    system: &System,
    certificates: &Certificates,
) -> Result<()> {
    let run = system.run()?;
    let booking = certificates.channel(&run.services["booking"], "search", "booking")?;
    let asked = BookingServiceClient::new(booking)
        .list_bookings(ListBookingsRequest::default())
        .await;
    forbidden("booking-svc of search", asked)?;
    said(system, "all", &["ListBookings", "caller=\"search\""]).await?;

    let store = certificates.channel(&run.lockstore[0], "gateway", "lockstore")?;
    let mut store = LockStoreServiceClient::new(store);
    let asked = store.hold_seats(HoldSeatsRequest::default()).await;
    forbidden("the lock store of the gateway", asked)?;
    said(system, "lockstore-1", &["HoldSeats", "caller=\"gateway\""]).await?;
    // Following it may.
    store.watch(WatchRequest::default()).await?;

    let uri = peer_plane(system)?;
    for name in ["gateway", "booking", "operator"] {
        let channel = certificates.channel(&uri, name, "lockstore")?;
        let asked = PeerServiceClient::new(channel)
            .get_peer_status(GetPeerStatusRequest::default())
            .await;
        forbidden(&format!("a node's peers of {name}"), asked)?;
    }
    let channel = certificates.channel(&uri, "lockstore", "lockstore")?;
    let asked = PeerServiceClient::new(channel)
        .get_peer_status(GetPeerStatusRequest::default())
        .await;
    let code = asked.err().map(|status| status.code());
    ensure!(code != Some(Code::PermissionDenied), "nodes talk");
    Ok(())
}

async fn strangers_are_refused(system: &System, certificates: &Certificates) -> Result<()> {
    let foreign = system.dir().join("foreign");
    let folder = foreign.to_str().context("a path that isn't UTF-8")?;
    system.cli(&["certs", "init", "--dir", folder])?;
    system.cli(&["certs", "issue", "--dir", folder, "gateway"])?;
    let shown = fs::read(foreign.join("gateway.pem"))?;
    let key = fs::read(foreign.join("gateway.key"))?;
    let own = tonic::transport::Identity::from_pem(shown, key);
    let run = system.run()?;
    for (process, server, uri, peer) in [
        ("all", "booking", run.services["booking"].clone(), "booking"),
        (
            "lockstore-1",
            "lockstore",
            run.lockstore[0].clone(),
            "lockstore",
        ),
        (
            "lockstore-1",
            "lockstore-peer",
            peer_plane(system)?,
            "lockstore",
        ),
    ] {
        let server = format!("server=\"{server}\"");
        let refused = async |words: &[&str]| {
            let line = ["a handshake was refused", server.as_str()];
            let words: Vec<&str> = line.iter().chain(words).copied().collect();
            said(system, process, &words).await
        };
        let nobody = certificates.of_nobody(peer)?;
        no_answer(&uri, Some(nobody.clone())).await?;
        refused(&["reason=\"no_certificate\""]).await?;
        no_answer(&uri, Some(nobody.identity(own.clone()))).await?;
        refused(&["reason=\"other_authority\"", "claims_to_be=\"gateway\""]).await?;
        no_answer(&uri.replace("https://", "http://"), None).await?;
        refused(&["reason=\"plain_text\"", "peer=\"127.0.0.1:"]).await?;
    }
    Ok(())
}

async fn health_is_for_every_part(system: &System, certificates: &Certificates) -> Result<()> {
    let run = system.run()?;
    let services = run.services.iter().map(|(name, uri)| (name.as_str(), uri));
    let nodes = run.lockstore.iter().map(|uri| ("lockstore", uri));
    for (peer, uri) in services.chain(nodes) {
        for name in ["payment", "operator"] {
            let channel = certificates.channel(uri, name, peer)?;
            health(channel)
                .await
                .with_context(|| format!("health of {peer} for {name}"))?;
        }
    }
    Ok(())
}

async fn health(channel: Channel) -> Result<(), Status> {
    let mut client = HealthClient::new(channel);
    client.check(HealthCheckRequest::default()).await?;
    Ok(())
}

/// Checks that not even health is answered.
async fn no_answer(uri: &str, tls: Option<ClientTlsConfig>) -> Result<()> {
    let mut endpoint = Endpoint::from_shared(uri.to_owned())?;
    if let Some(tls) = tls {
        endpoint = endpoint.tls_config(tls)?;
    }
    let answer = health(endpoint.connect_lazy()).await;
    ensure!(answer.is_err(), "{uri} answers a stranger");
    Ok(())
}

fn forbidden<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) -> Result<()> {
    match answer {
        Err(status) if status.code() == Code::PermissionDenied => Ok(()),
        other => anyhow::bail!("{what} should be refused: {other:?}"),
    }
}

/// Waits until a process has said a line with all of `words`.
async fn said(system: &System, process: &str, words: &[&str]) -> Result<()> {
    let log = system.dir().join("logs").join(format!("{process}.log"));
    let limit = std::time::Duration::from_secs(20);
    until(&format!("{process} to say {words:?}"), limit, async || {
        let text = fs::read_to_string(&log)?;
        let found = text
            .lines()
            .any(|line| words.iter().all(|w| line.contains(w)));
        Ok(if found {
            Look::Found(())
        } else {
            Look::NotYet("it hasn't".to_owned())
        })
    })
    .await
}

/// The address of the first node's peer plane, which only its peers need to know.
fn peer_plane(system: &System) -> Result<String> {
    let text = fs::read_to_string(system.dir().join("config/lockstore-1.toml"))?;
    let config: toml::Table = text.parse()?;
    let listen = config["lockstore"]["listen_peer"].as_str();
    Ok(format!("https://{}", listen.context("no listen_peer")?))
}
