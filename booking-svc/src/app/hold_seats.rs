//! A customer takes seats for some minutes. Only the lock store is touched.
//!
//! Always holds: the store's id of the hold is derived from customer, show and idempotency key,
//! so a repeated request is the same request there; a replay gives the answer given first.

use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{
    ErrorCode, HoldId, SeatNo, ShowId, UserId,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, SEATS_PER_HOLD_MAX},
};
use lockstore_client::{
    BestAvailable, GetHoldOutcome, Hold, ReleaseHold, ReleaseOutcome, SeatKind, Selection,
};
use sha2::{Digest, Sha256};

use super::{
    App, holds::HoldView, inventory::Inventory, open_inventory::NAME_BYTES_MAX, refusal::key_reused,
};
use crate::{error::Error, metrics};

/// First in what hold ids are derived from, so that nothing else derives the same.
const HOLD_DOMAIN: &[u8] = b"holdfast hold 1\0";

/// Unknown labels that a refusal names, which travels in a header of 16 KiB at most.
const UNKNOWN_NAMED_MAX: usize = 8;

/// Sections that a choice names, and prices that the store is told for it, at most: its own limits.
const SECTIONS_NAMED_MAX: usize = 64;
const PRICES_NAMED_MAX: usize = 64;

/// What a customer asks for.
#[derive(Debug, Clone)]
pub(crate) struct HoldSeats {
    pub(crate) user_id: UserId,
    pub(crate) show_id: ShowId,
    pub(crate) wanted: Wanted,
    pub(crate) idempotency_key: String,
}

/// Which seats.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// By label.
    Seats(Vec<String>),
    Best(Best),
    Area(Area),
}

/// The lowest free places of a standing area.
#[derive(Debug, Clone)]
pub(crate) struct Area {
    /// Its section's.
    pub(crate) name: String,
    pub(crate) count: u32,
}

/// The best there are.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    pub(crate) count: u32,
    /// Of these only; of any if none is named.
    pub(crate) sections: Vec<String>,
    /// Of each seat, in minor units.
    pub(crate) max_price: Option<i64>,
    /// In one block.
    pub(crate) adjacent: bool,
    /// From places for wheelchairs and the seats beside them, with such a place in each block.
    pub(crate) accessible: bool,
}

/// `IDEMPOTENCY_KEY_REQUIRED` or `INVALID_REQUEST` unless the key is usable.
pub(crate) fn check_key(key: &str) -> Result<(), Failure> {
    if key.is_empty() {
        return Err(Failure::new(
            ErrorCode::IdempotencyKeyRequired,
            "an Idempotency-Key is needed",
        ));
    }
    if key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        let why = format!("at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes");
        return Err(Failure::invalid("Idempotency-Key", why));
    }
    Ok(())
}

