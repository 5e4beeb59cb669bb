//! The naive model: the rules of the store and the wire contract, written down again as plainly
//! as possible. It keeps everything for good in flat lists, scans them, compares bodies field by
//! field, and has no queue, no count and no hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use RefusalReason as No;
use holdfast_types::{
    BookingId, ClusterTime, DurationMs, Fence, HoldId, Revision, SeatNo, SeatState, ShowId,
};
use lockstore_core::{
    Command, Hold, HoldSeats, LayoutSeat, Outcome, Refusal, RefusalReason, Request, SeatKind,
    SeatRefusal, Selection, ShowRules, ShowState,
};

use crate::naive;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lives,
    Expired,
    Released,
    Cancelled,
    Sold,
}

struct Claim {
    granted: Hold,
    stands: Hold,
    fate: Fate,
}

struct Asked {
    body: Command,
    not_after: ClusterTime,
    /// `None` while the hold lives.
    finished_at: Option<ClusterTime>,
}

struct Seat {
    state: SeatState,
    fence: Fence,
    booking: Option<BookingId>,
}

struct Show {
    state: ShowState,
    rules: ShowRules,
    opening_rules: ShowRules,
    layout: Vec<LayoutSeat>,
    seats: Vec<Seat>,
    claims: Vec<Claim>,
    asked: Vec<Asked>,
}

#[derive(Default)]
pub(crate) struct Model {
    now: ClusterTime,
    shows: BTreeMap<ShowId, Show>,
}

fn no(reason: RefusalReason) -> Result<Outcome, Refusal> {
    refuse(reason, 0)
}

fn refuse(reason: RefusalReason, limit: u64) -> Result<Outcome, Refusal> {
    Err(Refusal {
        reason,
        seats: Vec::new(),
        limit,
    })
}

/// A command without what is no part of its body.
fn body(command: &Command) -> Command {
    let mut command = command.clone();
    let blank = Request {
        id: command.request().expect("a tick is no request").id,
        not_after: ClusterTime(0),
    };
    match &mut command {
        Command::OpenShow(c) => c.request = blank,
        Command::ChangeShow(c) => c.request = blank,
        Command::HoldSeats(c) => {
            (c.request, c.price_version) = (blank, 0);
            match &mut c.selection {
                Selection::Seats(seat_nos) => seat_nos.sort(),
                Selection::BestAvailable(best) => {
                    best.sections.sort();
                    best.categories.sort();
                }
                Selection::Area { .. } => {}
            }
        }
        Command::BlockSeats(c) => {
            c.request = blank;
            c.seat_nos.sort();
        }
        Command::UnblockSeats(c) => {
            c.request = blank;
            c.seat_nos.sort();
        }
        Command::ExtendHold(c) => c.request = blank,
        Command::ReleaseHold(c) => c.request = blank,
        Command::CommitHold(c) => {
            c.request = blank;
            c.seat_nos.sort();
        }
        Command::ReturnSeats(c) => {
            c.request = blank;
            c.seat_nos.sort();
        }
        Command::Tick => {}
    }
    command
}

impl Model {
    pub(crate) fn apply(
        &mut self,
        command: &Command,
        stamp: ClusterTime,
        revision: Revision,
    ) -> Outcome {
        self.now = self.now.max(stamp);
        let now = self.now;
        if *command == Command::Tick {
            let swept = self.shows.values_mut().map(|show| show.sweep(now)).sum();
            return Outcome::Ticked { swept };
        }
        let show_id = command.show_id().expect("not a tick");
        let mut fresh = Show {
            state: ShowState::Opening,
            rules: ShowRules {
                hold_ttl: DurationMs(0),
                hold_total_max: DurationMs(0),
                seats_per_customer_max: 0,
                no_lone_seat: false,
            },
            opening_rules: ShowRules {
                hold_ttl: DurationMs(0),
                hold_total_max: DurationMs(0),
                seats_per_customer_max: 0,
                no_lone_seat: false,
            },
            layout: Vec::new(),
            seats: Vec::new(),
            claims: Vec::new(),
            asked: Vec::new(),
        };
        let known_show = self.shows.get_mut(&show_id);
        let is_new = known_show.is_none();
        let show = known_show.unwrap_or(&mut fresh);
        let outcome = show
            .command(command, is_new, now, revision)
            .unwrap_or_else(Outcome::Refused);
        if is_new && !show.layout.is_empty() {
            self.shows.insert(show_id, fresh);
        }
        outcome
    }

