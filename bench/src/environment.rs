//! What the figures were measured on: a figure without it can't be compared with another.

use std::{fmt, fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Serialize;

/// File systems that forget: a durable write costs nothing there.
const IN_MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// The machine and the build.
#[derive(Debug, Serialize)]
pub struct Environment {
    pub cpus: usize,
    pub cpu_model: String,
    pub kernel: String,
    /// Of the measured program, by the folder that cargo put it into.
    pub build_profile: String,
    /// Where the data of the measured system is.
    pub file_system: String,
}

impl Environment {
    /// Of this machine, for `program` with its data in `data_root`.
    ///
    /// # Errors
    /// `data_root` is kept in memory; what the system says.
    pub fn look(program: &Path, data_root: &Path) -> Result<Self> {
        let file_system = file_system(data_root)?;
        if IN_MEMORY.contains(&file_system.as_str()) {
            bail!(
                "{} is {file_system}, which forgets: name a folder on a disk with --data-root",
                data_root.display()
            );
        }
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let folder = program.parent().and_then(Path::file_name);
        Ok(Self {
            cpus: std::thread::available_parallelism()?.get(),
            cpu_model: model
                .and_then(|line| line.split_once(": "))
                .map_or_else(String::new, |(_, model)| model.to_owned()),
            kernel: kernel.trim().to_owned(),
            build_profile: folder
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            file_system,
        })
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} CPUs ({}), Linux {}, data on {}, {} build",
            self.cpus, self.cpu_model, self.kernel, self.file_system, self.build_profile
        )
    }
}

fn file_system(folder: &Path) -> Result<String> {
    let output = Command::new("stat")
        .args(["-f", "-c", "%T"])
        .arg(folder)
        .output()
        .context("stat can't be run")?;
    if !output.status.success() {
        bail!(
            "{}: {}",
            folder.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_folder_in_memory_is_refused() {
        let program = Path::new("/x/release/holdfast");
        let error = Environment::look(program, Path::new("/dev/shm"));
        let text = format!("{:#}", error.expect_err("refused"));
        assert!(text.contains("--data-root"), "{text}");
    }
}
