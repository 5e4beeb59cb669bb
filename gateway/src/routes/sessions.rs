//! `auth/*`: making an account, and trading credentials for tokens, or for a browser's session.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use holdfast_proto::identity::v1 as pb;
use holdfast_types::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    call::Call,
    extract::Body,
    failure::ApiError,
    server::Shared,
    session,
    wire::{self, required},
};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Compared without case.
    #[schema(max_length = 254, example = "ada@example.org")]
    email: String,
    /// 8 to 128 characters.
    #[schema(
        min_length = 8,
        max_length = 128,
        format = "password",
        example = "correct horse battery staple"
    )]
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshToken {
    /// As `auth/login` or the last `auth/refresh` gave it.
    refresh_token: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    user_id: Uuid,
    #[schema(example = "ada@example.org")]
    email: String,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// Send it as `Authorization: Bearer ...`.
    access_token: String,
    /// Good once, for `auth/refresh`.
    refresh_token: String,
    /// Seconds until the access token ends.
    #[schema(example = 900)]
    expires_in: u32,
}

impl From<pb::Tokens> for Tokens {
    fn from(tokens: pb::Tokens) -> Self {
        Self {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token,
            expires_in: tokens.expires_in_s,
        }
    }
}

/// Make an account
///
/// Makes a customer's account, and mails a token that verifies the address (`auth/verify`). Sign in with
/// `auth/login` afterwards.
#[utoipa::path(
    post, path = "/auth/register", tag = "accounts",
    request_body = Credentials,
    responses((status = 201, description = "The new account.", body = Account)),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "ALREADY_EXISTS"]))),
)]
pub(crate) async fn register(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<Credentials>,
) -> Result<(StatusCode, Json<Account>), ApiError> {
    let request = pb::RegisterRequest {
        email: body.email,
        password: body.password,
    };
    let answer = app
        .identity
        .clone()
        .register(call.with_client(request))
        .await?
        .into_inner();
    let account = Account {
        user_id: wire::id(&answer.user_id, "user_id")?,
        email: answer.email,
    };
    Ok((StatusCode::CREATED, Json(account)))
}

/// Sign in
///
/// Trades e-mail and password for tokens. An unknown address and a wrong password are answered
/// alike. Who tries too many wrong ones waits as long as `Retry-After` says; others of the same account
/// don't, and a new password (`auth/password/forgot`) ends the wait.
#[utoipa::path(
    post, path = "/auth/login", tag = "accounts",
    request_body = Credentials,
    responses((status = 200, description = "Signed in.", body = Tokens)),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"]))),
)]
pub(crate) async fn login(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<Credentials>,
) -> Result<Json<Tokens>, ApiError> {
    let request = pb::LoginRequest {
        email: body.email,
        password: body.password,
    };
    let answer = app
        .identity
        .clone()
        .login(call.with_client(request))
        .await?
        .into_inner();
    Ok(Json(required(answer.tokens, "tokens")?.into()))
}

/// Stay signed in
///
/// Trades a refresh token for new tokens; the old one ends. Using an old one again ends all that
/// came from the same sign-in, and you are told by mail; but two uses at once, within 10 seconds and before
/// anything is done with what the first gave, are both answered.
#[utoipa::path(
    post, path = "/auth/refresh", tag = "accounts",
    request_body = RefreshToken,
    responses((status = 200, description = "New tokens.", body = Tokens)),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "UNAUTHORIZED"]))),
)]
pub(crate) async fn refresh(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<RefreshToken>,
) -> Result<Json<Tokens>, ApiError> {
    let request = pb::RefreshRequest {
        refresh_token: body.refresh_token,
    };
    let answer = app
        .identity
        .clone()
        .refresh(call.with_client(request))
        .await?
        .into_inner();
    Ok(Json(required(answer.tokens, "tokens")?.into()))
}

/// Sign out
///
/// Ends a refresh token and all that came from the same sign-in. The access token ends by itself.
#[utoipa::path(
    post, path = "/auth/logout", tag = "accounts",
    request_body = RefreshToken,
    responses((status = 204, description = "Signed out, or was not signed in.")),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST"]))),
)]
pub(crate) async fn logout(
    State(app): State<Shared>,
    call: Call,
    Body(body): Body<RefreshToken>,
) -> Result<StatusCode, ApiError> {
    let request = pb::LogoutRequest {
        refresh_token: body.refresh_token,
    };
    app.identity
        .clone()
        .logout(call.with_client(request))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A browser's session.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// Seconds until it must be renewed with `auth/session/refresh`.
    #[schema(example = 900)]
    expires_in: u32,
}

