//! Whether bookings that somebody waits for have changed.

use holdfast_types::BookingId;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    Error,
    bookings::{Key, Version},
};

/// Which version each of these bookings' rows is.
pub(crate) async fn versions(
    pool: &PgPool,
    of: &[Key],
) -> Result<Vec<(BookingId, Version)>, Error> {
    let shows: Vec<Uuid> = of.iter().map(|key| key.show_id.as_uuid()).collect();
    let bookings: Vec<Uuid> = of.iter().map(|key| key.booking_id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT b.booking_id, b.xmin::text AS "version!"
         FROM unnest($1::uuid[], $2::uuid[]) AS w (show_id, booking_id)
         JOIN booking.bookings b ON b.show_id = w.show_id AND b.booking_id = w.booking_id"#,
        &shows,
        &bookings,
    )
    .fetch_all(pool)
    .await?;
    let versions = rows
        .into_iter()
        .map(|row| (BookingId::from_uuid(row.booking_id), Version(row.version)));
    Ok(versions.collect())
}
