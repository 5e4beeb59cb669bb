//! A client of the running system as its operator: found through `run.json`, signed in with the
//! operator token of `secrets.toml`, over connections with the operator's certificate.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use holdfast_mesh::{self as mesh, client::Channel};
use holdfast_proto::{
    booking::v1::{
        booking_service_client::BookingServiceClient,
        inventory_service_client::InventoryServiceClient,
    },
    catalog::v1::{
        catalog_service_client::CatalogServiceClient, import_service_client::ImportServiceClient,
    },
    identity::v1::{ExchangeOperatorTokenRequest, identity_service_client::IdentityServiceClient},
    part,
    search::v1::search_admin_service_client::SearchAdminServiceClient,
};
use tonic::metadata::{Ascii, MetadataValue};

use crate::{
    certs::describe,
    data_dir::DataDir,
    error::Error,
    run_file::RunFile,
    secrets::{OPERATOR_TOKEN, Secrets},
};

/// How long one call may take: opening a show of 100,000 seats is the slowest.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// How old an access token gets before another is asked for; they are good for 15 minutes.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(8 * 60);

/// Whom a call is made as.
#[derive(Debug, Clone, Copy)]
pub(crate) enum As<'a> {
    /// The operator itself: role admin, no account.
    Operator,
    /// An account, by address.
    Account(&'a str),
}

/// A running system, and who is asking.
pub(crate) struct Operator {
    dir: DataDir,
    run: RunFile,
    operator_token: String,
    /// Empty for the operator itself.
    email: String,
    token: Mutex<Token>,
}

/// An access token and since when it is there.
#[derive(Clone)]
struct Token {
    bearer: MetadataValue<Ascii>,
    since: Instant,
}

impl Operator {
    /// Finds the system of `dir` and signs in.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where nothing runs; [`Error::Refused`] for an unknown account.
    pub(crate) async fn sign_in(dir: &DataDir, who: As<'_>) -> Result<Self, Error> {
        let secrets = Secrets::open(dir)?;
        let token = secrets
            .get(OPERATOR_TOKEN)
            .ok_or_else(|| Error::Unreachable {
                what: "a running system".into(),
                why: format!(
                    "{} has no operator token; start one with `holdfast up`",
                    dir.secrets_file().display()
                ),
            })?;
        Self::sign_in_at(dir, RunFile::read(dir)?, token, who).await
    }

    /// Signs in at a system that is known already.
    ///
    /// # Errors
    /// As [`Operator::sign_in`].
    pub(crate) async fn sign_in_at(
        dir: &DataDir,
        run: RunFile,
        operator_token: &str,
        who: As<'_>,
    ) -> Result<Self, Error> {
        let email = match who {
            As::Operator => "",
            As::Account(email) => email,
        };
        let token = exchange(dir, &run, operator_token, email).await?;
        Ok(Self {
            dir: dir.clone(),
            run,
            operator_token: operator_token.to_owned(),
            email: email.to_owned(),
            token: Mutex::new(token),
        })
    }

    /// Signs in again where the access token is about to end: for work that takes long.
    ///
    /// # Errors
    /// As [`Operator::sign_in`].
    pub(crate) async fn stay_signed_in(&self) -> Result<(), Error> {
        if self.token().since.elapsed() < TOKEN_AGE_MAX {
            return Ok(());
        }
        let token = exchange(&self.dir, &self.run, &self.operator_token, &self.email).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
        Ok(())
    }

    fn token(&self) -> Token {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.clone()
    }

    /// `message` with this caller's token and a deadline.
    pub(crate) fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.set_timeout(CALL_LIMIT);
        request
            .metadata_mut()
            .insert("authorization", self.token().bearer);
        request
    }

    fn channel(&self, service: &'static str) -> Result<Channel, Error> {
        channel(&self.dir, &self.run, service)
    }

    /// Accounts.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn identity(&self) -> Result<IdentityServiceClient<Channel>, Error> {
        Ok(IdentityServiceClient::new(self.channel(part::IDENTITY)?))
    }

    /// Venues to shows.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn catalog(&self) -> Result<CatalogServiceClient<Channel>, Error> {
        Ok(CatalogServiceClient::new(self.channel(part::CATALOG)?))
    }

    /// Catalogues of others.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn import(&self) -> Result<ImportServiceClient<Channel>, Error> {
        Ok(ImportServiceClient::new(self.channel(part::CATALOG)?))
    }

    /// The search index.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn search(&self) -> Result<SearchAdminServiceClient<Channel>, Error> {
        Ok(SearchAdminServiceClient::new(self.channel(part::SEARCH)?))
    }

    /// Shows as they are sold.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn inventory(&self) -> Result<InventoryServiceClient<Channel>, Error> {
        Ok(InventoryServiceClient::new(self.channel(part::BOOKING)?))
    }

    /// Availability.
    ///
    /// # Errors
    /// An address that can't be used.
    pub(crate) fn booking(&self) -> Result<BookingServiceClient<Channel>, Error> {
        // A seat map of 100,000 seats is larger than tonic's own limit for one message.
        Ok(BookingServiceClient::new(self.channel(part::BOOKING)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX))
    }
}

async fn exchange(
    dir: &DataDir,
    run: &RunFile,
    operator_token: &str,
    email: &str,
) -> Result<Token, Error> {
    let mut request = tonic::Request::new(ExchangeOperatorTokenRequest {
        operator_token: operator_token.to_owned(),
        email: email.to_owned(),
    });
    request.set_timeout(CALL_LIMIT);
    let since = Instant::now();
    let answer = IdentityServiceClient::new(channel(dir, run, part::IDENTITY)?)
        .exchange_operator_token(request)
        .await
        .map_err(|status| Error::from_status("sign in as operator", &status))?;
    let bearer = format!("Bearer {}", answer.into_inner().access_token)
        .parse()
        .map_err(|_| anyhow::anyhow!("the access token is not plain text"))?;
    Ok(Token { bearer, since })
}

/// Largest answer read, in bytes: availability of 100,000 seats is about 4 MiB.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A channel to `uri`, where the part `peer` is: with the operator's certificate of the data directory
/// where the address asks for one.
///
/// # Errors
/// [`Error::Config`] names the file of a certificate that can't be used, or the address.
pub(crate) fn channel_to(dir: &DataDir, uri: &str, peer: &'static str) -> Result<Channel, Error> {
    let mut context = mesh::Context::new();
    if uri.starts_with("https:") {
        let identity = mesh::tls::Identity::load(&dir.tls(), part::OPERATOR)
            .map_err(|error| Error::Config(describe(error)))?;
        context.identity = Some(identity);
    }
    context
        .channel(uri, peer)
        .map_err(|error| Error::Config(error.to_string()))
}

fn channel(dir: &DataDir, run: &RunFile, service: &'static str) -> Result<Channel, Error> {
    let uri = run
        .services
        .get(service)
        .ok_or_else(|| Error::Unreachable {
            what: service.to_owned(),
            why: "run.json has no address of it; `holdfast up` may still be starting".into(),
        })?;
    channel_to(dir, uri, service)
}
