//! What organisers do besides making things: read what is theirs, change it, and see what was sold.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{
    STADIUM, World, answer, assert_refused, event, id, in_days, plan, refused_fields, show, token,
    user_of, venue, with,
};

impl World {
    pub(crate) async fn update(
        &mut self,
        token: &str,
        event: wire::Event,
        fields: &[&str],
        if_version: &str,
    ) -> Result<wire::Event, Failure> {
        let request = wire::UpdateEventRequest {
            event: Some(event),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            if_version: if_version.to_owned(),
        };
        answer(self.client.update_event(with(token, request)).await).map(|a| a.event.unwrap())
    }

    pub(crate) async fn update_show(
        &mut self,
        token: &str,
        show: wire::CreateShowRequest,
        fields: &[&str],
        if_version: &str,
    ) -> Result<wire::Show, Failure> {
        let request = wire::UpdateShowRequest {
            show: Some(show),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            if_version: if_version.to_owned(),
        };
        answer(self.client.update_show(with(token, request)).await).map(|a| a.show.unwrap())
    }

    pub(crate) async fn performer(
        &mut self,
        token: &str,
        name: &str,
    ) -> Result<wire::Performer, Failure> {
        let request = wire::CreatePerformerRequest {
            performer: Some(wire::Performer {
                performer_id: id(),
                name: name.to_owned(),
                version: String::new(),
            }),
            ..Default::default()
        };
        answer(self.client.create_performer(with(token, request)).await)
            .map(|a| a.performer.unwrap())
    }

    async fn sales(
        &mut self,
        token: &str,
        show_id: &[u8],
    ) -> Result<wire::GetShowSalesResponse, Failure> {
        let request = wire::GetShowSalesRequest {
            show_id: show_id.to_vec(),
        };
        answer(self.client.get_show_sales(with(token, request)).await)
    }

    async fn export(&mut self, token: &str, plan_id: &[u8]) -> Result<Vec<u8>, Failure> {
        let request = wire::ExportPlanRequest {
            plan_id: plan_id.to_vec(),
        };
        answer(self.client.export_plan(with(token, request)).await).map(|a| a.plan_json)
    }
}

#[sqlx::test]
async fn a_request_that_made_something_is_known_after_it_was_changed(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let request = wire::CreateEventRequest {
        event: Some(event()),
        ..Default::default()
    };
    let mut create = async |request: &wire::CreateEventRequest| {
        let request = with(&organiser, request.clone());
        answer(world.client.create_event(request).await)
    };
    let made = create(&request).await.unwrap();
    assert!(!made.replayed);
    let again = create(&request).await.unwrap();
    assert_eq!((again.replayed, &again.event), (true, &made.event));

    let changed = wire::Event {
        title: "Der Abschied".to_owned(),
        ..event()
    };
    let changed = wire::Event {
        event_id: made.event.clone().unwrap().event_id,
        ..changed
    };
    let changed = world.update(&organiser, changed, &["title"], "").await;
    let changed = changed.unwrap();
    let mut create = async |request: &wire::CreateEventRequest| {
        let request = with(&organiser, request.clone());
        answer(world.client.create_event(request).await)
    };
    let again = create(&request).await.unwrap();
    assert_eq!((again.replayed, again.event), (true, Some(changed)));
    let mut other = request.clone();
    other.event.as_mut().unwrap().title.push('!');
    assert_refused(create(&other).await, ErrorCode::AlreadyExists);
}

