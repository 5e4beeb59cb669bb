//! The service over a real port, fed by a real catalogue through a real stream.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use holdfast_mesh::{self as mesh, Failure, client::Channel, config::Secret};
use holdfast_proto::{
    events::v1 as events,
    search::v1::{
        FacetBy, FoundShow, SearchShowsRequest, SearchShowsResponse,
        search_service_client::SearchServiceClient,
    },
};
use holdfast_types::ErrorCode;
use prost::Message;
use sqlx::{ConnectOptions, PgPool};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{Config, Error, serve};

/// Longest wait for anything that must happen.
const LIMIT: Duration = Duration::from_secs(30);

/// SE-1, for a machine that isn't busy; here it is said how long it took.
const FRESH: Duration = Duration::from_secs(2);

const NOBODY: &str = "http://127.0.0.1:1";

fn url(pool: &PgPool) -> Secret {
    Secret::new(pool.connect_options().to_url_lossy())
}

/// A service that runs until it is stopped.
pub(crate) struct Running<E> {
    context: mesh::Context,
    pub(crate) uri: String,
    task: JoinHandle<Result<(), E>>,
}

impl<E: std::fmt::Debug> Running<E> {
    pub(crate) async fn stop(self) {
        self.context.shutdown.cancel();
        tokio::time::timeout(LIMIT, self.task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }
}

async fn start<E: Send + 'static>(
    name: &str,
    context: mesh::Context,
    task: JoinHandle<Result<(), E>>,
) -> Running<E> {
    let address = context.readiness.address(name);
    let address = tokio::time::timeout(LIMIT, address).await.unwrap();
    Running {
        uri: format!("http://{address}"),
        context,
        task,
    }
}

/// catalog-svc, with its relay.
pub(crate) async fn catalogue(pool: &PgPool) -> Running<catalog_svc::Error> {
    holdfast_eventlog::migrate(pool).await.unwrap();
    let config = catalog_svc::Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database_url: url(pool),
        database_connections_max: 4,
        identity: NOBODY.to_owned(),
        booking: NOBODY.to_owned(),
        ..Default::default()
    };
    let context = mesh::Context::new();
    let task = tokio::spawn(catalog_svc::serve(config, context.clone()));
    start(catalog_svc::NAME, context, task).await
}

struct Search {
    running: Running<Error>,
    client: SearchServiceClient<Channel>,
}

async fn search(database_url: Secret, catalog: &str, data_dir: &Path) -> Search {
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        database_url,
        identity: NOBODY.to_owned(),
        catalog: catalog.to_owned(),
        data_dir: data_dir.to_owned(),
        ..Config::default()
    };
    let context = mesh::Context::new();
    let task = tokio::spawn(serve(config, context.clone()));
    let running = start(crate::NAME, context, task).await;
    let channel = mesh::client::channel(&running.uri).unwrap();
    Search {
        running,
        client: SearchServiceClient::new(channel),
    }
}

impl Search {
    async fn ask(&self, request: SearchShowsRequest) -> Result<SearchShowsResponse, Failure> {
        let answer = self.client.clone().search_shows(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| Failure::from_status(&status))
    }

    async fn titles(&self, q: &str) -> Result<Vec<String>, Failure> {
        let answer = self.ask(asking(q)).await?;
        Ok(answer.shows.into_iter().map(|show| show.title).collect())
    }

