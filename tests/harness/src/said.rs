//! What the processes of a system said at WARN or above, and what of it a test expects.
//!
//! Always holds: a loud line that no entry of the test's list expects fails the test; so does a
//! panic, a program's last words, and a process that ended by itself, which are loud whatever they
//! are called. Leaves to others: which lines a test expects ([`crate::Options::expected`]).

use std::{fs, path::Path};

use anyhow::{Result, ensure};

/// Lines that a failure shows: the first ones tell the cause.
const SHOWN_MAX: usize = 20;

/// What `up` says of children that don't do as they should; it knows no levels.
const OF_UP: [&str; 5] = [
    "warning: ",
    " ended (",
    " did not stop within ",
    " could not be ",
    ": supervision failed",
];

/// A loud line that is no failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Whose: how the process's name begins, so that `lockstore` is every node. `up` is what
    /// `holdfast up` itself prints.
    pub process: &'static str,
    /// What the line contains, each of them: the event's own words, and what tells it from a
    /// worse one.
    pub words: &'static [&'static str],
    /// Why it is no failure.
    pub reason: &'static str,
}

/// A line of a process's log.
struct Line<'a> {
    process: &'a str,
    text: &'a str,
}

impl Expected {
    fn covers(&self, line: &Line<'_>) -> bool {
        line.process.starts_with(self.process)
            && self.words.iter().all(|words| line.text.contains(words))
    }
}

/// Reads every log of the data directory `dir`, and what `up` printed.
///
/// # Errors
/// A loud line that none of `expected` covers; a log that can't be read.
pub(crate) fn check(dir: &Path, expected: &[Expected]) -> Result<()> {
    let mut files: Vec<_> = fs::read_dir(dir.join("logs"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.push(dir.join("up.out"));
    files.sort();
    let mut unexpected = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // `lockstore-1.log`, and `lockstore-1.log.1` that was moved aside.
        let process = name.split('.').next().unwrap_or_default();
        let text = fs::read(&file)?;
        let text = String::from_utf8_lossy(&text);
        let found = unexpected_lines(process, &text, expected);
        unexpected.extend(found.map(|line| format!("{process}: {line}")));
    }
    let more = unexpected.len().saturating_sub(SHOWN_MAX);
    let shown = &unexpected[..unexpected.len() - more];
    ensure!(
        unexpected.is_empty(),
        "lines at WARN or above that the test doesn't expect ({more} more):\n{}",
        shown.join("\n")
    );
    Ok(())
}

fn unexpected_lines<'a>(
    process: &'a str,
    text: &'a str,
    expected: &'a [Expected],
) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter(|line| is_loud(process, line))
        .filter(move |text| {
            let line = Line { process, text };
            !expected.iter().any(|one| one.covers(&line))
        })
}

/// At WARN or above, in the words of whoever wrote it.
fn is_loud(process: &str, line: &str) -> bool {
    // Of ours: time, level, and then anything.
    let of_ours = || matches!(line.split_whitespace().nth(1), Some("WARN" | "ERROR"));
    // Of Postgres: time, `[pid]`, level with a colon.
    let of_postgres = || {
        let said = line.split_once("] ").map_or("", |(_, said)| said);
        let level = said.split_once(':').map_or("", |(level, _)| level);
        matches!(level, "WARNING" | "ERROR" | "FATAL" | "PANIC")
    };
    let of_a_panic = || line.starts_with("thread '") && line.contains("panicked at");
    let last_words = || line.starts_with("holdfast: ");
    let of_up = || process == "up" && OF_UP.iter().any(|words| line.contains(words));
    of_ours() || of_postgres() || of_a_panic() || last_words() || of_up()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
2026-11-26T14:00:00.000001Z  INFO lockstore_node::leader: leader leader=1 term=1
2026-11-26T14:00:00.000002Z  WARN rpc{id=1}: holdfast_mesh::server::call: failed rpc.code=Unavailable
2026-11-26T14:00:00.000003Z ERROR lockstore_node::raft: the log's thread panicked
2026-11-26 14:00:00.000 UTC [17] LOG:  database system is ready to accept connections
2026-11-26 14:00:00.001 UTC [18] FATAL:  the database system is starting up
2026-11-26 14:00:00.001 UTC [18] STATEMENT:  SELECT 'ERROR: none'
thread 'main' (7) panicked at src/main.rs:1:1:
holdfast: gateway failed: no port
lockstore-1 ended (exit code 70); starting it again in 0.2 s, see lockstore-1.log
warning: lockstore-1 is not ready
  Lock store: ready (1.0 s), no WARN";

    fn found(process: &str, expected: &[Expected]) -> usize {
        unexpected_lines(process, LOG, expected).count()
    }

    #[test]
    fn loud_lines_of_every_kind_are_found_and_no_others() {
        assert_eq!(found("up", &[]), 7);
        // The words of `up` are nothing special in another's log.
        assert_eq!(found("lockstore-1", &[]), 5);
    }

    #[test]
    fn a_line_is_expected_by_process_and_all_words() {
        let entry = |process, words| Expected {
            process,
            words,
            reason: "",
        };
        assert_eq!(
            found(
                "lockstore-1",
                &[entry("lockstore", &["failed", "Unavailable"])]
            ),
            4
        );
        assert_eq!(found("all", &[entry("lockstore", &["failed"])]), 5);
        assert_eq!(found("all", &[entry("all", &["failed", "Internal"])]), 5);
    }

    #[test]
    fn a_failure_names_process_and_line() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("logs")).expect("made");
        fs::write(dir.path().join("up.out"), "all is well\n").expect("written");
        check(dir.path(), &[]).expect("nothing was said");
        fs::write(dir.path().join("logs/all.log"), LOG).expect("written");
        let error = check(dir.path(), &[]).expect_err("it was said").to_string();
        assert!(
            error.contains("all: 2026-11-26T14:00:00.000002Z  WARN"),
            "{error}"
        );
    }
}
