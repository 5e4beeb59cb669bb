//! One database, one lock-store node, one show of ten seats, and what a customer does.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use booking_core::Input;
use chrono::Utc;
use holdfast_eventlog::{Event, Handler};
use holdfast_mesh::{Context, Failure, deadline::Deadline};
use holdfast_proto::events::v1;
use holdfast_types::{
    BookingId, BookingState, DurationMs, ErrorCode, LateMoney, PaymentId, SeatState, ShowId,
    ShowState, UserId,
};
use lockstore_client::SeatKind;
use lockstore_node::Member;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use prost::Message;
use sqlx::PgPool;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    Config,
    app::{
        App,
        answer::Answer,
        book::Book,
        hold_seats::{HoldSeats, Wanted},
        holds::HoldView,
        open_inventory::OpenInventory,
        read::BookingView,
        rights::Actor,
    },
    error::Error,
    metrics as metrics_of, server,
    store::shows::{NewSeat, SaleTimes},
    tasks::payments::Payments,
};

/// Longer than anything here takes on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(60);
pub(super) const PRICE: i64 = 2_500;
pub(super) const SEATS: usize = 10;
pub(super) const CAP: u32 = 6;

pub(super) const CANCEL: Input = Input::CancelRequested {
    confirmed_too: true,
};

pub(super) struct World {
    pub(super) app: Arc<App>,
    pub(super) pool: PgPool,
    pub(super) show_id: ShowId,
    pub(super) lockstore: String,
    node: Context,
    counters: PrometheusHandle,
    /// Everything of a test runs on its one thread.
    _recorder: metrics::LocalRecorderGuard<'static>,
    _folder: TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.node.shutdown.cancel();
    }
}

/// A node of a cluster of one in its life of that number, ready; its client plane's address.
async fn start_node(folder: &TempDir, lineage: u8) -> (Context, String) {
    let context = Context::new();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = lockstore_node::Config {
        data_dir: folder.path().join(format!("node-{lineage}")),
        lineage,
        listen_client: any,
        listen_peer: any,
        // A node alone calls nobody and sends nobody elsewhere.
        members: vec![Member {
            node_id: 1,
            peer_addr: "http://127.0.0.1:1".to_owned(),
            client_addr: "http://127.0.0.1:1".to_owned(),
        }],
        ..lockstore_node::Config::default()
    };
    tokio::spawn(lockstore_node::serve(config, context.clone()));
    let address = tokio::time::timeout(LIMIT, context.readiness.address("lockstore"));
    let address = address.await.expect("the node listens");
    tokio::time::timeout(LIMIT, context.readiness.all_ready())
        .await
        .expect("the node is ready");
    (context, format!("http://{address}"))
}

impl World {
    /// Another show, of a row and an area.
    pub(super) async fn open_with_an_area(&self) -> ShowId {
        let request = opening_with_an_area();
        let show_id = request.show_id;
        let opened = self.app.open_inventory(opener(), request, deadline());
        opened.await.expect("opens");
        show_id
    }

    /// Holds live ten minutes.
    pub(super) async fn new(pool: PgPool) -> Self {
        Self::with_hold_ttl(pool, DurationMs::from_secs(600)).await
    }

    /// Holds and bookings live `ttl`.
    pub(super) async fn with_hold_ttl(pool: PgPool, ttl: DurationMs) -> Self {
        let recorder = Box::leak(Box::new(PrometheusBuilder::new().build_recorder()));
        let counters = recorder.handle();
        let recorder = metrics::set_default_local_recorder(recorder);
        let folder = tempfile::tempdir().expect("a folder");
        let (node, lockstore) = start_node(&folder, 1).await;
        crate::migrate(&pool).await.expect("migrates");
        let app = app(&pool, &lockstore, ttl.into()).await;
        let show_id = ShowId::from_uuid(Uuid::now_v7());
        let world = Self {
            app,
            pool,
            show_id,
            lockstore,
            node,
            counters,
            _recorder: recorder,
            _folder: folder,
        };
        let open = world
            .app
            .open_inventory(opener(), opening(show_id, ttl), deadline());
        assert_eq!(open.await.expect("opens"), SEATS as u32);
        world
    }

