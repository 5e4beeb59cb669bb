//! What a customer can read of what happened to a booking.

use holdfast_proto::events::v1;
use holdfast_types::{BookingId, ErrorCode, Fence, Lineage, Money};
use prost::Message;
use sqlx::PgPool;

use super::{
    crashes::money,
    given_back::part_refunded,
    world::{LIMIT, PRICE, World, app, label, paid, payment, refunded, refused, tell, user},
};
use crate::{rebuild::if_pending, store::timeline::Written};

impl World {
    async fn entries(&self, id: BookingId) -> Vec<Written> {
        let page = self.app.booking_timeline(user(1), id, 100, "").await;
        let (entries, next) = page.expect("reads");
        assert_eq!(next, "");
        let positions: Vec<u32> = entries.iter().map(|(entry, _)| entry.position).collect();
        assert!(positions.iter().copied().eq(1..=positions.len() as u32));
        entries.into_iter().map(|(entry, _)| entry).collect()
    }

    pub(super) async fn entry(&self, id: BookingId, happened: &str) -> Written {
        let entries = self.entries(id).await;
        let mut like = entries
            .into_iter()
            .filter(|entry| entry.happened == happened);
        let found = like.next().unwrap_or_else(|| panic!("{happened} is there"));
        assert_eq!(like.next(), None, "once");
        found
    }
}

fn disputed(id: BookingId, state: &str) -> (&'static str, Vec<u8>) {
    let event = v1::PaymentDisputed {
        payment_id: payment(id, 1).to_bytes().to_vec(),
        booking_id: id.to_bytes().to_vec(),
        state: state.to_owned(),
    };
    ("PaymentDisputed", event.encode_to_vec())
}

fn session(id: BookingId) -> (&'static str, Vec<u8>) {
    let event = v1::PaymentSessionCreated {
        payment_id: payment(id, 1).to_bytes().to_vec(),
        booking_id: id.to_bytes().to_vec(),
        payment_url: "http://pay/1".to_owned(),
    };
    ("PaymentSessionCreated", event.encode_to_vec())
}

fn euros(amount: i64) -> Money {
    Money {
        amount,
        currency: "EUR".parse().expect("valid"),
    }
}

