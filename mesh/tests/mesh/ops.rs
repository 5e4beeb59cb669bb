//! Health, readiness and metrics as an operator asks for them.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use holdfast_mesh as mesh;
use tower::ServiceExt;

async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("answers");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20)
        .await
        .expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

#[tokio::test]
async fn a_process_is_ready_only_while_every_part_is() {
    let readiness = mesh::ops::Readiness::default();
    let router = mesh::ops::router(readiness.clone(), mesh::metrics::install());
    assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
    assert_eq!(
        get(&router, "/readyz").await.0,
        StatusCode::SERVICE_UNAVAILABLE,
        "nothing is declared"
    );

    readiness.declare("a");
    readiness.declare("b");
    readiness.set_ready("a");
    let (status, body) = get(&router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains(r#""b":{"ready":false"#), "{body}");

    readiness.set_ready("b");
    assert_eq!(get(&router, "/readyz").await.0, StatusCode::OK);

    readiness.set_not_ready("a", "no quorum");
    let (status, body) = get(&router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("no quorum"), "{body}");
    assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn metrics_recorded_anywhere_in_the_process_are_rendered() {
    let router = mesh::ops::router(mesh::ops::Readiness::default(), mesh::metrics::install());
    metrics::histogram!("mesh_test_seconds").record(0.003);
    let (status, body) = get(&router, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        body.contains(r#"mesh_test_seconds_bucket{le="0.005"} 1"#),
        "{body}"
    );
}

#[tokio::test]
async fn an_ops_server_that_cannot_start_says_so_at_once() {
    let context = mesh::Context::new();
    let refused = mesh::ops::serve(([0, 0, 0, 0], 0).into(), false, &context);
    let refused = tokio::time::timeout(crate::LIMIT, refused)
        .await
        .expect("in time");
    assert!(
        matches!(refused, Err(mesh::server::Error::Config(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_ops_server_answers_until_shutdown() {
    let context = mesh::Context::new();
    let serving = tokio::spawn({
        let context = context.clone();
        async move { mesh::ops::serve(([127, 0, 0, 1], 0).into(), false, &context).await }
    });
    let address = tokio::time::timeout(crate::LIMIT, context.readiness.address("ops"))
        .await
        .expect("in time");
    tokio::net::TcpStream::connect(address)
        .await
        .expect("accepts");
    context.shutdown.cancel();
    tokio::time::timeout(crate::LIMIT, serving)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("drained");
}
