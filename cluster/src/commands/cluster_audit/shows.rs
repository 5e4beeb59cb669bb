//! Every show of the database is compared with the lock store.

use std::{
    collections::{BTreeSet, HashMap},
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use booking_svc::{AuditedInventory, AuditedShow};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use holdfast_types::{Lineage, ShowId};
use sqlx::PgPool;

use super::{
    looks::Looks,
    report::{Check, Finding},
    seats::{Found, Known, compare},
    store::Store,
};

/// Shows read in one step, and compared at once: the database has one connection.
const SHOWS_PER_PAGE: u32 = 100;
const SHOWS_AT_ONCE: usize = 4;

/// Shows that are suspected and looked at again; more than that is one defect, not many.
const SUSPECTED_MAX: usize = 1_000;

/// How often it says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// What is compared.
pub(super) struct Shows<'a> {
    pub(super) store: &'a Store,
    pub(super) bookings: &'a PgPool,
    pub(super) looks: &'a Looks,
    pub(super) grace: Duration,
    pub(super) lineage: Option<Lineage>,
}

/// What one reading of one show came to.
struct Compared {
    show_id: ShowId,
    seats: u64,
    claims: u64,
    findings: Vec<Finding>,
}

#[derive(Default)]
struct Counts {
    shows: u64,
    seats: u64,
    claims: u64,
}

impl Shows<'_> {
    /// Compares them all, and those that are suspected again.
    ///
    /// # Errors
    /// Store or database can't be read.
    pub(super) async fn check(&self) -> anyhow::Result<((), Vec<Check>, Vec<Finding>)> {
        let mut counts = Counts::default();
        let findings = self.looks.lasting(async |suspected| match suspected {
            None => self.all(&mut counts).await,
            Some(suspected) => self.again(suspected).await,
        });
        let findings = findings.await?;
        Ok(((), checks(&counts), findings))
    }

    async fn all(&self, counts: &mut Counts) -> anyhow::Result<Vec<Finding>> {
        let total = booking_svc::audited_show_count(self.bookings).await?;
        let (mut findings, mut suspected) = (Vec::new(), BTreeSet::new());
        let mut said = Instant::now();
        let mut after = ShowId::from_bytes([0; 16]);
        loop {
            let page = booking_svc::audited_shows(self.bookings, after, SHOWS_PER_PAGE);
            let page = page.await.context("can't read the shows")?;
            let Some(last) = page.last() else {
                return Ok(findings);
            };
            after = last.show_id;
            let compared = stream::iter(page)
                .map(|show| self.one(show))
                .buffer_unordered(SHOWS_AT_ONCE);
            let compared: Vec<Compared> = compared.try_collect().await?;
            for compared in compared {
                counts.shows += 1;
                counts.seats += compared.seats;
                counts.claims += compared.claims;
                let is_new = !compared.findings.is_empty() && suspected.len() < SUSPECTED_MAX;
                if is_new && suspected.insert(compared.show_id) {
                    findings.extend(compared.findings);
                }
            }
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                let done = counts.shows;
                // Nobody may read it.
                let _ = writeln!(std::io::stderr(), "{done} of {total} shows compared");
            }
        }
    }

    async fn again(&self, suspected: &[Finding]) -> anyhow::Result<Vec<Finding>> {
        let shows: BTreeSet<ShowId> = suspected.iter().filter_map(|f| f.show_id).collect();
        let looked = stream::iter(shows)
            .map(
                async |show_id| match booking_svc::audited_show(self.bookings, show_id).await? {
                    Some(show) => anyhow::Ok(self.one(show).await?.findings),
                    None => Ok(Vec::new()),
                },
            )
            .buffer_unordered(SHOWS_AT_ONCE);
        let looked: Vec<Vec<Finding>> = looked.try_collect().await?;
        Ok(looked.into_iter().flatten().collect())
    }

    async fn one(&self, show: AuditedShow) -> anyhow::Result<Compared> {
        let show_id = show.show_id;
        let answer = self.store.inspect(show_id).await?;
        let found = Found::of(answer)
            .with_context(|| format!("the store's answer about show {show_id} can't be read"))?;
        let buyers = found.as_ref().map(Found::buyers).unwrap_or_default();
        let read = booking_svc::audited_seats(self.bookings, show_id, &buyers);
        let AuditedInventory {
            seats,
            bookings,
            house,
        } = read
            .await
            .with_context(|| format!("can't read the seats of show {show_id}"))?;
        let known = Known {
            seats,
            house,
            bookings: bookings
                .into_iter()
                .map(|booking| (booking.booking_id, booking))
                .collect::<HashMap<_, _>>(),
            show,
        };
        Ok(Compared {
            show_id,
            seats: u64::from(found.as_ref().map_or(0, |found| found.seat_count)),
            claims: found.as_ref().map_or(0, |found| found.claims.len() as u64),
            findings: compare(found.as_ref(), &known, self.lineage, self.grace),
        })
    }
}

fn checks(counts: &Counts) -> Vec<Check> {
    let check = |invariant, what, counted, compared| Check {
        invariant,
        what,
        counted,
        compared,
    };
    let (shows, seats, claims) = ("shows_compared", "seats_compared", "claims_compared");
    vec![
        check(
            "SHOW",
            "shows have the same state and rules in both",
            shows,
            counts.shows,
        ),
        check(
            "HS-1",
            "a seat is one thing, and the same in both",
            seats,
            counts.seats,
        ),
        check("HS-2", "holds and sales are whole", claims, counts.claims),
        check(
            "HS-3",
            "the store's fences are the newest",
            seats,
            counts.seats,
        ),
        check(
            "HS-4",
            "holds are due at their promised ends",
            claims,
            counts.claims,
        ),
        check(
            "HS-5",
            "the store's hashes are those of its shows",
            shows,
            counts.shows,
        ),
        check("HS-7", "requests are remembered", claims, counts.claims),
        check(
            "HS-8",
            "no customer exceeds the cap, by the word of either",
            claims,
            counts.claims,
        ),
        check(
            "BK-3",
            "seats are sold in both, to the same booking and fence",
            seats,
            counts.seats,
        ),
    ]
}
