//! Venues and performers change: for the version that was read, within bounds, and all that names them says so.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    import::batch,
    news::take_news,
    world::{World, answer, assert_refused, event, id, refused_fields, token, venue, with},
};

/// How long what happens at once may take.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(20);

impl World {
    pub(crate) async fn update_venue(
        &mut self,
        token: &str,
        venue: wire::Venue,
        fields: &[&str],
        if_version: &str,
    ) -> Result<wire::Venue, Failure> {
        let request = wire::UpdateVenueRequest {
            venue: Some(venue),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            if_version: if_version.to_owned(),
        };
        answer(self.client.update_venue(with(token, request)).await).map(|a| a.venue.unwrap())
    }

    pub(crate) async fn rename(
        &mut self,
        token: &str,
        performer_id: &[u8],
        name: &str,
        if_version: &str,
    ) -> Result<wire::Performer, Failure> {
        let request = wire::UpdatePerformerRequest {
            performer: Some(wire::Performer {
                performer_id: performer_id.to_vec(),
                name: name.to_owned(),
                version: String::new(),
            }),
            fields: vec!["name".to_owned()],
            if_version: if_version.to_owned(),
        };
        answer(self.client.update_performer(with(token, request)).await)
            .map(|a| a.performer.unwrap())
    }

    async fn get_performer(&mut self, token: &str, id: &[u8]) -> Result<wire::Performer, Failure> {
        let request = wire::GetPerformerRequest {
            performer_id: id.to_vec(),
        };
        answer(self.client.get_performer(with(token, request)).await).map(|a| a.performer.unwrap())
    }

    async fn shows_in(&mut self, city: &str) -> Vec<wire::Show> {
        let request = wire::ListShowsRequest {
            city: city.to_owned(),
            ..Default::default()
        };
        let page = answer(self.client.list_shows(with("", request)).await);
        page.unwrap().shows
    }
}

fn types(news: Vec<(String, String, Vec<u8>)>) -> Vec<String> {
    let types = news.into_iter().map(|(event_type, ..)| event_type);
    types.collect()
}

#[sqlx::test]
async fn a_venue_changes_for_the_version_that_was_read_and_its_shows_say_so(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let announced = wire::CreateShowRequest {
        announced: true,
        ..world.prepared_show(&organiser).await
    };
    let draft = world.create_show(&organiser, announced).await.unwrap();
    let there = draft.venue.unwrap();
    take_news(&pool).await;

    let words = wire::Venue {
        name: " Stadion am See ".to_owned(),
        city: "Potsdam".to_owned(),
        ..there.clone()
    };
    let first = world
        .update_venue(&organiser, words.clone(), &["name", "city"], &there.version)
        .await
        .unwrap();
    assert_eq!(first.name, "Stadion am See");
    assert_eq!(first.address, there.address);
    assert_ne!(first.version, there.version);
    assert_eq!(types(take_news(&pool).await), ["VenueChanged"]);
    assert_eq!(world.shows_in("berlin").await, []);
    let shown = world.shows_in("potsdam").await;
    assert_eq!(shown[0].venue.as_ref(), Some(&first));
    let shown = world.show("", &draft.show_id).await.unwrap();
    assert_eq!(shown.venue.as_ref(), Some(&first));

    // Somebody who read it before would undo that.
    let street = wire::Venue {
        address: "Seeweg 2".to_owned(),
        ..words.clone()
    };
    let stale = world
        .update_venue(&organiser, street, &["address"], &there.version)
        .await;
    assert_refused(stale, ErrorCode::PreconditionFailed);
    // But the change that is made already is told again, and nobody is.
    let again = world
        .update_venue(&organiser, words.clone(), &["name", "city"], &there.version)
        .await
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(types(take_news(&pool).await), [""; 0]);

    let other = world
        .update_venue(&token("organiser"), words.clone(), &["name"], "")
        .await;
    assert_refused(other, ErrorCode::VenueNotFound);
    let unknown = wire::Venue {
        venue_id: id(),
        ..words.clone()
    };
    let unknown = world.update_venue(&organiser, unknown, &["name"], "").await;
    assert_refused(unknown, ErrorCode::VenueNotFound);
    let admin = world
        .update_venue(&token("admin"), there.clone(), &["city"], "")
        .await
        .unwrap();
    assert_eq!(admin.city, "Berlin");
}

