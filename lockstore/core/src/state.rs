//! The whole state, and the one way to change it.
//!
//! Always holds: `clone` shares everything and costs the same whatever the size, so a clone is a
//! snapshot; a command touches its own show, and a tick those that are due.

use std::{ops::Bound, sync::Arc};

use holdfast_types::{ClusterTime, HoldId, Lineage, Revision, SeatNo, SeatState, ShowId, UserId};
use imbl::{OrdMap, OrdSet};

use crate::{
    Act, ActKind, Command, Event, Hold, HoldEnd, Outcome, Queue, Refusal, RefusalReason, ShowRules,
    ShowState, StateHash,
    acts::{self, Acts},
    allowance::Allowance,
    body_hash,
    judge::{self, Case},
    limits::{FORGET_PER_COMMAND_LEAST, SHOWS_MAX},
    record_hash,
    show::{CANCELLED_DUE, Show},
};

/// After every show in the order of ids.
const LAST_SHOW: ShowId = ShowId::from_bytes([u8::MAX; 16]);

/// All shows at one revision.
#[derive(Debug, Clone)]
pub struct State {
    lineage: Lineage,
    now: ClusterTime,
    revision: Revision,
    shows: OrdMap<ShowId, Arc<Show>>,
    /// When each show that has holds to end has them; follows from the shows.
    sweep_due: OrdSet<(ClusterTime, ShowId)>,
    /// When each show that has requests to forget needs a tick for it; follows from the shows.
    forget_due: OrdSet<(ClusterTime, ShowId)>,
    /// Over all records of all shows.
    shows_hash: StateHash,
    /// No hold ends by time.
    expiry_paused: bool,
    acts: Acts,
    /// Which behaviour commands have; whoever drives it says so.
    behaviour: u32,
    allowance: Allowance,
}

impl State {
    /// The empty state with which a life of the cluster begins.
    pub fn new(lineage: Lineage) -> Self {
        Self::at(lineage, ClusterTime(0), Revision::new(lineage, 0, 0))
    }

    pub(crate) fn at(lineage: Lineage, now: ClusterTime, revision: Revision) -> Self {
        Self {
            lineage,
            now,
            revision,
            shows: OrdMap::new(),
            sweep_due: OrdSet::new(),
            forget_due: OrdSet::new(),
            shows_hash: StateHash::default(),
            expiry_paused: false,
            acts: Acts::default(),
            behaviour: 0,
            allowance: Allowance::default(),
        }
    }

    /// From here on commands do what `behaviour` says (see `CommandBatch` of the log); before the
    /// first call what the first release's did. It is said between two entries, and again after a
    /// restore: no record has it.
    pub const fn follow(&mut self, behaviour: u32) {
        self.behaviour = behaviour;
    }

    /// Applies one command of the log. `stamp` is its entry's time, which counts only if it is
    /// later than all before; `revision` is its place in the log, one position after another for
    /// the commands of an entry.
    ///
    /// # Panics
    /// If `revision` is not after the last one, or of another lineage: the log was applied twice
    /// or belongs to another cluster.
    pub fn apply(
        &mut self,
        command: &Command,
        stamp: ClusterTime,
        revision: Revision,
    ) -> (Outcome, Vec<Event>) {
        assert!(
            revision > self.revision,
            "{revision:?} applied after {:?}",
            self.revision
        );
        assert_eq!(revision.lineage(), self.lineage, "a log of another lineage");
        self.now = self.now.max(stamp);
        self.revision = revision;
        let mut allowance = self.allowance.of_next(self.behaviour, revision.index());

        let mut events = Vec::new();
        let (Some(request), Some(body)) = (command.request(), body_hash(command)) else {
            let swept = self.tick(&mut allowance, &mut events);
            self.allowance = allowance;
            return (Outcome::Ticked { swept }, events);
        };
        let case = Case {
            now: self.now,
            revision,
            request: *request,
            body,
            events: &mut events,
            behaviour: self.behaviour,
            allowance: &mut allowance,
        };
        let outcome = match command.show_id() {
            Some(show_id) => self.apply_to_show(command, show_id, case),
            None => self.apply_to_store(command, &case),
        };
        self.allowance = allowance;
        (outcome, events)
    }