    /// The lock store is lost, and a new one is there, empty, in the next life of the cluster.
    pub(super) async fn lose_store(&mut self) {
        self.node.shutdown.cancel();
        let raised = crate::begin_rebuild(&self.pool).await.expect("raises");
        let lineage = raised.expect("there are more");
        (self.node, self.lockstore) = start_node(&self._folder, lineage.0).await;
        self.app = app(&self.pool, &self.lockstore, LIMIT).await;
    }

    /// From here on everything is about another show, as new as the first was.
    pub(super) async fn open_another(&mut self) {
        self.show_id = ShowId::from_uuid(Uuid::now_v7());
        let opening = opening(self.show_id, DurationMs::from_secs(600));
        let open = self.app.open_inventory(opener(), opening, deadline());
        assert_eq!(open.await.expect("opens"), SEATS as u32);
    }

    /// The organiser calls the show off.
    pub(super) async fn call_off(&self) {
        let cancelled =
            self.app
                .change_show(opener(), self.show_id, ShowState::Cancelled, deadline());
        assert_eq!(cancelled.await.expect("cancels"), ShowState::Cancelled);
    }

    pub(super) async fn try_hold(
        &self,
        user_id: UserId,
        seats: &[usize],
        key: &str,
    ) -> Result<(HoldView, bool), Failure> {
        let request = HoldSeats {
            user_id,
            show_id: self.show_id,
            wanted: Wanted::Seats(seats.iter().map(|seat| label(*seat)).collect()),
            idempotency_key: key.to_owned(),
        };
        self.app
            .hold_seats(request, deadline())
            .await
            .map_err(Failure::from)
    }

    /// The hold's public id.
    pub(super) async fn hold(&self, user_id: UserId, seats: &[usize]) -> String {
        let key = Uuid::now_v7().to_string();
        let (hold, replayed) = self.try_hold(user_id, seats, &key).await.expect("holds");
        assert!(!replayed);
        hold.token.to_string()
    }

    pub(super) async fn try_book(
        &self,
        user_id: UserId,
        hold_id: &str,
        key: &str,
    ) -> Result<Answer, Failure> {
        let (hold_id, idempotency_key) = (hold_id.to_owned(), key.to_owned());
        let request = Book {
            user_id,
            hold_id,
            idempotency_key,
        };
        self.app
            .book(request, deadline())
            .await
            .map_err(Failure::from)
    }

    /// Holds and books.
    pub(super) async fn book(&self, user_id: UserId, seats: &[usize]) -> BookingId {
        let hold_id = self.hold(user_id, seats).await;
        let key = Uuid::now_v7().to_string();
        let answer = self.try_book(user_id, &hold_id, &key).await.expect("books");
        assert!(!answer.replayed);
        id_of(&answer)
    }

    /// Holds, books and pays.
    pub(super) async fn buy(&self, user_id: UserId, seats: &[usize]) -> BookingId {
        let booking_id = self.book(user_id, seats).await;
        self.tell(booking_id, paid(booking_id, 1, seats.len()))
            .await;
        assert_eq!(self.state(booking_id).await, BookingState::Confirmed);
        booking_id
    }

    /// Delivers an event of payment-svc.
    pub(super) async fn tell(&self, booking_id: BookingId, event: (&str, Vec<u8>)) {
        tell(&self.app, booking_id, event).await;
    }

    pub(super) async fn state(&self, booking_id: BookingId) -> BookingState {
        self.view(booking_id).await.booking.state
    }