    /// Waits until `q` finds exactly `titles`; tells how long it took.
    async fn finds(&self, q: &str, titles: &[&str]) -> Duration {
        let begun = Instant::now();
        let mut last = self.titles(q).await;
        while last.as_ref().is_ok_and(|found| found != titles) || last.is_err() {
            assert!(begun.elapsed() < LIMIT, "{q:?}: {last:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            last = self.titles(q).await;
        }
        begun.elapsed()
    }
}

fn asking(q: &str) -> SearchShowsRequest {
    SearchShowsRequest {
        q: q.to_owned(),
        ..Default::default()
    }
}

/// A hall, of which shows are made. Written as catalog-svc writes it.
pub(crate) struct Hall {
    pool: PgPool,
    pub(crate) venue_id: Uuid,
    plan_id: Uuid,
}

impl Hall {
    pub(crate) async fn build(pool: &PgPool) -> Self {
        let [owner, venue_id, plan_id] = [(); 3].map(|()| Uuid::new_v4());
        sqlx::query(
            "INSERT INTO catalog.venues (venue_id, owner_id, name, address, city, country, latitude, longitude, time_zone)
             VALUES ($1, $2, 'Grand Hall', 'Street 1', 'Berlin', 'DE', 52.5, 13.4, 'Europe/Berlin')",
        )
        .bind(venue_id)
        .bind(owner)
        .execute(pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO catalog.plans (plan_id, venue_id, owner_id, name, width, height, seat_count, source_sha256, warnings)
             VALUES ($1, $2, $3, 'Hall', 10, 10, 1, decode(repeat('00', 32), 'hex'), '{}')",
        )
        .bind(plan_id)
        .bind(venue_id)
        .bind(owner)
        .execute(pool)
        .await
        .unwrap();
        Self {
            pool: pool.clone(),
            venue_id,
            plan_id,
        }
    }

    /// An event with a show in `days` days.
    pub(crate) async fn show(&self, title: &str, state: &str, days: i32) -> (Uuid, Uuid) {
        let [owner, event_id, show_id] = [(); 3].map(|()| Uuid::new_v4());
        sqlx::query(
            "INSERT INTO catalog.events (event_id, owner_id, title, description, category)
             VALUES ($1, $2, $3, '', 'music')",
        )
        .bind(event_id)
        .bind(owner)
        .bind(title)
        .execute(&self.pool)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO catalog.shows (show_id, owner_id, event_id, plan_id, starts_at, currency,
                 hold_ttl_ms, hold_total_ms_max, seats_per_customer_max, state)
             VALUES ($1, $2, $3, $4, now() + make_interval(days => $5), 'EUR', 1, 1, 1, $6)",
        )
        .bind(show_id)
        .bind(owner)
        .bind(event_id)
        .bind(self.plan_id)
        .bind(days)
        .bind(state)
        .execute(&self.pool)
        .await
        .unwrap();
        (event_id, show_id)
    }

    /// A change and the news of it, in one transaction.
    async fn change(&self, sql: &'static str, id: Uuid, to: &str, news: (&str, Vec<u8>)) {
        let mut transaction = self.pool.begin().await.unwrap();
        sqlx::query(sql)
            .bind(id)
            .bind(to)
            .execute(&mut *transaction)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO catalog.outbox (id, topic, key, event_type, payload)
             VALUES (gen_random_uuid(), 'catalog', $1, $2, $3)",
        )
        .bind(id.to_string())
        .bind(news.0)
        .bind(news.1)
        .execute(&mut *transaction)
        .await
        .unwrap();
        transaction.commit().await.unwrap();
    }

    /// `count` shows more, each minutes after the only one there is.
    pub(crate) async fn more(&self, count: i32) {
        sqlx::query(
            "INSERT INTO catalog.shows SELECT gen_random_uuid(), owner_id, event_id, plan_id,
                 starts_at + make_interval(mins => n), currency, hold_ttl_ms, hold_total_ms_max,
                 seats_per_customer_max, price_version, state
             FROM catalog.shows, generate_series(1, $1) AS n",
        )
        .bind(count)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    pub(crate) async fn retitle(&self, event_id: Uuid, title: &str) {
        let news = events::EventChanged {
            event_id: event_id.as_bytes().to_vec(),
        };
        let sql = "UPDATE catalog.events SET title = $2 WHERE event_id = $1";
        self.change(sql, event_id, title, ("EventChanged", news.encode_to_vec()))
            .await;
    }

    pub(crate) async fn set_state(&self, show_id: Uuid, state: &str) {
        let news = events::ShowChanged {
            show_id: show_id.as_bytes().to_vec(),
        };
        let sql = "UPDATE catalog.shows SET state = $2 WHERE show_id = $1";
        self.change(sql, show_id, state, ("ShowChanged", news.encode_to_vec()))
            .await;
    }
}