    /// What operators set and note.
    fn apply_to_store(&mut self, command: &Command, case: &Case<'_>) -> Outcome {
        match self.judge_act(command, case) {
            Ok(outcome) => outcome,
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn judge_act(&mut self, command: &Command, case: &Case<'_>) -> Result<Outcome, Refusal> {
        let known = self.acts.of_request(case.request.id);
        let known = known.map(|(revision, act)| (revision, act.body));
        judge::deadline(&case.request, case.now, known.is_some())?;
        if let Some((revision, body)) = known {
            if body != case.body {
                return Err(RefusalReason::RequestReused.into());
            }
            self.acts.keep_longer(revision, &case.request);
        }
        let (operator, text, kind) = match command {
            Command::SetConfig(c) if c.expiry_paused => {
                (&c.operator, &c.reason, ActKind::ExpiryPaused)
            }
            Command::SetConfig(c) => (&c.operator, &c.reason, ActKind::ExpiryResumed),
            Command::AdminRecord(c) => (&c.operator, &c.text, ActKind::Note),
            _ => unreachable!("it names a show, or is a tick"),
        };
        let is_so = match kind {
            ActKind::Note => false,
            ActKind::ExpiryPaused => self.expiry_paused,
            ActKind::ExpiryResumed => !self.expiry_paused,
        };
        if known.is_none() && !is_so {
            acts::check_text(operator, text)?;
            self.acts.check_room(case.now)?;
            let act = Act {
                id: case.request.id,
                body: case.body,
                not_after: case.request.not_after,
                at: case.now,
                operator: operator.as_str().into(),
                text: text.as_str().into(),
                kind,
            };
            self.insert_act(case.revision, Arc::new(act));
        }
        Ok(match (command, known) {
            (Command::AdminRecord(_), Some((revision, _))) => Outcome::Recorded { revision },
            (Command::AdminRecord(_), None) => Outcome::Recorded {
                revision: case.revision,
            },
            (_, known) => Outcome::ConfigSet {
                expiry_paused: self.expiry_paused,
                already: known.is_some() || is_so,
            },
        })
    }

    /// An act takes effect, and is kept.
    fn insert_act(&mut self, revision: Revision, act: Arc<Act>) {
        match act.kind {
            ActKind::Note => {}
            ActKind::ExpiryPaused => self.expiry_paused = true,
            ActKind::ExpiryResumed => self.expiry_paused = false,
        }
        self.acts.insert(revision, act);
    }

    /// Puts an act back that a snapshot has; what it set is in the meta record.
    pub(crate) fn restore_act(&mut self, revision: Revision, act: Arc<Act>) {
        self.acts.insert(revision, act);
    }

    pub(crate) const fn set_expiry_paused(&mut self, paused: bool) {
        self.expiry_paused = paused;
    }

    pub(crate) const fn acts(&self) -> &Acts {
        &self.acts
    }

    fn apply_to_show(&mut self, command: &Command, show_id: ShowId, mut case: Case<'_>) -> Outcome {
        let Some(show) = self.shows.get_mut(&show_id) else {
            return self.apply_to_no_show(command, case, SHOWS_MAX);
        };
        let show = Arc::make_mut(show);
        let before = Standing::of(show);
        if !self.expiry_paused || show.is_cancelled() {
            let swept = sweep(show, case.now, case.allowance.sweeps(), case.events);
            case.allowance.swept(swept);
            if case.allowance.is_by_entry()
                && let Some(hold_id) = command.hold_id()
                && let Some(hold) = show.sweep_hold(hold_id, case.now)
            {
                let ended = Event::hold_ended(show_id, &hold, HoldEnd::Expired);
                case.events.push(ended);
            }
        }
        let forgets = case.allowance.forgets().max(FORGET_PER_COMMAND_LEAST);
        let forgotten = show.forget_finished(case.now, forgets);
        case.allowance.forgot(forgotten);
        let outcome = judge::command(show, command, &mut case);
        let after = Standing::of(show);
        self.account(show_id, before, after);
        outcome
    }

    /// Only a first chunk has something to do with a show that isn't there, and only while there
    /// are fewer than `shows_max`.
    fn apply_to_no_show(
        &mut self,
        command: &Command,
        mut case: Case<'_>,
        shows_max: usize,
    ) -> Outcome {
        if let Err(refusal) = judge::deadline(&case.request, case.now, false) {
            return Outcome::Refused(refusal);
        }
        let Command::OpenShow(open) = command else {
            return Outcome::Refused(RefusalReason::ShowNotFound.into());
        };
        let mut show = match judge::new_show(open) {
            Ok(show) => show,
            Err(refusal) => return Outcome::Refused(refusal),
        };
        let outcome = judge::command(&mut show, command, &mut case);
        if matches!(outcome, Outcome::Refused(_)) {
            return outcome;
        }
        if self.shows.len() >= shows_max {
            // The show that was made goes, and so does what was said of it.
            case.events.clear();
            let limit = shows_max as u64;
            return Outcome::Refused(Refusal::with_limit(RefusalReason::TooManyRequests, limit));
        }
        self.insert_show(show);
        outcome
    }

    pub(crate) fn insert_show(&mut self, show: Show) {
        self.account(show.id(), Standing::default(), Standing::of(&show));
        self.shows.insert(show.id(), Arc::new(show));
    }

    /// Keeps what follows from a show that changed.
    fn account(&mut self, show_id: ShowId, before: Standing, after: Standing) {
        self.shows_hash.subtract(before.hash.0);
        self.shows_hash.add(after.hash.0);
        let moved = |due: &mut OrdSet<(ClusterTime, ShowId)>, before, after| {
            if before == after {
                return;
            }
            if let Some(at) = before {
                due.remove(&(at, show_id));
            }
            if let Some(at) = after {
                due.insert((at, show_id));
            }
        };
        moved(&mut self.sweep_due, before.sweep_due, after.sweep_due);
        moved(&mut self.forget_due, before.forget_due, after.forget_due);
    }

    /// The show whose overdue hold has waited longest. Cancelled shows come last: to callers their
    /// holds have ended already, and there may be enough of them to make others late.
    /// While expiry is paused no others are swept.
    fn next_to_sweep(&self) -> Option<(ClusterTime, ShowId)> {
        if self.expiry_paused {
            let first = self.sweep_due.get_min();
            return first.filter(|(at, _)| *at == CANCELLED_DUE).copied();
        }
        let timed = (
            Bound::Excluded((CANCELLED_DUE, LAST_SHOW)),
            Bound::Unbounded,
        );
        let timed = self.sweep_due.range(timed).next();
        timed
            .filter(|(at, _)| *at <= self.now)
            .or_else(|| self.sweep_due.get_min().filter(|(at, _)| *at <= self.now))
            .copied()
    }

    fn next_to_forget(&self) -> Option<(ClusterTime, ShowId)> {
        let first = self.forget_due.get_min();
        first.filter(|(at, _)| *at <= self.now).copied()
    }

    /// Sweeps the shows that are due, longest due first, and then forgets, until what is allowed is
    /// used up. Each turn ends a hold or forgets a request, so there are few.
    fn tick(&mut self, allowance: &mut Allowance, events: &mut Vec<Event>) -> u32 {
        if !allowance.is_by_entry() {
            return self.tick_by_command(allowance, events);
        }
        allowance.tick();
        let mut swept_in_all = 0;
        while allowance.sweeps() > 0
            && let Some((_, show_id)) = self.next_to_sweep()
        {
            let now = self.now;
            let swept = self.change(show_id, |show| sweep(show, now, allowance.sweeps(), events));
            assert!(swept > 0, "show {show_id} has no hold to end");
            allowance.swept(swept);
            swept_in_all += swept;
        }
        while allowance.forgets() > 0
            && let Some((_, show_id)) = self.next_to_forget()
        {
            let now = self.now;
            let forgotten = self.change(show_id, |show| {
                show.forget_finished(now, allowance.forgets())
            });
            assert!(forgotten > 0, "show {show_id} has nothing to forget");
            allowance.forgot(forgotten);
        }
        u32::try_from(swept_in_all).expect("the bound is a few thousand")
    }

    /// As before behaviour 2: shows that are due for either, each swept and made forget, until either
    /// is used up.
    fn tick_by_command(&mut self, allowance: &mut Allowance, events: &mut Vec<Event>) -> u32 {
        let mut swept_in_all = 0;
        while allowance.sweeps() > 0
            && allowance.forgets() > 0
            && let Some((_, show_id)) = self.next_of_both()
        {
            let (now, paused) = (self.now, self.expiry_paused);
            let (swept, forgotten) = self.change(show_id, |show| {
                let stays = paused && !show.is_cancelled();
                let sweeps = if stays { 0 } else { allowance.sweeps() };
                let swept = sweep(show, now, sweeps, events);
                (swept, show.forget_finished(now, allowance.forgets()))
            });
            assert!(swept + forgotten > 0, "show {show_id} is due for nothing");
            allowance.swept(swept);
            allowance.forgot(forgotten);
            swept_in_all += swept;
        }
        u32::try_from(swept_in_all).expect("the bound is a few thousand")
    }

    /// The show that is longest due for anything.
    fn next_of_both(&self) -> Option<(ClusterTime, ShowId)> {
        match (self.next_to_sweep(), self.next_to_forget()) {
            (Some(sweep), Some(forget)) if sweep.0 != CANCELLED_DUE => Some(sweep.min(forget)),
            (sweep, forget) => forget.or(sweep),
        }
    }

    /// Changes a known show.
    fn change<T>(&mut self, show_id: ShowId, change: impl FnOnce(&mut Show) -> T) -> T {
        let show = self
            .shows
            .get_mut(&show_id)
            .expect("only a known show is due");
        let show = Arc::make_mut(show);
        let before = Standing::of(show);
        let result = change(show);
        let after = Standing::of(show);
        self.account(show_id, before, after);
        result
    }
}

/// What a state keeps of each of its shows.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    hash: StateHash,
    sweep_due: Option<ClusterTime>,
    forget_due: Option<ClusterTime>,
}

impl Standing {
    fn of(show: &Show) -> Self {
        Self {
            hash: show.hash(),
            sweep_due: show.sweep_due(),
            forget_due: show.forget_due(),
        }
    }
}

/// Reading.
impl State {
    /// Which life of the cluster this is.
    pub const fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Cluster time.
    pub const fn now(&self) -> ClusterTime {
        self.now
    }

