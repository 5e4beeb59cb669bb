//! `holdfast show refund SHOW_ID [--dry-run]`

use holdfast_proto::booking::v1::{RefundShowRequest, RefundShowResponse};
use serde::Serialize;

use crate::{
    cli::{Output, ShowRefundArgs},
    data_dir::DataDir,
    error::Error,
    operator::{As, Operator},
    supervisor::say,
};

/// What is printed. The JSON form is an interface: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Progress {
    /// `NOT_ASKED`, `RUNNING`, `FINISHED`.
    state: String,
    bookings: u32,
    bookings_left: u32,
    seats_left: u32,
    /// Minor units.
    amount_left: i64,
    currency: String,
    refunds_under_way: u32,
}

impl From<RefundShowResponse> for Progress {
    fn from(answer: RefundShowResponse) -> Self {
        let left = answer.amount_left.unwrap_or_default();
        Self {
            state: answer.state,
            bookings: answer.bookings,
            bookings_left: answer.bookings_left,
            seats_left: answer.seats_left,
            amount_left: left.amount,
            currency: left.currency,
            refunds_under_way: answer.refunds_under_way,
        }
    }
}

/// Asks for a cancelled show's refunds, unless it is a dry run, and prints how far they are.
///
/// # Errors
/// Nothing running; no such show, or one that isn't cancelled.
pub(crate) async fn show_refund(args: ShowRefundArgs) -> Result<(), Error> {
    let operator = Operator::sign_in(&DataDir::choose(args.dir.data_dir)?, As::Operator).await?;
    let request = operator.request(RefundShowRequest {
        show_id: args.show_id.into_bytes().to_vec(),
        dry_run: args.dry_run,
    });
    let answer = operator.inventory()?.refund_show(request).await;
    let answer = answer.map_err(|status| Error::from_status("refund the show", &status))?;
    let progress = Progress::from(answer.into_inner());
    match args.output {
        Output::Json => say(&serde_json::to_string_pretty(&progress).map_err(anyhow::Error::from)?),
        Output::Table => say(&text(&progress)),
    }
    Ok(())
}

fn text(progress: &Progress) -> String {
    let Progress {
        state,
        bookings,
        bookings_left,
        seats_left,
        amount_left,
        currency,
        refunds_under_way,
    } = progress;
    let left = format!(
        "{bookings_left} bookings of {seats_left} seats, {amount_left} {currency} in minor units"
    );
    match state.as_str() {
        "NOT_ASKED" => format!("would refund {left}"),
        "RUNNING" => format!(
            "refunding {bookings} bookings: {left} are left, {refunds_under_way} refunds are under way"
        ),
        _ if *bookings_left == 0 => {
            format!("refunded {bookings} bookings; {refunds_under_way} refunds are under way")
        }
        _ => format!(
            "refunded what it could; {left} are left, because tickets of them were used; \
             {refunds_under_way} refunds are under way"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_each_state() {
        let said = |state: &str, bookings_left| {
            text(&Progress {
                state: state.to_owned(),
                bookings: 3,
                bookings_left,
                seats_left: 2 * bookings_left,
                amount_left: 5_000 * i64::from(bookings_left),
                currency: "EUR".to_owned(),
                refunds_under_way: 1,
            })
        };
        let said = [
            said("NOT_ASKED", 3),
            said("RUNNING", 2),
            said("FINISHED", 0),
            said("FINISHED", 1),
        ];
        insta::assert_snapshot!(said.join("\n"));
    }
}
