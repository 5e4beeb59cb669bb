//! Which life of the lock-store cluster `up` starts: the one whose data is there, or a new one.
//!
//! Always holds: a cluster is founded only on a database that has sold nothing yet, or to be loaded with
//! what the database knows, so no sale is ever unknown to the store; a lineage is raised in Postgres
//! before a node is started with it.
//! Leaves to booking-svc: loading a store that takes the place of a lost one.

use std::{fs, io};

use anyhow::{Context as _, bail};
use holdfast_types::Lineage;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::layout::NODES;
use crate::{
    data_dir::DataDir,
    database::service_url,
    secrets::{LINEAGE, Secrets},
    supervisor::say,
};

/// Folders of lost stores that are kept under numbers.
const ASIDE_MAX: u32 = 99;

/// What is known when `up` starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// Nodes with data.
    nodes: u64,
    /// What the data directory remembers.
    remembered: Option<Lineage>,
    /// What Postgres has.
    current: Option<Lineage>,
    /// Whether Postgres has shows, so perhaps sales.
    shows: bool,
    /// The current life takes the place of one that was lost, and isn't loaded yet.
    pending: bool,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// Go on with this one.
    Keep(Lineage),
    /// Found a cluster in the next one.
    Raise,
    /// The same, to be loaded with what Postgres knows.
    Rebuild,
}

/// The lineage to start the nodes with, and whether their store is to be loaded first; makes schema
/// `booking`, where it is kept.
///
/// # Errors
/// The store's data is gone though the database has sales, or is of another life than the
/// database's; what Postgres says.
pub(super) async fn choose(
    dir: &DataDir,
    database: &PgConnectOptions,
    secrets: &mut Secrets,
    rebuild: bool,
) -> anyhow::Result<(Lineage, bool)> {
    let pool = booking_database(database, secrets).await?;
    let chosen = choose_with(dir, &pool, secrets, rebuild).await;
    let pending = booking_svc::is_rebuild_pending(&pool).await;
    pool.close().await;
    Ok((chosen?, pending?))
}

/// The database as booking-svc sees it.
///
/// # Errors
/// No server answers, or the secrets are of another.
pub(crate) async fn booking_database(
    database: &PgConnectOptions,
    secrets: &Secrets,
) -> anyhow::Result<PgPool> {
    let options: PgConnectOptions = service_url(database, "booking", secrets)?
        .parse()
        .context("can't tell how booking-svc signs in")?;
    PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .context("can't connect to the database as booking-svc")
}

/// The lineage of a cluster that takes the place of a lost one.
///
/// # Errors
/// What Postgres says, or there is none left.
pub(crate) async fn raise_for_rebuild(pool: &PgPool) -> anyhow::Result<Lineage> {
    booking_svc::migrate(pool)
        .await
        .context("can't make booking-svc's tables")?;
    booking_svc::begin_rebuild(pool)
        .await
        .context("can't raise the lineage")?
        .context("all lineages of this database are used up: use another one")
}

async fn choose_with(
    dir: &DataDir,
    pool: &PgPool,
    secrets: &mut Secrets,
    rebuild: bool,
) -> anyhow::Result<Lineage> {
    booking_svc::migrate(pool)
        .await
        .context("can't make booking-svc's tables")?;
    let known = Known {
        nodes: nodes_with_data(dir)?,
        remembered: secrets
            .get(LINEAGE)
            .map(|text| text.parse().map(Lineage))
            .transpose()
            .context("lineage in secrets.toml is no number")?,
        current: booking_svc::current_lineage(pool).await?,
        shows: booking_svc::has_shows(pool).await?,
        pending: booking_svc::is_rebuild_pending(pool).await?,
    };
    let lineage = match known.decide(rebuild)? {
        Choice::Keep(lineage) => lineage,
        Choice::Rebuild => {
            set_aside(dir)?;
            raise_for_rebuild(pool).await?
        }
        Choice::Raise => booking_svc::raise_lineage(pool)
            .await
            .context("can't raise the lineage")?
            .context("all lineages of this database are used up: use another one")?,
    };
    if known.remembered != Some(lineage) {
        secrets.set(LINEAGE, lineage.0.to_string())?;
    }
    Ok(lineage)
}

/// Puts what is left of the lost store's data where no node finds it.
fn set_aside(dir: &DataDir) -> anyhow::Result<()> {
    for node in 1..=NODES {
        let path = dir.lockstore(node);
        let is_there = path.try_exists();
        if !is_there.with_context(|| format!("can't read {}", path.display()))? {
            continue;
        }
        let aside = (1..=ASIDE_MAX)
            .map(|number| path.with_extension(format!("lost-{number}")))
            .find(|aside| !aside.exists())
            .with_context(|| format!("remove {}.lost-1 and those after it", path.display()))?;
        fs::rename(&path, &aside).with_context(|| format!("can't rename {}", path.display()))?;
        say(&format!("what is left of a node is in {}", aside.display()));
    }
    Ok(())
}

