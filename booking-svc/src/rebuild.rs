//! After the lock store was lost: what Postgres knows is loaded into the new life of the cluster.
//!
//! Always holds: it is done before anything is served here, and what others serve builds on nothing until
//! it is done; a show is on sale only when all its claims are in the store, and each claim has the id and
//! the fence that it had, so that whoever was about to pay goes on; a cluster of another lineage is told
//! nothing. It may be broken off anywhere, and begun again by any instance: what is there is there already.
//! A show that can't be loaded is named, and stays paused in the store. House seats are blocked again, but for
//! what is sold. Holds that were never booked are gone, because nobody but the lost store knew them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use holdfast_types::{DurationMs, Lineage, SeatNo, SeatState, ShowId, ShowState, UserId, limits};
use lockstore_client::{
    Answer, BlockOutcome, BlockSeats, ChangeOutcome, ChangeShow, Client, LoadOutcome, LoadSeats,
    LoadedClaim, LoadedKind, OpenOutcome, OpenShow, RefusalReason, ShowRules,
    ShowState as StoreShowState,
};
use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;

use crate::{
    app::{App, store_numbers},
    store::{
        self,
        house_seats::{self, HouseSeat, Said, Word},
        lineage, rebuild as known, timeline,
    },
};

/// Longest wait for one answer of the store: it may be founding itself.
const ASK_MAX: Duration = Duration::from_secs(60);
/// How often it says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);
/// Least time that a buyer has after a rebuild: the time the store was away is none of theirs.
const LEFT_MIN: DurationMs = DurationMs::from_secs(120);
/// Claims in one request, and their seats: half of what the store takes.
const CLAIMS_PER_LOAD: usize = 128;
const SEATS_PER_LOAD: usize = 512;
/// House seats in one request: the store takes 1,024.
const SEATS_PER_BLOCK: usize = 1_000;
/// How often another instance that loads it is waited for.
const WAIT: Duration = Duration::from_secs(2);
/// One instance at a time; any fixed value: "hf" "rebuild" in ASCII.
const LOCK: i64 = 0x6866_7265_6275_696c;

/// Why the store isn't rebuilt; it is tried again at the next start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused, or is away.
    #[error("booking database")]
    Database(#[from] sqlx::Error),
    /// A table can't be read.
    #[error("booking tables")]
    Store(#[from] store::Error),
    /// The lock store can't be asked.
    #[error("the lock store can't be asked")]
    LockStore(#[from] lockstore_client::Error),
    /// The cluster that answered isn't the new one.
    #[error(
        "the lock store answered in lineage {answered}, and is to be rebuilt in {wanted}: start new nodes, without data, with lockstore.lineage = {wanted}"
    )]
    OtherLineage {
        /// Whose answer it was.
        answered: Lineage,
        /// Which is the current one.
        wanted: Lineage,
    },
    /// The store refused what it must not.
    #[error("show {show_id}: the lock store refused {what}: {reason:?}")]
    Refused {
        /// Of which show.
        show_id: ShowId,
        /// What was asked.
        what: &'static str,
        /// Its reason.
        reason: RefusalReason,
    },
    /// The lock that keeps other instances from it is gone, with its connection.
    #[error("another instance may rebuild the lock store by now")]
    NotAlone,
    /// A seat is another thing in the store than here.
    #[error("show {show_id}: seat {seat_no} is {found} in the lock store, and {known} here")]
    Differs {
        /// Of which show.
        show_id: ShowId,
        /// Which.
        seat_no: SeatNo,
        /// What the store says.
        found: SeatState,
        /// What the database says.
        known: SeatState,
    },
}

impl Error {
    /// Whether other shows can be loaded all the same.
    const fn is_of_one_show(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Differs { .. } | Self::Store(store::Error::Corrupt(_))
        )
    }
}

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Report {
    pub(crate) shows: u64,
    pub(crate) sold: u64,
    pub(crate) held: u64,
    /// Kept for the house.
    pub(crate) blocked: u64,
    /// Shows that couldn't be loaded.
    pub(crate) failed: u64,
}

/// Loads the store if that is pending, when no other instance does.
///
/// # Errors
/// [`Error`]; what was loaded stays.
pub(crate) async fn if_pending(app: &App) -> Result<Option<Report>, Error> {
    if !lineage::is_rebuild_pending(&app.pool).await? {
        return Ok(None);
    }
    // Of this session, which ends with the connection, however this ends.
    let mut alone = app.pool.acquire().await?.detach();
    while !is_locked(&mut alone).await? {
        tracing::info!("another instance rebuilds the lock store");
        tokio::time::sleep(WAIT).await;
    }
    load_all(app, &mut alone).await
}

