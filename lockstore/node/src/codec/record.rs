//! Records of a snapshot.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_proto::lockstore::v1 as pb;
use holdfast_types::{
    BookingId, ClusterTime, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId, UserId,
};
use lockstore_core as core;
use pb::snapshot_record::Record as Pb;

use super::{
    command::{Field, fence, id, layout_from_pb, rules_from_pb},
    outcome::{act_kind_to_pb, hold_to_pb, queue_of_pb, rules_to_pb, seat_state_to_pb},
};

fn bytes16(bytes: [u8; 16]) -> Bytes {
    Bytes::copy_from_slice(&bytes)
}

fn u128_of(name: &'static str, bytes: &[u8]) -> Result<u128, Field> {
    bytes
        .try_into()
        .map(u128::from_be_bytes)
        .map_err(|_| Field::new(name, format!("expected 16 bytes, got {}", bytes.len())))
}

fn missing(name: &'static str) -> Field {
    Field::new(name, "missing")
}

fn unknown(name: &'static str, value: i32) -> Field {
    Field::new(name, format!("{value} is unknown"))
}

fn held_to_pb(hold: &core::Hold) -> pb::SnapshotHeldSeats {
    pb::SnapshotHeldSeats {
        hold: Some(hold_to_pb(hold)),
        holder: bytes16(hold.holder.to_bytes()),
    }
}

fn held_from_pb(held: Option<&pb::SnapshotHeldSeats>) -> Result<Arc<core::Hold>, Field> {
    let held = held.ok_or_else(|| missing("hold"))?;
    let hold = held.hold.as_ref().ok_or_else(|| missing("hold"))?;
    Ok(Arc::new(core::Hold {
        id: id("hold_id", &hold.hold_id, HoldId::from_slice)?,
        holder: id("holder", &held.holder, UserId::from_slice)?,
        fence: fence("fence", hold.fence)?,
        seat_nos: hold.seat_nos.iter().copied().map(SeatNo).collect(),
        granted_at: ClusterTime(hold.granted_at_ms),
        expires_at: ClusterTime(hold.expires_at_ms),
        extendable_until: ClusterTime(hold.extendable_until_ms),
        price_version: hold.price_version,
    }))
}

fn phase_to_pb(phase: core::Phase) -> pb::SnapshotShowPhase {
    match phase {
        core::Phase::Opening => pb::SnapshotShowPhase::Opening,
        core::Phase::OnSale => pb::SnapshotShowPhase::OnSale,
        core::Phase::Paused => pb::SnapshotShowPhase::Paused,
        core::Phase::Closing => pb::SnapshotShowPhase::Closing,
        core::Phase::Closed => pb::SnapshotShowPhase::Closed,
        core::Phase::Cancelled => pb::SnapshotShowPhase::Cancelled,
    }
}

fn phase_from_pb(phase: i32) -> Result<core::Phase, Field> {
    use pb::SnapshotShowPhase as P;
    Ok(match P::try_from(phase) {
        Ok(P::Opening) => core::Phase::Opening,
        Ok(P::OnSale) => core::Phase::OnSale,
        Ok(P::Paused) => core::Phase::Paused,
        Ok(P::Closing) => core::Phase::Closing,
        Ok(P::Closed) => core::Phase::Closed,
        Ok(P::Cancelled) => core::Phase::Cancelled,
        Ok(P::Unspecified) | Err(_) => return Err(unknown("phase", phase)),
    })
}

fn seat_state_from_pb(state: i32) -> Result<SeatState, Field> {
    Ok(match pb::SeatState::try_from(state) {
        Ok(pb::SeatState::Available) => SeatState::Available,
        Ok(pb::SeatState::Held) => SeatState::Held,
        Ok(pb::SeatState::Sold) => SeatState::Sold,
        Ok(pb::SeatState::Blocked) => SeatState::Blocked,
        Ok(pb::SeatState::Unspecified) | Err(_) => return Err(unknown("seat state", state)),
    })
}