    /// The revision of the last command.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// When a tick has something to do, unless other commands do it before: the earliest end of a
    /// hold anywhere, padding included, or the time to forget requests. It may be past, and is
    /// while a cancelled show's holds are being put away.
    pub fn next_due(&self) -> Option<ClusterTime> {
        let (sweep, forget) = (self.sweep_due.get_min(), self.forget_due.get_min());
        let swept = |(at, _): &&(ClusterTime, ShowId)| !self.expiry_paused || *at == CANCELLED_DUE;
        let first = [sweep.filter(swept), forget];
        first.into_iter().flatten().map(|(at, _)| *at).min()
    }

    /// Whether no hold ends by time, until an operator says otherwise.
    pub const fn is_expiry_paused(&self) -> bool {
        self.expiry_paused
    }

    /// What operators set and did, newest first, of those before `before` if one is named.
    pub fn operator_acts(
        &self,
        before: Option<Revision>,
    ) -> impl Iterator<Item = (Revision, &Arc<Act>)> {
        let end = before.map_or(Bound::Unbounded, Bound::Excluded);
        let acts = self.acts.kept().range((Bound::Unbounded, end)).rev();
        acts.map(|(revision, act)| (*revision, act))
    }

    /// How many shows there are.
    pub fn show_count(&self) -> usize {
        self.shows.len()
    }

