//! Hands a catalogue over to catalog-svc in batches, and counts what came of it.
//!
//! Always holds: a batch is sent again only when catalog-svc couldn't be asked, which is safe because
//! the same batch again changes nothing.

use std::{fmt, time::Duration};

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1::{
    Tally, UpsertCatalogueRequest, UpsertedShow, import_service_client::ImportServiceClient,
};
use holdfast_types::ErrorCode;
use tonic::transport::Channel;

use crate::{error::Error, operator::Operator};

/// How often a batch is tried while catalog-svc or its database is away, and how long between.
const TRIES_MAX: u32 = 10;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Hands batches over as one account.
pub(crate) struct Upserts<'a> {
    operator: &'a Operator,
    import: ImportServiceClient<Channel>,
    source: String,
    counts: Counts,
}

/// What came of all batches so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) venues: Count,
    pub(crate) performers: Count,
    pub(crate) events: Count,
    pub(crate) shows: Count,
}

/// How many things of a kind came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) unchanged: u64,
    pub(crate) kept: u64,
}

impl Count {
    fn add(&mut self, tally: Option<Tally>) {
        let tally = tally.unwrap_or_default();
        self.created += u64::from(tally.created);
        self.updated += u64::from(tally.updated);
        self.unchanged += u64::from(tally.unchanged);
        self.kept += u64::from(tally.kept);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            created,
            updated,
            unchanged,
            kept,
        } = self;
        write!(
            f,
            "created {created}, updated {updated}, unchanged {unchanged}"
        )?;
        match kept {
            0 => Ok(()),
            kept => write!(
                f,
                ", kept as they are {kept} (no drafts any more, or about to be sold)"
            ),
        }
    }
}

impl Counts {
    /// A line for each kind.
    pub(crate) fn lines(&self) -> [String; 4] {
        [
            format!("venues:     {}", self.venues),
            format!("performers: {}", self.performers),
            format!("events:     {}", self.events),
            format!("shows:      {}", self.shows),
        ]
    }
}

impl<'a> Upserts<'a> {
    /// For things whose ids are of `source`.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn new(operator: &'a Operator, source: &str) -> Result<Self, Error> {
        Ok(Self {
            operator,
            import: operator.import()?,
            source: source.to_owned(),
            counts: Counts::default(),
        })
    }

    /// What came of all that was sent.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// Sends a batch; its shows as they are now, in its order.
    ///
    /// # Errors
    /// What catalog-svc says.
    pub(crate) async fn send(
        &mut self,
        batch: UpsertCatalogueRequest,
    ) -> Result<Vec<UpsertedShow>, Error> {
        let batch = UpsertCatalogueRequest {
            source: self.source.clone(),
            ..batch
        };
        self.operator.stay_signed_in().await?;
        let mut tries = 0;
        let answer = loop {
            tries += 1;
            let request = self.operator.request(batch.clone());
            match self.import.upsert_catalogue(request).await {
                Ok(answer) => break answer.into_inner(),
                Err(status) => {
                    let code = Failure::from_status(&status).code();
                    if code != ErrorCode::Unavailable || tries >= TRIES_MAX {
                        return Err(Error::from_status("take over a batch", &status));
                    }
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
            }
        };
        self.counts.venues.add(answer.venues);
        self.counts.performers.add(answer.performers);
        self.counts.events.add(answer.events);
        self.counts.shows.add(answer.shows);
        Ok(answer.upserted)
    }
}