    pub(super) async fn view(&self, booking_id: BookingId) -> BookingView {
        let user_id = sqlx::query_scalar!(
            "SELECT user_id FROM booking.directory WHERE booking_id = $1",
            booking_id.as_uuid()
        );
        let user_id = user_id.fetch_one(&self.pool).await.expect("is there");
        let user_id = UserId::from_uuid(user_id);
        let stored = crate::store::bookings::of_user(&self.pool, user_id, booking_id)
            .await
            .expect("reads")
            .expect("is there");
        self.app.view(stored).await.expect("has an inventory")
    }

    /// Until so many sessions wait for a lock of the database.
    pub(super) async fn lock_waits(&self, wanted: i64) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let begun = Instant::now();
        loop {
            let waits = sqlx::query_scalar::<_, i64>(waiting).fetch_one(&self.pool);
            if waits.await.expect("reads") >= wanted {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "never waits");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the store says of each seat.
    pub(super) async fn seats(&self) -> Vec<SeatState> {
        let found = self
            .app
            .availability(self.show_id, "", deadline())
            .await
            .expect("reads");
        found.seats.into_iter().map(|(_, state)| state).collect()
    }

    /// The show begins: the service as it is from then on, started anew.
    pub(super) async fn begin_show(&self) -> Arc<App> {
        sqlx::query!("UPDATE booking.shows SET starts_at = now() - make_interval(secs => 1)")
            .execute(&self.pool)
            .await
            .expect("writes");
        app(&self.pool, &self.lockstore, LIMIT).await
    }

    /// The booking's time is up; its hold at the store lives until it is let go.
    pub(super) async fn run_out(&self, booking_id: BookingId) {
        sqlx::query!(
            "UPDATE booking.bookings SET expires_at = 'epoch' WHERE booking_id = $1",
            booking_id.as_uuid()
        )
        .execute(&self.pool)
        .await
        .expect("writes");
    }

    /// The booking's time is up, and it is swept.
    pub(super) async fn expire(&self, booking_id: BookingId) {
        self.run_out(booking_id).await;
        self.app.sweep().await.expect("sweeps");
        assert_eq!(self.state(booking_id).await, BookingState::Expired);
    }

    /// Takes every open step over, as after a crash whose lease has run out.
    pub(super) async fn recover(&self) {
        sqlx::query!("UPDATE booking.bookings SET step_due_at = now() WHERE step <> 'IDLE'")
            .execute(&self.pool)
            .await
            .expect("writes");
        self.app.recover().await.expect("recovers");
    }

    /// Types of the events told so far, in order.
    pub(super) async fn told(&self, booking_id: BookingId) -> Vec<String> {
        sqlx::query_scalar!(
            "SELECT event_type FROM booking.outbox WHERE key = $1 ORDER BY position",
            booking_id.to_string()
        )
        .fetch_all(&self.pool)
        .await
        .expect("reads")
    }

    /// No promise is broken, here or between here and the store.
    pub(super) async fn audit(&self) {
        assert_eq!(crate::audit(&self.pool).await.expect("audits"), []);
        let sold = sqlx::query_scalar!(
            "SELECT seat_no FROM booking.seats WHERE show_id = $1 AND state = 'SOLD' ORDER BY 1",
            self.show_id.as_uuid()
        );
        let sold = sold.fetch_all(&self.pool).await.expect("reads");
        let at_store: Vec<i32> = (0..)
            .zip(self.seats().await)
            .filter(|(_, state)| *state == SeatState::Sold)
            .map(|(seat_no, _)| seat_no)
            .collect();
        assert_eq!(sold, at_store, "store and database agree on what is sold");
        let untold = sqlx::query_scalar::<_, Uuid>(
            "SELECT booking_id FROM booking.bookings b WHERE state <> coalesce((
                 SELECT happened FROM booking.timeline t
                 WHERE t.booking_id = b.booking_id
                     AND happened IN ('CONFIRMED', 'EXPIRED', 'FAILED', 'CANCELLED')
                 ORDER BY position DESC LIMIT 1), 'PENDING_PAYMENT')",
        );
        let untold = untold.fetch_all(&self.pool).await.expect("reads");
        assert!(
            untold.is_empty(),
            "timelines end as their bookings do: {untold:?}"
        );
        self.assert_counted().await;
    }

    /// What was counted so far under `name`, of all series that say `label`.
    pub(super) fn counted(&self, name: &str, label: &str) -> i64 {
        let shown = self.counters.render();
        let series = shown.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with([' ', '{']) && rest.contains(label)
        });
        let counts = series.filter_map(|line| line.rsplit(' ').next()?.parse::<i64>().ok());
        counts.sum()
    }

    /// Every change was counted once: the counters come to what the tables have.
    async fn assert_counted(&self) {
        let sold =
            self.counted(metrics_of::SEATS_SOLD, "") - self.counted(metrics_of::SEATS_RETURNED, "");
        let failed = self.counted(metrics_of::ENDINGS, "state=\"FAILED\"");
        let cancelled = self.counted(metrics_of::ENDINGS, "state=\"CANCELLED\"");
        let counted = [
            sold,
            self.counted(metrics_of::TICKETS, ""),
            failed,
            cancelled,
        ];
        let tables = [
            "SELECT count(*) FROM booking.seats WHERE state = 'SOLD'",
            "SELECT count(*) FROM booking.tickets",
            "SELECT count(*) FROM booking.bookings WHERE state = 'FAILED'",
            "SELECT count(*) FROM booking.bookings WHERE state = 'CANCELLED'",
        ];
        let mut expected = [0_i64; 4];
        for (count, sql) in expected.iter_mut().zip(tables) {
            let read = sqlx::query_scalar(sql).fetch_one(&self.pool);
            *count = read.await.expect("reads");
        }
        assert_eq!(counted, expected, "seats sold, tickets, failed, cancelled");
    }
}

