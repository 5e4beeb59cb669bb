//! An organisation that nobody is left to own, and who gives it an owner.

use holdfast_proto::identity::v1::{
    AppointOwnerRequest, AppointOwnerResponse, AuditOrganisationRequest, DisableAccountRequest,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{
    Letters, PASSWORD, Service, as_holder, config, count, has_verified,
    organisations::{ID, ann_and_bob, members},
    refusal, somebody_waits, start,
};

async fn appoint(
    service: &mut Service,
    by: &str,
    organisation_id: &[u8],
    email: &str,
) -> Result<AppointOwnerResponse, Status> {
    let request = AppointOwnerRequest {
        organisation_id: organisation_id.to_vec(),
        email: email.to_owned(),
    };
    let answer = service.client.appoint_owner(as_holder(by, request)).await?;
    Ok(answer.into_inner())
}

async fn disable(service: &mut Service, operator: &str, email: &str) {
    let email = email.to_owned();
    let request = as_holder(operator, DisableAccountRequest { email });
    let disabled = service.client.disable_account(request).await;
    disabled.expect("disables");
}

/// Address, role, and whether it is disabled.
async fn audit(service: &mut Service, by: &str) -> Result<Vec<(String, String, bool)>, Status> {
    let request = AuditOrganisationRequest {
        organisation_id: ID.into(),
    };
    let request = as_holder(by, request);
    let answer = service.client.audit_organisation(request).await?;
    let answer = answer.into_inner();
    assert_eq!(answer.name, "Ours");
    let members = answer.members.into_iter();
    let shown = members.map(|member| (member.email, member.role, member.disabled));
    Ok(shown.collect())
}

#[sqlx::test(migrations = false)]
async fn an_organisation_whose_only_owner_is_disabled_is_given_another(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let (_, bob) = ann_and_bob(&pool, &mut service, &mut letters, "viewer").await;
    let operator = service.operator("").await.expect("exchanges");
    disable(&mut service, &operator, "ann@example.org").await;
    let row = |name: &str, role: &str, disabled| {
        let email = format!("{name}@example.org");
        (email, role.to_owned(), disabled)
    };
    let before = audit(&mut service, &operator).await.expect("shows");
    assert_eq!(
        before,
        [row("ann", "owner", true), row("bob", "viewer", false)]
    );

    let made = appoint(&mut service, &operator, &ID, "Bob@example.org").await;
    let made = made.expect("appoints");
    assert_eq!((made.name.as_str(), made.was.as_str()), ("Ours", "viewer"));
    let after = audit(&mut service, &operator).await.expect("shows");
    assert_eq!(
        after,
        [row("ann", "owner", true), row("bob", "owner", false)]
    );
    let letter = letters.next().await;
    assert!(letter.contains("To: bob@example.org\r\n"), "{letter}");
    assert!(letter.contains("You own an organisation") && letter.contains("Ours"));

    // Somebody who wasn't in it; the owner who may act is told.
    service
        .register("dan@example.org")
        .await
        .expect("registers");
    letters.next().await;
    has_verified(&pool, "dan@example.org").await;
    let made = appoint(&mut service, &operator, &ID, "dan@example.org").await;
    assert_eq!(made.expect("appoints").was, "");
    let told = [letters.next().await, letters.next().await];
    for (to, subject) in [
        ("dan", "You own an organisation"),
        ("bob", "Your organisation has another owner"),
    ] {
        let is = |letter: &&String| {
            letter.contains(&format!("To: {to}@example.org\r\n"))
                && letter.contains(&format!("Subject: {subject}\r\n"))
                && letter.contains("Ours")
        };
        assert!(told.iter().any(|letter| is(&letter)), "{to}: {told:?}");
    }
    // The same again says so, and tells and notes nothing.
    let again = appoint(&mut service, &operator, &ID, "dan@example.org").await;
    assert_eq!(again.expect("is one").was, "owner");
    let noted = "SELECT count(*) FROM identity.audit
        WHERE actor_id = '00000000-0000-0000-0000-000000000000' AND role = 'owner'
            AND organisation_id IS NOT NULL AND action IN ('member_added', 'member_changed')";
    assert_eq!(count(&pool, noted).await, 2);
    let mailed = "SELECT count(*) FROM identity.mail WHERE kind LIKE 'owner%'";
    assert_eq!(count(&pool, mailed).await, 3);
    assert_eq!(members(&mut service, &bob).await.expect("lists").len(), 3);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_can_not_act_is_not_made_an_owner_and_only_an_administrator_makes_one(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let (ann, bob) = ann_and_bob(&pool, &mut service, &mut letters, "manager").await;
    let operator = service.operator("").await.expect("exchanges");
    service
        .register("dan@example.org")
        .await
        .expect("registers");
    let dan = "dan@example.org";
    let mut refused = async |by: &str, of: &[u8], email: &str| {
        let (code, fields) = refusal(appoint(&mut service, by, of, email).await);
        (code, fields.join(" "))
    };
    let none = |code| (code, String::new());
    // By its owner, too: they invite.
    for by in [&ann, &bob] {
        assert_eq!(refused(by, &ID, dan).await, none(ErrorCode::Forbidden));
    }
    let field = |name: &str| (ErrorCode::InvalidRequest, name.to_owned());
    assert_eq!(refused(&operator, &ID, "dan").await, field("email"));
    assert_eq!(
        refused(&operator, &[1], dan).await,
        field("organisation_id")
    );
    let elsewhere = refused(&operator, &[7; 16], dan).await;
    assert_eq!(elsewhere, none(ErrorCode::NotFound));
    let nobody = refused(&operator, &ID, "eve@example.org").await;
    assert_eq!(nobody, none(ErrorCode::UserNotFound));
    let unverified = refused(&operator, &ID, dan).await;
    assert_eq!(unverified, none(ErrorCode::InvalidState));
    has_verified(&pool, dan).await;
    for (sql, code) in [
        (
            "closed_until = now() + interval '1 hour'",
            ErrorCode::Unavailable,
        ),
        ("disabled_at = now()", ErrorCode::InvalidState),
    ] {
        let set = format!("UPDATE identity.users SET {sql} WHERE email = 'dan@example.org'");
        let set = sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&pool).await;
        set.expect("writes");
        assert_eq!(refused(&operator, &ID, dan).await, none(code), "{sql}");
    }
    let owners = "SELECT count(*) FROM identity.members WHERE role = 'owner'";
    assert_eq!(count(&pool, owners).await, 1);
    let mailed = "SELECT count(*) FROM identity.mail WHERE kind LIKE 'owner%'";
    assert_eq!(count(&pool, mailed).await, 0);
    let seen = audit(&mut service, &ann).await;
    assert_eq!(refusal(seen).0, ErrorCode::Forbidden);
    service.stop().await;
}

/// Somebody disables the account at the same moment: whoever is first is seen by the other.
#[sqlx::test(migrations = false)]
async fn appointing_waits_for_who_is_disabling_the_account(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    ann_and_bob(&pool, &mut service, &mut letters, "viewer").await;
    service
        .login("bob@example.org", PASSWORD)
        .await
        .expect("signs in");
    let operator = service.operator("").await.expect("exchanges");
    let mut disabling = pool.begin().await.expect("begins");
    sqlx::raw_sql("UPDATE identity.users SET disabled_at = now() WHERE email LIKE 'bob%'")
        .execute(&mut *disabling)
        .await
        .expect("disables");
    let appointing = appoint(&mut service, &operator, &ID, "bob@example.org");
    let (appointed, ()) = tokio::join!(appointing, async {
        somebody_waits(&pool).await;
        disabling.commit().await.expect("commits");
    });
    assert_eq!(refusal(appointed).0, ErrorCode::InvalidState);
    service.stop().await;
}
