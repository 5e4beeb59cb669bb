//! Looking again: a difference counts only if it is there at every look for a while.
//!
//! Always holds: a purchase that goes on while it is looked at is no finding, because the same seat, fence,
//! booking or payment differs at one look only.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::report::Finding;

/// Looks at least, however short the time.
const LOOKS_MIN: u32 = 4;
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long a difference must last.
pub(super) struct Looks {
    settle: Duration,
    /// The first pause; each is twice the one before.
    pause: Duration,
}

impl Looks {
    pub(super) const fn new(settle: Duration) -> Self {
        Self {
            settle,
            pause: PAUSE_MIN,
        }
    }

    /// What `look` finds at every look. It is told what is still suspected, from the second look on.
    ///
    /// # Errors
    /// The first of `look`.
    pub(super) async fn lasting(
        &self,
        mut look: impl AsyncFnMut(Option<&[Finding]>) -> anyhow::Result<Vec<Finding>>,
    ) -> anyhow::Result<Vec<Finding>> {
        let begun = Instant::now();
        let mut suspected = look(None).await?;
        let (mut looks, mut pause) = (1, self.pause);
        while !suspected.is_empty() && (looks < LOOKS_MIN || begun.elapsed() < self.settle) {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            let found = look(Some(&suspected)).await?;
            suspected.retain(|before| found.iter().any(|now| now.is_about(before)));
            looks += 1;
        }
        Ok(suspected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOKS: Looks = Looks {
        settle: Duration::from_millis(20),
        pause: Duration::from_millis(1),
    };

    fn finding(kind: &str, what: &str) -> Finding {
        Finding::new("HS-1", kind, what)
    }

    #[tokio::test]
    async fn only_what_is_there_at_every_look_is_found() {
        let mut nth = 0;
        let found = LOOKS.lasting(async |suspected| {
            nth += 1;
            assert_eq!(suspected.is_none(), nth == 1);
            let mut found = vec![finding("STAYS", &format!("look {nth}"))];
            // One goes, another comes and goes, a third comes late.
            if nth != 2 {
                found.push(finding("GOES", "and comes again"));
            }
            if nth > 1 {
                found.push(finding("LATE", "too late for this audit"));
            }
            Ok(found)
        });
        let found = found.await.expect("looks");
        assert_eq!(found, [finding("STAYS", "look 1")]);
        assert!(nth >= LOOKS_MIN, "{nth} looks");
    }

    #[tokio::test]
    async fn nothing_suspected_is_looked_at_once() {
        let mut nth = 0;
        let found = LOOKS.lasting(async |_| {
            nth += 1;
            Ok(Vec::new())
        });
        assert_eq!((found.await.expect("looks"), nth), (Vec::new(), 1));
    }
}