async fn is_locked(alone: &mut PgConnection) -> Result<bool, Error> {
    let locked = sqlx::query_scalar!(r#"SELECT pg_try_advisory_lock($1) AS "locked!""#, LOCK);
    Ok(locked.fetch_one(alone).await?)
}

async fn load_all(app: &App, alone: &mut PgConnection) -> Result<Option<Report>, Error> {
    let Some(lineage) = lineage::current_lineage(&app.pool).await? else {
        return Ok(None);
    };
    // Another instance may have done it meanwhile.
    if !lineage::is_rebuild_pending(&app.pool).await? {
        return Ok(None);
    }
    let loader = Loader {
        pool: &app.pool,
        lock_store: &app.lock_store,
        lineage,
    };
    let total = known::count(&app.pool).await?;
    tracing::info!(shows = total, %lineage, "the lock store is rebuilt from the database");
    let (mut report, mut said) = (Report::default(), Instant::now());
    let mut after = ShowId::from_bytes([0; 16]);
    loop {
        let page = known::shows_after(&app.pool, after).await?;
        let Some(last) = page.last() else { break };
        after = last.show_id;
        // Kept alive, or another would begin.
        if !is_locked(alone).await? {
            return Err(Error::NotAlone);
        }
        for show in &page {
            match loader.show(show).await {
                Ok(counted) => {
                    report.shows += 1;
                    report.sold += counted.sold;
                    report.held += counted.held;
                    report.blocked += counted.blocked;
                }
                Err(error) if error.is_of_one_show() => {
                    report.failed += 1;
                    tracing::error!(show_id = %show.show_id, %error, "a show can't be loaded into the lock store, and stays paused there");
                }
                Err(error) => return Err(error),
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                tracing::info!(
                    shows = report.shows,
                    of = total,
                    "loaded into the lock store"
                );
            }
        }
    }
    lineage::end_rebuild(alone, lineage).await?;
    tracing::info!(
        shows = report.shows,
        seats_sold = report.sold,
        seats_held = report.held,
        house_seats = report.blocked,
        shows_failed = report.failed,
        "the lock store is rebuilt; holds that were not booked are gone"
    );
    Ok(Some(report))
}

/// Seats of one show that were loaded.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    sold: u64,
    held: u64,
    blocked: u64,
}

struct Loader<'a> {
    pool: &'a PgPool,
    lock_store: &'a Client,
    lineage: Lineage,
}

