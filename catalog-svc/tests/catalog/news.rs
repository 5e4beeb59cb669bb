//! What the catalogue tells others of its changes, and how they read what is now.

use holdfast_proto::{
    catalog::v1::{self as wire, read_shows_request::Which},
    events::v1 as events,
};
use holdfast_types::{ErrorCode, EventId, ShowId, VenueId};
use prost::Message;
use sqlx::PgPool;

use crate::import::{batch, show};
use crate::world::{World, answer, assert_refused, event, id, refused_fields, token, venue};

/// Takes what is in the outbox: type, key and payload, in order.
pub(crate) async fn take_news(pool: &PgPool) -> Vec<(String, String, Vec<u8>)> {
    let news = sqlx::query_as(
        "WITH taken AS (DELETE FROM catalog.outbox WHERE topic = 'catalog'
             RETURNING position, event_type, key, payload)
         SELECT event_type, key, payload FROM taken ORDER BY position",
    );
    news.fetch_all(pool).await.unwrap()
}

fn show_changed(show_id: &[u8]) -> (String, String, Vec<u8>) {
    let message = events::ShowChanged {
        show_id: show_id.to_vec(),
    };
    let key = ShowId::from_slice(show_id).unwrap().to_string();
    ("ShowChanged".to_owned(), key, message.encode_to_vec())
}

fn event_changed(event_id: &[u8]) -> (String, String, Vec<u8>) {
    let message = events::EventChanged {
        event_id: event_id.to_vec(),
    };
    let key = EventId::from_slice(event_id).unwrap().to_string();
    ("EventChanged".to_owned(), key, message.encode_to_vec())
}

#[sqlx::test]
async fn each_change_is_told_once_and_nothing_else_is(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");

    let hall = venue();
    for _ in 0..2 {
        world.create_venue(&organiser, hall.clone()).await.unwrap();
    }
    let told = events::VenueChanged {
        venue_id: hall.venue_id.clone(),
    };
    let key = VenueId::from_slice(&hall.venue_id).unwrap().to_string();
    let told = ("VenueChanged".to_owned(), key, told.encode_to_vec());
    assert_eq!(take_news(&pool).await, [told]);

    let opening = event();
    for _ in 0..2 {
        world
            .create_event(&organiser, opening.clone())
            .await
            .unwrap();
    }
    assert_eq!(take_news(&pool).await, [event_changed(&opening.event_id)]);

    let request = world.prepared_show(&organiser).await;
    take_news(&pool).await;
    let show_id = request.show_id.clone();
    for _ in 0..2 {
        world
            .create_show(&organiser, request.clone())
            .await
            .unwrap();
    }
    assert_eq!(take_news(&pool).await, [show_changed(&show_id)]);

    for _ in 0..2 {
        world.publish(&organiser, &show_id).await.unwrap();
    }
    assert_eq!(take_news(&pool).await, [show_changed(&show_id)]);
    for state in ["PAUSED", "PAUSED", "CLOSED", "CANCELLED", "CANCELLED"] {
        world
            .change_state(&organiser, &show_id, state)
            .await
            .unwrap();
    }
    assert_eq!(take_news(&pool).await, vec![show_changed(&show_id); 3]);
}

#[sqlx::test]
async fn what_was_refused_is_not_told(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let draft = world.draft(&organiser).await;
    take_news(&pool).await;
    let refusal = holdfast_mesh::Failure::new(ErrorCode::Unavailable, "not now");
    world.inventory.refuse_next(refusal);
    let refused = world.publish(&organiser, &draft.show_id).await;
    assert_refused(refused, ErrorCode::Unavailable);
    let mut event = draft.event.unwrap();
    event.title = "Another".to_owned();
    let refused = world.update_event(&other, event.clone()).await;
    assert_refused(refused, ErrorCode::EventNotFound);
    let refused = world.create_event(&organiser, event).await;
    assert_refused(refused, ErrorCode::AlreadyExists);
    assert_eq!(take_news(&pool).await, []);
}

#[sqlx::test]
async fn a_changed_event_is_told_and_its_shows_say_so(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.publish(&organiser, &draft.show_id).await.unwrap();
    take_news(&pool).await;

    let changed = wire::Event {
        title: "  Der Abschied ".to_owned(),
        description: String::new(),
        category: "music".to_owned(),
        ..draft.event.clone().unwrap()
    };
    let answered = world.update_event(&organiser, changed).await.unwrap();
    assert_eq!(answered.title, "Der Abschied");
    let show = world.show("", &draft.show_id).await.unwrap();
    assert_eq!(show.event.as_ref(), Some(&answered));
    assert_eq!(take_news(&pool).await, [event_changed(&answered.event_id)]);

    world.update_event(&organiser, answered).await.unwrap();
    assert_eq!(take_news(&pool).await, [], "nothing changed");
}

#[sqlx::test]
async fn changes_of_an_event_are_bounded_as_new_ones_are(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let there = world.create_event(&organiser, event()).await.unwrap();
    let bent = wire::Event {
        title: " ".to_owned(),
        category: "Rock & Pop".to_owned(),
        ..there
    };
    let refused = world.update_event(&organiser, bent).await;
    assert_eq!(refused_fields(refused), ["event.title", "event.category"]);
    let request = wire::UpdateEventRequest::default();
    let request = crate::world::with(&organiser, request);
    let refused = answer(world.client.update_event(request).await);
    assert_eq!(refused_fields(refused), ["event"]);
}

