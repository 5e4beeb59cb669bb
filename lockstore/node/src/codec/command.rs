//! Commands: from requests and from log entries.

use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{
    ClusterTime, DurationMs, Fence, IdError, SeatNo,
    limits::{LAYOUT_CHUNK_SEATS_MAX, SEATS_PER_HOLD_MAX},
};
use lockstore_core as core;
use lockstore_core::limits::{
    ACT_BYTES_MAX, CLAIMS_PER_LOAD_MAX, FILTER_ENTRIES_MAX, OPERATOR_BYTES_MAX,
    SEATS_PER_BLOCK_MAX, SEATS_PER_LOAD_MAX,
};
use pb::log_command::Command as Body_;

/// A command as it stands in the log: a request's own message.
pub(crate) type Body = Body_;

/// A field that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub(crate) struct Field {
    /// As in the `.proto`, dotted.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) why: String,
}

impl Field {
    pub(crate) fn new(name: &'static str, why: impl Into<String>) -> Self {
        Self {
            name,
            why: why.into(),
        }
    }
}

/// An id of 16 bytes.
pub(crate) fn id<T>(
    name: &'static str,
    bytes: &[u8],
    from: impl Fn(&[u8]) -> Result<T, IdError>,
) -> Result<T, Field> {
    from(bytes).map_err(|_| Field::new(name, format!("expected 16 bytes, got {}", bytes.len())))
}

/// A fence of 63 bits.
pub(crate) fn fence(name: &'static str, value: u64) -> Result<Fence, Field> {
    Fence::from_u64(value).map_err(|error| Field::new(name, error.to_string()))
}

fn seats(seat_nos: &[u32]) -> Vec<SeatNo> {
    seat_nos.iter().copied().map(SeatNo).collect()
}

fn request(request: Option<&pb::RequestInfo>) -> Result<core::Request, Field> {
    let request = request.ok_or_else(|| Field::new("request", "missing"))?;
    let id: [u8; 16] = request.id.as_ref().try_into().map_err(|_| {
        Field::new(
            "request.id",
            format!("expected 16 bytes, got {}", request.id.len()),
        )
    })?;
    if request.not_after_ms == 0 {
        return Err(Field::new("request.not_after_ms", "must name a deadline"));
    }
    Ok(core::Request {
        id: core::RequestId(id),
        not_after: ClusterTime(request.not_after_ms),
    })
}

pub(super) fn rules_from_pb(rules: &pb::ShowRules) -> core::ShowRules {
    core::ShowRules {
        hold_ttl: DurationMs(rules.hold_ttl_ms),
        hold_total_max: DurationMs(rules.hold_total_ms_max),
        seats_per_customer_max: rules.seats_per_customer_max,
        no_lone_seat: rules.no_lone_seat,
    }
}

/// A number of 16 bits.
fn short(name: &'static str, value: u32) -> Result<u16, Field> {
    u16::try_from(value).map_err(|_| Field::new(name, format!("{value} exceeds 16 bits")))
}

fn shorts(name: &'static str, values: &[u32]) -> Result<Vec<u16>, Field> {
    values.iter().map(|value| short(name, *value)).collect()
}

fn kind_from_pb(kind: i32) -> Result<core::SeatKind, Field> {
    match pb::SeatKind::try_from(kind) {
        Ok(pb::SeatKind::Unspecified) => Ok(core::SeatKind::Plain),
        Ok(pb::SeatKind::Accessible) => Ok(core::SeatKind::Accessible),
        Ok(pb::SeatKind::Companion) => Ok(core::SeatKind::Companion),
        Ok(pb::SeatKind::Standing) => Ok(core::SeatKind::Standing),
        Err(_) => Err(Field::new("seats.kind", format!("{kind} is no seat kind"))),
    }
}

pub(super) fn layout_from_pb(seats: &[pb::LayoutSeat]) -> Result<Vec<core::LayoutSeat>, Field> {
    let seat = |seat: &pb::LayoutSeat| {
        Ok(core::LayoutSeat {
            row_no: seat.row_no,
            rank: short("seats.rank", seat.rank)?,
            section_no: short("seats.section_no", seat.section_no)?,
            category_no: short("seats.category_no", seat.category_no)?,
            kind: kind_from_pb(seat.kind)?,
            gap_after: seat.gap_after,
        })
    };
    seats.iter().map(seat).collect()
}