/// The store's id of the hold that this request makes.
pub(crate) fn hold_id(user_id: UserId, show_id: ShowId, idempotency_key: &str) -> HoldId {
    let mut hash = Sha256::new();
    hash.update(HOLD_DOMAIN);
    hash.update(user_id.to_bytes());
    hash.update(show_id.to_bytes());
    hash.update(idempotency_key.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    HoldId::from_bytes(id)
}

/// The numbers of the labels of a hold, ascending.
pub(crate) fn seat_nos(labels: &[String], inventory: &Inventory) -> Result<Vec<SeatNo>, Failure> {
    some_seat_nos(labels, inventory, SEATS_PER_HOLD_MAX)
}

/// The numbers of 1 to `most` labels, ascending.
pub(super) fn some_seat_nos(
    labels: &[String],
    inventory: &Inventory,
    most: usize,
) -> Result<Vec<SeatNo>, Failure> {
    if labels.is_empty() {
        return Err(Failure::invalid("seat_ids", "at least one seat is needed"));
    }
    if labels.len() > most {
        let why = format!("at most {most} seats at once");
        return Err(Failure::invalid("seat_ids", why));
    }
    let mut unknown = Vec::new();
    let mut seats = Vec::with_capacity(labels.len());
    for (i, label) in labels.iter().enumerate() {
        if label.len() > NAME_BYTES_MAX {
            let why = format!("at most {NAME_BYTES_MAX} bytes");
            return Err(Failure::invalid(&format!("seat_ids[{i}]"), why));
        }
        match inventory.seat_no(label) {
            Some(seat) if seats.contains(&seat) => {
                return Err(Failure::invalid(&format!("seat_ids[{i}]"), "named twice"));
            }
            Some(seat) => seats.push(seat),
            None if unknown.len() < UNKNOWN_NAMED_MAX => {
                unknown.push(serde_json::json!({ "seat_id": label }));
            }
            None => {}
        }
    }
    if !unknown.is_empty() {
        return Err(
            Failure::new(ErrorCode::SeatNotFound, "this show has no such seat")
                .with_metadata("seats", serde_json::Value::from(unknown).to_string()),
        );
    }
    seats.sort_unstable();
    Ok(seats)
}

/// What the store is asked for.
fn selection(wanted: &Wanted, inventory: &Inventory) -> Result<Selection, Failure> {
    match wanted {
        Wanted::Seats(labels) => {
            let seats = seat_nos(labels, inventory)?;
            no_companion_alone(&seats, inventory)?;
            Ok(Selection::Seats(seats))
        }
        Wanted::Area(area) => places(area, inventory),
        Wanted::Best(best) => best_available(best, inventory).map(Selection::BestAvailable),
    }
}

/// A companion's seat is held with the place that it is beside.
fn no_companion_alone(seats: &[SeatNo], inventory: &Inventory) -> Result<(), Failure> {
    let of_kind = |kind| {
        let mut seats = seats.iter().filter_map(|seat| inventory.seat(*seat));
        seats.find(|seat| seat.kind == kind)
    };
    let Some(companion) = of_kind(SeatKind::Companion) else {
        return Ok(());
    };
    if of_kind(SeatKind::Accessible).is_some() {
        return Ok(());
    }
    let why = format!(
        "{} is for who comes along with a person in an accessible seat; hold it together with one",
        companion.label
    );
    Err(Failure::invalid("seat_ids", why))
}

fn places(area: &Area, inventory: &Inventory) -> Result<Selection, Failure> {
    if !(1..=SEATS_PER_HOLD_MAX).contains(&(area.count as usize)) {
        let why = format!("1 to {SEATS_PER_HOLD_MAX} places");
        return Err(Failure::invalid("area.count", why));
    }
    let section_no = inventory.area(&area.name);
    let section_no = section_no
        .ok_or_else(|| Failure::invalid("area.name", "this show has no such standing area"))?;
    Ok(Selection::Area {
        section_no,
        count: area.count,
    })
}

fn best_available(best: &Best, inventory: &Inventory) -> Result<BestAvailable, Failure> {
    let bad = |field: &str, why: String| Failure::invalid(&format!("best_available.{field}"), why);
    if !(1..=SEATS_PER_HOLD_MAX).contains(&(best.count as usize)) {
        return Err(bad("count", format!("1 to {SEATS_PER_HOLD_MAX} seats")));
    }
    if best.sections.len() > SECTIONS_NAMED_MAX {
        return Err(bad("sections", format!("at most {SECTIONS_NAMED_MAX}")));
    }
    let Some(numbers) = &inventory.numbers else {
        if best.sections.is_empty() && best.max_price.is_none() {
            return Ok(choice(best, Vec::new(), Vec::new()));
        }
        return Err(not_told_apart());
    };
    let mut sections = Vec::with_capacity(best.sections.len());
    for (i, section) in best.sections.iter().enumerate() {
        let section_no = numbers.section(section).ok_or_else(|| {
            bad(
                &format!("sections[{i}]"),
                "this show has no such section".to_owned(),
            )
        })?;
        sections.push(section_no);
    }
    let mut prices = Vec::new();
    if let Some(most) = best.max_price {
        if most < 0 {
            return Err(bad("max_price", "at least 0".to_owned()));
        }
        prices = numbers.prices_up_to(most);
        // With more prices than the store takes at once, the cheapest are left out.
        prices.truncate(PRICES_NAMED_MAX);
        if prices.is_empty() {
            let message = "no seat of this show costs as little";
            return Err(Failure::new(ErrorCode::SeatNotAvailable, message));
        }
    }
    Ok(choice(best, sections, prices))
}

/// Whether the store chose what was asked for. Of a show that release 0.1.0 opened it can't tell
/// sections and prices apart.
fn fits(best: &Best, inventory: &Inventory, chosen: &[SeatNo]) -> bool {
    let is_of = |section: &str| {
        best.sections.is_empty() || best.sections.iter().any(|asked| asked == section)
    };
    let costs_at_most = |price| best.max_price.is_none_or(|most| price <= most);
    chosen
        .iter()
        .filter_map(|seat_no| inventory.seat(*seat_no))
        .all(|seat| is_of(&seat.section) && costs_at_most(seat.price))
}

fn not_told_apart() -> Failure {
    let why = "the seats of this show can't be chosen by section or price";
    Failure::invalid("best_available", why)
}

fn choice(best: &Best, sections: Vec<u16>, categories: Vec<u16>) -> BestAvailable {
    BestAvailable {
        count: best.count,
        sections,
        categories,
        adjacent: best.adjacent,
        accessible: best.accessible,
    }
}

impl App {
    /// Holds seats. The flag: the key was known, and this is the answer given then.
    pub(crate) async fn hold_seats(
        &self,
        request: HoldSeats,
        deadline: Deadline,
    ) -> Result<(HoldView, bool), Error> {
        let answer = self.hold_or_refuse(request, deadline).await;
        let outcome = match &answer {
            Ok((_, true)) => "replayed",
            Ok((_, false)) => "held",
            Err(error) => error.code().as_str(),
        };
        metrics::counter(metrics::HOLDS, &[("outcome", outcome)]);
        answer
    }

    async fn hold_or_refuse(
        &self,
        request: HoldSeats,
        deadline: Deadline,
    ) -> Result<(HoldView, bool), Error> {
        check_key(&request.idempotency_key)?;
        let inventory = self.inventories.get(request.show_id).await?;
        let selection = selection(&request.wanted, &inventory)?;
        let hold_id = hold_id(request.user_id, request.show_id, &request.idempotency_key);
        if let Some(refusal) = inventory.refuses_holds() {
            let user_id = request.user_id;
            let known = self
                .held_before(&inventory, hold_id, user_id, &selection, deadline)
                .await?;
            return Ok((known.ok_or(refusal)?, true));
        }
        let (hold, replayed, now) = self
            .hold_at_store(&inventory, hold_id, request.user_id, selection, deadline)
            .await?;
        if let Wanted::Best(best) = &request.wanted
            && !fits(best, &inventory, &hold.seat_nos)
        {
            self.give_back(&inventory, request.user_id, &hold, deadline)
                .await?;
            return Err(not_told_apart().into());
        }
        let view = HoldView::new(&inventory, &hold, now).when_granted(&hold);
        Ok((view, replayed))
    }

    /// Ends a hold that nobody was told of. If it can't be ended now, its time ends it.
    async fn give_back(
        &self,
        inventory: &Inventory,
        holder: UserId,
        hold: &Hold,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let release = ReleaseHold {
            show_id: inventory.show_id,
            holder,
            hold_id: hold.hold_id,
            fence: hold.fence,
        };
        let answer = self
            .lock_store
            .release(release, deadline.remaining())
            .await?;
        if let ReleaseOutcome::Refused(refusal) = answer.outcome {
            tracing::debug!(reason = ?refusal.reason, "it had ended");
        }
        Ok(())
    }

    /// The hold that this request was given before nothing was held any more; it is given no other.
    async fn held_before(
        &self,
        inventory: &Inventory,
        hold_id: HoldId,
        holder: UserId,
        selection: &Selection,
        deadline: Deadline,
    ) -> Result<Option<HoldView>, Error> {
        // Of a choice only its size can be told from what was given.
        let is_it = |given: &[SeatNo]| match selection {
            Selection::Seats(seats) => given == seats,
            Selection::BestAvailable(best) => given.len() == best.count as usize,
            Selection::Area { count, .. } => given.len() == *count as usize,
        };
        let answer = self
            .lock_store
            .get_hold(inventory.show_id, hold_id, holder, deadline.remaining())
            .await?;
        match answer.outcome {
            GetHoldOutcome::Live(hold) if is_it(&hold.seat_nos) => {
                let view = HoldView::new(inventory, &hold, answer.cluster_time);
                Ok(Some(view.when_granted(&hold)))
            }
            GetHoldOutcome::Live(_) => Err(key_reused().into()),
            GetHoldOutcome::Refused(_) => Ok(None),
        }
    }
}
