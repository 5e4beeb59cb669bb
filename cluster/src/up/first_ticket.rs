//! What `up` prints when all is ready: where everything is, and lines that buy a first ticket.

use chrono::{TimeZone as _, Utc};
use holdfast_proto::{booking::v1::GetAvailabilityRequest, catalog::v1::Show};
use uuid::Uuid;

use crate::{data_dir::DataDir, error::Error, operator::Operator, run_file::RunFile};

/// Where everything is.
pub(super) fn addresses(dir: &DataDir, run: &RunFile) -> String {
    let (api, sandbox) = (&run.api_url, &run.sandbox_url);
    let (root, accounts, logs) = (dir.root().display(), dir.accounts_file(), dir.logs());
    let program = std::env::current_exe()
        .map_or_else(|_| "holdfast".to_owned(), |path| path.display().to_string());
    let (accounts, logs) = (accounts.display(), logs.display());
    format!(
        r#"
Holdfast is up. Ctrl-C stops it.

  API          {api}/api/v1
  OpenAPI      {api}/api/v1/openapi.json, as a page {api}/api/v1/docs/
  Sandbox      {sandbox} (the payment provider to try things with)
  CLI          {program} --help; e.g. {program} cluster status --data-dir {root}
  Accounts     {accounts} (admin and demo organiser)
  Logs         {logs}
"#
    )
}

/// What is on sale, and how to buy it. The seat named is free at this moment.
///
/// # Errors
/// What booking-svc says.
pub(super) async fn buying(
    api: &str,
    organiser: &Operator,
    show: &Show,
    show_id: Uuid,
) -> Result<String, Error> {
    let request = GetAvailabilityRequest {
        show_id: show.show_id.clone(),
        section: String::new(),
    };
    let answer = organiser
        .booking()?
        .get_availability(organiser.request(request))
        .await;
    let seats = answer
        .map_err(|status| Error::from_status("look for a free seat", &status))?
        .into_inner()
        .seats;
    let free = seats.iter().find(|seat| seat.state == "AVAILABLE");
    let name = show.event.as_ref().map_or("", |event| &event.title);
    let when = Utc
        .timestamp_millis_opt(show.starts_at_ms)
        .single()
        .map(|at| {
            at.with_timezone(&chrono_tz::Europe::Berlin)
                .format("%A %e %B %Y, %H:%M")
                .to_string()
        });
    let when = when.unwrap_or_default();
    let on_sale = format!("  On sale      {name}, {when} in Berlin: show {show_id}\n");
    let Some(free) = free else {
        return Ok(format!(
            "{on_sale}\nEvery seat that is left is held at this moment; `holdfast demo` buys when one is free.\n"
        ));
    };
    let seat = &free.seat_id;
    Ok(format!(
        r#"{on_sale}
Buy a first ticket:

  API={api}/api/v1
  JSON='content-type: application/json'
  value() {{ sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }}
  curl -s $API/auth/register -H "$JSON" -d '{{"email":"you@example.com","password":"correct horse battery"}}'
  TOKEN=$(curl -s $API/auth/login -H "$JSON" -d '{{"email":"you@example.com","password":"correct horse battery"}}' | value access_token)
  HOLD=$(curl -s $API/holds -H "$JSON" -H "authorization: Bearer $TOKEN" -H "idempotency-key: hold-$(date +%s)" -d '{{"show_id":"{show_id}","seat_ids":["{seat}"]}}' | value hold_id)
  BOOKING=$(curl -s $API/bookings -H "$JSON" -H "authorization: Bearer $TOKEN" -H "idempotency-key: book-$(date +%s)" -d "{{\"hold_id\":\"$HOLD\"}}" | value booking_id)
  for _ in {{1..50}}; do PAY=$(curl -s $API/bookings/$BOOKING -H "authorization: Bearer $TOKEN" | value payment_url); [ -n "$PAY" ] && break; sleep 0.2; done
  curl -s "$PAY" -d action=pay -o /dev/null     # or open it in a browser: echo $PAY
  for _ in {{1..50}}; do curl -s -f $API/bookings/$BOOKING/tickets -H "authorization: Bearer $TOKEN" && break; sleep 0.2; done
"#
    ))
}
