//! Lists of shows and events: filters, pages, and that drafts aren't in them.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::world::{
    World, answer, assert_refused, event, id, in_days, plan, refused_fields, show, token, venue,
    with,
};

async fn shows(
    world: &mut World,
    request: wire::ListShowsRequest,
) -> Result<wire::ListShowsResponse, Failure> {
    answer(world.client.list_shows(with("", request)).await)
}

async fn events(
    world: &mut World,
    limit: u32,
    cursor: &str,
) -> Result<wire::ListEventsResponse, Failure> {
    let request = wire::ListEventsRequest {
        limit,
        cursor: cursor.to_owned(),
    };
    answer(world.client.list_events(with("", request)).await)
}

async fn get_event(
    world: &mut World,
    token: &str,
    event_id: &[u8],
) -> Result<wire::GetEventResponse, Failure> {
    let request = wire::GetEventRequest {
        event_id: event_id.to_vec(),
    };
    answer(world.client.get_event(with(token, request)).await)
}

/// Five public shows and a draft. The first three are sport in Berlin on days 1 to 3, the others
/// music in Köln, both on day 4 at the same instant; the draft is sport on day 2.
async fn season(world: &mut World, organiser: &str) -> Vec<wire::Show> {
    let sport = world.prepared_show(organiser).await;
    let mut koeln = venue();
    koeln.city = "Köln".to_owned();
    let koeln = world.create_venue(organiser, koeln).await.unwrap();
    let koeln = world
        .import_plan(organiser, plan(&koeln.venue_id))
        .await
        .unwrap();
    let mut music = event();
    music.category = "music".to_owned();
    let music = world.create_event(organiser, music).await.unwrap();
    let music = show(&music.event_id, &koeln.plan_id);

    let day_4 = in_days(4);
    let days = [in_days(1), in_days(2), in_days(3), day_4, day_4];
    let mut made = Vec::new();
    for (number, starts_at_ms) in days.into_iter().enumerate() {
        let request = if number < 3 {
            sport.clone()
        } else {
            music.clone()
        };
        let request = wire::CreateShowRequest {
            show_id: id(),
            starts_at_ms,
            ..request
        };
        let draft = world.create_show(organiser, request).await.unwrap();
        made.push(world.publish(organiser, &draft.show_id).await.unwrap());
    }
    let draft = wire::CreateShowRequest {
        show_id: id(),
        starts_at_ms: in_days(2),
        ..sport
    };
    world.create_show(organiser, draft).await.unwrap();
    made
}

#[sqlx::test]
async fn shows_are_listed_by_time_and_filtered(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let made = season(&mut world, &organiser).await;
    let all = wire::ListShowsRequest::default;
    let text = str::to_owned;
    let cases = [
        (all(), &made[..]),
        (
            wire::ListShowsRequest {
                category: text("sports"),
                ..all()
            },
            &made[..3],
        ),
        (
            wire::ListShowsRequest {
                category: text("arts-theatre"),
                ..all()
            },
            &made[..0],
        ),
        (
            wire::ListShowsRequest {
                city: text("berlin"),
                ..all()
            },
            &made[..3],
        ),
        (
            wire::ListShowsRequest {
                city: text("KÖLN"),
                ..all()
            },
            &made[3..],
        ),
        (
            wire::ListShowsRequest {
                from_ms: Some(made[1].starts_at_ms),
                ..all()
            },
            &made[1..],
        ),
        (
            wire::ListShowsRequest {
                to_ms: Some(made[1].starts_at_ms),
                ..all()
            },
            &made[..1],
        ),
        (
            wire::ListShowsRequest {
                category: text("music"),
                city: text("Berlin"),
                ..all()
            },
            &made[..0],
        ),
    ];
    for (request, expected) in cases {
        let listed = shows(&mut world, request.clone()).await.unwrap();
        assert_eq!(listed.shows, expected, "{request:?}");
        assert_eq!(listed.next_cursor, "");
    }
    world
        .change_state(&organiser, &made[0].show_id, "CANCELLED")
        .await
        .unwrap();
    let listed = shows(&mut world, all()).await.unwrap();
    assert_eq!(
        listed.shows[0].state, "CANCELLED",
        "what was called off is still public"
    );
}

#[sqlx::test]
async fn pages_of_shows_have_each_show_once(pool: PgPool) {
    let mut world = World::start(pool).await;
    let made = season(&mut world, &token("organiser")).await;
    for limit in 1..=5 {
        let mut listed = Vec::new();
        let mut cursor = String::new();
        loop {
            let request = wire::ListShowsRequest {
                limit,
                cursor,
                ..Default::default()
            };
            let page = shows(&mut world, request).await.unwrap();
            assert!(page.shows.len() <= limit as usize && !page.shows.is_empty());
            listed.extend(page.shows);
            cursor = page.next_cursor;
            if cursor.is_empty() {
                break;
            }
        }
        assert_eq!(listed, made, "pages of {limit}");
    }
}

