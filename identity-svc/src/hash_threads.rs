//! Threads that do nothing but hash passwords.
//!
//! Always holds: where there is more than one core, one is left to everything else, and on the others what
//! runs here gives way to it, so that many who sign in at once slow down nobody but each other; how much waits
//! and how long is bounded, so that who is refused hears it before they give up; work that nobody waits for any
//! more isn't done; work that panics takes no thread with it.

use std::{
    io,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

use crate::error::CallError;

/// How much nicer these threads are than the rest of the process: of a core that others want, too, each gets a
/// third of what one of them does (the kernel's weights, 335 and 1024). Not less, because people also sign in
/// while everybody buys.
const NICER: i32 = 5;

/// As nice as anything gets.
const NICEST: i32 = 19;

/// Work that may wait for each thread: at some 25 ms a hash, the last begins within [`WAIT_MAX`] or so.
const WAITING_PER_THREAD_MAX: usize = 256;

/// How long work may wait, however slow the machine is: half the default deadline of a call. Silence until the
/// deadline would be taken for a service that is down.
const WAIT_MAX: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce() + Send>;

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct HashThreads {
    queue: SyncSender<Work>,
    wait_max: Duration,
}

impl HashThreads {
    /// As many as this machine's cores, but one.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let count = threads_of(cores);
        Self::start_with(count, count * WAITING_PER_THREAD_MAX, WAIT_MAX)
    }

    fn start_with(count: usize, waiting_max: usize, wait_max: Duration) -> io::Result<Self> {
        let (queue, work) = mpsc::sync_channel(waiting_max);
        let work = Arc::new(Mutex::new(work));
        for nth in 0..count {
            let work = work.clone();
            let thread = thread::Builder::new().name(format!("hash-{nth}"));
            thread.spawn(move || work_on(&work))?;
        }
        Ok(Self { queue, wait_max })
    }

    /// Does `work` there.
    ///
    /// # Errors
    /// As much waits as may, or it waited as long as it may; the work panicked.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let (answer, mut answered) = oneshot::channel();
        let began = Arc::new(AtomicBool::new(false));
        let begins = began.clone();
        let work = move || {
            if !answer.is_closed() {
                begins.store(true, Ordering::Relaxed);
                let _ = answer.send(work());
            }
        };
        let queued = self.queue.try_send(Box::new(work));
        queued.map_err(|_full| CallError::Overloaded)?;
        let answer = match tokio::time::timeout(self.wait_max, &mut answered).await {
            Ok(answer) => answer,
            Err(_elapsed) if began.load(Ordering::Relaxed) => answered.await,
            Err(_elapsed) => return Err(CallError::Overloaded),
        };
        answer.map_err(|_| CallError::Thread)
    }
}

fn threads_of(cores: usize) -> usize {
    cores.saturating_sub(1).max(1)
}

fn work_on(queue: &Mutex<Receiver<Work>>) {
    if let Err(error) = give_way() {
        // Where even that is forbidden, the core that is left has to do. What one thread may not, none may.
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            tracing::warn!(%error, "hashing threads stay as urgent as others: setpriority is refused");
        });
    }
    loop {
        // The lock goes with the statement: others take the next work while this is done.
        let next = queue.lock().expect("no holder panics").recv();
        let Ok(work) = next else { return };
        // The panic hook has logged where and why; the caller is told by the end of the channel.
        let _ = catch_unwind(AssertUnwindSafe(work));
    }
}

/// On Linux the calling thread's priority is its own.
fn give_way() -> io::Result<()> {
    let nice = (getpriority_process(None)? + NICER).min(NICEST);
    Ok(setpriority_process(None, nice)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn threads(count: usize, waiting_max: usize) -> Arc<HashThreads> {
        Arc::new(HashThreads::start_with(count, waiting_max, LIMIT).expect("threads"))
    }

    /// Work that runs until the sender is used or dropped, when it has begun.
    async fn busy(
        threads: &Arc<HashThreads>,
    ) -> (
        mpsc::Sender<()>,
        tokio::task::JoinHandle<Result<(), CallError>>,
    ) {
        let (open, gate) = mpsc::channel();
        let (begin, begun) = oneshot::channel();
        let threads = threads.clone();
        let running = tokio::spawn(async move {
            let work = move || {
                let _ = begin.send(());
                let _ = gate.recv();
            };
            threads.run(work).await
        });
        let begun = tokio::time::timeout(LIMIT, begun).await;
        begun.expect("in time").expect("begins");
        (open, running)
    }

    #[test]
    fn a_core_is_left_to_others_where_there_are_two() {
        assert_eq!([1, 2, 4].map(threads_of), [1, 1, 3]);
    }

    #[tokio::test]
    async fn hashing_gives_way_to_everything_else() {
        let own = getpriority_process(None).expect("a priority");
        let there = threads(1, 1).run(|| getpriority_process(None)).await;
        let there = there.expect("runs").expect("a priority");
        assert_eq!(there, (own + NICER).min(NICEST));
        let own_after = getpriority_process(None).expect("a priority");
        assert_eq!(own_after, own, "it is the thread's");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let threads = threads(1, 1);
        let (open, running) = busy(&threads).await;
        let mut waiting = Box::pin(threads.run(|| ()));
        assert!(futures::poll!(&mut waiting).is_pending());
        let refused = threads.run(|| ()).await;
        assert!(matches!(refused, Err(CallError::Overloaded)));
        open.send(()).expect("it runs");
        running.await.expect("no panic").expect("runs");
        waiting.await.expect("runs");
        threads.run(|| ()).await.expect("has room again");
    }

    #[tokio::test]
    async fn what_would_wait_too_long_is_refused_and_left_out() {
        let threads = threads(1, 2);
        let (open, running) = busy(&threads).await;
        let impatient = HashThreads {
            queue: threads.queue.clone(),
            wait_max: Duration::ZERO,
        };
        let (done, was_done) = mpsc::channel();
        let refused = impatient.run(move || done.send(())).await;
        assert!(matches!(refused, Err(CallError::Overloaded)));
        open.send(()).expect("it runs");
        running.await.expect("no panic").expect("runs");
        threads.run(|| ()).await.expect("runs after it");
        assert!(was_done.try_recv().is_err(), "it was left out");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_not_done() {
        let threads = threads(1, 2);
        let (open, running) = busy(&threads).await;
        let (done, was_done) = mpsc::channel();
        let mut given_up = Box::pin(threads.run(move || done.send(())));
        assert!(futures::poll!(&mut given_up).is_pending());
        drop(given_up);
        open.send(()).expect("it runs");
        running.await.expect("no panic").expect("runs");
        threads.run(|| ()).await.expect("runs after it");
        assert!(was_done.try_recv().is_err(), "it was left out");
    }

    #[tokio::test]
    async fn a_panic_takes_no_thread_with_it() {
        let threads = threads(1, 1);
        for _ in 0..2 {
            let refused = threads.run(|| panic!("of a test")).await;
            assert!(matches!(refused, Err::<(), _>(CallError::Thread)));
        }
        threads.run(|| ()).await.expect("runs");
    }
}
