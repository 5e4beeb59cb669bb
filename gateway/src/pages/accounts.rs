//! Where links in letters lead: plain HTML, usable without scripts.
//!
//! Always holds: opening a link changes nothing, because programs that look at mail open links too; a button
//! does. Leaves to others: everything else (identity-svc).

use axum::{
    Form, Router,
    extract::{Query, State, rejection::FormRejection},
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use holdfast_mesh::{Failure, auth};
use holdfast_proto::identity::v1 as pb;
use holdfast_types::ErrorCode;
use serde::Deserialize;
use tonic::{
    Status,
    metadata::{Ascii, MetadataValue},
};

use super::html::{escaped, page};
use crate::{call::Call, server::Shared};

/// Nothing but showing itself and sending its form back.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/account/verify", get(show_verify).post(verify))
        .route("/account/reset", get(show_reset).post(reset))
        .route("/account/forgot", get(show_forgot).post(forgot))
        .route("/account/invitation", get(show_invitation).post(accept))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

#[derive(Deserialize)]
struct NewPassword {
    token: String,
    password: String,
}

#[derive(Deserialize)]
struct Address {
    email: String,
}

#[derive(Deserialize)]
struct Acceptance {
    token: String,
    email: String,
    password: String,
}

fn answer(status: StatusCode, title: &str, body: &str) -> Response {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    (status, policy, Html(page(title, body))).into_response()
}

fn form(title: &str, fields: &str, button: &str) -> Response {
    let body =
        format!("<form method=\"post\">\n{fields}\n<p><button>{button}</button></p>\n</form>");
    answer(StatusCode::OK, title, &body)
}

/// What identity-svc refuses, for people.
fn refused(title: &str, status: &Status) -> Response {
    let failure = Failure::from_status(status);
    let fields = failure.fields().iter();
    let fields: String = fields
        .map(|field| format!("<li>{}: {}", escaped(&field.field), escaped(&field.why)))
        .collect();
    let (status, words) = match failure.code() {
        ErrorCode::InvalidRequest => (StatusCode::BAD_REQUEST, "That didn't work."),
        ErrorCode::Unauthorized => (
            StatusCode::UNAUTHORIZED,
            "E-mail address or password is wrong. Please go back and try again.",
        ),
        ErrorCode::InvalidState => (
            StatusCode::CONFLICT,
            "There are too many members, or you are in too many organisations.",
        ),
        ErrorCode::RateLimited => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many are trying at once. Please go back and try again in a minute.",
        ),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "This isn't available right now. Please go back and try again in a minute.",
        ),
    };
    answer(
        status,
        title,
        &format!("<p role=\"alert\">{words}</p>\n<ul>{fields}</ul>"),
    )
}

fn unreadable(title: &str) -> Response {
    let words = "<p role=\"alert\">The form can't be read. Please open the link again.</p>";
    answer(StatusCode::BAD_REQUEST, title, words)
}

fn hidden(token: &str) -> String {
    let token = escaped(token);
    format!("<input type=\"hidden\" name=\"token\" value=\"{token}\">")
}

const VERIFY: &str = "Confirm your e-mail address";

async fn show_verify(Query(link): Query<Link>) -> Response {
    form(VERIFY, &hidden(&link.token), "It is mine")
}

async fn verify(
    State(app): State<Shared>,
    call: Call,
    sent: Result<Form<Link>, FormRejection>,
) -> Response {
    let Ok(Form(Link { token })) = sent else {
        return unreadable(VERIFY);
    };
    let request = call.with_client(pb::VerifyEmailRequest { token });
    match app.identity.clone().verify_email(request).await {
        Ok(verified) => {
            let email = escaped(&verified.into_inner().email);
            let words = format!("<p role=\"status\">{email} is confirmed.</p>");
            answer(StatusCode::OK, VERIFY, &words)
        }
        Err(status) => refused(VERIFY, &status),
    }
}

const RESET: &str = "Set a new password";