fn end_to_pb(end: Option<core::HoldEnd>) -> pb::SnapshotHoldEnd {
    match end {
        None => pb::SnapshotHoldEnd::Unspecified,
        Some(core::HoldEnd::Expired) => pb::SnapshotHoldEnd::Expired,
        Some(core::HoldEnd::Released) => pb::SnapshotHoldEnd::Released,
        Some(core::HoldEnd::Sold) => pb::SnapshotHoldEnd::Sold,
        Some(core::HoldEnd::Cancelled) => pb::SnapshotHoldEnd::Cancelled,
    }
}

fn end_from_pb(end: i32) -> Result<Option<core::HoldEnd>, Field> {
    use pb::SnapshotHoldEnd as E;
    Ok(match E::try_from(end) {
        Ok(E::Unspecified) => None,
        Ok(E::Expired) => Some(core::HoldEnd::Expired),
        Ok(E::Released) => Some(core::HoldEnd::Released),
        Ok(E::Sold) => Some(core::HoldEnd::Sold),
        Ok(E::Cancelled) => Some(core::HoldEnd::Cancelled),
        Err(_) => return Err(unknown("hold end", end)),
    })
}

fn effect_to_pb(effect: &core::Effect) -> Option<pb::SnapshotHeldEffect> {
    match effect {
        core::Effect::Held { hold, end } => Some(pb::SnapshotHeldEffect {
            hold: Some(held_to_pb(hold)),
            end: end_to_pb(*end).into(),
        }),
        core::Effect::Joined { .. } | core::Effect::Done => None,
    }
}

fn effect_from_pb(request: &pb::SnapshotRequest) -> Result<core::Effect, Field> {
    Ok(match (&request.held, request.first_no) {
        (Some(held), _) => core::Effect::Held {
            hold: held_from_pb(held.hold.as_ref())?,
            end: end_from_pb(held.end)?,
        },
        (None, 0) => core::Effect::Done,
        (None, first_no) => core::Effect::Joined { first_no },
    })
}

fn act_to_pb(revision: Revision, act: &core::Act) -> pb::SnapshotAct {
    pb::SnapshotAct {
        revision: revision.as_u64(),
        at_ms: act.at.0,
        id: bytes16(act.id.0),
        body_hash: bytes16(act.body.0.to_be_bytes()),
        not_after_ms: act.not_after.0,
        operator: act.operator.to_string(),
        text: act.text.to_string(),
        expiry: act_kind_to_pb(act.kind).into(),
    }
}

fn act_from_pb(act: &pb::SnapshotAct) -> Result<core::Act, Field> {
    Ok(core::Act {
        id: core::RequestId(u128_of("id", &act.id)?.to_be_bytes()),
        body: core::BodyHash(u128_of("body_hash", &act.body_hash)?),
        not_after: ClusterTime(act.not_after_ms),
        at: ClusterTime(act.at_ms),
        operator: act.operator.as_str().into(),
        text: act.text.as_str().into(),
        kind: match pb::ExpiryState::try_from(act.expiry) {
            Ok(pb::ExpiryState::Unspecified) => core::ActKind::Note,
            Ok(pb::ExpiryState::Paused) => core::ActKind::ExpiryPaused,
            Ok(pb::ExpiryState::Running) => core::ActKind::ExpiryResumed,
            Err(_) => return Err(unknown("expiry", act.expiry)),
        },
    })
}

fn layout_seat_to_pb(seat: &core::LayoutSeat) -> pb::LayoutSeat {
    let kind = match seat.kind {
        core::SeatKind::Plain => pb::SeatKind::Unspecified,
        core::SeatKind::Accessible => pb::SeatKind::Accessible,
        core::SeatKind::Companion => pb::SeatKind::Companion,
        core::SeatKind::Standing => pb::SeatKind::Standing,
    };
    pb::LayoutSeat {
        row_no: seat.row_no,
        gap_after: seat.gap_after,
        rank: seat.rank.into(),
        section_no: seat.section_no.into(),
        category_no: seat.category_no.into(),
        kind: kind.into(),
    }
}

