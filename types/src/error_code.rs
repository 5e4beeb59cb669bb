//! The one error table: a code, and what it is in gRPC and in HTTP.

use std::str::FromStr;

/// gRPC status codes, by number, so that this crate needs no gRPC library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are gRPC's own")]
pub enum GrpcCode {
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $grpc:ident, $http:literal;)+) => {
        /// Why a request was refused. The text is `error_code` in REST and `ErrorInfo.reason` in gRPC.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[$doc])* $variant,)+ }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The gRPC status.
            pub const fn grpc(self) -> GrpcCode {
                match self { $(Self::$variant => GrpcCode::$grpc),+ }
            }

            /// The HTTP status.
            pub const fn http(self) -> u16 {
                match self { $(Self::$variant => $http),+ }
            }
        }

        impl FromStr for ErrorCode {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(()) }
            }
        }
    };
}

error_codes! {
    /// A field is missing, malformed or out of bounds; the details name it.
    InvalidRequest = "INVALID_REQUEST", InvalidArgument, 400;
    /// The route needs an `Idempotency-Key`.
    IdempotencyKeyRequired = "IDEMPOTENCY_KEY_REQUIRED", InvalidArgument, 400;
    /// No token, or one that is expired, forged or revoked.
    Unauthorized = "UNAUTHORIZED", Unauthenticated, 401;
    /// Known, but not allowed.
    Forbidden = "FORBIDDEN", PermissionDenied, 403;
    /// The show has a waiting room and the caller is not admitted.
    QueueRequired = "QUEUE_REQUIRED", PermissionDenied, 403;
    /// No such route or thing of no kind of its own.
    NotFound = "NOT_FOUND", NotFound, 404;
    /// No such account.
    UserNotFound = "USER_NOT_FOUND", NotFound, 404;
    /// No such venue.
    VenueNotFound = "VENUE_NOT_FOUND", NotFound, 404;
    /// No such plan.
    PlanNotFound = "PLAN_NOT_FOUND", NotFound, 404;
    /// No such performer, or somebody else's.
    PerformerNotFound = "PERFORMER_NOT_FOUND", NotFound, 404;
    /// No such event.
    EventNotFound = "EVENT_NOT_FOUND", NotFound, 404;
    /// No such show, or one that isn't public.
    ShowNotFound = "SHOW_NOT_FOUND", NotFound, 404;
    /// No such seat in that show.
    SeatNotFound = "SEAT_NOT_FOUND", NotFound, 404;
    /// No such hold, or somebody else's.
    HoldNotFound = "HOLD_NOT_FOUND", NotFound, 404;
    /// No such booking, or somebody else's.
    BookingNotFound = "BOOKING_NOT_FOUND", NotFound, 404;
    /// No such payment.
    PaymentNotFound = "PAYMENT_NOT_FOUND", NotFound, 404;
    /// The route exists, the method doesn't.
    MethodNotAllowed = "METHOD_NOT_ALLOWED", InvalidArgument, 405;
    /// The request didn't arrive in time.
    RequestTimeout = "REQUEST_TIMEOUT", InvalidArgument, 408;
    /// Another customer holds it right now.
    SeatLocked = "SEAT_LOCKED", FailedPrecondition, 409;
    /// Sold or blocked.
    SeatNotAvailable = "SEAT_NOT_AVAILABLE", FailedPrecondition, 409;
    /// Draft, paused, closed or cancelled.
    ShowNotOnSale = "SHOW_NOT_ON_SALE", FailedPrecondition, 409;
    /// More seats than the show allows one customer.
    SeatLimitExceeded = "SEAT_LIMIT_EXCEEDED", FailedPrecondition, 409;
    /// A single seat would be left over.
    LeavesLoneSeat = "LEAVES_LONE_SEAT", FailedPrecondition, 409;
    /// The same request is being worked on.
    InProgress = "IN_PROGRESS", Aborted, 409;
    /// The thing's state doesn't allow it.
    InvalidState = "INVALID_STATE", FailedPrecondition, 409;
    /// Something with that name is there already.
    AlreadyExists = "ALREADY_EXISTS", AlreadyExists, 409;
    /// The hold ran out.
    HoldExpired = "HOLD_EXPIRED", FailedPrecondition, 410;
    /// It has another version than the one that the change is for.
    PreconditionFailed = "PRECONDITION_FAILED", Aborted, 412;
    /// The body is larger than the route reads.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", InvalidArgument, 413;
    /// The body is of a type the route doesn't read.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", InvalidArgument, 415;
    /// The key was used with another body.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", FailedPrecondition, 422;
    /// Too many requests, or a full queue; a retry later helps.
    RateLimited = "RATE_LIMITED", ResourceExhausted, 429;
    /// A part is down or without quorum; a retry helps.
    Unavailable = "UNAVAILABLE", Unavailable, 503;
    /// A defect of ours; nothing internal is shown.
    InternalError = "INTERNAL_ERROR", Internal, 500;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip_and_are_distinct() {
        for code in ErrorCode::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
            assert!((400..600).contains(&code.http()));
        }
    }
}
