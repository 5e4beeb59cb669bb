//! Where a list goes on: the key of the last item of a page, as text that callers hand back.
//!
//! Always holds: what [`FromStr`] accepts is what `Display` wrote, and nothing else. A cursor is
//! not secret and not bound to filters. The first letter tells lists apart, the digit versions.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use holdfast_types::{EventId, ShowId};
use uuid::Uuid;

/// Text that is no cursor of that list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not one that this list gave out")]
pub(crate) struct CursorError;

/// After this show; shows are listed by start, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShowCursor {
    pub(crate) starts_at: DateTime<Utc>,
    pub(crate) show_id: ShowId,
}

impl fmt::Display for ShowCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ms, id) = (self.starts_at.timestamp_millis(), self.show_id.as_uuid());
        write!(f, "s1{ms:016x}{}", id.simple())
    }
}

impl FromStr for ShowCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (ms, id) = text
            .strip_prefix("s1")
            .and_then(|rest| rest.split_at_checked(16))
            .ok_or(CursorError)?;
        let ms = i64::from_str_radix(ms, 16).map_err(|_| CursorError)?;
        let starts_at = DateTime::from_timestamp_millis(ms).ok_or(CursorError)?;
        let cursor = Self {
            starts_at,
            show_id: simple(id)?.into(),
        };
        // One spelling only: signs and upper case parse too.
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(CursorError)
        }
    }
}

/// After this event; events are listed by id, descending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventCursor {
    pub(crate) event_id: EventId,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e1{}", self.event_id.as_uuid().simple())
    }
}

impl FromStr for EventCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let id = text.strip_prefix("e1").ok_or(CursorError)?;
        let cursor = Self {
            event_id: simple(id)?.into(),
        };
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(CursorError)
        }
    }
}

/// After the thing of this id, in a list of a caller's own by id, descending. `KIND` tells whose list it
/// is: venues, plans, performers, events, shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnCursor<const KIND: char>(pub(crate) Uuid);

impl<const KIND: char> fmt::Display for OwnCursor<KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}1{}", self.0.simple())
    }
}

impl<const KIND: char> FromStr for OwnCursor<KIND> {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let id = text
            .strip_prefix(KIND)
            .and_then(|rest| rest.strip_prefix('1'));
        let cursor = Self(simple(id.ok_or(CursorError)?)?);
        if cursor.to_string() == text {
            Ok(cursor)
        } else {
            Err(CursorError)
        }
    }
}

fn simple(text: &str) -> Result<Uuid, CursorError> {
    Uuid::try_parse(text).map_err(|_| CursorError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_other_text_is_refused() {
        let show = ShowCursor {
            starts_at: DateTime::from_timestamp_millis(1_800_000_000_123).expect("in range"),
            show_id: ShowId::from_bytes([0xab; 16]),
        };
        let event = EventCursor {
            event_id: EventId::from_bytes([0xcd; 16]),
        };
        assert_eq!(show.to_string().parse(), Ok(show));
        assert_eq!(event.to_string().parse(), Ok(event));
        let texts = [
            "",
            "s1",
            "e1",
            "s1é",
            "x",
            &event.to_string(),
            &show.to_string().to_uppercase(),
        ];
        for text in texts {
            assert_eq!(text.parse::<ShowCursor>(), Err(CursorError), "{text}");
        }
        for text in ["", "e1", "e1{}", &show.to_string(), &format!("{event} ")] {
            assert_eq!(text.parse::<EventCursor>(), Err(CursorError), "{text}");
        }
        let own = OwnCursor::<'v'>(Uuid::from_bytes([0xef; 16]));
        assert_eq!(own.to_string().parse(), Ok(own));
        for text in [
            "",
            "v1",
            "v1é",
            &event.to_string(),
            &own.to_string().to_uppercase(),
        ] {
            assert_eq!(text.parse::<OwnCursor<'v'>>(), Err(CursorError), "{text}");
        }
        assert!(own.to_string().parse::<OwnCursor<'p'>>().is_err());
        assert!(
            format!("s1+00000000000000{}", "0".repeat(33))
                .parse::<ShowCursor>()
                .is_err()
        );
    }
}