#[sqlx::test]
async fn a_change_is_of_the_named_fields_and_for_the_version_that_was_read(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let there = world.create_event(&organiser, event()).await.unwrap();
    let titled = |title: &str| wire::Event {
        event_id: there.event_id.clone(),
        title: title.to_owned(),
        ..wire::Event::default()
    };
    let read = there.version.clone();
    let first = world
        .update(&organiser, titled("First"), &["title"], &read)
        .await
        .unwrap();
    assert_eq!(first.description, there.description);
    assert_ne!(first.version, there.version);
    // Somebody who read it before would undo that.
    let second = world
        .update(&organiser, titled("Second"), &["title"], &read)
        .await;
    assert_refused(second, ErrorCode::PreconditionFailed);
    // But the change that is made already is told again.
    let again = world
        .update(&organiser, titled("First"), &["title"], &read)
        .await
        .unwrap();
    assert_eq!(again, first);

    let picture = wire::Event {
        image_url: "https://images.example/1.jpg".to_owned(),
        ..titled("")
    };
    let pictured = world
        .update(&organiser, picture, &["image_url"], &first.version)
        .await
        .unwrap();
    assert_eq!(pictured.image_url, "https://images.example/1.jpg");
    // A caller of before names no fields, and knows of no picture.
    let unnamed = wire::Event {
        image_url: String::new(),
        ..pictured.clone()
    };
    let unnamed = world.update_event(&organiser, unnamed).await.unwrap();
    assert_eq!(unnamed, pictured);

    for url in [
        "http://images.example/1.jpg",
        "https://",
        "https://ada:secret@images.example/1.jpg",
        "javascript:alert(1)",
        "/1.jpg",
    ] {
        let bent = wire::Event {
            image_url: url.to_owned(),
            ..titled("")
        };
        let refused = world.update(&organiser, bent, &["image_url"], "").await;
        assert_eq!(refused_fields(refused), ["event.image_url"], "{url}");
    }
    let refused = world.update(&organiser, titled("x"), &["owner"], "").await;
    assert_eq!(refused_fields(refused), ["fields"]);
}

#[sqlx::test]
async fn events_name_performers_of_their_own_organiser_in_the_order_of_the_bill(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let first = world.performer(&organiser, "The Harbour").await.unwrap();
    let second = world.performer(&organiser, "Night Bus").await.unwrap();
    let foreign = world.performer(&other, "Elsewhere").await.unwrap();
    let billed = |performers: Vec<wire::Performer>| wire::Event {
        performers,
        ..event()
    };
    // Their versions are told by themselves alone.
    let [first, second] = [first, second].map(|performer| wire::Performer {
        version: String::new(),
        ..performer
    });
    let bill = vec![second.clone(), first.clone()];
    let made = world
        .create_event(&organiser, billed(bill.clone()))
        .await
        .unwrap();
    assert_eq!(made.performers, bill);
    let bill = vec![first.clone()];
    let change = wire::Event {
        event_id: made.event_id.clone(),
        performers: bill.clone(),
        ..wire::Event::default()
    };
    let changed = world
        .update(&organiser, change, &["performers"], &made.version)
        .await
        .unwrap();
    assert_eq!(changed.performers, bill);
    let refused = world
        .create_event(&organiser, billed(vec![first.clone(), foreign]))
        .await;
    assert_eq!(refused_fields(refused), ["event.performers[1]"]);
    let refused = world
        .create_event(&organiser, billed(vec![first.clone(), first]))
        .await;
    assert_eq!(refused_fields(refused), ["event.performers[1]"]);
}