    /// A show.
    pub fn show(&self, id: ShowId) -> Option<ShowView<'_>> {
        self.shows.get(&id).map(|show| ShowView { show })
    }

    /// Every show, in the order of ids.
    pub fn shows(&self) -> impl Iterator<Item = ShowView<'_>> {
        self.shows.values().map(|show| ShowView { show })
    }

    /// The first show after `id` in the order of ids; the first of all after none.
    pub fn show_after(&self, id: Option<ShowId>) -> Option<ShowView<'_>> {
        let start = id.map_or(Bound::Unbounded, Bound::Excluded);
        let (_, show) = self.shows.range((start, Bound::Unbounded)).next()?;
        Some(ShowView { show })
    }

    /// A live hold of this holder.
    ///
    /// # Errors
    /// `ShowNotFound`; `HoldNotFound`, also for another's; or how it ended while that is
    /// remembered: `Expired`, `Released` (or called off), `AlreadySold`.
    pub fn hold(
        &self,
        show_id: ShowId,
        hold_id: HoldId,
        holder: UserId,
    ) -> Result<Arc<Hold>, Refusal> {
        let show = self
            .shows
            .get(&show_id)
            .ok_or(RefusalReason::ShowNotFound)?;
        let (hold, end) = show
            .known_hold(hold_id)
            .filter(|(hold, _)| hold.holder == holder)
            .ok_or(RefusalReason::HoldNotFound)?;
        match end {
            None => Ok(Arc::new(hold.hold())),
            Some(HoldEnd::Expired) => Err(RefusalReason::Expired.into()),
            Some(HoldEnd::Released | HoldEnd::Cancelled) => Err(RefusalReason::Released.into()),
            Some(HoldEnd::Sold) => Err(RefusalReason::AlreadySold.into()),
        }
    }

    /// The hash of everything that can make two states answer differently (HS-5); kept up to
    /// date, so it costs nothing to ask.
    pub fn hash(&self) -> StateHash {
        let mut hash = self.shows_hash;
        self.add_own_hash(&mut hash, self.acts.hash());
        hash
    }

    fn add_own_hash(&self, hash: &mut StateHash, acts: StateHash) {
        hash.add(record_hash::meta(self.lineage, self.now, self.revision));
        if self.expiry_paused {
            hash.add(record_hash::expiry_paused());
        }
        hash.add(acts.0);
    }

    /// The same from scratch; reads the whole state.
    pub fn recompute_hash(&self) -> StateHash {
        let mut hash = StateHash::default();
        self.add_own_hash(&mut hash, self.acts.recompute_hash());
        for show in self.shows.values() {
            hash.add(show.recompute_hash().0);
        }
        hash
    }

    pub(crate) const fn all_shows(&self) -> &OrdMap<ShowId, Arc<Show>> {
        &self.shows
    }

    pub(crate) const fn all_sweep_due(&self) -> &OrdSet<(ClusterTime, ShowId)> {
        &self.sweep_due
    }

    pub(crate) const fn all_forget_due(&self) -> &OrdSet<(ClusterTime, ShowId)> {
        &self.forget_due
    }
}

