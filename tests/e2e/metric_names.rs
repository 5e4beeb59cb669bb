//! `docs/metrics.md` has what `/metrics` shows, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use holdfast_harness::System;

/// Documented metrics that aren't there while nothing goes wrong and nobody asks for more than a
/// ticket. A slow machine may show some of them.
const SILENT: &[&str] = &[
    "gateway_live_viewers",
    "gateway_live_viewers_slow_total",
    "gateway_pages_made_total",
    "gateway_rate_limited_total",
    "gateway_searches_stale_total",
    "grpc_client_breaker_changes_total",
    "grpc_client_breakers_open",
    "grpc_client_refused_total",
    "grpc_client_retries_total",
    "grpc_server_calls_forbidden_total",
    "holdfast_booking_again_total",
    "holdfast_booking_alarms_total",
    "holdfast_booking_refunds_total",
    "holdfast_booking_seats_returned_total",
    "holdfast_booking_steps_taken_over_total",
    "holdfast_booking_unreadable_total",
    "holdfast_eventlog_pruned_total",
    "holdfast_payment_again_total",
    "holdfast_payment_disputes_total",
    "holdfast_payment_refunds_failed_total",
    "holdfast_payment_reconciled_total",
    "holdfast_payment_refunded_minor_units_total",
    "holdfast_payment_refunded_total",
    "holdfast_search_searches_total",
    "holdfast_search_seconds",
    "holdfast_search_segment_answers_total",
    "holdfast_search_suggest_seconds",
    "identity_refresh_reuses_total",
    "lockstore_conflicts_total",
    "lockstore_overloaded_total",
    "lockstore_time_jumps_total",
    "lockstore_watchers_slow_total",
    "tls_handshakes_refused_total",
    "trace_spans_total",
];

/// Asserts it of a system that sold a ticket.
pub(crate) async fn are_documented(system: &System) -> Result<()> {
    let documented = documented()?;
    let mut seen = BTreeSet::new();
    for (process, run) in system.run()?.processes {
        let Some(url) = run.ops_url else { continue };
        let answer = reqwest::get(format!("{url}/metrics")).await?;
        let text = answer.error_for_status()?.text().await?;
        let shown = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        for (name, kind) in shown.filter_map(|line| line.split_once(' ')) {
            let should = documented
                .get(name)
                .with_context(|| format!("{process} shows {name}, which docs/metrics.md hasn't"))?;
            let kind = match kind {
                "histogram" | "summary" => "distribution",
                other => other,
            };
            ensure!(kind == should, "{name} is a {kind}, documented as {should}");
            seen.insert(name.to_owned());
        }
    }
    let missing: Vec<&String> = documented
        .keys()
        .filter(|name| !seen.contains(*name) && !SILENT.contains(&name.as_str()))
        .collect();
    ensure!(
        missing.is_empty(),
        "documented, and shown by no process: {missing:?}"
    );
    let gone: Vec<&&str> = SILENT
        .iter()
        .filter(|name| !documented.contains_key(**name))
        .collect();
    ensure!(gone.is_empty(), "no metrics any more: {gone:?}");
    Ok(())
}

/// Name and kind of each row of the page.
fn documented() -> Result<BTreeMap<String, String>> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let page = std::fs::read_to_string(page)?;
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| {
        let (name, rest) = row.split_once("` | ")?;
        let (kind, _) = rest.split_once(" |")?;
        Some((name.to_owned(), kind.to_owned()))
    });
    Ok(rows.collect())
}
