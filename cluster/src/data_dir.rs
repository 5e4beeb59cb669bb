//! The data directory of `holdfast up`: where it is, what lies in it, and that one `up` has it.
//!
//! Always holds: one `up` at a time writes here (an exclusive `flock` on `lock`, which the kernel
//! drops with the process); files with secrets are 0600; every file is replaced whole, never half.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rustix::fs::FlockOperation;

use crate::error::Error;

/// Above this a log file is moved aside (`.1`) when its process is next started, in bytes: a
/// few days of a quiet system, small enough to open in an editor.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Root's data directory.
const OF_ROOT: &str = "/var/lib/holdfast";

/// A data directory; the paths in it.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// Proof that this process alone writes to the directory, as long as it lives.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    _file: File,
}

impl DataDir {
    /// Where the data is: `flag` (which clap also fills from `HOLDFAST_DATA_DIR`), else
    /// `/var/lib/holdfast` for root, else `${XDG_STATE_HOME:-~/.local/state}/holdfast`.
    ///
    /// # Errors
    /// [`Error::Config`] where none of these can be told (no `HOME`).
    pub(crate) fn choose(flag: Option<PathBuf>) -> Result<Self, Error> {
        let env = |name: &str| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        let root = match flag {
            Some(dir) => dir,
            None if rustix::process::geteuid().is_root() => PathBuf::from(OF_ROOT),
            None => env("XDG_STATE_HOME")
                .filter(|dir| dir.is_absolute())
                .or_else(|| env("HOME").map(|home| home.join(".local/state")))
                .map(|state| state.join("holdfast"))
                .ok_or_else(|| {
                    Error::Config("HOLDFAST_DATA_DIR: not set, and neither is HOME".into())
                })?,
        };
        let root = std::path::absolute(&root)
            .map_err(|e| Error::Config(format!("HOLDFAST_DATA_DIR: {}: {e}", root.display())))?;
        Ok(Self { root })
    }

    /// Root's, if a system runs there and this isn't it: where else to look.
    pub(crate) fn running_elsewhere(&self) -> Option<Self> {
        let root = Self {
            root: PathBuf::from(OF_ROOT),
        };
        (root.root != self.root && root.run_file().is_file()).then_some(root)
    }

    /// Makes the directory where it is missing (0711 for root, so that Postgres's own user can
    /// pass through it, else 0700) and takes it for this process.
    ///
    /// # Errors
    /// [`Error::DataDirInUse`] when another `up` has it.
    pub(crate) fn lock(&self) -> Result<DataDirLock, Error> {
        let mode = if rustix::process::geteuid().is_root() {
            0o711
        } else {
            0o700
        };
        let new = !self.root.exists();
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&self.root)
            .with_context(|| format!("can't make the data directory {}", self.root.display()))?;
        if new {
            set_mode(&self.root, mode)?;
        }
        self.make_dir(&self.logs())?;
        let path = self.root.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("can't open {}", path.display()))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(Error::DataDirInUse {
                    dir: self.root.clone(),
                    pid,
                });
            }
            Err(e) => {
                return Err(anyhow::Error::from(io::Error::from(e))
                    .context("can't lock the data directory")
                    .into());
            }
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).with_context(|| format!("can't write {}", path.display()))?;
        Ok(DataDirLock { _file: file })
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Ports, pids and addresses of the running system.
    pub(crate) fn run_file(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// The ports of the last run.
    pub(crate) fn ports_file(&self) -> PathBuf {
        self.root.join("ports.json")
    }

    /// Generated passwords and tokens.
    pub(crate) fn secrets_file(&self) -> PathBuf {
        self.root.join("secrets.toml")
    }

    /// The first accounts, for people.
    pub(crate) fn accounts_file(&self) -> PathBuf {
        self.root.join("accounts.json")
    }

    /// The private Postgres.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.root.join("postgres")
    }

    /// One lock-store node's data.
    pub(crate) fn lockstore(&self, node: u64) -> PathBuf {
        self.root.join(format!("lockstore-{node}"))
    }

    /// The certificates of this system.
    pub(crate) fn tls(&self) -> PathBuf {
        self.root.join("tls")
    }

    /// Letters that a mail server would get.
    pub(crate) fn mail(&self) -> PathBuf {
        self.root.join("mail")
    }

    /// The search index, which can be built anew.
    pub(crate) fn search(&self) -> PathBuf {
        self.root.join("search")
    }

    /// The configuration a child was last started with.
    pub(crate) fn config_file(&self, process: &str) -> PathBuf {
        self.root.join("config").join(format!("{process}.toml"))
    }

    /// What the processes say.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// One process's log.
    pub(crate) fn log_file(&self, process: &str) -> PathBuf {
        self.logs().join(format!("{process}.log"))
    }

    /// Opens a process's log for appending; a large one is moved aside first.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn open_log(&self, process: &str) -> io::Result<File> {
        let path = self.log_file(process);
        if fs::metadata(&path).is_ok_and(|m| m.len() > LOG_BYTES_MAX) {
            fs::rename(&path, path.with_extension("log.1"))?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
    }

    /// The last `lines` lines of a process's log, or nothing.
    pub(crate) fn log_tail(&self, process: &str, lines: usize) -> String {
        let text = fs::read(self.log_file(process)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Makes a folder of ours, 0700.
    ///
    /// # Errors
    /// What the file system says, with the path.
    pub(crate) fn make_dir(&self, path: &Path) -> anyhow::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("can't make {}", path.display()))
    }
}