#[sqlx::test]
async fn organisers_list_what_is_theirs_page_by_page_and_nobody_elses(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let draft = world.draft(&organiser).await;
    let foreign = world.draft(&other).await;
    let event_id = draft.event.clone().unwrap().event_id;
    let second = world.create_event(&organiser, event()).await.unwrap();

    let client = &mut world.client;
    let request = |limit, cursor: &str| wire::ListOwnEventsRequest {
        limit,
        cursor: cursor.to_owned(),
    };
    let page = client
        .list_own_events(with(&organiser, request(1, "")))
        .await;
    let page = answer(page).unwrap();
    assert_eq!(page.events, [second]);
    let next = request(1, &page.next_cursor);
    let page = client.list_own_events(with(&organiser, next)).await;
    let page = answer(page).unwrap();
    assert_eq!(page.events[0].event_id, event_id);
    assert_eq!(page.next_cursor, "");
    let wrong = client
        .list_own_events(with(&organiser, request(1, "v1")))
        .await;
    assert_eq!(refused_fields(answer(wrong)), ["cursor"]);

    let request = wire::ListOwnShowsRequest::default();
    let shows = client.list_own_shows(with(&organiser, request)).await;
    assert_eq!(answer(shows).unwrap().shows, std::slice::from_ref(&draft));
    let request = wire::ListOwnShowsRequest {
        event_id: foreign.event.clone().unwrap().event_id,
        ..Default::default()
    };
    let shows = client.list_own_shows(with(&organiser, request)).await;
    assert_eq!(answer(shows).unwrap().shows, []);

    let venue_id = draft.venue.clone().unwrap().venue_id;
    let request = wire::ListOwnVenuesRequest::default();
    let venues = client.list_own_venues(with(&organiser, request)).await;
    assert_eq!(answer(venues).unwrap().venues, [draft.venue.unwrap()]);
    let plans = |venue_id: &[u8]| wire::ListOwnPlansRequest {
        venue_id: venue_id.to_vec(),
        ..Default::default()
    };
    let listed = client
        .list_own_plans(with(&organiser, plans(&venue_id)))
        .await;
    assert_eq!(answer(listed).unwrap().plans[0].plan_id, draft.plan_id);
    for (token, code) in [
        (&other, ErrorCode::VenueNotFound),
        (&token("customer"), ErrorCode::Forbidden),
    ] {
        let listed = client.list_own_plans(with(token, plans(&venue_id))).await;
        assert_refused(answer(listed), code);
    }
    let request = wire::GetOwnShowRequest {
        show_id: draft.show_id.clone(),
    };
    let seen = client.get_own_show(with(&other, request.clone())).await;
    assert_refused(answer(seen), ErrorCode::ShowNotFound);
    let seen = client.get_own_show(with(&organiser, request)).await;
    assert_eq!(answer(seen).unwrap().show.unwrap().show_id, draft.show_id);
    let request = wire::GetOwnEventRequest { event_id };
    let seen = client.get_own_event(with(&other, request)).await;
    assert_refused(answer(seen), ErrorCode::EventNotFound);
}

#[sqlx::test]
async fn a_draft_changes_and_what_was_put_on_sale_stays_with_the_reason(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    let mut change = wire::CreateShowRequest {
        show_id: draft.show_id.clone(),
        starts_at_ms: in_days(90),
        prices: draft.prices.clone(),
        sale_starts_at_ms: Some(in_days(1)),
        sale_ends_at_ms: Some(in_days(2)),
        announced: true,
        ..Default::default()
    };
    change.prices[0].amount += 100;
    let all = [
        "starts_at_ms",
        "prices",
        "sale_starts_at_ms",
        "sale_ends_at_ms",
        "announced",
    ];
    let changed = world
        .update_show(&organiser, change.clone(), &all, &draft.version)
        .await
        .unwrap();
    assert_eq!(changed.starts_at_ms, change.starts_at_ms);
    assert_eq!(changed.prices, change.prices);
    assert_eq!(changed.price_version, draft.price_version + 1);
    assert!(changed.announced);
    let stale = wire::CreateShowRequest {
        announced: false,
        ..change.clone()
    };
    let refused = world
        .update_show(&organiser, stale, &["announced"], &draft.version)
        .await;
    assert_refused(refused, ErrorCode::PreconditionFailed);
    let mut lacking = change.clone();
    lacking.prices.pop();
    let refused = world
        .update_show(&organiser, lacking, &["prices"], "")
        .await;
    assert_eq!(refused_fields(refused), ["show.prices"]);
    let backwards = wire::CreateShowRequest {
        sale_ends_at_ms: change.sale_starts_at_ms,
        ..change.clone()
    };
    let refused = world
        .update_show(&organiser, backwards, &["sale_ends_at_ms"], "")
        .await;
    assert_eq!(refused_fields(refused), ["show.sale_ends_at_ms"]);
    let other = token("organiser");
    let refused = world
        .update_show(&other, change.clone(), &["announced"], "")
        .await;
    assert_refused(refused, ErrorCode::Forbidden);

    let public = world.publish(&organiser, &draft.show_id).await.unwrap();
    let later = wire::CreateShowRequest {
        starts_at_ms: in_days(91),
        prices: draft.prices.clone(),
        sale_ends_at_ms: Some(in_days(3)),
        ..change
    };
    let refused = world
        .update_show(&organiser, later.clone(), &["starts_at_ms", "prices"], "")
        .await
        .unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidState);
    let words = "starts_at, prices can't be changed any more: the show is ON_SALE";
    assert!(
        refused.message().starts_with(words),
        "{}",
        refused.message()
    );
    let fine = world
        .update_show(&organiser, later, &["sale_ends_at_ms"], &public.version)
        .await
        .unwrap();
    assert_eq!(fine.starts_at_ms, public.starts_at_ms);
    assert_eq!(fine.sale_ends_at_ms, Some(in_days(3)));
}