#[sqlx::test]
async fn a_show_of_the_past_is_listed_only_when_asked_for(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    world.publish(&organiser, &draft.show_id).await.unwrap();
    sqlx::query("UPDATE catalog.shows SET starts_at = now() - interval '1 hour'")
        .execute(&pool)
        .await
        .unwrap();
    let listed = shows(&mut world, wire::ListShowsRequest::default())
        .await
        .unwrap();
    assert_eq!(listed.shows.len(), 0);
    for (from_ms, to_ms, found) in [
        (Some(in_days(-1)), None, 1),
        (Some(0), None, 1),
        (Some(0), Some(0), 0),
    ] {
        let request = wire::ListShowsRequest {
            from_ms,
            to_ms,
            ..Default::default()
        };
        let listed = shows(&mut world, request).await.unwrap();
        assert_eq!(listed.shows.len(), found, "{from_ms:?} {to_ms:?}");
    }
}

#[sqlx::test]
async fn bad_filters_are_refused_by_field(pool: PgPool) {
    let mut world = World::start(pool).await;
    let all = wire::ListShowsRequest::default;
    let event_cursor = format!("e1{}", "0".repeat(32));
    let cases = [
        (
            "limit",
            wire::ListShowsRequest {
                limit: 101,
                ..all()
            },
        ),
        (
            "category",
            wire::ListShowsRequest {
                category: "A B".to_owned(),
                ..all()
            },
        ),
        (
            "city",
            wire::ListShowsRequest {
                city: "a\u{0}".to_owned(),
                ..all()
            },
        ),
        (
            "city",
            wire::ListShowsRequest {
                city: "x".repeat(201),
                ..all()
            },
        ),
        (
            "from_ms",
            wire::ListShowsRequest {
                from_ms: Some(i64::MIN),
                ..all()
            },
        ),
        (
            "to_ms",
            wire::ListShowsRequest {
                to_ms: Some(i64::MAX),
                ..all()
            },
        ),
        (
            "cursor",
            wire::ListShowsRequest {
                cursor: "nonsense".to_owned(),
                ..all()
            },
        ),
        (
            "cursor",
            wire::ListShowsRequest {
                cursor: event_cursor,
                ..all()
            },
        ),
        (
            "cursor",
            wire::ListShowsRequest {
                cursor: "s1".to_owned() + &"f".repeat(48),
                ..all()
            },
        ),
    ];
    for (field, request) in cases {
        assert_eq!(refused_fields(shows(&mut world, request).await), [field]);
    }
    assert_eq!(refused_fields(events(&mut world, 101, "").await), ["limit"]);
    assert_eq!(refused_fields(events(&mut world, 0, "x").await), ["cursor"]);
}

#[sqlx::test]
async fn events_with_a_public_show_are_listed_newest_first(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let mut public = Vec::new();
    for _ in 0..3 {
        let draft = world.draft(&organiser).await;
        world.publish(&organiser, &draft.show_id).await.unwrap();
        public.push(draft.event.unwrap());
        world.draft(&organiser).await;
    }
    public.reverse();
    assert_eq!(events(&mut world, 0, "").await.unwrap().events, public);
    let first = events(&mut world, 2, "").await.unwrap();
    assert_eq!(first.events, public[..2]);
    let second = events(&mut world, 2, &first.next_cursor).await.unwrap();
    assert_eq!(
        (second.events, second.next_cursor.as_str()),
        (public[2..].to_vec(), "")
    );
}

#[sqlx::test]
async fn an_event_has_its_public_shows_and_without_any_it_is_its_organisers_only(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let request = world.prepared_show(&organiser).await;
    let draft = world
        .create_show(&organiser, request.clone())
        .await
        .unwrap();
    let event_id = &request.event_id;
    for token in ["", &token("organiser")] {
        assert_refused(
            get_event(&mut world, token, event_id).await,
            ErrorCode::EventNotFound,
        );
    }
    assert_eq!(
        get_event(&mut world, &organiser, event_id)
            .await
            .unwrap()
            .shows,
        []
    );

    let show = world.publish(&organiser, &draft.show_id).await.unwrap();
    let another = wire::CreateShowRequest {
        show_id: id(),
        ..request.clone()
    };
    world.create_show(&organiser, another).await.unwrap();
    let found = get_event(&mut world, "", event_id).await.unwrap();
    assert_eq!((found.event, found.shows), (draft.event, vec![show]));
    assert_refused(
        get_event(&mut world, "", &id()).await,
        ErrorCode::EventNotFound,
    );
}
