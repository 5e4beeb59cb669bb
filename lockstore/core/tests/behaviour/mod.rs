//! How the store behaves, as scenarios that hold for whatever answers: the state machine itself
//! (`core`), a node, or a client over a whole cluster (`lockstore-node`'s tests include this
//! folder).
//!
//! A [`Scenario`] is a list of commands, each with the answer it has to get, in words. Whatever is
//! true of every answer is checked at every answer: what a hold is promised, that fences grow, that
//! a copy is answered as the first was, that nothing expires early.

mod choosing;
pub(crate) mod halls;
mod holding;
mod loading;
mod managing;
mod precedence;
mod selling;
mod step;
mod waiting;

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

use holdfast_types::{ClusterTime, DurationMs, Fence, HoldId, SeatNo, SeatState, ShowId, UserId};
use lockstore_core::{
    Command, Hold, HoldSeats, LayoutSeat, LoadedClaim, LoadedKind, OpenShow, Outcome, Refusal,
    RefusalReason, Request, RequestId, ShowRules, ShowState,
};

use step::Ask;
pub(crate) use step::Step;

/// How far ahead a request's deadline lies, unless its step says otherwise: a busy machine answers
/// by then, and the store accepts it.
const DEADLINE_MS: i64 = 50_000;

/// Whatever answers.
pub(crate) trait Store {
    /// Whether the caller names every request and its deadline. Otherwise only holds are named, and
    /// scenarios that need more are left out.
    const NAMES_REQUESTS: bool;

    async fn ask(&mut self, command: Command) -> Outcome;
    async fn now(&mut self) -> ClusterTime;
    /// Returns when the store's time is no less than this.
    async fn pass(&mut self, time: ClusterTime);
    async fn show(&mut self, show_id: ShowId) -> Option<(ShowState, Vec<SeatState>)>;
    async fn hold(
        &mut self,
        show_id: ShowId,
        hold_id: HoldId,
        holder: UserId,
    ) -> Result<Arc<Hold>, Refusal>;
}

/// Steps in a show of their own.
pub(crate) struct Scenario {
    pub(crate) name: String,
    rules: ShowRules,
    /// Of the show, which is on sale with them; with none it isn't there yet.
    seats: Vec<LayoutSeat>,
    steps: Vec<Step>,
}

impl Scenario {
    /// In a show of twenty seats, as [`halls::rows`] has them.
    fn plain(name: &str, steps: impl Into<Vec<Step>>) -> Self {
        Self::of(name, halls::rules(), halls::rows(0, 20), steps)
    }

    /// In [`halls::hall`], with a cap that isn't met.
    fn hall(name: &str, no_lone_seat: bool, steps: impl Into<Vec<Step>>) -> Self {
        let rules = ShowRules {
            no_lone_seat,
            seats_per_customer_max: 50,
            ..halls::rules()
        };
        Self::of(name, rules, halls::hall(), steps)
    }

    fn of(
        name: &str,
        rules: ShowRules,
        seats: Vec<LayoutSeat>,
        steps: impl Into<Vec<Step>>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            rules,
            seats,
            steps: steps.into(),
        }
    }

    /// Whether such a store can be asked all of it.
    pub(crate) fn is_for<S: Store>(&self) -> bool {
        S::NAMES_REQUESTS || !self.steps.iter().any(Step::names_its_request)
    }

    /// # Panics
    /// Says at which step which other answer came.
    pub(crate) async fn run(&self, store: &mut impl Store, show_id: ShowId) {
        let mut run = Run {
            show_id,
            rules: self.rules,
            requests: 0,
            holds: BTreeMap::new(),
            fence: Fence::ZERO,
            at: String::new(),
        };
        if let Ok(seat_count) = u32::try_from(self.seats.len())
            && seat_count > 0
        {
            let open = step::open(0, self.seats.clone(), seat_count, self.rules);
            let said = run.step(store, &open).await;
            let expected = format!("opened OnSale {seat_count}");
            assert_eq!(said, expected, "{}: its show is opened", self.name);
        }
        for (n, step) in self.steps.iter().enumerate() {
            run.at = format!("{}, step {}", self.name, n + 1);
            let mut said = run.step(store, step).await;
            if step.is_reason_enough {
                said.truncate(said.find(' ').unwrap_or(said.len()));
            }
            let ask: String = format!("{:?}", step.ask).chars().take(400).collect();
            assert_eq!(said, step.expected, "{}: {ask}", run.at);
        }
    }
}

/// Every scenario.
pub(crate) fn all() -> Vec<Scenario> {
    let groups = [
        holding::all(),
        selling::all(),
        choosing::all(),
        managing::all(),
        loading::all(),
        waiting::all(),
        precedence::all(),
    ];
    groups.into_iter().flatten().collect()
}

struct Run {
    show_id: ShowId,
    /// As they are now.
    rules: ShowRules,
    requests: u128,
    /// As they were granted.
    holds: BTreeMap<char, Arc<Hold>>,
    /// The newest.
    fence: Fence,
    /// Which scenario and step.
    at: String,
}