#[sqlx::test]
async fn a_draft_that_may_be_opened_already_keeps_its_prices(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    // Asked for, and nobody knows whether it was done.
    let away = Failure::new(ErrorCode::Unavailable, "away");
    world.inventory.refuse_next(away);
    let refused = world.publish(&organiser, &draft.show_id).await;
    assert_refused(refused, ErrorCode::Unavailable);
    let mut change = wire::CreateShowRequest {
        show_id: draft.show_id.clone(),
        prices: draft.prices.clone(),
        ..Default::default()
    };
    change.prices[0].amount += 1;
    let refused = world.update_show(&organiser, change, &["prices"], "").await;
    assert_refused(refused, ErrorCode::InvalidState);
    world.publish(&organiser, &draft.show_id).await.unwrap();
}

#[sqlx::test]
async fn a_plan_goes_out_as_it_came_in_and_one_by_rule_as_a_file_of_the_same_seats(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let venue = world.create_venue(&organiser, venue()).await.unwrap();
    let request = plan(&venue.venue_id);
    let checked = wire::ImportPlanRequest {
        dry_run: true,
        ..request.clone()
    };
    let checked = world.import_plan(&organiser, checked).await.unwrap();
    assert_refused(
        world.export(&organiser, &request.plan_id).await,
        ErrorCode::PlanNotFound,
    );
    let made = world
        .import_plan(&organiser, request.clone())
        .await
        .unwrap();
    assert_eq!(checked, made);
    let file = world.export(&organiser, &request.plan_id).await.unwrap();
    assert!(file == STADIUM, "byte for byte");
    assert_refused(
        world.export(&token("organiser"), &request.plan_id).await,
        ErrorCode::PlanNotFound,
    );

    // One that was imported before files were kept.
    sqlx::query("DELETE FROM catalog.plan_files")
        .execute(&pool)
        .await
        .unwrap();
    let written = world.export(&organiser, &request.plan_id).await.unwrap();
    assert_same_seats(&written, STADIUM);

    sqlx::query("UPDATE catalog.plans SET hall = 'fan-1:1500'")
        .execute(&pool)
        .await
        .unwrap();
    let written = world.export(&organiser, &request.plan_id).await.unwrap();
    let read = catalog_svc::plan::read(&written).unwrap();
    let hall: catalog_svc::hall::Hall = "fan-1:1500".parse().unwrap();
    let labels = |plan: &catalog_svc::plan::Plan| -> Vec<String> {
        plan.seats.iter().map(|seat| seat.label.clone()).collect()
    };
    assert_eq!(labels(&read), labels(&hall.plan()));
}

fn assert_same_seats(written: &[u8], file: &[u8]) {
    let [written, file] = [written, file].map(|bytes| catalog_svc::plan::read(bytes).unwrap());
    assert_eq!(written.seats.len(), file.seats.len());
    for (written, file) in written.seats.iter().zip(&file.seats) {
        assert_eq!(written.label, file.label);
        let apart = (written.x - file.x).hypot(written.y - file.y);
        assert!(apart < 1e-6, "{written:?}, {file:?}");
        let others =
            |seat: &catalog_svc::plan::Seat| (seat.category_no, seat.gap_after, seat.uuid.clone());
        assert_eq!(others(written), others(file));
    }
    assert_eq!(written.rows, file.rows);
    assert_eq!(written.sections, file.sections);
    assert_eq!(written.categories, file.categories);
}