#[sqlx::test]
async fn changes_of_a_venue_are_bounded_as_new_ones_are(pool: PgPool) {
    let mut world = World::start(pool).await;
    let owner = token("venue_owner");
    let there = world.create_venue(&owner, venue()).await.unwrap();
    let bent = wire::Venue {
        venue_id: there.venue_id.clone(),
        name: " ".to_owned(),
        address: "a".repeat(601),
        city: "Ber\u{202e}lin".to_owned(),
        country: "Germany".to_owned(),
        latitude: 90.1,
        longitude: f64::NAN,
        time_zone: "Mars/Olympus".to_owned(),
        postal_code: "1".repeat(41),
        region: "\0".to_owned(),
        version: String::new(),
    };
    let all = [
        "name",
        "address",
        "city",
        "country",
        "latitude",
        "longitude",
        "time_zone",
        "postal_code",
        "region",
    ];
    let refused = world.update_venue(&owner, bent.clone(), &all, "").await;
    assert_eq!(
        refused_fields(refused),
        all.map(|field| format!("venue.{field}"))
    );
    for fields in [&["owner_id"][..], &[]] {
        let refused = world.update_venue(&owner, bent.clone(), fields, "").await;
        assert_eq!(refused_fields(refused), ["fields"]);
    }
    let request = with(&owner, wire::UpdateVenueRequest::default());
    let refused = answer(world.client.update_venue(request).await);
    assert_eq!(refused_fields(refused), ["venue"]);
    // Where nothing was sold, it may turn out to be elsewhere.
    let moved = wire::Venue {
        latitude: 48.1,
        longitude: 11.6,
        time_zone: "Europe/Vienna".to_owned(),
        ..there.clone()
    };
    let place = ["latitude", "longitude", "time_zone"];
    let answered = world
        .update_venue(&owner, moved.clone(), &place, &there.version)
        .await
        .unwrap();
    let version = answered.version.clone();
    assert_eq!(answered, wire::Venue { version, ..moved });
}

#[sqlx::test]
async fn a_venue_stays_where_it_is_from_when_a_show_may_be_on_sale(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let there = draft.venue.clone().unwrap();
    let in_zone = |zone: &str| wire::Venue {
        time_zone: zone.to_owned(),
        ..there.clone()
    };
    let vienna = in_zone("Europe/Vienna");
    let changed = world
        .update_venue(&organiser, vienna, &["time_zone"], "")
        .await
        .unwrap();
    assert_eq!(changed.time_zone, "Europe/Vienna");

    // A draft that was called off was never on sale.
    let off = wire::CreateShowRequest {
        show_id: id(),
        ..crate::world::show(&draft.event.unwrap().event_id, &draft.plan_id)
    };
    let off = world.create_show(&organiser, off).await.unwrap();
    world
        .change_state(&organiser, &off.show_id, "CANCELLED")
        .await
        .unwrap();
    let rome = in_zone("Europe/Rome");
    world
        .update_venue(&organiser, rome.clone(), &["time_zone"], "")
        .await
        .unwrap();

    // Asked for, and nobody knows whether it was done.
    let away = Failure::new(ErrorCode::Unavailable, "away");
    world.inventory.refuse_next(away);
    let refused = world.publish(&organiser, &draft.show_id).await;
    assert_refused(refused, ErrorCode::Unavailable);
    let oslo = in_zone("Europe/Oslo");
    let show = Uuid::from_slice(&draft.show_id).unwrap();
    let refused = world.update_venue(&organiser, oslo.clone(), &["time_zone"], "");
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidState);
    let begun =
        format!("time_zone can't be changed any more: putting show {show} on sale has begun");
    assert!(refused.message().starts_with(&begun), "{refused:?}");
    world.publish(&organiser, &draft.show_id).await.unwrap();
    world
        .change_state(&organiser, &draft.show_id, "CANCELLED")
        .await
        .unwrap();
    // Whoever has tickets of it reads when it would have been.
    let refused = world.update_venue(&organiser, oslo, &["time_zone"], "");
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidState);
    let was =
        format!("time_zone can't be changed any more: show {show} at the venue was put on sale");
    assert!(refused.message().starts_with(&was), "{refused:?}");
    // As it is already is no change.
    world
        .update_venue(&organiser, rome, &["time_zone"], "")
        .await
        .unwrap();
}

