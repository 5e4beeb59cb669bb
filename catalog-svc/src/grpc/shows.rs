//! Shows and seat maps on the wire.

use chrono::{DateTime, Utc};
use holdfast_mesh::Failure;
use holdfast_proto::catalog::v1 as wire;
use holdfast_types::{
    Currency, DurationMs, EventId, LateMoney, PlanId, ShowId, ShowState, VenueId, limits,
};
use std::collections::HashSet;
use uuid::Uuid;

use super::{events, venues};
use crate::{
    app::{CategorySales, Sales},
    cursor::CursorError,
    fields::Fields,
    model::{NewShow, Rules, SaleDates, Show, ShowChange},
    prices::{AskedPrices, ExactPrice, Exactly, Fee, Price, PriceList, PriceRange, Priced},
    store::{
        seat_map::{Area, Category, Seat},
        shows::{Filter, Named, Which},
    },
};

/// Prices by category that one show lists; a plan has at most as many categories.
const CATEGORY_PRICES_MAX: usize = 100;
/// Of sections; the largest halls have some hundred.
const SECTION_PRICES_MAX: usize = 1_000;
/// Of single seats; where more of a hall cost something else, a section or a category does.
const SEAT_PRICES_MAX: usize = 10_000;
/// Most a seat may cost, in minor units: ten million of a currency with cents. 64 of them add up
/// within 64 bits.
pub(super) const PRICE_MAX: i64 = 1_000_000_000;
const CATEGORY_NAME_BYTES_MAX: usize = 120;
/// Of a section, or a seat's label: booking-svc's bound.
const SEAT_NAME_BYTES_MAX: usize = 128;
const CITY_BYTES_MAX: usize = 200;
/// Shows in one answer for a copy: with the longest descriptions and the most prices of each, two
/// thirds of the largest message.
const SHOWS_READ_MAX: u32 = 500;
/// Ids of one kind in a question for a copy: twice the changes that search-svc takes at once.
const IDS_READ_MAX: usize = 500;

pub(super) fn decode(request: wire::CreateShowRequest) -> Result<NewShow, Failure> {
    let mut fields = Fields::default();
    let show_id = fields.id("show_id", &request.show_id, ShowId::from_slice);
    let event_id = fields.id("event_id", &request.event_id, EventId::from_slice);
    let plan_id = fields.id("plan_id", &request.plan_id, PlanId::from_slice);
    let starts_at = fields.time("starts_at_ms", request.starts_at_ms);
    let currency = currency("currency", &request.currency, &mut fields);
    let prices = prices("prices", &request.prices, &mut fields);
    let fees = fees("fees", &request.fees, &mut fields);
    let rules = rules("rules", &request.rules.unwrap_or_default(), &mut fields);
    let sale = SaleDates {
        starts_at: maybe_time("sale_starts_at_ms", request.sale_starts_at_ms, &mut fields),
        ends_at: maybe_time("sale_ends_at_ms", request.sale_ends_at_ms, &mut fields),
    };
    sale.check("sale_ends_at_ms", &mut fields);
    let show = (|| {
        Some(NewShow {
            show_id: show_id?,
            event_id: event_id?,
            plan_id: plan_id?,
            starts_at: starts_at?,
            currency: currency?,
            prices: prices?,
            fees: fees?,
            rules: rules?,
            sale,
            announced: request.announced,
        })
    })();
    fields.finish(show)
}

/// What may change of a show, by the names of the request's fields.
const CHANGING: [&str; 7] = [
    "starts_at_ms",
    "prices",
    "fees",
    "rules",
    "sale_starts_at_ms",
    "sale_ends_at_ms",
    "announced",
];

