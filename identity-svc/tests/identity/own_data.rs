//! What happened to an account, and its end.

use holdfast_proto::identity::v1::{
    AuditAccountRequest, CloseAccountRequest, CreateApiKeyRequest, DeleteAccountRequest,
    ExchangeApiKeyRequest, GetMeRequest, ListActivityRequest, ReadStandingsRequest, RefreshRequest,
    ReopenAccountRequest, Tokens,
};
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Status;

use crate::{
    Letters, PASSWORD, Service, as_holder, config, count, from_client, has_verified, refusal,
    somebody_waits, start,
};

async fn delete(service: &mut Service, token: &str, password: &str) -> Result<(), Status> {
    let password = password.to_owned();
    let closing_id = Vec::new();
    let request = as_holder(
        token,
        DeleteAccountRequest {
            password,
            closing_id,
        },
    );
    service.client.delete_account(request).await?;
    Ok(())
}

#[sqlx::test(migrations = false)]
async fn sign_ins_and_changes_of_roles_are_listed_for_who_they_are_about(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let login = holdfast_proto::identity::v1::LoginRequest {
        email: "ann@example.org".to_owned(),
        password: PASSWORD.to_owned(),
    };
    let wrong = holdfast_proto::identity::v1::LoginRequest {
        password: "tr0ubador and three".to_owned(),
        ..login.clone()
    };
    let nobody = holdfast_proto::identity::v1::LoginRequest {
        email: "nobody@example.org".to_owned(),
        ..wrong.clone()
    };
    for login in [wrong, nobody] {
        let refused = service.client.login(from_client("192.0.2.66", login)).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    }
    let answer = service.client.login(from_client("192.0.2.7", login)).await;
    let ann = answer
        .expect("signs in")
        .into_inner()
        .tokens
        .expect("tokens")
        .access_token;
    let operator = service.operator("").await.expect("exchanges");
    has_verified(&pool, "ann@example.org").await;
    let grant = holdfast_proto::identity::v1::GrantRoleRequest {
        email: "ann@example.org".to_owned(),
        role: "organiser".to_owned(),
    };
    service
        .client
        .grant_role(as_holder(&operator, grant))
        .await
        .expect("grants");

    let mut seen = Vec::new();
    let mut cursor = String::new();
    for _ in 0..4 {
        let request = as_holder(&ann, ListActivityRequest { limit: 1, cursor });
        let page = service
            .client
            .list_activity(request)
            .await
            .expect("lists")
            .into_inner();
        let [entry] = page.activity.as_slice() else {
            panic!("one a page: {page:?}");
        };
        seen.push((
            entry.action.clone(),
            entry.client_address.clone(),
            entry.role.clone(),
        ));
        cursor = page.next_cursor;
    }
    let entry = |action: &str, client: &str, role: &str| {
        (action.to_owned(), client.to_owned(), role.to_owned())
    };
    let expected = [
        entry("role_granted", "", "organiser"),
        entry("signed_in", "192.0.2.7", ""),
        entry("password_wrong", "192.0.2.66", ""),
        entry("registered", "", ""),
    ];
    assert_eq!(seen, expected);
    let ask = |limit, cursor: &str| ListActivityRequest {
        limit,
        cursor: cursor.to_owned(),
    };
    for (request, field) in [(ask(101, ""), "limit"), (ask(1, "x"), "cursor")] {
        let refused = service.client.list_activity(as_holder(&ann, request)).await;
        assert_eq!(refusal(refused).1, [field]);
    }

    let audit = AuditAccountRequest {
        email: "ann@example.org".to_owned(),
        limit: 2,
        cursor: String::new(),
    };
    let refused = service
        .client
        .audit_account(as_holder(&ann, audit.clone()))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    let page = service
        .client
        .audit_account(as_holder(&operator, audit))
        .await;
    let page = page.expect("an administrator may").into_inner();
    assert!(page.activity.len() == 2 && !page.next_cursor.is_empty());
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_deleted_account_leaves_its_id_and_nothing_else(pool: PgPool) {
    let (mut letters, config) = Letters::of(config(&pool));
    let mut service = start(config).await;
    let user_id = service
        .register("ann@example.org")
        .await
        .expect("registers");
    letters.next().await;
    let login = holdfast_proto::identity::v1::LoginRequest {
        email: "ann@example.org".to_owned(),
        password: PASSWORD.to_owned(),
    };
    let answer = service.client.login(from_client("192.0.2.7", login)).await;
    let ann = answer
        .expect("signs in")
        .into_inner()
        .tokens
        .expect("tokens");
    let wrong = delete(&mut service, &ann.access_token, "wrong password").await;
    assert_eq!(refusal(wrong).0, ErrorCode::Forbidden);
    delete(&mut service, &ann.access_token, PASSWORD)
        .await
        .expect("deletes");

    let dump: String = sqlx::query_scalar(
        "SELECT concat_ws(' ',
             (SELECT string_agg(u::text, ' ') FROM identity.users u),
             (SELECT string_agg(a::text, ' ') FROM identity.audit a),
             (SELECT string_agg(m::text, ' ') FROM identity.mail m),
             (SELECT string_agg(k::text, ' ') FROM identity.known_clients k),
             (SELECT string_agg(f::text, ' ') FROM identity.refresh_families f),
             (SELECT string_agg(r::text, ' ') FROM identity.user_roles r))",
    )
    .fetch_one(&pool)
    .await
    .expect("dumps");
    assert!(
        !dump.contains("ann@example.org") && !dump.contains("192.0.2.7"),
        "{dump}"
    );
    let id = uuid::Uuid::from_slice(&user_id).expect("an id").to_string();
    assert!(dump.contains(&id), "bookings may name it: {dump}");

    // Its token says who it was, and is good for nothing here; nobody signs in as it.
    let gone = service
        .client
        .get_me(as_holder(&ann.access_token, GetMeRequest {}))
        .await;
    assert_eq!(refusal(gone).0, ErrorCode::Unauthorized);
    let again = delete(&mut service, &ann.access_token, PASSWORD).await;
    assert_eq!(refusal(again).0, ErrorCode::Unauthorized);
    let refresh_token = ann.refresh_token;
    let refused = service
        .client
        .refresh(RefreshRequest { refresh_token })
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    for email in ["ann@example.org", &format!("{id}@deleted.invalid")] {
        let refused = service.login(email, PASSWORD).await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
    }
    let other = service
        .register("ann@example.org")
        .await
        .expect("the address is free");
    assert_ne!(other, user_id);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn the_last_owner_of_an_organisation_stays(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let ann = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in")
        .access_token;
    sqlx::raw_sql(
        "INSERT INTO identity.organisations (organisation_id, name, made_by)
         SELECT gen_random_uuid(), 'Ours', user_id FROM identity.users;
         INSERT INTO identity.members (organisation_id, user_id, role)
         SELECT organisation_id, made_by, 'owner' FROM identity.organisations",
    )
    .execute(&pool)
    .await
    .expect("is made");
    let refused = delete(&mut service, &ann, PASSWORD).await;
    assert_eq!(refusal(refused).0, ErrorCode::InvalidState);
    let there = "SELECT count(*) FROM identity.users WHERE deleted_at IS NULL";
    assert_eq!(count(&pool, there).await, 1);
    service.stop().await;
}

/// Organisations are locked in the order of their ids, whenever one came to be in them.
#[sqlx::test(migrations = false)]
async fn who_goes_waits_for_an_organisation_and_keeps_no_other_waiting(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let ann = service.login("ann@example.org", PASSWORD).await;
    let ann = ann.expect("signs in").access_token;
    // The first by id is the last that she came to.
    sqlx::raw_sql(
        "INSERT INTO identity.organisations (organisation_id, name, made_by)
         SELECT lpad(n::text, 32, '0')::uuid, 'Ours', user_id
         FROM identity.users, generate_series(1, 2) AS n;
         INSERT INTO identity.members (organisation_id, user_id, role, since)
         SELECT organisation_id, made_by, 'viewer',
                now() - row_number() OVER (ORDER BY organisation_id) * interval '1 day'
         FROM identity.organisations",
    )
    .execute(&pool)
    .await
    .expect("are made");
    let mut first = pool.begin().await.expect("begins");
    let lock = "SELECT FROM identity.organisations ORDER BY organisation_id LIMIT 1 FOR UPDATE";
    let locked = sqlx::raw_sql(lock).execute(&mut *first).await;
    locked.expect("locks");
    let (gone, ()) = tokio::join!(delete(&mut service, &ann, PASSWORD), async {
        somebody_waits(&pool).await;
        let all = "SELECT FROM identity.organisations FOR UPDATE NOWAIT";
        let locked = sqlx::raw_sql(all).execute(&mut *first).await;
        locked.expect("nobody has the other");
        first.commit().await.expect("ends");
    });
    gone.expect("deletes");
    service.stop().await;
}

async fn close(service: &mut Service, token: &str, password: &str) -> Result<(), Status> {
    let password = password.to_owned();
    let closing_id = Vec::new();
    let request = as_holder(
        token,
        CloseAccountRequest {
            password,
            closing_id,
        },
    );
    service.client.close_account(request).await?;
    Ok(())
}

/// Those that are deleted, and those that are closed.
async fn standings(service: &mut Service, users: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let user_ids = users.to_vec();
    let request = ReadStandingsRequest { user_ids };
    let answer = service.client.read_standings(request).await;
    let answer = answer.expect("answers").into_inner();
    (answer.deleted, answer.closed)
}

/// Whoever is told that an account is open can rely on it.
#[sqlx::test(migrations = false)]
async fn how_accounts_stand_is_told_after_who_is_changing_it(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let ann = service.register("ann@example.org").await;
    let bob = service.register("bob@example.org").await;
    let [ann, bob] = [ann, bob].map(|id| id.expect("registers"));
    let nobody = vec![9; 16];
    let all = [ann.clone(), bob.clone(), nobody.clone()];
    let unknown = vec![nobody.clone()];
    assert_eq!(standings(&mut service, &all).await, (unknown, vec![]));
    let access = service.login("ann@example.org", PASSWORD).await;
    let access = access.expect("signs in").access_token;
    close(&mut service, &access, PASSWORD)
        .await
        .expect("closes");
    let closed = (vec![nobody.clone()], vec![ann.clone()]);
    assert_eq!(standings(&mut service, &all).await, closed);

    // Its time is over, and a deletion that began before is under way.
    sqlx::raw_sql("UPDATE identity.users SET closed_until = now() WHERE closed_until > now()")
        .execute(&pool)
        .await
        .expect("time passes");
    let mut deleting = pool.begin().await.expect("begins");
    sqlx::raw_sql(
        "SELECT FROM identity.users WHERE email LIKE 'ann%' FOR UPDATE;
         UPDATE identity.users SET deleted_at = now() WHERE email LIKE 'ann%'",
    )
    .execute(&mut *deleting)
    .await
    .expect("deletes");
    let (told, ()) = tokio::join!(standings(&mut service, &all), async {
        somebody_waits(&pool).await;
        deleting.commit().await.expect("commits");
    });
    assert_eq!(told, (vec![ann, nobody], vec![]));
    let user_ids = vec![bob; 101];
    let many = service
        .client
        .read_standings(ReadStandingsRequest { user_ids });
    assert_eq!(refusal(many.await).1, ["user_ids"]);
    service.stop().await;
}

/// A deletion that waits for the account judges by when its turn has come.
#[sqlx::test(migrations = false)]
async fn deletion_whose_turn_comes_after_the_closing_is_refused(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let access = service.login("ann@example.org", PASSWORD).await;
    let access = access.expect("signs in").access_token;
    close(&mut service, &access, PASSWORD)
        .await
        .expect("closes");
    sqlx::raw_sql(
        "UPDATE identity.users SET closed_until = clock_timestamp() + interval '1 second'",
    )
    .execute(&pool)
    .await
    .expect("time passes");
    let mut other = pool.begin().await.expect("begins");
    sqlx::raw_sql("SELECT FROM identity.users FOR SHARE")
        .execute(&mut *other)
        .await
        .expect("keeps it");
    let (deleted, ()) = tokio::join!(delete(&mut service, &access, ""), async {
        somebody_waits(&pool).await;
        let over =
            "SELECT pg_sleep(greatest(0, extract(epoch FROM closed_until - clock_timestamp())))
             FROM identity.users";
        sqlx::raw_sql(over).execute(&pool).await.expect("is over");
        other.commit().await.expect("lets go");
    });
    assert_eq!(refusal(deleted).0, ErrorCode::InvalidState);
    service.stop().await;
}

async fn refresh(service: &mut Service, refresh_token: &str) -> Result<Tokens, Status> {
    let refresh_token = refresh_token.to_owned();
    let request = RefreshRequest { refresh_token };
    let answer = service.client.refresh(request).await?.into_inner();
    Ok(answer.tokens.expect("tokens"))
}

#[sqlx::test(migrations = false)]
async fn a_closed_account_gets_no_token_until_it_is_gone_or_open_again(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let email = "ann@example.org";
    service.register(email).await.expect("registers");
    let ann = service.login(email, PASSWORD).await.expect("signs in");
    let access = ann.access_token;
    let key = CreateApiKeyRequest {
        name: "box office".to_owned(),
        scopes: vec!["sales:read".to_owned()],
        organisation_id: vec![],
    };
    let made = service.client.create_api_key(as_holder(&access, key)).await;
    let secret = made.expect("makes").into_inner().secret;
    let wrong = close(&mut service, &access, "wrong password").await;
    assert_eq!(refusal(wrong).0, ErrorCode::Forbidden);
    let not_closed = delete(&mut service, &access, "").await;
    assert_eq!(refusal(not_closed).0, ErrorCode::InvalidState);

    for _ in 0..2 {
        close(&mut service, &access, PASSWORD)
            .await
            .expect("closes");
    }
    let exchange = ExchangeApiKeyRequest { secret };
    let by_key = service.client.exchange_api_key(exchange.clone()).await;
    assert_eq!(refusal(by_key).0, ErrorCode::Unavailable);
    let by_password = service.login(email, PASSWORD).await;
    assert_eq!(refusal(by_password).0, ErrorCode::Unavailable);
    let by_token = refresh(&mut service, &ann.refresh_token).await;
    assert_eq!(refusal(by_token).0, ErrorCode::Unavailable);
    let by_operator = service.operator(email).await;
    assert_eq!(refusal(by_operator).0, ErrorCode::Unavailable);
    // Whoever doesn't know the password isn't told.
    let guessed = service.login(email, "wrong password").await;
    assert_eq!(refusal(guessed).0, ErrorCode::Unauthorized);

    // It stays: nobody was signed out, and who closed it before doesn't delete it.
    let reopen = as_holder(&access, ReopenAccountRequest::default());
    service.client.reopen_account(reopen).await.expect("opens");
    let late = delete(&mut service, &access, "").await;
    assert_eq!(refusal(late).0, ErrorCode::InvalidState);
    refresh(&mut service, &ann.refresh_token)
        .await
        .expect("goes on");
    let by_key = service.client.exchange_api_key(exchange).await;
    by_key.expect("goes on");
    service.login(email, PASSWORD).await.expect("signs in");

    // Nobody came back to it: it opens by itself.
    close(&mut service, &access, PASSWORD)
        .await
        .expect("closes");
    let soon: bool = sqlx::query_scalar(
        "SELECT closed_until <= now() + interval '2 minutes' FROM identity.users",
    )
    .fetch_one(&pool)
    .await
    .expect("reads");
    assert!(soon);
    sqlx::raw_sql("UPDATE identity.users SET closed_until = now()")
        .execute(&pool)
        .await
        .expect("time passes");
    service.login(email, PASSWORD).await.expect("signs in");
    let late = delete(&mut service, &access, "").await;
    assert_eq!(refusal(late).0, ErrorCode::InvalidState);

    close(&mut service, &access, PASSWORD)
        .await
        .expect("closes");
    delete(&mut service, &access, "").await.expect("deletes");
    let gone = delete(&mut service, &access, "").await;
    assert_eq!(refusal(gone).0, ErrorCode::Unauthorized);
    service.stop().await;
}

/// One neither opens what the other closed, nor deletes by its closing.
#[sqlx::test(migrations = false)]
async fn of_two_deletions_at_once_one_is_refused(pool: PgPool) {
    let mut service = start(config(&pool)).await;
    let email = "ann@example.org";
    service.register(email).await.expect("registers");
    let ann = service.login(email, PASSWORD).await.expect("signs in");
    let access = ann.access_token;
    let [one, other] = [vec![1; 16], vec![2; 16]];
    let close = |closing_id: &Vec<u8>| CloseAccountRequest {
        password: PASSWORD.to_owned(),
        closing_id: closing_id.clone(),
    };
    let delete = |closing_id: &Vec<u8>| DeleteAccountRequest {
        password: String::new(),
        closing_id: closing_id.clone(),
    };
    let mut client = service.client.clone();
    for _ in 0..2 {
        let closed = client.close_account(as_holder(&access, close(&one))).await;
        closed.expect("is the same again");
    }
    let refused = client
        .close_account(as_holder(&access, close(&other)))
        .await;
    assert_eq!(refusal(refused).0, ErrorCode::InvalidState);
    let request = ReopenAccountRequest {
        closing_id: other.clone(),
    };
    let opened = client.reopen_account(as_holder(&access, request)).await;
    opened.expect("there is nothing of it to open");
    let by_password = service.login(email, PASSWORD).await;
    assert_eq!(refusal(by_password).0, ErrorCode::Unavailable);
    for id in [&other, &Vec::new()] {
        let refused = client.delete_account(as_holder(&access, delete(id))).await;
        assert_eq!(refusal(refused).0, ErrorCode::InvalidState);
    }
    let short = client
        .delete_account(as_holder(&access, delete(&vec![1; 15])))
        .await;
    assert_eq!(refusal(short).1, ["closing_id"]);

    // The first one's time is over.
    sqlx::raw_sql("UPDATE identity.users SET closed_until = now() WHERE closed_until > now()")
        .execute(&pool)
        .await
        .expect("time passes");
    let closed = client
        .close_account(as_holder(&access, close(&other)))
        .await;
    closed.expect("closes");
    let late = client
        .delete_account(as_holder(&access, delete(&one)))
        .await;
    assert_eq!(refusal(late).0, ErrorCode::InvalidState);
    let deleted = client
        .delete_account(as_holder(&access, delete(&other)))
        .await;
    deleted.expect("deletes");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn wrong_passwords_are_noted_up_to_a_number_a_day_and_go_when_they_are_old(pool: PgPool) {
    let wrong = "SELECT count(*) FROM identity.audit WHERE action = 'password_wrong'";
    let mut service = start(config(&pool)).await;
    let email = "ann@example.org";
    service.register(email).await.expect("registers");
    let ann = service.login(email, PASSWORD).await.expect("signs in");
    // Also of who is signed in, and wants to do more.
    let refused = close(&mut service, &ann.access_token, "wrong password").await;
    assert_eq!(refusal(refused).0, ErrorCode::Forbidden);
    assert_eq!(count(&pool, wrong).await, 1);
    // Of the twenty of a day one is left; of the day before none counts.
    let others = "INSERT INTO identity.audit (actor_id, action, subject_id, at)
                  SELECT user_id, 'password_wrong', user_id, now() - age * interval '1 hour'
                  FROM identity.users, generate_series(1, 18) AS n, unnest(ARRAY[1, 25]) AS age";
    sqlx::raw_sql(others)
        .execute(&pool)
        .await
        .expect("others tried");
    for noted in [38, 38] {
        let refused = service.login(email, "wrong password").await;
        assert_eq!(refusal(refused).0, ErrorCode::Unauthorized);
        assert_eq!(count(&pool, wrong).await, noted);
    }
    service.stop().await;

    sqlx::raw_sql("UPDATE identity.audit SET at = now() - interval '181 days'")
        .execute(&pool)
        .await
        .expect("time passes");
    let service = start(config(&pool)).await;
    let all = "SELECT count(*) FROM identity.audit";
    let gone = async {
        while count(&pool, wrong).await > 0 || count(&pool, all).await > 1 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), gone)
        .await
        .expect("what is old goes");
    assert_eq!(count(&pool, all).await, 1, "but that it registered");
    service.stop().await;
}
