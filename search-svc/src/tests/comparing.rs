//! The index beside a real catalogue.

use std::collections::BTreeSet;

use holdfast_proto::search::v1::CompareShowsResponse;
use holdfast_types::ShowId;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    served::{Hall, catalogue},
    shows::show,
};
use crate::{
    clients::catalog::{Catalog, PAGE_SHOWS, Shows},
    compare::{Which, page},
    document::{Changes, Document},
    embedded::Embedded,
    index::Index,
};

/// All public shows.
async fn public(catalog: &Catalog) -> Vec<Document> {
    let (mut documents, mut after) = (Vec::new(), None);
    loop {
        let page = catalog.read(&Shows::All, after).await.unwrap();
        documents.extend(page.documents);
        after = page.next;
        if after.is_none() {
            return documents;
        }
    }
}

async fn index_of(dir: &tempfile::TempDir, documents: Vec<Document>) -> Embedded {
    let index = Embedded::open(dir.path()).unwrap();
    index.begin_next().await.unwrap();
    index.fill_next(documents).await.unwrap();
    index.swap().await.unwrap();
    index
}

fn ids(ids: &[Vec<u8>]) -> Vec<Uuid> {
    ids.iter().map(|id| Uuid::from_slice(id).unwrap()).collect()
}

#[sqlx::test(migrations = false)]
async fn what_an_index_lacks_has_too_much_or_has_otherwise_is_named(pool: PgPool) {
    let running = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    let (retitled, changed) = hall.show("Opening", "ON_SALE", 1).await;
    let (_, gone) = hall.show("Gone", "ON_SALE", 2).await;
    hall.show("Same", "ON_SALE", 3).await;
    let catalog = Catalog::new(holdfast_mesh::client::channel(&running.uri).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let index = index_of(&dir, public(&catalog).await).await;
    let compare = async |which| -> CompareShowsResponse {
        page(&index, &catalog, which).await.unwrap().into()
    };
    let all = async || compare(Which::After(None)).await;
    let good = all().await;
    assert_eq!((good.in_catalogue, good.in_index), (3, 3));
    assert_eq!(
        good,
        CompareShowsResponse {
            in_catalogue: 3,
            in_index: 3,
            ..Default::default()
        }
    );

    hall.retitle(retitled, "Finale").await;
    hall.set_state(gone, "DRAFT").await;
    let (_, added) = hall.show("Added", "ON_SALE", 4).await;
    let bad = all().await;
    assert_eq!((bad.in_catalogue, bad.in_index), (3, 3));
    assert_eq!(ids(&bad.differing), [changed]);
    assert_eq!(ids(&bad.superfluous), [gone]);
    assert_eq!(ids(&bad.missing), [added]);
    let suspects = [changed, gone, added].map(ShowId::from_uuid);
    let again = compare(Which::Named(BTreeSet::from(suspects))).await;
    assert_eq!((again.in_catalogue, again.in_index), (2, 2));
    assert_eq!(ids(&again.differing), [changed]);
    assert_eq!(ids(&again.superfluous), [gone]);
    assert_eq!(ids(&again.missing), [added]);

    let changes = Changes {
        puts: public(&catalog).await,
        removes: vec![ShowId::from_uuid(gone)],
    };
    index.write(changes).await.unwrap();
    assert_eq!(all().await, good);
    running.stop().await;
}

#[sqlx::test(migrations = false)]
async fn pages_are_all_there_is(pool: PgPool) {
    let running = catalogue(&pool).await;
    let hall = Hall::build(&pool).await;
    hall.show("Festival", "ON_SALE", 1).await;
    let shows = PAGE_SHOWS + 200;
    hall.more(i32::try_from(shows).unwrap() - 1).await;
    let catalog = Catalog::new(holdfast_mesh::client::channel(&running.uri).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let documents = public(&catalog).await;
    let lacking = documents[PAGE_SHOWS + 7].show_id;
    let mut put: Vec<Document> = documents
        .into_iter()
        .filter(|document| document.show_id != lacking)
        .collect();
    // Before all that there are, and after.
    put.extend([show(0, "Low"), show(255, "High")]);
    let index = index_of(&dir, put).await;
    let (mut which, mut counts, mut pages) = (Which::After(None), (0, 0), Vec::new());
    while pages.len() < 5 {
        let compared = page(&index, &catalog, which).await.unwrap();
        let told = CompareShowsResponse::from(compared);
        counts.0 += told.in_catalogue as usize;
        counts.1 += told.in_index as usize;
        let next = told.next_after_show_id.clone();
        pages.push(told);
        if next.is_empty() {
            break;
        }
        which = Which::After(Some(ShowId::from_slice(&next).unwrap()));
    }
    assert_eq!(pages.len(), 2);
    assert_eq!(counts, (shows, shows + 1));
    let number = |byte| Uuid::from_bytes([byte; 16]);
    assert_eq!(ids(&pages[0].superfluous), [number(0)]);
    assert_eq!(ids(&pages[1].superfluous), [number(255)]);
    assert_eq!(
        ids(&pages[1].missing),
        [Uuid::from_bytes(lacking.to_bytes())]
    );
    running.stop().await;
}