/// Which show is to change, and what of it.
pub(super) fn decode_update(
    request: &wire::UpdateShowRequest,
) -> Result<(ShowId, ShowChange), Failure> {
    let Some(show) = &request.show else {
        return Err(Failure::invalid("show", "is missing"));
    };
    let mut fields = Fields::default();
    let id = fields.id("show.show_id", &show.show_id, ShowId::from_slice);
    if request.fields.is_empty() {
        fields.note("fields", format!("name none of {CHANGING:?}"));
    }
    let mut change = ShowChange::default();
    for name in &request.fields {
        let field = format!("show.{name}");
        match name.as_str() {
            "starts_at_ms" => change.starts_at = fields.time(&field, show.starts_at_ms),
            "prices" => change.prices = prices(&field, &show.prices, &mut fields),
            "fees" => change.fees = fees(&field, &show.fees, &mut fields),
            "rules" => {
                change.rules = rules(&field, &show.rules.unwrap_or_default(), &mut fields);
            }
            "sale_starts_at_ms" => {
                let time = maybe_time(&field, show.sale_starts_at_ms, &mut fields);
                change.sale_starts_at = Some(time);
            }
            "sale_ends_at_ms" => {
                let time = maybe_time(&field, show.sale_ends_at_ms, &mut fields);
                change.sale_ends_at = Some(time);
            }
            "announced" => change.announced = Some(show.announced),
            _ => fields.note("fields", format!("{name:?} is none of {CHANGING:?}")),
        }
    }
    fields.finish(id.map(|id| (id, change)))
}

/// A time that may be missing; what is wrong with one is noted.
fn maybe_time(field: &str, ms: Option<i64>, fields: &mut Fields) -> Option<DateTime<Utc>> {
    ms.and_then(|ms| fields.time(field, ms))
}

/// The sales of a show.
pub(super) fn encode_sales(sales: Sales) -> wire::GetShowSalesResponse {
    let category = |sales: CategorySales| wire::CategorySales {
        revenue: sales.revenue,
        category: sales.category,
        price: sales.price,
        available: sales.available,
        held: sales.held,
        sold: sales.sold,
        blocked: sales.blocked,
    };
    wire::GetShowSalesResponse {
        show_id: sales.show.show_id.to_bytes().to_vec(),
        revision: sales.revision,
        state: sales.state,
        currency: sales.show.currency.to_string(),
        categories: sales.categories.into_iter().map(category).collect(),
    }
}

pub(super) fn currency(field: &str, text: &str, fields: &mut Fields) -> Option<Currency> {
    match text.parse::<Currency>() {
        Ok(currency) if currency.minor_digits().is_some() => return Some(currency),
        Ok(_) => fields.note(field, format!("{text:?} is no currency of ISO 4217")),
        Err(error) => fields.note(field, error.to_string()),
    }
    None
}

fn prices(at: &str, listed: &[wire::Price], fields: &mut Fields) -> Option<AskedPrices> {
    let count =
        |is_it: fn(&wire::Price) -> bool| listed.iter().filter(|price| is_it(price)).count();
    let seats = count(|price| !price.seat.is_empty());
    let sections = count(|price| !price.section.is_empty());
    let categories = listed.len().saturating_sub(seats + sections);
    for (what, count, most) in [
        ("categories", categories, CATEGORY_PRICES_MAX),
        ("sections", sections, SECTION_PRICES_MAX),
        ("seats", seats, SEAT_PRICES_MAX),
    ] {
        if count > most {
            fields.note(
                at,
                format!("are {count} of {what}; at most {most} are read"),
            );
            return None;
        }
    }
    let mut prices = Vec::with_capacity(listed.len());
    let mut seen = HashSet::with_capacity(listed.len());
    for (index, price) in listed.iter().enumerate() {
        let of = priced(&format!("{at}[{index}]"), price, fields)?;
        if !(0..=PRICE_MAX).contains(&price.amount) {
            let field = format!("{at}[{index}].amount");
            fields.note(field, format!("must be from 0 to {PRICE_MAX} minor units"));
        }
        if !seen.insert(of.clone()) {
            let (Priced::Category(name) | Priced::Section(name) | Priced::Seat(name)) = &of;
            fields.note(at, format!("{name:?} has two prices"));
        }
        prices.push((of, price.amount));
    }
    Some(AskedPrices(prices))
}

/// What a price is of.
fn priced(at: &str, price: &wire::Price, fields: &mut Fields) -> Option<Priced> {
    let wire::Price {
        category,
        section,
        seat,
        ..
    } = price;
    let named = [category, section, seat].into_iter();
    if named.filter(|name| !name.is_empty()).count() > 1 {
        fields.note(at, "must be of a category, of a section or of a seat");
        return None;
    }
    let mut line = |what: &str, name: &str, most| fields.line(&format!("{at}.{what}"), name, most);
    if !section.is_empty() {
        line("section", section, SEAT_NAME_BYTES_MAX).map(Priced::Section)
    } else if !seat.is_empty() {
        line("seat", seat, SEAT_NAME_BYTES_MAX).map(Priced::Seat)
    } else {
        line("category", category, CATEGORY_NAME_BYTES_MAX).map(Priced::Category)
    }
}

