//! One newtype per id, so that ids of different things can't be exchanged.
//!
//! All are 16 bytes and print as a hyphenated UUID. The text form is what clients see; parsing
//! accepts nothing else.

use std::{fmt, str::FromStr};

use uuid::Uuid;

/// A text or byte string that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind} id: expected a UUID")]
pub struct IdError {
    /// Which id was expected, e.g. `show`.
    pub kind: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an existing UUID.
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID inside.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }

            /// From exactly 16 bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// From a wire field, which must be exactly 16 bytes long.
            ///
            /// # Errors
            /// [`IdError`] for any other length.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
                Uuid::from_slice(bytes).map(Self).map_err(|_| IdError { kind: $kind })
            }

            /// The 16 bytes.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.into_bytes()
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0.hyphenated())
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(IdError { kind: $kind });
                }
                Uuid::try_parse(text).map(Self).map_err(|_| IdError { kind: $kind })
            }
        }
    };
}

id!(
    /// An account.
    UserId, "user"
);
id!(
    /// A place.
    VenueId, "venue"
);
id!(
    /// A venue's seating.
    PlanId, "plan"
);
id!(
    /// Who is on.
    PerformerId, "performer"
);
id!(
    /// What is on.
    EventId, "event"
);
id!(
    /// One event at one venue at one time: the thing one buys for.
    ShowId, "show"
);
id!(
    /// The store's own id of a hold: the caller chooses it, and it is the idempotency key.
    HoldId, "hold"
);
id!(
    /// A purchase.
    BookingId, "booking"
);
id!(
    /// One attempt to collect money.
    PaymentId, "payment"
);
id!(
    /// One seat of a confirmed booking.
    TicketId, "ticket"
);

/// A place in a show, dense from 0.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct SeatNo(pub u32);

impl fmt::Display for SeatNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SeatNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_text_round_trips_and_other_text_is_refused() {
        let id = ShowId::from_bytes([7; 16]);
        assert_eq!(id.to_string().parse::<ShowId>(), Ok(id));
        for text in [
            "",
            "x",
            "07070707070707070707070707070707",
            "{07070707-0707-0707-0707-070707070707}",
        ] {
            assert_eq!(
                text.parse::<ShowId>(),
                Err(IdError { kind: "show" }),
                "{text}"
            );
        }
        assert!(BookingId::from_slice(&[1; 15]).is_err());
    }
}
