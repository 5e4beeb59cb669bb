//! `holdfast demo catalogue`: a large made-up catalogue, handed over as an organiser would.
//!
//! Always holds: the same command again changes nothing, but that a show that has begun gives its
//! place among those on sale to the next; a few batches are in memory.

use std::time::Instant;

use anyhow::Context as _;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use holdfast_proto::catalog::v1::{UpsertCatalogueRequest, UpsertShow};
use holdfast_types::ShowState;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use crate::{
    cli::DemoCatalogueArgs,
    data_dir::DataDir,
    error::Error,
    made_up::Catalogue,
    operator::{As, Operator},
    supervisor::say,
    up::ORGANISER_EMAIL,
    upserts::{Published, Upserts},
};

/// Batches that are made and wait to be sent.
const MADE_AHEAD: usize = 2;

/// Makes a catalogue and hands it over to the running system.
///
/// # Errors
/// No such owner, nothing running, what the services say.
pub(crate) async fn demo_catalogue(args: DemoCatalogueArgs) -> Result<(), Error> {
    let dir = DataDir::choose(args.dir.data_dir)?;
    let first_day = match args.first_day {
        Some(day) => day,
        None => next_year()?,
    };
    let catalogue = Catalogue::new(args.seed, first_day, args.shows);
    let owner = args.owner.as_deref().unwrap_or(ORGANISER_EMAIL);
    let operator = Operator::sign_in(&dir, As::Account(owner)).await?;
    let mut upserts = Upserts::new(&operator, &catalogue.source())?;
    let began = Instant::now();
    let bar = bar(args.shows);

    let (sender, mut made) = mpsc::channel::<UpsertCatalogueRequest>(MADE_AHEAD);
    let making = tokio::task::spawn_blocking(move || {
        for batch in catalogue {
            // Nobody takes it any more where sending failed.
            if sender.blocking_send(batch).is_err() {
                break;
            }
        }
    });
    let mut left_to_sell = args.on_sale;
    let (mut sold, mut refused) = (0_u64, 0_u64);
    while let Some(batch) = made.recv().await {
        let count = batch.shows.len() as u64;
        let can_sell: Vec<bool> = batch
            .shows
            .iter()
            .map(|show| can_sell(show, Utc::now()))
            .collect();
        let shows = upserts.send(batch).await?;
        for (show, _) in shows.into_iter().zip(can_sell).filter(|(_, can)| *can) {
            if left_to_sell == 0 {
                break;
            }
            left_to_sell -= 1;
            if show.state == ShowState::Draft.as_str() {
                match upserts.publish(show.show_id).await? {
                    Published::Done => sold += 1,
                    Published::Refused(_) => refused += 1,
                }
            }
        }
        bar.inc(count);
    }
    making.await.context("making the catalogue broke")?;
    bar.finish_and_clear();
    let took = began.elapsed().as_secs_f64();
    for line in upserts.counts().lines() {
        say(&line);
    }
    if args.on_sale > 0 {
        say(&format!(
            "on sale:    {} ({sold} put there now)",
            args.on_sale - left_to_sell - refused
        ));
    }
    if refused > 0 {
        say(&format!("            {refused} could not be put on sale"));
    }
    say(&format!(
        "{} shows in {took:.1} s, {:.0} a second; announced, not for sale",
        args.shows,
        args.shows as f64 / took.max(f64::MIN_POSITIVE)
    ));
    Ok(())
}

/// Shown where somebody looks (a terminal).
fn bar(shows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "{wide_bar} {human_pos}/{human_len} shows, {per_sec}, {eta} left",
    )
    .expect("the template is well-formed");
    ProgressBar::new(shows).with_style(style)
}

/// The first day of next year: the same for everybody who asks within a year.
fn next_year() -> anyhow::Result<NaiveDate> {
    NaiveDate::from_ymd_opt(Utc::now().year() + 1, 1, 1)
        .context("the machine's clock is beyond the calendar")
}

/// Whether a show has what it is sold by, and hasn't begun.
fn can_sell(show: &UpsertShow, now: DateTime<Utc>) -> bool {
    let has_begun = show.starts_at_ms <= now.timestamp_millis();
    show.price_range.is_some() && !show.time_to_be_announced && !has_begun
}

#[cfg(test)]
mod tests {
    use holdfast_proto::catalog::v1::PriceRange;

    use super::*;

    #[test]
    fn a_show_that_has_begun_or_lacks_time_or_price_is_not_chosen() {
        let now = DateTime::from_timestamp_millis(1_000).unwrap();
        let good = UpsertShow {
            starts_at_ms: 1_001,
            price_range: Some(PriceRange { min: 1, max: 2 }),
            ..Default::default()
        };
        assert!(can_sell(&good, now));
        let bends: [fn(&mut UpsertShow); 3] = [
            |show| show.starts_at_ms = 1_000,
            |show| show.price_range = None,
            |show| show.time_to_be_announced = true,
        ];
        for bend in bends {
            let mut show = good.clone();
            bend(&mut show);
            assert!(!can_sell(&show, now), "{show:?}");
        }
    }
}
