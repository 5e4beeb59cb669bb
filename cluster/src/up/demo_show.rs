//! The demo show: loaded as an organiser would load a real one, through the same gRPC calls.
//!
//! Always holds: ids are derived from names, so loading again changes nothing; a show that is past
//! or sold out is left as it is and the next one in the row is made.

use chrono::{DateTime, Days, NaiveTime, TimeZone as _, Utc};
use holdfast_proto::{
    booking::v1::GetAvailabilityRequest,
    catalog::v1::{
        CreateEventRequest, CreateShowRequest, CreateVenueRequest, Event, GetShowRequest,
        ImportPlanRequest, Price, PublishShowRequest, Show, ShowRules, Venue,
    },
};
use holdfast_types::{ErrorCode, ShowState};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{error::Error, operator::Operator};

/// A real plan of 738 seats; `data/seating/README.md` says whose.
const PLAN: &[u8] = include_bytes!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../data/seating/stadium-738.json"
));

/// Prices of the four categories that the plan's seats use, in cents. Ours: the plan has none.
const PRICES: [(&str, i64); 4] = [
    ("Category I", 8900),
    ("Category II", 6900),
    ("Category IV", 4500),
    ("Category V", 2900),
];

/// How far ahead a new demo show is.
const DAYS_AHEAD: u64 = 60;

/// Demo shows looked at: with one sold out a day this lasts for years.
const SHOWS_MAX: u32 = 2_000;

/// Loads what is missing and gives the show that is on sale now.
///
/// # Errors
/// What catalog-svc says.
pub(crate) async fn ensure(organiser: &Operator, now: DateTime<Utc>) -> Result<Show, Error> {
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"https://holdfast.example/demo/1");
    let id = |name: &str| {
        Uuid::new_v5(&namespace, name.as_bytes())
            .as_bytes()
            .to_vec()
    };

    for number in 1..=SHOWS_MAX {
        let show_id = id(&format!("show {number}"));
        let show = match get(organiser, &show_id).await? {
            Some(show) => show,
            None => make(organiser, &id, show_id, now).await?,
        };
        // A draft that was left behind and is past can't be put on sale any more.
        if show.starts_at_ms <= now.timestamp_millis() {
            continue;
        }
        let show = publish_draft(organiser, show).await?;
        let selling = show.state == ShowState::OnSale.as_str();
        if selling && !sold_out(organiser, &show).await? {
            return Ok(show);
        }
    }
    Err(anyhow::anyhow!("the first {SHOWS_MAX} demo shows are all past or sold out").into())
}

async fn get(organiser: &Operator, show_id: &[u8]) -> Result<Option<Show>, Error> {
    let request = GetShowRequest {
        show_id: show_id.to_vec(),
    };
    match organiser
        .catalog()?
        .get_show(organiser.request(request))
        .await
    {
        Ok(answer) => Ok(answer.into_inner().show),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(failed("look for the demo show", &status)),
    }
}

async fn make(
    organiser: &Operator,
    id: &impl Fn(&str) -> Vec<u8>,
    show_id: Vec<u8>,
    now: DateTime<Utc>,
) -> Result<Show, Error> {
    let venue = Venue {
        venue_id: id("venue"),
        name: "Holdfast Demo Stadium".into(),
        address: "Demoallee 1".into(),
        city: "Berlin".into(),
        country: "DE".into(),
        latitude: 52.5145,
        longitude: 13.2395,
        time_zone: "Europe/Berlin".into(),
        ..Default::default()
    };
    let event = Event {
        event_id: id("event"),
        title: "Holdfast Demo Concert".into(),
        description: "A show to try things with: real seats, prices of ours, no music.".into(),
        category: "music".into(),
        ..Default::default()
    };
    let plan = ImportPlanRequest {
        plan_id: id("plan"),
        venue_id: id("venue"),
        name: "Stadium, 738 seats".into(),
        plan_json: PLAN.to_vec(),
        ..Default::default()
    };
    let show = CreateShowRequest {
        show_id,
        event_id: id("event"),
        plan_id: id("plan"),
        starts_at_ms: start(now)?.timestamp_millis(),
        currency: "EUR".into(),
        prices: PRICES
            .iter()
            .map(|(category, amount)| Price {
                category: (*category).to_owned(),
                amount: *amount,
                ..Price::default()
            })
            .collect(),
        rules: Some(ShowRules::default()),
        ..Default::default()
    };
    let mut catalog = organiser.catalog()?;
    there(
        catalog
            .create_venue(organiser.request(CreateVenueRequest {
                venue: Some(venue),
                ..Default::default()
            }))
            .await,
        "make the demo venue",
    )?;
    there(
        catalog.import_plan(organiser.request(plan)).await,
        "import the demo plan",
    )?;
    there(
        catalog
            .create_event(organiser.request(CreateEventRequest {
                event: Some(event),
                ..Default::default()
            }))
            .await,
        "make the demo event",
    )?;
    let made = catalog
        .create_show(organiser.request(show))
        .await
        .map_err(|s| failed("make the demo show", &s))?;
    made.into_inner().show.ok_or_else(|| {
        anyhow::anyhow!("catalog-svc made a demo show and told nothing of it").into()
    })
}