#[sqlx::test(migrations = false)]
async fn what_is_on_is_found_and_what_changes_is_found_soon(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (event_id, _) = hall.show("Opening Night", "ON_SALE", 30).await;
    let (_, draft) = hall.show("Secret Night", "DRAFT", 31).await;
    hall.show("Yesterday's Night", "CLOSED", -1).await;
    let dir = tempfile::tempdir().unwrap();
    let search = search(url(&pool), &catalog.uri, dir.path()).await;
    search.finds("night", &["Opening Night"]).await;

    hall.retitle(event_id, "Grand Finale").await;
    let took = search.finds("finale", &["Grand Finale"]).await;
    eprintln!("a changed title was found after {} ms", took.as_millis());
    assert!(took < FRESH, "{took:?}");
    assert_eq!(
        search.titles("opening").await.unwrap(),
        Vec::<String>::new()
    );

    hall.set_state(draft, "ON_SALE").await;
    search.finds("night", &["Secret Night"]).await;
    hall.set_state(draft, "CANCELLED").await;
    let cancelled = async {
        loop {
            let found = search.ask(asking("secret")).await.unwrap().shows;
            if found[0].state == "CANCELLED" {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let found = tokio::time::timeout(LIMIT, cancelled).await.unwrap();
    let FoundShow {
        venue_name,
        city,
        currency,
        price_from,
        distance_m,
        ..
    } = &found[0];
    assert_eq!(
        (venue_name.as_str(), city.as_str()),
        ("Grand Hall", "Berlin")
    );
    assert_eq!(
        (currency.as_str(), *price_from, *distance_m),
        ("EUR", None, None)
    );
    search.running.stop().await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn many_changes_at_once_are_all_found(pool: PgPool) {
    const MANY: i32 = 700;
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let dir = tempfile::tempdir().unwrap();
    let search = search(url(&pool), &catalog.uri, dir.path()).await;
    search.finds("", &[]).await;
    let (event_id, _) = hall.show("Festival", "ON_SALE", 1).await;
    // More of one event than a page of the catalogue or a batch has.
    hall.more(MANY - 1).await;
    sqlx::query(
        "INSERT INTO catalog.outbox (id, topic, key, event_type, payload)
         SELECT gen_random_uuid(), 'catalog', show_id::text, 'ShowChanged',
                decode('0a10' || replace(show_id::text, '-', ''), 'hex')
         FROM catalog.shows",
    )
    .execute(&pool)
    .await
    .unwrap();
    let begun = Instant::now();
    let count = async |q: &str| {
        let (mut count, mut cursor) = (0, String::new());
        loop {
            let request = SearchShowsRequest {
                limit: 100,
                cursor,
                ..asking(q)
            };
            let answer = search.ask(request).await.unwrap();
            count += answer.shows.len();
            cursor = answer.next_cursor;
            if cursor.is_empty() {
                return count;
            }
        }
    };
    while count("festival").await < MANY as usize {
        assert!(begun.elapsed() < LIMIT, "{}", count("festival").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hall.retitle(event_id, "Jamboree").await;
    while count("jamboree").await < MANY as usize {
        assert!(begun.elapsed() < LIMIT, "{}", count("jamboree").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(count("festival").await, 0);
    let lag = holdfast_eventlog::lag(&pool, "search", &["catalog"])
        .await
        .unwrap();
    assert!(lag < LIMIT, "{lag:?}");
    search.running.stop().await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn it_answers_without_catalogue_and_database_and_catches_up(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (event_id, _) = hall.show("Opening", "ON_SALE", 30).await;
    let dir = tempfile::tempdir().unwrap();
    let first = search(url(&pool), &catalog.uri, dir.path()).await;
    first.finds("", &["Opening"]).await;
    first.running.stop().await;

    // Nobody listens where its database and the catalogue should be.
    let nowhere = Secret::new("postgres://nobody@127.0.0.1:1/nothing");
    let alone = search(nowhere, NOBODY, dir.path()).await;
    assert_eq!(alone.titles("opening").await.unwrap(), ["Opening"]);
    alone.running.stop().await;

    hall.retitle(event_id, "Closing").await;
    let third = search(url(&pool), &catalog.uri, dir.path()).await;
    third.finds("", &["Closing"]).await;
    third.running.stop().await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn before_there_is_an_index_it_says_so(pool: PgPool) {
    let dir = tempfile::tempdir().unwrap();
    let early = search(url(&pool), NOBODY, dir.path()).await;
    let refused = early.titles("").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.retry_after().is_some());
    early.running.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_event_that_can_not_be_read_is_parked_alone(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (event_id, _) = hall.show("Opening", "ON_SALE", 30).await;
    let dir = tempfile::tempdir().unwrap();
    let search = search(url(&pool), &catalog.uri, dir.path()).await;
    search.finds("", &["Opening"]).await;
    let sql = "UPDATE catalog.events SET title = title WHERE event_id = $1 AND title <> $2";
    let broken = Uuid::new_v4();
    hall.change(sql, broken, "", ("ShowChanged", vec![0x0a, 0x7f]))
        .await;
    hall.change(sql, event_id, "", ("SomethingNew", vec![1, 2, 3]))
        .await;
    hall.retitle(event_id, "Closing").await;
    search.finds("", &["Closing"]).await;
    let parked = async {
        loop {
            let parked = holdfast_eventlog::parked(&pool).await.unwrap();
            if let [one] = parked.as_slice() {
                return (one.consumer.clone(), one.key.clone());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let parked = tokio::time::timeout(LIMIT, parked).await.unwrap();
    assert_eq!(parked, ("search".to_owned(), broken.to_string()));
    search.running.stop().await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_nothing_fits_is_taken_alike_on_every_page_and_says_how(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    hall.show("The Silent Owls", "ON_SALE", 30).await;
    hall.more(4).await;
    let (other, _) = hall.show("Closing", "ON_SALE", 40).await;
    let dir = tempfile::tempdir().unwrap();
    let search = search(url(&pool), &catalog.uri, dir.path()).await;
    search.finds("closing", &["Closing"]).await;
    for (q, without_words, misspelt) in [
        ("Tickets, for silent owls", &["Tickets", "for"][..], false),
        ("tickets: siilnt owls", &["tickets"], true),
    ] {
        let (mut shows, mut cursor) = (0, String::new());
        for _ in 0..3 {
            let request = SearchShowsRequest {
                limit: 2,
                cursor,
                facets: vec![FacetBy::City.into()],
                ..asking(q)
            };
            let answer = search.ask(request).await.unwrap();
            let loosened = answer.loosened.unwrap();
            assert_eq!(loosened.without_words, without_words);
            assert_eq!(loosened.misspelt, misspelt);
            assert_eq!((answer.total, answer.facets[0].values[0].shows), (5, 5));
            shows += answer.shows.len();
            let parts = answer.shows[0].highlights[0].parts.iter();
            let told: Vec<(&str, bool)> = parts.map(|it| (&*it.text, it.matched)).collect();
            let expected = [
                ("The ", false),
                ("Silent", true),
                (" ", false),
                ("Owls", true),
            ];
            assert_eq!(told, expected);
            cursor = answer.next_cursor;
        }
        assert_eq!((shows, cursor.as_str()), (5, ""));
    }
    // From now on something fits as it is asked.
    let q = "Tickets, for silent owls";
    hall.retitle(other, "Tickets for Silent Owls").await;
    search.finds(q, &["Tickets for Silent Owls"]).await;
    assert_eq!(search.ask(asking(q)).await.unwrap().loosened, None);
    search.running.stop().await;
    catalog.stop().await;
}

#[sqlx::test(migrations = false)]
async fn bad_questions_are_refused_by_field(pool: PgPool) {
    let dir = tempfile::tempdir().unwrap();
    let search = search(url(&pool), NOBODY, dir.path()).await;
    let request = SearchShowsRequest {
        cursor: "q1nonsense".to_owned(),
        limit: 101,
        ..asking("")
    };
    let refused = search.ask(request).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::InvalidRequest);
    let fields: Vec<&str> = refused
        .fields()
        .iter()
        .map(|it| it.field.as_str())
        .collect();
    assert_eq!(fields, ["cursor", "limit"]);
    search.running.stop().await;
}
