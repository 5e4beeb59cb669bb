//! What a durable write costs on this disk right now: no latency means anything without it.

use std::{fs::File, io::Write, path::Path, time::Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Writes of the probe; about a second on a slow disk.
const WRITES: usize = 200;
/// Bytes of each write: one small log batch.
const WRITE_BYTES: usize = 4096;

/// Latencies of `fdatasync` after an append, one writer, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Probe {
    pub writes: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Appends and syncs in `dir`.
///
/// # Errors
/// If the folder can't be written.
pub fn probe(dir: &Path) -> Result<Probe> {
    let path = dir.join("fsync-probe");
    let mut file = File::create(&path)?;
    let mut latencies: Histogram<u64> = Histogram::new(3)?;
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[0x5a; WRITE_BYTES])?;
        file.sync_data()?;
        latencies.saturating_record(u64::try_from(began.elapsed().as_micros())?);
    }
    std::fs::remove_file(&path)?;
    let ms = |q| latencies.value_at_quantile(q) as f64 / 1000.0;
    Ok(Probe {
        writes: WRITES,
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
    })
}