/// Which seats to hold.
fn selection(c: &pb::HoldSeatsRequest) -> Result<core::Selection, Field> {
    use pb::hold_seats_request::Choice;
    let Some(choice) = &c.choice else {
        return Ok(core::Selection::Seats(seats(&c.seat_nos)));
    };
    if !c.seat_nos.is_empty() {
        return Err(Field::new(
            "seat_nos",
            "seats are either named or chosen, not both",
        ));
    }
    Ok(match choice {
        Choice::Area(area) => core::Selection::Area {
            section_no: short("area.section_no", area.section_no)?,
            count: area.count,
        },
        Choice::BestAvailable(best) => core::Selection::BestAvailable(core::BestAvailable {
            count: best.count,
            sections: shorts("best_available.section_nos", &best.section_nos)?,
            categories: shorts("best_available.category_nos", &best.category_nos)?,
            adjacent: best.adjacent,
            accessible: best.accessible,
        }),
    })
}

/// `None` for "leave it".
fn wanted_state(state: i32) -> Result<Option<core::ShowState>, Field> {
    use pb::ShowState::{Cancelled, Closed, OnSale, Opening, Paused, Unspecified};
    match pb::ShowState::try_from(state) {
        Ok(Unspecified) => Ok(None),
        Ok(Opening) => Ok(Some(core::ShowState::Opening)),
        Ok(OnSale) => Ok(Some(core::ShowState::OnSale)),
        Ok(Paused) => Ok(Some(core::ShowState::Paused)),
        Ok(Closed) => Ok(Some(core::ShowState::Closed)),
        Ok(Cancelled) => Ok(Some(core::ShowState::Cancelled)),
        Err(_) => Err(Field::new("state", format!("{state} is no show state"))),
    }
}

/// Refuses a list that is longer than any that does something, before it is replicated. A command
/// of the log isn't asked: what was once let in has its outcome.
///
/// # Errors
/// [`Field`] names the list and its limit.
pub(crate) fn check_lengths(body: &Body) -> Result<(), Field> {
    use pb::hold_seats_request::Choice;
    let most = |name, length: usize, limit| {
        if length <= limit {
            return Ok(());
        }
        let why = format!("{length} are too many, at most {limit}");
        Err(Field::new(name, why))
    };
    match body {
        Body::OpenShow(c) => most("seats", c.seats.len(), LAYOUT_CHUNK_SEATS_MAX),
        Body::HoldSeats(c) => {
            most("seat_nos", c.seat_nos.len(), SEATS_PER_HOLD_MAX)?;
            let Some(Choice::BestAvailable(best)) = &c.choice else {
                return Ok(());
            };
            let (sections, categories) = (&best.section_nos, &best.category_nos);
            most(
                "best_available.section_nos",
                sections.len(),
                FILTER_ENTRIES_MAX,
            )?;
            most(
                "best_available.category_nos",
                categories.len(),
                FILTER_ENTRIES_MAX,
            )
        }
        Body::CommitHold(c) => most("seat_nos", c.seat_nos.len(), SEATS_PER_HOLD_MAX),
        Body::ReturnSeats(c) => most("seat_nos", c.seat_nos.len(), SEATS_PER_HOLD_MAX),
        Body::BlockSeats(c) => most("seat_nos", c.seat_nos.len(), SEATS_PER_BLOCK_MAX),
        Body::UnblockSeats(c) => most("seat_nos", c.seat_nos.len(), SEATS_PER_BLOCK_MAX),
        Body::LoadSeats(c) => {
            most("claims", c.claims.len(), CLAIMS_PER_LOAD_MAX)?;
            let per_claim = c.claims.iter().map(|claim| claim.seat_nos.len());
            let longest = per_claim.clone().max().unwrap_or(0);
            most("claims.seat_nos", longest, SEATS_PER_HOLD_MAX)?;
            most("claims.seat_nos", per_claim.sum(), SEATS_PER_LOAD_MAX)
        }
        Body::SetConfig(c) => {
            text("operator", &c.operator, OPERATOR_BYTES_MAX)?;
            text("reason", &c.reason, ACT_BYTES_MAX)
        }
        Body::AdminRecord(c) => {
            text("operator", &c.operator, OPERATOR_BYTES_MAX)?;
            text("text", &c.text, ACT_BYTES_MAX)
        }
        Body::AdvanceQueue(_)
        | Body::Tick(_)
        | Body::ChangeShow(_)
        | Body::ExtendHold(_)
        | Body::ReleaseHold(_) => Ok(()),
    }
}

