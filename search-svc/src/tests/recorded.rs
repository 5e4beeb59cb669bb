//! The Meilisearch adapter against what a real server answered.

use holdfast_mesh::config::Secret;
use holdfast_types::ShowId;
use serde_json::{Value, json};

use super::{
    replay::{Replay, Step, labels, our_id, recorded},
    shows::{all, day, near, puts, show, text},
};
use crate::{
    document::Changes,
    facet::{Counts, Facet},
    index::{Error, Found, Index, Total},
    meili::{Keys, Meili, schema_mark},
    place::Place,
    query::{Query, Sort},
    suggest::{Begun, Kind},
};

/// The settings of an index of ours.
fn our_settings() -> Step {
    recorded("get settings").with(|settings| {
        let mark = json!(schema_mark());
        settings["filterableAttributes"]
            .as_array_mut()
            .unwrap()
            .push(mark);
    })
}

/// The adapter, after it has seen that its index is there.
pub(crate) async fn built(replay: &Replay) -> Meili {
    let meili = replay.meili();
    replay.expect([our_settings()]);
    assert!(meili.is_built().await.unwrap());
    replay.came();
    meili
}

/// The adapter of a server that isn't there.
pub(super) fn nobody() -> Meili {
    let none = Secret::default();
    let keys = Keys {
        all: &none,
        search: &none,
    };
    Meili::new("http://127.0.0.1:1", keys, "shows").unwrap()
}

fn ids(found: &Found) -> Vec<u64> {
    let number = |id: &[u8]| u64::try_from(u128::from_be_bytes(id.try_into().unwrap())).unwrap();
    found
        .shows
        .iter()
        .map(|show| number(&show.show_id))
        .collect()
}

fn limited(query: Query, limit: usize) -> Query {
    Query { limit, ..query }
}

#[tokio::test]
async fn an_index_counts_when_it_is_there_and_of_this_schema() {
    let replay = Replay::start().await;
    let meili = replay.meili();
    let settings = "/indexes/shows/settings";
    replay.expect([recorded("index missing").at("GET", settings)]);
    assert!(!meili.is_built().await.unwrap());
    replay.expect([recorded("get settings")]);
    assert!(!meili.is_built().await.unwrap(), "another schema");
    // Until it was seen to be there nothing is asked of it.
    assert!(matches!(meili.search(&all()).await, Err(Error::NotBuilt)));
    assert!(matches!(meili.shows().await, Err(Error::NotBuilt)));
    let refused = meili.write(puts([show(1, "Early")])).await;
    assert!(matches!(refused, Err(Error::NotBuilt)));
    replay.expect([our_settings()]);
    assert!(meili.is_built().await.unwrap());
    replay.came();

    let stranger = replay.meili_with("nonsense", "");
    replay.expect([recorded("wrong key").at("GET", settings).with_any_key()]);
    let refused = stranger.is_built().await;
    assert!(
        matches!(&refused, Err(Error::Away(why)) if why.contains("invalid_api_key")),
        "{refused:?}"
    );
    replay.came();
}

#[tokio::test]
async fn the_server_says_how_many_shows_there_are() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    replay.expect([recorded("stats").at("GET", "/indexes/shows/stats")]);
    assert_eq!(meili.shows().await.unwrap(), 359);
    replay.came();
}

#[tokio::test]
async fn what_is_found_is_read_and_what_is_asked_is_as_the_server_has_it() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    replay.expect([recorded("search, typos").with_our_hits()]);
    let found = meili
        .search(&limited(text("tylor swfit"), 2))
        .await
        .unwrap();
    assert_eq!((ids(&found), found.more), (vec![1, 11], true));
    let first = &found.shows[0];
    assert_eq!(first.title, "Taylor Swift | The Eras Tour");
    assert_eq!(
        (first.venue_name.as_str(), first.city.as_str()),
        ("Shanghai Arena", "Shanghai")
    );
    assert_eq!((first.latitude, first.longitude), (31.22222, 121.45806));
    assert_eq!(
        (first.price_from, first.currency.as_str()),
        (Some(2500), "EUR")
    );
    assert_eq!(
        (first.starts_at_ms, first.state.as_str()),
        (1_798_761_600_000, "PAUSED")
    );
    assert_eq!(first.event_id, our_id(1).as_bytes());
    let [body] = <[Value; 1]>::try_from(replay.came()).unwrap();
    let shown = body["attributesToRetrieve"].as_array().unwrap();
    assert!(shown.contains(&json!("_geo")) && !shown.contains(&json!("description")));
    let mut rest = body.clone();
    rest.as_object_mut().unwrap().remove("attributesToRetrieve");
    let expected = json!({
        "q": "tylor swfit",
        "offset": 0,
        "limit": 3,
        "filter": "starts_at_ms >= 0",
        "matchingStrategy": "all",
    });
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn every_kind_of_search_that_was_recorded_is_understood() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    for (label, query, expected) in [
        ("search", limited(text("taylor swift"), 3), vec![1, 11, 21]),
        ("search, prefix", limited(text("ari"), 2), vec![4, 14]),
        (
            "search, accents folded",
            limited(text("cafe tacvba"), 2),
            vec![2, 12],
        ),
        ("search, japanese", limited(text("東京"), 2), vec![8, 18]),
        ("search, cyrillic", limited(text("кино"), 2), vec![9, 19]),
        ("search, empty query", limited(text(""), 2), vec![1, 2]),
        ("search, nothing found", text("zzzzqqqq"), vec![]),
        (
            "search, offset beyond the end",
            Query {
                offset: 9_999,
                limit: 1,
                ..text("live")
            },
            vec![],
        ),
    ] {
        replay.expect([recorded(label).with_our_hits()]);
        let found = meili.search(&query).await.unwrap();
        assert_eq!((ids(&found), found.more), (expected, false), "{label}");
        replay.came();
    }
}

