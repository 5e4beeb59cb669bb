//! A show's seats become sellable, here and in the lock store.
//!
//! Always holds: the same show again changes nothing and goes on where it was interrupted;
//! another layout under its id, or another organiser, is refused. A show is found by customers only
//! once the store has its whole layout.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use holdfast_mesh::{Failure, deadline::Deadline};
use holdfast_types::{
    Currency, DurationMs, ErrorCode, LateMoney, ShowId, ShowState, UserId,
    limits::{
        FEE_NAME_BYTES_MAX, FEES_PER_SHOW_MAX, HOLD_TOTAL_MAX, HOLD_TTL_MAX, HOLD_TTL_MIN,
        SEATS_PER_SHOW_MAX,
    },
};
use lockstore_client::SeatKind;
use sha2::{Digest, Sha256};

use super::{App, rights::Actor, store_numbers::StoreNumbers};
use crate::{
    error::Error,
    store::shows::{self, Fee, NewSeat, NewShow, SaleTimes, kind_text},
};

/// Longest label, section or category, in bytes; it is on every ticket.
pub(super) const NAME_BYTES_MAX: usize = 128;
/// Longest title, in bytes.
const TITLE_BYTES_MAX: usize = 500;
/// Dearest seat, in minor units: a sum of a hold's seats stays far from overflowing.
const PRICE_MAX: i64 = 1_000_000_000_000;

/// What a show is opened with.
#[derive(Debug, Clone)]
pub(crate) struct OpenInventory {
    pub(crate) show_id: ShowId,
    /// Whose show it is; only an admin is asked.
    pub(crate) owner: Option<UserId>,
    pub(crate) title: String,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) currency: Currency,
    pub(crate) price_version: u32,
    pub(crate) hold_ttl: DurationMs,
    pub(crate) hold_total_max: DurationMs,
    pub(crate) seats_per_customer_max: u32,
    pub(crate) sale: SaleTimes,
    pub(crate) fees: Vec<Fee>,
    pub(crate) late_money: LateMoney,
    pub(crate) no_lone_seat: bool,
    pub(crate) seats: Vec<NewSeat>,
}

impl OpenInventory {
    fn check(&self) -> Result<(), Failure> {
        if self.title.chars().any(char::is_control) {
            return Err(Failure::invalid("title", "no control characters"));
        }
        if self.title.is_empty() || self.title.len() > TITLE_BYTES_MAX {
            return Err(Failure::invalid(
                "title",
                format!("1 to {TITLE_BYTES_MAX} bytes"),
            ));
        }
        if i32::try_from(self.price_version).is_err() {
            return Err(Failure::invalid("price_version", "too large"));
        }
        if !(HOLD_TTL_MIN..=HOLD_TTL_MAX).contains(&self.hold_ttl) {
            return Err(Failure::invalid("hold_ttl_ms", "from a second to an hour"));
        }
        if !(self.hold_ttl..=HOLD_TOTAL_MAX).contains(&self.hold_total_max) {
            return Err(Failure::invalid(
                "hold_total_ms_max",
                "from hold_ttl_ms to two hours",
            ));
        }
        if !(1..=SEATS_PER_SHOW_MAX).contains(&self.seats_per_customer_max) {
            return Err(Failure::invalid("seats_per_customer_max", "1 to 100,000"));
        }
        if self.seats.is_empty() || self.seats.len() > SEATS_PER_SHOW_MAX as usize {
            return Err(Failure::invalid("seats", "1 to 100,000 seats"));
        }
        self.check_fees()?;
        let mut labels = HashSet::with_capacity(self.seats.len());
        let mut row_before = None;
        for (i, seat) in self.seats.iter().enumerate() {
            let bad = |what: &str, why: &str| Failure::invalid(&format!("seats[{i}].{what}"), why);
            for (what, name) in [
                ("label", &seat.label),
                ("section", &seat.section),
                ("category", &seat.category),
            ] {
                if name.is_empty() || name.len() > NAME_BYTES_MAX {
                    return Err(bad(what, "1 to 128 bytes"));
                }
                if name.chars().any(char::is_control) {
                    return Err(bad(what, "no control characters"));
                }
            }
            if !labels.insert(seat.label.as_str()) {
                return Err(bad("label", "another seat has the same"));
            }
            if !(0..=PRICE_MAX).contains(&seat.price) {
                return Err(bad("price", "0 to 10^12 minor units"));
            }
            let fits = match row_before {
                None => seat.row_no == 0,
                Some(before) => seat.row_no == before || seat.row_no == before + 1,
            };
            if !fits {
                return Err(bad("row_no", "dense from 0 in seat order"));
            }
            row_before = Some(seat.row_no);
        }
        self.check_areas()
    }