impl Run {
    /// What the store says.
    async fn step(&mut self, store: &mut impl Store, step: &Step) -> String {
        match &step.ask {
            Ask::Pass(ms) => {
                let until = store.now().await.plus(DurationMs(*ms));
                store.pass(until).await;
                String::new()
            }
            Ask::Look => match store.show(self.show_id).await {
                None => "no show".to_owned(),
                Some((_, seats)) => seats.into_iter().map(letter).collect(),
            },
            Ask::Get(holder) => {
                let hold_id = step::hold_id(step.hold.expect("it is of a hold"));
                match store.hold(self.show_id, hold_id, *holder).await {
                    Ok(hold) => format!("live{}", numbers(&hold.seat_nos)),
                    Err(refusal) => self.refused(step, &refusal),
                }
            }
            Ask::Command(template) => {
                let command = self.filled_in(store, step, template).await;
                let outcome = store.ask(command.clone()).await;
                self.check(store, step, &command, &outcome).await;
                self.words(step, &outcome)
            }
        }
    }

    /// The command with what is known now.
    async fn filled_in(
        &mut self,
        store: &mut impl Store,
        step: &Step,
        template: &Command,
    ) -> Command {
        let mut command = template.clone();
        self.requests += 1;
        let id = match step.request {
            Some(name) => step::hold_id(name).into(),
            None => RequestId((self.requests << 32).to_be_bytes()),
        };
        let ahead = step.not_after.unwrap_or(DEADLINE_MS);
        let not_after = store.now().await.0.saturating_add_signed(ahead);
        let hold = step.hold.and_then(|name| self.holds.get(&name));
        let fence = match hold {
            Some(hold) if step.is_stale => Fence::new(hold.fence.lineage(), 1, 0),
            Some(hold) => hold.fence,
            None => Fence::ZERO,
        };
        let (request, show_id) = step::names(&mut command);
        *show_id = self.show_id;
        *request = Request {
            id,
            not_after: ClusterTime(not_after),
        };
        let own_seats = || hold.map_or(vec![SeatNo(1)], |hold| hold.seat_nos.to_vec());
        match &mut command {
            Command::ExtendHold(extend) => {
                extend.fence = fence;
                let granted_at = hold.map_or(ClusterTime(0), |hold| hold.granted_at);
                extend.until = granted_at.plus(DurationMs(extend.until.0));
            }
            Command::ReleaseHold(release) => release.fence = fence,
            Command::CommitHold(commit) => {
                commit.fence = fence;
                if commit.seat_nos.is_empty() {
                    commit.seat_nos = own_seats();
                }
            }
            Command::ReturnSeats(give_back) => give_back.fence = fence,
            _ => {}
        }
        command
    }

    /// What is true of every answer.
    async fn check(
        &mut self,
        store: &mut impl Store,
        step: &Step,
        command: &Command,
        outcome: &Outcome,
    ) {
        match (command, outcome) {
            (Command::HoldSeats(asked), Outcome::Held { hold, replayed }) => {
                let name = step.request.expect("a hold has a name");
                if *replayed {
                    let first = &self.holds[&name];
                    assert_eq!(
                        facts(hold),
                        facts(first),
                        "{}: a copy has another answer",
                        self.at
                    );
                } else {
                    self.check_promise(asked, hold);
                    self.fence = hold.fence;
                    self.holds.insert(name, Arc::clone(hold));
                }
            }
            (Command::OpenShow(OpenShow { rules, .. }), Outcome::ShowOpened { .. }) => {
                self.rules = *rules;
            }
            (Command::ChangeShow(change), Outcome::ShowChanged { .. }) => {
                self.rules = change.rules.unwrap_or(self.rules);
            }
            (Command::LoadSeats(load), Outcome::Loaded { already: false, .. }) => {
                for claim in &load.claims {
                    let hold = self.loaded(store, claim).await;
                    let name = char::from(claim.hold_id.to_bytes()[0]);
                    self.holds.insert(name, hold);
                }
            }
            (_, Outcome::Refused(refusal)) if refusal.reason == RefusalReason::Expired => {
                let hold = step.hold.and_then(|name| self.holds.get(&name));
                let end = hold.expect("it was held").expires_at;
                assert!(store.now().await >= end, "{}: it ended early", self.at);
            }
            _ => {}
        }
    }