/// A record as it is written.
pub(crate) fn record_to_pb(record: &core::Record) -> Pb {
    match record {
        core::Record::Meta(r) => Pb::Meta(pb::SnapshotMeta {
            lineage: r.lineage.0.into(),
            now_ms: r.now.0,
            revision: r.revision.as_u64(),
            expiry_paused: r.expiry_paused,
        }),
        core::Record::Act(r) => Pb::Act(act_to_pb(r.revision, &r.act)),
        core::Record::Show(r) => Pb::Show(pb::SnapshotShow {
            show_id: bytes16(r.show_id.to_bytes()),
            phase: phase_to_pb(r.phase).into(),
            seat_count: r.seat_count,
            rules: Some(rules_to_pb(r.rules)),
            opening_rules: Some(rules_to_pb(r.opening_rules)),
            queue: queue_of_pb(r.queue),
            loaded_fence: r.loaded.as_u64(),
        }),
        core::Record::Layout(r) => Pb::Layout(pb::SnapshotLayout {
            show_id: bytes16(r.show_id.to_bytes()),
            first_seat_no: r.first_seat_no.0,
            seats: r.seats.iter().map(layout_seat_to_pb).collect(),
        }),
        core::Record::Seats(r) => Pb::Seats(pb::SnapshotSeats {
            show_id: bytes16(r.show_id.to_bytes()),
            seats: r
                .seats
                .iter()
                .map(|s| pb::SnapshotSeat {
                    seat_no: s.seat_no.0,
                    state: seat_state_to_pb(s.state).into(),
                    fence: s.fence.as_u64(),
                })
                .collect(),
        }),
        core::Record::Hold(r) => Pb::Hold(pb::SnapshotHold {
            show_id: bytes16(r.show_id.to_bytes()),
            hold: Some(held_to_pb(&r.hold)),
        }),
        core::Record::Sale(r) => Pb::Sale(pb::SnapshotSale {
            show_id: bytes16(r.show_id.to_bytes()),
            fence: r.fence.as_u64(),
            hold_id: bytes16(r.hold_id.to_bytes()),
            holder: bytes16(r.holder.to_bytes()),
            booking_id: bytes16(r.booking_id.to_bytes()),
            seat_count: r.seat_count,
        }),
        core::Record::Blocked(r) => Pb::Blocked(pb::SnapshotBlocked {
            show_id: bytes16(r.show_id.to_bytes()),
            seats: r
                .seats
                .iter()
                .map(|(seat_no, actor)| pb::SnapshotBlockedSeat {
                    seat_no: seat_no.0,
                    actor: bytes16(actor.to_bytes()),
                })
                .collect(),
        }),
        core::Record::Request(r) => Pb::Request(pb::SnapshotRequest {
            show_id: bytes16(r.show_id.to_bytes()),
            id: bytes16(r.id.0),
            body_hash: bytes16(r.body.0.to_be_bytes()),
            not_after_ms: r.not_after.0,
            keep_until_ms: r.keep_until.map(|time| time.0),
            held: effect_to_pb(&r.effect),
            first_no: match r.effect {
                core::Effect::Joined { first_no } => first_no,
                core::Effect::Held { .. } | core::Effect::Done => 0,
            },
        }),
        core::Record::End(hash) => Pb::End(pb::SnapshotEnd {
            state_hash: bytes16(hash.0.to_be_bytes()),
        }),
    }
}

