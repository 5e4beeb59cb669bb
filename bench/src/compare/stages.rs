//! What an entry goes through on the leader, from the nodes' own histograms.
//!
//! Always holds: what is told is what was added between two looks, of the node that added most.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context, Result};
use serde::Serialize;

/// The histogram, and where its label's value stands.
const BUCKETS: &str = "lockstore_stage_seconds_bucket{stage=\"";

/// A stage, in milliseconds as far as the buckets tell: the bound that so many stay under.
#[derive(Debug, Serialize)]
pub struct Stage {
    stage: String,
    entries: u64,
    p50_ms_max: f64,
    p99_ms_max: f64,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<10} {:>7} entries, p50 up to {} ms, p99 up to {} ms",
            self.stage, self.entries, self.p50_ms_max, self.p99_ms_max
        )
    }
}

/// Each stage's buckets: bound in seconds, and how many were not above it.
pub type Counts = BTreeMap<String, Vec<(f64, u64)>>;

/// Of each node.
///
/// # Errors
/// One doesn't answer, or nothing that can be read.
pub async fn of(urls: &[String]) -> Result<Vec<Counts>> {
    let mut all = Vec::new();
    for url in urls {
        let text = reqwest::get(url).await?.error_for_status()?.text().await?;
        all.push(read(&text).with_context(|| format!("in {url}"))?);
    }
    Ok(all)
}

fn read(text: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(BUCKETS) else {
            continue;
        };
        let (stage, rest) = rest.split_once("\",le=\"").context("no bound")?;
        let (bound, count) = rest.split_once("\"} ").context("no count")?;
        let bound = match bound {
            "+Inf" => f64::INFINITY,
            bound => bound.parse()?,
        };
        let buckets = counts.entry(stage.to_owned()).or_default();
        buckets.push((bound, count.parse()?));
    }
    Ok(counts)
}

/// What was added, of the node that proposed; nothing if none did.
pub fn since(before: &[Counts], after: &[Counts]) -> Vec<Stage> {
    let total = |counts: &Counts| {
        let buckets = counts.get("proposed").and_then(|buckets| buckets.last());
        buckets.map_or(0, |(_, count)| *count)
    };
    let nodes = before.iter().zip(after);
    let leader = nodes.max_by_key(|(before, after)| total(after) - total(before));
    let Some((before, after)) = leader.filter(|(before, after)| total(after) > total(before))
    else {
        return Vec::new();
    };
    ["proposed", "persisted", "committed", "applied", "answered"]
        .into_iter()
        .filter_map(|stage| {
            let old = before.get(stage).map_or(&[][..], Vec::as_slice);
            let added: Vec<(f64, u64)> = after
                .get(stage)?
                .iter()
                .enumerate()
                .map(|(nth, (bound, count))| {
                    let old = old.get(nth).map_or(0, |(_, count)| *count);
                    (*bound, count - old)
                })
                .collect();
            let entries = added.last()?.1;
            let ms_max = |part: f64| {
                let wanted = (entries as f64 * part).ceil() as u64;
                let bucket = added.iter().find(|(_, count)| *count >= wanted);
                bucket.map_or(f64::INFINITY, |(bound, _)| bound * 1000.0)
            };
            Some(Stage {
                stage: stage.to_owned(),
                entries,
                p50_ms_max: ms_max(0.5),
                p99_ms_max: ms_max(0.99),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(counts: [u64; 3]) -> Result<Counts> {
        let [a, b, c] = counts;
        read(&format!(
            "# TYPE lockstore_stage_seconds histogram\n\
             lockstore_stage_seconds_bucket{{stage=\"proposed\",le=\"0.001\"}} {a}\n\
             lockstore_stage_seconds_bucket{{stage=\"proposed\",le=\"0.01\"}} {b}\n\
             lockstore_stage_seconds_bucket{{stage=\"proposed\",le=\"+Inf\"}} {c}\n\
             lockstore_stage_seconds_sum{{stage=\"proposed\"}} 0.5\n"
        ))
    }

    #[test]
    fn stages_are_what_the_leader_added() -> Result<()> {
        let before = [text([0, 5, 5])?, text([2, 2, 2])?];
        let after = [text([0, 6, 6])?, text([62, 102, 102])?];
        let stages = since(&before, &after);
        assert_eq!(stages.len(), 1);
        assert_eq!(stages[0].entries, 100);
        assert_eq!((stages[0].p50_ms_max, stages[0].p99_ms_max), (1.0, 10.0));
        assert!(since(&before, &before).is_empty());
        Ok(())
    }
}