    /// A hold as it lives on; of a sale, or of one that is over by now, what names it.
    async fn loaded(&self, store: &mut impl Store, claim: &LoadedClaim) -> Arc<Hold> {
        let found = store.hold(self.show_id, claim.hold_id, claim.holder).await;
        let hold = match found {
            Ok(hold) => hold,
            Err(refusal) => {
                let expected = match claim.kind {
                    LoadedKind::Hold { .. } => RefusalReason::Expired,
                    LoadedKind::Sale { .. } => RefusalReason::HoldNotFound,
                };
                assert_eq!(refusal.reason, expected, "{}", self.at);
                return Arc::new(Hold {
                    id: claim.hold_id,
                    holder: claim.holder,
                    fence: claim.fence,
                    seat_nos: claim.seat_nos.clone().into(),
                    granted_at: ClusterTime(0),
                    expires_at: ClusterTime(0),
                    extendable_until: ClusterTime(0),
                    price_version: 0,
                });
            }
        };
        let LoadedKind::Hold {
            left, extendable, ..
        } = claim.kind
        else {
            panic!("{}: a sale is no live hold", self.at)
        };
        let promised = Hold {
            fence: claim.fence,
            expires_at: hold.granted_at.plus(left),
            extendable_until: hold.granted_at.plus(extendable),
            ..(*hold).clone()
        };
        assert_eq!(*hold, promised, "{}", self.at);
        hold
    }

    fn check_promise(&self, asked: &HoldSeats, hold: &Hold) {
        let ttl = if asked.ttl.0 == 0 {
            self.rules.hold_ttl
        } else {
            asked.ttl
        };
        let promised = Hold {
            id: HoldId::from(asked.request.id),
            expires_at: hold.granted_at.plus(ttl),
            extendable_until: hold.granted_at.plus(self.rules.hold_total_max),
            price_version: asked.price_version,
            ..hold.clone()
        };
        assert_eq!(*hold, promised, "{}", self.at);
        assert!(hold.fence > self.fence, "{}: fences grow", self.at);
    }

    /// The answer, in words. Times are from the grant of the hold it is about.
    fn words(&self, step: &Step, outcome: &Outcome) -> String {
        let mark = |is: bool, word: &str| {
            if is {
                format!(" {word}")
            } else {
                String::new()
            }
        };
        let some = |what: &str, seat_nos: &[SeatNo], already: bool| {
            format!("{what}{}{}", numbers(seat_nos), mark(already, "already"))
        };
        match outcome {
            Outcome::ShowOpened { state, seats_known } => format!("opened {state:?} {seats_known}"),
            Outcome::ShowChanged { state } => format!("changed {state:?}"),
            Outcome::Held { hold, replayed } => {
                format!(
                    "held{}{}",
                    numbers(&hold.seat_nos),
                    mark(*replayed, "again")
                )
            }
            Outcome::Extended { hold } => {
                format!("extended to {}", hold.granted_at.until(hold.expires_at).0)
            }
            Outcome::Released { seat_nos } => some("released", seat_nos, false),
            Outcome::Sold { seat_nos, already } => some("sold", seat_nos, *already),
            Outcome::Returned { seat_nos, already } => some("returned", seat_nos, *already),
            Outcome::Blocked { seat_nos, already } => some("blocked", seat_nos, *already),
            Outcome::Unblocked { seat_nos, already } => some("unblocked", seat_nos, *already),
            Outcome::Loaded { claims, already } => {
                format!("loaded {claims}{}", mark(*already, "already"))
            }
            Outcome::QueueAdvanced {
                first_no,
                joins,
                queue,
            } => format!(
                "{joins} from {first_no} of {}, serving {}",
                queue.joined, queue.serving
            ),
            Outcome::ConfigSet { .. } | Outcome::Recorded { .. } | Outcome::Ticked { .. } => {
                panic!("{outcome:?} is of no show")
            }
            Outcome::Refused(refusal) => self.refused(step, refusal),
        }
    }

    fn refused(&self, step: &Step, refusal: &Refusal) -> String {
        let mut words = format!("{:?}", refusal.reason);
        for seat in &refusal.seats {
            let state = seat.state.map_or('-', letter);
            write!(words, " {}{state}", seat.seat_no.0).expect("a string takes it");
        }
        let limit = match refusal.reason {
            RefusalReason::DeadlinePassed | RefusalReason::DeadlineTooFar => {
                assert!(refusal.limit > 0, "the store's time is named");
                return words;
            }
            RefusalReason::UntilTooLate => {
                let hold = &self.holds[&step.hold.expect("it is of a hold")];
                hold.granted_at.until(ClusterTime(refusal.limit)).0
            }
            _ => refusal.limit,
        };
        if limit > 0 {
            write!(words, " limit {limit}").expect("a string takes it");
        }
        words
    }
}

/// What a store says of a hold; who holds it isn't said.
fn facts(hold: &Hold) -> impl PartialEq + std::fmt::Debug {
    let Hold {
        id,
        fence,
        granted_at,
        expires_at,
        extendable_until,
        price_version,
        ..
    } = *hold;
    let times = (granted_at, expires_at, extendable_until);
    (id, fence, hold.seat_nos.to_vec(), times, price_version)
}

fn letter(state: SeatState) -> char {
    match state {
        SeatState::Available => 'A',
        SeatState::Held => 'H',
        SeatState::Sold => 'S',
        SeatState::Blocked => 'B',
    }
}

fn numbers(seat_nos: &[SeatNo]) -> String {
    seat_nos
        .iter()
        .map(|seat_no| format!(" {}", seat_no.0))
        .collect()
}
