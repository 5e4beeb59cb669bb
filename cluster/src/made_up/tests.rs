//! Made-up catalogues: always the same, each the begin of a larger one, and good for catalog-svc.

use std::collections::HashSet;

use chrono::{DateTime, Days};
use holdfast_types::Currency;

use super::*;

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 1, 1).unwrap()
}

fn catalogue(seed: u64, shows: u64) -> Vec<UpsertCatalogueRequest> {
    Catalogue::new(seed, first_day(), shows).collect()
}

#[test]
fn every_line_of_the_file_is_a_city() {
    assert_eq!(Cities::read().len(), 6_204);
}

#[test]
fn the_same_seed_gives_the_same_catalogue_and_another_another() {
    let once = catalogue(7, 2_000);
    assert_eq!(once, catalogue(7, 2_000));
    assert_ne!(once, catalogue(8, 2_000));
    let smaller = catalogue(7, 1_000);
    assert_eq!(smaller[0], once[0]);
    assert_eq!(smaller[1].shows, once[1].shows[..200]);
}

#[test]
fn catalogues_of_this_release_are_those_of_the_next() {
    let batches = catalogue(1, 12);
    let show = &batches[0].shows[0];
    let event = batches[0].events[0].event.as_ref().unwrap();
    let venue = batches[0].venues[0].venue.as_ref().unwrap();
    insta::assert_debug_snapshot!((show, event, venue));
}

#[test]
fn batches_refer_to_what_they_or_earlier_ones_have() {
    let (mut venues, mut performers, mut events) = (HashSet::new(), HashSet::new(), HashSet::new());
    let (mut shows, mut halls) = (HashSet::new(), HashSet::new());
    for batch in catalogue(3, 5_000) {
        let items =
            batch.venues.len() + batch.performers.len() + batch.events.len() + batch.shows.len();
        assert!(items <= 2_000, "{items}");
        venues.extend(batch.venues.iter().map(|venue| {
            let words = venue.venue.as_ref().unwrap();
            assert!(words.time_zone.parse::<chrono_tz::Tz>().is_ok());
            assert!(words.latitude.abs() <= 90.0 && words.longitude.abs() <= 180.0);
            venue.external_id.clone()
        }));
        performers.extend(batch.performers.iter().map(|p| p.external_id.clone()));
        for event in &batch.events {
            assert!(
                event
                    .performer_external_ids
                    .iter()
                    .all(|id| performers.contains(id))
            );
            events.insert(event.external_id.clone());
        }
        let end = first_day() + Days::new(367);
        for show in &batch.shows {
            assert!(shows.insert(show.external_id.clone()));
            assert!(venues.contains(&show.venue_external_id));
            assert!(events.contains(&show.event_external_id));
            assert!(catalog_svc::hall::SEATS.contains(&show.hall_seats));
            halls.insert(show.hall_seats);
            let currency: Currency = show.currency.parse().unwrap();
            assert!(currency.minor_digits().is_some());
            if let Some(range) = show.price_range {
                assert!(
                    0 < range.min && range.min <= range.max && range.max <= 1_000_000_000,
                    "{show:?}"
                );
            }
            let day = DateTime::from_timestamp_millis(show.starts_at_ms)
                .unwrap()
                .date_naive();
            assert!(day + Days::new(2) > first_day() && day < end, "{show:?}");
            assert!(show.sale_starts_at_ms < show.sale_ends_at_ms);
        }
    }
    assert_eq!(shows.len(), 5_000);
    assert_eq!(
        (halls.iter().min(), halls.iter().max()),
        (Some(&1_000), Some(&100_000))
    );
}

#[test]
fn dice_are_even() {
    let mut counts = [0_u32; 10];
    for number in 0..20_000 {
        counts[Dice::of(1, "test", number).below(10) as usize] += 1;
    }
    assert!(
        counts.iter().all(|count| (1_800..2_200).contains(count)),
        "{counts:?}"
    );
}
