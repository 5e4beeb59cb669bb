//! Letters: sent to a mail server that others wrote (aiosmtpd, pinned in `scripts/aiosmtpd.txt`), as a
//! process of its own, and into a folder.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use holdfast_proto::identity::v1::{
    GetMeRequest, RefreshRequest, RequestPasswordResetRequest, ResendVerificationRequest,
    VerifyEmailRequest,
};
use holdfast_types::ErrorCode;
use identity_svc::Config;
use serde_json::Value;
use sqlx::PgPool;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::{LIMIT, PASSWORD, Service, as_holder, config, count, refusal, start};

/// A mail server, and what it says.
struct Smtp {
    lines: Lines<BufReader<ChildStdout>>,
    port: u64,
    _process: Child,
}

impl Smtp {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With the files of a certificate and its key it speaks TLS.
    async fn start_with(files: &[PathBuf]) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tools = Command::new(root.join("scripts/tools"))
            .arg("scripts/aiosmtpd.txt")
            .stderr(Stdio::inherit())
            .output();
        let tools = tools.await.expect("scripts/tools runs");
        assert!(tools.status.success(), "aiosmtpd can't be had");
        let bin = String::from_utf8(tools.stdout).expect("a path");
        let mut process = Command::new(PathBuf::from(bin.trim()).join("python"))
            .arg(root.join("identity-svc/tests/identity/smtp.py"))
            .args(files)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("starts");
        let stdout = process.stdout.take().expect("is piped");
        let mut smtp = Self {
            lines: BufReader::new(stdout).lines(),
            port: 0,
            _process: process,
        };
        smtp.port = smtp.said().await["port"].as_u64().expect("its port");
        smtp
    }

    /// The next that it says.
    async fn said(&mut self) -> Value {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await;
        let line = line.expect("in time").expect("reads").expect("goes on");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The next letter, which it took, to `email`.
    async fn letter(&mut self, email: &str) -> String {
        let said = self.said().await;
        assert_eq!(said["answer"], 250, "{said}");
        assert_eq!(said["to"], serde_json::json!([email]));
        said["text"].as_str().expect("a text").to_owned()
    }

    fn config(&self, pool: &PgPool) -> Config {
        let mut config = config(pool);
        config.mail.smtp_url = format!("smtp://127.0.0.1:{}", self.port).as_str().into();
        config.mail.from = "Tickets <no-reply@tickets.example>".to_owned();
        config.mail.links = "https://tickets.example".to_owned();
        config
    }
}

/// The token in a letter's link.
pub(crate) fn token_in(letter: &str) -> String {
    let (_, rest) = letter.split_once("?token=").expect("has a link");
    let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
    rest[..end].to_owned()
}

/// Waits until nothing waits to be sent.
async fn all_ended(pool: &PgPool) {
    let waiting = "SELECT count(*) FROM identity.mail WHERE ended_at IS NULL";
    let ended = async {
        while count(pool, waiting).await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, ended)
        .await
        .expect("all are sent");
}

async fn is_verified(service: &mut Service, access_token: &str) -> bool {
    let request = as_holder(access_token, GetMeRequest {});
    let me = service.client.get_me(request).await.expect("answers");
    me.into_inner().email_verified
}

async fn verify(service: &mut Service, token: &str) -> Result<String, tonic::Status> {
    let token = token.to_owned();
    let answer = service.client.verify_email(VerifyEmailRequest { token });
    Ok(answer.await?.into_inner().email)
}

