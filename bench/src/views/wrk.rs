//! `wrk`: as many requests as a server answers, on connections that are kept.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::process::Command;

/// Of the load generator, which has the machine's processors as the servers have.
const THREADS: u32 = 2;
const CONNECTIONS: u32 = 64;

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// Its version.
///
/// # Errors
/// It isn't installed.
pub fn version() -> Result<String> {
    // It ends with 1 having said it.
    let output = std::process::Command::new("wrk").arg("-v").output();
    let output = output.context("wrk can't be run; `make bench-read` installs what is missing")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

/// Asks for `url` all the time.
///
/// # Errors
/// Something is answered that isn't a success, or nothing.
pub async fn run(url: &str, gzip: bool, length: Duration) -> Result<Found> {
    let mut command = Command::new("wrk");
    command.args(["--latency", "-t", &THREADS.to_string()]);
    command.args(["-c", &CONNECTIONS.to_string()]);
    command.args(["-d", &format!("{}s", length.as_secs())]);
    if gzip {
        command.args(["-H", "Accept-Encoding: gzip"]);
    }
    let output = command
        .arg(url)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(output.status.success(), "wrk ended with {}", output.status);
    read(&String::from_utf8_lossy(&output.stdout))
}

fn read(text: &str) -> Result<Found> {
    for wrong in ["Non-2xx", "Socket errors"] {
        if let Some(line) = text.lines().find(|line| line.contains(wrong)) {
            bail!("{}", line.trim());
        }
    }
    let after = |start: &str| {
        let line = text
            .lines()
            .find_map(|line| line.trim().strip_prefix(start));
        line.map(str::trim)
            .with_context(|| format!("no {start} in {text}"))
    };
    Ok(Found {
        per_second: after("Requests/sec:")?.parse()?,
        p50_ms: ms(after("50%")?)?,
        p99_ms: ms(after("99%")?)?,
    })
}

/// `12.34ms`, `567.00us`, `1.20s`.
fn ms(text: &str) -> Result<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)];
    for (unit, factor) in units {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * factor);
        }
    }
    bail!("{text} is no time")
}

/// The one in the middle, by requests a second.
///
/// # Errors
/// There is none.
pub fn median(mut found: Vec<Found>) -> Result<Found> {
    found.sort_by(|one, another| one.per_second.total_cmp(&another.per_second));
    let middle = found.get(found.len() / 2).cloned();
    middle.context("nothing was measured")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "Running 2s test @ http://127.0.0.1:1/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.05ms  403.12us  12.34ms   92.13%
  Latency Distribution
     50%  980.00us
     75%    1.20ms
     90%    1.45ms
     99%    2.31ms
  120000 requests in 2.00s, 1.00GB read
Requests/sec:  59876.54
Transfer/sec:    512.00MB
";

    #[test]
    fn what_it_says_is_read_and_what_went_wrong_is_refused() {
        let found = read(SAID).expect("is read");
        assert_eq!(
            (found.per_second, found.p50_ms, found.p99_ms),
            (59_876.54, 0.98, 2.31)
        );
        let wrong = format!("{SAID}  Non-2xx or 3xx responses: 7\n");
        assert!(read(&wrong).is_err());
        assert!(read("").is_err());
    }
}
