//! What is printed and written.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{environment::Environment, fsync_probe::Probe, load::Measured};

/// All that one run found.
#[derive(Debug, Serialize)]
pub struct Report {
    environment: Environment,
    /// `fdatasync` before the load.
    fsync: Probe,
    /// Without load, if that was measured.
    idle: Option<Idle>,
    /// In the order of measuring.
    pub rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Idle {
    /// Seconds without load before the memory was read.
    seconds: u64,
    /// Resident memory of each process then, MiB.
    memory_mib: BTreeMap<String, f64>,
}

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: String,
    #[serde(flatten)]
    pub measured: Measured,
    /// `fdatasync` during this load.
    pub fsync: Probe,
}

impl Report {
    /// Of nothing yet.
    pub fn new(environment: Environment, fsync: Probe) -> Self {
        Self {
            environment,
            fsync,
            idle: None,
            rows: Vec::new(),
        }
    }

    /// Takes note of the memory of each process, MiB, after `length` without load.
    pub fn idle(&mut self, length: Duration, memory_mib: BTreeMap<String, f64>) {
        self.idle = Some(Idle {
            seconds: length.as_secs(),
            memory_mib,
        });
    }

    /// As tables, for people.
    pub fn print(&self) {
        println!("{}", self.environment);
        if let Some(idle) = &self.idle {
            println!("memory after {} s without load, MiB:", idle.seconds);
            for (name, mib) in &idle.memory_mib {
                println!("  {name:<14} {mib:>8.1}");
            }
        }
        println!(
            "fdatasync of 4 KiB before the load: p50 {:.2} ms, p99 {:.2} ms",
            self.fsync.p50_ms, self.fsync.p99_ms
        );
        println!(
            "{:<28}{:>8}{:>8}{:>10}{:>9}{:>9}{:>9}{:>9}{:>8}{:>8}{:>16}",
            "",
            "clients",
            "rate",
            "per s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "refused",
            "failed",
            "dropped",
            "fsync p50/p99"
        );
        for row in &self.rows {
            row.print();
        }
    }
}

impl Row {
    fn print(&self) {
        let m = &self.measured;
        let rate = m.rate.map_or("-".to_owned(), |rate| rate.to_string());
        let fsync = format!("{:.2}/{:.2}", self.fsync.p50_ms, self.fsync.p99_ms);
        println!(
            "{:<28}{:>8}{rate:>8}{:>10.1}{:>9.1}{:>9.1}{:>9.1}{:>9}{:>8}{:>8}{fsync:>16}",
            self.name,
            m.clients,
            m.per_second,
            m.p50_ms,
            m.p95_ms,
            m.p99_ms,
            m.refused,
            m.failed,
            m.dropped
        );
        if let Some(failure) = &m.first_failure {
            println!("  first failure: {failure}");
        }
    }
}