pub(super) async fn app(pool: &PgPool, lockstore: &str, payment_window: Duration) -> Arc<App> {
    let config = Config {
        lockstore: vec![lockstore.to_owned()],
        payment_window_ms: u64::try_from(payment_window.as_millis()).expect("short"),
        ..Config::default()
    };
    Arc::new(
        server::compose(&config, pool.clone(), &Context::new())
            .await
            .expect("composes"),
    )
}

pub(super) fn opening(show_id: ShowId, ttl: DurationMs) -> OpenInventory {
    OpenInventory {
        show_id,
        owner: None,
        title: "A night out".to_owned(),
        starts_at: Utc::now() + chrono::TimeDelta::days(60),
        currency: "EUR".parse().expect("valid"),
        price_version: 1,
        hold_ttl: ttl,
        hold_total_max: ttl,
        seats_per_customer_max: CAP,
        sale: SaleTimes::default(),
        fees: Vec::new(),
        late_money: LateMoney::Rebook,
        no_lone_seat: false,
        seats: (0..SEATS)
            .map(|seat| NewSeat {
                label: label(seat),
                section: if seat < 5 { "LEFT" } else { "RIGHT" }.to_owned(),
                row_no: 0,
                gap_after: false,
                category: "A".to_owned(),
                price: PRICE,
                kind: SeatKind::Plain,
            })
            .collect(),
    }
}

/// A row of an accessible seat, its companion's and one for anyone, and an area of 4 places.
pub(super) fn opening_with_an_area() -> OpenInventory {
    let seat = |label: &str, section: &str, row_no, kind| NewSeat {
        label: label.to_owned(),
        section: section.to_owned(),
        row_no,
        gap_after: false,
        category: "A".to_owned(),
        price: PRICE,
        kind,
    };
    let row = [SeatKind::Accessible, SeatKind::Companion, SeatKind::Plain];
    let row = (1..)
        .zip(row)
        .map(|(number, kind)| seat(&format!("ROW-{number}"), "ROW", 0, kind));
    let floor =
        (1..=4).map(|number| seat(&format!("FLOOR-{number}"), "FLOOR", 1, SeatKind::Standing));
    OpenInventory {
        seats: row.chain(floor).collect(),
        ..opening(
            ShowId::from_uuid(Uuid::now_v7()),
            DurationMs::from_secs(600),
        )
    }
}