fn fees(at: &str, listed: &[wire::Fee], fields: &mut Fields) -> Option<Vec<Fee>> {
    let most = limits::FEES_PER_SHOW_MAX;
    if listed.len() > most {
        fields.note(
            at,
            format!("are {}; a show has at most {most}", listed.len()),
        );
        return None;
    }
    let mut fees: Vec<Fee> = Vec::with_capacity(listed.len());
    for (index, fee) in listed.iter().enumerate() {
        let field = format!("{at}[{index}].name");
        let name = fields.line(&field, &fee.name, limits::FEE_NAME_BYTES_MAX)?;
        if fees.iter().any(|before| before.name == name) {
            fields.note(&field, "is the name of a fee before it, too");
        }
        if !(1..=PRICE_MAX).contains(&fee.amount) {
            let field = format!("{at}[{index}].amount");
            fields.note(field, format!("must be from 1 to {PRICE_MAX} minor units"));
        }
        fees.push(Fee {
            name,
            amount: fee.amount,
            per_ticket: fee.per_ticket,
        });
    }
    Some(fees)
}

/// Rules whose fields are called `at` and their own name.
pub(super) fn rules(at: &str, rules: &wire::ShowRules, fields: &mut Fields) -> Option<Rules> {
    let or_default = |ms: u64, default: DurationMs| match ms {
        0 => default,
        ms => DurationMs(ms),
    };
    let hold_ttl = or_default(rules.hold_ttl_ms, limits::HOLD_TTL_DEFAULT);
    if !(limits::HOLD_TTL_MIN..=limits::HOLD_TTL_MAX).contains(&hold_ttl) {
        let (min, max) = (limits::HOLD_TTL_MIN.0, limits::HOLD_TTL_MAX.0);
        fields.note(
            format!("{at}.hold_ttl_ms"),
            format!("must be from {min} to {max}"),
        );
        return None;
    }
    let total_default = limits::HOLD_TOTAL_DEFAULT.max(hold_ttl);
    let hold_total_max = or_default(rules.hold_total_ms_max, total_default);
    if !(hold_ttl..=limits::HOLD_TOTAL_MAX).contains(&hold_total_max) {
        let (min, max) = (hold_ttl.0, limits::HOLD_TOTAL_MAX.0);
        fields.note(
            format!("{at}.hold_total_ms_max"),
            format!("must be from hold_ttl_ms ({min}) to {max}"),
        );
    }
    let seats_per_customer_max = match rules.seats_per_customer_max {
        0 => limits::SEATS_PER_CUSTOMER_DEFAULT,
        seats => seats,
    };
    if seats_per_customer_max > limits::SEATS_PER_SHOW_MAX {
        let why = format!("must be from 1 to {}", limits::SEATS_PER_SHOW_MAX);
        fields.note(format!("{at}.seats_per_customer_max"), why);
    }
    let late_money = match wire::LateMoney::try_from(rules.late_money) {
        Ok(wire::LateMoney::Unspecified | wire::LateMoney::Rebook) => LateMoney::Rebook,
        Ok(wire::LateMoney::Refund) => LateMoney::Refund,
        Err(_) => {
            fields.note(format!("{at}.late_money"), "must be REBOOK or REFUND");
            return None;
        }
    };
    Some(Rules {
        hold_ttl,
        hold_total_max,
        seats_per_customer_max,
        late_money,
        no_lone_seat: rules.no_lone_seat,
    })
}

/// Which show shall become what.
pub(super) fn decode_change(
    request: &wire::ChangeShowStateRequest,
) -> Result<(ShowId, ShowState), Failure> {
    let mut fields = Fields::default();
    let show_id = fields.id("show_id", &request.show_id, ShowId::from_slice);
    let state = request.state.parse().ok().filter(|state| {
        matches!(
            state,
            ShowState::Paused | ShowState::Closed | ShowState::Cancelled
        )
    });
    if state.is_none() {
        fields.note("state", "must be PAUSED, CLOSED or CANCELLED");
    }
    fields.finish(show_id.zip(state))
}

