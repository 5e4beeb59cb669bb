//! Letters of a folder, shown where that is configured and to this machine alone.

use uuid::Uuid;

use crate::setup::{Gateway, send};

const LETTER: &str = "From: Holdfast <no-reply@localhost>\r\nTo: ada@example.org\r\nSubject: <b>Hello</b>\r\n\
    Date: Fri, 27 Nov 2026 09:00:00 +0000\r\n\r\nOpen this:\r\n\r\nhttp://127.0.0.1:8080/account/verify?token=t\r\n";

#[tokio::test]
async fn there_is_no_mail_page_unless_it_is_configured() {
    let gateway = Gateway::start().await;
    send(gateway.get("/mail")).await.error(404, "NOT_FOUND");
}

#[tokio::test]
async fn letters_are_listed_newest_first_and_shown_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let gateway = Gateway::start_with(|config| config.mail_folder = path).await;
    assert_eq!(send(gateway.get("/mail")).await.status, 200, "empty");
    let (old, new) = (Uuid::now_v7(), Uuid::now_v7());
    for id in [old, new] {
        std::fs::write(folder.path().join(format!("{id}.eml")), LETTER).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "secret").unwrap();
    let list = send(gateway.get("/mail")).await;
    let policy = list.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    let text = list.text();
    let at = |id: Uuid| {
        text.find(&format!("href=\"/mail/{id}\""))
            .expect("is listed")
    };
    assert!(at(new) < at(old), "{text}");
    assert!(
        text.contains("&lt;b&gt;Hello") && !text.contains("<b>"),
        "{text}"
    );
    assert!(!text.contains("notes"), "{text}");
    let letter = send(gateway.get(&format!("/mail/{old}"))).await.text();
    let link = "href=\"http://127.0.0.1:8080/account/verify?token=t\"";
    assert!(letter.contains(link) && !letter.contains("<b>"), "{letter}");
    for none in [
        "notes",
        "notes.txt",
        "..%2Fsecrets.toml",
        &Uuid::now_v7().to_string(),
    ] {
        send(gateway.get(&format!("/mail/{none}")))
            .await
            .error(404, "NOT_FOUND");
    }
    // A name of somebody else's that was made to lead here.
    for path in ["/mail".to_owned(), format!("/mail/{old}")] {
        let request = gateway.get(&path).header("host", "evil.example");
        send(request).await.error(403, "FORBIDDEN");
    }
}
