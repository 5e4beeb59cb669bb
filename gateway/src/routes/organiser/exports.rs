//! A show's sales, and who comes to it, as tables.

use axum::{
    body::{Body as AnswerBody, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use chrono::SecondsFormat;
use futures::{StreamExt as _, stream};
use holdfast_proto::booking::v1 as booking;
use holdfast_types::{Currency, ShowId};

use super::{
    csv::{LINE_END, Table},
    refused,
};
use crate::{
    call::Caller,
    extract::PathId,
    failure::ApiError,
    server::Shared,
    wire::{self, required},
};

/// Pages of an export: as many bookings as ten of the largest shows have seats.
const PAGES_MAX: usize = 1_000;

/// A show's sales as a table
///
/// Every booking that was confirmed, those that ended since too, oldest first: `booking_id`, `booked_at`,
/// `status`, `reason`, `customer_id`, `seats`, `seat_ids`, `returned_seat_ids` (with spaces between),
/// `total`, `currency`; and of the total `fees`, `refunded` (what goes back, or went) and `net`. CSV of RFC 4180 in UTF-8; text that a spreadsheet would take for a formula has an
/// apostrophe before it. A table that breaks off ends without its last line's end.
#[utoipa::path(
    get, path = "/shows/{show_id}/sales.csv", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The table.", body = String, content_type = "text/csv")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND"]))),
)]
pub(crate) async fn export_sales(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    Export::new(app, caller, show_id, What::Sales)
        .answer()
        .await
}

/// Who comes to a show, as a table
///
/// Every ticket that isn't void, in the order of seats: `ticket_id`, `seat_id`, `section`, `state`,
/// `booking_id`, `customer_id`, `issued_at`. As `sales.csv` else.
#[utoipa::path(
    get, path = "/shows/{show_id}/attendees.csv", tag = "organising",
    params(("show_id" = Uuid, Path)),
    responses((status = 200, description = "The table.", body = String, content_type = "text/csv")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "FORBIDDEN", "SHOW_NOT_FOUND"]))),
)]
pub(crate) async fn export_attendees(
    State(app): State<Shared>,
    caller: Caller,
    PathId(show_id): PathId<ShowId>,
) -> Result<Response, ApiError> {
    Export::new(app, caller, show_id, What::Attendees)
        .answer()
        .await
}

fn sale_line(table: &mut Table, sale: booking::Sale) -> Result<(), ApiError> {
    let total = required(sale.total, "total")?;
    let text = |amount| decimal(amount, &total.currency);
    // The release before tells neither.
    let optional = |amount: Option<i64>| amount.map(text).unwrap_or_default();
    let refunded = sale.refunded.map(|money| money.amount);
    table.line(&[
        &wire::id(&sale.booking_id, "booking_id")?.to_string(),
        &time(sale.created_at_ms)?,
        &sale.status,
        &sale.reason,
        &wire::id(&sale.user_id, "user_id")?.to_string(),
        &sale.seat_ids.len().to_string(),
        &sale.seat_ids.join(" "),
        &sale.returned_seat_ids.join(" "),
        &text(total.amount),
        &total.currency,
        &optional(sale.fees.map(|money| money.amount)),
        &optional(refunded),
        &optional(refunded.map(|refunded| total.amount - refunded)),
    ]);
    Ok(())
}

fn attendee_line(table: &mut Table, attendee: booking::Attendee) -> Result<(), ApiError> {
    table.line(&[
        &wire::id(&attendee.ticket_id, "ticket_id")?.to_string(),
        &attendee.seat_id,
        &attendee.section,
        &attendee.state,
        &wire::id(&attendee.booking_id, "booking_id")?.to_string(),
        &wire::id(&attendee.user_id, "user_id")?.to_string(),
        &time(attendee.issued_at_ms)?,
    ]);
    Ok(())
}

fn time(ms: i64) -> Result<String, ApiError> {
    Ok(wire::utc(ms)?.to_rfc3339_opts(SecondsFormat::Millis, true))
}

/// An amount in units of its currency, with a point: `110.00`.
fn decimal(amount: i64, currency: &str) -> String {
    let digits = currency.parse::<Currency>().ok();
    let digits = digits.and_then(|currency| currency.minor_digits());
    let digits = digits.unwrap_or_default() as usize;
    if digits == 0 {
        return amount.to_string();
    }
    let width = digits + 1;
    let sign = if amount < 0 { "-" } else { "" };
    let text = format!("{:0width$}", amount.unsigned_abs());
    let (units, minor) = text.split_at(text.len() - digits);
    format!("{sign}{units}.{minor}")
}

