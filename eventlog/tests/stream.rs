//! The event stream against a real Postgres: what is promised in the crate's documentation.

#![expect(clippy::unwrap_used, reason = "a test may stop where it is")]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use holdfast_eventlog::{
    ConsumerConfig, EVENTS_KEPT_DAYS, Error, Event, HandleError, Handler, NewEvent, Outbox,
    PAYLOAD_BYTES_MAX, behind, consume, grant_service, inspect, lag, move_once, newest, parked,
    prune_once, relay, replay,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use opentelemetry::{
    Context,
    trace::{FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use sqlx::{AssertSqlSafe, PgConnection, PgPool};
use tokio::{sync::Mutex, task::JoinHandle};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(20);
static SHOP: Outbox = Outbox::new("shop");

async fn prepare(pool: &PgPool) {
    let outbox = include_str!("../sql/outbox.sql").replace("{schema}", "shop");
    sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA shop; {outbox}")))
        .execute(pool)
        .await
        .unwrap();
}

fn event(key: &str, number: u32) -> NewEvent {
    NewEvent {
        topic: "orders",
        key: key.to_owned(),
        event_type: "Ordered",
        payload: number.to_be_bytes().to_vec(),
    }
}

fn number(event: &Event) -> u32 {
    u32::from_be_bytes(event.payload.as_slice().try_into().unwrap())
}

async fn append(connection: &mut PgConnection, key: &str, number: u32) {
    SHOP.append(connection, event(key, number)).await.unwrap();
}

/// Appends and moves, so that the event is in the stream.
async fn publish(pool: &PgPool, key: &str, number: u32) {
    append(&mut pool.acquire().await.unwrap(), key, number).await;
    move_once(pool, "shop").await.unwrap();
}

/// Waits for `holds`, checked every 5 ms, for at most [`LIMIT`].
async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "waited too long for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What was handled, by key and in order, and what to fail.
#[derive(Default)]
struct Record {
    handled: Mutex<HashMap<String, Vec<u32>>>,
    failing: Mutex<HashMap<String, HandleError>>,
    tries: AtomicUsize,
}

impl Record {
    async fn of(&self, key: &str) -> Vec<u32> {
        self.handled
            .lock()
            .await
            .get(key)
            .cloned()
            .unwrap_or_default()
    }

    async fn fail(&self, key: &str, error: HandleError) {
        self.failing.lock().await.insert(key.to_owned(), error);
    }

    async fn heal(&self, key: &str) {
        self.failing.lock().await.remove(key);
    }
}

struct Recorder(Arc<Record>);

impl Handler for Recorder {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        self.0.tries.fetch_add(1, Ordering::SeqCst);
        if let Some(error) = self.0.failing.lock().await.get(&event.key) {
            return Err(error.clone());
        }
        let mut handled = self.0.handled.lock().await;
        handled
            .entry(event.key.clone())
            .or_default()
            .push(number(event));
        Ok(())
    }
}

/// Polls so rarely that only notifications can pass a test in time; fails fast.
fn config() -> ConsumerConfig {
    ConsumerConfig {
        backoff_min: Duration::from_millis(5),
        backoff_max: Duration::from_millis(20),
        tries_max: 3,
        poll: Duration::from_secs(600),
        ..ConsumerConfig::new("reader", &["orders"])
    }
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    fn start<H: Handler>(pool: &PgPool, config: ConsumerConfig, handler: H) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(consume(pool.clone(), config, handler, shutdown.clone()));
        Self { shutdown, task }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .unwrap()
            .unwrap();
    }

    /// As a killed process: nothing more is recorded.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

fn recorder() -> (Arc<Record>, Recorder) {
    let record = Arc::new(Record::default());
    (record.clone(), Recorder(record))
}

#[sqlx::test]
async fn a_transaction_that_commits_late_is_not_skipped(pool: PgPool) {
    prepare(&pool).await;
    let (record, handler) = recorder();
    let consumer = Running::start(&pool, config(), handler);
    let mut late = pool.begin().await.unwrap();
    append(&mut late, "late", 1).await;
    publish(&pool, "early", 2).await;
    until("the event that committed first", async || {
        record.of("early").await == [2]
    })
    .await;
    late.commit().await.unwrap();
    move_once(&pool, "shop").await.unwrap();
    until("the event that committed late", async || {
        record.of("late").await == [1]
    })
    .await;
    consumer.stop().await;
}

#[sqlx::test]
async fn a_move_waits_for_one_that_has_not_committed(pool: PgPool) {
    prepare(&pool).await;
    append(&mut pool.acquire().await.unwrap(), "a", 1).await;
    let mut slow = pool.begin().await.unwrap();
    let moved = sqlx::query_scalar::<_, i32>("SELECT eventlog.move_outbox('shop', 1)");
    assert_eq!(moved.fetch_one(&mut *slow).await.unwrap(), 1);

    append(&mut pool.acquire().await.unwrap(), "b", 2).await;
    let second = tokio::spawn({
        let pool = pool.clone();
        async move { move_once(&pool, "shop").await.unwrap() }
    });
    until("the second move to wait for the lock", async || {
        let waiting = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        );
        waiting.fetch_one(&pool).await.unwrap() == 1
    })
    .await;
    slow.commit().await.unwrap();
    assert_eq!(second.await.unwrap(), 1, "each row is moved once");
    let keys = sqlx::query_scalar::<_, String>("SELECT key FROM eventlog.events ORDER BY seq");
    assert_eq!(keys.fetch_all(&pool).await.unwrap(), ["a", "b"]);
}