/// A show as callers may see it.
#[derive(Debug, Clone, Copy)]
pub struct ShowView<'a> {
    show: &'a Show,
}

impl<'a> ShowView<'a> {
    /// Which.
    pub const fn id(&self) -> ShowId {
        self.show.id()
    }

    /// Its state.
    pub const fn state(&self) -> ShowState {
        self.show.phase().as_state()
    }

    /// Its rules.
    pub const fn rules(&self) -> ShowRules {
        *self.show.rules()
    }

    /// Seats of the whole show.
    pub const fn seat_count(&self) -> u32 {
        self.show.seat_count()
    }

    /// Seats of the layout that have arrived.
    pub fn seats_known(&self) -> u32 {
        self.show.seats_known()
    }

    /// Its waiting room.
    pub const fn queue(&self) -> Queue {
        self.show.queue()
    }

    /// Live holds.
    pub fn hold_count(&self) -> usize {
        if self.show.is_cancelled() {
            0
        } else {
            self.show.live_count()
        }
    }

    /// Remembered requests, of [`REQUESTS_PER_SHOW_MAX`](crate::limits::REQUESTS_PER_SHOW_MAX).
    pub fn request_count(&self) -> usize {
        self.show.request_count()
    }

    /// What each seat is, in seat order, all of them.
    pub fn seat_states(&self) -> impl Iterator<Item = SeatState> + use<'a> {
        let cancelled = self.show.is_cancelled();
        let as_seen = move |state| match state {
            SeatState::Held if cancelled => SeatState::Available,
            state => state,
        };
        let mut touched = self.show.touched_seats().iter().peekable();
        (0..self.show.seat_count()).map(move |seat_no| {
            touched
                .next_if(|(touched_no, _)| *touched_no == SeatNo(seat_no))
                .map_or(SeatState::Available, |(_, seat)| as_seen(seat.state))
        })
    }
}

