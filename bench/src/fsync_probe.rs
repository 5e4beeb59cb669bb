//! What a durable write costs on this disk: no latency means anything without it. Taken before the
//! load and, at a low pace, beside it: disks answer differently when they are busy.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Writes of the probe before the load; about a second on a slow disk.
const WRITES: u32 = 200;
/// Bytes of each write: one small log batch.
const WRITE_BYTES: usize = 4096;
/// Between two writes beside a load: few enough to be no load themselves.
const PACE: Duration = Duration::from_millis(50);

/// Latencies of `fdatasync` after an append, one writer, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Probe {
    pub writes: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Appends and syncs in `dir`, one write after the other.
///
/// # Errors
/// If the folder can't be written.
pub fn probe(dir: &Path) -> Result<Probe> {
    let mut left = WRITES;
    write_while(&dir.join("fsync-probe"), Duration::ZERO, || {
        left = left.saturating_sub(1);
        left > 0
    })
}

/// A probe that runs beside a load. Dropped, it ends at its next write.
pub struct Beside {
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Result<Probe>>>,
}

impl Beside {
    /// Begins to append and sync in `dir`, every 50 ms.
    pub fn start(dir: &Path) -> Self {
        let path = dir.join("fsync-probe-beside");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let writer = std::thread::spawn(move || {
            write_while(&path, PACE, || !stopped.load(Ordering::Relaxed))
        });
        Self {
            stop,
            writer: Some(writer),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// If the folder couldn't be written.
    pub fn stop(mut self) -> Result<Probe> {
        self.stop.store(true, Ordering::Relaxed);
        let writer = self.writer.take().expect("taken here only");
        writer
            .join()
            .map_err(|_| anyhow!("the fdatasync probe panicked"))?
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write_while(path: &Path, pace: Duration, mut more: impl FnMut() -> bool) -> Result<Probe> {
    let mut file = File::create(path)?;
    let mut latencies: Histogram<u64> = Histogram::new(3)?;
    loop {
        let began = Instant::now();
        file.write_all(&[0x5a; WRITE_BYTES])?;
        file.sync_data()?;
        latencies.saturating_record(u64::try_from(began.elapsed().as_micros())?);
        if !more() {
            break;
        }
        std::thread::sleep(pace);
    }
    std::fs::remove_file(path)?;
    let ms = |q| latencies.value_at_quantile(q) as f64 / 1000.0;
    Ok(Probe {
        writes: latencies.len(),
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_probes_write_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().expect("a folder");
        let beside = Beside::start(dir.path());
        let before = probe(dir.path()).expect("a probe");
        assert_eq!(before.writes, u64::from(WRITES));
        let beside = beside.stop().expect("a probe");
        assert!(beside.writes >= 1, "{beside:?}");
        let left = std::fs::read_dir(dir.path()).expect("readable").count();
        assert_eq!(left, 0);
    }
}