/// Sets a path's permission bits.
///
/// # Errors
/// What the file system says, with the path.
pub(crate) fn set_mode(path: &Path, mode: u32) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .with_context(|| format!("can't set the mode of {}", path.display()))
}

/// Writes a file whole, 0600: into a neighbour first, then over the old one.
///
/// # Errors
/// What the file system says, with the path.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    write_whole(path, content, 0o600)
}

/// As [`write_private`], but 0644: nothing secret in it.
///
/// # Errors
/// What the file system says.
pub(crate) fn write_public(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    write_whole(path, content, 0o644)
}

fn write_whole(path: &Path, content: &[u8], mode: u32) -> anyhow::Result<()> {
    // The whole name: a key and its certificate differ in the ending alone.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || {
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // What an interrupted write left has a mode of its own, and may be open elsewhere.
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(mode)
            .open(&new)?;
        // Whatever the umask says.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_temp() -> (tempfile::TempDir, DataDir) {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::choose(Some(temp.path().join("data"))).unwrap();
        (temp, dir)
    }

    #[test]
    fn second_lock_on_one_directory_is_refused_and_names_the_first() {
        let (_temp, dir) = in_temp();
        let first = dir.lock().unwrap();
        match dir.lock() {
            Err(Error::DataDirInUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(first);
        dir.lock().unwrap();
    }

    #[test]
    fn private_files_are_replaced_whole_and_readable_by_the_owner_only() {
        let (_temp, dir) = in_temp();
        let path = dir.config_file("x");
        write_private(&path, b"one, longer").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn what_an_interrupted_write_left_makes_no_private_file_public() {
        let (_temp, dir) = in_temp();
        let path = dir.tls().join("booking.key");
        fs::create_dir_all(dir.tls()).unwrap();
        for stale in ["booking.new", "booking.key.new"] {
            let stale = dir.tls().join(stale);
            fs::write(&stale, b"half").unwrap();
            set_mode(&stale, 0o644).unwrap();
        }
        write_private(&path, b"secret").unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(!dir.tls().join("booking.key.new").exists());
    }

    #[test]
    fn log_tail_is_the_last_lines_and_a_large_log_is_moved_aside() {
        let (_temp, dir) = in_temp();
        let _lock = dir.lock().unwrap();
        assert_eq!(dir.log_tail("x", 2), "");
        dir.open_log("x").unwrap().write_all(b"a\nb\nc\n").unwrap();
        assert_eq!(dir.log_tail("x", 2), "b\nc");
        dir.open_log("x")
            .unwrap()
            .set_len(LOG_BYTES_MAX + 1)
            .unwrap();
        assert_eq!(dir.open_log("x").unwrap().metadata().unwrap().len(), 0);
    }
}
