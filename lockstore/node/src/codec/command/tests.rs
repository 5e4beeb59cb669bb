//! The bytes of commands, the behaviour they need, and what is refused by the name of its field.

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
        no_lone_seat: false,
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
                ..Default::default()
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
            choice: None,
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

/// What behaviour 1 can say besides, with a value in every field.
fn bodies_of_behaviour_1() -> [Body; 6] {
    let request = || hold().request;
    let id = |byte: u8| Bytes::from(vec![byte; 16]);
    let rules = Some(pb::ShowRules {
        hold_ttl_ms: 300_000,
        hold_total_ms_max: 1_800_000,
        seats_per_customer_max: 9,
        no_lone_seat: true,
    });
    let choice = |choice| {
        Body::HoldSeats(pb::HoldSeatsRequest {
            seat_nos: Vec::new(),
            choice: Some(choice),
            ..hold()
        })
    };
    let (seat_nos, actor) = (vec![7, 300], id(6));
    [
        Body::OpenShow(pb::OpenShowRequest {
            request: request(),
            show_id: id(2),
            seat_count: 1,
            rules,
            first_seat_no: 0,
            seats: vec![pb::LayoutSeat {
                row_no: 3,
                gap_after: true,
                rank: 400,
                section_no: 5,
                category_no: 6,
                kind: pb::SeatKind::Companion.into(),
            }],
            on_sale: true,
        }),
        Body::ChangeShow(pb::ChangeShowRequest {
            request: request(),
            show_id: id(2),
            state: pb::ShowState::Unspecified.into(),
            rules,
        }),
        choice(pb::hold_seats_request::Choice::Area(pb::AreaPlaces {
            section_no: 5,
            count: 3,
        })),
        choice(pb::hold_seats_request::Choice::BestAvailable(
            pb::BestAvailable {
                count: 4,
                section_nos: vec![5, 300],
                category_nos: vec![6],
                adjacent: true,
                accessible: true,
            },
        )),
        Body::BlockSeats(pb::BlockSeatsRequest {
            request: request(),
            show_id: id(2),
            seat_nos: seat_nos.clone(),
            actor: actor.clone(),
        }),
        Body::UnblockSeats(pb::UnblockSeatsRequest {
            request: request(),
            show_id: id(2),
            seat_nos,
            actor,
        }),
    ]
}

/// What behaviour 2 can say besides, with a value in every field.
fn bodies_of_behaviour_2() -> [Body; 4] {
    use pb::loaded_claim::Kind;
    let request = || hold().request;
    let id = |byte: u8| Bytes::from(vec![byte; 16]);
    let claim = |kind| pb::LoadedClaim {
        fence: 1 << 40,
        hold_id: id(4),
        holder: id(3),
        seat_nos: vec![7, 300],
        kind: Some(kind),
    };
    [
        Body::LoadSeats(pb::LoadSeatsRequest {
            request: request(),
            show_id: id(2),
            claims: vec![
                claim(Kind::Hold(pb::LoadedHold {
                    left_ms: 60_000,
                    extendable_ms: 600_000,
                    price_version: 6,
                })),
                claim(Kind::Sale(pb::LoadedSale { booking_id: id(5) })),
            ],
        }),
        Body::AdvanceQueue(pb::AdvanceQueueRequest {
            request: request(),
            show_id: id(2),
            joins: 300,
            serving: 1 << 40,
        }),
        Body::SetConfig(pb::SetConfigRequest {
            request: request(),
            operator: "ada".to_owned(),
            reason: "a clock was wrong".to_owned(),
            expiry: pb::ExpiryState::Paused.into(),
        }),
        Body::AdminRecord(pb::AdminRecordRequest {
            request: request(),
            operator: "ada".to_owned(),
            text: "rebuilt".to_owned(),
        }),
    ]
}

