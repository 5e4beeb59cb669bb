//! The tree of categories: who changes it, what events and batches may name, and what lists find.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::{
    import::batch,
    world::{World, answer, assert_refused, event, id, refused_fields, token, with},
};

impl World {
    async fn categories(&mut self) -> Vec<wire::EventCategory> {
        let request = with("", wire::ListCategoriesRequest {});
        answer(self.client.list_categories(request).await)
            .unwrap()
            .categories
    }

    async fn put(
        &mut self,
        token: &str,
        slug: &str,
        parent: &str,
        name: &str,
    ) -> Result<bool, Failure> {
        let category = Some(wire::EventCategory {
            slug: slug.to_owned(),
            parent: parent.to_owned(),
            name: name.to_owned(),
        });
        let request = wire::PutCategoryRequest { category };
        let put = answer(self.client.put_category(with(token, request)).await)?;
        Ok(put.made)
    }

    async fn delete(&mut self, token: &str, slug: &str) -> Result<(), Failure> {
        let slug = slug.to_owned();
        let request = wire::DeleteCategoryRequest { slug };
        answer(self.client.delete_category(with(token, request)).await).map(drop)
    }

    async fn titles_of(&mut self, category: &str, city: &str) -> Vec<String> {
        let request = wire::ListShowsRequest {
            category: category.to_owned(),
            city: city.to_owned(),
            ..Default::default()
        };
        let page = answer(self.client.list_shows(with("", request)).await).unwrap();
        let titles = page.shows.into_iter().map(|show| show.event.unwrap().title);
        titles.collect()
    }
}

#[sqlx::test]
async fn admins_alone_change_the_tree_and_it_stays_one(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (admin, organiser) = (token("admin"), token("organiser"));
    let seeded = world.categories().await;
    let find = |slug: &str| seeded.iter().find(|one| one.slug == slug).unwrap();
    assert_eq!(find("music").parent, "");
    assert_eq!(find("music-rock").parent, "music");
    assert_eq!(find("sports-golf").name, "Golf");

    for refused in [
        world.put(&organiser, "quiz", "", "Quiz").await,
        world.put("", "quiz", "", "Quiz").await,
    ] {
        let code = refused.expect_err("it is refused").code();
        assert!(matches!(
            code,
            ErrorCode::Forbidden | ErrorCode::Unauthorized
        ));
    }
    assert_refused(
        world.delete(&organiser, "film-horror").await,
        ErrorCode::Forbidden,
    );

    assert!(world.put(&admin, "quiz", "", "Quiz").await.unwrap());
    assert!(!world.put(&admin, "quiz", "", "Quizzes").await.unwrap());
    assert!(!world.put(&admin, "quiz", "", "Quizzes").await.unwrap());
    world.put(&admin, "quiz-pub", "quiz", "Pub").await.unwrap();
    for (slug, parent, name, field) in [
        ("quiz", "quiz-pub", "Quiz", "category.parent"),
        ("quiz", "quiz", "Quiz", "category.parent"),
        ("quiz", "nowhere", "Quiz", "category.parent"),
        ("Quiz", "", "Quiz", "category.slug"),
        ("quiz", "", " ", "category.name"),
    ] {
        let refused = world.put(&admin, slug, parent, name).await;
        assert_eq!(refused_fields(refused), [field], "{slug} {parent}");
    }
    assert_refused(world.delete(&admin, "quiz").await, ErrorCode::InvalidState);
    for slug in ["quiz-pub", "quiz-pub", "quiz"] {
        world.delete(&admin, slug).await.unwrap();
    }
    // Where imports put what nobody classified.
    assert_refused(world.delete(&admin, "other").await, ErrorCode::InvalidState);
    assert_eq!(world.categories().await, seeded);
}

#[sqlx::test]
async fn an_event_has_one_of_the_categories_which_then_stays(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (admin, organiser) = (token("admin"), token("organiser"));
    let unknown = wire::Event {
        category: "skittles".to_owned(),
        ..event()
    };
    let refused = world.create_event(&organiser, unknown).await;
    assert_eq!(refused_fields(refused), ["event.category"]);

    let golf = wire::Event {
        category: "sports-golf".to_owned(),
        ..event()
    };
    let mut made = world.create_event(&organiser, golf.clone()).await.unwrap();
    assert_eq!(made.category_path, ["sports", "sports-golf"]);
    let again = world.create_event(&organiser, golf).await.unwrap();
    assert_eq!(again, made);
    assert_refused(
        world.delete(&admin, "sports-golf").await,
        ErrorCode::InvalidState,
    );

    made.category = "skittles".to_owned();
    let refused = world.update_event(&organiser, made.clone()).await;
    assert_eq!(refused_fields(refused), ["event.category"]);
    made.category = "music-rock".to_owned();
    let moved = world.update_event(&organiser, made).await.unwrap();
    assert_eq!(moved.category_path, ["music", "music-rock"]);
    world.delete(&admin, "sports-golf").await.unwrap();
}