#[tokio::test]
async fn filters_and_orders_are_the_servers() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    replay.expect([recorded("search, filter").with_our_hits()]);
    let filtered = Query {
        category: Some("concert".to_owned()),
        city: Some("shanghai".to_owned()),
        from_ms: 1_798_761_600_000,
        to_ms: Some(1_900_000_000_000),
        ..limited(all(), 1)
    };
    let found = meili.search(&filtered).await.unwrap();
    assert_eq!((ids(&found), found.more), (vec![1], true));
    let body = replay.came().pop().unwrap();
    assert_eq!(body["q"], "");
    assert_eq!(
        body["filter"],
        "starts_at_ms >= 1798761600000 AND starts_at_ms < 1900000000000 AND category_path = \"concert\" \
         AND city_key = \"shanghai\""
    );
    assert_eq!(body["sort"], json!(["starts_at_ms:asc"]));

    replay.expect([recorded("search, geo radius and distance sort").with_our_hits()]);
    let found = meili
        .search(&limited(near(31.2, 121.4, 50_000), 2))
        .await
        .unwrap();
    assert_eq!(found.shows.len(), 2);
    let body = replay.came().pop().unwrap();
    assert_eq!(
        body["filter"],
        "starts_at_ms >= 0 AND _geoRadius(31.2, 121.4, 50000)"
    );
    assert_eq!(
        body["sort"],
        json!(["_geoPoint(31.2, 121.4):asc", "starts_at_ms:asc"])
    );

    // What a customer writes has no quotes and no minus left, which are operators there.
    replay.expect([recorded("search, nothing found")]);
    let injected = Query {
        sort: Sort::Distance(Place::new(1.0, 1.0).unwrap()),
        ..text("\"black\" -tie")
    };
    meili.search(&injected).await.unwrap();
    assert_eq!(replay.came()[0]["q"], "black tie");
}

#[tokio::test]
async fn a_search_that_fails_is_told_apart() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    let search = "/indexes/shows/search";
    for (label, code) in [
        ("search, bad filter syntax", "invalid_search_filter"),
        (
            "search, filter on a field that is not filterable",
            "invalid_search_filter",
        ),
        (
            "search, sort on a field that is not sortable",
            "invalid_search_sort",
        ),
        ("search, bad parameter", "invalid_search_limit"),
        ("search, unknown parameter", "bad_request"),
        ("search, geo out of range", "invalid_search_filter"),
    ] {
        replay.expect([recorded(label)]);
        let refused = meili.search(&all()).await;
        assert!(
            matches!(&refused, Err(Error::Refused(why)) if why.contains(code)),
            "{refused:?}"
        );
    }
    replay.expect([recorded("index missing").at("POST", search)]);
    assert!(matches!(meili.search(&all()).await, Err(Error::NotBuilt)));
    for away in [
        recorded("wrong key").at("POST", search),
        recorded("version without key").at("POST", search),
        // Not Meilisearch's own: a proxy's, another server's.
        recorded("search").answering(502, "<html>Bad Gateway</html>"),
        recorded("search").answering(500, ""),
        recorded("search, bad parameter").answering(503, TOO_MANY),
        recorded("search").answering(200, "{\"hits\": ["),
        recorded("search").answering(200, "{}"),
        recorded("search").answering(204, ""),
    ] {
        replay.expect([away.clone()]);
        let refused = meili.search(&all()).await;
        assert!(
            matches!(refused, Err(Error::Away(_))),
            "{away:?}: {refused:?}"
        );
    }
    // Hits that aren't ours.
    replay.expect([recorded("search")]);
    assert!(matches!(meili.search(&all()).await, Err(Error::Away(_))));
    replay.came();

    let nowhere = nobody();
    assert!(matches!(nowhere.is_built().await, Err(Error::Away(_))));
}

