//! What processes hold resident and what time they spent, as the kernel counts it.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};
use holdfast_harness::System;

/// In which `/proc` counts time, on every Linux.
const TICKS_PER_S: f64 = 100.0;

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

/// CPU seconds, in user and kernel mode, that this process alone has spent.
///
/// # Errors
/// What the kernel says can't be read.
pub fn own_cpu_s() -> Result<f64> {
    cpu_s(std::process::id())
}

/// As [`own_cpu_s`], of another process and those below it.
///
/// # Errors
/// It has ended.
pub fn tree_cpu_s(pid: u32) -> Result<f64> {
    let mut sum = cpu_s(pid)?;
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    for child in children.split_whitespace() {
        // One may end between the two reads.
        sum += tree_cpu_s(child.parse()?).unwrap_or(0.0);
    }
    Ok(sum)
}

fn cpu_s(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, which may have blanks in it, ends with the last bracket.
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    let ticks = |nth: usize| -> Result<f64> {
        let field = fields.split(' ').nth(nth).context("too few fields")?;
        Ok(field.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// Memory of a process, and of those below it if asked, MiB.
///
/// # Errors
/// It has ended.
pub fn tree_mib(pid: u32, below: bool) -> Result<f64> {
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