#[sqlx::test]
async fn what_is_rolled_back_never_happened(pool: PgPool) {
    prepare(&pool).await;
    let mut transaction = pool.begin().await.unwrap();
    append(&mut transaction, "a", 1).await;
    transaction.rollback().await.unwrap();
    assert_eq!(move_once(&pool, "shop").await.unwrap(), 0);
    let too_large = NewEvent {
        payload: vec![0; PAYLOAD_BYTES_MAX + 1],
        ..event("a", 1)
    };
    let connection = &mut pool.acquire().await.unwrap();
    let refused = SHOP.append(connection, too_large.clone()).await;
    assert!(matches!(refused, Err(Error::PayloadTooLarge { .. })));
    let refused = SHOP
        .append_all(connection, vec![event("a", 1), too_large])
        .await;
    assert!(matches!(refused, Err(Error::PayloadTooLarge { .. })));
    assert_eq!(move_once(&pool, "shop").await.unwrap(), 0, "all or nothing");
}

#[sqlx::test]
async fn events_appended_at_once_keep_their_order(pool: PgPool) {
    prepare(&pool).await;
    let (record, handler) = recorder();
    let consumer = Running::start(&pool, config(), handler);
    let many: Vec<NewEvent> = (0..500).map(|number| event("a", number)).collect();
    let connection = &mut pool.acquire().await.unwrap();
    SHOP.append_all(connection, many).await.unwrap();
    while move_once(&pool, "shop").await.unwrap() > 0 {}
    until("all of them", async || record.of("a").await.len() == 500).await;
    let expected: Vec<u32> = (0..500).collect();
    assert_eq!(record.of("a").await, expected);
    consumer.stop().await;
}

#[sqlx::test]
async fn events_of_a_key_come_in_order_however_many_keys_there_are(pool: PgPool) {
    const KEYS: u32 = 50;
    const EACH: u32 = 60;
    prepare(&pool).await;
    let shutdown = CancellationToken::new();
    let relays: Vec<_> = (0..2)
        .map(|_| tokio::spawn(relay(pool.clone(), &SHOP, shutdown.clone())))
        .collect();
    let (record, handler) = recorder();
    let consumer = Running::start(&pool, config(), handler);
    for number in 0..EACH {
        let mut transaction = pool.begin().await.unwrap();
        for key in 0..KEYS {
            append(&mut transaction, &key.to_string(), number).await;
        }
        transaction.commit().await.unwrap();
    }
    until("every event", async || {
        record
            .handled
            .lock()
            .await
            .values()
            .map(Vec::len)
            .sum::<usize>()
            == (KEYS * EACH) as usize
    })
    .await;
    for key in 0..KEYS {
        assert_eq!(
            record.of(&key.to_string()).await,
            (0..EACH).collect::<Vec<_>>()
        );
    }
    consumer.stop().await;
    shutdown.cancel();
    for relay in relays {
        tokio::time::timeout(LIMIT, relay).await.unwrap().unwrap();
    }
    let left = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM shop.outbox");
    assert_eq!(left.fetch_one(&pool).await.unwrap(), 0);
}

