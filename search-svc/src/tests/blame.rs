//! A show that the engine refuses, among others.

use std::sync::Arc;

use chrono::Utc;
use holdfast_eventlog::{Event, HandleError, Handler};
use holdfast_proto::events::v1 as events;
use prost::Message;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    recorded::built,
    replay::{Replay, recorded},
    served::{Hall, catalogue},
};
use crate::{
    clients::catalog::Catalog,
    feed::{News, NewsDesk, Stream, Writer},
};

pub(crate) fn show_changed(show_id: Uuid) -> Event {
    let message = events::ShowChanged {
        show_id: show_id.as_bytes().to_vec(),
    };
    Event {
        seq: 1,
        id: Uuid::new_v4(),
        producer: "catalog".to_owned(),
        topic: "catalog".to_owned(),
        key: show_id.to_string(),
        event_type: "ShowChanged".to_owned(),
        payload: message.encode_to_vec(),
        occurred_at: Utc::now(),
        traceparent: None,
    }
}

#[sqlx::test(migrations = false)]
async fn one_show_that_is_refused_keeps_no_other_from_being_found(pool: PgPool) {
    let catalog = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (_, good) = hall.show("Good", "ON_SALE", 1).await;
    let (_, bad) = hall.show("Bad", "ON_SALE", 2).await;
    let replay = Replay::start().await;
    let meili = Arc::new(built(&replay).await);
    let channel = holdfast_mesh::client::channel(&catalog.uri).unwrap();
    let desk = NewsDesk {
        catalog: Catalog::new(channel),
        writer: Arc::new(Writer::new(meili)),
    };
    let (news, changes) = News::new(Arc::new(Stream::new(pool.clone(), "search")));
    let desk = tokio::spawn(async move { desk.run(changes).await });
    let refused = || {
        [
            recorded("add document with bad geo"),
            recorded("bad geo, task fails"),
        ]
    };
    let taken = [recorded("add documents"), recorded("add documents, task")];
    replay.expect(refused().into_iter().chain(taken).chain(refused()));

    let (first, second) = (show_changed(good), show_changed(bad));
    let (first, second) = tokio::join!(news.handle(&first), news.handle(&second));
    assert_eq!(first, Ok(()));
    assert!(
        matches!(&second, Err(HandleError::Retry(why)) if why.contains("invalid_document_geo_field")),
        "{second:?}"
    );
    let bodies = replay.came();
    let titles = |body: &serde_json::Value| -> Vec<String> {
        let documents = body.as_array().unwrap().iter();
        let mut titles: Vec<String> = documents
            .map(|document| document["title"].as_str().unwrap().to_owned())
            .collect();
        titles.sort();
        titles
    };
    assert_eq!(titles(&bodies[0]), ["Bad", "Good"], "together first");
    assert_eq!(titles(&bodies[2]), ["Good"]);
    assert_eq!(titles(&bodies[4]), ["Bad"]);

    // A server that is down blames nobody, and isn't asked for each.
    replay.expect([recorded("add documents").answering(503, "")]);
    let (first, second) = (show_changed(good), show_changed(bad));
    let (first, second) = tokio::join!(news.handle(&first), news.handle(&second));
    assert!(
        matches!(first, Err(HandleError::Unavailable(_))),
        "{first:?}"
    );
    assert!(
        matches!(second, Err(HandleError::Unavailable(_))),
        "{second:?}"
    );
    replay.came();
    drop(news);
    desk.await.unwrap();
    catalog.stop().await;
}