#[test]
fn what_behaviour_2_asks_is_refused_by_the_name_of_the_field() {
    let [load, _, set, _] = bodies_of_behaviour_2();
    let (Body::LoadSeats(load), Body::SetConfig(set)) = (load, set) else {
        panic!("that is what they are");
    };
    let of_claim = |change: fn(&mut pb::LoadedClaim)| {
        let mut load = load.clone();
        change(&mut load.claims[1]);
        field(Body::LoadSeats(load))
    };
    assert_eq!(of_claim(|claim| claim.kind = None), "claims.kind");
    assert_eq!(of_claim(|claim| claim.fence = 1 << 63), "claims.fence");
    let short = |claim: &mut pb::LoadedClaim| claim.holder = Bytes::from_static(&[1; 15]);
    assert_eq!(of_claim(short), "claims.holder");
    let unset = pb::SetConfigRequest {
        expiry: 0,
        ..set.clone()
    };
    assert_eq!(field(Body::SetConfig(unset)), "expiry");

    let too_long = |body| check_lengths(&body).expect_err("refused").name;
    let mut many = load.clone();
    many.claims = vec![load.claims[0].clone(); CLAIMS_PER_LOAD_MAX + 1];
    assert_eq!(too_long(Body::LoadSeats(many)), "claims");
    let mut wide = load.clone();
    wide.claims[0].seat_nos = vec![1; SEATS_PER_HOLD_MAX + 1];
    assert_eq!(too_long(Body::LoadSeats(wide)), "claims.seat_nos");
    let mut both = load;
    both.claims[0].seat_nos = vec![1; SEATS_PER_HOLD_MAX];
    both.claims = vec![both.claims[0].clone(); SEATS_PER_LOAD_MAX / SEATS_PER_HOLD_MAX + 1];
    assert_eq!(too_long(Body::LoadSeats(both)), "claims.seat_nos");
    let bad_texts = [
        String::new(),
        "a".repeat(OPERATOR_BYTES_MAX + 1),
        "a\nb".to_owned(),
    ];
    for operator in bad_texts {
        let set = pb::SetConfigRequest {
            operator,
            ..set.clone()
        };
        assert_eq!(too_long(Body::SetConfig(set)), "operator");
    }
}

fn log_commands(bodies: impl IntoIterator<Item = Body>) -> Vec<pb::LogCommand> {
    let of = |body| pb::LogCommand {
        command: Some(body),
    };
    bodies.into_iter().map(of).collect()
}

fn lines(commands: &[pb::LogCommand]) -> String {
    let line = |command: &pb::LogCommand| {
        let body = command.command.as_ref().expect("there is one");
        super::command(body).expect("well-formed");
        let bytes = prost::Message::encode_to_vec(command);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        hex + "\n"
    };
    commands.iter().map(line).collect()
}

/// The bytes in the log. A change here makes every log there is unreadable.
#[test]
fn every_command_has_the_bytes_it_always_had() {
    let (first, second) = (
        log_commands(bodies()),
        log_commands(bodies_of_behaviour_1()),
    );
    let third = log_commands(bodies_of_behaviour_2());
    assert_eq!(lines(&first), include_str!("../golden_commands.txt"));
    assert_eq!(lines(&second), include_str!("../golden_commands_1.txt"));
    assert_eq!(lines(&third), include_str!("../golden_commands_2.txt"));
}

/// A node of the first release goes on for as long as nobody asks for what it doesn't know.
#[test]
fn batch_names_the_lowest_behaviour_that_knows_its_commands() {
    let first = log_commands(bodies());
    assert_eq!(batch_behaviour(&first), 0);
    for new in log_commands(bodies_of_behaviour_1()) {
        let batch = [&first[..], &[new]].concat();
        assert_eq!(batch_behaviour(&batch), 1, "{:?}", batch.last());
    }
    for new in log_commands(bodies_of_behaviour_2()) {
        let batch = [&first[..], &[new]].concat();
        assert_eq!(batch_behaviour(&batch), 2, "{:?}", batch.last());
    }
}

#[test]
fn seats_are_named_or_chosen_and_numbers_have_16_bits() {
    use pb::hold_seats_request::Choice;
    let with = |seat_nos, choice| {
        Body::HoldSeats(pb::HoldSeatsRequest {
            seat_nos,
            choice: Some(choice),
            ..hold()
        })
    };
    let area = |section_no| {
        Choice::Area(pb::AreaPlaces {
            section_no,
            count: 1,
        })
    };
    assert_eq!(field(with(vec![1], area(1))), "seat_nos");
    assert_eq!(field(with(Vec::new(), area(1 << 16))), "area.section_no");
    let best = pb::BestAvailable {
        count: 1,
        category_nos: vec![1; FILTER_ENTRIES_MAX + 1],
        ..Default::default()
    };
    let refused = check_lengths(&with(Vec::new(), Choice::BestAvailable(best)));
    let refused = refused.expect_err("too many");
    assert_eq!(refused.name, "best_available.category_nos");
    let block = pb::BlockSeatsRequest {
        seat_nos: vec![1; SEATS_PER_BLOCK_MAX + 1],
        ..Default::default()
    };
    let refused = check_lengths(&Body::BlockSeats(block)).expect_err("too many");
    assert_eq!(refused.name, "seat_nos");
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
