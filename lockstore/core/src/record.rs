//! The state as a sequence of records, for snapshots: what a node encodes, streams and reads back.
//!
//! Always holds: a record is of bounded size, and the sequence of a state is a function of the
//! state: [`Record::Meta`], the acts of operators ([`Record::Act`]), then each show in the order of ids ([`Record::Show`], its layout, its
//! seats, holds, sales, blocked seats and requests, each in the order of their keys), then [`Record::End`].
//! Leaves to [`StateBuilder`](crate::StateBuilder): what else must be true of them. What follows
//! from other records (counts per customer, queues, what is chosen from) is not recorded.

use std::sync::Arc;

use holdfast_types::{
    BookingId, ClusterTime, Fence, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId, UserId,
};

use crate::{
    Act, BodyHash, Effect, Hold, LayoutSeat, Phase, Queue, RequestId, ShowRules, StateHash,
    limits::SEATS_PER_RECORD_MAX, show::Show,
};

/// One piece of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Record {
    Meta(MetaRecord),
    Act(ActRecord),
    Show(ShowRecord),
    Layout(LayoutRecord),
    Seats(SeatsRecord),
    Hold(HoldRecord),
    Sale(SaleRecord),
    Blocked(BlockedRecord),
    Request(RequestRecord),
    /// The last: the hash of the whole state.
    End(StateHash),
}

/// The first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaRecord {
    /// Which life of the cluster this is.
    pub lineage: Lineage,
    /// Cluster time.
    pub now: ClusterTime,
    /// The revision of the last command.
    pub revision: Revision,
    /// No hold ends by time.
    pub expiry_paused: bool,
}

/// What an operator set or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActRecord {
    /// When it took effect; its key.
    pub revision: Revision,
    /// The act.
    pub act: Arc<Act>,
}

/// A show; the records that follow, up to the next of these, are of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShowRecord {
    /// The show.
    pub show_id: ShowId,
    /// Where it stands.
    pub phase: Phase,
    /// Seats of the whole show.
    pub seat_count: u32,
    /// The rules.
    pub rules: ShowRules,
    /// The rules that its first chunk came with; a late copy of a chunk is recognised by them.
    pub opening_rules: ShowRules,
    /// Its waiting room.
    pub queue: Queue,
    /// The highest fence of the claims that were loaded; zero for none.
    pub loaded: Fence,
}

/// A piece of a layout, at most [`SEATS_PER_RECORD_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutRecord {
    /// The show.
    pub show_id: ShowId,
    /// The first seat; the pieces follow one another without a gap, from 0.
    pub first_seat_no: SeatNo,
    /// Seats, dense from there.
    pub seats: Vec<LayoutSeat>,
}

/// What is known of one seat. A seat that was never held has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatRecord {
    /// Which.
    pub seat_no: SeatNo,
    /// What it is.
    pub state: SeatState,
    /// The last fence granted on it, kept when it is free (HS-3).
    pub fence: Fence,
}

/// Seats of a show, at most [`SEATS_PER_RECORD_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatsRecord {
    /// The show.
    pub show_id: ShowId,
    /// In ascending order.
    pub seats: Vec<SeatRecord>,
}

/// A live hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldRecord {
    /// The show.
    pub show_id: ShowId,
    /// The hold as it stands.
    pub hold: Arc<Hold>,
}

/// A sale, kept while a seat is sold under it. Which seats: those sold under its fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaleRecord {
    /// The show.
    pub show_id: ShowId,
    /// The fence of the hold that became this sale; its key.
    pub fence: Fence,
    /// That hold.
    pub hold_id: HoldId,
    /// Who held, and whose cap it counts towards.
    pub holder: UserId,
    /// The purchase.
    pub booking_id: BookingId,
    /// Seats still sold under it.
    pub seat_count: u32,
}

/// Who had seats blocked; at most
/// [`SEATS_PER_RECORD_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedRecord {
    /// The show.
    pub show_id: ShowId,
    /// Blocked seats in ascending order, and who asked.
    pub seats: Vec<(SeatNo, UserId)>,
}

/// A request that had an effect, remembered so that it has no second one (HS-7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// The show.
    pub show_id: ShowId,
    /// Its id.
    pub id: RequestId,
    /// What it asked.
    pub body: BodyHash,
    /// The latest deadline that any copy of it named.
    pub not_after: ClusterTime,
    /// When it may be forgotten, strictly after this instant; `None` while its hold lives.
    pub keep_until: Option<ClusterTime>,
    /// What it did.
    pub effect: Effect,
}

impl crate::State {
    /// Everything, as records in a fixed order. Lazy: a clone of the state can be streamed while
    /// the original goes on.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        let meta = MetaRecord {
            lineage: self.lineage(),
            now: self.now(),
            revision: self.revision(),
            expiry_paused: self.is_expiry_paused(),
        };
        let acts = self.acts().kept().iter().map(|(revision, act)| {
            Record::Act(ActRecord {
                revision: *revision,
                act: Arc::clone(act),
            })
        });
        std::iter::once(Record::Meta(meta))
            .chain(acts)
            .chain(
                self.all_shows()
                    .values()
                    .flat_map(|show| show_records(show)),
            )
            .chain(std::iter::once_with(|| Record::End(self.hash())))
    }
}

fn show_records(show: &Show) -> impl Iterator<Item = Record> + '_ {
    let show_id = show.id();
    let header = ShowRecord {
        show_id,
        phase: show.phase(),
        seat_count: show.seat_count(),
        rules: *show.rules(),
        opening_rules: *show.opening_rules(),
        queue: show.queue(),
        loaded: show.loaded(),
    };
    let layout = (0_u32..)
        .step_by(SEATS_PER_RECORD_MAX)
        .zip(chunks(show.layout().iter().copied()))
        .map(move |(first, seats)| {
            Record::Layout(LayoutRecord {
                show_id,
                first_seat_no: SeatNo(first),
                seats,
            })
        });
    let seats = show
        .touched_seats()
        .iter()
        .map(|(seat_no, seat)| SeatRecord {
            seat_no,
            state: seat.state,
            fence: seat.fence,
        });
    let seats = chunks(seats).map(move |seats| Record::Seats(SeatsRecord { show_id, seats }));
    let holds = show.live_holds().map(move |kept| {
        Record::Hold(HoldRecord {
            show_id,
            hold: Arc::new(kept.hold()),
        })
    });
    let sales = show.sales().iter().map(move |(fence, sale)| {
        Record::Sale(SaleRecord {
            show_id,
            fence: *fence,
            hold_id: sale.hold_id,
            holder: sale.holder,
            booking_id: sale.booking_id,
            seat_count: sale.seat_count,
        })
    });
    let blocked = show
        .blocked()
        .iter()
        .map(|(seat_no, actor)| (*seat_no, *actor));
    let blocked =
        chunks(blocked).map(move |seats| Record::Blocked(BlockedRecord { show_id, seats }));
    let requests = show.requests().map(move |(id, known)| {
        Record::Request(RequestRecord {
            show_id,
            id,
            body: known.body,
            not_after: known.not_after,
            keep_until: known.keep_until,
            effect: known.effect,
        })
    });
    std::iter::once(Record::Show(header))
        .chain(layout)
        .chain(seats)
        .chain(holds)
        .chain(sales)
        .chain(blocked)
        .chain(requests)
}

fn chunks<T>(mut items: impl Iterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let chunk: Vec<_> = items.by_ref().take(SEATS_PER_RECORD_MAX).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}