/// For more questions at once than it takes, in the form of its other errors; not recorded.
const TOO_MANY: &str = r#"{"message": "Too many search requests running at the same time: 1000. Retry after 10s.",
    "code": "too_many_search_requests", "type": "system",
    "link": "https://docs.meilisearch.com/errors#too_many_search_requests"}"#;

#[tokio::test]
async fn documents_are_written_and_removed_when_their_tasks_succeeded() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    let pending = |status: &'static str| {
        recorded("add documents, task").with(move |task| {
            task["status"] = json!(status);
            for field in ["duration", "finishedAt"] {
                task[field] = Value::Null;
            }
        })
    };
    replay.expect([
        recorded("add documents"),
        recorded("delete by filter"),
        pending("enqueued"),
        pending("processing"),
        recorded("add documents, task"),
        recorded("delete by filter, task"),
    ]);
    let put = show(7, "L'Été \"live\"")
        .at("L’Aquila", 42.35, 13.4)
        .described("Long.")
        .with(&["Queen"]);
    let content = format!("{:016x}", put.content());
    let changes = Changes {
        puts: vec![put],
        removes: vec![ShowId::from_bytes([8; 16]), ShowId::from_bytes([9; 16])],
    };
    meili.write(changes).await.unwrap();
    let bodies = replay.came();
    let id = |byte: &str| {
        [8, 4, 4, 4, 12]
            .map(|digits| byte.repeat(digits / 2))
            .join("-")
    };
    let document = json!([{
        "show_id": id("07"),
        "event_id": id("64"),
        "title": "L'Été \"live\"",
        "description": "Long.",
        "performers": ["Queen"],
        "category": "music",
        "category_path": ["music"],
        "venue_id": id("65"),
        "venue": "Waldbühne",
        "city": "L’Aquila",
        "city_key": "l aquila",
        "country": "DE",
        "time_zone": "Europe/Berlin",
        "starts_at_ms": 1_800_604_800_000_u64,
        "state": "ON_SALE",
        "currency": "EUR",
        "price_from": 1500,
        "price_max": 4500,
        "day": day(7),
        "sale_from_ms": 0,
        "sale_until_ms": 9_007_199_254_740_992_i64,
        "id_start": 0x0707_0707_0707_u64,
        "content": content,
        "_geo": {"lat": 42.35, "lng": 13.4},
    }]);
    assert_eq!(bodies[0], document);
    let filter = format!("show_id IN [\"{}\", \"{}\"]", id("08"), id("09"));
    assert_eq!(bodies[1], json!({ "filter": filter }));
}

#[tokio::test]
async fn documents_that_the_server_refuses_are_told_from_a_server_that_is_down() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    let write = async || meili.write(puts([show(1, "Opening")])).await;
    for (added, task, code) in [
        (
            "add document with bad geo",
            "bad geo, task fails",
            "invalid_document_geo_field",
        ),
        (
            "add document without primary key",
            "add document without primary key, task fails",
            "missing_document_id",
        ),
    ] {
        replay.expect([recorded(added), recorded(task)]);
        let refused = write().await;
        assert!(
            matches!(&refused, Err(Error::Refused(why)) if why.contains(code)),
            "{refused:?}"
        );
    }
    replay.expect([recorded("malformed json")]);
    let refused = write().await;
    assert!(matches!(&refused, Err(Error::Refused(why)) if why.contains("malformed_payload")));
    let full = recorded("bad geo, task fails").with(|task| {
        task["error"]["code"] = json!("no_space_left_on_device");
        task["error"]["type"] = json!("system");
    });
    replay.expect([recorded("add document with bad geo"), full]);
    assert!(matches!(write().await, Err(Error::Away(_))));
    replay.expect([recorded("add documents").answering(503, "")]);
    assert!(matches!(write().await, Err(Error::Away(_))));
    replay.expect([
        recorded("add documents"),
        recorded("add documents, task").answering(502, ""),
    ]);
    assert!(matches!(write().await, Err(Error::Away(_))));
    replay.came();
}