async fn read(
    world: &mut World,
    request: wire::ReadShowsRequest,
) -> Result<Vec<Vec<u8>>, holdfast_mesh::Failure> {
    let answer = answer(world.client.read_shows(request).await)?;
    Ok(answer.shows.into_iter().map(|show| show.show_id).collect())
}

#[sqlx::test]
async fn public_shows_are_read_by_id_by_event_and_by_venue(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let first = world.prepared_show(&organiser).await;
    let mut public = Vec::new();
    for _ in 0..3 {
        let request = wire::CreateShowRequest {
            show_id: id(),
            ..first.clone()
        };
        let show = world.create_show(&organiser, request).await.unwrap();
        public.push(world.publish(&organiser, &show.show_id).await.unwrap());
    }
    let elsewhere = world.draft(&organiser).await;
    let elsewhere = world.publish(&organiser, &elsewhere.show_id).await.unwrap();
    public.sort_by(|a, b| a.show_id.cmp(&b.show_id));
    let ids: Vec<Vec<u8>> = public.iter().map(|show| show.show_id.clone()).collect();
    let which = |which| wire::ReadShowsRequest {
        which: Some(which),
        ..Default::default()
    };

    let named = wire::ShowIds {
        show_ids: vec![ids[2].clone(), draft.show_id.clone(), id(), ids[0].clone()],
    };
    let found = read(&mut world, which(Which::ShowIds(named)))
        .await
        .unwrap();
    assert_eq!(found, [ids[0].clone(), ids[2].clone()]);
    let none = Which::ShowIds(wire::ShowIds::default());
    assert_eq!(
        read(&mut world, which(none)).await.unwrap(),
        Vec::<Vec<u8>>::new()
    );

    let of_event = Which::EventId(first.event_id.clone());
    assert_eq!(read(&mut world, which(of_event)).await.unwrap(), ids);
    let venue_id = public[0].venue.as_ref().unwrap().venue_id.clone();
    assert_eq!(
        read(&mut world, which(Which::VenueId(venue_id)))
            .await
            .unwrap(),
        ids
    );

    // Named in every way, and each once; a page of two at a time.
    let many = wire::ShowsOf {
        show_ids: vec![elsewhere.show_id.clone(), ids[1].clone(), draft.show_id],
        event_ids: vec![first.event_id.clone(), id()],
        venue_ids: vec![public[0].venue.as_ref().unwrap().venue_id.clone(), id()],
    };
    let mut expected = [ids, vec![elsewhere.show_id]].concat();
    expected.sort();
    for which in [Some(Which::Of(many)), None] {
        assert_eq!(in_pages_of_two(&mut world, which).await, expected);
    }
}

async fn in_pages_of_two(world: &mut World, which: Option<Which>) -> Vec<Vec<u8>> {
    let (mut all, mut after) = (Vec::new(), Vec::new());
    loop {
        let request = wire::ReadShowsRequest {
            which: which.clone(),
            after_show_id: after,
            limit: 2,
        };
        let page = read(world, request).await.unwrap();
        all.extend(page.clone());
        if page.len() < 2 {
            return all;
        }
        after = page[1].clone();
    }
}

#[sqlx::test]
async fn reading_shows_has_bounds(pool: PgPool) {
    let mut world = World::start(pool).await;
    let ids = |show_ids| Some(Which::ShowIds(wire::ShowIds { show_ids }));
    let of = |event_ids, venue_ids| {
        Some(Which::Of(wire::ShowsOf {
            show_ids: Vec::new(),
            event_ids,
            venue_ids,
        }))
    };
    let cases = [
        (ids(vec![id(), vec![1]]), Vec::new(), 0, "show_ids[1]"),
        (ids(vec![id(); 501]), Vec::new(), 0, "show_ids"),
        (Some(Which::EventId(vec![])), Vec::new(), 0, "event_id"),
        (Some(Which::VenueId(vec![2; 17])), Vec::new(), 0, "venue_id"),
        (of(vec![id(); 501], vec![]), vec![], 0, "of.event_ids"),
        (of(vec![], vec![vec![4]]), vec![], 0, "of.venue_ids[0]"),
        (None, vec![3], 0, "after_show_id"),
        (None, Vec::new(), 501, "limit"),
    ];
    for (which, after_show_id, limit, field) in cases {
        let request = wire::ReadShowsRequest {
            which,
            after_show_id,
            limit,
        };
        assert_eq!(refused_fields(read(&mut world, request).await), [field]);
    }
}

#[sqlx::test]
async fn a_batch_is_told_once_and_its_events_stand_for_their_shows(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let mut batch = batch();
    batch.shows.push(show("s2"));
    let first = world.upsert(&organiser, &batch).await.unwrap();
    let types = |news: Vec<(String, String, Vec<u8>)>| -> Vec<String> {
        news.into_iter()
            .map(|(event_type, ..)| event_type)
            .collect()
    };
    assert_eq!(
        types(take_news(&pool).await),
        ["VenueChanged", "EventChanged"]
    );

    world.upsert(&organiser, &batch).await.unwrap();
    assert!(take_news(&pool).await.is_empty(), "nothing changed");

    batch.shows[1].price_range = None;
    world.upsert(&organiser, &batch).await.unwrap();
    let changed = &first.upserted[1].show_id;
    assert_eq!(take_news(&pool).await, [show_changed(changed)]);
    let all = wire::ReadShowsRequest::default();
    let read = answer(world.client.read_shows(all).await).unwrap();
    assert_eq!(read.shows.len(), 2, "what is announced can be found");
}
