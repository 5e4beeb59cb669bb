//! What a process does at its start when `holdfast up` is its parent: it ends when the parent
//! does, by SIGKILL too.
//!
//! The kernel sends the signal when the thread that started the child ends; `up` therefore starts
//! children from its main thread only (it runs a current-thread runtime).

use anyhow::{Context as _, bail};
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

/// Names the parent to a child; the value is its pid.
pub(crate) const PARENT_PID_ENV: &str = "HOLDFAST_PARENT_PID";

/// Ties this process's life to its parent's where [`PARENT_PID_ENV`] names one; else nothing.
///
/// `signal` is what the kernel sends when the parent is gone.
///
/// # Errors
/// The parent is gone already, or the kernel refuses.
pub(crate) fn end_with_parent(signal: Signal) -> anyhow::Result<()> {
    let Ok(parent) = std::env::var(PARENT_PID_ENV) else {
        return Ok(());
    };
    let parent: i32 = parent
        .parse()
        .with_context(|| format!("{PARENT_PID_ENV} is not a pid"))?;
    set_parent_process_death_signal(Some(signal))
        .context("can't ask for a signal at the parent's end")?;
    // The parent may have died before the request above.
    if getppid().map(|pid| pid.as_raw_nonzero().get()) != Some(parent) {
        bail!("the parent process {parent} is gone");
    }
    Ok(())
}