#[sqlx::test(migrations = false)]
async fn purchase_is_told_from_the_hold_to_the_tickets_and_back(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    // Everything comes twice.
    for _ in 0..2 {
        world.tell(id, session(id)).await;
    }
    for _ in 0..2 {
        world.tell(id, paid(id, 1, 2)).await;
    }
    for _ in 0..2 {
        let seats = [label(1)];
        let back = world.app.return_tickets(user(1), id, &seats, None).await;
        back.expect("gives back");
    }
    for _ in 0..2 {
        world.tell(id, part_refunded(id)).await;
    }
    for _ in 0..2 {
        world
            .app
            .cancel_booking(user(1), id, None)
            .await
            .expect("cancels");
    }
    for _ in 0..2 {
        world.tell(id, refunded(id, 1, 2)).await;
    }
    world.recover().await;
    let expected = [
        ("HOLD_EXTENDED", None),
        ("CREATED", None),
        ("SESSION_CREATED", None),
        ("PAID", None),
        ("COMMITTED", None),
        ("TICKETS_ISSUED", None),
        ("CONFIRMED", None),
        ("REFUND_REQUESTED", Some("SEATS_GIVEN_BACK")),
        ("TICKETS_GIVEN_BACK", None),
        ("SEATS_RETURNED", None),
        ("REFUNDED", None),
        ("CANCEL_REQUESTED", None),
        ("TICKETS_VOIDED", None),
        ("REFUND_REQUESTED", Some("CANCELLED")),
        ("CANCELLED", Some("CANCELLED_BY_CUSTOMER")),
        ("SEATS_RETURNED", None),
        ("REFUNDED", None),
    ];
    let entries = world.entries(id).await;
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.happened.as_str(), entry.reason.as_deref()))
        .collect();
    assert_eq!(told, expected);

    let fence = world.view(id).await.booking.hold.fence;
    assert!(entries.iter().all(|entry| entry.fence == fence));
    assert!(entries.is_sorted_by_key(|entry| entry.at));
    // The store's answers have its revisions, in order, and all are later than the hold.
    let from_the_store: Vec<_> = entries
        .iter()
        .filter_map(|entry| Some((entry.happened.as_str(), entry.revision?)))
        .collect();
    let names: Vec<_> = from_the_store.iter().map(|(name, _)| *name).collect();
    let expected = [
        "HOLD_EXTENDED",
        "CREATED",
        "COMMITTED",
        "TICKETS_ISSUED",
        "CONFIRMED",
        "SEATS_RETURNED",
        "SEATS_RETURNED",
    ];
    assert_eq!(names, expected);
    assert!(from_the_store.is_sorted_by_key(|(_, revision)| *revision));
    assert!(from_the_store[0].1 > fence);

    assert_eq!(entries[3].payment_id, Some(payment(id, 1)));
    assert_eq!(entries[3].amount, Some(euros(2 * PRICE)));
    for (asked, went) in [(7, 10), (13, 16)] {
        let of = |n: usize| {
            (
                entries[n].payment_id,
                entries[n].refund_id,
                entries[n].amount,
            )
        };
        assert_eq!(of(asked), of(went));
        assert_eq!(entries[asked].amount, Some(euros(PRICE)));
    }
    let page = world.app.booking_timeline(user(1), id, 100, "").await;
    let (page, _) = page.expect("reads");
    assert_eq!(page[8].1, [label(1)]);
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn pages_go_on_where_the_one_before_ended_and_are_their_customers(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0]).await;
    let all = world.entries(id).await;
    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.app.booking_timeline(user(1), id, 4, &cursor).await;
        let (page, next) = page.expect("reads");
        assert!(page.len() <= 4);
        read.extend(page.into_iter().map(|(entry, _)| entry));
        if next.is_empty() {
            break;
        }
        // What happens meanwhile is behind.
        cursor = next;
    }
    assert_eq!(read, all);
    let bad = |limit, cursor| world.app.booking_timeline(user(1), id, limit, cursor);
    let cursor = refused(bad(4, "x").await);
    assert_eq!(cursor.fields()[0].field, "cursor");
    let limit = refused(bad(101, "").await);
    assert_eq!(limit.fields()[0].field, "limit");
    let stranger = world.app.booking_timeline(user(2), id, 4, "").await;
    assert_eq!(refused(stranger).code(), ErrorCode::BookingNotFound);
}

#[sqlx::test(migrations = false)]
async fn late_money_is_told_with_the_fence_that_it_took(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0]).await;
    let first = world.view(id).await.booking.hold.fence;
    world.expire(id).await;
    world.tell(id, paid(id, 1, 1)).await;
    assert_eq!(
        world.timeline(id).await,
        [
            "HOLD_EXTENDED",
            "CREATED",
            "TIME_RAN_OUT",
            "HOLD_RELEASED",
            "EXPIRED",
            "PAID",
            "HOLD_GONE",
            "HELD_AGAIN",
            "COMMITTED",
            "TICKETS_ISSUED",
            "CONFIRMED"
        ]
    );
    let gone = world.entry(id, "HOLD_GONE").await;
    let again = world.entry(id, "HELD_AGAIN").await;
    assert_eq!(gone.fence, first);
    assert!(again.fence > first);
    assert_eq!(again.fence, world.view(id).await.booking.hold.fence);
    let expired = world.entry(id, "EXPIRED").await;
    assert_eq!(expired.reason.as_deref(), Some("PAYMENT_TIMEOUT"));
}