/// Which table.
#[derive(Debug, Clone, Copy)]
enum What {
    Sales,
    Attendees,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::Attendees => "attendees",
        }
    }

    fn heading(self) -> &'static [&'static str] {
        match self {
            Self::Sales => &[
                "booking_id",
                "booked_at",
                "status",
                "reason",
                "customer_id",
                "seats",
                "seat_ids",
                "returned_seat_ids",
                "total",
                "currency",
                "fees",
                "refunded",
                "net",
            ],
            Self::Attendees => &[
                "ticket_id",
                "seat_id",
                "section",
                "state",
                "booking_id",
                "customer_id",
                "issued_at",
            ],
        }
    }
}

/// A table on its way out, page by page, so that a large one takes no more memory than a page.
struct Export {
    app: Shared,
    caller: Caller,
    show_id: ShowId,
    what: What,
    table: Table,
    /// Where the next page begins; `None` after the last.
    cursor: Option<String>,
    pages_left: usize,
    /// The end of the last line that was given out.
    owed: &'static str,
}

impl Export {
    fn new(app: Shared, caller: Caller, show_id: ShowId, what: What) -> Self {
        Self {
            app,
            caller,
            show_id,
            what,
            table: Table::new(what.heading()),
            cursor: Some(String::new()),
            pages_left: PAGES_MAX,
            owed: "",
        }
    }

    /// The first page is read before anything is answered, so that a refusal is answered as one. A later
    /// one that can't be read breaks the answer off: what came is no whole table.
    async fn answer(mut self) -> Result<Response, ApiError> {
        let first = self.page().await?;
        let name = format!(
            "attachment; filename=\"{}-{}.csv\"",
            self.what.name(),
            self.show_id
        );
        let name = HeaderValue::from_str(&name).expect("an id is plain ASCII");
        let csv = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
        let headers = [
            (header::CONTENT_TYPE, csv),
            (header::CONTENT_DISPOSITION, name),
        ];
        let rest = stream::try_unfold(self, |mut export| async move {
            let page = export.page().await;
            let page = page.map_err(|error| std::io::Error::other(error.code().as_str()))?;
            Ok(page.map(|page| (page, export)))
        });
        let first = stream::iter(first.map(Ok::<_, std::io::Error>));
        Ok((headers, AnswerBody::from_stream(first.chain(rest))).into_response())
    }

    /// The next lines; `None` after the last.
    async fn page(&mut self) -> Result<Option<Bytes>, ApiError> {
        let Some(cursor) = self.cursor.take() else {
            return Ok(None);
        };
        self.pages_left = match self.pages_left.checked_sub(1) {
            Some(left) => left,
            None => return Err(ApiError::defect("an export without an end")),
        };
        let show_id = self.show_id.to_bytes().to_vec();
        // A page is read when the client has taken the one before.
        let caller = self.caller.with_time(self.app.request_timeout);
        let next = match self.what {
            What::Sales => {
                let request = booking::ListSalesRequest {
                    show_id,
                    limit: 0,
                    cursor,
                };
                let request = caller.request(request);
                let answer = self.app.sales.clone().list_sales(request).await;
                let answer = answer.map_err(|status| refused(&status))?.into_inner();
                for sale in answer.sales {
                    sale_line(&mut self.table, sale)?;
                }
                answer.next_cursor
            }
            What::Attendees => {
                let request = booking::ListAttendeesRequest {
                    show_id,
                    limit: 0,
                    cursor,
                };
                let request = caller.request(request);
                let answer = self.app.sales.clone().list_attendees(request).await;
                let answer = answer.map_err(|status| refused(&status))?.into_inner();
                for attendee in answer.attendees {
                    attendee_line(&mut self.table, attendee)?;
                }
                answer.next_cursor
            }
        };
        self.cursor = wire::optional(next);
        let mut text = std::mem::take(&mut self.owed).to_owned();
        text.push_str(&self.table.take());
        // So that a table which breaks off shows it.
        if self.cursor.is_some()
            && let Some(rest) = text.strip_suffix(LINE_END)
        {
            text.truncate(rest.len());
            self.owed = LINE_END;
        }
        Ok(Some(Bytes::from(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_currencys_digits() {
        for (amount, currency, text) in [
            (11_000, "EUR", "110.00"),
            (5, "EUR", "0.05"),
            (0, "EUR", "0.00"),
            (1_500, "JPY", "1500"),
            (1_500, "KWD", "1.500"),
            (-5, "EUR", "-0.05"),
        ] {
            assert_eq!(decimal(amount, currency), text);
        }
    }
}
