//! `holdfast refund`: refunds that nothing sends by itself, or that their provider refuses.

use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use payment_svc::{NotSettled, Waiting};
use serde::Serialize;

use crate::{
    cli::{Output, RefundSettleArgs, RefundWaitingArgs},
    data_dir::DataDir,
    database::connect_as,
    error::Error,
    supervisor::say,
};

/// Whose database role is used.
const AS_SERVICE: &str = "payment";

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Row {
    refund_id: String,
    booking_id: String,
    /// Minor units.
    amount: i64,
    currency: String,
    /// `DISPUTE_OPEN` `DISPUTE_LOST` `NOT_PAID_OUT` `REFUSED` `OTHER_PROVIDER`
    why: String,
    /// Why it wasn't sent when it was last tried, in the provider's words.
    refusal: Option<String>,
    /// RFC 3339, UTC.
    since: String,
}

impl From<Waiting> for Row {
    fn from(waiting: Waiting) -> Self {
        Self {
            refund_id: waiting.refund_id.to_string(),
            booking_id: waiting.booking_id.to_string(),
            amount: waiting.amount,
            currency: waiting.currency,
            why: waiting.why,
            refusal: waiting.refusal,
            since: waiting
                .since
                .to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        }
    }
}

/// Lists them, the oldest first.
///
/// # Errors
/// No database answers.
pub(crate) async fn refund_waiting(args: RefundWaitingArgs) -> Result<(), Error> {
    let pool = connect_as(&DataDir::choose(args.dir.data_dir)?, AS_SERVICE).await?;
    let waiting = payment_svc::refunds_waiting(&pool)
        .await
        .map_err(anyhow::Error::from)?;
    pool.close().await;
    let rows: Vec<Row> = waiting.into_iter().map(Row::from).collect();
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&rows).map_err(anyhow::Error::from)?),
        Output::Table if rows.is_empty() => say("no refund waits"),
        Output::Table => say(&table(rows)),
    }
    Ok(())
}

/// Ends one whose money went past the provider.
///
/// # Errors
/// It isn't one of those that wait for people; no database answers.
pub(crate) async fn refund_settle(args: RefundSettleArgs) -> Result<(), Error> {
    let pool = connect_as(&DataDir::choose(args.dir.data_dir)?, AS_SERVICE).await?;
    let settled = payment_svc::settle_refund(&pool, args.refund_id, &args.note).await;
    pool.close().await;
    let refund_id = args.refund_id;
    match settled {
        Ok(money) => {
            say(&format!(
                "{refund_id} is settled: {} {} (minor units)",
                money.amount, money.currency
            ));
            Ok(())
        }
        Err(NotSettled::Store(why)) => Err(anyhow::anyhow!(why).into()),
        Err(why) => Err(Error::Refused(format!("{refund_id}: {why}"))),
    }
}

fn table(rows: Vec<Row>) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "refund",
        "booking",
        "minor units",
        "currency",
        "why",
        "since",
    ]);
    for row in rows {
        table.add_row([
            row.refund_id,
            row.booking_id,
            row.amount.to_string(),
            row.currency,
            match row.refusal {
                Some(refusal) => format!("{}: {refusal}", row.why),
                None => row.why,
            },
            row.since,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_refunds_that_wait() {
        let row = |why: &str| Row {
            refund_id: "0192f0c1-0000-7000-8000-000000000001".to_owned(),
            booking_id: "0192f0c1-0000-7000-8000-000000000002".to_owned(),
            amount: 2_500,
            currency: "EUR".to_owned(),
            why: why.to_owned(),
            refusal: (why == "REFUSED").then(|| "already refunded".to_owned()),
            since: "2026-11-26T14:00:00Z".to_owned(),
        };
        let rows = vec![row("DISPUTE_LOST"), row("NOT_PAID_OUT")];
        insta::assert_json_snapshot!("json_of_refunds_that_wait", rows);
        insta::assert_snapshot!(table(rows));
        let refused = table(vec![row("REFUSED")]);
        assert!(refused.contains("REFUSED: already refunded"), "{refused}");
    }
}
