//! What is looked at, over REST: a page, a seat map and which seats of a show of 20,000 are free, each beside
//! nginx serving the same bytes; what the gateway adds to one search; ten thousand open seat maps in a rush.
//!
//! Always holds: both servers answer the same requests of the same load generator, in turns within one run;
//! limits by address are on as they are by default (loopback has none).

mod nginx;
mod search;
pub mod sockets;
mod wrk;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use holdfast_harness::{Options, ShowRules, System};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use self::{nginx::Nginx, search::SearchFound, sockets::SocketsFound, wrk::Found};
use crate::environment::Environment;

/// The show: 20,000 seats.
const ROWS: u32 = 100;
const ROW_SEATS: u32 = 200;

/// What is measured.
#[derive(Debug)]
pub struct Plan {
    /// The program.
    pub holdfast: PathBuf,
    /// Where its data is kept.
    pub data_root: PathBuf,
    /// How often each page is measured at each server; a figure is the median.
    pub rounds: u32,
    /// Of one measurement of a page.
    pub length: Duration,
    /// Made-up shows that are searched among.
    pub shows: u32,
    /// Searches of each kind.
    pub searches: u32,
    /// Open seat maps.
    pub sockets: u32,
    /// Seconds of the rush.
    pub rush: Duration,
}

/// All that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    environment: Environment,
    nginx_version: String,
    wrk_version: String,
    /// The lowest of the event page's and the seat map's ratios, plain and gzip.
    cached_page_vs_nginx: f64,
    /// The lowest of availability's, as a list and as a bitmap, plain and gzip.
    availability_vs_nginx: f64,
    views: Vec<View>,
    search: SearchFound,
    sockets: SocketsFound,
}

/// One thing that is looked at, in one coding.
#[derive(Debug, Serialize)]
struct View {
    name: &'static str,
    gzip: bool,
    bytes: usize,
    ours: Found,
    nginx: Found,
    /// Requests a second, ours of nginx's.
    ratio: f64,
}

/// Starts a system and measures it.
///
/// # Errors
/// If it doesn't start or stop, or something isn't answered.
pub async fn measure(plan: &Plan, environment: Environment) -> Result<Report> {
    let (nginx_version, wrk_version) = (nginx::version()?, wrk::version()?);
    eprintln!("starting a system");
    let mut options = Options::new(&plan.holdfast);
    options.temp_root.clone_from(&plan.data_root);
    let mut system = System::start(options).await?;
    let mut organiser = system.organiser().await?;
    let show = organiser
        .open_show(ROWS, ROW_SEATS, ShowRules::default())
        .await?;
    let views = views(&system, plan, show).await?;
    let sockets = sockets::measure(&system, show, plan.sockets, plan.rush).await?;
    let search = search::measure(&system, plan.shows, plan.searches).await?;
    let lowest = |names: &[&str]| {
        let ratios = views.iter().filter(|view| names.contains(&view.name));
        ratios.map(|view| view.ratio).fold(f64::INFINITY, f64::min)
    };
    let report = Report {
        environment,
        nginx_version,
        wrk_version,
        cached_page_vs_nginx: lowest(&["event", "seatmap"]),
        availability_vs_nginx: lowest(&["availability", "availability_bitmap"]),
        views,
        search,
        sockets,
    };
    report.print();
    let status = system.stop().await.context("stopping the system")?;
    ensure!(status.success(), "the system ended with {status}");
    Ok(report)
}

async fn views(system: &System, plan: &Plan, show: Uuid) -> Result<Vec<View>> {
    let api = format!("{}/api/v1", system.run()?.api_url);
    let page = system.rest()?.get(&format!("/shows/{show}")).await?.ok()?;
    let event = page.body["event"]["event_id"].as_str();
    let event = event.context("an event")?.to_owned();
    let looked_at = [
        ("event", format!("{api}/events/{event}")),
        ("seatmap", format!("{api}/shows/{show}/seatmap")),
        ("availability", format!("{api}/shows/{show}/availability")),
        (
            "availability_bitmap",
            format!("{api}/shows/{show}/availability?format=bitmap"),
        ),
    ];
    let mut views = Vec::new();
    for (name, url) in looked_at {
        for gzip in [false, true] {
            views.push(view(system, plan, name, &url, gzip).await?);
        }
    }
    Ok(views)
}

/// Measures one thing at both servers, in turns.
async fn view(
    system: &System,
    plan: &Plan,
    name: &'static str,
    url: &str,
    gzip: bool,
) -> Result<View> {
    // The second time it comes from memory.
    fetch(url, gzip).await?;
    let bytes = fetch(url, gzip).await?;
    if !gzip {
        let _: Value = serde_json::from_slice(&bytes)?;
    }
    let nginx = Nginx::start(system.dir(), &bytes, gzip).await?;
    ensure!(
        fetch(nginx.url(), gzip).await? == bytes,
        "nginx answers otherwise"
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        ours.push(wrk::run(url, gzip, plan.length).await?);
        theirs.push(wrk::run(nginx.url(), gzip, plan.length).await?);
    }
    let (ours, nginx) = (wrk::median(ours)?, wrk::median(theirs)?);
    let ratio = ours.per_second / nginx.per_second;
    eprintln!(
        "{name}{}: {:.0}/s, nginx {:.0}/s, ratio {ratio:.2}",
        if gzip { ", gzip" } else { "" },
        ours.per_second,
        nginx.per_second
    );
    Ok(View {
        name,
        gzip,
        bytes: bytes.len(),
        ours,
        nginx,
        ratio,
    })
}

/// A body as it comes over the wire.
async fn fetch(url: &str, gzip: bool) -> Result<Vec<u8>> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let mut request = http.get(url);
    if gzip {
        request = request.header("accept-encoding", "gzip");
    }
    let answer = request.send().await?.error_for_status()?;
    let coding = answer.headers().get("content-encoding");
    ensure!(coding.is_some() == gzip, "{url}: coding {coding:?}");
    Ok(answer.bytes().await?.into())
}

impl Report {
    fn print(&self) {
        println!("{}", self.environment);
        println!("{}, {}", self.nginx_version, self.wrk_version);
        println!(
            "{:<22}{:>6}{:>10}{:>12}{:>12}{:>8}{:>10}{:>10}",
            "", "gzip", "bytes", "ours/s", "nginx/s", "ratio", "p99 ms", "nginx"
        );
        for view in &self.views {
            println!(
                "{:<22}{:>6}{:>10}{:>12.0}{:>12.0}{:>8.2}{:>10.2}{:>10.2}",
                view.name,
                view.gzip,
                view.bytes,
                view.ours.per_second,
                view.nginx.per_second,
                view.ratio,
                view.ours.p99_ms,
                view.nginx.p99_ms
            );
        }
        println!(
            "cached_page_vs_nginx {:.2} (at least 0.7), availability_vs_nginx {:.2} (at least 0.5)",
            self.cached_page_vs_nginx, self.availability_vs_nginx
        );
        self.search.print();
        self.sockets.print();
    }
}