    pub(crate) fn seat_states(&self, show_id: ShowId) -> Vec<SeatState> {
        self.shows.get(&show_id).map_or(Vec::new(), |show| {
            show.seats.iter().map(|seat| seat.state).collect()
        })
    }

    pub(crate) fn live_holds(&self, show_id: ShowId) -> Vec<Hold> {
        self.shows.get(&show_id).map_or(Vec::new(), |show| {
            show.claims
                .iter()
                .filter(|c| c.fate == Fate::Lives)
                .map(|c| c.stands.clone())
                .collect()
        })
    }
}

impl Show {
    fn sweep(&mut self, now: ClusterTime) -> u32 {
        let mut swept = 0;
        for i in 0..self.claims.len() {
            let hold = &self.claims[i].stands;
            let span = hold.expires_at.0 - hold.granted_at.0;
            let overdue = now.0 >= hold.expires_at.0 + span.div_ceil(100);
            if self.claims[i].fate == Fate::Lives && overdue {
                self.end(i, Fate::Expired, now);
                swept += 1;
            }
        }
        swept
    }

    fn end(&mut self, i: usize, fate: Fate, now: ClusterTime) {
        self.claims[i].fate = fate;
        for seat_no in self.claims[i].stands.seat_nos.iter() {
            let seat = &mut self.seats[seat_no.0 as usize];
            seat.state = if fate == Fate::Sold {
                SeatState::Sold
            } else {
                SeatState::Available
            };
        }
        let fence = self.claims[i].granted.fence;
        let id = self.claims[i].granted.id;
        let asked = self.asked.iter_mut().rev().find(|asked| {
            asked.finished_at.is_none()
                && HoldId::from(asked.body.request().expect("a hold").id) == id
        });
        asked
            .unwrap_or_else(|| panic!("{fence} was asked for"))
            .finished_at = Some(now);
    }

    fn remembered(&self, request: &Request, now: ClusterTime) -> Option<usize> {
        self.asked.iter().rposition(|asked| {
            let same = asked.body.request().map(|r| r.id) == Some(request.id);
            let kept = asked
                .finished_at
                .is_none_or(|at| now <= at.plus(DurationMs(600_000)) || now <= asked.not_after);
            same && kept
        })
    }

    fn command(
        &mut self,
        command: &Command,
        is_new: bool,
        now: ClusterTime,
        revision: Revision,
    ) -> Result<Outcome, Refusal> {
        self.sweep(now);
        let request = *command.request().expect("not a tick");
        let remembered = self.remembered(&request, now);
        if remembered.is_none() && (request.not_after < now || request.not_after.0 == 0) {
            return refuse(No::DeadlinePassed, now.0);
        }
        if request.not_after.0 > now.0 + 60_000 {
            return refuse(No::DeadlineTooFar, now.0 + 60_000);
        }
        if let Some(i) = remembered {
            if self.asked[i].body != body(command) {
                return no(No::RequestReused);
            }
            self.asked[i].not_after = self.asked[i].not_after.max(request.not_after);
        }
        if is_new && !matches!(command, Command::OpenShow(_)) {
            return no(No::ShowNotFound);
        }
        let changed = self.asked.len();
        let outcome = match command {
            Command::HoldSeats(_) if remembered.is_some() => {
                let hold_id = HoldId::from(request.id);
                let claim = self.claims.iter().rev().find(|c| c.granted.id == hold_id);
                let hold = Arc::new(claim.expect("it was granted").granted.clone());
                return Ok(Outcome::Held {
                    hold,
                    replayed: true,
                });
            }
            Command::ChangeShow(_) if remembered.is_some() => {
                return Ok(Outcome::ShowChanged { state: self.state });
            }
            Command::BlockSeats(_) if remembered.is_some() => {
                return Ok(Outcome::Blocked {
                    seat_nos: Arc::default(),
                    already: true,
                });
            }
            Command::UnblockSeats(_) if remembered.is_some() => {
                return Ok(Outcome::Unblocked {
                    seat_nos: Arc::default(),
                    already: true,
                });
            }
            _ => self.judge(command, now, revision)?,
        };
        // What had an effect is remembered; the judge left a mark.
        if let Some(asked) = self.asked.get_mut(changed) {
            asked.not_after = request.not_after;
        }
        Ok(outcome)
    }