/// What [`record_to_pb`] made.
///
/// # Errors
/// [`Field`] names what can't be read; the header is no record of the state.
pub(crate) fn record_from_pb(record: &Pb) -> Result<core::Record, Field> {
    let show = |bytes: &[u8]| id("show_id", bytes, ShowId::from_slice);
    Ok(match record {
        Pb::Header(_) => return Err(Field::new("header", "only the first record is one")),
        Pb::Meta(r) => core::Record::Meta(core::MetaRecord {
            lineage: lineage(r.lineage)?,
            now: ClusterTime(r.now_ms),
            revision: fence("revision", r.revision)?,
            expiry_paused: r.expiry_paused,
        }),
        Pb::Act(r) => core::Record::Act(core::ActRecord {
            revision: fence("revision", r.revision)?,
            act: Arc::new(act_from_pb(r)?),
        }),
        Pb::Show(r) => core::Record::Show(core::ShowRecord {
            show_id: show(&r.show_id)?,
            phase: phase_from_pb(r.phase)?,
            seat_count: r.seat_count,
            rules: rules_from_pb(r.rules.as_ref().ok_or_else(|| missing("rules"))?),
            opening_rules: rules_from_pb(
                r.opening_rules
                    .as_ref()
                    .ok_or_else(|| missing("opening_rules"))?,
            ),
            queue: r.queue.map_or(core::Queue::default(), |queue| core::Queue {
                joined: queue.joined,
                serving: queue.serving,
            }),
            loaded: fence("loaded_fence", r.loaded_fence)?,
        }),
        Pb::Layout(r) => core::Record::Layout(core::LayoutRecord {
            show_id: show(&r.show_id)?,
            first_seat_no: SeatNo(r.first_seat_no),
            seats: layout_from_pb(&r.seats)?,
        }),
        Pb::Seats(r) => core::Record::Seats(core::SeatsRecord {
            show_id: show(&r.show_id)?,
            seats: r
                .seats
                .iter()
                .map(|s| {
                    Ok(core::SeatRecord {
                        seat_no: SeatNo(s.seat_no),
                        state: seat_state_from_pb(s.state)?,
                        fence: fence("fence", s.fence)?,
                    })
                })
                .collect::<Result<_, Field>>()?,
        }),
        Pb::Hold(r) => core::Record::Hold(core::HoldRecord {
            show_id: show(&r.show_id)?,
            hold: held_from_pb(r.hold.as_ref())?,
        }),
        Pb::Sale(r) => core::Record::Sale(core::SaleRecord {
            show_id: show(&r.show_id)?,
            fence: fence("fence", r.fence)?,
            hold_id: id("hold_id", &r.hold_id, HoldId::from_slice)?,
            holder: id("holder", &r.holder, UserId::from_slice)?,
            booking_id: id("booking_id", &r.booking_id, BookingId::from_slice)?,
            seat_count: r.seat_count,
        }),
        Pb::Blocked(r) => core::Record::Blocked(core::BlockedRecord {
            show_id: show(&r.show_id)?,
            seats: r
                .seats
                .iter()
                .map(|seat| {
                    let actor = id("actor", &seat.actor, UserId::from_slice)?;
                    Ok((SeatNo(seat.seat_no), actor))
                })
                .collect::<Result<_, Field>>()?,
        }),
        Pb::Request(r) => core::Record::Request(core::RequestRecord {
            show_id: show(&r.show_id)?,
            id: core::RequestId(u128_of("id", &r.id)?.to_be_bytes()),
            body: core::BodyHash(u128_of("body_hash", &r.body_hash)?),
            not_after: ClusterTime(r.not_after_ms),
            keep_until: r.keep_until_ms.map(ClusterTime),
            effect: effect_from_pb(r)?,
        }),
        Pb::End(r) => core::Record::End(core::StateHash(u128_of("state_hash", &r.state_hash)?)),
    })
}

fn lineage(value: u32) -> Result<Lineage, Field> {
    u8::try_from(value)
        .map(Lineage)
        .map_err(|_| Field::new("lineage", format!("{value} exceeds 8 bits")))
}

#[cfg(test)]
mod tests {
    use holdfast_types::DurationMs;
    use lockstore_core::{Command, Outcome, RequestId, State};

    use super::*;

    const NOW: ClusterTime = ClusterTime(1_000_000);

    fn request(id: u8) -> core::Request {
        core::Request {
            id: RequestId([id; 16]),
            not_after: NOW.plus(DurationMs(10_000)),
        }
    }