/// Text of an operator, on one line.
fn text(name: &'static str, value: &str, bytes_max: usize) -> Result<(), Field> {
    let length = value.len();
    if !(1..=bytes_max).contains(&length) {
        let why = format!("expected 1 to {bytes_max} bytes, got {length}");
        return Err(Field::new(name, why));
    }
    if value.chars().any(char::is_control) {
        return Err(Field::new(name, "control characters are not allowed"));
    }
    Ok(())
}

/// The lowest behaviour that knows all of `commands`: nodes of the release before go on with what
/// they know, for as long as nobody asks for more.
pub(crate) fn batch_behaviour(commands: &[pb::LogCommand]) -> u32 {
    let needs = |command: &pb::LogCommand| command.command.as_ref().map_or(0, behaviour);
    commands.iter().map(needs).max().unwrap_or(0)
}

/// The lowest behaviour that knows a command.
pub(crate) fn behaviour(body: &Body) -> u32 {
    let keeps_rule = |rules: &Option<pb::ShowRules>| rules.is_some_and(|rules| rules.no_lone_seat);
    let is_bare = |seat: &pb::LayoutSeat| {
        let bare = pb::LayoutSeat {
            row_no: seat.row_no,
            gap_after: seat.gap_after,
            ..Default::default()
        };
        *seat == bare
    };
    let is_of_1 = match body {
        Body::OpenShow(c) => keeps_rule(&c.rules) || !c.seats.iter().all(is_bare),
        Body::ChangeShow(c) => keeps_rule(&c.rules),
        Body::HoldSeats(c) => c.choice.is_some(),
        Body::BlockSeats(_) | Body::UnblockSeats(_) => true,
        Body::LoadSeats(_) | Body::AdvanceQueue(_) | Body::SetConfig(_) | Body::AdminRecord(_) => {
            return 2;
        }
        Body::Tick(_)
        | Body::ExtendHold(_)
        | Body::ReleaseHold(_)
        | Body::CommitHold(_)
        | Body::ReturnSeats(_) => false,
    };
    u32::from(is_of_1)
}