    fn mark(&mut self, command: &Command, finished_at: Option<ClusterTime>) {
        self.asked.push(Asked {
            body: body(command),
            not_after: ClusterTime(0),
            finished_at,
        });
    }

    /// Refuses with the seats that are in none of `allowed`.
    fn conflict(&self, seat_nos: &[SeatNo], allowed: &[SeatState]) -> Result<(), Refusal> {
        let mut seats: Vec<_> = seat_nos
            .iter()
            .map(|n| SeatRefusal {
                seat_no: *n,
                state: Some(self.seats[n.0 as usize].state),
            })
            .filter(|seat| !allowed.contains(&seat.state.expect("it has one")))
            .collect();
        seats.sort_by_key(|seat| seat.seat_no);
        if seats.is_empty() {
            return Ok(());
        }
        Err(Refusal {
            reason: No::Conflict,
            seats,
            limit: 0,
        })
    }

    /// Those of `seat_nos` that were `from` become `to`.
    fn turn(&mut self, seat_nos: &[SeatNo], from: SeatState, to: SeatState) -> Arc<[SeatNo]> {
        let mut turned = Vec::new();
        for n in seat_nos {
            let seat = &mut self.seats[n.0 as usize];
            if seat.state == from {
                seat.state = to;
                turned.push(*n);
            }
        }
        turned.into()
    }

    fn free(&self) -> Vec<bool> {
        let free = |seat: &Seat| seat.state == SeatState::Available;
        self.seats.iter().map(free).collect()
    }

    /// Seats to hold that are nobody's, or why there are none.
    fn choose(&self, c: &HoldSeats) -> Result<Vec<SeatNo>, Refusal> {
        let no_lone_seat = self.rules.no_lone_seat && !c.late_money;
        let numbered = |seats: Vec<usize>| seats.into_iter().map(|n| SeatNo(n as u32)).collect();
        match &c.selection {
            Selection::Seats(seat_nos) => {
                let mut seat_nos = seat_nos.clone();
                seat_nos.sort();
                let taken: Vec<usize> = seat_nos.iter().map(|n| n.0 as usize).collect();
                let alone = naive::left_alone(&self.layout, &self.free(), &taken);
                if no_lone_seat && !alone.is_empty() {
                    return Err(Refusal {
                        reason: No::LeavesLoneSeat,
                        seats: alone
                            .iter()
                            .map(|n| SeatRefusal {
                                seat_no: SeatNo(*n as u32),
                                state: Some(SeatState::Available),
                            })
                            .collect(),
                        limit: 0,
                    });
                }
                Ok(seat_nos)
            }
            Selection::Area { section_no, count } => {
                let (layout, free) = (&self.layout, self.free());
                naive::lowest_of_area(layout, &free, *section_no, *count as usize)
                    .map(numbered)
                    .map_err(|free| refuse(No::NoBlock, free as u64).expect_err("it is one"))
            }
            Selection::BestAvailable(best) => {
                naive::best_available(&self.layout, &self.free(), best, no_lone_seat)
                    .map(numbered)
                    .ok_or_else(|| no(No::NoBlock).expect_err("it is one"))
            }
        }
    }

