//! Ten thousand open seat maps of one show, in which a hundred seats a second change hands: how long a
//! change takes from when its hold was sent until a viewer has it, and what a viewer costs the gateway.
//!
//! The viewers are a process of their own, because each socket is a file at both ends. It writes down when
//! which message came; the clocks are one machine's.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use hdrhistogram::Histogram;
use holdfast_harness::System;
use holdfast_types::{DurationMs, HoldId, SeatNo, ShowId, UserId};
use lockstore_client::{Client, HoldOutcome, HoldSeats, Options, Selection};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::Command,
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use uuid::Uuid;

use crate::{holds::CALL_LIMIT, memory};

/// Seats that change hands in a second.
const CHANGES_PER_S: u32 = 100;
/// How long all may take to be open, and to have what was changed last.
const OPEN_MAX: Duration = Duration::from_secs(180);
const DELIVERED_MAX: Duration = Duration::from_secs(5);
/// Sockets that are being opened at once.
const OPENING_MAX: usize = 64;
/// Bytes of one message as it is written down: from which revision, to which, and when.
const SAMPLE_BYTES: usize = 24;

/// What the viewers' process is told.
#[derive(Debug, Clone, clap::Args)]
pub struct ViewersArgs {
    /// `host:port`.
    #[arg(long)]
    address: String,
    #[arg(long)]
    show: Uuid,
    #[arg(long)]
    count: u32,
    /// Where it writes down what came.
    #[arg(long)]
    samples: PathBuf,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct SocketsFound {
    sockets: u32,
    /// Those that were closed before the end.
    lost: u64,
    changes: u32,
    changes_per_s: f64,
    /// Messages that told of them.
    messages: usize,
    /// From when a hold was sent until one viewer had it, over all viewers.
    delivery_p50_ms: f64,
    delivery_p99_ms: f64,
    delivery_max_ms: f64,
    /// Of changes and viewers: each should have reached each.
    delivered: f64,
    /// Of the gateway's process, which has all other services in it.
    memory_before_mib: f64,
    memory_open_mib: f64,
    memory_rush_mib: f64,
    memory_per_socket_kib: f64,
    /// CPU seconds of that process in each second of the rush, and of the viewers'.
    gateway_cpus: f64,
    viewers_cpus: f64,
}

impl SocketsFound {
    pub fn print(&self) {
        println!(
            "{} seat maps open, {:.0} changes/s: delivery p50 {:.0} ms, p99 {:.0} ms (under 500), max {:.0} ms; {:.2} % delivered, {} lost; {:.1} KiB a socket ({:.0} MiB before, {:.0} open, {:.0} in the rush); CPUs {:.2}, the viewers' {:.2}",
            self.sockets,
            self.changes_per_s,
            self.delivery_p50_ms,
            self.delivery_p99_ms,
            self.delivery_max_ms,
            self.delivered * 100.0,
            self.lost,
            self.memory_per_socket_kib,
            self.memory_before_mib,
            self.memory_open_mib,
            self.memory_rush_mib,
            self.gateway_cpus,
            self.viewers_cpus
        );
    }
}

/// Opens `sockets` seat maps of `show`, and lets seats change hands for `rush`.
///
/// # Errors
/// They can't be opened, or nothing can be held.
pub async fn measure(
    system: &System,
    show: Uuid,
    sockets: u32,
    rush: Duration,
) -> Result<SocketsFound> {
    eprintln!("opening {sockets} seat maps");
    let run = system.run()?;
    let gateway = run.processes.get("all").and_then(|process| process.pid);
    let gateway = gateway.context("no process with the gateway")?;
    let memory = || memory::tree_mib(gateway, false);
    let samples = system.dir().join("samples");
    // Its limit of files is what it may have at most.
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""]);
    command.arg(std::env::current_exe()?);
    command.args(["--holdfast", "none", "--out", "none", "viewers"]);
    command.args(["--address", run.api_url.trim_start_matches("http://")]);
    command.args(["--show", &show.to_string()]);
    command.args(["--count", &sockets.to_string()]);
    command.arg("--samples").arg(&samples);
    let before = memory()?;
    let mut viewers = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let viewers_pid = viewers.id().context("it ended")?;
    let mut said = BufReader::new(viewers.stdout.take().context("its output")?).lines();
    let line = timeout(OPEN_MAX, said.next_line()).await;
    let line = line.context("the seat maps aren't open")??;
    ensure!(line.as_deref() == Some("open"), "the viewers said {line:?}");
    let open = memory()?;

    eprintln!("{CHANGES_PER_S} changes a second for {} s", rush.as_secs());
    let cpu = || -> Result<(f64, f64)> {
        Ok((
            memory::tree_cpu_s(gateway)?,
            memory::tree_cpu_s(viewers_pid)?,
        ))
    };
    let (cpu_before, began) = (cpu()?, Instant::now());
    let changes = change(system, show, rush).await?;
    let (took, cpu_after) = (began.elapsed().as_secs_f64(), cpu()?);
    let in_rush = memory()?;
    tokio::time::sleep(DELIVERED_MAX).await;
    let mut stdin = viewers.stdin.take().context("its input")?;
    stdin.write_all(b"stop\n").await?;
    drop(stdin);
    let line = said
        .next_line()
        .await?
        .context("the viewers said nothing")?;
    let lost = line.strip_prefix("lost ").context(line.clone())?.parse()?;
    let status = viewers.wait().await?;
    ensure!(status.success(), "the viewers ended with {status}");

    let bytes = fs::read(&samples)?;
    let (latencies, deliveries) = delivered(&changes, &bytes)?;
    let ms = |quantile| latencies.value_at_quantile(quantile) as f64 / 1_000.0;
    let count = u32::try_from(changes.len())?;
    Ok(SocketsFound {
        sockets,
        lost,
        changes: count,
        changes_per_s: f64::from(count) / took,
        messages: bytes.len() / SAMPLE_BYTES,
        delivery_p50_ms: ms(0.5),
        delivery_p99_ms: ms(0.99),
        delivery_max_ms: latencies.max() as f64 / 1_000.0,
        delivered: deliveries as f64 / (f64::from(count) * f64::from(sockets)),
        memory_before_mib: before,
        memory_open_mib: open,
        memory_rush_mib: in_rush,
        memory_per_socket_kib: (open - before) * 1_024.0 / f64::from(sockets),
        gateway_cpus: (cpu_after.0 - cpu_before.0) / took,
        viewers_cpus: (cpu_after.1 - cpu_before.1) / took,
    })
}

