//! Background loops: one step, a pause, again, until the process ends.
//!
//! Always holds: steps of one loop never overlap; an error is logged and the loop goes on; after
//! shutdown a running step has [`STEP_DRAIN_MAX`] to finish and no other starts.
//! Leaves to others: bounding what one step does.

use std::{error::Error, time::Duration};

use rand::RngExt;
use tokio_util::sync::CancellationToken;

use crate::failure::chain;

/// How long a step that was running at shutdown may go on.
pub const STEP_DRAIN_MAX: Duration = Duration::from_secs(5);

/// Pauses differ from the period by up to this part of it, so that processes don't march in step.
const JITTER: f64 = 0.1;

/// Runs `step` now and then again a `period` (within 10 %) after it ended, until `shutdown`.
pub async fn periodic<F, R, E>(
    name: &'static str,
    period: Duration,
    shutdown: CancellationToken,
    mut step: F,
) where
    F: FnMut() -> R,
    R: Future<Output = Result<(), E>>,
    E: Error,
{
    while !shutdown.is_cancelled() {
        let ended = tokio::select! {
            result = step() => Some(result),
            () = past_drain(&shutdown) => None,
        };
        match ended {
            Some(Ok(())) => {}
            Some(Err(error)) => {
                tracing::warn!(task = name, error = %chain(&error), "a background step failed")
            }
            None => {
                tracing::warn!(task = name, "a background step was cut off at shutdown");
                return;
            }
        }
        let pause = period.mul_f64(1.0 + rand::rng().random_range(-JITTER..=JITTER));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn past_drain(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(STEP_DRAIN_MAX).await;
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_loop_goes_on_after_an_error_and_ends_at_shutdown() {
        let shutdown = CancellationToken::new();
        let steps = Arc::new(AtomicU32::new(0));
        let task = {
            let (shutdown, steps) = (shutdown.clone(), steps.clone());
            periodic(
                "test",
                Duration::from_millis(1),
                shutdown.clone(),
                move || {
                    let (shutdown, steps) = (shutdown.clone(), steps.clone());
                    async move {
                        if steps.fetch_add(1, Ordering::Relaxed) == 2 {
                            shutdown.cancel();
                        }
                        Err(io::Error::other("always"))
                    }
                },
            )
        };
        tokio::time::timeout(LIMIT, task).await.expect("ends");
        assert_eq!(steps.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn no_step_starts_after_shutdown_and_one_that_hangs_is_cut_off() {
        let hang = std::future::pending::<Result<(), io::Error>>;
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        let never_starts = periodic("test", Duration::from_secs(1), shutdown, hang);
        tokio::time::timeout(STEP_DRAIN_MAX / 2, never_starts)
            .await
            .expect("ends at once");

        let shutdown = CancellationToken::new();
        let (started, waits) = tokio::sync::oneshot::channel();
        let mut started = Some(started);
        let task = tokio::spawn(periodic(
            "test",
            Duration::from_secs(1),
            shutdown.clone(),
            move || {
                started.take().map(|started| started.send(()));
                hang()
            },
        ));
        waits.await.expect("the step starts");
        shutdown.cancel();
        tokio::time::timeout(LIMIT, task)
            .await
            .expect("ends")
            .expect("no panic");
    }
}
