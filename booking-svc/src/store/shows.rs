//! Shows and their immutable layout.

use chrono::{DateTime, Utc};
use holdfast_types::{Currency, LateMoney, ShowId, ShowState, UserId};
use lockstore_client::SeatKind;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Error, corrupt};

/// Rows in one bulk insert: bounds the statement's size, about a megabyte.
const INSERT_ROWS_MAX: usize = 4_096;

/// What a show was opened with.
#[derive(Debug, Clone)]
pub(crate) struct NewShow {
    pub(crate) show_id: ShowId,
    /// Who may change it besides admins, if anybody.
    pub(crate) owner: Option<UserId>,
    pub(crate) title: String,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) currency: Currency,
    pub(crate) price_version: i32,
    pub(crate) hold_ttl_ms: i64,
    pub(crate) hold_total_ms_max: i64,
    pub(crate) seats_per_customer_max: i32,
    pub(crate) sale: SaleTimes,
    pub(crate) fees: Vec<Fee>,
    pub(crate) late_money: LateMoney,
    pub(crate) no_lone_seat: bool,
    pub(crate) layout_hash: [u8; 32],
}

/// What is charged besides what seats cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fee {
    pub(crate) name: String,
    pub(crate) amount: i64,
    /// For each ticket; otherwise once a booking.
    pub(crate) per_ticket: bool,
}

/// When a show's sale begins and ends, where that is bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct SaleTimes {
    pub(crate) starts_at: Option<DateTime<Utc>>,
    pub(crate) ends_at: Option<DateTime<Utc>>,
    /// Later ones have larger numbers.
    pub(crate) version: i32,
}

/// A seat as it was opened.
#[derive(Debug, Clone)]
pub(crate) struct NewSeat {
    pub(crate) label: String,
    pub(crate) section: String,
    pub(crate) row_no: i32,
    pub(crate) gap_after: bool,
    pub(crate) category: String,
    pub(crate) price: i64,
    pub(crate) kind: SeatKind,
}

/// A show as it is.
#[derive(Debug, Clone)]
pub(crate) struct Show {
    pub(crate) owner: Option<UserId>,
    pub(crate) title: String,
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) currency: Currency,
    pub(crate) price_version: u32,
    pub(crate) hold_ttl_ms: u64,
    pub(crate) hold_total_ms_max: u64,
    pub(crate) sale: SaleTimes,
    /// In the order in which they are shown.
    pub(crate) fees: Vec<Fee>,
    pub(crate) late_money: LateMoney,
    pub(crate) state: ShowState,
}

/// A seat as far as selling needs it; its number is its place in the list.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) label: String,
    pub(crate) section: String,
    pub(crate) price: i64,
    pub(crate) kind: SeatKind,
}

/// A show as whoever opens it finds it.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) owner: Option<UserId>,
    pub(crate) layout_hash: Vec<u8>,
    pub(crate) state: ShowState,
}

/// Writes a show and its seats, `DRAFT`. Does nothing if the show is there.
/// Returns what is there now.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    show: &NewShow,
    seats: &[NewSeat],
) -> Result<Opened, Error> {
    let seat_count = i32::try_from(seats.len()).expect("checked against the limit before");
    let fees = show.fees.iter();
    let fee_names: Vec<String> = fees.clone().map(|fee| fee.name.clone()).collect();
    let fee_amounts: Vec<i64> = fees.clone().map(|fee| fee.amount).collect();
    let fee_per_ticket: Vec<bool> = fees.map(|fee| fee.per_ticket).collect();
    let inserted = sqlx::query!(
        "INSERT INTO booking.shows (show_id, owner_id, title, starts_at, currency, price_version,
             hold_ttl_ms, hold_total_ms_max, seats_per_customer_max, seat_count, layout_hash,
             sale_starts_at, sale_ends_at, sale_version, fee_names, fee_amounts, fee_per_ticket,
             late_money, no_lone_seat, state)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
             'DRAFT')
         ON CONFLICT DO NOTHING",
        show.show_id.as_uuid(),
        show.owner.map(UserId::as_uuid),
        show.title,
        show.starts_at,
        show.currency.as_str(),
        show.price_version,
        show.hold_ttl_ms,
        show.hold_total_ms_max,
        show.seats_per_customer_max,
        seat_count,
        &show.layout_hash[..],
        show.sale.starts_at,
        show.sale.ends_at,
        show.sale.version,
        &fee_names,
        &fee_amounts,
        &fee_per_ticket,
        show.late_money.as_str(),
        show.no_lone_seat,
    )
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        for (chunk_no, chunk) in seats.chunks(INSERT_ROWS_MAX).enumerate() {
            insert_seats(connection, show.show_id, chunk_no * INSERT_ROWS_MAX, chunk).await?;
        }
    }
    let row = sqlx::query!(
        "SELECT owner_id, layout_hash, state FROM booking.shows WHERE show_id = $1",
        show.show_id.as_uuid()
    )
    .fetch_one(connection)
    .await?;
    let state = row.state.parse().map_err(|error| corrupt("shows", error))?;
    Ok(Opened {
        owner: owner(row.owner_id),
        layout_hash: row.layout_hash,
        state,
    })
}