/// Which shows, and how many.
pub(super) fn decode_list(
    request: &wire::ListShowsRequest,
    now: DateTime<Utc>,
) -> Result<(Filter, u32), Failure> {
    let mut fields = Fields::default();
    let limit = fields.page_limit("limit", request.limit);
    let category = match request.category.as_str() {
        "" => None,
        text => events::category("category", text, &mut fields),
    };
    let city = fields.line_or_empty("city", &request.city, CITY_BYTES_MAX);
    let from = match request.from_ms {
        None => Some(now),
        Some(ms) => fields.time("from_ms", ms),
    };
    let to = request.to_ms.and_then(|ms| fields.time("to_ms", ms));
    let after = match request.cursor.as_str() {
        "" => None,
        text => text
            .parse()
            .map_err(|error: CursorError| fields.note("cursor", error.to_string()))
            .ok(),
    };
    let filter = from.map(|from| Filter {
        category,
        city: city.filter(|city| !city.is_empty()),
        from,
        to,
        after,
    });
    fields.finish(filter.zip(limit))
}

/// Which shows, after which, and how many.
pub(super) fn decode_read(
    request: wire::ReadShowsRequest,
) -> Result<(Which, Option<ShowId>, u32), Failure> {
    use wire::read_shows_request::Which as Wire;
    let mut fields = Fields::default();
    let named = match request.which {
        None => None,
        Some(Wire::Of(named)) => Some(decode_named(&named, &mut fields)),
        Some(Wire::ShowIds(asked)) => Some(Named {
            shows: ids("show_ids", &asked.show_ids, show_id, &mut fields),
            ..Named::default()
        }),
        Some(Wire::EventId(id)) => Some(Named {
            events: Vec::from_iter(event_id("event_id", &id, &mut fields)),
            ..Named::default()
        }),
        Some(Wire::VenueId(id)) => Some(Named {
            venues: Vec::from_iter(venue_id("venue_id", &id, &mut fields)),
            ..Named::default()
        }),
    };
    let which = named.map_or(Which::All, Which::Of);
    let after = match request.after_show_id.as_slice() {
        [] => None,
        id => fields.id("after_show_id", id, ShowId::from_slice),
    };
    if request.limit > SHOWS_READ_MAX {
        fields.note("limit", format!("must be from 1 to {SHOWS_READ_MAX}"));
    }
    let limit = match request.limit {
        0 => SHOWS_READ_MAX,
        limit => limit,
    };
    fields.finish(Some((which, after, limit)))
}

fn decode_named(named: &wire::ShowsOf, fields: &mut Fields) -> Named {
    Named {
        shows: ids("of.show_ids", &named.show_ids, show_id, fields),
        events: ids("of.event_ids", &named.event_ids, event_id, fields),
        venues: ids("of.venue_ids", &named.venue_ids, venue_id, fields),
    }
}

fn show_id(field: &str, id: &[u8], fields: &mut Fields) -> Option<Uuid> {
    let id = fields.id(field, id, ShowId::from_slice);
    id.map(ShowId::as_uuid)
}

fn event_id(field: &str, id: &[u8], fields: &mut Fields) -> Option<Uuid> {
    let id = fields.id(field, id, EventId::from_slice);
    id.map(EventId::as_uuid)
}

fn venue_id(field: &str, id: &[u8], fields: &mut Fields) -> Option<Uuid> {
    let id = fields.id(field, id, VenueId::from_slice);
    id.map(VenueId::as_uuid)
}

/// A list of ids; what is wrong with it is noted.
fn ids(
    field: &str,
    listed: &[Vec<u8>],
    read: fn(&str, &[u8], &mut Fields) -> Option<Uuid>,
    fields: &mut Fields,
) -> Vec<Uuid> {
    if listed.len() > IDS_READ_MAX {
        let why = format!("are {}; at most {IDS_READ_MAX} are read", listed.len());
        fields.note(field, why);
        return Vec::new();
    }
    (0..)
        .zip(listed)
        .filter_map(|(index, id): (u32, _)| read(&format!("{field}[{index}]"), id, fields))
        .collect()
}