/// Begins to handle and never ends.
struct Stuck(Arc<AtomicBool>);

impl Handler for Stuck {
    async fn handle(&self, _: &Event) -> Result<(), HandleError> {
        self.0.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
}

#[sqlx::test]
async fn an_event_whose_handler_died_comes_again(pool: PgPool) {
    prepare(&pool).await;
    publish(&pool, "a", 1).await;
    let begun = Arc::new(AtomicBool::new(false));
    let first = Running::start(&pool, config(), Stuck(begun.clone()));
    until("the handler to begin", async || {
        begun.load(Ordering::SeqCst)
    })
    .await;
    first.kill().await;
    let (record, handler) = recorder();
    let second = Running::start(&pool, config(), handler);
    until("the second delivery", async || record.of("a").await == [1]).await;
    second.stop().await;
}

#[sqlx::test]
async fn what_was_handled_does_not_come_again_after_a_clean_end(pool: PgPool) {
    prepare(&pool).await;
    publish(&pool, "a", 1).await;
    let (record, handler) = recorder();
    let first = Running::start(&pool, config(), handler);
    until("the delivery", async || record.of("a").await == [1]).await;
    first.stop().await;
    publish(&pool, "a", 2).await;
    let (record, handler) = recorder();
    let second = Running::start(&pool, config(), handler);
    until("the next event", async || !record.of("a").await.is_empty()).await;
    assert_eq!(record.of("a").await, [2]);
    second.stop().await;
}

#[sqlx::test]
async fn a_parked_key_blocks_no_other_and_can_be_replayed(pool: PgPool) {
    prepare(&pool).await;
    let gauges = PrometheusBuilder::new().build_recorder();
    let metrics = gauges.handle();
    let _guard = metrics::set_default_local_recorder(&gauges);
    let shown = |count: u32| {
        let line = format!("holdfast_eventlog_parked{{consumer=\"reader\"}} {count}\n");
        metrics.render().contains(&line)
    };
    let (record, handler) = recorder();
    record
        .fail("bad", HandleError::Retry("does not fit".into()))
        .await;
    let consumer = Running::start(&pool, config(), handler);
    publish(&pool, "bad", 1).await;
    until("the key to be parked", async || {
        !parked(&pool).await.unwrap().is_empty()
    })
    .await;
    until("the gauge to show it", async || shown(1)).await;
    publish(&pool, "bad", 2).await;
    publish(&pool, "good", 3).await;
    until("the other key", async || record.of("good").await == [3]).await;
    until("the later event to wait", async || {
        parked(&pool).await.unwrap()[0].waiting == 2
    })
    .await;

    let listed = parked(&pool).await.unwrap().remove(0);
    assert_eq!(
        (listed.consumer.as_str(), listed.key.as_str()),
        ("reader", "bad")
    );
    assert_eq!((listed.tries, listed.error.as_str()), (3, "does not fit"));
    assert_eq!(listed.event_type.as_deref(), Some("Ordered"));
    assert_eq!(
        record.tries.load(Ordering::SeqCst),
        4,
        "three of the parked key, one other"
    );
    assert!(record.of("bad").await.is_empty());
    let inspected = inspect(&pool, "reader", "bad").await.unwrap().unwrap();
    assert_eq!(
        (inspected.state.as_str(), inspected.next_try_at),
        ("PARKED", None)
    );
    assert_eq!((inspected.tries, inspected.failures), (3, 3));
    assert_eq!(
        (inspected.error, inspected.since),
        (listed.error, listed.since)
    );
    assert_eq!(inspected.waiting, 2);
    let places: Vec<_> = inspected.events.iter().map(|event| event.seq).collect();
    assert!(places.len() == 2 && places[0] < places[1], "{places:?}");
    assert!(inspected.events.iter().all(|event| event.key == "bad"));
    assert_eq!(inspect(&pool, "reader", "good").await.unwrap(), None);

    record.heal("bad").await;
    assert!(
        !replay(&pool, "reader", "good").await.unwrap(),
        "only what is parked"
    );
    assert!(replay(&pool, "reader", "bad").await.unwrap());
    until("both events, in order", async || {
        record.of("bad").await == [1, 2]
    })
    .await;
    until("no trouble to be left", async || {
        let left = sqlx::query_scalar::<_, i64>(
            "SELECT (SELECT count(*) FROM eventlog.troubled_keys)
                  + (SELECT count(*) FROM eventlog.set_aside)",
        );
        left.fetch_one(&pool).await.unwrap() == 0
    })
    .await;
    until("the gauge to show that", async || shown(0)).await;
    publish(&pool, "bad", 4).await;
    until("the key to go on as any other", async || {
        record.of("bad").await == [1, 2, 4]
    })
    .await;
    consumer.stop().await;
}

#[sqlx::test]
async fn an_outage_is_waited_for_and_parks_nothing(pool: PgPool) {
    prepare(&pool).await;
    let (record, handler) = recorder();
    record
        .fail("a", HandleError::Unavailable("no quorum".into()))
        .await;
    let consumer = Running::start(&pool, config(), handler);
    publish(&pool, "a", 1).await;
    publish(&pool, "a", 2).await;
    until("more tries than would park it", async || {
        record.tries.load(Ordering::SeqCst) > 6
    })
    .await;
    assert_eq!(parked(&pool).await.unwrap(), []);
    record.heal("a").await;
    until("both events", async || record.of("a").await == [1, 2]).await;
    consumer.stop().await;
}

#[sqlx::test]
async fn a_permanent_failure_parks_at_once_and_survives_a_restart(pool: PgPool) {
    prepare(&pool).await;
    let (record, handler) = recorder();
    record
        .fail("a", HandleError::Permanent("not decodable".into()))
        .await;
    let first = Running::start(&pool, config(), handler);
    publish(&pool, "a", 1).await;
    until("the key to be parked", async || {
        parked(&pool).await.unwrap().len() == 1
    })
    .await;
    assert_eq!(record.tries.load(Ordering::SeqCst), 1);
    first.kill().await;
    let (record, handler) = recorder();
    let second = Running::start(&pool, config(), handler);
    publish(&pool, "a", 2).await;
    publish(&pool, "b", 3).await;
    until("the other key", async || record.of("b").await == [3]).await;
    assert!(record.of("a").await.is_empty());
    replay(&pool, "reader", "a").await.unwrap();
    until("both events", async || record.of("a").await == [1, 2]).await;
    second.stop().await;
}

#[sqlx::test]
async fn events_not_handled_are_counted_from_a_place_on_and_up_to_a_limit(pool: PgPool) {
    prepare(&pool).await;
    assert_eq!(newest(&pool).await.unwrap(), 0);
    for number in 1..=3 {
        publish(&pool, "a", number).await;
    }
    let last = newest(&pool).await.unwrap();
    let count = async |topic: &str, seq, max| {
        let counted = behind(&pool, "reader", &[topic], seq, max).await;
        counted.unwrap()
    };
    assert_eq!(count("orders", 0, u64::MAX).await, 3, "it never ran");
    assert_eq!(count("orders", 0, 2).await, 2);
    assert_eq!(count("orders", last - 1, 9).await, 1);
    assert_eq!(count("orders", last, 9).await, 0);
    assert_eq!(count("news", 0, 9).await, 0);

    let (_, handler) = recorder();
    let consumer = Running::start(&pool, config(), handler);
    until("all to be handled", async || {
        count("orders", 0, 9).await == 0
    })
    .await;
    publish(&pool, "a", 4).await;
    assert!(newest(&pool).await.unwrap() > last);
    consumer.stop().await;
}

/// Has all up to some place already.
struct Knowing(Recorder, i64);

impl Handler for Knowing {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        self.0.handle(event).await
    }

