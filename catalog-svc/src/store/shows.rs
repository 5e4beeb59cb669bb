//! `catalog.shows` and their prices.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use holdfast_types::{DurationMs, EventId, ShowId, ShowState, UserId, limits::TIME_MS_MAX};
use sqlx::{PgConnection, PgPool, PgTransaction};
use uuid::Uuid;

use super::{Error, categories, performers};
use crate::{
    cursor::ShowCursor,
    model::{Classification, Event, NewShow, Rules, SaleDates, Show, Venue},
    prices::{ExactPrice, Exactly, Fee, Price, PriceRange, digest},
};

/// Which public shows a list is about.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// With all that belongs to it.
    pub(crate) category: Option<String>,
    /// Compared without case.
    pub(crate) city: Option<String>,
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: Option<DateTime<Utc>>,
    pub(crate) after: Option<ShowCursor>,
}

/// Adds a show, DRAFT, with its prices; false if the id is taken. `seat_prices` are what its seats cost,
/// where that isn't by category alone.
pub(crate) async fn insert(
    transaction: &mut PgTransaction<'_>,
    owner_id: UserId,
    show: &NewShow,
    seat_prices: Option<PriceRange>,
) -> Result<bool, Error> {
    let (prices, exact) = show.prices.sorted();
    let fees = FeeColumns::of(&show.fees);
    let inserted = sqlx::query!(
        "INSERT INTO catalog.shows
             (show_id, owner_id, event_id, plan_id, starts_at, currency,
              hold_ttl_ms, hold_total_ms_max, seats_per_customer_max,
              sale_starts_at, sale_ends_at, announced, exact_sha256, seat_price_min, seat_price_max,
              fee_names, fee_amounts, fee_per_ticket, late_money, no_lone_seat)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
             $19, $20)
         ON CONFLICT (show_id) DO NOTHING",
        show.show_id.as_uuid(),
        owner_id.as_uuid(),
        show.event_id.as_uuid(),
        show.plan_id.as_uuid(),
        show.starts_at,
        show.currency.as_str(),
        show.rules.hold_ttl.0.cast_signed(),
        show.rules.hold_total_max.0.cast_signed(),
        show.rules.seats_per_customer_max.cast_signed(),
        show.sale.starts_at,
        show.sale.ends_at,
        show.announced,
        digest(&exact),
        seat_prices.map(|range| range.min),
        seat_prices.map(|range| range.max),
        &fees.names,
        &fees.amounts,
        &fees.per_ticket,
        show.rules.late_money.as_str(),
        show.rules.no_lone_seat,
    )
    .execute(&mut **transaction)
    .await?;
    if inserted.rows_affected() == 0 {
        return Ok(false);
    }
    insert_prices(transaction, show.show_id, &prices).await?;
    insert_exact(transaction, show.show_id, &exact).await?;
    Ok(true)
}

/// Fees as the columns that a statement takes.
struct FeeColumns {
    names: Vec<String>,
    amounts: Vec<i64>,
    per_ticket: Vec<bool>,
}

impl FeeColumns {
    fn of(fees: &[Fee]) -> Self {
        Self {
            names: fees.iter().map(|fee| fee.name.clone()).collect(),
            amounts: fees.iter().map(|fee| fee.amount).collect(),
            per_ticket: fees.iter().map(|fee| fee.per_ticket).collect(),
        }
    }
}

