//! What was sold stays what it was: every change that would break a ticket is refused with the reason, and
//! changes nothing, whatever became of the show since; what breaks none goes through.

use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;

use crate::world::{STADIUM, World, answer, event, in_days, plan, token, venue, with};

/// A change that somebody asks for.
enum Change {
    Show(wire::CreateShowRequest, &'static str),
    ShowAgain(wire::CreateShowRequest),
    Venue(wire::Venue, &'static str),
    VenueAgain(wire::Venue),
    EventAgain(wire::Event),
    PlanAgain(wire::ImportPlanRequest),
    State(&'static str),
    NoCategory(String),
}

/// What is there, and a bought seat of it.
struct Sold {
    show: wire::Show,
    /// As it was asked for.
    asked: wire::CreateShowRequest,
    plan: wire::ImportPlanRequest,
    seat: String,
    other_venue_id: Vec<u8>,
}

impl World {
    async fn sold(&mut self, organiser: &str) -> Sold {
        let venue = self.create_venue(organiser, venue()).await.unwrap();
        let plan = plan(&venue.venue_id);
        self.import_plan(organiser, plan.clone()).await.unwrap();
        let event = self.create_event(organiser, event()).await.unwrap();
        let asked = wire::CreateShowRequest {
            fees: vec![wire::Fee {
                name: "Service".to_owned(),
                amount: 150,
                per_ticket: true,
            }],
            ..crate::world::show(&event.event_id, &plan.plan_id)
        };
        self.create_show(organiser, asked.clone()).await.unwrap();
        let show = self.publish(organiser, &asked.show_id).await.unwrap();
        let map = self.seat_map("", &asked.show_id).await.unwrap();
        let seat = map.seats[0].label.clone();
        self.inventory.set_state(&seat, "SOLD");
        Sold {
            show,
            asked,
            plan,
            seat,
            other_venue_id: self
                .create_venue(organiser, crate::world::venue())
                .await
                .unwrap()
                .venue_id,
        }
    }

    async fn ask(
        &mut self,
        organiser: &str,
        show_id: &[u8],
        change: Change,
    ) -> Result<(), Failure> {
        match change {
            Change::Show(show, field) => {
                let changed = self.update_show(organiser, show, &[field], "").await;
                changed.map(drop)
            }
            Change::ShowAgain(show) => self.create_show(organiser, show).await.map(drop),
            Change::Venue(venue, field) => {
                let changed = self.update_venue(organiser, venue, &[field], "").await;
                changed.map(drop)
            }
            Change::VenueAgain(venue) => self.create_venue(organiser, venue).await.map(drop),
            Change::EventAgain(event) => self.create_event(organiser, event).await.map(drop),
            Change::PlanAgain(plan) => self.import_plan(organiser, plan).await.map(drop),
            Change::State(state) => self.change_state(organiser, show_id, state).await.map(drop),
            Change::NoCategory(slug) => {
                let request = wire::DeleteCategoryRequest { slug };
                let request = with(&token("admin"), request);
                answer(self.client.delete_category(request).await).map(drop)
            }
        }
    }
}

impl Sold {
    fn show(&self, field: &'static str, bend: fn(&mut wire::CreateShowRequest)) -> Change {
        let mut show = self.asked.clone();
        bend(&mut show);
        Change::Show(show, field)
    }

    fn show_again(&self, bend: impl FnOnce(&mut wire::CreateShowRequest)) -> Change {
        let mut show = self.asked.clone();
        bend(&mut show);
        Change::ShowAgain(show)
    }

    fn venue(&self, field: &'static str, bend: fn(&mut wire::Venue)) -> Change {
        let mut venue = self.show.venue.clone().unwrap();
        bend(&mut venue);
        Change::Venue(venue, field)
    }

    fn plan_again(&self, plan_json: Vec<u8>) -> Change {
        Change::PlanAgain(wire::ImportPlanRequest {
            plan_json,
            ..self.plan.clone()
        })
    }

    /// Each with why it is refused.
    fn breaking(
        &self,
        elsewhere: &wire::CreateShowRequest,
    ) -> Vec<(Change, ErrorCode, &'static str)> {
        use ErrorCode::{AlreadyExists, InvalidRequest, InvalidState};
        let elsewhere = elsewhere.clone();
        let (event_id, plan_id) = (elsewhere.event_id, elsewhere.plan_id);
        let seat = self.seat.clone();
        let mut of_a_seat = self.asked.clone();
        of_a_seat.prices.push(wire::Price {
            amount: 1,
            seat,
            ..wire::Price::default()
        });
        let mut here = self.show.venue.clone().unwrap();
        here.time_zone = "Asia/Tokyo".to_owned();
        let mut title = self.show.event.clone().unwrap();
        title.title.push('!');
        let slug = title.category.clone();
        let mut moved = self.plan.clone();
        moved.venue_id = self.other_venue_id.clone();
        vec![
            // What a ticket says.
            (
                self.show("starts_at_ms", |show| show.starts_at_ms += 3_600_000),
                InvalidState,
                "starts_at can't be changed any more",
            ),
            // What was paid, and what will be paid back.
            (
                self.show("prices", |show| show.prices[0].amount += 1),
                InvalidState,
                "prices can't be changed any more",
            ),
            (
                self.show("prices", |show| show.prices[0].amount -= 1),
                InvalidState,
                "prices can't be changed any more",
            ),
            (
                self.show("prices", |show| drop(show.prices.pop())),
                InvalidState,
                "prices can't be changed any more",
            ),
            (
                self.show("prices", |show| show.prices[0].category.push('!')),
                InvalidState,
                "prices can't be changed any more",
            ),
            (
                Change::Show(of_a_seat, "prices"),
                InvalidState,
                "prices can't be changed any more",
            ),
            (
                self.show("fees", |show| show.fees.clear()),
                InvalidState,
                "fees can't be changed any more",
            ),
            // What holds and payments under way go by.
            (
                self.show("rules", |show| {
                    show.rules = Some(wire::ShowRules {
                        seats_per_customer_max: 1,
                        ..wire::ShowRules::default()
                    });
                }),
                InvalidState,
                "rules can't be changed any more",
            ),
            (
                self.show("rules", |show| {
                    show.rules = Some(wire::ShowRules {
                        late_money: wire::LateMoney::Refund.into(),
                        ..wire::ShowRules::default()
                    });
                }),
                InvalidState,
                "rules can't be changed any more",
            ),
            // What never changes.
            (
                self.show("currency", |show| show.currency = "USD".to_owned()),
                InvalidRequest,
                "currency",
            ),
            (self.show("plan_id", |_| ()), InvalidRequest, "plan_id"),
            (self.show("event_id", |_| ()), InvalidRequest, "event_id"),
            // Made once more, as another.
            (
                self.show_again(|show| show.currency = "USD".to_owned()),
                AlreadyExists,
                "taken",
            ),
            (
                self.show_again(|show| show.plan_id = plan_id),
                AlreadyExists,
                "taken",
            ),
            (
                self.show_again(|show| show.event_id = event_id),
                AlreadyExists,
                "taken",
            ),
            (Change::VenueAgain(here), AlreadyExists, "taken"),
            (Change::EventAgain(title), AlreadyExists, "taken"),
            // The plan with a category that is called something else, without a seat, and elsewhere.
            (self.plan_again(renamed_category()), AlreadyExists, "taken"),
            (self.plan_again(without_a_seat()), AlreadyExists, "taken"),
            (Change::PlanAgain(moved), AlreadyExists, "taken"),
            // Where and by which clock it begins.
            (
                self.venue("city", |venue| venue.city = "Potsdam".to_owned()),
                InvalidState,
                "city can't be changed any more",
            ),
            (
                self.venue("country", |venue| venue.country = "AT".to_owned()),
                InvalidState,
                "country can't be changed any more",
            ),
            (
                self.venue("time_zone", |venue| {
                    venue.time_zone = "Asia/Tokyo".to_owned()
                }),
                InvalidState,
                "time_zone can't be changed any more",
            ),
            (
                self.venue("latitude", |venue| venue.latitude += 0.1),
                InvalidState,
                "latitude can't be changed any more",
            ),
            (
                self.venue("longitude", |venue| venue.longitude += 0.1),
                InvalidState,
                "longitude can't be changed any more",
            ),
            (
                Change::NoCategory(slug),
                InvalidState,
                "sports can't be deleted",
            ),
            (Change::State("DRAFT"), InvalidRequest, "state"),
        ]
    }
}

fn renamed_category() -> Vec<u8> {
    let file = String::from_utf8(STADIUM.to_vec()).unwrap();
    file.replace("\"Category I\"", "\"Category 1\"")
        .into_bytes()
}

fn without_a_seat() -> Vec<u8> {
    let mut file: serde_json::Value = serde_json::from_slice(STADIUM).unwrap();
    let seats = file["zones"][0]["rows"][0]["seats"].as_array_mut();
    seats.unwrap().pop().unwrap();
    file.to_string().into_bytes()
}

/// All that the tables say, and who wrote it.
async fn everything(pool: &PgPool) -> Vec<String> {
    let tables = [
        "venues",
        "events",
        "event_performers",
        "plans",
        "plan_categories",
        "plan_sections",
        "plan_rows",
        "plan_seats",
        "plan_files",
        "shows",
        "show_prices",
        "show_exact_prices",
        "categories",
        "outbox",
    ];
    let mut hashes = Vec::new();
    for table in tables {
        // xmin tells whether a row was written, even with the same words.
        let sql = format!(
            "SELECT '{table} ' || coalesce(md5(string_agg(t.xmin || t::text, '' ORDER BY t::text)), '')
             FROM catalog.{table} t"
        );
        let hash = sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(sql));
        hashes.push(hash.fetch_one(pool).await.unwrap());
    }
    hashes
}

#[sqlx::test]
async fn nothing_that_was_sold_is_changed_and_the_reason_is_told(pool: PgPool) {
    let mut world = World::start(pool.clone()).await;
    let organiser = token("organiser");
    let sold = world.sold(&organiser).await;
    let elsewhere = world.prepared_show(&organiser).await;
    let show_id = sold.show.show_id.clone();
    for state in ["ON_SALE", "PAUSED", "CLOSED", "CANCELLED"] {
        if state != "ON_SALE" {
            world
                .change_state(&organiser, &show_id, state)
                .await
                .unwrap();
        }
        let before = everything(&pool).await;
        let asked = world.inventory.calls();
        for (index, (change, code, why)) in sold.breaking(&elsewhere).into_iter().enumerate() {
            let refused = world.ask(&organiser, &show_id, change).await;
            let refused = refused.expect_err(&format!("change {index} in {state}"));
            assert_eq!(
                refused.code(),
                code,
                "change {index} in {state}: {refused:?}"
            );
            let words = format!("{refused:?}");
            assert!(words.contains(why), "change {index} in {state}: {words}");
            let after = everything(&pool).await;
            assert_eq!(after, before, "change {index} in {state}");
        }
        assert_eq!(world.inventory.calls(), asked, "nothing was asked for");
    }
}

#[sqlx::test]
async fn what_breaks_no_ticket_may_change_of_what_was_sold(pool: PgPool) {
    let mut world = World::start(pool).await;
    let organiser = token("organiser");
    let sold = world.sold(&organiser).await;
    let asked = world.inventory.calls();
    let performer = world.performer(&organiser, "The Harbour").await.unwrap();
    let words = wire::Event {
        title: "Der Abschied".to_owned(),
        description: "At last.".to_owned(),
        category: "music".to_owned(),
        performers: vec![performer],
        ..sold.show.event.clone().unwrap()
    };
    let fields = ["title", "description", "category", "performers"];
    let event = world.update(&organiser, words, &fields, "").await.unwrap();
    let door = wire::Venue {
        name: "Stadion am See".to_owned(),
        address: "Uferweg 2, gate 7".to_owned(),
        postal_code: "14053-2".to_owned(),
        region: "Land Berlin".to_owned(),
        ..sold.show.venue.clone().unwrap()
    };
    let venue = world
        .update_venue(
            &organiser,
            door,
            &["name", "address", "postal_code", "region"],
            "",
        )
        .await
        .unwrap();
    let ends_at_ms = Some(in_days(30));
    let sale = wire::CreateShowRequest {
        sale_ends_at_ms: ends_at_ms,
        ..sold.asked.clone()
    };
    world
        .update_show(&organiser, sale, &["sale_ends_at_ms"], "")
        .await
        .unwrap();
    let show = world.show("", &sold.show.show_id).await.unwrap();
    assert_eq!((show.event, show.venue), (Some(event), Some(venue)));
    assert_eq!(show.sale_ends_at_ms, ends_at_ms);
    // The seats are those that were sold, at what they cost.
    let same = |show: &wire::Show| {
        let prices = show.prices.clone();
        (
            show.starts_at_ms,
            prices,
            show.price_version,
            show.plan_id.clone(),
        )
    };
    let now = world.show("", &sold.show.show_id).await.unwrap();
    assert_eq!(same(&now), same(&sold.show));
    assert_eq!(world.inventory.calls(), asked);
}