    /// A state with a record of every kind.
    fn state() -> State {
        let mut state = State::new(Lineage(1));
        let mut index = 0;
        let mut apply = |command: Command| {
            index += 1;
            let (outcome, _) = state.apply(&command, NOW, fence_of(index));
            assert!(
                !matches!(outcome, Outcome::Refused(_)),
                "{command:?}: {outcome:?}"
            );
            fence_of(index)
        };
        let (show_id, holder) = (ShowId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let rules = core::ShowRules {
            hold_ttl: DurationMs::from_secs(60),
            hold_total_max: DurationMs::from_secs(600),
            seats_per_customer_max: 9,
            no_lone_seat: false,
        };
        apply(Command::OpenShow(core::OpenShow {
            request: request(1),
            show_id,
            seat_count: 4,
            rules,
            first_seat_no: SeatNo(0),
            seats: vec![
                core::LayoutSeat {
                    gap_after: true,
                    ..Default::default()
                };
                4
            ],
            on_sale: true,
        }));
        let mut hold = |id: u8, seat: u32| {
            apply(Command::HoldSeats(core::HoldSeats {
                request: request(id),
                show_id,
                holder,
                selection: core::Selection::Seats(vec![SeatNo(seat)]),
                ttl: DurationMs(0),
                price_version: 3,
                late_money: false,
            }))
        };
        let (released, sold) = (hold(2, 0), hold(3, 1));
        hold(4, 2);
        let hold_id = |id: u8| HoldId::from_bytes([id; 16]);
        apply(Command::ReleaseHold(core::ReleaseHold {
            request: request(5),
            show_id,
            holder,
            hold_id: hold_id(2),
            fence: released,
        }));
        apply(Command::CommitHold(core::CommitHold {
            request: request(6),
            show_id,
            hold_id: hold_id(3),
            fence: sold,
            seat_nos: vec![SeatNo(1)],
            booking_id: BookingId::from_bytes([7; 16]),
        }));
        state
    }

    /// One that says all that behaviour 1 can say besides.
    fn state_of_behaviour_1() -> State {
        let mut state = State::new(Lineage(1));
        let show_id = ShowId::from_bytes([1; 16]);
        let rules = core::ShowRules {
            hold_ttl: DurationMs::from_secs(60),
            hold_total_max: DurationMs::from_secs(600),
            seats_per_customer_max: 9,
            no_lone_seat: true,
        };
        let kinds = [
            core::SeatKind::Plain,
            core::SeatKind::Accessible,
            core::SeatKind::Companion,
            core::SeatKind::Standing,
        ];
        let seats = (0..).zip(kinds).map(|(n, kind)| core::LayoutSeat {
            row_no: u32::from(n == 3),
            rank: 300 + n,
            section_no: n / 2,
            category_no: 7,
            kind,
            gap_after: n == 0,
        });
        let open = Command::OpenShow(core::OpenShow {
            request: request(1),
            show_id,
            seat_count: 4,
            rules,
            first_seat_no: SeatNo(0),
            seats: seats.collect(),
            on_sale: true,
        });
        let block = Command::BlockSeats(core::BlockSeats {
            request: request(2),
            show_id,
            seat_nos: vec![SeatNo(1), SeatNo(2)],
            actor: UserId::from_bytes([8; 16]),
        });
        for (index, command) in (1..).zip([open, block]) {
            let (outcome, _) = state.apply(&command, NOW, fence_of(index));
            assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
        state
    }

    /// One that says all that behaviour 2 can say besides.
    fn state_of_behaviour_2() -> State {
        let mut state = State::new(Lineage(2));
        let show_id = ShowId::from_bytes([1; 16]);
        let open = Command::OpenShow(core::OpenShow {
            request: request(1),
            show_id,
            seat_count: 4,
            rules: core::ShowRules {
                hold_ttl: DurationMs::from_secs(60),
                hold_total_max: DurationMs::from_secs(600),
                seats_per_customer_max: 9,
                no_lone_seat: false,
            },
            first_seat_no: SeatNo(0),
            seats: vec![core::LayoutSeat::default(); 4],
            on_sale: false,
        });
        let claim = |id: u8, seat: u32, kind| core::LoadedClaim {
            fence: fence_of(id.into()),
            hold_id: HoldId::from_bytes([id; 16]),
            holder: UserId::from_bytes([2; 16]),
            seat_nos: vec![SeatNo(seat)],
            kind,
        };
        let hold = core::LoadedKind::Hold {
            left: DurationMs::from_secs(30),
            extendable: DurationMs::from_secs(300),
            price_version: 3,
        };
        let sale = core::LoadedKind::Sale {
            booking_id: BookingId::from_bytes([7; 16]),
        };
        let load = Command::LoadSeats(core::LoadSeats {
            request: request(2),
            show_id,
            claims: vec![claim(70, 1, hold), claim(71, 3, sale)],
        });
        let advance = Command::AdvanceQueue(core::AdvanceQueue {
            request: request(3),
            show_id,
            joins: 300,
            serving: 40,
        });
        let note = Command::AdminRecord(core::AdminRecord {
            request: request(4),
            operator: "ada".into(),
            text: "rebuilt after the fire".into(),
        });
        let set = |id, expiry_paused| {
            Command::SetConfig(core::SetConfig {
                request: request(id),
                operator: "grace".into(),
                reason: "a clock was wrong".into(),
                expiry_paused,
            })
        };
        let commands = [
            open,
            load,
            advance,
            note,
            set(5, true),
            set(6, false),
            set(7, true),
        ];
        for (index, command) in (1..).zip(commands) {
            let revision = Revision::new(Lineage(2), index, 0);
            let (outcome, _) = state.apply(&command, NOW, revision);
            assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
        state
    }

    fn fence_of(index: u64) -> Revision {
        Revision::new(Lineage(1), index, 0)
    }

    /// The bytes of version 1. A change here breaks every snapshot there is: take the next version.
    #[test]
    fn every_kind_of_record_has_the_bytes_it_always_had() {
        let lines = |state: &State| -> String {
            let line = |record| {
                let record = pb::SnapshotRecord {
                    record: Some(record_to_pb(&record)),
                };
                let body = prost::Message::encode_to_vec(&record);
                let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
                hex + "\n"
            };
            state.records().map(line).collect()
        };
        assert_eq!(lines(&state()), include_str!("golden_records.txt"));
        let second = lines(&state_of_behaviour_1());
        assert_eq!(second, include_str!("golden_records_1.txt"));
        let third = lines(&state_of_behaviour_2());
        assert_eq!(third, include_str!("golden_records_2.txt"));
    }

    /// What an earlier release wrote is read to the state that it was.
    #[test]
    fn golden_records_are_read_back_to_the_hash_they_end_with() {
        for lines in [
            include_str!("golden_records.txt"),
            include_str!("golden_records_1.txt"),
            include_str!("golden_records_2.txt"),
        ] {
            let mut builder = core::StateBuilder::new();
            for line in lines.lines() {
                let byte = |at| u8::from_str_radix(&line[at..at + 2], 16).expect("hex");
                let bytes: Vec<u8> = (0..line.len()).step_by(2).map(byte).collect();
                let record: pb::SnapshotRecord =
                    prost::Message::decode(bytes.as_slice()).expect("a record");
                let record = record.record.expect("of a kind");
                builder
                    .push(record_from_pb(&record).expect("decodes"))
                    .expect("fits");
            }
            builder.finish().expect("complete");
        }
    }

    #[test]
    fn state_is_the_same_after_a_trip_through_its_records() {
        for state in [state(), state_of_behaviour_1(), state_of_behaviour_2()] {
            let mut builder = core::StateBuilder::new();
            for record in state.records() {
                let wire = record_to_pb(&record);
                let back = record_from_pb(&wire).expect("decodes");
                assert_eq!(back, record);
                builder.push(back).expect("fits");
            }
            let back = builder.finish().expect("complete");
            assert_eq!(back.hash(), state.hash());
            assert_eq!(back.recompute_hash(), state.hash());
            assert_eq!(
                (back.now(), back.revision()),
                (state.now(), state.revision())
            );
        }
    }
}
