//! Which ports `up` uses: those of the last run on the same data where they are free, since pages
//! that customers have open name them; else the well-known ones, else others.
//!
//! Others come from below the range the kernel gives to outgoing connections, so that a port can
//! be bound again when its process is restarted.
//!
//! Always holds: a port that was given out stays bound until it is released, just before the
//! process it is for starts, so that nobody takes it meanwhile.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use anyhow::bail;

use crate::data_dir::{DataDir, write_public};

/// Where replacements are looked for: above the well-known services, below Linux's default
/// ephemeral range (32768 and up).
const CHOSEN: Range<u16> = 18_000..32_000;

/// Random ports tried before giving up: with even half of the range taken, 200 misses don't happen.
const TRIES_MAX: usize = 200;

/// Gives out ports of 127.0.0.1, none twice.
#[derive(Debug)]
pub(crate) struct Ports {
    always_others: bool,
    last: BTreeMap<String, u16>,
    given: BTreeMap<String, u16>,
    held: BTreeMap<u16, TcpListener>,
}

impl Ports {
    /// `always_others` never uses a well-known port (`--ports auto`), unless the last run on `dir`
    /// did. A list of the last run that can't be read is none: it is a preference.
    pub(crate) fn new(always_others: bool, dir: &DataDir) -> Self {
        let last = fs::read(dir.ports_file()).unwrap_or_default();
        Self {
            always_others,
            last: serde_json::from_slice(&last).unwrap_or_default(),
            given: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// A free port for `name`: that of the last run, else `wanted`, else another.
    ///
    /// # Errors
    /// No free port found.
    pub(crate) fn take(&mut self, name: &str, wanted: u16) -> anyhow::Result<u16> {
        let port = self.choose(name, wanted)?;
        self.given.insert(name.to_owned(), port);
        Ok(port)
    }

    /// Writes down what was given, for the next run.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn keep(&self, dir: &DataDir) -> anyhow::Result<()> {
        let mut text = serde_json::to_vec_pretty(&self.given)?;
        text.push(b'\n');
        write_public(&dir.ports_file(), &text)
    }

    /// Frees ports for the processes that are about to be started.
    pub(crate) fn release(&mut self, ports: impl IntoIterator<Item = u16>) {
        for port in ports {
            self.held.remove(&port);
        }
    }

    fn choose(&mut self, name: &str, wanted: u16) -> anyhow::Result<u16> {
        if let Some(last) = self.last.get(name).copied()
            && self.give(last)
        {
            return Ok(last);
        }
        if !self.always_others && self.give(wanted) {
            return Ok(wanted);
        }
        for _ in 0..TRIES_MAX {
            let port = rand::random_range(CHOSEN);
            if self.give(port) {
                return Ok(port);
            }
        }
        bail!(
            "no free TCP port found on 127.0.0.1 from {} to {}",
            CHOSEN.start,
            CHOSEN.end
        )
    }

    fn give(&mut self, port: u16) -> bool {
        let given = self.given.values().any(|given| *given == port);
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) else {
            return false;
        };
        if !given {
            self.held.insert(port, listener);
        }
        !given
    }
}

/// Whether it is `pid` that listens on `port` of 127.0.0.1, as the kernel says: another process
/// there answers for another system.
pub(crate) fn listens(pid: u32, port: u16) -> bool {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let local = format!("0100007F:{port:04X}");
    let sockets: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&LISTEN))
        .filter_map(|fields| fields.get(9).map(|inode| format!("socket:[{inode}]")))
        .collect();
    fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|link| {
            sockets
                .iter()
                .any(|socket| link.as_os_str() == socket.as_str())
        })
}

/// `TCP_LISTEN` as `/proc/net/tcp` writes it.
const LISTEN: &str = "0A";

#[cfg(test)]
mod tests {
    use super::*;

    fn new_dir() -> (tempfile::TempDir, DataDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::choose(Some(temp.path().to_owned())).unwrap();
        (temp, dir)
    }

    #[test]
    fn a_taken_port_is_replaced_and_none_is_given_twice() {
        let (_temp, dir) = new_dir();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let wanted = taken.local_addr().unwrap().port();
        let mut ports = Ports::new(false, &dir);
        let other = ports.take("a", wanted).unwrap();
        assert_ne!(other, wanted);
        assert_ne!(ports.take("b", other).unwrap(), other);
        ports.release([other]);
        assert_ne!(ports.take("c", other).unwrap(), other);
    }

    #[test]
    fn a_port_is_kept_from_others_until_it_is_released() {
        let (_temp, dir) = new_dir();
        let mut ports = Ports::new(true, &dir);
        let port = ports.take("a", 1).unwrap();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err());
        ports.release([port]);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn who_listens_is_told_from_who_does_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(listens(own, port));
        assert!(!listens(parent, port));
        drop(listener);
        assert!(!listens(own, port));
    }

    #[test]
    fn auto_never_uses_the_wanted_port() {
        let (_temp, dir) = new_dir();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        assert!(CHOSEN.contains(&Ports::new(true, &dir).take("a", free).unwrap()));
    }

    #[test]
    fn ports_of_the_last_run_come_first_where_they_are_free() {
        let (_temp, dir) = new_dir();
        let mut first = Ports::new(true, &dir);
        let (a, b) = (first.take("a", 1).unwrap(), first.take("b", 1).unwrap());
        first.keep(&dir).unwrap();
        first.release([a, b]);
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, b)).unwrap();
        for always_others in [false, true] {
            let mut next = Ports::new(always_others, &dir);
            assert_eq!(next.take("a", 2).unwrap(), a);
            assert_ne!(next.take("b", 2).unwrap(), b);
        }
    }
}
