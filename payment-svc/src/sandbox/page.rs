//! The hosted page: plain HTML, usable without scripts and with a screen reader.

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Form, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::{
    Sandbox,
    sessions::{self, Action, Faults},
    store::Session,
    wire::Status,
};
use crate::away::is_away;

/// Largest form read.
const FORM_BYTES_MAX: usize = 4 * 1024;

/// Longest a slow payment method takes, in seconds.
const DELAY_S_MAX: f64 = 3_600.0;

/// When to come again after the database was away, in seconds.
const RETRY_AFTER_S: &str = "1";

/// What browsers may do with the page: nothing but show it and send its form back.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(super) fn router(sandbox: Arc<Sandbox>) -> Router {
    Router::new()
        .route("/pay/{session_id}", get(show).post(submit))
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .with_state(sandbox)
}

/// What the buttons send, and what testers add.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    action: Choices,
    /// A payment method that ends only after so many seconds.
    delay_s: Option<f64>,
    /// Sends the session's webhooks twice from here on.
    #[serde(default)]
    duplicate: bool,
    /// Sends the webhook of this action so many seconds later: others overtake it.
    webhook_delay_s: Option<f64>,
    /// Does it, and gives the answer of one who timed out.
    #[serde(default)]
    lose_answer: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choices {
    Pay,
    Decline,
    Cancel,
    /// Of a paid session, by testers: there is no button for it.
    Dispute,
    #[serde(rename = "dispute_won")]
    DisputeWon,
    #[serde(rename = "dispute_lost")]
    DisputeLost,
}

async fn show(State(sandbox): State<Arc<Sandbox>>, Path(session_id): Path<String>) -> Response {
    match sessions::look(&sandbox, &session_id).await {
        Ok(Some(session)) => page(StatusCode::OK, &session_page(&session)),
        Ok(None) => unknown(),
        Err(error) => broken(&error),
    }
}

async fn submit(
    State(sandbox): State<Arc<Sandbox>>,
    Path(session_id): Path<String>,
    form: Result<Form<Choice>, axum::extract::rejection::FormRejection>,
) -> Response {
    let Ok(Form(Choice {
        action,
        delay_s,
        duplicate,
        webhook_delay_s,
        lose_answer,
    })) = form
    else {
        return invalid();
    };
    let delays = [delay_s, webhook_delay_s].into_iter().flatten();
    if delays
        .into_iter()
        .any(|delay| !(0.0..=DELAY_S_MAX).contains(&delay))
    {
        return invalid();
    }
    let action = match action {
        Choices::Pay => Action::Pay { delay_s },
        Choices::Decline => Action::Decline { delay_s },
        Choices::Cancel => Action::Cancel,
        Choices::Dispute => Action::Dispute,
        Choices::DisputeWon => Action::CloseDispute { won: true },
        Choices::DisputeLost => Action::CloseDispute { won: false },
    };
    let faults = Faults {
        duplicate,
        webhook_delay_s: webhook_delay_s.unwrap_or_default(),
    };
    match sessions::act(&sandbox, &session_id, action, faults).await {
        Ok(Some(_)) if lose_answer => page(
            StatusCode::GATEWAY_TIMEOUT,
            &message("No answer", "What was asked for may have been done."),
        ),
        // Seen again after a reload, the page must not pay again.
        Ok(Some(session)) => Redirect::to(&format!("/pay/{}", session.session_id)).into_response(),
        Ok(None) => unknown(),
        Err(error) => broken(&error),
    }
}

fn unknown() -> Response {
    page(
        StatusCode::NOT_FOUND,
        &message("No such payment", "This payment link leads nowhere."),
    )
}

fn invalid() -> Response {
    let text = "The form was not understood; nothing was changed.";
    page(StatusCode::BAD_REQUEST, &message("Not understood", text))
}

