//! Hands a catalogue over to catalog-svc in batches, counts what came of it, and puts its shows on
//! sale.
//!
//! Always holds: what is asked is asked again only when catalog-svc couldn't be asked, which is safe
//! because the same batch again changes nothing, and neither does publishing a show again.

use std::{fmt, time::Duration};

use holdfast_mesh::{Failure, client::Channel};
use holdfast_proto::catalog::v1::{
    PublishShowRequest, Tally, UpsertCatalogueRequest, UpsertedShow,
    catalog_service_client::CatalogServiceClient, import_service_client::ImportServiceClient,
};
use holdfast_types::ErrorCode;
use tonic::{Response, Status};

use crate::{error::Error, operator::Operator};

/// How often a call is tried while catalog-svc or its database is away, and how long between.
const TRIES_MAX: u32 = 10;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Hands batches over as one account.
pub(crate) struct Upserts<'a> {
    operator: &'a Operator,
    import: ImportServiceClient<Channel>,
    catalog: CatalogServiceClient<Channel>,
    source: String,
    counts: Counts,
}

/// What came of putting a show on sale.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Published {
    Done,
    /// It can't be sold as it is, and why; others can.
    Refused(String),
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
                ", kept as they are {kept} (on sale by now, or about to be)"
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
            catalog: operator.catalog()?,
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
        let answer = ask(TRY_AGAIN_AFTER, || {
            let mut import = self.import.clone();
            let request = self.operator.request(batch.clone());
            async move { import.upsert_catalogue(request).await }
        })
        .await
        .map_err(|status| Error::from_status("take over a batch", &status))?;
        self.counts.venues.add(answer.venues);
        self.counts.performers.add(answer.performers);
        self.counts.events.add(answer.events);
        self.counts.shows.add(answer.shows);
        Ok(answer.upserted)
    }
    /// Puts a show on sale.
    ///
    /// # Errors
    /// What catalog-svc says, but for what it says of this show only.
    pub(crate) async fn publish(&self, show_id: Vec<u8>) -> Result<Published, Error> {
        self.operator.stay_signed_in().await?;
        let message = PublishShowRequest { show_id };
        let published = ask(TRY_AGAIN_AFTER, || {
            let mut catalog = self.catalog.clone();
            let request = self.operator.request(message.clone());
            async move { catalog.publish_show(request).await }
        })
        .await;
        match published {
            Ok(_) => Ok(Published::Done),
            Err(status) => refusal(&status)
                .map(Published::Refused)
                .ok_or_else(|| Error::from_status("put a show on sale", &status)),
        }
    }
}

/// Why a show can't be sold as it is; nothing for a failure that others would have too.
fn refusal(status: &Status) -> Option<String> {
    let failure = Failure::from_status(status);
    // That it has begun or lacks something, and that it was opened with something else.
    let is_of_show = matches!(
        failure.code(),
        ErrorCode::InvalidState | ErrorCode::AlreadyExists
    );
    is_of_show.then(|| failure.message().to_owned())
}

/// Asks until there is an answer, or no hope of one.
async fn ask<T, F>(again_after: Duration, call: impl Fn() -> F) -> Result<T, Status>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut tries = 0;
    loop {
        tries += 1;
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => {
                let is_away = Failure::from_status(&status).code() == ErrorCode::Unavailable;
                if !is_away || tries >= TRIES_MAX {
                    return Err(status);
                }
                tokio::time::sleep(again_after).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn asked(code: ErrorCode, away: u32) -> (Result<(), Status>, u32) {
        let tries = Cell::new(0);
        let answer = ask(Duration::ZERO, || {
            tries.set(tries.get() + 1);
            let is_away = tries.get() <= away;
            async move {
                match is_away {
                    true => Err(Failure::new(code, "no").into()),
                    false => Ok(Response::new(())),
                }
            }
        })
        .await;
        (answer, tries.get())
    }

    #[tokio::test]
    async fn who_is_away_is_asked_again_and_who_refuses_is_not() {
        let (answer, tries) = asked(ErrorCode::Unavailable, 3).await;
        assert!(answer.is_ok() && tries == 4, "{answer:?} {tries}");
        let (answer, tries) = asked(ErrorCode::Unavailable, u32::MAX).await;
        assert!(answer.is_err() && tries == TRIES_MAX, "{answer:?} {tries}");
        let (answer, tries) = asked(ErrorCode::InvalidState, 3).await;
        assert!(answer.is_err() && tries == 1, "{answer:?} {tries}");
    }

    #[test]
    fn what_is_wrong_with_one_show_is_no_reason_to_stop() {
        let refused = |code| refusal(&Failure::new(code, "has begun").into());
        for code in [ErrorCode::InvalidState, ErrorCode::AlreadyExists] {
            assert_eq!(refused(code).as_deref(), Some("has begun"));
        }
        for code in [ErrorCode::Unavailable, ErrorCode::Forbidden] {
            assert_eq!(refused(code), None);
        }
    }
}