/// A change: its revision, and when it was sent, in microseconds since 1970.
type Changes = Vec<(u64, u64)>;

/// Holds one seat after another, at a fixed rate, whatever became of those before.
async fn change(system: &System, show: Uuid, rush: Duration) -> Result<Changes> {
    // As booking-svc, which alone may hold.
    let client = Client::connect_with(
        system.run()?.lockstore,
        Options {
            tls: Some(system.certificates().of("booking", "lockstore")?),
            ..Options::default()
        },
    );
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / CHANGES_PER_S);
    let mut holds = JoinSet::new();
    let count = CHANGES_PER_S * u32::try_from(rush.as_secs())?;
    for seat in 0..count {
        ticks.tick().await;
        let client = client.clone();
        holds.spawn(async move {
            let request = HoldSeats {
                hold_id: HoldId::from_uuid(Uuid::new_v4()),
                show_id: ShowId::from_uuid(show),
                holder: UserId::from_uuid(Uuid::new_v4()),
                selection: Selection::Seats(vec![SeatNo(seat)]),
                ttl: DurationMs(0),
                price_version: 1,
                late_money: false,
            };
            let sent = now_us();
            let answer = client.hold(request, CALL_LIMIT).await?;
            match answer.outcome {
                HoldOutcome::Held { hold, .. } => Ok((hold.fence.as_u64(), sent)),
                HoldOutcome::Refused(refusal) => Err(anyhow::anyhow!("{refusal:?}")),
            }
        });
    }
    let mut changes = Vec::new();
    while let Some(held) = holds.join_next().await {
        changes.push(held??);
    }
    changes.sort_unstable();
    Ok(changes)
}

