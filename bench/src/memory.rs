//! What each process of a running system holds resident, as the kernel counts it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use holdfast_harness::System;

/// Resident memory by process name, in MiB. PostgreSQL's is the sum over its processes, shared
/// pages counted in each.
///
/// # Errors
/// If the processes can't be found.
pub fn resident(system: &System) -> Result<BTreeMap<String, f64>> {
    let run = system.run()?;
    let mut found = BTreeMap::from([("up".to_owned(), tree_mib(run.up_pid, false)?)]);
    for (name, process) in &run.processes {
        let Some(pid) = process.pid else { continue };
        found.insert(name.clone(), tree_mib(pid, true)?);
    }
    Ok(found)
}

/// A process, and those below it if asked.
fn tree_mib(pid: u32, below: bool) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .context("no VmRSS")?
        .parse::<f64>()?;
    let mut sum = kib / 1024.0;
    if below {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            // One may end between the two reads.
            sum += tree_mib(child.parse()?, true).unwrap_or(0.0);
        }
    }
    Ok(sum)
}
