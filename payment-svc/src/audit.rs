//! What the provider says of money, compared with what the books say (BK-2), both ways: money that it has
//! or sent back and we don't know of, and money that we say it has or sent back and it doesn't.
//!
//! Always holds: reads only, page by page; a difference counts only when it is older than what may be under
//! way, and is still there when the books are read again. Leaves to others: the books within themselves
//! ([`check_ledger`](crate::check_ledger)), and what bookings know of them.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use holdfast_types::{Money, PaymentId};
use sqlx::PgPool;

use crate::{
    Config, Error, ProviderName,
    provider::{self, Listed, Provider, Sandbox, Status, Stripe},
    store::compare::{self, Standing},
};

/// What was captured or refunded less long before the audit may have been under way when the provider was
/// asked: longer than one of its answers takes.
const SETTLED: Duration = Duration::from_secs(15);

/// Findings of one audit at most; the first tell enough.
pub const PROVIDER_FINDINGS_MAX: usize = 1_000;

/// Pages in a row that the provider may be asked for: a cursor that goes in circles ends.
const PAGES_MAX: u64 = 10_000_000;

/// Payments of ours looked up at once.
const PAYMENTS_PER_PAGE: u32 = 100;

/// Tries of one question to the provider, and what is waited between them.
const TRIES: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the provider wasn't compared.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The database refused, or is away.
    #[error("database")]
    Database(#[from] sqlx::Error),
    /// A setting can't be used.
    #[error(transparent)]
    Setup(#[from] Error),
    /// The provider can't be asked.
    #[error("the provider can't be asked: {0}")]
    Provider(String),
}

impl From<provider::Error> for AuditError {
    fn from(error: provider::Error) -> Self {
        Self::Provider(error.to_string())
    }
}

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderFinding {
    /// `PAID_UNKNOWN`, `PAID_NOT_CAPTURED`, `CAPTURED_NOT_PAID`, `REFUND_UNKNOWN`, `REFUND_NOT_SENT`.
    pub kind: &'static str,
    /// The payment, where it is one of ours.
    pub payment_id: Option<PaymentId>,
    /// What differs.
    pub what: String,
}

/// What was compared, and how it differs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderReport {
    /// The provider's name.
    pub provider: &'static str,
    /// Sessions that it listed.
    pub sessions: u64,
    /// Those of them that are paid.
    pub paid: u64,
    /// Those of which money went back.
    pub refunded: u64,
    /// Payments of ours with captured money.
    pub captured: u64,
    /// The first [`PROVIDER_FINDINGS_MAX`].
    pub findings: Vec<ProviderFinding>,
}

/// Compares all sessions of the provider that `config` names with the books. What is paid for less than
/// `grace` may be under way to us. `said` is told of the sessions compared so far.
///
/// # Errors
/// [`AuditError`]: then nothing is known.
pub async fn audit_provider(
    config: &Config,
    pool: &PgPool,
    grace: Duration,
    said: impl FnMut(u64),
) -> Result<ProviderReport, AuditError> {
    match config.provider {
        ProviderName::Sandbox => {
            let provider = Sandbox::new(config).map_err(Error::from)?;
            compare(&provider, pool, grace, said).await
        }
        ProviderName::Stripe => compare(&Stripe::new(config), pool, grace, said).await,
    }
}

