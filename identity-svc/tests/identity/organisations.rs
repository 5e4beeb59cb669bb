//! Organisations: who makes one, who is in it, and what their tokens say.

use holdfast_mesh::auth::{AllClaims, OrganisationRole};
use holdfast_proto::identity::v1::{
    AcceptInvitationRequest, CreateApiKeyRequest, CreateOrganisationRequest, DisableAccountRequest,
    EnableAccountRequest, Invitation, InviteMemberRequest, ListInvitationsRequest,
    ListMembersRequest, ListOrganisationApiKeysRequest, ListOrganisationsRequest, Organisation,
    RemoveMemberRequest, RevokeOrganisationApiKeyRequest, SetMemberRequest,
    WithdrawInvitationRequest,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{
    Letters, PASSWORD, Service, as_holder, config, count, mail::token_in, refusal, somebody_waits,
    start,
};

pub(crate) const ID: [u8; 16] = [9; 16];

async fn login(service: &mut Service, email: &str) -> String {
    let tokens = service.login(email, PASSWORD).await;
    tokens.expect("signs in").access_token
}

/// An organiser, signed in.
async fn organiser(pool: &PgPool, service: &mut Service, email: &str) -> String {
    service.register(email).await.expect("registers");
    sqlx::query(
        "INSERT INTO identity.user_roles (user_id, role)
         SELECT user_id, 'organiser' FROM identity.users WHERE email = $1",
    )
    .bind(email)
    .execute(pool)
    .await
    .expect("grants");
    login(service, email).await
}

async fn create(service: &mut Service, by: &str, name: &str) -> Result<Organisation, Status> {
    let request = CreateOrganisationRequest {
        organisation_id: ID.into(),
        name: name.to_owned(),
    };
    let answer = service
        .client
        .create_organisation(as_holder(by, request))
        .await?;
    Ok(answer.into_inner().organisation.expect("an organisation"))
}

async fn invite(service: &mut Service, by: &str, email: &str, role: &str) -> Result<(), Status> {
    let request = InviteMemberRequest {
        organisation_id: ID.into(),
        email: email.to_owned(),
        role: role.to_owned(),
    };
    service.client.invite_member(as_holder(by, request)).await?;
    Ok(())
}

async fn accept(service: &mut Service, by: &str, token: &str) -> Result<Organisation, Status> {
    let token = token.to_owned();
    let request = as_holder(by, AcceptInvitationRequest { token });
    let answer = service.client.accept_invitation(request).await?;
    Ok(answer.into_inner().organisation.expect("an organisation"))
}

pub(crate) async fn members(
    service: &mut Service,
    by: &str,
) -> Result<Vec<(String, String)>, Status> {
    let organisation_id = ID.into();
    let request = as_holder(by, ListMembersRequest { organisation_id });
    let answer = service.client.list_members(request).await?.into_inner();
    let members = answer.members.into_iter();
    Ok(members.map(|member| (member.email, member.role)).collect())
}

async fn set(service: &mut Service, by: &str, user_id: &[u8], role: &str) -> Result<(), Status> {
    let request = SetMemberRequest {
        organisation_id: ID.into(),
        user_id: user_id.into(),
        role: role.to_owned(),
    };
    service.client.set_member(as_holder(by, request)).await?;
    Ok(())
}

async fn remove(service: &mut Service, by: &str, user_id: &[u8]) -> Result<(), Status> {
    let request = RemoveMemberRequest {
        organisation_id: ID.into(),
        user_id: user_id.into(),
    };
    service.client.remove_member(as_holder(by, request)).await?;
    Ok(())
}

async fn id_of(pool: &PgPool, email: &str) -> Vec<u8> {
    let id: uuid::Uuid = sqlx::query_scalar("SELECT user_id FROM identity.users WHERE email = $1")
        .bind(email)
        .fetch_one(pool)
        .await
        .expect("is there");
    id.into_bytes().into()
}

#[sqlx::test(migrations = false)]
async fn an_organiser_makes_one_invites_others_and_their_tokens_say_so(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = organiser(&pool, &mut service, "ann@example.org").await;
    letters.next().await;
    let made = create(&mut service, &ann, "Große Freiheit")
        .await
        .expect("makes");
    assert_eq!(
        (made.name.as_str(), made.role.as_str()),
        ("Große Freiheit", "owner")
    );
    let again = create(&mut service, &ann, "Große Freiheit").await;
    assert_eq!(again.expect("the same").organisation_id, ID);
    let other = create(&mut service, &ann, "Another").await;
    assert_eq!(refusal(other).0, ErrorCode::AlreadyExists);
    for name in ["", "a\nb", "a\u{202e}b", &"a".repeat(201)] {
        assert_eq!(refusal(create(&mut service, &ann, name).await).1, ["name"]);
    }

    service
        .register("bob@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let bob = login(&mut service, "bob@example.org").await;
    let customer = create(&mut service, &bob, "Mine").await;
    assert_eq!(refusal(customer).0, ErrorCode::Forbidden);
    // For who isn't in it there is none.
    assert_eq!(
        refusal(members(&mut service, &bob).await).0,
        ErrorCode::NotFound
    );
    let stranger = invite(&mut service, &bob, "bob@example.org", "owner").await;
    assert_eq!(refusal(stranger).0, ErrorCode::NotFound);
    let king = invite(&mut service, &ann, "bob", "king").await;
    assert_eq!(refusal(king).1, ["email", "role"]);

    invite(&mut service, &ann, "bob@example.org", "viewer")
        .await
        .expect("invites");
    let first = token_in(&letters.next().await);
    invite(&mut service, &ann, "bob@example.org", "manager")
        .await
        .expect("invites");
    let letter = letters.next().await;
    assert!(letter.contains("Subject: You are invited"), "{letter}");
    // Of a name that isn't ASCII the letter is encoded; its link is whole all the same.
    let token = token_in(&letter.replace("=\r\n", "").replace("?token=3D", "?token="));
    let forwarded = accept(&mut service, &ann, &token).await;
    assert_eq!(refusal(forwarded).1, ["token"], "it is for another address");
    let replaced = accept(&mut service, &bob, &first).await;
    assert_eq!(refusal(replaced).1, ["token"]);
    let joined = accept(&mut service, &bob, &token).await.expect("joins");
    assert_eq!(joined.role, "manager");
    assert_eq!(
        refusal(accept(&mut service, &bob, &token).await).1,
        ["token"],
        "once"
    );

    let bob = login(&mut service, "bob@example.org").await;
    let claims = jsonwebtoken::dangerous::insecure_decode::<AllClaims>(&bob).expect("claims");
    let orgs = claims.claims.grants.orgs;
    assert_eq!(
        (orgs[0].id.into_bytes(), orgs[0].role),
        (ID, OrganisationRole::Manager)
    );
    let listed = as_holder(&bob, ListOrganisationsRequest {});
    let listed = service
        .client
        .list_organisations(listed)
        .await
        .expect("lists");
    assert_eq!(listed.into_inner().organisations, [joined]);
    let all = members(&mut service, &bob).await.expect("a member may");
    let pair = |email: &str, role: &str| (email.to_owned(), role.to_owned());
    let expected = [
        pair("ann@example.org", "owner"),
        pair("bob@example.org", "manager"),
    ];
    assert_eq!(all, expected);
    let manager = invite(&mut service, &bob, "eve@example.org", "owner").await;
    assert_eq!(refusal(manager).0, ErrorCode::Forbidden);

    // Who is pestered gets no more letters, and the link of the last one stays good. Who is removed doesn't
    // come back by it.
    let mut last = String::new();
    for _ in 0..3 {
        invite(&mut service, &ann, "bob@example.org", "owner")
            .await
            .expect("invites");
        last = letters.next().await;
    }
    let pestered = invite(&mut service, &ann, "bob@example.org", "owner").await;
    assert_eq!(refusal(pestered).0, ErrorCode::InvalidState);
    let token = token_in(&last.replace("=\r\n", "").replace("?token=3D", "?token="));
    let bob_id = id_of(&pool, "bob@example.org").await;
    let invitations = "SELECT count(*) FROM identity.invitations";
    assert_eq!(count(&pool, invitations).await, 1);
    remove(&mut service, &ann, &bob_id).await.expect("removes");
    let back = accept(&mut service, &bob, &token).await;
    assert_eq!(refusal(back).1, ["token"]);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_organisation_keeps_an_owner_whoever_leaves_at_once(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = organiser(&pool, &mut service, "ann@example.org").await;
    letters.next().await;
    create(&mut service, &ann, "Ours").await.expect("makes");
    let ann_id = id_of(&pool, "ann@example.org").await;
    for last in [
        remove(&mut service, &ann, &ann_id).await,
        set(&mut service, &ann, &ann_id, "viewer").await,
    ] {
        assert_eq!(refusal(last).0, ErrorCode::InvalidState);
    }
    service
        .register("bob@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let bob = login(&mut service, "bob@example.org").await;
    let bob_id = id_of(&pool, "bob@example.org").await;
    let stranger = set(&mut service, &ann, &bob_id, "owner").await;
    assert_eq!(refusal(stranger).0, ErrorCode::NotFound, "is to be invited");
    invite(&mut service, &ann, "bob@example.org", "owner")
        .await
        .expect("invites");
    let token = token_in(&letters.next().await);
    accept(&mut service, &bob, &token).await.expect("joins");

    // Who is disabled can't be the one that stays.
    let operator = service.operator("").await.expect("exchanges");
    let email = "bob@example.org".to_owned();
    let request = as_holder(&operator, DisableAccountRequest { email });
    let disabled = service.client.disable_account(request).await;
    disabled.expect("disables");
    let last = remove(&mut service, &ann, &ann_id).await;
    assert_eq!(refusal(last).0, ErrorCode::InvalidState);
    let email = "bob@example.org".to_owned();
    let request = as_holder(&operator, EnableAccountRequest { email });
    let enabled = service.client.enable_account(request).await;
    enabled.expect("enables");

    // Both leave at once: one of them can't.
    let leaving = [(ann.clone(), ann_id.clone()), (bob.clone(), bob_id.clone())].map(|(by, id)| {
        let mut client = service.client.clone();
        let request = RemoveMemberRequest {
            organisation_id: ID.into(),
            user_id: id,
        };
        tokio::spawn(async move { client.remove_member(as_holder(&by, request)).await.is_ok() })
    });
    let mut left = 0;
    for one in leaving {
        left += usize::from(one.await.expect("no panic"));
    }
    assert_eq!(left, 1);
    let owners = "SELECT count(*) FROM identity.members WHERE role = 'owner'";
    assert_eq!(count(&pool, owners).await, 1);
    let audited = "SELECT count(*) FROM identity.audit WHERE organisation_id IS NOT NULL";
    assert_eq!(
        count(&pool, audited).await,
        4,
        "made, invited, added, removed"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn an_invitation_ends_with_its_inviter_and_its_time(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = organiser(&pool, &mut service, "ann@example.org").await;
    letters.next().await;
    create(&mut service, &ann, "Ours").await.expect("makes");
    service
        .register("bob@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let bob = login(&mut service, "bob@example.org").await;
    for undo in [
        "UPDATE identity.invitations SET expires_at = now()",
        "UPDATE identity.members SET role = 'viewer'",
    ] {
        invite(&mut service, &ann, "bob@example.org", "owner")
            .await
            .expect("invites");
        let token = token_in(&letters.next().await);
        sqlx::raw_sql(undo).execute(&pool).await.expect("is done");
        let refused = accept(&mut service, &bob, &token).await;
        assert_eq!(refusal(refused).1, ["token"], "{undo}");
    }
    service.stop().await;
}

async fn invitations(service: &mut Service, by: &str) -> Result<Vec<Invitation>, Status> {
    let organisation_id = ID.into();
    let request = as_holder(by, ListInvitationsRequest { organisation_id });
    let answer = service.client.list_invitations(request).await?;
    Ok(answer.into_inner().invitations)
}

async fn withdraw(service: &mut Service, by: &str, id: &[u8]) -> Result<(), Status> {
    let request = WithdrawInvitationRequest {
        organisation_id: ID.into(),
        invitation_id: id.into(),
    };
    let request = as_holder(by, request);
    service.client.withdraw_invitation(request).await?;
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn invitations_that_wait_are_seen_and_withdrawn(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = organiser(&pool, &mut service, "ann@example.org").await;
    letters.next().await;
    create(&mut service, &ann, "Ours").await.expect("makes");
    service
        .register("bob@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let bob = login(&mut service, "bob@example.org").await;
    invite(&mut service, &ann, "bob@example.org", "viewer")
        .await
        .expect("invites");
    let token = token_in(&letters.next().await);
    let stranger = invitations(&mut service, &bob).await;
    assert_eq!(refusal(stranger).0, ErrorCode::NotFound);

    let waiting = invitations(&mut service, &ann).await.expect("lists");
    let [one] = waiting.as_slice() else {
        panic!("one waits: {waiting:?}")
    };
    assert_eq!(
        (one.email.as_str(), one.role.as_str()),
        ("bob@example.org", "viewer")
    );
    assert_eq!(one.invited_by, id_of(&pool, "ann@example.org").await);
    let id = one.invitation_id.clone();
    let stranger = withdraw(&mut service, &bob, &id).await;
    assert_eq!(refusal(stranger).0, ErrorCode::NotFound);
    for _ in 0..2 {
        withdraw(&mut service, &ann, &id).await.expect("withdraws");
    }
    let refused = accept(&mut service, &bob, &token).await;
    assert_eq!(refusal(refused).1, ["token"]);
    assert_eq!(invitations(&mut service, &ann).await.expect("lists"), []);
    let audited = "SELECT count(*) FROM identity.audit WHERE action = 'invitation_withdrawn'";
    assert_eq!(count(&pool, audited).await, 1);

    // Managers see them, and viewers don't; owners alone withdraw them.
    for (role, sees) in [("viewer", false), ("manager", true)] {
        invite(&mut service, &ann, "bob@example.org", role)
            .await
            .expect("invites");
        let token = token_in(&letters.next().await);
        accept(&mut service, &bob, &token).await.expect("joins");
        let seen = invitations(&mut service, &bob).await;
        assert_eq!(seen.is_ok(), sees, "{role}: {seen:?}");
    }
    invite(&mut service, &ann, "eve@example.org", "viewer")
        .await
        .expect("invites");
    let waiting = invitations(&mut service, &bob).await.expect("lists");
    let manager = withdraw(&mut service, &bob, &waiting[0].invitation_id).await;
    assert_eq!(refusal(manager).0, ErrorCode::Forbidden);

    // No more wait than a list shows.
    sqlx::query(
        "INSERT INTO identity.invitations (invitation_id, organisation_id, email, role, invited_by, expires_at)
         SELECT gen_random_uuid(), organisation_id, n || '@example.org', 'viewer', made_by, now() + interval '1 day'
         FROM identity.organisations, generate_series(1, 199) AS n",
    )
    .execute(&pool)
    .await
    .expect("is full");
    let full = invite(&mut service, &ann, "dan@example.org", "viewer").await;
    assert_eq!(refusal(full).0, ErrorCode::InvalidState);
    invite(&mut service, &ann, "eve@example.org", "manager")
        .await
        .expect("was invited before");
    service.stop().await;
}

/// A letter may arrive though its sender heard nothing of it, and is sent again then; and whoever asks may not
/// have heard the answer, and asks again.
#[sqlx::test(migrations = false)]
async fn the_link_of_every_letter_of_an_invitation_is_good(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = organiser(&pool, &mut service, "ann@example.org").await;
    letters.next().await;
    create(&mut service, &ann, "Ours").await.expect("makes");
    service
        .register("bob@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let bob = login(&mut service, "bob@example.org").await;
    invite(&mut service, &ann, "bob@example.org", "viewer")
        .await
        .expect("invites");
    let first = token_in(&letters.next().await);
    let again = "UPDATE identity.mail SET ended_at = NULL, sent = false, due_at = now() WHERE kind = 'invitation'";
    sqlx::raw_sql(again).execute(&pool).await.expect("is due");
    let tokens = "SELECT count(*) FROM identity.invitation_tokens";
    let sent = async {
        while count(&pool, tokens).await < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::LIMIT, sent)
        .await
        .expect("is sent again");
    invite(&mut service, &ann, "bob@example.org", "viewer")
        .await
        .expect("invites");
    letters.next().await;
    let joined = accept(&mut service, &bob, &first).await.expect("joins");
    assert_eq!(joined.role, "viewer");
    assert_eq!(count(&pool, tokens).await, 0, "all work once together");
    service.stop().await;
}

/// What the release before sent is good until it runs out.
#[sqlx::test(migrations = false)]
async fn a_link_of_the_release_before_is_good(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let ann = organiser(&pool, &mut service, "ann@example.org").await;
    letters.next().await;
    create(&mut service, &ann, "Ours").await.expect("makes");
    service
        .register("bob@example.org")
        .await
        .expect("registers");
    let bob = login(&mut service, "bob@example.org").await;
    sqlx::query(
        "INSERT INTO identity.invitations
             (invitation_id, organisation_id, email, role, invited_by, token_hash, expires_at)
         SELECT gen_random_uuid(), organisation_id, 'bob@example.org', 'viewer', made_by, sha256('old'),
                now() + interval '1 day'
         FROM identity.organisations",
    )
    .execute(&pool)
    .await
    .expect("was invited");
    let joined = accept(&mut service, &bob, "old").await.expect("joins");
    assert_eq!(joined.role, "viewer");
    service.stop().await;
}

/// The organisations that are left without an owner.
async fn disable(service: &mut Service, email: &str) -> Vec<Organisation> {
    let operator = service.operator("").await.expect("exchanges");
    let email = email.to_owned();
    let request = as_holder(&operator, DisableAccountRequest { email });
    let disabled = service.client.disable_account(request).await;
    disabled.expect("disables").into_inner().without_owner
}

/// Ann owns an organisation, in which Bob is; their tokens.
pub(crate) async fn ann_and_bob(
    pool: &PgPool,
    service: &mut Service,
    letters: &mut Letters,
    role: &str,
) -> (String, String) {
    let ann = organiser(pool, service, "ann@example.org").await;
    letters.next().await;
    create(service, &ann, "Ours").await.expect("makes");
    service
        .register("bob@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let bob = login(service, "bob@example.org").await;
    invite(service, &ann, "bob@example.org", role)
        .await
        .expect("invites");
    let token = token_in(&letters.next().await);
    accept(service, &bob, &token).await.expect("joins");
    (ann, bob)
}

#[sqlx::test(migrations = false)]
async fn a_disabled_owner_does_nothing_by_the_token_that_is_left(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let (ann, bob) = ann_and_bob(&pool, &mut service, &mut letters, "owner").await;
    let bob_id = id_of(&pool, "bob@example.org").await;
    invite(&mut service, &bob, "eve@example.org", "viewer")
        .await
        .expect("invites");
    let waiting = invitations(&mut service, &bob).await.expect("lists");
    let key = CreateApiKeyRequest {
        name: "box office".to_owned(),
        scopes: vec!["sales:read".to_owned()],
        organisation_id: ID.into(),
    };
    let made = service.client.create_api_key(as_holder(&bob, key)).await;
    let key_id = made.expect("makes").into_inner().key.expect("a key").key_id;
    assert_eq!(disable(&mut service, "ann@example.org").await, []);

    let seen = members(&mut service, &ann).await;
    assert_eq!(refusal(seen).0, ErrorCode::NotFound);
    let seen = invitations(&mut service, &ann).await;
    assert_eq!(refusal(seen).0, ErrorCode::NotFound);
    let request = ListOrganisationApiKeysRequest {
        organisation_id: ID.into(),
    };
    let request = as_holder(&ann, request);
    let seen = service.client.list_organisation_api_keys(request).await;
    assert_eq!(refusal(seen).0, ErrorCode::NotFound);
    let request = RevokeOrganisationApiKeyRequest {
        organisation_id: ID.into(),
        key_id,
    };
    let request = as_holder(&ann, request);
    let revoked = service.client.revoke_organisation_api_key(request).await;
    assert_eq!(refusal(revoked).0, ErrorCode::NotFound);
    for changed in [
        invite(&mut service, &ann, "dan@example.org", "owner").await,
        withdraw(&mut service, &ann, &waiting[0].invitation_id).await,
        set(&mut service, &ann, &bob_id, "viewer").await,
        remove(&mut service, &ann, &bob_id).await,
    ] {
        assert_eq!(refusal(changed).0, ErrorCode::NotFound);
    }

    // An invitation that they wrote all the same is good for nothing.
    sqlx::query(
        "INSERT INTO identity.invitations
             (invitation_id, organisation_id, email, role, invited_by, token_hash, expires_at)
         SELECT gen_random_uuid(), organisation_id, 'dan@example.org', 'owner', made_by, sha256('late'),
                now() + interval '1 day'
         FROM identity.organisations",
    )
    .execute(&pool)
    .await
    .expect("is invited");
    service
        .register("dan@example.org")
        .await
        .expect("registers");
    let dan = login(&mut service, "dan@example.org").await;
    let refused = accept(&mut service, &dan, "late").await;
    assert_eq!(refusal(refused).1, ["token"]);
    assert_eq!(members(&mut service, &bob).await.expect("lists").len(), 2);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_disables_is_told_what_nobody_is_left_to_own(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let (ann, _) = ann_and_bob(&pool, &mut service, &mut letters, "owner").await;
    assert_eq!(disable(&mut service, "bob@example.org").await, []);
    for _ in 0..2 {
        let left = disable(&mut service, "ann@example.org").await;
        let [ours] = left.as_slice() else {
            panic!("one: {left:?}")
        };
        assert_eq!(
            (ours.name.as_str(), ours.organisation_id.as_slice()),
            ("Ours", &ID[..])
        );
    }
    let refused = members(&mut service, &ann).await;
    assert_eq!(refusal(refused).0, ErrorCode::NotFound);
    service.stop().await;
}

/// Somebody leaves it to an account that is disabled at the same moment.
#[sqlx::test(migrations = false)]
async fn disabling_waits_for_who_is_leaving(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    ann_and_bob(&pool, &mut service, &mut letters, "owner").await;
    let mut leaving = pool.begin().await.expect("begins");
    sqlx::raw_sql(
        "SELECT FROM identity.organisations FOR UPDATE;
         DELETE FROM identity.members
         WHERE user_id = (SELECT user_id FROM identity.users WHERE email = 'ann@example.org')",
    )
    .execute(&mut *leaving)
    .await
    .expect("leaves");
    let (disabled, ()) = tokio::join!(disable(&mut service, "bob@example.org"), async {
        somebody_waits(&pool).await;
        leaving.commit().await.expect("has left");
    });
    assert_eq!(disabled.len(), 1, "nobody is left");
    service.stop().await;
}

/// Whoever withdraws an invitation has the organisation first, and so has who takes it up.
#[sqlx::test(migrations = false)]
async fn taking_up_an_invitation_that_is_being_withdrawn_is_refused(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let (ann, bob) = ann_and_bob(&pool, &mut service, &mut letters, "viewer").await;
    invite(&mut service, &ann, "bob@example.org", "owner")
        .await
        .expect("invites");
    let token = token_in(&letters.next().await);
    let mut withdrawing = pool.begin().await.expect("begins");
    let lock = "SELECT FROM identity.organisations FOR UPDATE";
    let locked = sqlx::raw_sql(lock).execute(&mut *withdrawing).await;
    locked.expect("locks");
    let (refused, ()) = tokio::join!(accept(&mut service, &bob, &token), async {
        somebody_waits(&pool).await;
        let withdrawn = sqlx::raw_sql("DELETE FROM identity.invitations");
        let withdrawn = withdrawn.execute(&mut *withdrawing).await;
        assert_eq!(withdrawn.expect("has no wait").rows_affected(), 1);
        withdrawing.commit().await.expect("withdraws");
    });
    assert_eq!(refusal(refused).1, ["token"]);
    service.stop().await;
}