#[sqlx::test]
async fn a_show_that_was_called_off_and_never_opened_keeps_no_venue_where_it_is(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let away = Failure::new(ErrorCode::Unavailable, "away");
    world.inventory.refuse_next(away.clone());
    let refused = world.publish(&organiser, &draft.show_id).await;
    assert_refused(refused, ErrorCode::Unavailable);
    let moved = wire::Venue {
        city: "Potsdam".to_owned(),
        ..draft.venue.unwrap()
    };
    // What can't be asked may have been opened.
    world.inventory.refuse_next(away);
    let refused = world
        .change_state(&organiser, &draft.show_id, "CANCELLED")
        .await;
    assert_refused(refused, ErrorCode::Unavailable);
    let refused = world.update_venue(&organiser, moved.clone(), &["city"], "");
    assert_refused(refused.await, ErrorCode::InvalidState);

    let unknown = Failure::new(ErrorCode::ShowNotFound, "there is no such show");
    world.inventory.refuse_next(unknown);
    world
        .change_state(&organiser, &draft.show_id, "CANCELLED")
        .await
        .unwrap();
    let moved = world.update_venue(&organiser, moved, &["city"], "");
    assert_eq!(moved.await.unwrap().city, "Potsdam");
}

#[sqlx::test]
async fn whoever_puts_a_show_on_sale_waits_for_its_venue_to_be_moved(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    // As a change of the venue has it.
    let mut moving = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM catalog.venues FOR NO KEY UPDATE")
        .execute(&mut *moving)
        .await
        .unwrap();
    let publishing = tokio::spawn({
        let mut client = world.client();
        let request = wire::PublishShowRequest {
            show_id: draft.show_id.clone(),
        };
        let request = with(&organiser, request);
        async move { answer(client.publish_show(request).await) }
    });
    somebody_waits(&pool).await;
    assert_eq!(world.inventory.calls(), []);
    sqlx::query("UPDATE catalog.venues SET time_zone = 'Europe/Vienna'")
        .execute(&mut *moving)
        .await
        .unwrap();
    moving.commit().await.unwrap();
    let published = publishing.await.unwrap().unwrap().show.unwrap();
    assert_eq!(published.venue.unwrap().time_zone, "Europe/Vienna");
    let moved = wire::Venue {
        time_zone: "Europe/Rome".to_owned(),
        ..draft.venue.unwrap()
    };
    let refused = world
        .update_venue(&organiser, moved, &["time_zone"], "")
        .await;
    assert_refused(refused, ErrorCode::InvalidState);
}

#[sqlx::test]
async fn a_batch_moves_no_venue_of_a_show_that_was_put_on_sale(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut batch = batch();
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let show_id = &first.upserted[0].show_id;
    fn place(batch: &mut wire::UpsertCatalogueRequest) -> &mut wire::Venue {
        batch.venues[0].venue.as_mut().unwrap()
    }
    place(&mut batch).time_zone = "Europe/Vienna".to_owned();
    let moved = world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(moved.venues.unwrap().updated, 1);
    world.publish(&organiser, show_id).await.unwrap();

    place(&mut batch).time_zone = "Europe/Rome".to_owned();
    place(&mut batch).latitude += 1.0;
    place(&mut batch).city = "Roma".to_owned();
    place(&mut batch).country = "IT".to_owned();
    let kept = world.upsert(&organiser, &batch).await.unwrap();
    let tally = kept.venues.unwrap();
    assert_eq!((tally.kept, tally.unchanged, tally.updated), (1, 0, 0));
    place(&mut batch).name = "Under another name".to_owned();
    let renamed = world.upsert(&organiser, &batch).await.unwrap();
    let tally = renamed.venues.unwrap();
    assert_eq!((tally.kept, tally.unchanged, tally.updated), (1, 0, 0));
    let there = world.show("", show_id).await.unwrap().venue.unwrap();
    let asked = place(&mut batch).clone();
    let expected = wire::Venue {
        venue_id: there.venue_id.clone(),
        version: there.version.clone(),
        city: venue().city,
        country: venue().country,
        latitude: venue().latitude,
        time_zone: "Europe/Vienna".to_owned(),
        ..asked
    };
    assert_eq!(there, expected);
}