    fn needs_none_up_to(&self) -> i64 {
        self.1
    }
}

#[sqlx::test]
async fn what_a_handler_has_already_does_not_come_and_holds_nothing_up(pool: PgPool) {
    prepare(&pool).await;
    for number in 1..=5 {
        publish(&pool, "a", number).await;
    }
    let known = newest(&pool).await.unwrap();
    publish(&pool, "a", 6).await;
    publish(&pool, "b", 1).await;
    let (record, handler) = recorder();
    let consumer = Running::start(&pool, config(), Knowing(handler, known));
    until("what is new", async || record.of("b").await == [1]).await;
    until("all to be passed", async || {
        behind(&pool, "reader", &["orders"], 0, 9).await.unwrap() == 0
    })
    .await;
    assert_eq!(record.of("a").await, [6]);
    consumer.stop().await;
}

#[sqlx::test]
async fn the_lag_is_the_age_of_the_oldest_event_that_is_not_handled(pool: PgPool) {
    prepare(&pool).await;
    let behind = async |topic: &str| lag(&pool, "reader", &[topic]).await.unwrap();
    assert_eq!(behind("orders").await, Duration::ZERO);
    publish(&pool, "a", 1).await;
    publish(&pool, "b", 2).await;
    let sql =
        "UPDATE eventlog.events SET occurred_at = now() - make_interval(mins => $1) WHERE key = $2";
    let age = async |key: &str, minutes: i32| {
        let aged = sqlx::query(sql)
            .bind(minutes)
            .bind(key)
            .execute(&pool)
            .await;
        assert_eq!(aged.unwrap().rows_affected(), 1);
    };
    age("a", 10).await;
    age("b", 5).await;
    let minutes =
        |count: u64| Duration::from_secs(count * 60)..Duration::from_secs(count * 60 + 30);
    assert!(
        minutes(10).contains(&behind("orders").await),
        "it never ran"
    );
    assert_eq!(behind("news").await, Duration::ZERO);

    let (record, handler) = recorder();
    record.fail("b", HandleError::Permanent("no".into())).await;
    let consumer = Running::start(&pool, config(), handler);
    until("the key to be parked", async || {
        parked(&pool).await.unwrap().len() == 1 && minutes(5).contains(&behind("orders").await)
    })
    .await;
    record.heal("b").await;
    replay(&pool, "reader", "b").await.unwrap();
    until("all to be handled", async || {
        behind("orders").await.is_zero()
    })
    .await;
    consumer.stop().await;
}