#[sqlx::test]
async fn sales_are_counted_by_category_and_told_to_the_shows_organiser_alone(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let draft = world.draft(&organiser).await;
    assert_refused(
        world.sales(&organiser, &draft.show_id).await,
        ErrorCode::InvalidState,
    );
    world.publish(&organiser, &draft.show_id).await.unwrap();
    let map = world.seat_map(&organiser, &draft.show_id).await.unwrap();
    let of = |category: &str| -> Vec<String> {
        let seats = map.seats.iter().filter(|seat| seat.category == category);
        seats.map(|seat| seat.label.clone()).collect()
    };
    let dear = of("Category I");
    for (label, state) in dear.iter().zip(["SOLD", "SOLD", "HELD", "BLOCKED"]) {
        world.inventory.set_state(label, state);
    }
    world.inventory.set_state(&of("Category V")[0], "SOLD");
    let sales = world.sales(&organiser, &draft.show_id).await.unwrap();
    assert_eq!((sales.revision, sales.state.as_str()), (7, "ON_SALE"));
    let figures: Vec<_> = sales
        .categories
        .iter()
        .map(|of| {
            let counts = (of.available, of.held, of.sold, of.blocked);
            (of.category.as_str(), counts, of.revenue)
        })
        .collect();
    let expected = [
        ("Category I", (365, 1, 2, 1), 19_800),
        ("Category II", (168, 0, 0, 0), 0),
        ("Category IV", (84, 0, 0, 0), 0),
        ("Category V", (116, 0, 1, 0), 1_500),
    ];
    assert_eq!(figures, expected);
    let other = token("organiser");
    assert_refused(
        world.sales(&other, &draft.show_id).await,
        ErrorCode::Forbidden,
    );
    let unseen = world.draft(&organiser).await;
    assert_refused(
        world.sales(&other, &unseen.show_id).await,
        ErrorCode::ShowNotFound,
    );
}

#[sqlx::test]
async fn a_lent_plan_can_be_used_and_nothing_else_until_it_is_taken_back(pool: PgPool) {
    let mut world = World::start(pool).await;
    let (owner, borrower) = (token("venue_owner"), token("organiser"));
    let venue = world.create_venue(&owner, venue()).await.unwrap();
    let plan = world
        .import_plan(&owner, plan(&venue.venue_id))
        .await
        .unwrap();
    let there = world.create_event(&borrower, event()).await.unwrap();
    let asked = show(&there.event_id, &plan.plan_id);
    let refused = world.create_show(&borrower, asked.clone()).await;
    assert_refused(refused, ErrorCode::PlanNotFound);

    let user_id = user_of(&borrower);
    let lend = wire::LendPlanRequest {
        plan_id: plan.plan_id.clone(),
        user_id: user_id.clone(),
    };
    let stolen = world.client.lend_plan(with(&borrower, lend.clone())).await;
    assert_refused(answer(stolen), ErrorCode::PlanNotFound);
    for _ in 0..2 {
        let lent = world.client.lend_plan(with(&owner, lend.clone())).await;
        answer(lent).unwrap();
    }
    let request = wire::ListPlanLoansRequest {
        plan_id: plan.plan_id.clone(),
    };
    let loans = world.client.list_plan_loans(with(&owner, request)).await;
    let loans = answer(loans).unwrap().loans;
    assert_eq!((loans.len(), &loans[0].user_id), (1, &user_id));

    let made = world.create_show(&borrower, asked.clone()).await.unwrap();
    world.publish(&borrower, &made.show_id).await.unwrap();
    let usable = wire::ListOwnPlansRequest::default();
    let usable = world.client.list_own_plans(with(&borrower, usable)).await;
    let usable = answer(usable).unwrap().plans;
    assert_eq!(
        (usable.len(), &usable[0].plan_id, usable[0].lent),
        (1, &plan.plan_id, true)
    );
    assert_refused(
        world.export(&borrower, &plan.plan_id).await,
        ErrorCode::PlanNotFound,
    );
    // Its owner makes no shows, and sees none of the borrower's.
    assert_refused(
        world.create_event(&owner, event()).await,
        ErrorCode::Forbidden,
    );

    let back = wire::TakePlanBackRequest {
        plan_id: plan.plan_id.clone(),
        user_id,
    };
    let back = world.client.take_plan_back(with(&owner, back)).await;
    answer(back).unwrap();
    let another = wire::CreateShowRequest {
        show_id: id(),
        ..asked
    };
    let refused = world.create_show(&borrower, another).await;
    assert_refused(refused, ErrorCode::PlanNotFound);
    let there = world.show("", &made.show_id).await.unwrap();
    assert_eq!(there.state, "ON_SALE");
}