#[tokio::test]
async fn facets_and_totals_are_the_servers() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    // The recorded documents have one category, not a path of them.
    let facets = recorded("search, facets").with_our_hits().with(|answer| {
        let counted = answer["facetDistribution"].as_object_mut().unwrap();
        let category = counted.remove("category").unwrap();
        counted.insert("category_path".to_owned(), category);
    });
    replay.expect([facets]);
    let query = Query {
        facets: vec![Facet::City, Facet::Category, Facet::State],
        ..limited(text("live"), 1)
    };
    let found = meili.search(&query).await.unwrap();
    assert_eq!(found.total, Total::Estimated(80));
    let [city, category, state] = <[Counts; 3]>::try_from(found.facets).unwrap();
    assert_eq!(category.values, [("concert".to_owned(), 80)]);
    assert_eq!((city.values.len(), city.more), (8, false));
    assert_eq!(
        city.values[7],
        ("Xi’an".to_owned(), 10),
        "by name where equal"
    );
    assert_eq!(state.values, [], "the server counted none");
    let body = replay.came().pop().unwrap();
    assert_eq!(body["facets"], json!(["city", "category_path", "state"]));
}

#[tokio::test]
async fn what_customers_ask_goes_with_the_key_that_may_only_search() {
    let replay = Replay::start().await;
    let meili = replay.meili_with("another", "<key>");
    replay.expect([our_settings().with_any_key()]);
    assert!(meili.is_built().await.unwrap());
    // The double wants the recorded key for these.
    replay.expect([
        recorded("search, nothing found"),
        recorded("search, nothing found"),
    ]);
    meili.search(&all()).await.unwrap();
    meili.names(Kind::City, &typed("ber")).await.unwrap();
    replay.came();
}

fn typed(text: &str) -> Begun {
    Begun {
        words: vec![text.to_owned()],
        text: text.to_owned(),
        from_ms: 5,
    }
}

#[tokio::test]
async fn names_come_of_one_attribute_and_each_once() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    replay.expect([recorded("search")]);
    let names = meili.names(Kind::Performer, &typed("taylor")).await;
    assert_eq!(names.unwrap(), ["Taylor Swift"]);
    let body = replay.came().pop().unwrap();
    let expected = json!({
        "q": "taylor",
        "limit": 100,
        "filter": "starts_at_ms >= 5",
        "attributesToSearchOn": ["performers"],
        "attributesToRetrieve": ["performers"],
        "matchingStrategy": "all",
    });
    assert_eq!(body, expected);
    replay.expect([recorded("search")]);
    let names = meili.names(Kind::City, &typed("s")).await.unwrap();
    assert_eq!(names, ["Shanghai", "Mumbai", "Tokyo"]);
    replay.came();
    replay.expect([recorded("search").answering(503, "")]);
    let refused = meili.names(Kind::City, &typed("s")).await;
    assert!(matches!(refused, Err(Error::Away(_))), "{refused:?}");
}

#[tokio::test]
async fn what_the_server_has_is_compared_by_id_and_content() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    let id = |byte| ShowId::from_bytes([byte; 16]);
    let document = |byte, content: &str| json!({"show_id": id(byte), "content": content});
    // Not recorded: the shape of a page of documents is the server's documentation's.
    let page = json!({
        "results": [
            document(3, "00000000000000ff"),
            document(1, "0000000000000001"),
            document(2, "ffffffffffffffff"),
            document(4, "nonsense"),
        ],
        "offset": 0, "limit": 26, "total": 4,
    });
    let fetched = recorded("get document")
        .at("POST", "/indexes/shows/documents/fetch")
        .answering(200, page.to_string());
    replay.expect([fetched]);
    let contents = meili.contents(Some(id(1)), Some(id(4)), 10).await.unwrap();
    assert_eq!(contents, [(id(2), u64::MAX), (id(3), 255), (id(4), 0)]);
    let body = replay.came().pop().unwrap();
    assert_eq!(body["fields"], json!(["show_id", "content"]));
    assert_eq!(body["sort"], json!(["id_start:asc"]));
    assert_eq!(
        body["filter"],
        "id_start >= 1103823438081 AND id_start <= 4415293752324"
    );
}

/// What making the next index takes.
fn begun() -> [Step; 6] {
    [
        recorded("delete index"),
        recorded("delete index, task"),
        recorded("create second index"),
        recorded("create second index, task"),
        recorded("update settings").at("PATCH", "/indexes/shows_next/settings"),
        recorded("update settings, task"),
    ]
}

/// What putting it in the place of a first one takes.
fn swapped() -> [Step; 6] {
    [
        recorded("create index again"),
        recorded("create index again, task fails"),
        recorded("swap indexes"),
        recorded("swap indexes, task"),
        recorded("delete index"),
        recorded("delete index, task"),
    ]
}

