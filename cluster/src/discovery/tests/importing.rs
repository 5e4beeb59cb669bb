//! What is taken over of what was read, and what is told of the rest.

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::{checked, event_of, options, performance, planned};
use crate::discovery::{
    import::{Batch, Input, Report, Seen, check},
    plan::Draft,
    read::Status,
    shift::Shift,
};

#[test]
fn a_show_out_of_the_bounds_of_time_is_told_and_times_of_its_sale_are_dropped() {
    let far = |start: &str| {
        let mut event = event_of(2027);
        event["dates"]["start"] = json!({ "localDate": start, "localTime": "20:00:00" });
        event.to_string().into_bytes()
    };
    for start in ["1899-12-31", "2200-01-02", "9999-12-31"] {
        let found = checked("far.json", far(start), Shift::Years(0)).unwrap();
        assert_eq!((found.events, found.bad), (0, 1), "{start}");
        let told = "far.json:1: dates.start (event \"G5diZfkn0B-bh\"): is, after moving, not from \
                    1970 to 2199";
        assert_eq!(found.mistakes.first, [told]);
    }
    let moved = checked("far.json", far("2100-07-28"), Shift::Years(150)).unwrap();
    assert_eq!(moved.bad, 1);
    assert_eq!(
        checked("far.json", far("2199-12-30"), Shift::Years(0))
            .unwrap()
            .bad,
        0
    );

    let mut event = event_of(2027);
    event["sales"]["public"]["endDateTime"] = json!("2999-12-31T00:00:00Z");
    let kept = planned(event.to_string().as_bytes(), Shift::Years(0));
    assert_eq!(kept.show.sale_ends_at_ms, None);
    assert!(kept.show.sale_starts_at_ms.is_some() && kept.draft.is_none());
}

#[test]
fn the_first_of_two_things_with_one_id_is_taken_in_whatever_batch() {
    let with = |id: &str, venue: &str| {
        let mut event = event_of(2027);
        event["id"] = json!(id);
        event["_embedded"]["venues"][0]["name"] = json!(venue);
        planned(event.to_string().as_bytes(), Shift::Years(0))
    };
    let mut seen = Seen::default();
    let (mut first, mut second) = (Batch::default(), Batch::default());
    assert!(first.add(with("one", "Garden"), &mut seen));
    assert!(second.add(with("two", "Gardens"), &mut seen));
    assert!(!second.add(with("one", "Garden"), &mut seen));
    let sizes = |batch: &Batch| {
        let request = &batch.request;
        let things = (request.venues.len(), request.performers.len());
        (things, request.events.len(), request.shows.len())
    };
    assert_eq!(sizes(&first), ((1, 1), 1, 1));
    assert_eq!(sizes(&second), ((0, 0), 1, 1));
}

#[test]
fn a_show_on_sale_that_the_source_called_off_is_told() {
    let cancelled = Draft::Status("cancelled".into());
    let mut report = Report::default();
    for (state, draft) in [
        ("ON_SALE", Some(&cancelled)),
        ("ON_SALE", Some(&cancelled)),
        ("ON_SALE", Some(&Draft::Past)),
        ("ON_SALE", None),
        ("DRAFT", Some(&cancelled)),
        ("CANCELLED", Some(&cancelled)),
    ] {
        report.add(state, draft);
    }
    let why = "that the file calls \"cancelled\"".to_owned();
    assert_eq!(report.on_sale, 4);
    assert_eq!(report.contradicted, [(why.clone(), 2)].into());
    assert_eq!(report.drafts, [(why, 1)].into());

    // A cancelled event has no price range any more, which isn't the reason.
    let mut event = event_of(2027);
    event["dates"]["status"]["code"] = json!("cancelled");
    event["priceRanges"] = Value::Null;
    let planned = planned(event.to_string().as_bytes(), Shift::Years(0));
    assert_eq!(planned.draft, Some(cancelled));
}

#[test]
fn reasons_are_few_and_short() {
    let mut report = Report::default();
    for no in 0..60 {
        report.add("DRAFT", Some(&Draft::Status(no.to_string())));
    }
    report.add("DRAFT", Some(&Draft::Status("7".into())));
    assert_eq!(report.drafts.len(), 51);
    assert_eq!(report.drafts["that the file calls \"7\""], 2);
    assert_eq!(report.drafts["for other reasons"], 10);
    let mut event = event_of(2027);
    event["dates"]["status"]["code"] = json!("ü".repeat(1_000));
    let read = performance(event.to_string().as_bytes());
    assert_eq!(read.status, Status::Other("ü".repeat(40)));
}

#[test]
fn a_pipe_is_refused_without_waiting_for_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let (sender, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let found = check(
            &[Input::File(pipe)],
            &options(Shift::Auto),
            &ProgressBar::hidden(),
        );
        sender.send(found.map(|_| ()).unwrap_err().to_string())
    });
    let told = answer
        .recv_timeout(std::time::Duration::from_secs(20))
        .unwrap();
    assert!(told.contains("is no regular file"), "{told}");
}