#[sqlx::test]
async fn a_key_makes_one_thing_under_an_id_of_now_however_often_it_is_sent_at_once(pool: PgPool) {
    let world = World::start(pool.clone()).await;
    let (organiser, other) = (token("organiser"), token("organiser"));
    let keyed = |key: &str, name: &str| wire::CreateVenueRequest {
        venue: Some(wire::Venue {
            venue_id: Vec::new(),
            name: name.to_owned(),
            ..venue()
        }),
        idempotency_key: key.to_owned(),
    };
    let create = async |token: &str, request: wire::CreateVenueRequest| {
        let made = world.client().create_venue(with(token, request)).await;
        answer(made).map(|made| (made.venue.unwrap().venue_id, made.replayed))
    };
    let copies: Vec<_> = (0..8)
        .map(|_| {
            let mut client = world.client();
            let request = with(&organiser, keyed("k", "Hall"));
            tokio::spawn(async move { client.create_venue(request).await })
        })
        .collect();
    let mut made: Vec<(Vec<u8>, bool)> = Vec::new();
    for copy in copies {
        let copy = answer(copy.await.unwrap()).unwrap();
        made.push((copy.venue.unwrap().venue_id, copy.replayed));
    }
    let id = made[0].0.clone();
    assert!(made.iter().all(|(one, _)| *one == id));
    assert_eq!(made.iter().filter(|(_, replayed)| !replayed).count(), 1);
    assert_eq!(Uuid::from_slice(&id).unwrap().get_version_num(), 7);

    let refused = create(&organiser, keyed("k", "Another hall")).await;
    assert_refused(refused, ErrorCode::AlreadyExists);
    for (token, key) in [(&organiser, "k2"), (&other, "k")] {
        let (another, replayed) = create(token, keyed(key, "Hall")).await.unwrap();
        assert!(another != id && !replayed);
    }
    let both = wire::CreateVenueRequest {
        venue: Some(venue()),
        ..keyed("k3", "Hall")
    };
    let refused = create(&organiser, both).await;
    assert_eq!(refused_fields(refused), ["idempotency_key"]);
    // What was refused leaves its key free.
    let nameless = create(&organiser, keyed("k4", " ")).await;
    assert_eq!(refused_fields(nameless), ["venue.name"]);
    assert!(!create(&organiser, keyed("k4", "Hall")).await.unwrap().1);
}

#[sqlx::test]
async fn everything_that_organisers_make_has_an_id_by_its_key(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let wanted = world.prepared_show(&organiser).await;
    let performer = wire::CreatePerformerRequest {
        performer: Some(wire::Performer {
            performer_id: Vec::new(),
            name: "The Band".to_owned(),
            version: String::new(),
        }),
        idempotency_key: "k".to_owned(),
    };
    let new_event = wire::CreateEventRequest {
        event: Some(wire::Event {
            event_id: Vec::new(),
            ..event()
        }),
        idempotency_key: "k".to_owned(),
    };
    let hall = world.create_venue(&organiser, venue()).await.unwrap();
    let new_plan = wire::ImportPlanRequest {
        plan_id: Vec::new(),
        idempotency_key: "k".to_owned(),
        ..plan(&hall.venue_id)
    };
    let new_show = wire::CreateShowRequest {
        show_id: Vec::new(),
        idempotency_key: "k".to_owned(),
        ..wanted
    };
    let mut first = Vec::new();
    for replayed in [false, true] {
        let request = with(&organiser, performer.clone());
        let one = answer(world.client.create_performer(request).await).unwrap();
        let request = with(&organiser, new_event.clone());
        let two = answer(world.client.create_event(request).await).unwrap();
        let request = with(&organiser, new_plan.clone());
        let three = answer(world.client.import_plan(request).await).unwrap();
        let request = with(&organiser, new_show.clone());
        let four = answer(world.client.create_show(request).await).unwrap();
        let flags = [one.replayed, two.replayed, three.replayed, four.replayed];
        assert_eq!(flags, [replayed; 4]);
        let ids = vec![
            one.performer.unwrap().performer_id,
            two.event.unwrap().event_id,
            three.plan_id,
            four.show.unwrap().show_id,
        ];
        for id in &ids {
            assert_eq!(Uuid::from_slice(id).unwrap().get_version_num(), 7);
        }
        if replayed {
            assert_eq!(ids, first);
        }
        first = ids;
    }
}

