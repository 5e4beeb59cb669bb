//! A request on its way through the gateway: its deadline, and who makes it.
//!
//! Always holds: a [`Caller`] carries a token that was verified; a plain [`Call`] forwards none.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use holdfast_mesh::{auth, deadline::Deadline};
use holdfast_types::{ErrorCode, UserId};
use tonic::metadata::{Ascii, MetadataValue};
use uuid::Uuid;

use crate::{
    api_keys::API_KEY_PREFIX,
    failure::ApiError,
    limits::Account,
    server::{App, Shared},
    session,
};

/// The header in which a request names the organisation in whose name it is made, as documents have it.
pub(crate) const ORGANISATION_HEADER: &str = "Holdfast-Organisation";

/// What stands for being in the organisation that a request names.
const MEMBER: &str = "a member";

/// What every gRPC call made for one request carries. The request id travels with the task.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    deadline: Deadline,
    client: Option<IpAddr>,
}

impl Call {
    /// `client` is whose request it is, by address (`client_address`).
    pub(crate) fn new(deadline: Deadline, client: Option<IpAddr>) -> Self {
        Self { deadline, client }
    }

    /// The same request with so much time from now on at most.
    pub(crate) fn within(&self, time: Duration) -> Self {
        Self::new(self.deadline.min(Deadline::after(time)), self.client)
    }

    /// As [`Call::request`], and says which address the request is from: for identity-svc alone.
    pub(crate) fn with_client<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = self.request(message);
        self.name_client(&mut request);
        request
    }

    fn name_client<M>(&self, request: &mut tonic::Request<M>) {
        let Some(client) = self.client else { return };
        let address = client.to_string().parse();
        let address: MetadataValue<Ascii> = address.expect("an address is plain ASCII");
        let metadata = request.metadata_mut();
        metadata.insert(auth::CLIENT_ADDRESS, address);
    }

    /// Wraps `message` with request id and deadline.
    pub(crate) fn request<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = tonic::Request::new(message);
        self.deadline.apply(&mut request);
        request
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let call = parts.extensions.get::<Self>();
        call.cloned()
            .ok_or_else(|| ApiError::defect("a route outside the request scope"))
    }
}

/// What the caller may act as, for who reads the request's body.
#[derive(Debug, Clone)]
pub(crate) struct Roles(Vec<String>);

impl Roles {
    /// Whether halls may be theirs; the service that has them says which.
    pub(crate) fn may_have_plans(&self) -> bool {
        let having = ["organiser", "venue_owner", "admin", MEMBER];
        self.0.iter().any(|role| having.contains(&role.as_str()))
    }
}

/// A signed-in customer's request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    call: Call,
    authorization: MetadataValue<Ascii>,
    /// In whose name they call, if not in their own.
    organisation: Option<MetadataValue<Ascii>>,
    /// Whose token it is; nil for an operator.
    pub(crate) user_id: UserId,
}

impl Caller {
    /// The same caller with so much time from now on, for one answer that is made of many.
    pub(crate) fn with_time(&self, time: Duration) -> Self {
        Self {
            call: Call::new(Deadline::after(time), self.call.client),
            ..self.clone()
        }
    }

    /// The same caller with less time by `spare`, but with half of what is left at least.
    pub(crate) fn leaving(&self, spare: Duration) -> Self {
        let left = self.call.deadline.remaining();
        self.with_time(left.saturating_sub(spare).max(left / 2))
    }

    /// The same caller in their own name.
    pub(crate) fn in_own_name(&self) -> Self {
        Self {
            organisation: None,
            ..self.clone()
        }
    }

    /// Wraps `message` with request id, deadline and the caller's token.
    pub(crate) fn request<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = self.call.request(message);
        request
            .metadata_mut()
            .insert(auth::HEADER, self.authorization.clone());
        if let Some(organisation) = &self.organisation {
            let metadata = request.metadata_mut();
            metadata.insert(auth::ORGANISATION, organisation.clone());
        }
        request
    }

    /// As [`Call::with_client`], with the caller's token.
    pub(crate) fn with_client<M>(&self, message: M) -> tonic::Request<M> {
        let mut request = self.request(message);
        self.call.name_client(&mut request);
        request
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let call = Call::from_request_parts(parts, app).await?;
        let sent = token(app, parts)?;
        let mut organisation = organisation(&parts.headers)?;
        let token: Cow<'_, str> = match sent.starts_with(API_KEY_PREFIX) {
            false => sent.into(),
            true => {
                let traded = app.api_keys.trade(app, &call, sent).await?;
                organisation = named_by_key(traded.organisation_id, organisation)?;
                traded.access_token.clone().into()
            }
        };
        let claims = app.verifier.verify(&token).await?;
        if let Some(limits) = &app.limits {
            limits.count_user(claims.user_id, parts.extensions.get::<Account>())?;
        }
        let mut authorization: MetadataValue<Ascii> = format!("Bearer {token}")
            .parse()
            .map_err(|_| unauthorized("the access token is malformed"))?;
        authorization.set_sensitive(true);
        let mut roles = claims.roles;
        let is_in = |id: &Uuid| {
            let mut orgs = claims.grants.orgs.iter();
            orgs.any(|membership| membership.id == *id)
        };
        if organisation.as_ref().is_some_and(is_in) {
            roles.push(MEMBER.to_owned());
        }
        parts.extensions.insert(Roles(roles));
        let organisation = organisation.map(|id| {
            let text = id.to_string().parse();
            text.expect("an id is plain ASCII")
        });
        Ok(Self {
            call,
            authorization,
            organisation,
            user_id: claims.user_id,
        })
    }
}

/// The organisation that a request names.
fn organisation(headers: &HeaderMap) -> Result<Option<Uuid>, ApiError> {
    let mut values = headers.get_all(auth::ORGANISATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    match (id, values.next()) {
        (Some(id), None) => Ok(Some(id)),
        _ => Err(ApiError::invalid(
            ORGANISATION_HEADER,
            "must be there once, with an organisation's id",
        )),
    }
}

/// A key is for one organisation's things or its account's own, whether the request names them or not.
fn named_by_key(of_key: Option<Uuid>, named: Option<Uuid>) -> Result<Option<Uuid>, ApiError> {
    if named.is_none() || named == of_key {
        return Ok(of_key);
    }
    Err(ApiError::new(
        ErrorCode::Forbidden,
        "this API key is for another organisation",
    ))
}

/// The access token: of the `Authorization` header, or else of a session's cookie, which counts for our
/// own pages alone.
fn token<'a>(app: &App, parts: &'a Parts) -> Result<&'a str, ApiError> {
    let headers = &parts.headers;
    let cookie = session::cookie(headers, session::ACCESS_COOKIE);
    match cookie.filter(|_| !headers.contains_key(header::AUTHORIZATION)) {
        Some(token) => {
            app.origins.check(&parts.method, headers)?;
            Ok(token)
        }
        None => bearer(headers),
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values
        .next()
        .ok_or_else(|| unauthorized("sign in and send `Authorization: Bearer <access token>`"))?;
    if values.next().is_some() {
        return Err(unauthorized("send one Authorization header"));
    }
    let malformed = || unauthorized("the Authorization header must be `Bearer <access token>`");
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(malformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(malformed());
    }
    Ok(token)
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, message)
}