#[tokio::test]
async fn a_second_index_is_built_and_swapped() {
    let replay = Replay::start().await;
    let meili = replay.meili();
    replay.expect(begun());
    meili.begin_next().await.unwrap();
    let bodies = replay.came();
    assert_eq!(
        bodies[2],
        json!({"uid": "shows_next", "primaryKey": "show_id"})
    );
    let settings = &bodies[4];
    assert_eq!(
        settings["searchableAttributes"],
        json!([
            "title",
            "performers",
            "names_in_kana",
            "venue",
            "city",
            "description",
            "other_in_kana"
        ])
    );
    assert_eq!(
        settings["faceting"]["sortFacetValuesBy"],
        json!({"*": "count"})
    );
    let nyc = settings["synonyms"]["nyc"].as_array().unwrap();
    assert!(nyc.contains(&json!("new york")));
    assert_eq!(settings["rankingRules"][0], "sort");
    assert_eq!(settings["pagination"], json!({"maxTotalHits": 10_001}));
    let filterable = settings["filterableAttributes"].as_array().unwrap();
    assert!(filterable.contains(&json!(schema_mark())));

    // The server is asked for the end of a task only when many wait, or at the end.
    let add = || recorded("add documents").at("POST", "/indexes/shows_next/documents");
    let task = || recorded("add documents, task");
    for _ in 0..16 {
        replay.expect([add()]);
        meili.write_next(puts([show(1, "Opening")])).await.unwrap();
    }
    replay.expect([add(), task()]);
    meili.write_next(puts([show(2, "Closing")])).await.unwrap();
    assert!(matches!(meili.search(&all()).await, Err(Error::NotBuilt)));

    let waited = std::iter::repeat_with(task).take(16);
    replay.expect(waited.chain(swapped()));
    meili.swap().await.unwrap();
    let bodies = replay.came();
    assert!(bodies.contains(&json!({"uid": "shows", "primaryKey": "show_id"})));
    assert!(bodies.contains(&json!([{"indexes": ["shows", "shows_next"]}])));
    replay.expect([recorded("search, nothing found")]);
    meili.search(&all()).await.unwrap();
    replay.came();
}

#[tokio::test]
async fn a_first_index_is_made_and_what_is_not_there_need_not_be_deleted() {
    let replay = Replay::start().await;
    let meili = replay.meili();
    let not_there = || recorded("swap with missing index, task fails").at("GET", "/tasks/11");
    let mut steps = begun();
    steps[1] = not_there();
    replay.expect(steps);
    meili.begin_next().await.unwrap();
    let mut steps = swapped();
    steps[0] = recorded("create index");
    steps[1] = recorded("create index, task");
    steps[4] = recorded("index missing").at("DELETE", "/indexes/shows_next");
    replay.expect(steps.into_iter().take(5));
    meili.swap().await.unwrap();
    replay.came();
}

#[tokio::test]
async fn an_index_that_can_not_be_built_leaves_the_first_alone() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    let mut steps = begun();
    steps[4] = recorded("bad settings").at("PATCH", "/indexes/shows_next/settings");
    replay.expect(steps.into_iter().take(5));
    let refused = meili.begin_next().await;
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");

    let mut steps = swapped();
    steps[2] = recorded("swap with missing index");
    steps[3] = recorded("swap with missing index, task fails");
    replay.expect(steps.into_iter().take(4));
    let refused = meili.swap().await;
    assert!(matches!(refused, Err(Error::NotBuilt)), "{refused:?}");
    replay.expect([recorded("search, nothing found")]);
    meili.search(&all()).await.unwrap();

    // The old one is in the way of nobody.
    let mut steps = swapped();
    steps[4] = recorded("delete index").answering(503, "");
    replay.expect(steps.into_iter().take(5));
    meili.swap().await.unwrap();
    replay.came();
}

#[tokio::test]
async fn every_recorded_task_is_understood() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    let tasks: Vec<String> = labels()
        .into_iter()
        .filter(|label| label.ends_with(", task") || label.ends_with("task fails"))
        .collect();
    assert_eq!(tasks.len(), 12, "{tasks:?}");
    for label in tasks {
        replay.expect([
            recorded("add documents"),
            recorded(&label).at("GET", "/tasks/3"),
        ]);
        let ended = meili.write(puts([show(1, "Opening")])).await;
        let is_failure = label.ends_with("fails");
        assert_eq!(ended.is_err(), is_failure, "{label}: {ended:?}");
        assert!(!matches!(ended, Err(Error::Away(_))), "{label}: {ended:?}");
    }
    replay.came();
}