async fn insert_prices(
    transaction: &mut PgTransaction<'_>,
    show_id: ShowId,
    prices: &[Price],
) -> Result<(), Error> {
    let categories: Vec<String> = prices.iter().map(|price| price.category.clone()).collect();
    let amounts: Vec<i64> = prices.iter().map(|price| price.amount).collect();
    sqlx::query!(
        "INSERT INTO catalog.show_prices (show_id, category, amount)
         SELECT $1, category, amount FROM unnest($2::text[], $3::bigint[]) AS p (category, amount)",
        show_id.as_uuid(),
        &categories,
        &amounts,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn insert_exact(
    transaction: &mut PgTransaction<'_>,
    show_id: ShowId,
    exact: &[ExactPrice],
) -> Result<(), Error> {
    if exact.is_empty() {
        return Ok(());
    }
    let (mut are_seats, mut names) = (Vec::new(), Vec::new());
    for price in exact {
        let (is_seat, name) = match &price.of {
            Exactly::Section(name) => (false, name),
            Exactly::Seat(label) => (true, label),
        };
        are_seats.push(is_seat);
        names.push(name.clone());
    }
    let amounts: Vec<i64> = exact.iter().map(|price| price.amount).collect();
    sqlx::query!(
        "INSERT INTO catalog.show_exact_prices (show_id, is_seat, name, amount)
         SELECT $1, * FROM unnest($2::bool[], $3::text[], $4::bigint[])",
        show_id.as_uuid(),
        &are_seats,
        &names,
        &amounts,
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn exact_prices(
    connection: &mut PgConnection,
    show_id: ShowId,
) -> Result<Vec<ExactPrice>, Error> {
    let rows = sqlx::query!(
        r#"SELECT is_seat, name, amount FROM catalog.show_exact_prices
           WHERE show_id = $1 ORDER BY is_seat, name COLLATE "C""#,
        show_id.as_uuid(),
    )
    .fetch_all(connection)
    .await?;
    let prices = rows.into_iter().map(|row| ExactPrice {
        of: match row.is_seat {
            false => Exactly::Section(row.name),
            true => Exactly::Seat(row.name),
        },
        amount: row.amount,
    });
    Ok(prices.collect())
}

/// Records what of a show may change, its prices only where they do.
pub(crate) async fn update(
    transaction: &mut PgTransaction<'_>,
    show: &Show,
    prices_change: bool,
) -> Result<(), Error> {
    let fees = FeeColumns::of(&show.fees);
    sqlx::query!(
        "UPDATE catalog.shows
         SET starts_at = $2, hold_ttl_ms = $3, hold_total_ms_max = $4, seats_per_customer_max = $5,
             sale_starts_at = $6, sale_ends_at = $7, announced = $8, time_to_be_announced = $9,
             price_version = $10,
             exact_sha256 = $11, seat_price_min = $12, seat_price_max = $13, sale_version = $14,
             fee_names = $15, fee_amounts = $16, fee_per_ticket = $17,
             late_money = $18, no_lone_seat = $19
         WHERE show_id = $1",
        show.show_id.as_uuid(),
        show.starts_at,
        show.rules.hold_ttl.0.cast_signed(),
        show.rules.hold_total_max.0.cast_signed(),
        show.rules.seats_per_customer_max.cast_signed(),
        show.sale.starts_at,
        show.sale.ends_at,
        show.announced,
        show.time_to_be_announced,
        show.price_version.cast_signed(),
        digest(&show.exact_prices),
        show.seat_prices.map(|range| range.min),
        show.seat_prices.map(|range| range.max),
        show.sale_version.cast_signed(),
        &fees.names,
        &fees.amounts,
        &fees.per_ticket,
        show.rules.late_money.as_str(),
        show.rules.no_lone_seat,
    )
    .execute(&mut **transaction)
    .await?;
    if prices_change {
        sqlx::query!(
            "DELETE FROM catalog.show_prices WHERE show_id = $1",
            show.show_id.as_uuid(),
        )
        .execute(&mut **transaction)
        .await?;
        insert_prices(transaction, show.show_id, &show.prices).await?;
        sqlx::query!(
            "DELETE FROM catalog.show_exact_prices WHERE show_id = $1",
            show.show_id.as_uuid(),
        )
        .execute(&mut **transaction)
        .await?;
        insert_exact(transaction, show.show_id, &show.exact_prices).await?;
    }
    Ok(())
}

/// Whether booking-svc may have opened a show, a draft too.
pub(crate) async fn is_opening(
    transaction: &mut PgTransaction<'_>,
    id: ShowId,
) -> Result<bool, Error> {
    let opening = sqlx::query_scalar!(
        "SELECT opening FROM catalog.shows WHERE show_id = $1",
        id.as_uuid(),
    )
    .fetch_one(&mut **transaction)
    .await?;
    Ok(opening)
}

/// An owner's shows by id, descending, of one event or of all, after `after`; at most `limit`.
pub(crate) async fn of_owner(
    pool: &PgPool,
    owner_id: UserId,
    event_id: Option<EventId>,
    after: Option<ShowId>,
    limit: u32,
) -> Result<Vec<Show>, Error> {
    let mut connection = pool.acquire().await?;
    let after = after.map(ShowId::as_uuid);
    let ids = match event_id {
        None => {
            sqlx::query_scalar!(
                "SELECT show_id FROM catalog.shows
                 WHERE owner_id = $1 AND ($2::uuid IS NULL OR show_id < $2)
                 ORDER BY show_id DESC LIMIT $3",
                owner_id.as_uuid(),
                after,
                i64::from(limit),
            )
            .fetch_all(&mut *connection)
            .await?
        }
        Some(event_id) => {
            sqlx::query_scalar!(
                "SELECT show_id FROM catalog.shows
                 WHERE event_id = $4 AND owner_id = $1 AND ($2::uuid IS NULL OR show_id < $2)
                 ORDER BY show_id DESC LIMIT $3",
                owner_id.as_uuid(),
                after,
                i64::from(limit),
                event_id.as_uuid(),
            )
            .fetch_all(&mut *connection)
            .await?
        }
    };
    load(&mut connection, &ids).await
}

/// A show, whatever its state, with every price.
pub(crate) async fn find(pool: &PgPool, id: ShowId) -> Result<Option<Show>, Error> {
    let mut connection = pool.acquire().await?;
    load_whole(&mut connection, id).await
}

async fn load_whole(connection: &mut PgConnection, id: ShowId) -> Result<Option<Show>, Error> {
    let mut show = load(&mut *connection, &[id.as_uuid()]).await?.pop();
    if let Some(show) = show.as_mut().filter(|show| show.exact_sha256.is_some()) {
        show.exact_prices = exact_prices(connection, id).await?;
    }
    Ok(show)
}

/// A show, as [`find`], that nobody else changes until the transaction ends; waits for whoever does.
pub(crate) async fn lock(
    transaction: &mut PgTransaction<'_>,
    id: ShowId,
) -> Result<Option<Show>, Error> {
    sqlx::query_scalar!(
        "SELECT show_id FROM catalog.shows WHERE show_id = $1 FOR UPDATE",
        id.as_uuid(),
    )
    .fetch_optional(&mut **transaction)
    .await?;
    load_whole(transaction, id).await
}

/// Records that a draft is about to be opened: from its commit on no import changes the show.
pub(crate) async fn set_opening(
    transaction: &mut PgTransaction<'_>,
    id: ShowId,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.shows SET opening = true, opens_whole = true
         WHERE show_id = $1 AND state = 'DRAFT' AND NOT opening",
        id.as_uuid(),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Takes back that a show was about to be opened: booking-svc never did. Only with its being called off, so that
/// it can't come to it.
pub(crate) async fn unset_opening(
    transaction: &mut PgTransaction<'_>,
    id: ShowId,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.shows SET opening = false WHERE show_id = $1 AND opening",
        id.as_uuid(),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Records a show's state.
pub(crate) async fn set_state(
    transaction: &mut PgTransaction<'_>,
    id: ShowId,
    state: ShowState,
) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE catalog.shows SET state = $2 WHERE show_id = $1",
        id.as_uuid(),
        state.as_str(),
    )
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Filter {
    /// The last place in the order that isn't in the list: that of the cursor, or the one just
    /// before `from` (Postgres counts microseconds). Every list is then one range of an index.
    fn after(&self) -> (DateTime<Utc>, Uuid) {
        let before = (self.from - TimeDelta::microseconds(1), Uuid::max());
        let cursor = self
            .after
            .map(|after| (after.starts_at, after.show_id.as_uuid()));
        cursor.map_or(before, |cursor| cursor.max(before))
    }

    fn to(&self) -> DateTime<Utc> {
        // Later than any show: its time is bounded.
        let end =
            || DateTime::from_timestamp_millis(TIME_MS_MAX + 1).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.to.unwrap_or_else(end)
    }
}

/// Public shows by start, then id; at most `limit`. A statement for each combination of filters:
/// one for all would be planned without knowing which are set.
pub(crate) async fn page(pool: &PgPool, filter: &Filter, limit: u32) -> Result<Vec<Show>, Error> {
    let mut connection = pool.acquire().await?;
    let ((after, after_id), to, limit) = (filter.after(), filter.to(), i64::from(limit));
    let within = match &filter.category {
        None => None,
        Some(category) => Some(categories::within(&mut connection, category).await?),
    };
    let ids = match (&filter.city, &within) {
        (None, None) => {
            sqlx::query_file_scalar!("src/store/page_of_shows.sql", after, after_id, to, limit)
                .fetch_all(&mut *connection)
                .await?
        }
        (None, Some(within)) => {
            sqlx::query_file_scalar!(
                "src/store/page_by_category.sql",
                after,
                after_id,
                to,
                limit,
                within
            )
            .fetch_all(&mut *connection)
            .await?
        }
        (Some(city), None) => {
            sqlx::query_file_scalar!(
                "src/store/page_by_city.sql",
                after,
                after_id,
                to,
                limit,
                city
            )
            .fetch_all(&mut *connection)
            .await?
        }
        (Some(city), Some(within)) => {
            sqlx::query_file_scalar!(
                "src/store/page_by_city_and_category.sql",
                after,
                after_id,
                to,
                limit,
                city,
                within
            )
            .fetch_all(&mut *connection)
            .await?
        }
    };
    load(&mut connection, &ids).await
}

/// An event's public shows by start; at most `limit`, those to come first to be kept.
pub(crate) async fn of_event(
    pool: &PgPool,
    id: EventId,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Show>, Error> {
    let mut connection = pool.acquire().await?;
    let ids = sqlx::query_scalar!(
        "SELECT show_id FROM catalog.shows
         WHERE event_id = $1 AND is_public
         ORDER BY starts_at < $2, starts_at, show_id
         LIMIT $3",
        id.as_uuid(),
        now,
        i64::from(limit),
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut shows = load(&mut connection, &ids).await?;
    shows.sort_by_key(|show| (show.starts_at, show.show_id));
    Ok(shows)
}

/// Which public shows are read for a copy.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    All,
    Of(Named),
}

/// Things that stand for shows: themselves, all of an event, all at a venue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    pub(crate) shows: Vec<Uuid>,
    pub(crate) events: Vec<Uuid>,
    pub(crate) venues: Vec<Uuid>,
}

/// Public shows by id, those after `after`; at most `limit`.
pub(crate) async fn read(
    pool: &PgPool,
    which: &Which,
    after: Option<ShowId>,
    limit: u32,
) -> Result<Vec<Show>, Error> {
    let mut connection = pool.acquire().await?;
    let after = after.map_or(Uuid::nil(), ShowId::as_uuid);
    let limit = i64::from(limit);
    let ids = match which {
        Which::All => {
            sqlx::query_scalar!(
                "SELECT show_id FROM catalog.shows WHERE show_id > $1 AND is_public
                 ORDER BY show_id LIMIT $2",
                after,
                limit,
            )
            .fetch_all(&mut *connection)
            .await?
        }
        Which::Of(named) => {
            sqlx::query_file_scalar!(
                "src/store/read_named.sql",
                after,
                limit,
                &named.shows,
                &named.events,
                &named.venues,
            )
            .fetch_all(&mut *connection)
            .await?
        }
    };
    load(&mut connection, &ids).await
}

/// Shows with all that lists of them say, in the order of `ids`; unknown ids are left out.
async fn load(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Show>, Error> {
    let rows = sqlx::query_file!("src/store/load_shows.sql", ids)
        .fetch_all(&mut *connection)
        .await?;
    let mut prices: HashMap<Uuid, Vec<Price>> = HashMap::new();
    let price_rows = sqlx::query!(
        r#"SELECT show_id, category, amount FROM catalog.show_prices
           WHERE show_id = ANY($1) ORDER BY show_id, category COLLATE "C""#,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in price_rows {
        let price = Price {
            category: row.category,
            amount: row.amount,
        };
        prices.entry(row.show_id).or_default().push(price);
    }
    let unpriced = rows.iter().filter(|row| !prices.contains_key(&row.show_id));
    let ranged: Vec<Uuid> = unpriced
        .filter(|row| row.price_min.is_some())
        .map(|row| row.plan_id)
        .collect();
    let categories = categories_of_plans(connection, &ranged).await?;
    let event_ids: Vec<Uuid> = rows.iter().map(|row| row.event_id).collect();
    let performers = performers::of_events(&mut *connection, &event_ids).await?;
    let unreadable = |what| Error::Unreadable {
        table: "catalog.shows",
        what,
    };
    rows.into_iter()
        .map(|row| {
            let by_range = || {
                let (min, max) = row.price_min.zip(row.price_max)?;
                Some(PriceRange { min, max }.over(categories.get(&row.plan_id)?))
            };
            Ok(Show {
                show_id: row.show_id.into(),
                owner_id: row.owner_id.into(),
                event: Event {
                    event_id: row.event_id.into(),
                    title: row.title,
                    description: row.description,
                    category: row.category,
                    category_path: row.category_path,
                    classification: Classification {
                        segment: row.segment,
                        genre: row.genre,
                        sub_genre: row.sub_genre,
                    },
                    // Shows of one page may be of one event.
                    performers: performers.get(&row.event_id).cloned().unwrap_or_default(),
                    image_url: row.image_url,
                },
                venue: Venue {
                    venue_id: row.venue_id.into(),
                    name: row.name,
                    address: row.address,
                    city: row.city,
                    country: row.country,
                    latitude: row.latitude,
                    longitude: row.longitude,
                    time_zone: row.time_zone,
                    postal_code: row.postal_code,
                    region: row.region,
                },
                plan_id: row.plan_id.into(),
                seat_count: row.seat_count.cast_unsigned(),
                starts_at: row.starts_at,
                state: row.state.parse().map_err(|_| unreadable("state"))?,
                currency: row.currency.parse().map_err(|_| unreadable("currency"))?,
                prices: prices
                    .remove(&row.show_id)
                    .or_else(by_range)
                    .unwrap_or_default(),
                exact_prices: Vec::new(),
                exact_sha256: row.exact_sha256,
                seat_prices: row
                    .seat_price_min
                    .zip(row.seat_price_max)
                    .map(|(min, max)| PriceRange { min, max }),
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
                price_version: row.price_version.cast_unsigned(),
                rules: Rules {
                    hold_ttl: DurationMs(row.hold_ttl_ms.cast_unsigned()),
                    hold_total_max: DurationMs(row.hold_total_ms_max.cast_unsigned()),
                    seats_per_customer_max: row.seats_per_customer_max.cast_unsigned(),
                    late_money: row
                        .late_money
                        .parse()
                        .map_err(|_| unreadable("late_money"))?,
                    no_lone_seat: row.no_lone_seat,
                },
                sale: SaleDates {
                    starts_at: row.sale_starts_at,
                    ends_at: row.sale_ends_at,
                },
                sale_version: row.sale_version.cast_unsigned(),
                time_to_be_announced: row.time_to_be_announced,
                announced: row.announced,
            })
        })
        .collect()
}

/// The categories that the plans' seats use, in each plan's order.
async fn categories_of_plans(
    connection: &mut PgConnection,
    plan_ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<String>>, Error> {
    let mut categories: HashMap<Uuid, Vec<String>> = HashMap::new();
    if plan_ids.is_empty() {
        return Ok(categories);
    }
    let rows = sqlx::query!(
        "SELECT plan_id, name FROM catalog.plan_categories
         WHERE plan_id = ANY($1) AND seat_count > 0
         ORDER BY plan_id, category_no",
        plan_ids,
    )
    .fetch_all(connection)
    .await?;
    for row in rows {
        categories.entry(row.plan_id).or_default().push(row.name);
    }
    Ok(categories)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_after_its_cursor_and_never_begins_before_from() {
        let at = |ms| DateTime::from_timestamp_millis(ms).expect("in range");
        let filter = |after| Filter {
            category: None,
            city: None,
            from: at(1_000),
            to: None,
            after,
        };
        let cursor = |ms| {
            Some(ShowCursor {
                starts_at: at(ms),
                show_id: ShowId::from_bytes([1; 16]),
            })
        };
        let first = filter(None).after();
        assert_eq!(first, (at(1_000) - TimeDelta::microseconds(1), Uuid::max()));
        assert_eq!(filter(cursor(999)).after(), first);
        assert_eq!(
            filter(cursor(1_000)).after(),
            (at(1_000), Uuid::from_bytes([1; 16]))
        );
        assert!(filter(None).to().timestamp_millis() > TIME_MS_MAX);
    }
}