impl Known {
    fn decide(self, rebuild: bool) -> anyhow::Result<Choice> {
        // Whatever was there is of a life that is over.
        if let (true, Some(current)) = (self.pending, self.current)
            && (self.remembered == Some(current) || self.nodes == 0)
        {
            return Ok(Choice::Keep(current));
        }
        if self.pending {
            bail!(
                "a new lock store is to be loaded with what the database knows, and the folders lockstore-1 to lockstore-{NODES} are of the one before: move them away"
            );
        }
        if rebuild {
            if self.nodes > NODES / 2 {
                bail!(
                    "the lock store isn't lost: {} of {NODES} nodes have their data, and with it every hold; `holdfast up` goes on with it. To rebuild it all the same, move the folders lockstore-1 to lockstore-{NODES} away",
                    self.nodes
                );
            }
            return Ok(Choice::Rebuild);
        }
        // Without a majority of what it knew, the store would found itself anew, or never lead.
        if self.shows && self.nodes <= NODES / 2 {
            bail!(
                "the lock store's data is gone ({} of {NODES} nodes have theirs) while the database has shows and perhaps sales. If the folders lockstore-1 to lockstore-{NODES} were only moved, move them back. Don't put an older copy in their place, which could lose acknowledged writes. If they are lost, `holdfast up --rebuild-lock-store` makes a new lock store of what the database knows",
                self.nodes
            );
        }
        match (self.remembered, self.current) {
            (Some(remembered), Some(current)) if remembered != current => {
                if self.nodes > 0 {
                    bail!(
                        "the lock store's data is of another life (lineage {}) than the database's (lineage {}): one of them was put back from a copy without the other",
                        remembered.0,
                        current.0
                    );
                }
                Ok(Choice::Raise)
            }
            (Some(lineage), Some(_)) => Ok(Choice::Keep(lineage)),
            // Founded by a version that remembered nothing: it knew the first life only.
            (_, current) if self.nodes > 0 => Ok(Choice::Keep(current.unwrap_or(Lineage(1)))),
            _ => Ok(Choice::Raise),
        }
    }
}

fn nodes_with_data(dir: &DataDir) -> anyhow::Result<u64> {
    let mut with_data = 0;
    for node in 1..=NODES {
        let path = dir.lockstore(node);
        match fs::read_dir(&path) {
            Ok(mut entries) => with_data += u64::from(entries.next().is_some()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).with_context(|| format!("can't read {}", path.display())),
        }
    }
    Ok(with_data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Known = Known {
        nodes: 0,
        remembered: None,
        current: None,
        shows: false,
        pending: false,
    };
    const RUNNING: Known = Known {
        nodes: 3,
        remembered: Some(Lineage(1)),
        current: Some(Lineage(1)),
        shows: true,
        pending: false,
    };

    fn decide(known: Known) -> Option<Choice> {
        known.decide(false).ok()
    }

    #[test]
    fn lost_store_is_rebuilt_when_asked_for_and_a_rebuild_that_was_interrupted_goes_on() {
        for nodes in [0, 1] {
            let lost = Known { nodes, ..RUNNING };
            assert_eq!(lost.decide(true).ok(), Some(Choice::Rebuild));
            // Raised, and perhaps not remembered yet; some nodes were started.
            for (remembered, nodes) in [(1, 0), (2, 0), (2, 1), (2, 3)] {
                let raised = Known {
                    nodes,
                    remembered: Some(Lineage(remembered)),
                    current: Some(Lineage(2)),
                    pending: true,
                    ..RUNNING
                };
                for rebuild in [false, true] {
                    let choice = raised.decide(rebuild).ok();
                    assert_eq!(choice, Some(Choice::Keep(Lineage(2))));
                }
            }
        }
        let text = RUNNING.decide(true).unwrap_err().to_string();
        assert!(text.contains("isn't lost"), "{text}");
    }

    #[test]
    fn new_data_on_a_new_database_founds_a_cluster_and_keeps_its_lineage() {
        assert_eq!(decide(NEW), Some(Choice::Raise));
        assert_eq!(decide(RUNNING), Some(Choice::Keep(Lineage(1))));
        // One disk was lost.
        let two = Known {
            nodes: 2,
            ..RUNNING
        };
        assert_eq!(decide(two), Some(Choice::Keep(Lineage(1))));
    }

    #[test]
    fn a_store_that_lost_its_data_is_not_founded_again_on_a_database_with_shows() {
        for nodes in [0, 1] {
            let text = Known { nodes, ..RUNNING }
                .decide(false)
                .unwrap_err()
                .to_string();
            assert!(text.contains("lock store's data is gone"), "{text}");
            assert!(text.contains("Don't put an older copy"), "{text}");
            let forgotten = Known {
                nodes,
                remembered: None,
                current: None,
                ..RUNNING
            };
            assert_eq!(decide(forgotten), None);
        }
    }

    #[test]
    fn a_founding_that_was_interrupted_goes_on() {
        let raised = Known {
            current: Some(Lineage(1)),
            ..NEW
        };
        assert_eq!(decide(raised), Some(Choice::Raise));
        let remembered = Known {
            remembered: Some(Lineage(2)),
            current: Some(Lineage(2)),
            ..NEW
        };
        for nodes in 0..=3 {
            let known = Known {
                nodes,
                ..remembered
            };
            assert_eq!(decide(known), Some(Choice::Keep(Lineage(2))));
        }
    }

    #[test]
    fn data_of_another_life_than_the_databases_is_refused() {
        let other = Known {
            current: Some(Lineage(2)),
            ..RUNNING
        };
        assert_eq!(decide(other), None);
    }
}
