//! The states of things, with the text each has on the wire and in the database.

/// Text that names no state of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {kind} state {text:?}")]
pub struct StateError {
    /// Which thing, e.g. `booking`.
    pub kind: &'static str,
    /// What was read.
    pub text: String,
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident, $kind:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $text)] $variant,)+ }

        impl $name {
            /// Every state, in the order in which things go through them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text on the wire and in the database.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = StateError;

            fn from_str(text: &str) -> Result<Self, StateError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(StateError { kind: $kind, text: other.to_owned() }),
                }
            }
        }
    };
}

states!(
    /// What a seat is at one revision (HS-1).
    SeatState, "seat", {
        /// Anyone may hold it.
        Available = "AVAILABLE",
        /// One live hold has it.
        Held = "HELD",
        /// One booking has it.
        Sold = "SOLD",
        /// Staff took it off sale.
        Blocked = "BLOCKED",
    }
);
states!(
    /// Whether a show sells.
    ShowState, "show", {
        /// Being prepared; not in the store yet.
        Draft = "DRAFT",
        /// Holds are granted.
        OnSale = "ON_SALE",
        /// No new holds; those there are go on.
        Paused = "PAUSED",
        /// Over.
        Closed = "CLOSED",
        /// Called off; refunds follow.
        Cancelled = "CANCELLED",
    }
);
states!(
    /// Where a purchase stands.
    BookingState, "booking", {
        /// Seats held, money awaited.
        PendingPayment = "PENDING_PAYMENT",
        /// Paid, seats sold, tickets issued.
        Confirmed = "CONFIRMED",
        /// Not paid in time.
        Expired = "EXPIRED",
        /// Could not be completed; any money went back.
        Failed = "FAILED",
        /// Called off by the customer or the organiser.
        Cancelled = "CANCELLED",
    }
);
states!(
    /// Where one attempt to collect money stands.
    PaymentState, "payment", {
        /// The provider was asked for a session; its answer is not known yet.
        CreatingSession = "CREATING_SESSION",
        /// The customer can pay.
        SessionCreated = "SESSION_CREATED",
        /// The money was captured.
        Succeeded = "SUCCEEDED",
        /// The provider said no.
        Failed = "FAILED",
        /// Nobody will pay this one.
        Cancelled = "CANCELLED",
    }
);
states!(
    /// What becomes of money that comes after its hold has ended; a rule of the show.
    LateMoney, "late money", {
        /// The same seats are held again and sold, if they can be had; otherwise it goes back.
        Rebook = "REBOOK",
        /// It goes back at once.
        Refund = "REFUND",
    }
);
states!(
    /// Whether a ticket lets somebody in.
    TicketState, "ticket", {
        /// Good for one entry.
        Valid = "VALID",
        /// Was let in.
        Used = "USED",
        /// Good for nothing any more.
        Void = "VOID",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_unknown_text_is_refused() {
        for state in BookingState::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
        }
        assert!("confirmed".parse::<BookingState>().is_err());
    }
}