/// Until somebody waits for a lock of another.
async fn somebody_waits(pool: &PgPool) {
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waiting = async {
        while sqlx::query_scalar::<_, i64>(waits)
            .fetch_one(pool)
            .await
            .unwrap()
            == 0
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, waiting).await.unwrap();
}

#[sqlx::test]
async fn a_batch_moves_no_venue_that_was_moved_and_sold_at_meanwhile(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let mut batch = batch();
    batch.venues.push(wire::UpsertVenue {
        external_id: "v2".to_owned(),
        ..batch.venues[0].clone()
    });
    batch.shows.push(wire::UpsertShow {
        venue_external_id: "v2".to_owned(),
        ..crate::import::show("s2")
    });
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let mut there = Vec::new();
    for (index, upserted) in first.upserted.iter().enumerate() {
        let show = world.show("", &upserted.show_id).await.unwrap();
        there.push((show.venue.unwrap().venue_id, index));
    }
    there.sort();
    // Rows are taken in the order of ids: the batch waits for the first, and hasn't come to the second.
    let [(first_id, first_index), (second_id, second_index)] = &there[..] else {
        panic!("two venues");
    };
    let mut changing = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM catalog.venues WHERE uuid_send(venue_id) = $1 FOR NO KEY UPDATE")
        .bind(first_id)
        .execute(&mut *changing)
        .await
        .unwrap();
    let elsewhere = batch.venues[*first_index].venue.as_mut().unwrap();
    elsewhere.latitude += 1.0;
    let upserting = tokio::spawn({
        let mut importer = world.importer();
        let request = with(&organiser, batch);
        async move { answer(importer.upsert_catalogue(request).await) }
    });
    somebody_waits(&pool).await;
    let moved = wire::Venue {
        venue_id: second_id.clone(),
        time_zone: "Europe/Vienna".to_owned(),
        ..venue()
    };
    let moved = world.update_venue(&organiser, moved, &["time_zone"], "");
    let moved = moved.await.unwrap();
    let show_id = &first.upserted[*second_index].show_id;
    world.publish(&organiser, show_id).await.unwrap();
    changing.commit().await.unwrap();

    let upserted = upserting.await.unwrap().unwrap();
    let tally = upserted.venues.unwrap();
    assert_eq!((tally.updated, tally.kept, tally.unchanged), (1, 1, 0));
    let there = world.show("", show_id).await.unwrap().venue.unwrap();
    assert_eq!(there, moved);
}

#[sqlx::test]
async fn a_paused_show_goes_on_while_its_venue_is_changed(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let show_id = world.draft(&organiser).await.show_id;
    world.publish(&organiser, &show_id).await.unwrap();
    world
        .change_state(&organiser, &show_id, "PAUSED")
        .await
        .unwrap();
    let mut changing = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM catalog.venues FOR NO KEY UPDATE")
        .execute(&mut *changing)
        .await
        .unwrap();
    let resumed = world.publish(&organiser, &show_id);
    let resumed = tokio::time::timeout(WAIT_MAX, resumed).await.unwrap();
    assert_eq!(resumed.unwrap().state, "ON_SALE");
}

/// Whose events are to be told as changed.
async fn renamed(pool: &PgPool) -> Vec<Vec<u8>> {
    let taken = "DELETE FROM catalog.performer_news RETURNING uuid_send(performer_id)";
    sqlx::query_scalar(taken).fetch_all(pool).await.unwrap()
}

