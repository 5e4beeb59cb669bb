//! Programs of others that tests run, from the lists in `scripts/`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

/// The folder with the programs of `list`, e.g. `scripts/schemathesis.txt`, which `scripts/tools` installs
/// where they are missing.
///
/// # Errors
/// They can't be had.
pub fn tools(list: &str) -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let script = root.unwrap_or(Path::new(".")).join("scripts/tools");
    let output = Command::new(script)
        .arg(list)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "what {list} names can't be had");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}