fn broken(error: &sqlx::Error) -> Response {
    if is_away(error) {
        tracing::warn!(%error, "sandbox provider: the database is away");
        let text = "Please try again in a moment.";
        let answer = page(
            StatusCode::SERVICE_UNAVAILABLE,
            &message("Busy just now", text),
        );
        return ([(header::RETRY_AFTER, RETRY_AFTER_S)], answer).into_response();
    }
    tracing::error!(%error, "sandbox provider: database");
    let text = "Nothing was changed. Please try again in a moment.";
    page(
        StatusCode::INTERNAL_SERVER_ERROR,
        &message("Something went wrong", text),
    )
}

fn page(status: StatusCode, html: &str) -> Response {
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(html.to_owned())).into_response()
}

fn message(title: &str, text: &str) -> String {
    document(title, &format!("<p>{}</p>", escape(text)))
}

fn session_page(session: &Session) -> String {
    let status = Status::from_column(&session.status);
    let (title, state) = match status {
        Some(Status::Open) => ("Pay", String::new()),
        Some(Status::Processing) => (
            "Payment under way",
            "Your payment method takes a little longer.".to_owned(),
        ),
        Some(Status::Paid) => ("Paid", "Thank you. You may close this page.".to_owned()),
        Some(Status::Failed) => ("Not paid", "The payment was declined.".to_owned()),
        Some(Status::Cancelled) => ("Cancelled", "This payment was called off.".to_owned()),
        Some(Status::Expired) | None => (
            "Too late",
            "The time to pay has passed. Nothing was charged.".to_owned(),
        ),
    };
    let mut body = String::new();
    if !state.is_empty() {
        let _ = write!(body, "<p role=\"status\">{state}</p>");
    }
    if status == Some(Status::Open) && session.declines > 0 {
        body.push_str("<p role=\"alert\">The last try was declined. You can try again.</p>");
    }
    let _ = write!(
        body,
        "<dl><dt>For</dt><dd>{}</dd><dt>Amount</dt><dd>{}</dd></dl>",
        escape(&session.description),
        escape(&format_amount(session.amount, &session.currency))
    );
    if status == Some(Status::Open) {
        let until = session.expires_at.format("%Y-%m-%d %H:%M:%S");
        let _ = write!(
            body,
            "<p>To be paid by <time datetime=\"{}\">{until} UTC</time>.</p>\
             <form method=\"post\">\
             <button name=\"action\" value=\"pay\">Pay</button> \
             <button name=\"action\" value=\"decline\">Decline</button> \
             <button name=\"action\" value=\"cancel\">Cancel</button></form>",
            session.expires_at.to_rfc3339()
        );
    }
    document(title, &body)
}

fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex\"><title>{title} - sandbox payment</title>\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;\
         padding:0 1rem}}dt{{font-weight:600}}dd{{margin:0 0 .5rem}}\
         button{{font:inherit;padding:.5rem 1rem}}</style></head>\
         <body><main><h1>{title}</h1>{body}\
         <p><small>This is a sandbox: no money moves.</small></p></main></body></html>"
    )
}

/// Text as HTML, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Minor units as people write them: `EUR 12.50`, `JPY 500`, `KWD 1.250` (ISO 4217's exponents).
fn format_amount(amount: i64, currency: &str) -> String {
    let digits: usize = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    if digits == 0 {
        return format!("{currency} {amount}");
    }
    let padded = format!("{amount:0width$}", width = digits + 1);
    let (whole, part) = padded.split_at(padded.len() - digits);
    format!("{currency} {whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!(format_amount(1250, "EUR"), "EUR 12.50");
        assert_eq!(format_amount(5, "EUR"), "EUR 0.05");
        assert_eq!(format_amount(500, "JPY"), "JPY 500");
        assert_eq!(format_amount(1250, "KWD"), "KWD 1.250");
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<b a='x' c=\"y\">&"),
            "&lt;b a=&#39;x&#39; c=&quot;y&quot;&gt;&amp;"
        );
    }
}