#[sqlx::test]
async fn a_performer_changes_for_the_version_that_was_read_and_its_events_say_so(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let there = world.performer(&organiser, "The Harbour").await.unwrap();
    let id = there.performer_id.clone();
    assert_eq!(world.get_performer(&organiser, &id).await.unwrap(), there);
    assert_eq!(
        world.get_performer(&token("admin"), &id).await.unwrap(),
        there
    );
    let billed = wire::Event {
        performers: vec![there.clone()],
        ..event()
    };
    let billed = world.create_event(&organiser, billed).await.unwrap();
    take_news(&pool).await;

    let first = world
        .rename(&organiser, &id, " The Lights ", &there.version)
        .await
        .unwrap();
    assert_eq!(first.name, "The Lights");
    assert_ne!(first.version, there.version);
    assert_eq!(world.get_performer(&organiser, &id).await.unwrap(), first);
    let request = wire::ListOwnPerformersRequest::default();
    let listed = world.client.list_own_performers(with(&organiser, request));
    assert_eq!(
        answer(listed.await).unwrap().performers,
        std::slice::from_ref(&first)
    );
    let request = wire::GetOwnEventRequest {
        event_id: billed.event_id.clone(),
    };
    let seen = world.client.get_own_event(with(&organiser, request)).await;
    let seen = answer(seen).unwrap().event.unwrap();
    assert_eq!(seen.performers[0].name, "The Lights");
    // It is the performer that changed.
    assert_eq!(seen.version, billed.version);
    assert_eq!(renamed(&pool).await, std::slice::from_ref(&id));

    let stale = world.rename(&organiser, &id, "Old", &there.version).await;
    assert_refused(stale, ErrorCode::PreconditionFailed);
    let again = world
        .rename(&organiser, &id, "The Lights", &there.version)
        .await
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(renamed(&pool).await, [[0_u8; 16]; 0]);

    for refused in [
        world.rename(&other, &id, "Mine", "").await,
        world.get_performer(&other, &id).await,
        world.get_performer(&organiser, &crate::world::id()).await,
    ] {
        assert_refused(refused, ErrorCode::PerformerNotFound);
    }
    assert_refused(
        world.get_performer(&token("customer"), &id).await,
        ErrorCode::Forbidden,
    );
    let nameless = world.rename(&organiser, &id, " ", "").await;
    assert_eq!(refused_fields(nameless), ["performer.name"]);
    let request = wire::UpdatePerformerRequest {
        performer: Some(first),
        fields: vec!["owner".to_owned()],
        if_version: String::new(),
    };
    let refused = world
        .client
        .update_performer(with(&organiser, request))
        .await;
    assert_eq!(refused_fields(answer(refused)), ["fields"]);
}

#[sqlx::test]
async fn performers_that_a_batch_renames_are_told_of(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let mut batch = batch();
    let first = world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(renamed(&pool).await, [[0_u8; 16]; 0], "they are new");
    batch.performers[1].name = "Day Bus".to_owned();
    world.upsert(&organiser, &batch).await.unwrap();
    let show = world.show("", &first.upserted[0].show_id).await.unwrap();
    let performer = show.event.unwrap().performers.swap_remove(0);
    assert_eq!(performer.name, "Day Bus");
    assert_eq!(renamed(&pool).await, [performer.performer_id]);
    world.upsert(&organiser, &batch).await.unwrap();
    assert_eq!(renamed(&pool).await, [[0_u8; 16]; 0], "nothing changed");
}

#[sqlx::test]
async fn performers_that_the_release_before_renames_are_told_of(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let performer = world.performer(&organiser, "The Harbour").await.unwrap();
    for (name, told) in [("The Lights", 1), ("The Lights", 0), ("The Harbour", 1)] {
        sqlx::query("UPDATE catalog.performers SET name = $1")
            .bind(name)
            .execute(&pool)
            .await
            .unwrap();
        let expected = vec![performer.performer_id.clone(); told];
        assert_eq!(renamed(&pool).await, expected, "{name}");
    }
}
