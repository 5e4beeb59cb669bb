//! Letting somebody in at the door.
//!
//! Always holds: a ticket lets in once, by one scan, whoever else scans it meanwhile; the same scan again is
//! told the same. Only who has the show, an admin, or staff lets anybody in. Leaves to others: scanners
//! without a connection, which check a code's signature and keep a list of their own.

use chrono::{DateTime, Utc};
use ed25519_dalek::VerifyingKey;
use holdfast_mesh::Failure;
use holdfast_types::{ErrorCode, SeatNo, ShowId, ShowState, TicketState, UserId};

use super::{
    App,
    hold_seats::check_key,
    inventory::show_not_found,
    rights::Actor,
    ticket_code::{TicketCode, TicketCodeError},
};
use crate::{
    error::Error,
    store::{
        corrupt, shows,
        tickets::{self, Scan},
    },
};

/// Longest code that is looked at; the longest label makes one of some 300 characters.
const CODE_BYTES_MAX: usize = 512;

/// Who works at a door.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doorkeeper {
    pub(crate) user_id: UserId,
    /// Whose shows those are; none: of whichever show.
    pub(crate) of: Option<Actor>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckInResult {
    Admitted,
    /// Somebody came in with it before.
    AlreadyUsed,
    /// It was given back or refunded.
    Void,
    /// It is for another show than the one at this door.
    OtherShow,
}

impl CheckInResult {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "ADMITTED",
            Self::AlreadyUsed => "ALREADY_USED",
            Self::Void => "VOID",
            Self::OtherShow => "OTHER_SHOW",
        }
    }
}

/// What whoever scanned is told.
#[derive(Debug)]
pub(crate) struct CheckedIn {
    pub(crate) code: TicketCode,
    pub(crate) section: String,
    pub(crate) result: CheckInResult,
    pub(crate) used_at: Option<DateTime<Utc>>,
}

impl App {
    /// Lets in whoever shows `code`; `at` is the show at this door, if it is for one.
    pub(crate) async fn check_in(
        &self,
        by: Doorkeeper,
        code: &str,
        at: Option<ShowId>,
        key: &str,
    ) -> Result<CheckedIn, Error> {
        check_key(key)?;
        let code = self.read_code(code).await?;
        let show = shows::find(&self.pool, code.show_id).await?;
        let show = show.ok_or_else(show_not_found)?;
        if let Some(actor) = by.of {
            actor.check(show.owner)?;
        }
        let inventory = self.inventories.get(code.show_id).await?;
        let seat_no = inventory.seat_no(&code.seat_id).ok_or_else(no_ticket)?;
        let told = |code, result, used_at| CheckedIn {
            section: section(&inventory, seat_no),
            code,
            result,
            used_at,
        };
        if at.is_some_and(|at| at != code.show_id) {
            return Ok(told(code, CheckInResult::OtherShow, None));
        }
        if show.state == ShowState::Cancelled {
            let message = "this show was called off; nobody is let in";
            return Err(Failure::new(ErrorCode::InvalidState, message).into());
        }
        let scan = Scan {
            show_id: code.show_id,
            seat_no,
            ticket_id: code.ticket_id,
            by: by.user_id,
            key,
        };
        let scanned = tickets::scan(&self.pool, &scan).await?;
        let scanned = scanned.ok_or_else(no_ticket)?;
        if scanned.is_key_of_another {
            let message = "the key was used for the scan of another ticket";
            return Err(Failure::new(ErrorCode::IdempotencyKeyReused, message).into());
        }
        let result = match scanned.state {
            TicketState::Used if scanned.by_this => CheckInResult::Admitted,
            TicketState::Used => CheckInResult::AlreadyUsed,
            TicketState::Void => CheckInResult::Void,
            // Given out anew between the scan and the look, by nothing that there is.
            TicketState::Valid => {
                return Err(Error::Corrupt(corrupt("tickets", "scanned and VALID")));
            }
        };
        Ok(told(code, result, scanned.used_at))
    }

    async fn read_code(&self, text: &str) -> Result<TicketCode, Error> {
        if text.len() > CODE_BYTES_MAX {
            let why = format!("at most {CODE_BYTES_MAX} characters");
            return Err(Failure::invalid("code", why).into());
        }
        let refused = |error: TicketCodeError| Failure::invalid("code", error.to_string());
        let key_id = TicketCode::key_id(text).map_err(refused)?;
        let key = tickets::public_key(&self.pool, key_id).await?;
        let key = key.and_then(|key| VerifyingKey::from_bytes(&key.try_into().ok()?).ok());
        let key = key.ok_or_else(|| refused(TicketCodeError::Forged))?;
        Ok(TicketCode::read(text, &key).map_err(refused)?)
    }
}

fn section(inventory: &super::inventory::Inventory, seat_no: SeatNo) -> String {
    let seat = inventory.seat(seat_no);
    seat.map_or_else(String::new, |seat| seat.section.clone())
}

fn no_ticket() -> Failure {
    Failure::invalid("code", "there is no such ticket")
}
