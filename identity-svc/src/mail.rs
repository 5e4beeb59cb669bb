//! Mail about accounts: an outbox, and the task that sends what is in it.
//!
//! Always holds: a letter is written in the transaction of what it tells, so it is sent if and only if that
//! happened, at least once; a mailed token is made when its letter is sent, so the outbox has none; a letter
//! that isn't taken is tried again, each time later, and given up after [`ATTEMPTS_MAX`], which is logged and
//! counted. Nothing that a stranger wrote is in a header: addresses are ASCII of few kinds
//! (`account::Email`), subjects are ours. Leaves to others: all mail that isn't about an account.

mod letter;
mod sink;

use std::time::Duration;

use futures::future::join_all;
use sqlx::PgPool;

pub(crate) use self::letter::Kind;
use self::letter::Written;
pub(crate) use self::sink::Sink;
use crate::{
    account::Email,
    metrics,
    store::{
        mail::{self, Due},
        mailed_tokens::{self, Purpose},
        organisations,
    },
    token,
};

/// How often the outbox is looked at: what people wait for in front of a page.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Letters of one statement, sent at once; the SMTP pool has as many connections.
const BATCH_MAX: u32 = 10;

/// Batches of one look.
const BATCHES_MAX: usize = 10;

/// After so many a letter is given up: eleven hours and a half.
const ATTEMPTS_MAX: u32 = 18;

/// Wait after the first attempt; each further is three times as long, up to the longest.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// Longest account of a failure that is kept.
const ERROR_CHARS_MAX: usize = 300;

/// How long ended letters are kept: as long as they count for how many there may be, and a day for
/// operators to look at.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Sends what is due; called again and again.
pub(crate) async fn send_due(pool: &PgPool, sink: &Sink, links: &str) -> Result<(), sqlx::Error> {
    for _ in 0..BATCHES_MAX {
        let due = mail::claim(pool, BATCH_MAX).await?;
        let full = due.len() >= BATCH_MAX as usize;
        let sent = join_all(due.iter().map(|due| send(pool, sink, links, due))).await;
        sent.into_iter().collect::<Result<(), _>>()?;
        if !full {
            break;
        }
    }
    Ok(())
}

/// Forgets at most `limit` letters that ended, or that nothing could send for as long, as many that were for
/// nobody, and tokens that have run out; how many letters of the kind of which there were more.
pub(crate) async fn sweep(pool: &PgPool, limit: u32) -> Result<u64, sqlx::Error> {
    mailed_tokens::delete_expired(pool, limit).await?;
    let to_nobody = mail::delete_to_nobody(pool, limit).await?;
    Ok(to_nobody.max(mail::delete_old(pool, KEPT, limit).await?))
}

async fn send(pool: &PgPool, sink: &Sink, links: &str, due: &Due) -> Result<(), sqlx::Error> {
    let Some(written) = write(pool, links, due).await? else {
        // Nobody has the address, or nothing is left to say. It counts as one that was sent does, so that who
        // asks for more learns nothing from how long that takes.
        return mail::end_to_nobody(pool, due.mail_id).await;
    };
    let failed = match sink.deliver(due.mail_id, &due.recipient, written).await {
        Ok(()) => {
            ::metrics::counter!(metrics::MAILS, "outcome" => "sent").increment(1);
            return mail::end(pool, due.mail_id, true, None).await;
        }
        Err(failed) => failed,
    };
    let why: String = failed.to_string().chars().take(ERROR_CHARS_MAX).collect();
    if failed.is_final() || due.attempts >= ATTEMPTS_MAX {
        ::metrics::counter!(metrics::MAILS, "outcome" => "given_up").increment(1);
        tracing::error!(
            mail.id = %due.mail_id, mail.kind = due.kind.as_str(), attempts = due.attempts, error = why,
            "a mail is given up"
        );
        return mail::end(pool, due.mail_id, false, Some(&why)).await;
    }
    ::metrics::counter!(metrics::MAILS, "outcome" => "failed").increment(1);
    tracing::warn!(
        mail.id = %due.mail_id, mail.kind = due.kind.as_str(), attempts = due.attempts, error = why,
        "a mail wasn't sent and is tried again"
    );
    mail::retry(pool, due.mail_id, retry_after(due.attempts), &why).await
}

fn retry_after(attempts: u32) -> Duration {
    let times = 3_u32.saturating_pow(attempts.saturating_sub(1));
    RETRY_FIRST.saturating_mul(times).min(RETRY_MAX)
}

/// The letter as it is now; none if there is nobody to send it to.
async fn write(pool: &PgPool, links: &str, due: &Due) -> Result<Option<Written>, sqlx::Error> {
    let (token, hash) = token::new_secret_token();
    if due.kind == Kind::Invitation {
        let invitation = due.about_id.unwrap_or_default();
        let name = organisations::note_token(pool, invitation, &hash).await?;
        return Ok(name.map(|name| due.kind.write(links, &token, &name)));
    }
    if due.kind.is_of_organisation() {
        let organisation = due.about_id.unwrap_or_default();
        let name = organisations::name(&mut *pool.acquire().await?, organisation).await?;
        return Ok(name.map(|name| due.kind.write(links, "", &name)));
    }
    let Some(purpose) = due.kind.purpose() else {
        return Ok(Some(due.kind.write(links, "", "")));
    };
    // A row that was written by hand may have anything.
    let Ok(recipient) = Email::parse(&due.recipient) else {
        return Ok(None);
    };
    let ttl = match purpose {
        Purpose::VerifyEmail => token::VERIFY_TTL,
        Purpose::ResetPassword => token::RESET_TTL,
    };
    let for_somebody = mailed_tokens::insert(pool, &recipient, purpose, &hash, ttl).await?;
    Ok(for_somebody.then(|| due.kind.write(links, &token, "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_waits_longer_up_to_an_hour() {
        let waits: Vec<u64> = (1..=9).map(|nth| retry_after(nth).as_secs()).collect();
        assert_eq!(waits, [5, 15, 45, 135, 405, 1_215, 3_600, 3_600, 3_600]);
        assert_eq!(retry_after(u32::MAX), RETRY_MAX);
    }
}
