//! Commands: from requests and from log entries.

use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{
    ClusterTime, DurationMs, Fence, IdError, SeatNo,
    limits::{LAYOUT_CHUNK_SEATS_MAX, SEATS_PER_HOLD_MAX},
};
use lockstore_core as core;
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
    pub(super) fn new(name: &'static str, why: impl Into<String>) -> Self {
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
    }
}

pub(super) fn layout_from_pb(seats: &[pb::LayoutSeat]) -> Vec<core::LayoutSeat> {
    seats
        .iter()
        .map(|seat| core::LayoutSeat {
            row_no: seat.row_no,
            gap_after: seat.gap_after,
        })
        .collect()
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
    let (name, length, limit) = match body {
        Body::OpenShow(c) => ("seats", c.seats.len(), LAYOUT_CHUNK_SEATS_MAX),
        Body::HoldSeats(c) => ("seat_nos", c.seat_nos.len(), SEATS_PER_HOLD_MAX),
        Body::CommitHold(c) => ("seat_nos", c.seat_nos.len(), SEATS_PER_HOLD_MAX),
        Body::ReturnSeats(c) => ("seat_nos", c.seat_nos.len(), SEATS_PER_HOLD_MAX),
        Body::Tick(_) | Body::ChangeShow(_) | Body::ExtendHold(_) | Body::ReleaseHold(_) => {
            return Ok(());
        }
    };
    if length > limit {
        return Err(Field::new(
            name,
            format!("{length} are too many, at most {limit}"),
        ));
    }
    Ok(())
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
            seats: layout_from_pb(&c.seats),
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
            seat_nos: seats(&c.seat_nos),
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
mod tests {
    use bytes::Bytes;

    use super::*;

    fn hold() -> pb::HoldSeatsRequest {
        pb::HoldSeatsRequest {
            request: Some(pb::RequestInfo {
                id: Bytes::from_static(&[1; 16]),
                not_after_ms: 5,
            }),
            show_id: Bytes::from_static(&[2; 16]),
            holder: Bytes::from_static(&[3; 16]),
            seat_nos: vec![7],
            ..Default::default()
        }
    }

    #[test]
    fn list_that_is_too_long_is_refused_by_its_name_and_limit() {
        let mut request = hold();
        request.seat_nos = (0..64).collect();
        assert!(check_lengths(&Body::HoldSeats(request.clone())).is_ok());
        request.seat_nos.push(64);
        let refused = check_lengths(&Body::HoldSeats(request)).expect_err("65 seats");
        assert_eq!(refused.name, "seat_nos");
        assert!(refused.why.contains("at most 64"), "{refused}");
        let layout = pb::OpenShowRequest {
            seats: vec![pb::LayoutSeat::default(); LAYOUT_CHUNK_SEATS_MAX + 1],
            ..Default::default()
        };
        let refused = check_lengths(&Body::OpenShow(layout)).expect_err("too long a chunk");
        assert_eq!(refused.name, "seats");
    }

    fn field(body: Body) -> &'static str {
        command(&body).expect_err("refused").name
    }

    /// One of every kind, with a value in every field.
    fn bodies() -> [Body; 8] {
        let request = || {
            Some(pb::RequestInfo {
                id: Bytes::from_static(&[1; 16]),
                not_after_ms: 1_700_000_010_000,
            })
        };
        let id = |byte: u8| Bytes::from(vec![byte; 16]);
        let rules = Some(pb::ShowRules {
            hold_ttl_ms: 300_000,
            hold_total_ms_max: 1_800_000,
            seats_per_customer_max: 9,
        });
        let (show_id, holder, hold_id, booking_id) = (id(2), id(3), id(4), id(5));
        let (fence, seat_nos) = (1 << 40, vec![7, 300]);
        [
            Body::Tick(pb::Tick {}),
            Body::OpenShow(pb::OpenShowRequest {
                request: request(),
                show_id: show_id.clone(),
                seat_count: 2,
                rules,
                first_seat_no: 1,
                seats: vec![pb::LayoutSeat {
                    row_no: 3,
                    gap_after: true,
                }],
                on_sale: true,
            }),
            Body::ChangeShow(pb::ChangeShowRequest {
                request: request(),
                show_id: show_id.clone(),
                state: pb::ShowState::Paused.into(),
                rules,
            }),
            Body::HoldSeats(pb::HoldSeatsRequest {
                request: request(),
                show_id: show_id.clone(),
                holder: holder.clone(),
                seat_nos: seat_nos.clone(),
                ttl_ms: 60_000,
                price_version: 6,
                late_money: true,
            }),
            Body::ExtendHold(pb::ExtendHoldRequest {
                request: request(),
                show_id: show_id.clone(),
                holder: holder.clone(),
                hold_id: hold_id.clone(),
                fence,
                until_ms: 1_700_000_020_000,
            }),
            Body::ReleaseHold(pb::ReleaseHoldRequest {
                request: request(),
                show_id: show_id.clone(),
                holder,
                hold_id: hold_id.clone(),
                fence,
            }),
            Body::CommitHold(pb::CommitHoldRequest {
                request: request(),
                show_id: show_id.clone(),
                hold_id,
                fence,
                seat_nos: seat_nos.clone(),
                booking_id: booking_id.clone(),
            }),
            Body::ReturnSeats(pb::ReturnSeatsRequest {
                request: request(),
                show_id,
                fence,
                seat_nos,
                booking_id,
            }),
        ]
    }

    /// The bytes in the log. A change here makes every log there is unreadable.
    #[test]
    fn every_command_has_the_bytes_it_always_had() {
        let lines = bodies().map(|body| {
            command(&body).expect("well-formed");
            let bytes = prost::Message::encode_to_vec(&pb::LogCommand {
                command: Some(body),
            });
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            hex + "\n"
        });
        assert_eq!(lines.concat(), include_str!("golden_commands.txt"));
    }

    #[test]
    fn malformed_requests_are_refused_by_the_name_of_the_field() {
        assert!(command(&Body::HoldSeats(hold())).is_ok());
        let request = |id: Bytes, not_after_ms| Some(pb::RequestInfo { id, not_after_ms });
        let short = Bytes::from_static(&[1; 15]);
        let cases = [
            (
                "request",
                pb::HoldSeatsRequest {
                    request: None,
                    ..hold()
                },
            ),
            (
                "request.id",
                pb::HoldSeatsRequest {
                    request: request(short.clone(), 5),
                    ..hold()
                },
            ),
            (
                "request.not_after_ms",
                pb::HoldSeatsRequest {
                    request: request(Bytes::from_static(&[1; 16]), 0),
                    ..hold()
                },
            ),
            (
                "show_id",
                pb::HoldSeatsRequest {
                    show_id: short.clone(),
                    ..hold()
                },
            ),
            (
                "holder",
                pb::HoldSeatsRequest {
                    holder: Bytes::new(),
                    ..hold()
                },
            ),
        ];
        for (name, request) in cases {
            assert_eq!(field(Body::HoldSeats(request)), name);
        }
        let extend = pb::ExtendHoldRequest {
            request: hold().request,
            show_id: hold().show_id,
            holder: hold().holder,
            hold_id: hold().show_id,
            fence: 1 << 63,
            until_ms: 1,
        };
        assert_eq!(field(Body::ExtendHold(extend)), "fence");
        let change = pb::ChangeShowRequest {
            request: hold().request,
            show_id: hold().show_id,
            state: 77,
            rules: None,
        };
        assert_eq!(field(Body::ChangeShow(change)), "state");
    }
}