/// The id that gateways of the release before gave to what a key makes.
fn id_before(kind: &str, user_id: &[u8], key: &str) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update([kind.len() as u8]);
    hash.update(kind);
    hash.update(user_id);
    hash.update(key);
    let bytes = hash.finalize()[..16].try_into().unwrap();
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    id.as_bytes().to_vec()
}

#[sqlx::test]
async fn what_a_gateway_of_the_release_before_made_is_known_by_its_key_after_a_change(
    pool: PgPool,
) {
    let world = World::start(pool).await;
    let organiser = token("organiser");
    let before = wire::CreateEventRequest {
        event: Some(wire::Event {
            event_id: id_before("event", &user_of(&organiser), "k"),
            ..event()
        }),
        idempotency_key: String::new(),
    };
    let keyed = wire::CreateEventRequest {
        event: Some(wire::Event {
            event_id: Vec::new(),
            ..before.event.clone().unwrap()
        }),
        idempotency_key: "k".to_owned(),
    };
    let create = async |request: &wire::CreateEventRequest| {
        let request = with(&organiser, request.clone());
        let made = answer(world.client().create_event(request).await)?;
        Ok::<_, Failure>((made.event.unwrap(), made.replayed))
    };
    let (made, replayed) = create(&before).await.unwrap();
    assert!(!replayed);
    assert_eq!(create(&keyed).await.unwrap(), (made.clone(), true));
    let titled = wire::Event {
        title: "Der Abschied".to_owned(),
        ..made
    };
    let request = wire::UpdateEventRequest {
        event: Some(titled),
        fields: vec!["title".to_owned()],
        if_version: String::new(),
    };
    let changed = world.client().update_event(with(&organiser, request)).await;
    let changed = answer(changed).unwrap().event.unwrap();
    for request in [&before, &keyed] {
        assert_eq!(create(request).await.unwrap(), (changed.clone(), true));
    }
    let mut other = keyed.clone();
    other.event.as_mut().unwrap().description.push('!');
    assert_refused(create(&other).await, ErrorCode::AlreadyExists);
}

#[sqlx::test]
async fn a_file_that_comes_again_is_answered_as_it_was_whatever_is_read_in_it_now(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let hall = world.create_venue(&organiser, venue()).await.unwrap();
    let request = wire::ImportPlanRequest {
        plan_id: Vec::new(),
        idempotency_key: "k".to_owned(),
        ..plan(&hall.venue_id)
    };
    let first = world
        .import_plan(&organiser, request.clone())
        .await
        .unwrap();
    // Another release warned of something else.
    sqlx::query("UPDATE catalog.plans SET warnings = '{as it was read then}'")
        .execute(&pool)
        .await
        .unwrap();
    let again = world
        .import_plan(&organiser, request.clone())
        .await
        .unwrap();
    let expected = wire::ImportPlanResponse {
        warnings: vec!["as it was read then".to_owned()],
        replayed: true,
        ..first
    };
    assert_eq!(again, expected);
    let renamed = wire::ImportPlanRequest {
        name: "Another".to_owned(),
        ..request
    };
    let refused = world.import_plan(&organiser, renamed).await;
    assert_refused(refused, ErrorCode::AlreadyExists);
}