/// Reads a command.
///
/// # Errors
/// [`Field`] names the first field that can't be read.
pub(crate) fn command(body: &Body) -> Result<core::Command, Field> {
    use holdfast_types::{BookingId, HoldId, ShowId, UserId};
    Ok(match body {
        Body::Tick(pb::Tick {}) => core::Command::Tick,
        Body::OpenShow(c) => core::Command::OpenShow(core::OpenShow {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            seat_count: c.seat_count,
            rules: rules_from_pb(
                c.rules
                    .as_ref()
                    .ok_or_else(|| Field::new("rules", "missing"))?,
            ),
            first_seat_no: SeatNo(c.first_seat_no),
            seats: layout_from_pb(&c.seats)?,
            on_sale: c.on_sale,
        }),
        Body::ChangeShow(c) => core::Command::ChangeShow(core::ChangeShow {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            state: wanted_state(c.state)?,
            rules: c.rules.as_ref().map(rules_from_pb),
        }),
        Body::HoldSeats(c) => core::Command::HoldSeats(core::HoldSeats {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            holder: id("holder", &c.holder, UserId::from_slice)?,
            selection: selection(c)?,
            ttl: DurationMs(c.ttl_ms),
            price_version: c.price_version,
            late_money: c.late_money,
        }),
        Body::ExtendHold(c) => core::Command::ExtendHold(core::ExtendHold {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            holder: id("holder", &c.holder, UserId::from_slice)?,
            hold_id: id("hold_id", &c.hold_id, HoldId::from_slice)?,
            fence: fence("fence", c.fence)?,
            until: ClusterTime(c.until_ms),
        }),
        Body::ReleaseHold(c) => core::Command::ReleaseHold(core::ReleaseHold {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            holder: id("holder", &c.holder, UserId::from_slice)?,
            hold_id: id("hold_id", &c.hold_id, HoldId::from_slice)?,
            fence: fence("fence", c.fence)?,
        }),
        Body::CommitHold(c) => core::Command::CommitHold(core::CommitHold {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            hold_id: id("hold_id", &c.hold_id, HoldId::from_slice)?,
            fence: fence("fence", c.fence)?,
            seat_nos: seats(&c.seat_nos),
            booking_id: id("booking_id", &c.booking_id, BookingId::from_slice)?,
        }),
        Body::ReturnSeats(c) => core::Command::ReturnSeats(core::ReturnSeats {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            fence: fence("fence", c.fence)?,
            seat_nos: seats(&c.seat_nos),
            booking_id: id("booking_id", &c.booking_id, BookingId::from_slice)?,
        }),
        Body::BlockSeats(c) => core::Command::BlockSeats(core::BlockSeats {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            seat_nos: seats(&c.seat_nos),
            actor: id("actor", &c.actor, UserId::from_slice)?,
        }),
        Body::UnblockSeats(c) => core::Command::UnblockSeats(core::UnblockSeats {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            seat_nos: seats(&c.seat_nos),
            actor: id("actor", &c.actor, UserId::from_slice)?,
        }),
        Body::LoadSeats(c) => core::Command::LoadSeats(core::LoadSeats {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            claims: c.claims.iter().map(claim).collect::<Result<_, _>>()?,
        }),
        Body::AdvanceQueue(c) => core::Command::AdvanceQueue(core::AdvanceQueue {
            request: request(c.request.as_ref())?,
            show_id: id("show_id", &c.show_id, ShowId::from_slice)?,
            joins: c.joins,
            serving: c.serving,
        }),
        Body::SetConfig(c) => core::Command::SetConfig(core::SetConfig {
            request: request(c.request.as_ref())?,
            operator: c.operator.clone(),
            reason: c.reason.clone(),
            expiry_paused: match pb::ExpiryState::try_from(c.expiry) {
                Ok(pb::ExpiryState::Running) => false,
                Ok(pb::ExpiryState::Paused) => true,
                Ok(pb::ExpiryState::Unspecified) | Err(_) => {
                    return Err(Field::new("expiry", "must be RUNNING or PAUSED"));
                }
            },
        }),
        Body::AdminRecord(c) => core::Command::AdminRecord(core::AdminRecord {
            request: request(c.request.as_ref())?,
            operator: c.operator.clone(),
            text: c.text.clone(),
        }),
    })
}

fn claim(claim: &pb::LoadedClaim) -> Result<core::LoadedClaim, Field> {
    use holdfast_types::{BookingId, HoldId, UserId};
    use pb::loaded_claim::Kind;
    let kind = match &claim.kind {
        Some(Kind::Hold(hold)) => core::LoadedKind::Hold {
            left: DurationMs(hold.left_ms),
            extendable: DurationMs(hold.extendable_ms),
            price_version: hold.price_version,
        },
        Some(Kind::Sale(sale)) => core::LoadedKind::Sale {
            booking_id: id(
                "claims.sale.booking_id",
                &sale.booking_id,
                BookingId::from_slice,
            )?,
        },
        None => return Err(Field::new("claims.kind", "missing")),
    };
    Ok(core::LoadedClaim {
        fence: fence("claims.fence", claim.fence)?,
        hold_id: id("claims.hold_id", &claim.hold_id, HoldId::from_slice)?,
        holder: id("claims.holder", &claim.holder, UserId::from_slice)?,
        seat_nos: seats(&claim.seat_nos),
        kind,
    })
}

/// The commands of a batch, in order.
///
/// # Errors
/// [`Field`] if one can't be read: the leader checks each before it writes the entry, so this
/// node reads a newer format than it knows.
pub(crate) fn batch_commands(batch: &pb::CommandBatch) -> Result<Vec<core::Command>, Field> {
    batch
        .commands
        .iter()
        .map(|c| {
            command(
                c.command
                    .as_ref()
                    .ok_or_else(|| Field::new("command", "unknown kind"))?,
            )
        })
        .collect()
}

#[cfg(test)]
mod tests;