/// Panics once.
struct Panicking(Arc<Record>, AtomicBool);

impl Handler for Panicking {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        assert!(
            self.1.swap(true, Ordering::SeqCst),
            "the first delivery fails on purpose"
        );
        Recorder(self.0.clone()).handle(event).await
    }
}

#[sqlx::test]
async fn a_panicking_handler_is_a_failed_try(pool: PgPool) {
    prepare(&pool).await;
    let record = Arc::new(Record::default());
    let handler = Panicking(record.clone(), AtomicBool::new(false));
    let consumer = Running::start(&pool, config(), handler);
    publish(&pool, "a", 1).await;
    until("the second try", async || record.of("a").await == [1]).await;
    consumer.stop().await;
}

#[sqlx::test]
async fn two_consumers_of_one_name_take_turns(pool: PgPool) {
    prepare(&pool).await;
    let (first_record, handler) = recorder();
    let first = Running::start(&pool, config(), handler);
    publish(&pool, "a", 1).await;
    until("the first to lead", async || {
        first_record.of("a").await == [1]
    })
    .await;
    let (second_record, handler) = recorder();
    let second = Running::start(&pool, config(), handler);
    // The second has connected and been refused the lock when its session shows the question.
    until("the second to stand by", async || {
        let asked = sqlx::query_scalar::<_, i64>(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND query LIKE 'SELECT pg_try_advisory_lock(hashtextextended%' AND state = 'idle'",
        );
        asked.fetch_one(&pool).await.unwrap() == 1
    })
    .await;
    for number in 2..20 {
        publish(&pool, &number.to_string(), number).await;
    }
    until("the first to handle all", async || {
        first_record.handled.lock().await.len() == 19
    })
    .await;
    assert!(second_record.handled.lock().await.is_empty());
    first.kill().await;
    publish(&pool, "b", 100).await;
    until("the second to take over", async || {
        second_record.of("b").await == [100]
    })
    .await;
    second.stop().await;
}