#[sqlx::test(migrations = false)]
async fn a_new_account_verifies_its_address_by_the_letter_once(pool: PgPool) {
    let mut smtp = Smtp::start().await;
    let mut service = start(smtp.config(&pool)).await;
    service
        .register("Ann@Example.org")
        .await
        .expect("registers");
    let letter = smtp.letter("ann@example.org").await;
    for line in [
        "From: Tickets <no-reply@tickets.example>",
        "To: ann@example.org",
        "Subject: Please confirm your e-mail address",
        "Auto-Submitted: auto-generated",
        "https://tickets.example/account/verify?token=",
    ] {
        assert!(letter.contains(line), "{line}: {letter}");
    }
    assert!(
        letter.contains("Message-ID: <") && letter.contains("Date: "),
        "{letter}"
    );
    let access = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    assert!(!is_verified(&mut service, &access.access_token).await);

    let token = token_in(&letter);
    for wrong in ["", "made up", &token[1..], &"a".repeat(100_000)] {
        let refused = refusal(verify(&mut service, wrong).await);
        assert_eq!(
            refused,
            (ErrorCode::InvalidRequest, vec!["token".to_owned()])
        );
    }
    let email = verify(&mut service, &token).await.expect("verifies");
    assert_eq!(email, "ann@example.org");
    assert!(is_verified(&mut service, &access.access_token).await);
    let again = refusal(verify(&mut service, &token).await);
    assert_eq!(again.0, ErrorCode::InvalidRequest, "it works once");
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn letters_are_asked_for_again_but_not_for_who_needs_none_and_not_without_end(pool: PgPool) {
    let mut smtp = Smtp::start().await;
    let mut service = start(smtp.config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let first = token_in(&smtp.letter("ann@example.org").await);
    for email in ["ann@example.org", "nobody@example.org"] {
        let email = email.to_owned();
        let request = ResendVerificationRequest { email };
        let answer = service.client.resend_verification(request).await;
        answer.expect("is the same for all");
    }
    let second = token_in(&smtp.letter("ann@example.org").await);
    all_ended(&pool).await;
    verify(&mut service, &second).await.expect("verifies");
    let refused = verify(&mut service, &first).await;
    assert_eq!(
        refusal(refused).0,
        ErrorCode::InvalidRequest,
        "went with the other"
    );
    let stored = "SELECT count(*) FROM identity.mailed_tokens";
    assert_eq!(count(&pool, stored).await, 0);

    for _ in 0..20 {
        let email = "ann@example.org".to_owned();
        let request = RequestPasswordResetRequest { email };
        let answer = service.client.request_password_reset(request).await;
        answer.expect("is the same as ever");
    }
    all_ended(&pool).await;
    let sent = "SELECT count(*) FROM identity.mail WHERE kind = 'reset_password' AND sent";
    assert_eq!(count(&pool, sent).await, 5);
    for _ in 0..5 {
        smtp.letter("ann@example.org").await;
    }
    let to_nobody =
        "SELECT count(*) FROM identity.mail WHERE recipient = 'nobody@example.org' AND NOT sent";
    assert_eq!(count(&pool, to_nobody).await, 1);
    service.stop().await;
}

/// Whoever counts rows, or times writing them, learns nothing: an address without an account leaves as many, and
/// the sixth within half an hour is refused room like any other.
#[sqlx::test(migrations = false)]
async fn asking_for_a_new_password_writes_the_same_for_every_address(pool: PgPool) {
    let mut smtp = Smtp::start().await;
    let mut service = start(smtp.config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    smtp.letter("ann@example.org").await;
    for _ in 0..8 {
        for email in ["ann@example.org", "nobody@example.org"] {
            let email = email.to_owned();
            let request = RequestPasswordResetRequest { email };
            let answer = service.client.request_password_reset(request).await;
            answer.expect("is the same for all");
        }
        // Also after those before were looked at.
        all_ended(&pool).await;
    }
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT recipient, count(*), count(*) FILTER (WHERE sent) FROM identity.mail
         WHERE kind = 'reset_password' GROUP BY recipient ORDER BY recipient",
    )
    .fetch_all(&pool)
    .await
    .expect("reads");
    let expected = [("ann@example.org", 5, 5), ("nobody@example.org", 5, 0)];
    let expected = expected.map(|(email, rows, sent)| (email.to_owned(), rows, sent));
    assert_eq!(rows, expected);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn a_server_with_an_authority_of_its_own_is_known_by_the_file(pool: PgPool) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writes");
        path
    };
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).expect("signs");
    let issuer = rcgen::Issuer::new(params, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("signs");
    let authorities = file("ca.pem", authority.pem());
    let files = [
        file("server.pem", certificate.pem()),
        file("server.key", key.serialize_pem()),
    ];

    let mut smtp = Smtp::start_with(&files).await;
    let mut config = smtp.config(&pool);
    config.mail.smtp_url = format!("smtps://127.0.0.1:{}", smtp.port).as_str().into();
    let mut service = start(config.clone()).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    let unknown =
        "SELECT count(*) FROM identity.mail WHERE last_error LIKE '%certificate%' AND NOT sent";
    let noted = async {
        while count(&pool, unknown).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, noted).await.expect("is noted");
    service.stop().await;

    config.mail.smtp_ca_file = authorities;
    let service = start(config).await;
    sqlx::query("UPDATE identity.mail SET due_at = now()")
        .execute(&pool)
        .await
        .expect("is due");
    smtp.letter("ann@example.org").await;
    all_ended(&pool).await;
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn what_a_server_puts_off_is_tried_again_and_what_it_refuses_is_given_up(pool: PgPool) {
    let mut smtp = Smtp::start().await;
    let mut service = start(smtp.config(&pool)).await;
    for email in ["later-ann@example.org", "never-bob@example.org"] {
        service.register(email).await.expect("registers");
    }
    let mut answers = [smtp.said().await, smtp.said().await].map(|said| {
        let to = said["to"].as_str().expect("one").to_owned();
        (to, said["answer"].as_u64().expect("a code"))
    });
    answers.sort();
    assert_eq!(answers[0], ("later-ann@example.org".to_owned(), 451));
    assert_eq!(answers[1], ("never-bob@example.org".to_owned(), 550));
    // Its time comes.
    let put_off = "SELECT count(*) FROM identity.mail WHERE last_error LIKE '%come again%' AND ended_at IS NULL";
    let noted = async {
        while count(&pool, put_off).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, noted).await.expect("is noted");
    sqlx::query("UPDATE identity.mail SET due_at = now() WHERE ended_at IS NULL")
        .execute(&pool)
        .await
        .expect("is due");
    let letter = smtp.letter("later-ann@example.org").await;
    verify(&mut service, &token_in(&letter))
        .await
        .expect("verifies");
    all_ended(&pool).await;
    let given_up = "SELECT count(*) FROM identity.mail
                    WHERE NOT sent AND attempts = 1 AND last_error LIKE '%nobody has this address%'";
    assert_eq!(count(&pool, given_up).await, 1);
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn who_has_a_stolen_sign_in_is_told(pool: PgPool) {
    let mut smtp = Smtp::start().await;
    let mut service = start(smtp.config(&pool)).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    smtp.letter("ann@example.org").await;
    let first = service
        .login("ann@example.org", PASSWORD)
        .await
        .expect("signs in");
    let mut refresh = async |token: &str| {
        let refresh_token = token.to_owned();
        let answer = service
            .client
            .refresh(RefreshRequest { refresh_token })
            .await?;
        Ok::<_, tonic::Status>(answer.into_inner().tokens.expect("tokens"))
    };
    let second = refresh(&first.refresh_token).await.expect("renews");
    refresh(&second.refresh_token).await.expect("renews");
    let reused = refresh(&first.refresh_token).await;
    assert_eq!(refusal(reused).0, ErrorCode::Unauthorized);
    let letter = smtp.letter("ann@example.org").await;
    assert!(
        letter.contains("Subject: A sign-in of yours was ended"),
        "{letter}"
    );
    service.stop().await;
}

#[sqlx::test(migrations = false)]
async fn without_a_server_letters_are_files_of_a_folder(pool: PgPool) {
    let folder = std::env::temp_dir().join(format!("holdfast-mail-{}", uuid::Uuid::now_v7()));
    let mut config = config(&pool);
    config.mail.folder.clone_from(&folder);
    let mut service = start(config).await;
    service
        .register("ann@example.org")
        .await
        .expect("registers");
    all_ended(&pool).await;
    let files = std::fs::read_dir(&folder).expect("a folder");
    let files: Vec<_> = files.map(|file| file.expect("reads").path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].extension().is_some_and(|end| end == "eml"));
    let letter = std::fs::read_to_string(&files[0]).expect("reads");
    assert!(letter.contains("To: ann@example.org\r\n"), "{letter}");
    verify(&mut service, &token_in(&letter))
        .await
        .expect("verifies");
    service.stop().await;
    std::fs::remove_dir_all(folder).expect("is removed");
}