#[sqlx::test]
async fn lists_by_a_category_have_what_belongs_to_it_in_order(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (admin, organiser) = (token("admin"), token("organiser"));
    let prepared = world.prepared_show(&organiser).await;
    for (minutes, category) in [
        (3, "music-rock"),
        (1, "music"),
        (2, "sports"),
        (4, "music-jazz"),
    ] {
        let event = wire::Event {
            title: category.to_owned(),
            category: category.to_owned(),
            ..event()
        };
        let event = world.create_event(&organiser, event).await.unwrap();
        let show = wire::CreateShowRequest {
            show_id: id(),
            event_id: event.event_id,
            starts_at_ms: prepared.starts_at_ms + minutes * 60_000,
            announced: true,
            ..prepared.clone()
        };
        let show = world.create_show(&organiser, show).await.unwrap();
        assert_eq!(show.event.unwrap().category_path.last().unwrap(), category);
    }
    let music = ["music", "music-rock", "music-jazz"];
    for city in ["", "Berlin"] {
        assert_eq!(world.titles_of("music", city).await, music);
        assert_eq!(world.titles_of("music-rock", city).await, ["music-rock"]);
        assert!(world.titles_of("film", city).await.is_empty());
    }
    world
        .put(&admin, "music-rock", "film", "Rock")
        .await
        .unwrap();
    for city in ["", "Berlin"] {
        assert_eq!(
            world.titles_of("music", city).await,
            ["music", "music-jazz"]
        );
        assert_eq!(world.titles_of("film", city).await, ["music-rock"]);
    }

    let first = wire::ListShowsRequest {
        category: "music".to_owned(),
        limit: 1,
        ..Default::default()
    };
    let page = answer(world.client.list_shows(with("", first.clone())).await).unwrap();
    let next = wire::ListShowsRequest {
        cursor: page.next_cursor,
        ..first
    };
    let page = answer(world.client.list_shows(with("", next)).await).unwrap();
    assert_eq!(page.shows[0].event.as_ref().unwrap().title, "music-jazz");
}

#[sqlx::test]
async fn a_batch_is_placed_by_its_classification(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let one = batch();
    let events = [
        ("", ["Music", "Hip-Hop/Rap", "Trap"], "music-hip-hop-rap"),
        ("", ["Music", "Yodelling", ""], "music"),
        ("", ["Skittles", "", ""], "other"),
        ("", ["", "", ""], "other"),
        ("film", ["Music", "Rock", ""], "film"),
    ];
    let upserts = events.iter().enumerate().map(|(n, (named, words, _))| {
        let [segment, genre, sub_genre] = words.map(str::to_owned);
        wire::UpsertEvent {
            external_id: format!("e{n}"),
            event: Some(wire::Event {
                event_id: Vec::new(),
                category: (*named).to_owned(),
                classification: (!segment.is_empty()).then_some(wire::Classification {
                    segment,
                    genre,
                    sub_genre,
                }),
                ..event()
            }),
            performer_external_ids: Vec::new(),
        }
    });
    let shows = (0..events.len()).map(|n| wire::UpsertShow {
        event_external_id: format!("e{n}"),
        ..crate::import::show(&format!("s{n}"))
    });
    let many = wire::UpsertCatalogueRequest {
        events: upserts.collect(),
        shows: shows.collect(),
        ..one.clone()
    };
    let upserted = world.upsert(&organiser, &many).await.unwrap();
    for (shown, (.., expected)) in upserted.upserted.iter().zip(events) {
        let show = world.show("", &shown.show_id).await.unwrap();
        assert_eq!(show.event.unwrap().category, expected);
    }
    let again = world.upsert(&organiser, &many).await.unwrap();
    assert_eq!(again.events.unwrap().unchanged as usize, events.len());

    let mut wrong = one;
    wrong.events[0].event.as_mut().unwrap().category = "skittles".to_owned();
    let refused = world.upsert(&organiser, &wrong).await;
    assert_eq!(refused_fields(refused), ["events[0].event.category"]);
}
