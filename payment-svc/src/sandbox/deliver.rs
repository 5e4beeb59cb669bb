//! Sends webhooks: signed anew for each try, until the receiver says 2xx or tries run out.

use std::time::{Duration, SystemTime};

use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{
    Sandbox,
    store::{self, Delivery},
    wire,
};
use crate::provider::signature;

/// Tries of one webhook: with the waits below, about eight minutes.
const ATTEMPTS_MAX: i32 = 15;

/// Wait after the first try; doubles with each further one.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// How long the receiver may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long a webhook that was taken counts as under way; longer than a batch can take.
const LEASE: Duration = Duration::from_secs(60);

/// Webhooks taken at once, and sent at once.
const BATCH: i64 = 32;
const SENT_AT_ONCE: usize = 8;

/// How often to look when nobody called: for the tries that wait.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a webhook that is over is kept, for people who look into something.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Webhooks deleted at once, and batches in one step.
const FORGOTTEN_BATCH: i64 = 1_000;
const FORGOTTEN_BATCHES_MAX: usize = 100;

pub(super) fn client() -> Result<reqwest::Client, reqwest::Error> {
    // A proxy of the environment is for the world outside.
    reqwest::Client::builder()
        .no_proxy()
        .timeout(ANSWER_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// Sends what is due until `shutdown`; what is under way then is sent again after a restart.
pub(super) async fn run(sandbox: &Sandbox, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        let sent = tokio::select! {
            sent = send_due(sandbox) => sent,
            () = shutdown.cancelled() => return,
        };
        match sent {
            Ok(full) if full => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "sandbox provider: webhooks wait"),
        }
        tokio::select! {
            () = sandbox.webhook_written.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Deletes webhooks that are over and old.
pub(super) async fn forget_old(sandbox: &Sandbox) -> Result<(), sqlx::Error> {
    for _ in 0..FORGOTTEN_BATCHES_MAX {
        if store::forget_deliveries(&sandbox.pool, KEPT.as_secs_f64(), FORGOTTEN_BATCH).await? == 0
        {
            break;
        }
    }
    Ok(())
}

/// Sends one batch; true if there may be more.
async fn send_due(sandbox: &Sandbox) -> Result<bool, sqlx::Error> {
    let due = store::take_deliveries(&sandbox.pool, BATCH, LEASE.as_secs_f64()).await?;
    let full = due.len() == usize::try_from(BATCH).expect("a small constant");
    let reports = stream::iter(due)
        .map(async |delivery| {
            let error = send(sandbox, &delivery).await.err();
            report(&delivery, error)
        })
        .buffer_unordered(SENT_AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    if !reports.is_empty() {
        store::report_deliveries(&sandbox.pool, &reports).await?;
    }
    Ok(full)
}

async fn send(sandbox: &Sandbox, delivery: &Delivery) -> Result<(), String> {
    let secret = sandbox.config.webhook_secret.expose();
    let signature = signature::sign(secret, &delivery.body, SystemTime::now());
    let answer = sandbox
        .http
        .post(&sandbox.config.webhook_url)
        .header("content-type", "application/json")
        .header(wire::SIGNATURE, signature)
        .body(delivery.body.clone())
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(status.to_string())
    }
}

fn report(delivery: &Delivery, error: Option<String>) -> store::Report {
    let next_in = error.as_deref().and_then(|error| {
        let next_in = wait_after(delivery.attempts);
        tracing::debug!(
            event.id = delivery.event_id,
            attempts = delivery.attempts,
            error,
            given_up = next_in.is_none(),
            "webhook not delivered"
        );
        next_in
    });
    store::Report {
        delivery_id: delivery.delivery_id,
        error,
        next_in_s: next_in.map(|wait| wait.as_secs_f64()),
    }
}

/// The wait after so many tries; none when they have run out.
fn wait_after(attempts: i32) -> Option<Duration> {
    let doublings = u32::try_from(attempts - 1).unwrap_or_default().min(16);
    (attempts < ATTEMPTS_MAX).then(|| BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_tries_run_out() {
        assert_eq!(wait_after(1), Some(BACKOFF_MIN));
        assert_eq!(wait_after(3), Some(BACKOFF_MIN * 4));
        assert_eq!(wait_after(ATTEMPTS_MAX - 1), Some(BACKOFF_MAX));
        assert_eq!(wait_after(ATTEMPTS_MAX), None);
    }
}