impl Loader<'_> {
    /// Checks whose answer it is.
    fn of<T>(&self, answer: Answer<T>) -> Result<Answer<T>, Error> {
        if answer.lineage != self.lineage {
            return Err(Error::OtherLineage {
                answered: answer.lineage,
                wanted: self.lineage,
            });
        }
        Ok(answer)
    }

    /// Loads a show, and says how many of its seats are what. From the first change of its state on it is whole,
    /// and what happens to it is no more to be compared.
    async fn show(&self, show: &known::Show) -> Result<Counted, Error> {
        let found = self.of(self.lock_store.show(show.show_id, ASK_MAX).await?)?;
        let stands = found.outcome.map(|show| show.state);
        let is_loaded = !matches!(
            stands,
            None | Some(StoreShowState::Opening | StoreShowState::Paused)
        );
        if is_loaded {
            return Ok(Counted::default());
        }
        self.open(show).await?;
        let house = house_seats::blocked(&mut *self.pool.acquire().await?, show.show_id).await?;
        self.load(show, &house).await?;
        self.block(show, &house).await?;
        let counted = self.check(show, &house).await?;
        self.set_state(show).await?;
        Ok(counted)
    }

    async fn open(&self, show: &known::Show) -> Result<(), Error> {
        let layout = store_numbers::layout(&known::layout(self.pool, show.show_id).await?);
        let seat_count = u32::try_from(layout.len()).expect("a show has 100,000 seats at most");
        let mut first = 0;
        for seats in layout.chunks(limits::LAYOUT_CHUNK_SEATS_MAX) {
            let open = OpenShow {
                show_id: show.show_id,
                seat_count,
                rules: ShowRules {
                    hold_ttl: DurationMs(show.hold_ttl_ms),
                    hold_total_max: DurationMs(show.hold_total_ms_max),
                    seats_per_customer_max: show.seats_per_customer_max,
                    no_lone_seat: show.no_lone_seat,
                },
                first_seat_no: SeatNo(first),
                seats: seats.to_vec(),
                on_sale: false,
            };
            first += u32::try_from(seats.len()).expect("a chunk is small");
            let answer = self.of(self.lock_store.open_show(open, ASK_MAX).await?)?;
            if let OpenOutcome::Refused(refused) = answer.outcome {
                return Err(refusal(show.show_id, "OpenShow", refused.reason));
            }
        }
        Ok(())
    }

    async fn load(&self, show: &known::Show, house: &[HouseSeat]) -> Result<(), Error> {
        let house: HashSet<SeatNo> = house.iter().map(|seat| seat.seat_no).collect();
        // In a show that was called off nobody holds anything; and a hold was over whose seat was then blocked.
        let counts = |claim: &known::Claim| {
            let is_over = || claim.seat_nos.iter().any(|seat_no| house.contains(seat_no));
            claim.held_until.is_none() || (show.state != ShowState::Cancelled && !is_over())
        };
        let claims = known::claims(self.pool, show.show_id).await?;
        let mut of_hold = HashMap::new();
        for claim in &claims {
            *of_hold.entry(claim.hold_id).or_insert(0) += 1;
        }
        // A customer may use a name twice, once the first hold is long over: who holds under it besides
        // a sale has late money.
        let is_alone = |claim: &known::Claim| {
            claim.held_until.is_none() || of_hold.get(&claim.hold_id) == Some(&1)
        };
        let claims = claims.into_iter().filter(counts).filter(is_alone);
        let claims: Vec<_> = claims.collect();
        let mut rest = &claims[..];
        while !rest.is_empty() {
            let (some, others) = rest.split_at(fitting(rest));
            rest = others;
            match self.ask_to_load(show.show_id, some).await? {
                None => {}
                // This was broken off, and some of the holds have ended since: each for itself.
                Some(RefusalReason::StaleFence) => {
                    for claim in some {
                        let one = std::slice::from_ref(claim);
                        let refused = self.ask_to_load(show.show_id, one).await?;
                        let has_ended = claim.held_until.is_some()
                            && refused == Some(RefusalReason::StaleFence);
                        if let Some(reason) = refused.filter(|_| !has_ended) {
                            return Err(refusal(show.show_id, "LoadSeats", reason));
                        }
                    }
                }
                Some(reason) => return Err(refusal(show.show_id, "LoadSeats", reason)),
            }
        }
        let answer = self.of(self.lock_store.time(ASK_MAX).await?)?;
        let until = answer.cluster_time.plus(LEFT_MIN);
        known::give_time(self.pool, show.show_id, until, LEFT_MIN).await?;
        timeline::rebuilt(self.pool, show.show_id, answer.revision).await?;
        Ok(())
    }

    /// Why they were refused, if they were.
    async fn ask_to_load(
        &self,
        show_id: ShowId,
        claims: &[known::Claim],
    ) -> Result<Option<RefusalReason>, Error> {
        let now = self.of(self.lock_store.time(ASK_MAX).await?)?.cluster_time;
        let loaded = |claim: &known::Claim| LoadedClaim {
            fence: claim.fence,
            hold_id: claim.hold_id,
            holder: claim.holder,
            seat_nos: claim.seat_nos.clone(),
            kind: match claim.held_until {
                None => LoadedKind::Sale {
                    booking_id: claim.booking_id,
                },
                Some(until) => {
                    let left = now.until(until).max(LEFT_MIN).min(limits::HOLD_TOTAL_MAX);
                    LoadedKind::Hold {
                        left,
                        extendable: left,
                        price_version: claim.price_version,
                    }
                }
            },
        };
        let load = LoadSeats {
            show_id,
            claims: claims.iter().map(loaded).collect(),
        };
        let answer = self.of(self.lock_store.load_seats(load, ASK_MAX).await?)?;
        Ok(match answer.outcome {
            LoadOutcome::Loaded { .. } => None,
            LoadOutcome::Refused(refused) => Some(refused.reason),
        })
    }

    /// Blocks the house's seats, and writes that they are so in this life of the store. The store refuses one that
    /// is held or sold, which none of them is.
    async fn block(&self, show: &known::Show, house: &[HouseSeat]) -> Result<(), Error> {
        let show_id = show.show_id;
        let mut by_whom: BTreeMap<Option<UserId>, Vec<SeatNo>> = BTreeMap::new();
        for seat in house {
            by_whom.entry(seat.by).or_default().push(seat.seat_no);
        }
        for (by, seat_nos) in by_whom {
            for seat_nos in seat_nos.chunks(SEATS_PER_BLOCK) {
                let block = BlockSeats {
                    show_id,
                    seat_nos: seat_nos.to_vec(),
                    actor: by.unwrap_or_else(|| UserId::from_bytes([0; 16])),
                };
                let answer = self.of(self.lock_store.block_seats(block, ASK_MAX).await?)?;
                if let BlockOutcome::Refused(refused) = answer.outcome {
                    return Err(refusal(show_id, "BlockSeats", refused.reason));
                }
                let said = |seat_no: &SeatNo| Said {
                    seat_no: *seat_no,
                    is_blocked: true,
                    is_new: false,
                };
                let word = Word {
                    show_id,
                    revision: answer.revision,
                    by,
                    seats: &seat_nos.iter().map(said).collect::<Vec<_>>(),
                };
                house_seats::record(&mut *self.pool.acquire().await?, word).await?;
            }
        }
        Ok(())
    }

    /// That the store says of every seat what the database does.
    async fn check(&self, show: &known::Show, house: &[HouseSeat]) -> Result<Counted, Error> {
        let mut states = known::states(self.pool, show.show_id).await?;
        for HouseSeat { seat_no, .. } in house {
            let known = usize::try_from(seat_no.0).ok();
            if let Some(known) = known.and_then(|seat_no| states.get_mut(seat_no)) {
                *known = SeatState::Blocked;
            }
        }
        let found = self.of(self.lock_store.show(show.show_id, ASK_MAX).await?)?;
        let found = found.outcome.map_or(Vec::new(), |show| show.seat_states);
        let mut counted = Counted::default();
        let missing = std::iter::repeat(SeatState::Available);
        for ((seat_no, known), found) in (0..).zip(states).zip(found.into_iter().chain(missing)) {
            match (known, found) {
                (SeatState::Sold, SeatState::Sold) => counted.sold += 1,
                (SeatState::Held, SeatState::Held) => counted.held += 1,
                (SeatState::Blocked, SeatState::Blocked) => counted.blocked += 1,
                // By an organiser who asked the store as it was being lost: nobody was answered, and it is
                // taken over like what any dead process leaves.
                (SeatState::Available, SeatState::Blocked) => {}
                // Released by one likewise, once it was blocked again here.
                (SeatState::Blocked, SeatState::Available) => {}
                // A hold may have ended by now.
                (SeatState::Held | SeatState::Available, SeatState::Available) => {}
                (known, found) => {
                    return Err(Error::Differs {
                        show_id: show.show_id,
                        seat_no: SeatNo(seat_no),
                        found,
                        known,
                    });
                }
            }
        }
        Ok(counted)
    }

    async fn set_state(&self, show: &known::Show) -> Result<(), Error> {
        let state = match show.state {
            ShowState::OnSale => StoreShowState::OnSale,
            ShowState::Closed => StoreShowState::Closed,
            ShowState::Cancelled => StoreShowState::Cancelled,
            // As it was loaded.
            ShowState::Paused | ShowState::Draft => return Ok(()),
        };
        let change = ChangeShow {
            show_id: show.show_id,
            state: Some(state),
            rules: None,
        };
        let answer = self.of(self.lock_store.change_show(change, ASK_MAX).await?)?;
        match answer.outcome {
            ChangeOutcome::Changed { .. } => Ok(()),
            ChangeOutcome::Refused(refused) => {
                Err(refusal(show.show_id, "ChangeShow", refused.reason))
            }
        }
    }
}

/// How many of the first claims go into one request; at least one, and no hold's id twice.
fn fitting(claims: &[known::Claim]) -> usize {
    let (mut seats, mut ids) = (0, HashSet::new());
    let fits = claims.iter().take(CLAIMS_PER_LOAD).take_while(|claim| {
        seats += claim.seat_nos.len();
        seats <= SEATS_PER_LOAD && ids.insert(claim.hold_id)
    });
    fits.count().max(1)
}

const fn refusal(show_id: ShowId, what: &'static str, reason: RefusalReason) -> Error {
    Error::Refused {
        show_id,
        what,
        reason,
    }
}