fn session(tokens: &pb::Tokens) -> Result<Response, ApiError> {
    let (access, refresh) = (&tokens.access_token, &tokens.refresh_token);
    let cookies = session::begin(access, tokens.expires_in_s, refresh)?;
    let expires_in = tokens.expires_in_s;
    Ok((cookies, Json(Session { expires_in })).into_response())
}

/// Sign in as a browser
///
/// As `auth/login`, for pages: the tokens come in cookies that no script can read (`__Host-`,
/// `HttpOnly`, `SameSite=Lax`), and every route that takes a token takes them. What is asked with them
/// and changes something must come from a page of this site or of an allowed origin; programs use
/// `auth/login`. Browsers keep the cookies where they reach us over TLS, or at `localhost`.
#[utoipa::path(
    post, path = "/auth/session", tag = "accounts",
    request_body = Credentials,
    responses((status = 200, description = "Signed in.", body = Session, headers(("Set-Cookie" = String)))),
    extensions(("x-error-codes" = json!(["INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "RATE_LIMITED"]))),
)]
pub(crate) async fn begin_session(
    State(app): State<Shared>,
    call: Call,
    method: Method,
    headers: HeaderMap,
    Body(body): Body<Credentials>,
) -> Result<Response, ApiError> {
    // A page elsewhere doesn't sign anybody in as somebody else, either.
    app.origins.check(&method, &headers)?;
    let request = pb::LoginRequest {
        email: body.email,
        password: body.password,
    };
    let answer = app
        .identity
        .clone()
        .login(call.with_client(request))
        .await?;
    session(&required(answer.into_inner().tokens, "tokens")?)
}

/// Stay signed in as a browser
///
/// As `auth/refresh`, with the session's cookies. Tabs may renew at once; the cookie of before, sent
/// later, ends the session.
#[utoipa::path(
    post, path = "/auth/session/refresh", tag = "accounts",
    responses((status = 200, description = "Renewed.", body = Session, headers(("Set-Cookie" = String)))),
    extensions(("x-error-codes" = json!(["UNAUTHORIZED", "FORBIDDEN"]))),
)]
pub(crate) async fn refresh_session(
    State(app): State<Shared>,
    call: Call,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.origins.check(&method, &headers)?;
    let refresh_token = session::cookie(&headers, session::REFRESH_COOKIE);
    let refresh_token = refresh_token
        .ok_or_else(|| ApiError::new(ErrorCode::Unauthorized, "there is no session; sign in"))?
        .to_owned();
    let request = call.with_client(pb::RefreshRequest { refresh_token });
    match app.identity.clone().refresh(request).await {
        Ok(answer) => session(&required(answer.into_inner().tokens, "tokens")?),
        Err(status) => {
            let error = ApiError::from(status);
            // One that can't be renewed any more.
            let cookies = match error.code() {
                ErrorCode::Unauthorized => session::end()?,
                _ => HeaderMap::new(),
            };
            Ok((cookies, error).into_response())
        }
    }
}

/// Sign out as a browser
///
/// Ends the session, and all that was renewed from the same sign-in, and takes its cookies away.
#[utoipa::path(
    delete, path = "/auth/session", tag = "accounts",
    responses((status = 204, description = "Signed out, or was not signed in.", headers(("Set-Cookie" = String)))),
    extensions(("x-error-codes" = json!(["FORBIDDEN"]))),
)]
pub(crate) async fn end_session(
    State(app): State<Shared>,
    call: Call,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    app.origins.check(&method, &headers)?;
    if let Some(refresh_token) = session::cookie(&headers, session::REFRESH_COOKIE) {
        let refresh_token = refresh_token.to_owned();
        let request = call.with_client(pb::LogoutRequest { refresh_token });
        app.identity.clone().logout(request).await?;
    }
    Ok((StatusCode::NO_CONTENT, session::end()?).into_response())
}