    /// How many seats are asked for; what is wrong with the question.
    fn asked_for(&self, selection: &Selection) -> Result<usize, Refusal> {
        let count = match selection {
            Selection::Seats(seat_nos) => return Ok(self.selection(seat_nos)?.len()),
            Selection::Area { count, .. } => *count,
            Selection::BestAvailable(best) => best.count,
        };
        if count == 0 || count > 64 {
            refuse(No::Invalid, 64)?;
        }
        if let Selection::Area { section_no, .. } = selection {
            let is_place = |seat: &&LayoutSeat| {
                seat.kind == SeatKind::Standing && seat.section_no == *section_no
            };
            if !self.layout.iter().any(|seat| is_place(&seat)) {
                no(No::SeatUnknown)?;
            }
        }
        Ok(count as usize)
    }

    fn selection(&self, seat_nos: &[SeatNo]) -> Result<Vec<SeatNo>, Refusal> {
        self.named(seat_nos, 64)
    }

    fn named(&self, seat_nos: &[SeatNo], most: usize) -> Result<Vec<SeatNo>, Refusal> {
        let mut sorted = seat_nos.to_vec();
        sorted.sort();
        sorted.dedup();
        if seat_nos.is_empty() || seat_nos.len() > most {
            refuse(No::Invalid, most as u64)?;
        }
        if sorted.len() < seat_nos.len() {
            no(No::Invalid)?;
        }
        let seats: Vec<_> = sorted
            .iter()
            .filter(|n| n.0 as usize >= self.seats.len())
            .map(|n| SeatRefusal {
                seat_no: *n,
                state: None,
            })
            .collect();
        if !seats.is_empty() {
            return Err(Refusal {
                reason: No::SeatUnknown,
                seats,
                limit: self.seats.len() as u64,
            });
        }
        Ok(sorted)
    }

    /// The latest hold of that id, while it lives or its request is remembered.
    fn claim(&self, id: HoldId, now: ClusterTime) -> Option<usize> {
        let i = self.claims.iter().rposition(|c| c.granted.id == id)?;
        let request = Request {
            id: id.into(),
            not_after: ClusterTime(0),
        };
        let asked = self
            .remembered(&request, now)
            .map(|asked| &self.asked[asked].body);
        let known = matches!(asked, Some(Command::HoldSeats(_)));
        (self.claims[i].fate == Fate::Lives || known).then_some(i)
    }

    fn still_sold(&self, hold_id: HoldId, fence: Fence) -> Option<&Claim> {
        self.claims
            .iter()
            .find(|c| c.granted.id == hold_id && c.granted.fence == fence && c.fate == Fate::Sold)
            .filter(|_| {
                self.seats
                    .iter()
                    .any(|s| s.state == SeatState::Sold && s.fence == fence)
            })
    }