async fn compare<P: Provider>(
    provider: &P,
    pool: &PgPool,
    grace: Duration,
    mut said: impl FnMut(u64),
) -> Result<ProviderReport, AuditError> {
    let mut report = ProviderReport {
        provider: P::NAME,
        ..ProviderReport::default()
    };
    // Before the first page: each of them must be in one.
    let then = compare::moment(pool, SETTLED).await?;
    report.captured = compare::captured_count(pool, P::NAME, then).await?;
    let mut suspects: Vec<Listed> = Vec::new();
    let (mut matched, mut cursor) = (0_u64, None);
    for _ in 0..PAGES_MAX {
        let page = ask(async || provider.sessions_after(cursor.as_deref()).await).await?;
        let standings = standings(pool, &page.sessions, then).await?;
        for listed in page.sessions {
            report.sessions += 1;
            report.refunded += u64::from(listed.refunded > 0);
            let standing = listed.payment_id.and_then(|id| standings.get(&id));
            if let Status::Paid(money) = listed.session.status {
                report.paid += 1;
                let is_ours = |ours: &Standing| ours.is_settled && ours.captured == Some(money);
                matched += u64::from(standing.is_some_and(is_ours));
            }
            let differs = difference(&listed, standing, grace).is_some();
            if differs && suspects.len() < PROVIDER_FINDINGS_MAX {
                suspects.push(listed);
            }
        }
        said(report.sessions);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    if cursor.is_some() {
        return Err(AuditError::Provider("its list has no end".to_owned()));
    }
    // What it said stays true; the books may have caught up.
    for suspects in suspects.chunks(PAYMENTS_PER_PAGE as usize) {
        let standings = standings(pool, suspects, then).await?;
        for listed in suspects {
            let standing = listed.payment_id.and_then(|id| standings.get(&id));
            report
                .findings
                .extend(
                    difference(listed, standing, grace).map(|(kind, what)| ProviderFinding {
                        kind,
                        payment_id: standing.map(|ours| ours.payment_id),
                        what,
                    }),
                );
        }
    }
    if matched < report.captured {
        unlisted(provider, pool, then, &mut report).await?;
    }
    Ok(report)
}

async fn standings(
    pool: &PgPool,
    listed: &[Listed],
    then: DateTime<Utc>,
) -> Result<HashMap<uuid::Uuid, Standing>, sqlx::Error> {
    let ids: Vec<_> = listed.iter().filter_map(|one| one.payment_id).collect();
    let standings = compare::standings(pool, &ids, then).await?;
    let by_id = |standing: Standing| (standing.payment_id.as_uuid(), standing);
    Ok(standings.into_iter().map(by_id).collect())
}

/// How a session differs from what we have of it.
fn difference(
    listed: &Listed,
    ours: Option<&Standing>,
    grace: Duration,
) -> Option<(&'static str, String)> {
    let session = &listed.session;
    let id = &session.session_id;
    let ours = ours.filter(|ours| ours.session_id.as_ref().is_none_or(|known| known == id));
    let is_old = listed.paid_at.is_none_or(|paid_at| {
        Utc::now()
            .signed_duration_since(paid_at)
            .to_std()
            .is_ok_and(|age| age >= grace)
    });
    match (&session.status, ours) {
        (Status::Paid(money), None) if is_old => Some((
            "PAID_UNKNOWN",
            format!(
                "session {id} is paid with {}, and no payment is known",
                text(*money)
            ),
        )),
        (Status::Paid(money), Some(ours)) if is_old && ours.captured != Some(*money) => Some((
            "PAID_NOT_CAPTURED",
            format!(
                "session {id} is paid with {}, and {} is captured",
                text(*money),
                ours.captured.map_or_else(|| "nothing".to_owned(), text)
            ),
        )),
        (status, Some(ours)) if !matches!(status, Status::Paid(_)) && ours.is_settled => {
            let captured = ours.captured.filter(|money| money.amount > 0)?;
            Some((
                "CAPTURED_NOT_PAID",
                format!(
                    "{} is captured, and session {id} isn't paid",
                    text(captured)
                ),
            ))
        }
        (_, None) => None,
        (_, Some(ours)) if listed.refunded > ours.refunds_known => Some((
            "REFUND_UNKNOWN",
            format!(
                "of session {id} {} went back, and {} is known",
                listed.refunded, ours.refunds_known
            ),
        )),
        (_, Some(ours)) if listed.refunded < ours.refunds_settled => Some((
            "REFUND_NOT_SENT",
            format!(
                "{} is booked as refunded, and of session {id} {} went back",
                ours.refunds_settled, listed.refunded
            ),
        )),
        _ => None,
    }
}

/// Names the captured payments that the provider has no session of: some are missing in its list.
async fn unlisted<P: Provider>(
    provider: &P,
    pool: &PgPool,
    then: DateTime<Utc>,
    report: &mut ProviderReport,
) -> Result<(), AuditError> {
    let mut after = PaymentId::from_bytes([0; 16]);
    while report.findings.len() < PROVIDER_FINDINGS_MAX {
        let page =
            compare::captured_sessions(pool, P::NAME, after, then, PAYMENTS_PER_PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (payment_id, session_id) in page {
            let is_there = match &session_id {
                Some(id) => has_session(provider, id).await?,
                None => false,
            };
            if !is_there {
                report.findings.push(ProviderFinding {
                    kind: "CAPTURED_NOT_PAID",
                    payment_id: Some(payment_id),
                    what: "its money is captured, and the provider has no such session".to_owned(),
                });
            }
        }
    }
    Ok(())
}

async fn has_session<P: Provider>(provider: &P, session_id: &str) -> Result<bool, provider::Error> {
    match ask(async || provider.session(session_id).await).await {
        Ok(_) => Ok(true),
        Err(provider::Error::NoSession(_) | provider::Error::Elsewhere(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Asks again where no answer came.
async fn ask<T>(
    mut question: impl AsyncFnMut() -> Result<T, provider::Error>,
) -> Result<T, provider::Error> {
    let mut tries = 1;
    loop {
        match question().await {
            Err(provider::Error::Unknown(_)) if tries < TRIES => tries += 1,
            answer => return answer,
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

fn text(money: Money) -> String {
    format!("{} {}", money.amount, money.currency)
}