fn owner(column: Option<Uuid>) -> Option<UserId> {
    column.map(UserId::from_uuid)
}

async fn insert_seats(
    connection: &mut PgConnection,
    show_id: ShowId,
    first: usize,
    seats: &[NewSeat],
) -> Result<(), Error> {
    let first = i32::try_from(first).expect("checked against the limit before");
    let seat_nos: Vec<i32> = (first..).take(seats.len()).collect();
    let labels: Vec<String> = seats.iter().map(|seat| seat.label.clone()).collect();
    let sections: Vec<String> = seats.iter().map(|seat| seat.section.clone()).collect();
    let rows: Vec<i32> = seats.iter().map(|seat| seat.row_no).collect();
    let gaps: Vec<bool> = seats.iter().map(|seat| seat.gap_after).collect();
    let categories: Vec<String> = seats.iter().map(|seat| seat.category.clone()).collect();
    let prices: Vec<i64> = seats.iter().map(|seat| seat.price).collect();
    let kinds: Vec<String> = seats
        .iter()
        .map(|seat| kind_text(seat.kind).to_owned())
        .collect();
    sqlx::query!(
        "INSERT INTO booking.seats
             (show_id, seat_no, label, section, row_no, gap_after, category, price, kind)
         SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[], $5::int[], $6::bool[],
             $7::text[], $8::bigint[], $9::text[])",
        show_id.as_uuid(),
        &seat_nos,
        &labels,
        &sections,
        &rows,
        &gaps,
        &categories,
        &prices,
        &kinds,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a show's `DRAFT`: the lock store has all of it. A state that came since is left.
pub(crate) async fn open(pool: &PgPool, show_id: ShowId) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE booking.shows SET state = 'ON_SALE' WHERE show_id = $1 AND state = 'DRAFT'",
        show_id.as_uuid()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Sets a show's state as the store had it. Calls may get here in another order than there: what
/// is cancelled stays so, and what is closed can only be cancelled.
pub(crate) async fn set_state(
    pool: &PgPool,
    show_id: ShowId,
    state: ShowState,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE booking.shows SET state = $2
         WHERE show_id = $1 AND state <> 'CANCELLED' AND (state <> 'CLOSED' OR $2 = 'CANCELLED')",
        show_id.as_uuid(),
        state.as_str()
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Sets when a show's sale begins and ends, unless what is there is as late. Returns whether it did; of a
/// show that isn't there it doesn't.
pub(crate) async fn set_sale(
    connection: &mut PgConnection,
    show_id: ShowId,
    sale: SaleTimes,
) -> Result<bool, Error> {
    let set = sqlx::query!(
        "UPDATE booking.shows SET sale_starts_at = $2, sale_ends_at = $3, sale_version = $4,
             sale_changed_at = now()
         WHERE show_id = $1 AND sale_version < $4",
        show_id.as_uuid(),
        sale.starts_at,
        sale.ends_at,
        sale.version,
    )
    .execute(connection)
    .await?;
    Ok(set.rows_affected() == 1)
}

/// A show whose sale times were changed.
#[derive(Debug, Clone)]
pub(crate) struct SaleChanged {
    pub(crate) show_id: ShowId,
    pub(crate) sale: SaleTimes,
    pub(crate) changed_at: DateTime<Utc>,
}

/// Shows whose sale times were changed at `from` or later, the earliest first; at most `limit`.
pub(crate) async fn sales_changed(
    pool: &PgPool,
    from: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<SaleChanged>, Error> {
    let rows = sqlx::query!(
        r#"SELECT show_id, sale_starts_at, sale_ends_at, sale_version, sale_changed_at AS "changed_at!"
           FROM booking.shows WHERE sale_changed_at >= $1 ORDER BY sale_changed_at LIMIT $2"#,
        from,
        i64::from(limit),
    )
    .fetch_all(pool)
    .await?;
    let changed = rows.into_iter().map(|row| SaleChanged {
        show_id: ShowId::from_uuid(row.show_id),
        sale: SaleTimes {
            starts_at: row.sale_starts_at,
            ends_at: row.sale_ends_at,
            version: row.sale_version,
        },
        changed_at: row.changed_at,
    });
    Ok(changed.collect())
}

/// Whether there is any show, so perhaps sales.
///
/// # Errors
/// [`Error::Database`].
pub async fn has_shows(pool: &PgPool) -> Result<bool, Error> {
    let found = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM booking.shows) AS "found!""#);
    Ok(found.fetch_one(pool).await?)
}

/// A show, if there is one.
pub(crate) async fn find(pool: &PgPool, show_id: ShowId) -> Result<Option<Show>, Error> {
    let row = sqlx::query!(
        "SELECT owner_id, title, starts_at, currency, price_version, hold_ttl_ms,
             hold_total_ms_max, sale_starts_at, sale_ends_at, sale_version,
             fee_names, fee_amounts, fee_per_ticket, late_money, state
         FROM booking.shows WHERE show_id = $1",
        show_id.as_uuid()
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(Show {
            owner: owner(row.owner_id),
            title: row.title,
            starts_at: row.starts_at,
            currency: row
                .currency
                .parse()
                .map_err(|error| corrupt("shows", error))?,
            price_version: u32::try_from(row.price_version)
                .map_err(|error| corrupt("shows", error))?,
            hold_ttl_ms: u64::try_from(row.hold_ttl_ms).map_err(|error| corrupt("shows", error))?,
            hold_total_ms_max: u64::try_from(row.hold_total_ms_max)
                .map_err(|error| corrupt("shows", error))?,
            sale: SaleTimes {
                starts_at: row.sale_starts_at,
                ends_at: row.sale_ends_at,
                version: row.sale_version,
            },
            fees: row
                .fee_names
                .into_iter()
                .zip(row.fee_amounts)
                .zip(row.fee_per_ticket)
                .map(|((name, amount), per_ticket)| Fee {
                    name,
                    amount,
                    per_ticket,
                })
                .collect(),
            late_money: row
                .late_money
                .parse()
                .map_err(|error| corrupt("shows", error))?,
            state: row.state.parse().map_err(|error| corrupt("shows", error))?,
        })
    })
    .transpose()
}

/// All seats of a show, in seat order: at most `SEATS_PER_SHOW_MAX`.
pub(crate) async fn seats(pool: &PgPool, show_id: ShowId) -> Result<Vec<Seat>, Error> {
    let seats = sqlx::query!(
        "SELECT label, section, price, kind FROM booking.seats WHERE show_id = $1 ORDER BY seat_no",
        show_id.as_uuid()
    )
    .fetch_all(pool)
    .await?;
    let seats = seats.into_iter().map(|row| {
        Ok(Seat {
            label: row.label,
            section: row.section,
            price: row.price,
            kind: kind(&row.kind)?,
        })
    });
    seats.collect()
}

/// What a kind of seat is called in the table and on the wire.
pub(crate) fn kind_text(kind: SeatKind) -> &'static str {
    match kind {
        SeatKind::Plain => "STANDARD",
        SeatKind::Accessible => "ACCESSIBLE",
        SeatKind::Companion => "COMPANION",
        SeatKind::Standing => "STANDING",
    }
}

/// The kind of that name.
pub(crate) fn kind_named(text: &str) -> Option<SeatKind> {
    let kinds = [
        SeatKind::Plain,
        SeatKind::Accessible,
        SeatKind::Companion,
        SeatKind::Standing,
    ];
    kinds.into_iter().find(|kind| kind_text(*kind) == text)
}

pub(super) fn kind(text: &str) -> Result<SeatKind, Error> {
    kind_named(text).ok_or_else(|| corrupt("seats", format!("kind {text}")).into())
}
