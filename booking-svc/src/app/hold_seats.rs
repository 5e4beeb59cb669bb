//! A customer takes seats for some minutes. Only the lock store is touched.
//!
//! Always holds: the store's id of the hold is derived from customer, show and idempotency key,
//! so a repeated request is the same request there; a replay gives the answer given first.

use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{
    ErrorCode, HoldId, SeatNo, ShowId, UserId,
    limits::{IDEMPOTENCY_KEY_BYTES_MAX, SEATS_PER_HOLD_MAX},
};
use lockstore_client::GetHoldOutcome;
use sha2::{Digest, Sha256};

use super::{
    App,
    holds::HoldView,
    inventory::{Inventory, show_has_begun},
    open_inventory::NAME_BYTES_MAX,
    refusal::key_reused,
};
use crate::{error::Error, metrics};

/// First in what hold ids are derived from, so that nothing else derives the same.
const HOLD_DOMAIN: &[u8] = b"holdfast hold 1\0";

/// Unknown labels that a refusal names, which travels in a header of 16 KiB at most.
const UNKNOWN_NAMED_MAX: usize = 8;

/// What a customer asks for.
#[derive(Debug, Clone)]
pub(crate) struct HoldSeats {
    pub(crate) user_id: UserId,
    pub(crate) show_id: ShowId,
    pub(crate) labels: Vec<String>,
    pub(crate) idempotency_key: String,
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

/// The numbers of the labels, ascending.
pub(crate) fn seat_nos(labels: &[String], inventory: &Inventory) -> Result<Vec<SeatNo>, Failure> {
    if labels.is_empty() {
        return Err(Failure::invalid("seat_ids", "at least one seat is needed"));
    }
    if labels.len() > SEATS_PER_HOLD_MAX {
        let why = format!("at most {SEATS_PER_HOLD_MAX} seats at once");
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
        let seats = seat_nos(&request.labels, &inventory)?;
        let hold_id = hold_id(request.user_id, request.show_id, &request.idempotency_key);
        if inventory.has_begun() {
            let user_id = request.user_id;
            let known = self.held_before(&inventory, hold_id, user_id, &seats, deadline);
            return Ok((known.await?, true));
        }
        let (hold, replayed, now) = self
            .hold_at_store(&inventory, hold_id, request.user_id, &seats, deadline)
            .await?;
        let view = HoldView::new(&inventory, &hold, now).when_granted(&hold);
        Ok((view, replayed))
    }

    /// The hold that this request was given before the show began; it is given no other.
    async fn held_before(
        &self,
        inventory: &Inventory,
        hold_id: HoldId,
        holder: UserId,
        seats: &[SeatNo],
        deadline: Deadline,
    ) -> Result<HoldView, Error> {
        let answer = self
            .lock_store
            .get_hold(inventory.show_id, hold_id, holder, deadline.remaining())
            .await?;
        match answer.outcome {
            GetHoldOutcome::Live(hold) if hold.seat_nos == seats => {
                Ok(HoldView::new(inventory, &hold, answer.cluster_time).when_granted(&hold))
            }
            GetHoldOutcome::Live(_) => Err(key_reused().into()),
            GetHoldOutcome::Refused(_) => Err(show_has_begun().into()),
        }
    }
}
