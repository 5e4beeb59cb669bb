//! What the gateway adds to one search that nobody asked before: the same questions to search-svc and
//! to the gateway, in turns, one at a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use holdfast_harness::System;
use holdfast_proto::search::v1::{SearchShowsRequest, search_service_client::SearchServiceClient};
use serde::Serialize;

/// Titles have these, some misspelt; every question is another by its first day.
const WORDS: [&str; 4] = ["night", "jazz", "sumer", "orchestra"];
/// 2026-12-01; each question begins a second later than the one before.
const FIRST_S: i64 = 1_796_083_200;
/// Before the first that counts.
const WARM_UP: u32 = 50;

/// In milliseconds.
#[derive(Debug, Serialize)]
pub struct SearchFound {
    shows: u32,
    searches: u32,
    service_p50_ms: f64,
    service_p95_ms: f64,
    gateway_p50_ms: f64,
    gateway_p95_ms: f64,
    /// The one p95 less the other.
    gateway_adds_p95_ms: f64,
}

impl SearchFound {
    pub fn print(&self) {
        println!(
            "one search of {} shows, uncached: search-svc p50 {:.2} ms, p95 {:.2} ms; through the gateway p50 {:.2} ms, p95 {:.2} ms; it adds {:.2} ms at p95 (under 2)",
            self.shows,
            self.service_p50_ms,
            self.service_p95_ms,
            self.gateway_p50_ms,
            self.gateway_p95_ms,
            self.gateway_adds_p95_ms
        );
    }
}

/// Makes up `shows` and asks `searches` of each.
///
/// # Errors
/// They aren't found, or something isn't answered.
pub async fn measure(system: &System, shows: u32, searches: u32) -> Result<SearchFound> {
    eprintln!("making up {shows} shows");
    system.cli(&["demo", "catalogue", "--shows", &shows.to_string()])?;
    let rest = system.rest()?;
    // It waits until all are in.
    system.cli(&["search", "rebuild"])?;
    let uri = system.run()?.services["search"].clone();
    let channel = system.certificates().channel(&uri, "gateway", "search")?;
    let mut service = SearchServiceClient::new(channel);
    eprintln!("{searches} searches of each kind");
    let (mut alone, mut through) = (histogram()?, histogram()?);
    for nth in 0..searches + WARM_UP {
        let word = WORDS[nth as usize % WORDS.len()];
        // Each asks another question than the other did, too.
        let from_s = FIRST_S + 2 * i64::from(nth);
        let request = SearchShowsRequest {
            q: word.to_owned(),
            from_ms: Some(from_s * 1_000),
            limit: 20,
            ..SearchShowsRequest::default()
        };
        let began = Instant::now();
        service.search_shows(request).await.context("search-svc")?;
        let took = began.elapsed();
        let from = rfc3339(from_s + 1);
        let path = format!("/search?q={word}&from={from}&limit=20");
        let began = Instant::now();
        let (status, _) = rest.get_bytes(&path).await?;
        let through_took = began.elapsed();
        ensure!(status == 200, "{path} is answered {status}");
        if nth >= WARM_UP {
            alone.record(us(took))?;
            through.record(us(through_took))?;
        }
    }
    let ms = |of: &Histogram<u64>, quantile| of.value_at_quantile(quantile) as f64 / 1_000.0;
    Ok(SearchFound {
        shows,
        searches,
        service_p50_ms: ms(&alone, 0.5),
        service_p95_ms: ms(&alone, 0.95),
        gateway_p50_ms: ms(&through, 0.5),
        gateway_p95_ms: ms(&through, 0.95),
        gateway_adds_p95_ms: ms(&through, 0.95) - ms(&alone, 0.95),
    })
}

fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new(3)?)
}

fn us(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

/// A second of 1 December 2026 or of the days after it.
fn rfc3339(at_s: i64) -> String {
    let s = at_s - FIRST_S;
    let (day, s) = (1 + s / 86_400, s % 86_400);
    format!(
        "2026-12-{day:02}T{:02}:{:02}:{:02}Z",
        s / 3_600,
        s / 60 % 60,
        s % 60
    )
}
