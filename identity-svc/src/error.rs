//! Why a call was refused or failed, and its code.

use std::time::Duration;

use holdfast_mesh::{Failure, FieldViolation};
use holdfast_types::ErrorCode;

/// When a caller should come back after the hashing queue was full, or Postgres away.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call has no answer. The first fifteen are refusals; the rest couldn't be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Fields are out of bounds; at least one.
    #[error("invalid fields")]
    Invalid(Vec<FieldViolation>),
    /// The address has an account.
    #[error("the address is taken")]
    EmailTaken,
    /// Wrong credentials; the text is for people and tells nothing about accounts.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The caller lacks a role.
    #[error("role {0} is needed")]
    RoleNeeded(&'static str),
    /// No such account.
    #[error("no account has this address")]
    UserNotFound,
    /// Nobody has shown that the account's address is theirs.
    #[error("the address isn't verified")]
    NotVerified,
    /// Too many wrong passwords; none is looked at for so long.
    #[error("too many wrong passwords")]
    TooManyWrong(Duration),
    /// The caller's own password is another.
    #[error("the password is wrong")]
    WrongPassword,
    /// What the caller names isn't there, or not for them; the text is for people.
    #[error("{0}")]
    NotFound(&'static str),
    /// There are as many as there may be; the text is for people.
    #[error("{0}")]
    TooMany(&'static str),
    /// An organisation would have no owner.
    #[error("the last owner of an organisation")]
    LastOwner,
    /// An administrator disabled the account.
    #[error("the account is disabled")]
    Disabled,
    /// The account is being deleted.
    #[error("the account is closed")]
    Closed,
    /// Another deletion of the account is under way.
    #[error("the account is being deleted already")]
    Closing,
    /// The account isn't being deleted, or not any more.
    #[error("the account isn't closed")]
    NotClosed,
    /// The id names something else.
    #[error("the id is taken")]
    IdTaken,
    /// Too many passwords are being hashed.
    #[error("too many sign-ins at once")]
    Overloaded,
    /// What the caller's token came to.
    #[error(transparent)]
    Caller(#[from] Failure),
    /// Postgres.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// Password hashing.
    #[error("password hashing")]
    Hash(#[from] argon2::password_hash::Error),
    /// Hashing panicked.
    #[error("a hashing thread ended early")]
    Thread,
    /// Signing an access token.
    #[error("signing a token")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Invalid(fields) => {
                let words: Vec<String> = fields
                    .iter()
                    .map(|violation| format!("{}: {}", violation.field, violation.why))
                    .collect();
                let failure = Self::new(ErrorCode::InvalidRequest, words.join("; "));
                fields.into_iter().fold(failure, |failure, violation| {
                    failure.and_field(&violation.field, violation.why)
                })
            }
            CallError::EmailTaken => Self::new(
                ErrorCode::AlreadyExists,
                "an account with this e-mail address exists",
            )
            .and_field("email", "has an account already"),
            CallError::Unauthorized(words) => Self::new(ErrorCode::Unauthorized, words),
            CallError::RoleNeeded(role) => {
                Self::new(ErrorCode::Forbidden, format!("role {role} is needed"))
            }
            CallError::UserNotFound => Self::new(
                ErrorCode::UserNotFound,
                "no account has this e-mail address",
            ),
            CallError::Overloaded => Self::new(
                ErrorCode::RateLimited,
                "too many sign-ins at once; try again",
            )
            .with_retry_after(RETRY_AFTER),
            CallError::TooManyWrong(wait) => Self::new(
                ErrorCode::RateLimited,
                "too many wrong passwords; wait as long as Retry-After says, or set a new one by mail",
            )
            .with_retry_after(wait.max(RETRY_AFTER)),
            CallError::WrongPassword => {
                Self::new(ErrorCode::Forbidden, "the password is wrong")
            }
            CallError::NotFound(words) => Self::new(ErrorCode::NotFound, words),
            CallError::TooMany(words) => Self::new(ErrorCode::InvalidState, words),
            CallError::NotVerified => Self::new(
                ErrorCode::InvalidState,
                "nobody has verified this address yet; its owner does by the link in the letter",
            ),
            CallError::LastOwner => Self::new(
                ErrorCode::InvalidState,
                "an organisation has an owner: make somebody else one first",
            ),
            CallError::Disabled => Self::new(ErrorCode::InvalidState, "the account is disabled"),
            CallError::Closed => Self::new(
                ErrorCode::Unavailable,
                "the account is being deleted; if it stays, it can be used again in two minutes at most",
            )
            .with_retry_after(RETRY_AFTER),
            CallError::Closing => Self::new(
                ErrorCode::InvalidState,
                "the account is being deleted already; if it stays, begin anew in two minutes",
            ),
            CallError::NotClosed => Self::new(
                ErrorCode::InvalidState,
                "the account isn't being deleted, or not any more; begin anew",
            ),
            CallError::IdTaken => Self::new(
                ErrorCode::AlreadyExists,
                "this id is taken by something else",
            ),
            CallError::Caller(failure) => failure,
            CallError::Database(ref cause) if is_away(cause) => {
                tracing::warn!(error = %cause, "the database doesn't answer");
                Self::new(
                    ErrorCode::Unavailable,
                    "sign-in is not available right now; try again",
                )
                .with_retry_after(RETRY_AFTER)
            }
            CallError::Database(_)
            | CallError::Hash(_)
            | CallError::Thread
            | CallError::Sign(_) => Self::internal(&error),
        }
    }
}

/// Whether a retry may find Postgres back.
fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| passes(&code)),
        _ => false,
    }
}

/// Whether an SQLSTATE may be gone at the next try. Classes: connection, resources, operator
/// intervention (a statement that took too long, too), serialisation and deadlock; and a server
/// that has become a standby.
fn passes(code: &str) -> bool {
    ["08", "53", "57", "40", "25006"]
        .iter()
        .any(|class| code.starts_with(class))
}

/// Collects what is wrong with a request, so that all of it is told at once.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<FieldViolation>);

impl Checks {
    /// The value, or a note of what is wrong with `field`.
    pub(crate) fn take<T>(
        &mut self,
        field: impl Into<String>,
        value: Result<T, &'static str>,
    ) -> Option<T> {
        value
            .map_err(|why| {
                self.0.push(FieldViolation {
                    field: field.into(),
                    why: why.to_owned(),
                })
            })
            .ok()
    }

    /// Whether nothing was noted.
    pub(crate) fn are_passed(&self) -> bool {
        self.0.is_empty()
    }

    /// The refusal of everything noted.
    pub(crate) fn refuse<T>(self) -> Result<T, CallError> {
        Err(CallError::Invalid(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn deadlocks_and_failovers_pass_and_mistakes_do_not() {
        for code in [
            "40001", "40P01", "25006", "57014", "57P01", "08006", "53300",
        ] {
            assert!(passes(code), "{code}");
        }
        for code in ["23505", "42P01", "22003", "25001"] {
            assert!(!passes(code), "{code}");
        }
    }
}