#[sqlx::test(migrations = false)]
async fn dispute_is_told_once_for_each_way_that_it_stands(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.buy(user(1), &[0]).await;
    let before = world.view(id).await.booking;
    for state in ["OPEN", "OPEN", "LOST", "OPEN", "LOST"] {
        world.tell(id, disputed(id, state)).await;
    }
    let entries = world.entries(id).await;
    let told: Vec<_> = entries[entries.len() - 2..]
        .iter()
        .map(|entry| (entry.happened.as_str(), entry.reason.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("PAYMENT_DISPUTED", Some("OPEN")),
            ("PAYMENT_DISPUTED", Some("LOST"))
        ]
    );
    assert!(
        entries
            .iter()
            .rev()
            .take(2)
            .all(|e| e.payment_id == Some(payment(id, 1)))
    );
    assert_eq!(
        world.view(id).await.booking,
        before,
        "the booking stays as it is"
    );
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn rebuilt_store_is_told_to_who_has_seats_once(pool: PgPool) {
    let mut world = World::new(pool).await;
    let sold = world.buy(user(1), &[0]).await;
    let paying = world.book(user(1), &[1]).await;
    let over = world.book(user(1), &[2]).await;
    world
        .app
        .cancel_booking(user(1), over, None)
        .await
        .expect("cancels");
    let ended = world.timeline(over).await;
    world.lose_store().await;
    if_pending(&world.app)
        .await
        .expect("rebuilds")
        .expect("is pending");
    let told = world.entry(sold, "STORE_REBUILT").await;
    let revision = told.revision.expect("the new store's");
    assert_eq!(revision.lineage(), Lineage(2));
    // Begun again after it was broken off.
    let again = crate::store::timeline::rebuilt(&world.pool, world.show_id, revision).await;
    again.expect("writes");
    world.entry(sold, "STORE_REBUILT").await;
    world.entry(paying, "STORE_REBUILT").await;
    assert_eq!(world.timeline(over).await, ended, "it has no seats");

    world.tell(paying, paid(paying, 1, 1)).await;
    let committed = world.entry(paying, "COMMITTED").await;
    let revision = committed.revision.expect("an answer of the store");
    assert_eq!(revision.lineage(), Lineage(2));
    assert_eq!(
        committed.fence.lineage(),
        Lineage(1),
        "the seats kept their fence"
    );

    world.lose_store().await;
    if_pending(&world.app)
        .await
        .expect("rebuilds")
        .expect("is pending");
    let twice = world.timeline(sold).await;
    let twice = twice.iter().filter(|told| *told == "STORE_REBUILT");
    assert_eq!(twice.count(), 2, "once for each life");
    world.audit().await;
}

#[sqlx::test(migrations = false)]
async fn what_is_rolled_back_is_not_told(pool: PgPool) {
    let world = World::new(pool).await;
    let id = world.book(user(1), &[0, 1]).await;
    sqlx::query("UPDATE booking.seats SET fence = fence + 1 WHERE seat_no = 1")
        .execute(&world.pool)
        .await
        .expect("writes");
    world.tell(id, paid(id, 1, 2)).await;
    assert_eq!(
        world.timeline(id).await,
        [
            "HOLD_EXTENDED",
            "CREATED",
            "PAID",
            "REFUND_REQUESTED",
            "FAILED",
            "INCONSISTENT",
            "SEATS_RETURNED"
        ]
    );
    // A question that nobody could answer leaves nothing either.
    let unpaid = world.book(user(1), &[3]).await;
    let away = app(&world.pool, "http://127.0.0.1:1", LIMIT).await;
    tell(&away, unpaid, paid(unpaid, 1, 1)).await;
    assert_eq!(
        world.timeline(unpaid).await,
        ["HOLD_EXTENDED", "CREATED", "PAID"]
    );
    let asked = world
        .app
        .drive(unpaid, money(unpaid, 1), holdfast_types::ClusterTime(0))
        .await;
    asked.expect("drives");
    assert_eq!(world.entry(unpaid, "CONFIRMED").await.reason, None);
    assert!(world.entry(unpaid, "PAID").await.fence > Fence::ZERO);
    world.audit().await;
}