/// How long each change took to each viewer, in microseconds, and how many there were.
fn delivered(changes: &Changes, samples: &[u8]) -> Result<(Histogram<u64>, u64)> {
    let mut latencies = Histogram::new(3)?;
    let mut deliveries = 0;
    for sample in samples.chunks_exact(SAMPLE_BYTES) {
        let number =
            |at: usize| -> Result<u64> { Ok(u64::from_le_bytes(sample[at..at + 8].try_into()?)) };
        let (previous, revision, came) = (number(0)?, number(8)?, number(16)?);
        // What it tells of: after `previous`, up to `revision`.
        let first = changes.partition_point(|(at, _)| *at <= previous);
        let end = changes.partition_point(|(at, _)| *at <= revision);
        for (_, sent) in &changes[first..end] {
            latencies.record(came.saturating_sub(*sent))?;
            deliveries += 1;
        }
    }
    Ok((latencies, deliveries))
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let us = since.map(|since| since.as_micros()).unwrap_or_default();
    u64::try_from(us).unwrap_or(u64::MAX)
}

/// The viewers' process: opens all, says `open`, writes down what comes until it is told to stop, and says
/// how many were lost.
///
/// # Errors
/// One can't be opened.
pub async fn view(args: &ViewersArgs) -> Result<()> {
    let samples = Arc::new(Mutex::new(Vec::with_capacity(64 * 1024 * 1024)));
    let lost = Arc::new(AtomicU64::new(0));
    let url = format!("ws://{}/api/v1/shows/{}/live", args.address, args.show);
    let mut viewers = JoinSet::new();
    let opening = futures::stream::iter(0..args.count)
        .map(|_| open(&args.address, &url))
        .buffer_unordered(OPENING_MAX);
    let mut opening = std::pin::pin!(opening);
    while let Some(socket) = opening.next().await {
        let (mut socket, samples, lost) = (socket?, Arc::clone(&samples), Arc::clone(&lost));
        viewers.spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = &message
                    && let Some(sample) = sample(text)
                {
                    let mut samples = samples.lock().expect("nobody panics with it");
                    samples.extend_from_slice(&sample);
                }
            }
            lost.fetch_add(1, Ordering::Relaxed);
        });
    }
    println!("open");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    let lost = lost.load(Ordering::Relaxed);
    viewers.abort_all();
    fs::write(
        &args.samples,
        &*samples.lock().expect("nobody panics with it"),
    )?;
    println!("lost {lost}");
    Ok(())
}

async fn open(address: &str, url: &str) -> Result<tokio_tungstenite::WebSocketStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    // Ten thousand of them; a rush's messages are small.
    let config = WebSocketConfig::default()
        .read_buffer_size(2_048)
        .write_buffer_size(0);
    let opened = client_async_with_config(url, stream, Some(config));
    let (mut socket, _) = timeout(OPEN_MAX, opened).await??;
    // What it begins with.
    let first = timeout(OPEN_MAX, socket.next()).await?;
    ensure!(matches!(first, Some(Ok(_))), "it was closed: {first:?}");
    Ok(socket)
}

/// Of a delta; without reading all of it, because there are forty thousand a second.
fn sample(text: &str) -> Option<[u8; SAMPLE_BYTES]> {
    if !text.contains("\"delta\"") {
        return None;
    }
    let number = |name: &str| -> Option<u64> {
        let (_, rest) = text.split_once(name)?;
        rest.split('"').next()?.parse().ok()
    };
    let previous = number("\"previous_revision\":\"")?;
    let revision = number("\"revision\":\"")?;
    let mut sample = [0; SAMPLE_BYTES];
    sample[..8].copy_from_slice(&previous.to_le_bytes());
    sample[8..16].copy_from_slice(&revision.to_le_bytes());
    sample[16..].copy_from_slice(&now_us().to_le_bytes());
    Some(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_found_in_the_message_that_tells_of_it() {
        let text = r#"{"type":"delta","revision":"30","previous_revision":"10","changes":[]}"#;
        let mut told = sample(text).expect("is a delta");
        assert_eq!(told[..8], 10_u64.to_le_bytes());
        assert_eq!(told[8..16], 30_u64.to_le_bytes());
        assert!(sample(r#"{"type":"bookmark","revision":"30"}"#).is_none());
        told[16..].copy_from_slice(&9_000_u64.to_le_bytes());
        let changes = vec![(10, 1_000), (20, 2_000), (30, 8_000), (31, 8_500)];
        let (latencies, deliveries) = delivered(&changes, &told).expect("is read");
        assert_eq!(
            (deliveries, latencies.min(), latencies.max()),
            (2, 1_000, 7_003)
        );
    }
}