#[sqlx::test]
async fn a_consumer_whose_session_is_cut_starts_anew(pool: PgPool) {
    prepare(&pool).await;
    let (record, handler) = recorder();
    let consumer = Running::start(&pool, config(), handler);
    publish(&pool, "a", 1).await;
    until("the first event", async || record.of("a").await == [1]).await;
    let cut = sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    cut.execute(&pool).await.unwrap();
    until("the event after the cut", async || {
        // The pool's own connections were cut too; a failed append is tried again.
        let Ok(mut connection) = pool.acquire().await else {
            return false;
        };
        if SHOP.append(&mut connection, event("b", 2)).await.is_err() {
            return false;
        }
        move_once(&pool, "shop").await.is_ok() && record.of("b").await.contains(&2)
    })
    .await;
    consumer.stop().await;
}

/// Goes on in the next partition, as after five million events.
async fn fill_partition(pool: &PgPool) {
    sqlx::query(
        "SELECT setval('eventlog.event_places', (last_value / 5000000 + 1) * 5000000)
         FROM eventlog.event_places",
    )
    .execute(pool)
    .await
    .unwrap();
}

async fn age(pool: &PgPool, key: &str, days: i32) {
    sqlx::query(
        "UPDATE eventlog.events SET occurred_at = now() - make_interval(days => $2) WHERE key = $1",
    )
    .bind(key)
    .bind(days)
    .execute(pool)
    .await
    .unwrap();
}

async fn keys(pool: &PgPool) -> Vec<String> {
    let left = sqlx::query_scalar("SELECT key FROM eventlog.events ORDER BY seq");
    left.fetch_all(pool).await.unwrap()
}

