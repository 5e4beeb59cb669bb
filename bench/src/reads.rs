//! Reads per second over REST: what customers look at before they buy.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use holdfast_harness::System;
use uuid::Uuid;

use crate::load::{self, Ended, Load, Measured};

/// What is read, of the demo show of 738 seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum What {
    /// The state of every seat; never cached.
    Availability,
    /// The show's page.
    Show,
    /// Positions of seats, and prices.
    Seatmap,
}

impl What {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Availability, Self::Show, Self::Seatmap];

    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Availability => "availability",
            Self::Show => "show",
            Self::Seatmap => "seatmap",
        }
    }

    fn path(self, show: &str) -> String {
        match self {
            Self::Availability => format!("/shows/{show}/availability"),
            Self::Show => format!("/shows/{show}"),
            Self::Seatmap => format!("/shows/{show}/seatmap"),
        }
    }
}

/// Reads `what` until the time is over; every body is received whole.
///
/// # Errors
/// If the system has no demo show.
pub async fn run(system: &System, what: What, load: Load) -> Result<Measured> {
    let show: Uuid = match system.run()?.demo_show_id {
        Some(id) => id.parse()?,
        None => anyhow::bail!("there is no demo show"),
    };
    let (rest, path) = (system.rest()?, what.path(&show.to_string()));
    load::run(load, move |_| {
        let (rest, path) = (rest.clone(), path.clone());
        async move {
            let (status, _) = rest.get_bytes(&path).await?;
            ensure!(status == 200, "GET {path} is answered {status}");
            Ok(Ended::Done)
        }
    })
    .await
}
