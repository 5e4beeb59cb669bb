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
    Command, Hold, HoldSeats, LayoutSeat, LoadSeats, LoadedClaim, LoadedKind, Outcome, Queue,
    Refusal, RefusalReason, Request, SeatKind, SeatRefusal, Selection, ShowRules, ShowState,
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
    /// The first of the numbers it was given in the waiting room; 0 for none.
    first_no: u64,
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
    queue: Queue,
    /// The highest fence that was loaded.
    loaded: Fence,
}

/// What an operator did.
struct Done {
    body: Command,
    not_after: ClusterTime,
    revision: Revision,
}

#[derive(Default)]
pub(crate) struct Model {
    now: ClusterTime,
    shows: BTreeMap<ShowId, Show>,
    expiry_paused: bool,
    done: Vec<Done>,
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
        Command::LoadSeats(c) => {
            c.request = blank;
            for claim in &mut c.claims {
                claim.seat_nos.sort();
            }
        }
        Command::AdvanceQueue(c) => c.request = blank,
        Command::SetConfig(c) => c.request = blank,
        Command::AdminRecord(c) => c.request = blank,
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
        let paused = self.expiry_paused;
        if *command == Command::Tick {
            let shows = self.shows.values_mut();
            let swept = shows.map(|show| show.sweep(now, paused)).sum();
            return Outcome::Ticked { swept };
        }
        let Some(show_id) = command.show_id() else {
            let outcome = self.operate(command, revision);
            return outcome.unwrap_or_else(Outcome::Refused);
        };
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
            queue: Queue::default(),
            loaded: Fence::ZERO,
        };
        let known_show = self.shows.get_mut(&show_id);
        let is_new = known_show.is_none();
        let show = known_show.unwrap_or(&mut fresh);
        let outcome = show
            .command(command, (is_new, paused), now, revision)
            .unwrap_or_else(Outcome::Refused);
        if is_new && !show.layout.is_empty() {
            self.shows.insert(show_id, fresh);
        }
        outcome
    }

    fn operate(&mut self, command: &Command, revision: Revision) -> Result<Outcome, Refusal> {
        let (now, request) = (self.now, command.request().expect("not a tick"));
        let known = self
            .done
            .iter()
            .rposition(|done| done.body.request().map(|r| r.id) == Some(request.id));
        if known.is_none() && request.not_after < now {
            return refuse(No::DeadlinePassed, now.0);
        }
        if request.not_after.0 > now.0 + 60_000 {
            return refuse(No::DeadlineTooFar, now.0 + 60_000);
        }
        if let Some(known) = known {
            let done = &mut self.done[known];
            if done.body != body(command) {
                return no(No::RequestReused);
            }
            done.not_after = done.not_after.max(request.not_after);
        }
        let is_so =
            matches!(command, Command::SetConfig(c) if c.expiry_paused == self.expiry_paused);
        if known.is_none() && !is_so {
            let (operator, text) = match command {
                Command::SetConfig(c) => (&c.operator, &c.reason),
                Command::AdminRecord(c) => (&c.operator, &c.text),
                _ => unreachable!("it names a show"),
            };
            if operator.is_empty() || operator.len() > 64 {
                return refuse(No::Invalid, 64);
            }
            if text.is_empty() || text.len() > 1_024 {
                return refuse(No::Invalid, 1_024);
            }
            if let Command::SetConfig(c) = command {
                self.expiry_paused = c.expiry_paused;
            }
            self.done.push(Done {
                body: body(command),
                not_after: request.not_after,
                revision,
            });
        }
        Ok(match command {
            Command::AdminRecord(_) => Outcome::Recorded {
                revision: known.map_or(revision, |known| self.done[known].revision),
            },
            _ => Outcome::ConfigSet {
                expiry_paused: self.expiry_paused,
                already: known.is_some() || is_so,
            },
        })
    }

    pub(crate) fn is_expiry_paused(&self) -> bool {
        self.expiry_paused
    }

    pub(crate) fn queue(&self, show_id: ShowId) -> Queue {
        self.shows
            .get(&show_id)
            .map_or(Queue::default(), |show| show.queue)
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
    fn sweep(&mut self, now: ClusterTime, paused: bool) -> u32 {
        let mut swept = 0;
        if paused {
            return 0;
        }
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
        (is_new, paused): (bool, bool),
        now: ClusterTime,
        revision: Revision,
    ) -> Result<Outcome, Refusal> {
        self.sweep(now, paused);
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
            Command::LoadSeats(c) if remembered.is_some() => {
                self.loadable(c, revision)?;
                return Ok(Outcome::Loaded {
                    claims: 0,
                    already: true,
                });
            }
            Command::AdvanceQueue(c) if remembered.is_some() => {
                let first_no = self.asked[remembered.expect("it is")].first_no;
                return Ok(Outcome::QueueAdvanced {
                    first_no,
                    joins: c.joins,
                    queue: self.queue,
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
            first_no: 0,
        });
    }

    /// The seats of each claim, if it can be meant.
    fn loadable(&self, c: &LoadSeats, revision: Revision) -> Result<Vec<Vec<SeatNo>>, Refusal> {
        let total: usize = c.claims.iter().map(|claim| claim.seat_nos.len()).sum();
        if c.claims.is_empty() || c.claims.len() > 256 {
            refuse(No::Invalid, 256)?;
        }
        if total > 1_024 {
            refuse(No::Invalid, 1_024)?;
        }
        let mut last = Fence::ZERO;
        for claim in &c.claims {
            let timed = match claim.kind {
                LoadedKind::Sale { .. } => true,
                LoadedKind::Hold {
                    left, extendable, ..
                } => left.0 > 0 && left <= extendable && extendable.0 <= 7_200_000,
            };
            if claim.fence <= last || claim.fence.lineage() >= revision.lineage() || !timed {
                no(No::Invalid)?;
            }
            last = claim.fence;
        }
        let seats = c
            .claims
            .iter()
            .map(|claim| self.selection(&claim.seat_nos))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut ids, mut named) = (vec![c.request.id.into()], seats.concat());
        ids.extend(c.claims.iter().map(|claim| claim.hold_id));
        ids.sort();
        named.sort();
        let twice = ids.windows(2).any(|pair: &[HoldId]| pair[0] == pair[1]);
        if twice || named.windows(2).any(|pair| pair[0] == pair[1]) {
            no(No::Invalid)?;
        }
        Ok(seats)
    }

    fn is_loaded(&self, loaded: &LoadedClaim, seats: &[SeatNo]) -> bool {
        let claim = self.claims.iter().find(|claim| {
            claim.granted.id == loaded.hold_id
                && claim.granted.fence == loaded.fence
                && claim.granted.holder == loaded.holder
        });
        let under = |state| {
            let is_so = |seat: &Seat| seat.state == state && seat.fence == loaded.fence;
            let so = self.seats.iter().filter(|seat| is_so(seat)).count();
            so == seats.len() && seats.iter().all(|n| is_so(&self.seats[n.0 as usize]))
        };
        let booked = |id| {
            let has = |n: &SeatNo| self.seats[n.0 as usize].booking == Some(id);
            seats.iter().all(has)
        };
        claim.is_some_and(|claim| match loaded.kind {
            LoadedKind::Hold { .. } => claim.fate == Fate::Lives && under(SeatState::Held),
            LoadedKind::Sale { booking_id } => under(SeatState::Sold) && booked(booking_id),
        })
    }

    fn load(
        &mut self,
        c: &LoadSeats,
        now: ClusterTime,
        revision: Revision,
    ) -> Result<Outcome, Refusal> {
        let seats = self.loadable(c, revision)?;
        let mut both = c.claims.iter().zip(&seats);
        if both
            .clone()
            .all(|(claim, seats)| self.is_loaded(claim, seats))
        {
            return Ok(Outcome::Loaded {
                claims: 0,
                already: true,
            });
        }
        if self.state != ShowState::Paused {
            return no(No::ShowNotOnSale);
        }
        let stale = both.any(|(claim, seats)| {
            let request = Request {
                id: claim.hold_id.into(),
                not_after: ClusterTime(0),
            };
            let newer = |n: &SeatNo| self.seats[n.0 as usize].fence >= claim.fence;
            self.remembered(&request, now).is_some() || seats.iter().any(newer)
        });
        if c.claims[0].fence <= self.loaded || stale {
            return no(No::StaleFence);
        }
        self.conflict(&seats.concat(), &[SeatState::Available])?;
        for (claim, seats) in c.claims.iter().zip(seats) {
            let (state, booking, fate) = match claim.kind {
                LoadedKind::Hold { .. } => (SeatState::Held, None, Fate::Lives),
                LoadedKind::Sale { booking_id } => (SeatState::Sold, Some(booking_id), Fate::Sold),
            };
            for n in &seats {
                self.seats[n.0 as usize] = Seat {
                    state,
                    fence: claim.fence,
                    booking,
                };
            }
            let (left, extendable, price_version) = match claim.kind {
                LoadedKind::Hold {
                    left,
                    extendable,
                    price_version,
                } => (left, extendable, price_version),
                LoadedKind::Sale { .. } => (DurationMs(0), DurationMs(0), 0),
            };
            if fate == Fate::Lives {
                // A request of its own, under the hold's id.
                let mut alone = c.clone();
                alone.request.id = claim.hold_id.into();
                alone.claims = vec![claim.clone()];
                self.mark(&Command::LoadSeats(alone), None);
                let asked = self.asked.last_mut().expect("just made");
                asked.not_after = c.request.not_after;
            }
            let granted = Hold {
                id: claim.hold_id,
                holder: claim.holder,
                fence: claim.fence,
                seat_nos: seats.into(),
                granted_at: now,
                expires_at: now.plus(left),
                extendable_until: now.plus(extendable),
                price_version,
            };
            self.claims.push(Claim {
                stands: granted.clone(),
                granted,
                fate,
            });
            self.loaded = claim.fence;
        }
        self.mark(&Command::LoadSeats(c.clone()), Some(now));
        let asked = self.asked.last_mut().expect("just made");
        asked.not_after = c.request.not_after;
        Ok(Outcome::Loaded {
            claims: c.claims.len() as u32,
            already: false,
        })
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
        let known = match asked {
            Some(Command::HoldSeats(_)) => true,
            // A load is remembered under its own id too, which is no hold's.
            Some(Command::LoadSeats(c)) => c.claims.iter().any(|claim| claim.hold_id == id),
            _ => false,
        };
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
            Command::LoadSeats(c) => self.load(c, now, revision),
            Command::AdvanceQueue(c) => {
                if c.joins > 100_000 {
                    return refuse(No::Invalid, 100_000);
                }
                if !matches!(self.state, ShowState::OnSale | ShowState::Paused) {
                    return no(No::ShowNotOnSale);
                }
                let first_no = if c.joins == 0 {
                    0
                } else {
                    self.queue.joined + 1
                };
                if c.joins > 0 || c.serving > self.queue.serving {
                    self.queue.joined += u64::from(c.joins);
                    self.queue.serving = self.queue.serving.max(c.serving);
                    self.mark(command, Some(now));
                    self.asked.last_mut().expect("just made").first_no = first_no;
                }
                Ok(Outcome::QueueAdvanced {
                    first_no,
                    joins: c.joins,
                    queue: self.queue,
                })
            }
            Command::SetConfig(_) | Command::AdminRecord(_) | Command::Tick => {
                unreachable!("judged before")
            }
        }
    }
}
