//! `initdb`, once: into a neighbour folder that becomes the real one only when it is whole, so
//! that a crash in the middle leaves nothing half made.

use std::{fs, path::Path, process::Stdio};

use anyhow::{Context as _, bail};

use super::{Account, Binaries, SUPERUSER};
use crate::data_dir::{set_mode, write_private};

/// Makes the cluster in `data` where there is none. Passwords are stored as SCRAM.
///
/// # Errors
/// What `initdb` or the file system says.
pub(crate) fn initialise(
    data: &Path,
    binaries: &Binaries,
    account: &Account,
    password: &str,
) -> anyhow::Result<()> {
    if data.join("PG_VERSION").is_file() {
        return Ok(());
    }
    let new = data.with_extension("initdb");
    let password_file = data.with_extension("password");
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("can't remove {}", new.display()))?;
    }
    fs::create_dir(&new).with_context(|| format!("can't make {}", new.display()))?;
    set_mode(&new, 0o700)?;
    account.own(&new)?;
    write_private(&password_file, password.as_bytes())?;
    account.own(&password_file)?;
    let output = account
        .command(&binaries.program("initdb"))
        .arg("--pgdata")
        .arg(&new)
        .args([
            "--auth",
            "scram-sha-256",
            "--username",
            SUPERUSER,
            "--encoding",
            "UTF8",
            "--locale",
            "C.UTF-8",
        ])
        .args(["--data-checksums", "--no-instructions"])
        .arg(format!("--pwfile={}", password_file.display()))
        .stdin(Stdio::null())
        .output();
    fs::remove_file(&password_file)
        .with_context(|| format!("can't remove {}", password_file.display()))?;
    let output =
        output.with_context(|| format!("can't run initdb in {}", binaries.bin.display()))?;
    if !output.status.success() {
        bail!(
            "initdb failed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    fs::rename(&new, data).with_context(|| format!("can't rename {}", new.display()))
}