/// Time passes in one show: overdue holds end, or all of a cancelled one's. Says how many.
pub(crate) fn sweep(
    show: &mut Show,
    now: ClusterTime,
    limit: usize,
    events: &mut Vec<Event>,
) -> usize {
    let (end, ended) = show.sweep(now, limit);
    events.extend(
        ended
            .iter()
            .map(|hold| Event::hold_ended(show.id(), hold, end)),
    );
    ended.len()
}

#[cfg(test)]
mod tests {
    use holdfast_types::DurationMs;

    use super::*;
    use crate::{LayoutSeat, OpenShow, Request, RequestId};

    #[test]
    fn new_show_beyond_the_limit_is_refused_and_known_ones_go_on() {
        let mut state = State::new(Lineage(1));
        let open = |n: u8| {
            Command::OpenShow(OpenShow {
                request: Request {
                    id: RequestId([n; 16]),
                    not_after: ClusterTime(1),
                },
                show_id: ShowId::from_bytes([n; 16]),
                seat_count: 1,
                rules: ShowRules {
                    hold_ttl: DurationMs(1_000),
                    hold_total_max: DurationMs(1_000),
                    seats_per_customer_max: 1,
                    no_lone_seat: false,
                },
                first_seat_no: SeatNo(0),
                seats: vec![LayoutSeat::default()],
                on_sale: true,
            })
        };
        let mut ask = |command: &Command| {
            let mut events = Vec::new();
            let case = Case {
                now: ClusterTime(0),
                revision: Revision::new(Lineage(1), 1, 0),
                request: *command.request().expect("it is one"),
                body: body_hash(command).expect("it has one"),
                events: &mut events,
                behaviour: 2,
                allowance: &mut Allowance::default(),
            };
            let outcome = state.apply_to_no_show(command, case, 2);
            (outcome, events.len(), state.show_count())
        };
        for n in 1..=2 {
            let (outcome, events, shows) = ask(&open(n));
            assert!(matches!(outcome, Outcome::ShowOpened { .. }));
            assert_eq!((events, shows), (1, usize::from(n)));
        }
        let refusal = Refusal::with_limit(RefusalReason::TooManyRequests, 2);
        assert_eq!(ask(&open(3)), (Outcome::Refused(refusal), 0, 2));
        // A bad request is told so first.
        let Command::OpenShow(mut bad) = open(3) else {
            panic!("open makes this command")
        };
        bad.seats[0].row_no = 7;
        let refusal = Refusal::new(RefusalReason::Invalid);
        assert_eq!(
            ask(&Command::OpenShow(bad)),
            (Outcome::Refused(refusal), 0, 2)
        );
        let (outcome, _) = state.apply(&open(1), ClusterTime(0), Revision::new(Lineage(1), 2, 0));
        assert!(matches!(outcome, Outcome::ShowOpened { .. }));
    }
}