pub(super) fn encode(show: Show) -> wire::Show {
    let version = show.version();
    let price_range = show
        .price_range()
        .map(|PriceRange { min, max }| wire::PriceRange { min, max });
    let prices = show
        .prices
        .into_iter()
        .map(|Price { category, amount }| wire::Price {
            category,
            amount,
            ..wire::Price::default()
        });
    let fees = show.fees.into_iter().map(|fee| wire::Fee {
        name: fee.name,
        amount: fee.amount,
        per_ticket: fee.per_ticket,
    });
    wire::Show {
        show_id: show.show_id.to_bytes().to_vec(),
        event: Some(events::encode(show.event)),
        venue: Some(venues::encode(show.venue)),
        plan_id: show.plan_id.to_bytes().to_vec(),
        starts_at_ms: show.starts_at.timestamp_millis(),
        state: show.state.to_string(),
        currency: show.currency.to_string(),
        prices: prices.collect(),
        rules: Some(wire::ShowRules {
            hold_ttl_ms: show.rules.hold_ttl.0,
            hold_total_ms_max: show.rules.hold_total_max.0,
            seats_per_customer_max: show.rules.seats_per_customer_max,
            late_money: match show.rules.late_money {
                LateMoney::Rebook => wire::LateMoney::Rebook,
                LateMoney::Refund => wire::LateMoney::Refund,
            }
            .into(),
            no_lone_seat: show.rules.no_lone_seat,
        }),
        seat_count: show.seat_count,
        price_version: show.price_version,
        sale_starts_at_ms: show.sale.starts_at.map(|at| at.timestamp_millis()),
        sale_ends_at_ms: show.sale.ends_at.map(|at| at.timestamp_millis()),
        time_to_be_announced: show.time_to_be_announced,
        announced: show.announced,
        price_range,
        version,
        exact_prices: Vec::new(),
        fees: fees.collect(),
    }
}

/// A show for whoever may change it: with every price.
pub(super) fn encode_own(mut show: Show) -> wire::Show {
    let exact = std::mem::take(&mut show.exact_prices);
    let price = |price: ExactPrice| {
        let (section, seat) = match price.of {
            Exactly::Section(name) => (name, String::new()),
            Exactly::Seat(label) => (String::new(), label),
        };
        wire::Price {
            category: String::new(),
            amount: price.amount,
            section,
            seat,
        }
    };
    wire::Show {
        exact_prices: exact.into_iter().map(price).collect(),
        ..encode(show)
    }
}

/// `size` is width and height; `seats` are in seat order.
pub(super) fn encode_seat_map(
    show: &Show,
    (width, height): (f64, f64),
    categories: Vec<Category>,
    areas: Vec<Area>,
    seats: Vec<Seat>,
) -> wire::GetSeatMapResponse {
    let prices = PriceList::new(&show.prices, &show.exact_prices);
    // An area's places are one after another.
    let areas = areas.into_iter().filter_map(|area| {
        let of_area = |seat: &&Seat| seat.section == area.name;
        let first = seats.iter().position(|seat| of_area(&seat))?;
        let capacity = seats[first..].iter().take_while(of_area).count();
        Some(wire::Area {
            category: seats[first].category.clone(),
            first_seat_no: first as u32,
            capacity: capacity as u32,
            name: area.name,
            display_name: area.display_name,
            x: area.x,
            y: area.y,
            width: area.width,
            height: area.height,
        })
    });
    let areas = areas.collect();
    let categories = categories.into_iter().filter_map(|category| {
        Some(wire::Category {
            price: prices.of_category(&category.name)?,
            name: category.name,
            color: category.color,
        })
    });
    let seats = (0..).zip(seats).map(|(seat_no, seat)| wire::Seat {
        seat_no,
        price: prices
            .of(&seat)
            .filter(|price| prices.of_category(&seat.category) != Some(*price)),
        label: seat.label,
        section: seat.section,
        row: seat.row,
        number: seat.number,
        x: seat.x,
        y: seat.y,
        category: seat.category,
        kind: seat.kind.as_str().to_owned(),
    });
    wire::GetSeatMapResponse {
        show_id: show.show_id.to_bytes().to_vec(),
        currency: show.currency.to_string(),
        width,
        height,
        categories: categories.collect(),
        seats: seats.collect(),
        areas,
    }
}
