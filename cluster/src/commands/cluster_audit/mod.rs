//! `holdfast cluster audit`: store = Postgres = ledger = provider, checked on the running system.
//!
//! Always holds: it changes nothing; what it suspects is reported only if it is there at every look for a
//! while (`looks`), so that purchases under way are no findings; each loop and page has a limit; what
//! couldn't be checked is said, and is not clean.
//!
//! Leaves to others: what a service can tell of its own schema (booking-svc, payment-svc) and the store of
//! its own state (`lockstore-core`'s invariants). Here they are compared with each other.

mod events;
mod looks;
mod money;
mod nodes;
mod report;
mod seats;
mod shows;
mod store;

use std::{future::Future, time::Duration};

use anyhow::Context as _;
use holdfast_types::Lineage;
use sqlx::PgPool;

use self::{
    looks::Looks,
    report::{Check, Finding, Report},
    shows::Shows,
    store::Store,
};
use crate::{
    cli::{ClusterAuditArgs, Output},
    data_dir::DataDir,
    database::connect_as,
    error::Error,
    supervisor::say,
};

/// Longest that a suspicion is looked at again before it is reported: a purchase's steps take less, the
/// restart of a service included.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// Prints what is wrong, and what was compared.
///
/// # Errors
/// [`Error::Refused`] if anything is wrong; [`Error::Unreachable`] if something couldn't be checked.
pub(crate) async fn cluster_audit(args: ClusterAuditArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.source.dir.data_dir.clone())?;
    let grace = Duration::from_secs(args.grace);
    let audit = Audit {
        store: Store::of(&dir, &args.source)?,
        bookings: connect_as(&dir, "booking").await?,
        payments: connect_as(&dir, "payment").await?,
        catalogue: connect_as(&dir, "catalog").await?,
        looks: Looks::new(grace.min(SETTLE_MAX)),
        dir,
        grace,
    };
    let report = audit.run().await;
    for pool in [&audit.bookings, &audit.payments, &audit.catalogue] {
        pool.close().await;
    }
    match args.output() {
        Output::Json => say(&serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)?),
        Output::Table => say(&report.table()),
    }
    report.verdict()
}

struct Audit {
    dir: DataDir,
    store: Store,
    bookings: PgPool,
    payments: PgPool,
    catalogue: PgPool,
    looks: Looks,
    /// How long money, and a step of a booking, may be under way.
    grace: Duration,
}

/// The schemas, each as its own service sees it.
#[derive(Clone, Copy)]
struct Pools<'a> {
    bookings: &'a PgPool,
    payments: &'a PgPool,
    catalogue: &'a PgPool,
}

impl<'a> Pools<'a> {
    /// One that may see them all.
    #[cfg(test)]
    const fn all(pool: &'a PgPool) -> Self {
        Self {
            bookings: pool,
            payments: pool,
            catalogue: pool,
        }
    }
}

impl Audit {
    async fn run(&self) -> Report {
        let mut report = Report::default();
        let lineage = self.part(&mut report, "HS-3", self.lineage()).await;
        let nodes = async { Ok(nodes::check(&self.store, lineage).await) };
        for why in self.part(&mut report, "HS-5", nodes).await {
            report.not_checked("HS-5", why);
        }
        let shows = Shows {
            store: &self.store,
            bookings: &self.bookings,
            looks: &self.looks,
            grace: self.grace,
            lineage,
        };
        self.part(&mut report, "HS-1", shows.check()).await;
        let pools = Pools {
            bookings: &self.bookings,
            payments: &self.payments,
            catalogue: &self.catalogue,
        };
        let looks = &self.looks;
        let bookings = money::bookings(looks, pools.bookings);
        self.part(&mut report, "BK-1", bookings).await;
        let ledger = money::ledger(looks, pools.payments);
        self.part(&mut report, "BK-2", ledger).await;
        let between = money::between(looks, pools, self.grace);
        self.part(&mut report, "BK-2", between).await;
        let provider = money::provider(&self.dir, pools.payments, self.grace);
        self.part(&mut report, "BK-2", provider).await;
        let events = events::check(looks, pools);
        self.part(&mut report, "BK-4", events).await;
        report.finish(lineage);
        report
    }

    /// Does a part of the audit; one that can't be done doesn't keep others from it.
    async fn part<T: Default>(
        &self,
        report: &mut Report,
        invariant: &'static str,
        part: impl Future<Output = anyhow::Result<(T, Vec<Check>, Vec<Finding>)>>,
    ) -> T {
        match part.await {
            Ok((value, checks, findings)) => {
                report.add(checks, findings);
                value
            }
            Err(error) => {
                report.not_checked(invariant, format!("{error:#}"));
                T::default()
            }
        }
    }

    /// Which life of the cluster Postgres builds on.
    async fn lineage(&self) -> anyhow::Result<(Option<Lineage>, Vec<Check>, Vec<Finding>)> {
        let lineage = booking_svc::current_lineage(&self.bookings).await;
        Ok((
            lineage.context("can't read the lineage")?,
            Vec::new(),
            Vec::new(),
        ))
    }
}