#[sqlx::test]
async fn only_partitions_of_old_events_that_everybody_handled_are_dropped(pool: PgPool) {
    prepare(&pool).await;
    for (number, key) in (1..).zip(["done", "waits", "done too", "fresh", "unread"]) {
        publish(&pool, key, number).await;
        let days = if key == "fresh" { -1 } else { 1 };
        age(&pool, key, EVENTS_KEPT_DAYS + days).await;
        fill_partition(&pool).await;
        sqlx::query("SELECT eventlog.add_partitions()")
            .execute(&pool)
            .await
            .unwrap();
    }
    publish(&pool, "last", 6).await;
    assert_eq!(prune_once(&pool).await.unwrap(), 0, "nobody has read any");

    sqlx::raw_sql(
        "INSERT INTO eventlog.consumers (name, seq)
             SELECT 'slow', seq - 1 FROM eventlog.events WHERE key = 'unread';
         INSERT INTO eventlog.consumers (name, seq)
             SELECT 'fast', max(seq) FROM eventlog.events;
         INSERT INTO eventlog.set_aside (consumer, seq, key)
             SELECT 'fast', seq, key FROM eventlog.events WHERE key = 'waits'",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(prune_once(&pool).await.unwrap(), 1);
    assert_eq!(prune_once(&pool).await.unwrap(), 1);
    assert_eq!(prune_once(&pool).await.unwrap(), 0);
    assert_eq!(keys(&pool).await, ["waits", "fresh", "unread", "last"]);
    // The one that waited is done.
    sqlx::query("DELETE FROM eventlog.set_aside")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(prune_once(&pool).await.unwrap(), 1);
    assert_eq!(keys(&pool).await, ["fresh", "unread", "last"]);
}

#[sqlx::test]
async fn there_is_always_room_for_what_comes(pool: PgPool) {
    prepare(&pool).await;
    for _ in 0..5 {
        fill_partition(&pool).await;
    }
    let mut connection = pool.acquire().await.unwrap();
    SHOP.append(&mut connection, event("beyond", 1))
        .await
        .unwrap();
    move_once(&pool, "shop")
        .await
        .expect_err("there is no room");
    let shutdown = CancellationToken::new();
    let relay = tokio::spawn(relay(pool.clone(), &SHOP, shutdown.clone()));
    until("room to be made", async || keys(&pool).await == ["beyond"]).await;
    shutdown.cancel();
    relay.await.unwrap();
}

#[sqlx::test]
async fn a_consumer_of_a_quiet_topic_holds_no_pruning_up(pool: PgPool) {
    prepare(&pool).await;
    let (record, handler) = recorder();
    let often = ConsumerConfig {
        poll: Duration::from_millis(20),
        ..config()
    };
    let consumer = Running::start(&pool, often, handler);
    publish(&pool, "a", 1).await;
    let news = NewEvent {
        topic: "news",
        ..event("b", 2)
    };
    let mut connection = pool.acquire().await.unwrap();
    SHOP.append(&mut connection, news.clone()).await.unwrap();
    move_once(&pool, "shop").await.unwrap();
    for key in ["a", "b"] {
        age(&pool, key, EVENTS_KEPT_DAYS + 1).await;
    }
    fill_partition(&pool).await;
    SHOP.append(&mut connection, news).await.unwrap();
    move_once(&pool, "shop").await.unwrap();
    until(
        "the other topic's events to be passed and dropped",
        async || prune_once(&pool).await.unwrap() == 2,
    )
    .await;
    publish(&pool, "a", 3).await;
    until("what comes after", async || record.of("a").await == [1, 3]).await;
    consumer.stop().await;
}

#[sqlx::test]
async fn a_service_role_can_do_its_part_and_no_more(pool: PgPool) {
    prepare(&pool).await;
    // Roles belong to the whole server, so this one has the database's name in it.
    let name: String = sqlx::query_scalar("SELECT current_database()::text")
        .fetch_one(&pool)
        .await
        .unwrap();
    let role = format!("{name}_shop");
    let sql = format!(
        "DROP ROLE IF EXISTS \"{role}\"; CREATE ROLE \"{role}\";
         GRANT USAGE ON SCHEMA shop TO \"{role}\"; GRANT ALL ON shop.outbox TO \"{role}\""
    );
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .unwrap();
    grant_service(&pool, &role).await.unwrap();
    grant_service(&pool, &role).await.unwrap();

    let options = pool.connect_options().as_ref().clone();
    let of_role = PgPool::connect_with(options.options([("role", &role)]));
    let of_role = of_role.await.unwrap();
    append(&mut of_role.acquire().await.unwrap(), "a", 1).await;
    assert_eq!(move_once(&of_role, "shop").await.unwrap(), 1);
    of_role.close().await;

    let mut as_role = pool.begin().await.unwrap();
    let switch = format!("SET LOCAL ROLE \"{role}\"");
    sqlx::raw_sql(AssertSqlSafe(switch))
        .execute(&mut *as_role)
        .await
        .unwrap();
    append(&mut as_role, "a", 1).await;
    let moved = sqlx::query_scalar::<_, i32>("SELECT eventlog.move_outbox('shop', 1)");
    assert_eq!(moved.fetch_one(&mut *as_role).await.unwrap(), 1);
    sqlx::query("INSERT INTO eventlog.consumers (name) VALUES ('x')")
        .execute(&mut *as_role)
        .await
        .unwrap();
    let pruned = sqlx::query_scalar::<_, i32>("SELECT eventlog.prune(7, 1000)");
    assert_eq!(pruned.fetch_one(&mut *as_role).await.unwrap(), 0);
    let rewritten = sqlx::query("UPDATE eventlog.events SET key = 'b'")
        .execute(&mut *as_role)
        .await;
    assert!(rewritten.is_err(), "history can't be changed");
    as_role.rollback().await.unwrap();
    let sql = format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\"");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&pool)
        .await
        .unwrap();
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A task's context as a server makes it of what it was sent.
fn in_trace(sampled: bool) -> Context {
    let context = SpanContext::new(
        TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
        SpanId::from_hex("b7ad6b7169203331").unwrap(),
        TraceFlags::default().with_sampled(sampled),
        true,
        TraceState::NONE,
    );
    Context::new().with_remote_span_context(context)
}

