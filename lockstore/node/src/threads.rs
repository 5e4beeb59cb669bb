//! The thread of consensus and the peer plane.
//!
//! Always holds: however much clients ask, and whatever keeps the threads busy that serve them,
//! heartbeats and votes are sent, received and answered here; nothing of it runs on when this is gone,
//! so that the data directory can be opened again. Applying entries is done here, too, and others come
//! to their turn between two entries: one takes some ten milliseconds at most, and up to a few hundred
//! where it chooses seats in a hall made to be hard. Snapshots and the log's writes
//! are handed to threads that may block; what a peer lacks that memory no longer has is read here.

use std::{io, thread};

use tokio::runtime::{Builder, Handle, Runtime};

use crate::limits;

const NAME: &str = "lockstore-raft";
/// One: consensus is one task after another, and more would compete with those of clients.
const THREADS: usize = 1;

/// A runtime of its own.
pub(crate) struct Threads {
    handle: Handle,
    /// `None` once it ends.
    runtime: Option<Runtime>,
}

impl Threads {
    /// Starts it.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name(NAME)
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Where to have something run.
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends what still runs, and waits for it.
    pub(crate) async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let ending = move || runtime.shutdown_timeout(limits::SHUTDOWN_TIMEOUT);
            if tokio::task::spawn_blocking(ending).await.is_err() {
                tracing::warn!("the threads of consensus ended badly");
            }
        }
    }
}

impl Drop for Threads {
    /// The node ended where it stood.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not here: a runtime's thread must not wait for another runtime.
            let ending = thread::spawn(move || runtime.shutdown_timeout(limits::SHUTDOWN_TIMEOUT));
            drop(ending.join());
        }
    }
}