/// Done, or was there already: an older version of this program may have written other words.
fn there<T>(answer: Result<T, Status>, what: &str) -> Result<(), Error> {
    match answer {
        Err(status)
            if holdfast_mesh::Failure::from_status(&status).code() != ErrorCode::AlreadyExists =>
        {
            Err(failed(what, &status))
        }
        _ => Ok(()),
    }
}

async fn publish_draft(organiser: &Operator, show: Show) -> Result<Show, Error> {
    if show.state != ShowState::Draft.as_str() {
        return Ok(show);
    }
    let request = PublishShowRequest {
        show_id: show.show_id,
    };
    let answer = organiser
        .catalog()?
        .publish_show(organiser.request(request))
        .await;
    let answer = answer.map_err(|status| failed("put the demo show on sale", &status))?;
    answer.into_inner().show.ok_or_else(|| {
        anyhow::anyhow!("catalog-svc published a show and told nothing of it").into()
    })
}

async fn sold_out(organiser: &Operator, show: &Show) -> Result<bool, Error> {
    let request = GetAvailabilityRequest {
        show_id: show.show_id.clone(),
        section: String::new(),
    };
    let answer = organiser
        .booking()?
        .get_availability(organiser.request(request))
        .await;
    let answer = answer.map_err(|status| failed("count the demo show's free seats", &status))?;
    Ok(!answer
        .into_inner()
        .seats
        .iter()
        .any(|seat| seat.state == "AVAILABLE" || seat.state == "HELD"))
}

/// 20:00 in Berlin, 60 days from `now`.
fn start(now: DateTime<Utc>) -> anyhow::Result<DateTime<chrono_tz::Tz>> {
    let zone = chrono_tz::Europe::Berlin;
    let evening = NaiveTime::from_hms_opt(20, 0, 0).expect("a time of day");
    let day = now
        .with_timezone(&zone)
        .date_naive()
        .checked_add_days(Days::new(DAYS_AHEAD));
    day.and_then(|day| zone.from_local_datetime(&day.and_time(evening)).single())
        .ok_or_else(|| anyhow::anyhow!("the machine's clock is beyond the calendar"))
}

fn failed(what: &str, status: &Status) -> Error {
    Error::from_status(what, status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_show_is_in_the_evening_sixty_days_ahead_over_a_change_of_summer_time() {
        let now = "2026-03-01T23:30:00Z".parse().unwrap();
        assert_eq!(
            start(now).unwrap().to_rfc3339(),
            "2026-05-01T20:00:00+02:00"
        );
    }

    #[test]
    fn every_category_that_seats_use_has_a_price() {
        let plan: serde_json::Value = serde_json::from_slice(PLAN).unwrap();
        let list = |v: &serde_json::Value| v.as_array().unwrap().clone();
        let mut used: Vec<String> = list(&plan["zones"])
            .iter()
            .flat_map(|zone| list(&zone["rows"]))
            .flat_map(|row| list(&row["seats"]))
            .map(|seat| seat["category"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(used.len(), 738);
        used.sort();
        used.dedup();
        assert_eq!(used, PRICES.map(|(category, _)| category));
    }
}
