//! What members make is their organisation's: managers change it, viewers see it, nobody else does.

use holdfast_mesh::auth::{Grants, OrganisationRole, Scope};
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use uuid::Uuid;

use crate::world::{
    World, answer, assert_refused, event, granted_token, member_token, token, venue, with,
};

async fn own_show(world: &World, token: &str, id: &[u8]) -> Result<(), ErrorCode> {
    let show_id = id.to_vec();
    let request = with(token, wire::GetOwnShowRequest { show_id });
    let found = answer(world.client().get_own_show(request).await);
    found.map(drop).map_err(|failure| failure.code())
}

async fn own_events(world: &World, token: &str) -> usize {
    let request = with(token, wire::ListOwnEventsRequest::default());
    let listed = answer(world.client().list_own_events(request).await);
    listed.unwrap().events.len()
}

#[sqlx::test]
async fn managers_share_what_they_make_viewers_see_it_and_nobody_else_does(pool: PgPool) {
    let mut world = World::start(pool).await;
    let ours = Uuid::now_v7();
    let [one, other] = [(); 2].map(|()| member_token(ours, OrganisationRole::Manager));
    let viewer = member_token(ours, OrganisationRole::Viewer);
    let draft = world.draft(&one).await;
    let id = draft.show_id.clone();

    for member in [&one, &other, &viewer] {
        assert_eq!(own_show(&world, member, &id).await, Ok(()));
        assert_eq!(own_events(&world, member).await, 1);
        assert_eq!(world.show(member, &id).await.unwrap().show_id, id);
    }
    let strangers = [
        member_token(Uuid::now_v7(), OrganisationRole::Owner),
        token("organiser"),
        // The same person, in their own name.
        one.split_once('#').unwrap().0.to_owned(),
    ];
    for stranger in &strangers {
        let refused = own_show(&world, stranger, &id).await.unwrap_err();
        let hidden = [ErrorCode::ShowNotFound, ErrorCode::Forbidden];
        assert!(hidden.contains(&refused), "{refused:?}");
        assert_refused(world.show(stranger, &id).await, ErrorCode::ShowNotFound);
        assert!(world.publish(stranger, &id).await.is_err());
    }
    let impostor = format!("{}#{ours}", token("organiser"));
    assert_eq!(
        own_show(&world, &impostor, &id).await,
        Err(ErrorCode::Forbidden)
    );
    let nowhere = format!("{}#x", token("organiser"));
    assert_eq!(
        own_show(&world, &nowhere, &id).await,
        Err(ErrorCode::InvalidRequest)
    );

    assert_refused(
        world.create_venue(&viewer, venue()).await,
        ErrorCode::Forbidden,
    );
    assert_refused(
        world.create_event(&viewer, event()).await,
        ErrorCode::Forbidden,
    );
    let hall = draft.venue.clone().unwrap();
    let performer = world.performer(&one, "The Harbour").await.unwrap();
    for (member, code) in [
        (&viewer, ErrorCode::Forbidden),
        (&strangers[1], ErrorCode::VenueNotFound),
    ] {
        let changed = world.update_venue(member, hall.clone(), &["name"], "");
        assert_refused(changed.await, code);
    }
    let renamed = world.rename(&viewer, &performer.performer_id, "Ours", "");
    assert_refused(renamed.await, ErrorCode::Forbidden);
    world
        .update_venue(&other, hall, &["name"], "")
        .await
        .unwrap();
    world
        .rename(&other, &performer.performer_id, "Ours", "")
        .await
        .unwrap();
    assert_refused(world.publish(&viewer, &id).await, ErrorCode::Forbidden);
    assert!(world.inventory.calls().is_empty());
    world.publish(&other, &id).await.unwrap();
    assert!(!world.inventory.calls().is_empty());
}

#[sqlx::test]
async fn keys_do_what_their_scopes_say(pool: PgPool) {
    let mut world = World::start(pool).await;
    let key = |scopes: &[Scope]| {
        let scopes = Some(scopes.to_vec());
        granted_token(
            "organiser",
            Grants {
                scopes,
                ..Grants::default()
            },
        )
    };
    let (reads, writes) = (key(&[Scope::CatalogueRead]), key(&[Scope::CatalogueWrite]));
    let sells = key(&[Scope::SalesRead]);
    world.create_event(&writes, event()).await.unwrap();
    assert_eq!(own_events(&world, &writes).await, 1);
    assert_eq!(own_events(&world, &reads).await, 0);
    for key in [&reads, &sells] {
        assert_refused(world.create_event(key, event()).await, ErrorCode::Forbidden);
    }
    let request = with(&sells, wire::ListOwnEventsRequest::default());
    assert_refused(
        answer(world.client().list_own_events(request).await),
        ErrorCode::Forbidden,
    );
    // An administrator's key is for what is theirs.
    let show = world.draft(&token("organiser")).await;
    let scopes = Some(vec![Scope::CatalogueRead]);
    let admin = granted_token(
        "admin",
        Grants {
            scopes,
            ..Grants::default()
        },
    );
    assert_eq!(
        own_show(&world, &admin, &show.show_id).await,
        Err(ErrorCode::ShowNotFound)
    );
}
