//! What a browser sees loads nothing from elsewhere.

use crate::setup::{Gateway, send};

#[tokio::test]
async fn the_front_page_says_what_this_is_and_where_to_go() {
    let gateway = Gateway::start().await;
    let answer = send(gateway.get("/")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for link in ["/api/v1/docs/", "/api/v1/openapi.json"] {
        assert!(
            answer.text().contains(&format!("href=\"{link}\"")),
            "{}",
            answer.text()
        );
        assert_eq!(send(gateway.get(link)).await.status, 200, "{link}");
    }
}

#[tokio::test]
async fn the_documentation_page_loads_nothing_from_elsewhere() {
    let gateway = Gateway::start().await;
    let answer = send(gateway.get("/api/v1/docs")).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/api/v1/docs/"))
    );

    let page = send(gateway.get("/api/v1/docs/")).await;
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .starts_with("default-src 'self';")
    );
    assert!(!page.text().contains("://"), "{}", page.text());
    let linked = page.text();
    let mut assets = linked
        .split(['"'])
        .filter(|text| text.ends_with(".js") || text.ends_with(".css"))
        .peekable();
    assert!(assets.peek().is_some());
    for asset in assets {
        let path = format!("/api/v1/docs/{}", asset.trim_start_matches("./"));
        assert_eq!(send(gateway.get(&path)).await.status, 200, "{path}");
    }

    let settings = send(gateway.get("/api/v1/docs/swagger-initializer.js"))
        .await
        .text();
    assert!(!settings.contains("://"), "{settings}");
    assert!(
        settings.contains("\"validatorUrl\": \"none\""),
        "{settings}"
    );
    assert!(settings.contains("/api/v1/openapi.json"), "{settings}");
}

#[tokio::test]
async fn the_document_is_served_with_a_tag() {
    let gateway = Gateway::start().await;
    let answer = send(gateway.get("/api/v1/openapi.json")).await;
    assert_eq!(
        answer.json(),
        serde_json::to_value(gateway::openapi()).unwrap()
    );
    let tag = answer.header("etag").unwrap().to_owned();
    assert_eq!(
        send(
            gateway
                .get("/api/v1/openapi.json")
                .header("if-none-match", tag)
        )
        .await
        .status,
        304
    );
}