async fn show_reset(Query(link): Query<Link>) -> Response {
    let fields = format!(
        "{}\n<p><label>New password, 8 to 128 characters<br>\n<input type=\"password\" name=\"password\" \
         minlength=\"8\" maxlength=\"128\" autocomplete=\"new-password\" required></label></p>",
        hidden(&link.token)
    );
    form(RESET, &fields, "Set it")
}

async fn reset(
    State(app): State<Shared>,
    call: Call,
    sent: Result<Form<NewPassword>, FormRejection>,
) -> Response {
    let Ok(Form(NewPassword { token, password })) = sent else {
        return unreadable(RESET);
    };
    let request = call.with_client(pb::ResetPasswordRequest { token, password });
    match app.identity.clone().reset_password(request).await {
        Ok(_) => {
            let words = "<p role=\"status\">The new password is set, and all your sign-ins have ended. \
                         Please sign in again.</p>";
            answer(StatusCode::OK, RESET, words)
        }
        Err(status) => refused(RESET, &status),
    }
}

const FORGOT: &str = "Ask for a new password";

async fn show_forgot() -> Response {
    let fields = "<p><label>E-mail address<br>\n<input type=\"email\" name=\"email\" maxlength=\"254\" \
                  autocomplete=\"email\" required></label></p>";
    form(FORGOT, fields, "Send a letter")
}

async fn forgot(
    State(app): State<Shared>,
    call: Call,
    sent: Result<Form<Address>, FormRejection>,
) -> Response {
    let Ok(Form(Address { email })) = sent else {
        return unreadable(FORGOT);
    };
    let request = call.with_client(pb::RequestPasswordResetRequest { email });
    match app.identity.clone().request_password_reset(request).await {
        Ok(_) => {
            let words =
                "<p role=\"status\">If an account has this address, a letter is on its way.</p>";
            answer(StatusCode::ACCEPTED, FORGOT, words)
        }
        Err(status) => refused(FORGOT, &status),
    }
}

const INVITATION: &str = "Take an invitation up";

async fn show_invitation(Query(link): Query<Link>) -> Response {
    let fields = format!(
        "{}\n<p>With an account of the address that was invited:</p>\n\
         <p><label>E-mail address<br>\n<input type=\"email\" name=\"email\" maxlength=\"254\" \
         autocomplete=\"email\" required></label></p>\n\
         <p><label>Password<br>\n<input type=\"password\" name=\"password\" \
         autocomplete=\"current-password\" required></label></p>",
        hidden(&link.token)
    );
    form(INVITATION, &fields, "Take it up")
}

/// Signs in for this alone.
async fn accept(
    State(app): State<Shared>,
    call: Call,
    sent: Result<Form<Acceptance>, FormRejection>,
) -> Response {
    let Ok(Form(sent)) = sent else {
        return unreadable(INVITATION);
    };
    let (email, password) = (sent.email, sent.password);
    let mut identity = app.identity.clone();
    let request = call.with_client(pb::LoginRequest { email, password });
    let tokens = match identity.login(request).await {
        Ok(answer) => answer.into_inner().tokens.unwrap_or_default(),
        Err(status) => return refused(INVITATION, &status),
    };
    let mut request = call.with_client(pb::AcceptInvitationRequest { token: sent.token });
    let bearer = format!("Bearer {}", tokens.access_token).parse();
    let bearer: MetadataValue<Ascii> = bearer.expect("our tokens are plain ASCII");
    request.metadata_mut().insert(auth::HEADER, bearer);
    let accepted = identity.accept_invitation(request).await;
    let refresh_token = tokens.refresh_token;
    let request = call.with_client(pb::LogoutRequest { refresh_token });
    if let Err(status) = identity.logout(request).await {
        tracing::debug!(code = ?status.code(), "a sign-in for an invitation ends by itself");
    }
    match accepted {
        Ok(joined) => {
            let joined = joined.into_inner().organisation.unwrap_or_default();
            let name = escaped(&joined.name);
            let words = format!("<p role=\"status\">You are in {name} now.</p>");
            answer(StatusCode::OK, INVITATION, &words)
        }
        Err(status) => refused(INVITATION, &status),
    }
}