    fn judge(
        &mut self,
        command: &Command,
        now: ClusterTime,
        revision: Revision,
    ) -> Result<Outcome, Refusal> {
        match command {
            Command::OpenShow(c) => {
                let known = self.layout.len() as u32;
                if known == 0 {
                    (self.rules, self.opening_rules) = (c.rules, c.rules);
                    self.seats = (0..c.seat_count)
                        .map(|_| Seat {
                            state: SeatState::Available,
                            fence: Fence::ZERO,
                            booking: None,
                        })
                        .collect();
                }
                if c.first_seat_no.0 == known {
                    if self.state != ShowState::Opening {
                        return no(No::ShowNotOnSale);
                    }
                    self.layout.extend(&c.seats);
                    if self.layout.len() == self.seats.len() {
                        self.state = if c.on_sale {
                            ShowState::OnSale
                        } else {
                            ShowState::Paused
                        };
                    }
                    self.mark(command, Some(now));
                }
                let seats_known = self.layout.len() as u32;
                Ok(Outcome::ShowOpened {
                    state: self.state,
                    seats_known,
                })
            }
            Command::ChangeShow(c) => {
                let over = matches!(self.state, ShowState::Closed | ShowState::Cancelled);
                let next = c.state.unwrap_or(self.state);
                let allowed = next == self.state
                    || match next {
                        ShowState::Cancelled => true,
                        ShowState::Closed => !over,
                        _ => !over && self.state != ShowState::Opening,
                    };
                if !allowed {
                    return no(No::ShowNotOnSale);
                }
                let rules = c.rules.unwrap_or(self.rules);
                if (next, rules) != (self.state, self.rules) {
                    if next == ShowState::Cancelled {
                        for i in 0..self.claims.len() {
                            if self.claims[i].fate == Fate::Lives {
                                self.end(i, Fate::Cancelled, now);
                            }
                        }
                    }
                    (self.state, self.rules) = (next, rules);
                    self.mark(command, Some(now));
                }
                Ok(Outcome::ShowChanged { state: next })
            }
            Command::HoldSeats(c) => {
                let count = self.asked_for(&c.selection)?;
                let sells = self.state == ShowState::OnSale
                    || (self.state == ShowState::Paused && c.late_money);
                if !sells {
                    return no(No::ShowNotOnSale);
                }
                if let Selection::Seats(seat_nos) = &c.selection {
                    self.conflict(seat_nos, &[SeatState::Available])?;
                }
                let has: usize = self
                    .claims
                    .iter()
                    .filter(|claim| claim.granted.holder == c.holder)
                    .flat_map(|claim| {
                        claim
                            .granted
                            .seat_nos
                            .iter()
                            .map(|n| (claim.granted.fence, n))
                    })
                    .filter(|(fence, n)| {
                        let seat = &self.seats[n.0 as usize];
                        matches!(seat.state, SeatState::Held | SeatState::Sold)
                            && seat.fence == *fence
                    })
                    .count();
                let cap = self.rules.seats_per_customer_max;
                if has + count > cap as usize {
                    return refuse(No::LimitExceeded, u64::from(cap));
                }
                let seat_nos = self.choose(c)?;
                for n in &seat_nos {
                    self.seats[n.0 as usize] = Seat {
                        state: SeatState::Held,
                        fence: revision,
                        booking: None,
                    };
                }
                let ttl = if c.ttl.0 == 0 {
                    self.rules.hold_ttl
                } else {
                    c.ttl
                };
                let granted = Hold {
                    id: c.request.id.into(),
                    holder: c.holder,
                    fence: revision,
                    seat_nos: seat_nos.into(),
                    granted_at: now,
                    expires_at: now.plus(ttl),
                    extendable_until: now.plus(self.rules.hold_total_max),
                    price_version: c.price_version,
                };
                self.mark(command, None);
                let hold = Arc::new(granted.clone());
                self.claims.push(Claim {
                    stands: granted.clone(),
                    granted,
                    fate: Fate::Lives,
                });
                Ok(Outcome::Held {
                    hold,
                    replayed: false,
                })
            }
            Command::ExtendHold(c) => {
                if self.state == ShowState::Cancelled || self.state == ShowState::Opening {
                    return no(No::ShowNotOnSale);
                }
                let claim = self.claim(c.hold_id, now);
                let Some(i) = claim.filter(|i| self.claims[*i].granted.holder == c.holder) else {
                    let sold = self.still_sold(c.hold_id, c.fence);
                    let ours = sold.is_some_and(|claim| claim.granted.holder == c.holder);
                    return no(if ours {
                        No::AlreadySold
                    } else {
                        No::HoldNotFound
                    });
                };
                let claim = &self.claims[i];
                match claim.fate {
                    Fate::Expired => return no(No::Expired),
                    Fate::Released | Fate::Cancelled => return no(No::Released),
                    _ if claim.granted.fence != c.fence => return no(No::StaleFence),
                    Fate::Sold => return no(No::AlreadySold),
                    Fate::Lives => {}
                }
                if c.until > claim.granted.extendable_until {
                    return refuse(No::UntilTooLate, claim.granted.extendable_until.0);
                }
                if c.until > claim.stands.expires_at {
                    self.claims[i].stands.expires_at = c.until;
                    self.mark(command, Some(now));
                }
                Ok(Outcome::Extended {
                    hold: Arc::new(self.claims[i].stands.clone()),
                })
            }
            Command::ReleaseHold(c) => {
                let claim = self.claim(c.hold_id, now);
                let Some(i) = claim.filter(|i| self.claims[*i].granted.holder == c.holder) else {
                    let sold = self.still_sold(c.hold_id, c.fence);
                    let ours = sold.is_some_and(|claim| claim.granted.holder == c.holder);
                    return no(if ours {
                        No::AlreadySold
                    } else {
                        No::HoldNotFound
                    });
                };
                match self.claims[i].fate {
                    Fate::Expired => return no(No::Expired),
                    _ if self.claims[i].granted.fence != c.fence => return no(No::StaleFence),
                    Fate::Sold => return no(No::AlreadySold),
                    Fate::Released | Fate::Cancelled => {}
                    Fate::Lives => {
                        self.end(i, Fate::Released, now);
                        self.mark(command, Some(now));
                    }
                }
                let seat_nos = Arc::clone(&self.claims[i].granted.seat_nos);
                Ok(Outcome::Released { seat_nos })
            }
            Command::CommitHold(c) => {
                let seat_nos = self.selection(&c.seat_nos)?;
                let done = seat_nos.iter().all(|n| {
                    let seat = &self.seats[n.0 as usize];
                    seat.state == SeatState::Sold
                        && seat.fence == c.fence
                        && seat.booking == Some(c.booking_id)
                }) && self.still_sold(c.hold_id, c.fence).is_some();
                if done {
                    return Ok(Outcome::Sold {
                        seat_nos: seat_nos.into(),
                        already: true,
                    });
                }
                if self.state == ShowState::Cancelled || self.state == ShowState::Opening {
                    return no(No::ShowNotOnSale);
                }
                let Some(i) = self.claim(c.hold_id, now) else {
                    let sold = self.still_sold(c.hold_id, c.fence).is_some();
                    return no(if sold {
                        No::AlreadySold
                    } else {
                        No::HoldNotFound
                    });
                };
                match self.claims[i].fate {
                    Fate::Expired => return no(No::Expired),
                    Fate::Released | Fate::Cancelled => return no(No::Released),
                    _ if self.claims[i].granted.fence != c.fence => return no(No::StaleFence),
                    Fate::Sold => return no(No::AlreadySold),
                    Fate::Lives if *self.claims[i].granted.seat_nos != *seat_nos => {
                        return no(No::Invalid);
                    }
                    Fate::Lives => {}
                }
                self.end(i, Fate::Sold, now);
                for n in &seat_nos {
                    self.seats[n.0 as usize].booking = Some(c.booking_id);
                }
                self.mark(command, Some(now));
                Ok(Outcome::Sold {
                    seat_nos: seat_nos.into(),
                    already: false,
                })
            }
            Command::ReturnSeats(c) => {
                let mut returned = Vec::new();
                for n in self.selection(&c.seat_nos)? {
                    let seat = &mut self.seats[n.0 as usize];
                    if (seat.state, seat.fence, seat.booking)
                        == (SeatState::Sold, c.fence, Some(c.booking_id))
                    {
                        (seat.state, seat.booking) = (SeatState::Available, None);
                        returned.push(n);
                    }
                }
                if !returned.is_empty() {
                    self.mark(command, Some(now));
                }
                let already = returned.is_empty();
                Ok(Outcome::Returned {
                    seat_nos: returned.into(),
                    already,
                })
            }
            Command::BlockSeats(c) => {
                let named = self.named(&c.seat_nos, 1_024)?;
                let is_whole = self.layout.len() == self.seats.len();
                if !is_whole || matches!(self.state, ShowState::Opening | ShowState::Cancelled) {
                    return no(No::ShowNotOnSale);
                }
                self.conflict(&named, &[SeatState::Available, SeatState::Blocked])?;
                let seat_nos = self.turn(&named, SeatState::Available, SeatState::Blocked);
                let already = seat_nos.is_empty();
                if !already {
                    self.mark(command, Some(now));
                }
                Ok(Outcome::Blocked { seat_nos, already })
            }
            Command::UnblockSeats(c) => {
                let named = self.named(&c.seat_nos, 1_024)?;
                let seat_nos = self.turn(&named, SeatState::Blocked, SeatState::Available);
                let already = seat_nos.is_empty();
                if !already {
                    self.mark(command, Some(now));
                }
                Ok(Outcome::Unblocked { seat_nos, already })
            }
            Command::Tick => unreachable!("judged before"),
        }
    }
}