    /// An area is a section of its own in one piece, which the store tells apart from all others.
    fn check_areas(&self) -> Result<(), Failure> {
        let is_standing = |seat: &NewSeat| seat.kind == SeatKind::Standing;
        if !self.seats.iter().any(is_standing) {
            return Ok(());
        }
        let mut seen = HashSet::new();
        let mut first = 0;
        for piece in self.seats.chunk_by(|a, b| a.section == b.section) {
            let field = format!("seats[{first}].section");
            first += piece.len();
            let stands = piece.iter().filter(|seat| is_standing(seat)).count();
            let is_new = seen.insert((piece[0].section.as_str(), stands > 0));
            let is_other = seen.contains(&(piece[0].section.as_str(), stands == 0));
            if (stands > 0 && stands < piece.len()) || is_other || (stands > 0 && !is_new) {
                let why = "the places of an area are one after another, and a section of their own";
                return Err(Failure::invalid(&field, why));
            }
        }
        let by_section = self.seats.iter().map(|seat| (&*seat.section, seat.price));
        if StoreNumbers::of(by_section).is_none() {
            let why = "have too many sections and prices for one of them to be an area";
            return Err(Failure::invalid("seats", why));
        }
        Ok(())
    }

    fn check_fees(&self) -> Result<(), Failure> {
        if self.fees.len() > FEES_PER_SHOW_MAX {
            let why = format!("at most {FEES_PER_SHOW_MAX} fees");
            return Err(Failure::invalid("fees", why));
        }
        for (i, fee) in self.fees.iter().enumerate() {
            let bad =
                |what: &str, why: String| Err(Failure::invalid(&format!("fees[{i}].{what}"), why));
            if !(1..=FEE_NAME_BYTES_MAX).contains(&fee.name.len()) {
                return bad("name", format!("1 to {FEE_NAME_BYTES_MAX} bytes"));
            }
            if fee.name.chars().any(char::is_control) {
                return bad("name", "no control characters".to_owned());
            }
            if !(1..=PRICE_MAX).contains(&fee.amount) {
                return bad("amount", "1 to 10^12 minor units".to_owned());
            }
        }
        Ok(())
    }

    /// SHA-256 over what is sold and how, each length-prefixed. Not over the title and the sale's times: they
    /// change whatever the show's state is, and opening it again must still find it opened just so.
    fn layout_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let text = |hash: &mut Sha256, text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        hash.update(self.starts_at.timestamp_millis().to_be_bytes());
        text(&mut hash, self.currency.as_str());
        hash.update(self.price_version.to_be_bytes());
        hash.update(self.hold_ttl.0.to_be_bytes());
        hash.update(self.hold_total_max.0.to_be_bytes());
        hash.update(self.seats_per_customer_max.to_be_bytes());
        hash.update((self.seats.len() as u64).to_be_bytes());
        for seat in &self.seats {
            text(&mut hash, &seat.label);
            text(&mut hash, &seat.section);
            text(&mut hash, &seat.category);
            hash.update(seat.row_no.to_be_bytes());
            hash.update([u8::from(seat.gap_after)]);
            hash.update(seat.price.to_be_bytes());
            // Of the others nothing, as before there were any of these.
            if seat.kind != SeatKind::Plain {
                text(&mut hash, kind_text(seat.kind));
            }
        }
        // Of a show without any of these it is what it was before there were any.
        for fee in &self.fees {
            text(&mut hash, "fee");
            text(&mut hash, &fee.name);
            hash.update(fee.amount.to_be_bytes());
            hash.update([u8::from(fee.per_ticket)]);
        }
        if self.late_money != LateMoney::Rebook {
            text(&mut hash, "late money");
            text(&mut hash, self.late_money.as_str());
        }
        if self.no_lone_seat {
            text(&mut hash, "no lone seat");
        }
        hash.finalize().into()
    }
}

impl App {
    /// Opens a show, or finds it opened just so. Returns its number of seats.
    pub(crate) async fn open_inventory(
        &self,
        actor: Actor,
        request: OpenInventory,
        deadline: Deadline,
    ) -> Result<u32, Error> {
        request.check()?;
        let layout_hash = request.layout_hash();
        let seat_count = u32::try_from(request.seats.len()).expect("checked against the limit");
        let show = NewShow {
            show_id: request.show_id,
            owner: actor.as_owner(request.owner),
            title: request.title.clone(),
            starts_at: request.starts_at,
            currency: request.currency,
            price_version: i32::try_from(request.price_version).expect("checked"),
            hold_ttl_ms: i64::try_from(request.hold_ttl.0).expect("checked"),
            hold_total_ms_max: i64::try_from(request.hold_total_max.0).expect("checked"),
            seats_per_customer_max: i32::try_from(request.seats_per_customer_max).expect("checked"),
            sale: request.sale,
            fees: request.fees.clone(),
            late_money: request.late_money,
            no_lone_seat: request.no_lone_seat,
            layout_hash,
        };
        let mut transaction = holdfast_eventlog::begin(&self.pool).await?;
        let opened = shows::insert(&mut transaction, &show, &request.seats).await?;
        actor.check(opened.owner)?;
        let is_it = opened.layout_hash == layout_hash;
        if is_it {
            // Opening was begun before, and they have changed since.
            shows::set_sale(&mut transaction, request.show_id, request.sale).await?;
        }
        transaction.commit().await?;
        if !is_it {
            return Err(Failure::new(
                ErrorCode::AlreadyExists,
                "this show was opened with another layout, prices or rules",
            )
            .into());
        }
        if opened.state == ShowState::Draft {
            self.open_at_store(&request, deadline).await?;
            shows::open(&self.pool, request.show_id).await?;
        }
        Ok(seat_count)
    }
}