/// Who opened the world's show.
pub(super) fn opener() -> Actor {
    Actor::Organiser(user(200))
}

pub(super) fn id_of(answer: &Answer) -> BookingId {
    BookingId::from_slice(&answer.booking.booking_id).expect("an id")
}

pub(super) fn label(seat: usize) -> String {
    format!("A-{}", seat + 1)
}

pub(super) fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}

pub(super) fn user(n: u8) -> UserId {
    UserId::from_bytes([n; 16])
}

/// The `n`th payment of a booking; no two bookings share one, and none is a booking's id.
pub(super) fn payment(booking_id: BookingId, n: u8) -> PaymentId {
    let mut bytes = booking_id.to_bytes();
    bytes[0] = !n;
    PaymentId::from_bytes(bytes)
}

/// Told when `seats` were paid by the `n`th payment.
pub(super) fn paid(booking_id: BookingId, n: u8, seats: usize) -> (&'static str, Vec<u8>) {
    let event = v1::PaymentSucceeded {
        payment_id: payment(booking_id, n).to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        amount: Some(v1::Money {
            amount: PRICE * i64::try_from(seats).expect("few"),
            currency: "EUR".to_owned(),
        }),
        again: false,
    };
    ("PaymentSucceeded", event.encode_to_vec())
}

/// As [`paid`], by a payment-svc that heard nothing of what became of it.
pub(super) fn paid_again(booking_id: BookingId, n: u8, seats: usize) -> (&'static str, Vec<u8>) {
    let (event_type, payload) = paid(booking_id, n, seats);
    let mut event = v1::PaymentSucceeded::decode(&*payload).expect("readable");
    event.again = true;
    (event_type, event.encode_to_vec())
}

/// Told when the `n`th payment, of `seats`, went back.
pub(super) fn refunded(booking_id: BookingId, n: u8, seats: usize) -> (&'static str, Vec<u8>) {
    let payment_id = payment(booking_id, n);
    let event = v1::RefundSucceeded {
        refund_id: booking_core::refund_id(payment_id).into_bytes().to_vec(),
        payment_id: payment_id.to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        amount: Some(v1::Money {
            amount: PRICE * i64::try_from(seats).expect("few"),
            currency: "EUR".to_owned(),
        }),
    };
    ("RefundSucceeded", event.encode_to_vec())
}

/// Told when the `n`th payment came to nothing.
pub(super) fn failed(booking_id: BookingId, n: u8) -> (&'static str, Vec<u8>) {
    let event = v1::PaymentFailed {
        payment_id: payment(booking_id, n).to_bytes().to_vec(),
        booking_id: booking_id.to_bytes().to_vec(),
        reason: "declined".to_owned(),
    };
    ("PaymentFailed", event.encode_to_vec())
}

/// An event of payment-svc.
pub(super) fn event(booking_id: BookingId, event: (&str, Vec<u8>)) -> Event {
    let (event_type, payload) = event;
    Event {
        seq: 1,
        id: Uuid::now_v7(),
        producer: "payment".to_owned(),
        topic: "payment".to_owned(),
        key: booking_id.to_string(),
        event_type: event_type.to_owned(),
        payload,
        occurred_at: Utc::now(),
        traceparent: None,
    }
}

pub(super) async fn tell(app: &Arc<App>, booking_id: BookingId, told: (&str, Vec<u8>)) {
    Payments { app: app.clone() }
        .handle(&event(booking_id, told))
        .await
        .expect("handled");
}

/// The code of a refusal.
pub(super) fn code<T: std::fmt::Debug>(result: Result<T, impl Into<Failure>>) -> ErrorCode {
    let failure: Failure = result.expect_err("refused").into();
    failure.code()
}

pub(super) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Failure {
    Failure::from(result.expect_err("refused"))
}
