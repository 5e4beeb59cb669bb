//! The reading side: who works for a consumer name, and with what settings.
//!
//! `session` is the database's side of it (the lock, the cursor, what is set aside), `lanes` the
//! bookkeeping in memory, `work` the loop that joins them to the handler.

mod lanes;
mod session;
mod work;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Error, Event, metric, wake};
use session::Session;

/// How often a process that isn't working looks whether the one that is has gone.
const STANDBY_PERIOD: Duration = Duration::from_millis(500);

/// Pause before connecting anew after the database failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// What a consumer does with an event. Must be idempotent: an event may come again.
pub trait Handler: Send + Sync + 'static {
    /// Handles one event; `Ok` means it need never come again.
    fn handle(&self, event: &Event) -> impl Future<Output = Result<(), HandleError>> + Send;

    /// Events up to this place need not come any more: what they tell of is known by other means. Those
    /// that were read already may.
    fn needs_none_up_to(&self) -> i64 {
        0
    }
}

/// Why an event was not handled. The text goes to the log and to operators.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// Try again later; after [`ConsumerConfig::tries_max`] tries the key is parked.
    #[error("{0}")]
    Retry(String),
    /// Something the handler needs is down, and the event is not to blame: tried again for as
    /// long as it takes, without counting towards parking.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Trying again can't help: the key is parked now.
    #[error("{0}")]
    Permanent(String),
}

/// How one consumer reads.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// Names the cursor. Processes that give the same name take turns.
    pub name: String,
    /// Topics to read.
    pub topics: Vec<String>,
    /// Keys handled at once. Each may hold a database connection of the handler's.
    pub keys_in_flight_max: usize,
    /// Tries in a row before a key is parked.
    pub tries_max: u32,
    /// Wait before the second try; doubles with each further one.
    pub backoff_min: Duration,
    /// Longest wait between two tries.
    pub backoff_max: Duration,
    /// How long the handler may take; longer counts as [`HandleError::Retry`].
    pub handle_timeout: Duration,
    /// How often to look for events when no notification comes.
    pub poll: Duration,
}

impl ConsumerConfig {
    /// Reads `topics` under `name`: 32 keys at once, parked after about an hour of tries, half a
    /// minute for a handler, and a look every second in case a notification was lost.
    pub fn new(name: &str, topics: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            keys_in_flight_max: 32,
            tries_max: 120,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(30),
            handle_timeout: Duration::from_secs(30),
            poll: Duration::from_secs(1),
        }
    }
}

/// Why a consumer looks before its next poll.
#[derive(Default)]
struct Woken {
    notify: Notify,
    /// An operator lets parked keys go on.
    replay: AtomicBool,
}

/// Hands every event of the topics to `handler` until `shutdown`, then lets running handlers end
/// (for 10 s at most), records what they did and returns. Starts where the name's cursor stands, a
/// new name at the beginning. Failures of the database are logged and tried again.
pub async fn consume<H: Handler>(
    pool: PgPool,
    config: ConsumerConfig,
    handler: H,
    shutdown: CancellationToken,
) {
    let handler = Arc::new(handler);
    let woken = Woken::default();
    let replayed = format!("replay:{}", config.name);
    let wanted = |payload: &str| {
        let replay = payload == replayed;
        if replay {
            woken.replay.store(true, Ordering::Release);
        }
        replay || config.topics.iter().any(|topic| topic == payload)
    };
    tokio::select! {
        never = wake::listen(&pool, "eventlog_events", wanted, &woken.notify) => match never {},
        () = take_turns(&pool, &config, &handler, &woken, &shutdown) => {}
    }
}

async fn take_turns<H: Handler>(
    pool: &PgPool,
    config: &ConsumerConfig,
    handler: &Arc<H>,
    woken: &Woken,
    shutdown: &CancellationToken,
) {
    while !shutdown.is_cancelled() {
        match one_turn(pool, config, handler, woken, shutdown).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(consumer = config.name, %error, "event consumer lost its session; starting anew");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(FAILURE_PAUSE) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// From standing by to the end of the session; `Ok` on shutdown.
async fn one_turn<H: Handler>(
    pool: &PgPool,
    config: &ConsumerConfig,
    handler: &Arc<H>,
    woken: &Woken,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let mut session = Session::connect(pool, config).await?;
    while !session.try_lead().await? {
        tokio::select! {
            () = tokio::time::sleep(STANDBY_PERIOD) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
    }
    let leading = metrics::gauge!(metric::LEADING, "consumer" => config.name.clone());
    leading.set(1.0);
    tracing::info!(
        consumer = config.name,
        cursor = session.cursor(),
        "consuming events"
    );
    let ended = work::work(&mut session, config, handler, woken, shutdown).await;
    leading.set(0.0);
    // Whoever leads next shows them.
    metrics::gauge!(metric::PARKED, "consumer" => config.name.clone()).set(0.0);
    ended
}
