//! Who may look at the index and have it built anew.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use holdfast_mesh::{
    Failure,
    auth::{AUDIENCE, ISSUER, TokenClaims, Verifier},
};
use holdfast_proto::search::v1::{
    CompareShowsRequest, GetIndexStatusRequest, RebuildIndexRequest,
    search_admin_service_server::SearchAdminService,
};
use holdfast_types::{ErrorCode, UserId};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use sqlx::{PgPool, postgres::PgPoolOptions};
use tonic::Request;

use super::{
    recorded::nobody,
    shows::{fill, show},
};
use crate::{
    clients::catalog::Catalog,
    embedded::Embedded,
    feed::{Status, Stream},
    grpc::Admin,
};

const KEY_ID: &str = "test";
/// PKCS #8 of an Ed25519 key, up to its 32 bytes.
const ED25519_DER_START: [u8; 16] = [
    0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
];

fn key() -> EncodingKey {
    EncodingKey::from_ed_der(&[&ED25519_DER_START[..], &[1; 32]].concat())
}

fn jwks() -> String {
    let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::EdDSA).unwrap();
    jwk.common.key_id = Some(KEY_ID.to_owned());
    format!(r#"{{"keys":[{}]}}"#, serde_json::to_string(&jwk).unwrap())
}

fn asked<T>(message: T, role: &str) -> Request<T> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = TokenClaims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: UserId::from_bytes([7; 16]),
        roles: vec![role.to_owned()],
        iat: now.as_secs() - 10,
        exp: now.as_secs() + 600,
    };
    let header = Header {
        kid: Some(KEY_ID.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    let token = jsonwebtoken::encode(&header, &claims, &key()).unwrap();
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

fn code<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) -> ErrorCode {
    Failure::from_status(&answer.unwrap_err()).code()
}

#[sqlx::test(migrations = false)]
async fn only_admins_look_at_the_index_or_have_it_built(pool: PgPool) {
    holdfast_eventlog::migrate(&pool).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let index = Arc::new(Embedded::open(dir.path()).unwrap());
    let status = Arc::new(Status::default());
    let stream = Arc::new(Stream::new(pool.clone(), "search"));
    let [admin, idle] = [true, false].map(|feeds| Admin {
        index: Arc::clone(&index),
        status: Arc::clone(&status),
        verifier: Verifier::new(|| async { Ok(jwks()) }),
        stream: Arc::clone(&stream),
        catalog: Catalog::new(holdfast_mesh::client::channel("http://127.0.0.1:1").unwrap()),
        feeds,
    });
    let nobody = admin.get_index_status(Request::new(GetIndexStatusRequest {}));
    assert_eq!(code(nobody.await), ErrorCode::Unauthorized);
    let nobody = admin.rebuild_index(Request::new(RebuildIndexRequest {}));
    assert_eq!(code(nobody.await), ErrorCode::Unauthorized);
    for role in ["customer", "organiser", "staff"] {
        let refused = admin.get_index_status(asked(GetIndexStatusRequest {}, role));
        assert_eq!(code(refused.await), ErrorCode::Forbidden, "{role}");
        let refused = admin.rebuild_index(asked(RebuildIndexRequest {}, role));
        assert_eq!(code(refused.await), ErrorCode::Forbidden, "{role}");
        let refused = admin.compare_shows(asked(CompareShowsRequest::default(), role));
        assert_eq!(code(refused.await), ErrorCode::Forbidden, "{role}");
    }

    let look = async || {
        let request = asked(GetIndexStatusRequest {}, "admin");
        admin.get_index_status(request).await.unwrap().into_inner()
    };
    let before = look().await;
    assert_eq!(
        (before.engine.as_str(), before.searchable, before.lag_ms),
        ("tantivy", false, 0)
    );
    assert_eq!((before.changes_behind, before.shows), (0, 0));
    fill(&*index, [show(1, "Opening")]).await;
    let after = look().await;
    assert_eq!((after.searchable, after.shows), (true, 1));

    let refused = idle.rebuild_index(asked(RebuildIndexRequest {}, "admin"));
    assert_eq!(code(refused.await), ErrorCode::InvalidState);
    let asked_for = admin.rebuild_index(asked(RebuildIndexRequest {}, "admin"));
    asked_for.await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), status.asked())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_status_is_told_while_engine_and_database_are_down() {
    let status = Arc::new(Status::default());
    let pool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy("postgres://nobody@127.0.0.1:1/none")
        .unwrap();
    let admin = Admin {
        index: Arc::new(nobody()),
        status,
        verifier: Verifier::new(|| async { Ok(jwks()) }),
        stream: Arc::new(Stream::new(pool, "search")),
        catalog: Catalog::new(holdfast_mesh::client::channel("http://127.0.0.1:1").unwrap()),
        feeds: true,
    };
    let request = asked(GetIndexStatusRequest {}, "admin");
    let told = admin.get_index_status(request).await.unwrap().into_inner();
    assert_eq!(
        (told.engine.as_str(), told.searchable),
        ("meilisearch", false)
    );
    assert!(told.engine_failure.contains("search engine"), "{told:?}");
    assert_eq!(told.behind_failure, "the event stream is down");
}
