//! Who may see payments.

use holdfast_mesh::Failure;
use holdfast_proto::payment::v1::ListPaymentsRequest;
use holdfast_types::ErrorCode;
use sqlx::PgPool;
use tonic::Request;
use uuid::Uuid;

use crate::{identity::signed_in, system::System};

#[sqlx::test(migrations = false)]
async fn payments_are_shown_to_operators_only(pool: PgPool) {
    let system = System::start(&pool).await;
    let wanted = || ListPaymentsRequest {
        booking_id: Uuid::new_v4().into_bytes().to_vec(),
    };
    let answer = async |request| {
        let answer = system.client().await.list_payments(request).await;
        answer
            .map(|_| ())
            .map_err(|status| Failure::from_status(&status).code())
    };
    for role in ["admin", "staff"] {
        assert_eq!(answer(signed_in(role, wanted())).await, Ok(()), "{role}");
    }
    for role in ["customer", "organiser", "venue_owner"] {
        let refused = answer(signed_in(role, wanted())).await;
        assert_eq!(refused, Err(ErrorCode::Forbidden), "{role}");
    }
    let refused = answer(Request::new(wanted())).await;
    assert_eq!(refused, Err(ErrorCode::Unauthorized));
    system.stop().await;
}