/// Remembers the trace of each event, and reacts to it by telling of something itself.
struct Reacts {
    pool: PgPool,
    traces: Arc<Mutex<Vec<Option<String>>>>,
}

impl Handler for Reacts {
    async fn handle(&self, event: &Event) -> Result<(), HandleError> {
        let reaction = NewEvent {
            topic: "reactions",
            ..self::event(&event.key, 0)
        };
        let mut connection = self.pool.acquire().await.unwrap();
        SHOP.append(&mut connection, reaction).await.unwrap();
        self.traces.lock().await.push(event.traceparent.clone());
        Ok(())
    }
}

#[sqlx::test]
async fn event_is_of_its_writers_trace_and_so_is_what_follows_from_it(pool: PgPool) {
    prepare(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    let sampled = append(&mut connection, "a", 1);
    sampled.with_context(in_trace(true)).await;
    let many = SHOP.append_all(&mut connection, vec![event("a", 2)]);
    many.with_context(in_trace(false)).await.unwrap();
    append(&mut connection, "a", 3).await;
    move_once(&pool, "shop").await.unwrap();

    let traces = Arc::new(Mutex::new(Vec::new()));
    let handler = Reacts {
        pool: pool.clone(),
        traces: traces.clone(),
    };
    let running = Running::start(&pool, config(), handler);
    until("all three to be handled", || async {
        traces.lock().await.len() == 3
    })
    .await;
    running.stop().await;
    let unsampled = PARENT.replace("-01", "-00");
    let expected = [Some(PARENT.to_owned()), Some(unsampled), None];
    assert_eq!(*traces.lock().await, expected);
    // Nothing records spans here, so what follows has the same parent.
    move_once(&pool, "shop").await.unwrap();
    let of_reactions: Vec<Option<String>> = sqlx::query_scalar(
        "SELECT traceparent FROM eventlog.events WHERE topic = 'reactions' ORDER BY seq",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(of_reactions, expected);
}

#[sqlx::test]
async fn both_releases_move_one_outbox_and_a_malformed_trace_is_none(pool: PgPool) {
    prepare(&pool).await;
    append(&mut pool.acquire().await.unwrap(), "a", 1).await;
    let moved = sqlx::query_scalar::<_, i32>("SELECT eventlog.move_outbox('shop', 1000)");
    assert_eq!(moved.fetch_one(&pool).await.unwrap(), 1);
    append(&mut pool.acquire().await.unwrap(), "a", 2).await;
    assert_eq!(move_once(&pool, "shop").await.unwrap(), 1);
    assert_eq!(move_once(&pool, "shop").await.unwrap(), 0);
    let sql = "INSERT INTO eventlog.events
                   (id, producer, topic, key, event_type, payload, occurred_at, traceparent)
               VALUES (gen_random_uuid(), 'shop', 'orders', 'a', 'Ordered',
                       decode('00000003', 'hex'), now(), 'nonsense')";
    sqlx::query(sql).execute(&pool).await.unwrap();
    let record = Arc::new(Record::default());
    let running = Running::start(&pool, config(), Recorder(record.clone()));
    until("all to be handled", || async {
        record.of("a").await == [1, 2, 3]
    })
    .await;
    running.stop().await;
}
