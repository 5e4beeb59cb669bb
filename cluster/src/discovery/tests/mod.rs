//! Reading events: the real files, and the same ones bent.

mod documents;
mod importing;
mod moving;

use std::io::Read;

use chrono::{DateTime, Utc};
use holdfast_proto::catalog::v1 as wire;
use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{
    document::{self, At, Broken},
    import::{Checked, Input, Options, check},
    notes::Mistake,
    plan::{self, Draft, Planned},
    raw,
    read::{self, Performance, Reading, Status},
    shift::Shift,
};
use crate::error::Error;

/// A document of one event: Radiohead at Madison Square Garden, 2016.
const EVENT: &[u8] = include_bytes!("../../../../data/discovery/event.json");
/// A page of one event: a golf tournament, 2016.
const PAGE: &[u8] = include_bytes!("../../../../data/discovery/events.json");

fn now() -> DateTime<Utc> {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn events_of(bytes: impl Read) -> (Vec<(At, raw::Event)>, Result<(), Broken>) {
    let mut events = Vec::new();
    let read = document::read(bytes, &mut |at, event| {
        events.extend(event.ok().map(|event| (at, event)));
        true
    });
    (events, read)
}

fn performance(bytes: &[u8]) -> Performance {
    let (mut events, read) = events_of(bytes);
    assert_eq!((read, events.len()), (Ok(()), 1));
    match read::read(events.remove(0).1) {
        Reading::Performance(performance) => *performance,
        other => panic!("{other:?}"),
    }
}

fn planned(bytes: &[u8], shift: Shift) -> Planned {
    plan::plan(performance(bytes), shift, 1_000, now()).unwrap()
}

#[test]
fn a_real_event_is_read_whole() {
    let read = performance(EVENT);
    assert_eq!(
        (read.id.as_str(), read.title.as_str()),
        ("G5diZfkn0B-bh", "Radiohead")
    );
    assert!(read.description.starts_with("No tickets will be delivered"));
    let words = read.classification.unwrap();
    assert_eq!(
        (words.genre.as_str(), words.sub_genre.as_str()),
        ("Rock", "Alternative Rock")
    );
    assert_eq!(read.performers.len(), 1);
    assert_eq!(read.performers[0].id, "K8vZ91713wV");
    let venue = read.venue;
    assert_eq!(venue.name, "Madison Square Garden");
    assert_eq!(venue.address, "7th Ave & 32nd Street");
    assert_eq!(
        (venue.city.as_str(), venue.region.as_str()),
        ("New York", "New York")
    );
    assert_eq!(
        (venue.country.as_str(), venue.postal_code.as_str()),
        ("US", "10001")
    );
    assert_eq!(
        (venue.latitude, venue.longitude),
        (40.749_706_20, -73.991_600_60)
    );
    assert_eq!(venue.time_zone, chrono_tz::America::New_York);
    assert_eq!(read.start.local.to_string(), "2016-07-27 19:30:00");
    assert!(!read.start.time_to_be_announced);
    assert_eq!(
        read.sale_starts_at.unwrap().to_rfc3339(),
        "2016-03-18T14:00:00+00:00"
    );
    let prices = read.prices.unwrap();
    assert_eq!(
        (prices.currency.as_str(), prices.min, prices.max),
        ("USD", 8_000, 8_000)
    );
    assert_eq!(read.status, Status::OnSale);
}

#[test]
fn a_real_page_has_an_event_without_price_and_time() {
    let (events, read) = events_of(PAGE);
    assert_eq!(read, Ok(()));
    let at = At {
        line: 14,
        path: "_embedded.events[0]".to_owned(),
    };
    assert_eq!(events[0].0, at);
    let read = performance(PAGE);
    assert_eq!(read.title, "WGC Cadillac Championship - Sunday Ticket");
    assert_eq!(read.start.local.to_string(), "2016-03-06 00:00:00");
    assert!(read.start.time_to_be_announced);
    assert_eq!((read.prices, read.status), (None, Status::OffSale));
}

#[test]
fn a_moved_show_is_sold_and_one_without_price_or_time_stays_a_draft() {
    let sold = planned(EVENT, Shift::Auto);
    assert_eq!(sold.draft, None);
    let show = &sold.show;
    assert_eq!(show.external_id, "G5diZfkn0B-bh+11y");
    assert_eq!(show.event_external_id, "G5diZfkn0B-bh");
    let at = |ms| DateTime::from_timestamp_millis(ms).unwrap().to_rfc3339();
    assert_eq!(at(show.starts_at_ms), "2027-07-28T23:30:00+00:00");
    // Ten years for the begin of the sale, so that it is open now; eleven for its end.
    assert_eq!(
        at(show.sale_starts_at_ms.unwrap()),
        "2026-03-20T14:00:00+00:00"
    );
    assert_eq!(
        at(show.sale_ends_at_ms.unwrap()),
        "2027-07-28T21:30:00+00:00"
    );
    assert_eq!(
        show.price_range,
        Some(wire::PriceRange {
            min: 8_000,
            max: 8_000
        })
    );
    assert!(show.announced);

    let draft = planned(PAGE, Shift::Auto);
    assert_eq!(draft.draft, Some(Draft::NoPrice));
    assert_eq!(at(draft.show.starts_at_ms), "2027-03-07T05:00:00+00:00");
    assert_eq!(
        (draft.show.currency.as_str(), draft.show.price_range),
        ("USD", None)
    );

    let as_it_is = planned(EVENT, Shift::Years(0));
    assert_eq!(as_it_is.draft, Some(Draft::Past));
    assert_eq!(as_it_is.show.external_id, "G5diZfkn0B-bh");
}

#[test]
fn what_the_file_says_of_a_sale_decides_when_nothing_is_moved() {
    let draft = |bend: &dyn Fn(&mut Value)| {
        let mut event = event_of(2027);
        bend(&mut event);
        planned(event.to_string().as_bytes(), Shift::Years(0)).draft
    };
    assert_eq!(draft(&|_| {}), None);
    let cases: [(&str, Value, Draft); 6] = [
        ("/dates/status/code", json!("offsale"), Draft::SaleNotOpen),
        (
            "/dates/status/code",
            json!("cancelled"),
            Draft::Status("cancelled".into()),
        ),
        (
            "/sales/public/startDateTime",
            json!("2027-01-01T00:00:00Z"),
            Draft::SaleNotOpen,
        ),
        (
            "/sales/public/endDateTime",
            json!("2026-11-01T00:00:00Z"),
            Draft::SaleNotOpen,
        ),
        (
            "/dates/start/timeTBA",
            json!(true),
            Draft::TimeToBeAnnounced,
        ),
        ("/priceRanges", Value::Null, Draft::NoPrice),
    ];
    for (pointer, value, expected) in cases {
        let found = draft(&|event| *event.pointer_mut(pointer).unwrap() = value.clone());
        assert_eq!(found, Some(expected), "{pointer}");
    }
}

/// The real event, that year, with its sale open since 2026.
fn event_of(year: i32) -> Value {
    let mut event: Value = serde_json::from_slice(EVENT).unwrap();
    event["dates"]["start"]["localDate"] = json!(format!("{year}-07-28"));
    event["dates"]["start"]["dateTime"] = json!(format!("{year}-07-28T23:30:00Z"));
    event["sales"]["public"]["startDateTime"] = json!("2026-01-01T00:00:00Z");
    event["sales"]["public"]["endDateTime"] = json!(format!("{year}-07-28T21:30:00Z"));
    event
}

#[test]
fn each_mistake_is_told_with_its_field() {
    let venue = "/_embedded/venues/0";
    let cases: [(&str, Value, &str, &str); 20] = [
        ("/id", Value::Null, "id", "is missing"),
        ("/name", json!("  "), "name", "is missing"),
        ("/name", json!("x".repeat(401)), "name", "longer than 400"),
        ("/name", json!("a\u{7}b"), "name", "control character"),
        (
            "/_embedded/venues",
            json!([]),
            "_embedded.venues",
            "no venue",
        ),
        ("/_embedded", Value::Null, "_embedded.venues", "no venue"),
        (
            "/dates/timezone",
            json!("Mars/Olympus"),
            "dates.timezone",
            "\"Mars/Olympus\" is no time zone",
        ),
        (
            &format!("{venue}/timezone"),
            json!("EST5"),
            "_embedded.venues[0].timezone",
            "\"EST5\"",
        ),
        (
            &format!("{venue}/location/latitude"),
            json!("95.2"),
            "_embedded.venues[0].location.latitude",
            "\"95.2\" is out of range: must be from -90 to 90",
        ),
        (
            &format!("{venue}/location/longitude"),
            json!(-181),
            "_embedded.venues[0].location.longitude",
            "-181",
        ),
        (
            &format!("{venue}/location/longitude"),
            json!("west"),
            "_embedded.venues[0].location.longitude",
            "west",
        ),
        (
            &format!("{venue}/location"),
            Value::Null,
            "_embedded.venues[0].location.latitude",
            "is missing",
        ),
        (
            &format!("{venue}/country/countryCode"),
            json!("USA"),
            "_embedded.venues[0].country.countryCode",
            "two upper-case letters",
        ),
        (
            &format!("{venue}/id"),
            Value::Null,
            "_embedded.venues[0].id",
            "is missing",
        ),
        (
            &format!("{venue}/city"),
            Value::Null,
            "_embedded.venues[0].city.name",
            "is missing",
        ),
        (
            "/priceRanges/0/currency",
            json!("XYZ"),
            "priceRanges[0].currency",
            "\"XYZ\" is no currency",
        ),
        (
            "/priceRanges/0/min",
            json!(81),
            "priceRanges[0].max",
            "less than min",
        ),
        (
            "/priceRanges/0/min",
            json!(-1),
            "priceRanges[0].min",
            "out of range",
        ),
        (
            "/dates/start/dateTime",
            json!("yesterday"),
            "dates.start.dateTime",
            "\"yesterday\"",
        ),
        (
            "/sales/public/endDateTime",
            json!("2016-03-18T14:00:00Z"),
            "sales.public.endDateTime",
            "later than",
        ),
    ];
    for (pointer, value, field, why) in cases {
        let mut event: Value = serde_json::from_slice(EVENT).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        let (mut events, read) = events_of(event.to_string().as_bytes());
        assert_eq!(read, Ok(()), "{pointer}");
        let Reading::Mistakes(mistakes) = read::read(events.remove(0).1) else {
            panic!("{pointer} was taken");
        };
        let told = |mistake: &&Mistake| mistake.field == field && mistake.why.contains(why);
        assert!(
            mistakes.iter().find(told).is_some(),
            "{pointer}: {mistakes:?}"
        );
    }
}

#[test]
fn what_is_made_for_testing_or_has_no_date_is_skipped() {
    for (pointer, value) in [
        ("/test", json!(true)),
        ("/_embedded/venues/0/test", json!(true)),
    ] {
        let mut event: Value = serde_json::from_slice(EVENT).unwrap();
        *event.pointer_mut(pointer).unwrap() = value;
        let (mut events, _) = events_of(event.to_string().as_bytes());
        let id = "G5diZfkn0B-bh".to_owned();
        assert_eq!(read::read(events.remove(0).1), Reading::Test(id));
    }
    let mut event: Value = serde_json::from_slice(EVENT).unwrap();
    event["dates"]["start"] = json!({ "dateTBD": true });
    let (mut events, _) = events_of(event.to_string().as_bytes());
    assert!(matches!(read::read(events.remove(0).1), Reading::NoDate(_)));
}

#[test]
fn money_is_counted_in_the_currencys_own_minor_units() {
    for (currency, min, max, expected) in [
        ("USD", json!(49.5), json!(80), (4_950, 8_000)),
        ("JPY", json!(8_800), json!(12_000.0), (8_800, 12_000)),
        ("KWD", json!(1.005), json!(2), (1_005, 2_000)),
        ("EUR", json!(0.29), Value::Null, (29, 29)),
    ] {
        let mut event: Value = serde_json::from_slice(EVENT).unwrap();
        event["priceRanges"][0] = json!({ "currency": currency, "min": min, "max": max });
        let prices = performance(event.to_string().as_bytes()).prices.unwrap();
        assert_eq!((prices.min, prices.max), expected, "{currency}");
    }
}

#[test]
fn a_stand_in_for_a_time_is_none() {
    let mut event = event_of(2027);
    event["dates"]["start"] =
        json!({ "localDate": "2027-07-28", "dateTime": "1900-01-01T06:00:00Z" });
    let planned = planned(event.to_string().as_bytes(), Shift::Years(0));
    assert!(planned.show.time_to_be_announced);
    assert_eq!(planned.draft, Some(Draft::TimeToBeAnnounced));
}

fn options(shift: Shift) -> Options {
    Options {
        source: "test".into(),
        shift,
        hall_seats: 1_000,
        publish: true,
        now: now(),
    }
}

fn checked(name: &'static str, bytes: Vec<u8>, shift: Shift) -> Result<Checked, Error> {
    let options = options(shift);
    let input = Input::BuiltIn(name, Box::leak(bytes.into_boxed_slice()));
    check(&[input], &options, &ProgressBar::hidden())
}

#[test]
fn mistakes_are_told_with_file_line_path_and_event() {
    let mut bad: Value = serde_json::from_slice(EVENT).unwrap();
    bad["dates"]["timezone"] = json!("Nowhere");
    let page = format!(
        "{{\"_embedded\": {{\"events\": [\n{},\n{bad}]}}}}",
        event_of(2027)
    );
    let found = checked("some.json", page.into_bytes(), Shift::Years(0)).unwrap();
    assert_eq!((found.events, found.bad), (1, 1));
    let told = "some.json:3: _embedded.events[1].dates.timezone (event \"G5diZfkn0B-bh\"): \
                \"Nowhere\" is no time zone of the IANA database";
    assert_eq!(found.mistakes.first, [told]);

    let cut = checked("cut.json", EVENT[..2_000].to_vec(), Shift::Years(0)).unwrap_err();
    let cut = cut.to_string();
    assert!(
        cut.starts_with("cut.json:") && cut.contains("ends in the middle"),
        "{cut}"
    );
}
