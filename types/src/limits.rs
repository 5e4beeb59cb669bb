//! Limits that more than one part must agree on. Each says how it was chosen.

use crate::DurationMs;

/// Seats in one hold. A school class fits; a bot's sweep doesn't. Bounds the work of one command.
pub const SEATS_PER_HOLD_MAX: usize = 64;

/// Seats in one show: the largest stadium halls; bounds a show's memory and the seat map.
pub const SEATS_PER_SHOW_MAX: u32 = 100_000;

/// Seats in one chunk of a layout sent to the store: keeps an entry well under a megabyte.
pub const LAYOUT_CHUNK_SEATS_MAX: usize = 4_096;

/// The cap per customer that a show has when its organiser names none.
pub const SEATS_PER_CUSTOMER_DEFAULT: u32 = 10;

/// Fees of one show: more names nobody reads before paying.
pub const FEES_PER_SHOW_MAX: usize = 5;

/// Longest name of a fee, in bytes: a line on a page that asks for payment.
pub const FEE_NAME_BYTES_MAX: usize = 60;

/// How long a hold lives when the show names nothing: time to find a card.
pub const HOLD_TTL_DEFAULT: DurationMs = DurationMs::from_secs(10 * 60);

/// Shortest TTL a show may set. Tests use it; people need more.
pub const HOLD_TTL_MIN: DurationMs = DurationMs::from_secs(1);

/// Longest TTL a show may set.
pub const HOLD_TTL_MAX: DurationMs = DurationMs::from_secs(60 * 60);

/// How long a hold may live in total, extensions included, when the show names nothing.
pub const HOLD_TOTAL_DEFAULT: DurationMs = DurationMs::from_secs(30 * 60);

/// Longest total a show may set.
pub const HOLD_TOTAL_MAX: DurationMs = DurationMs::from_secs(2 * 60 * 60);

/// How far ahead of cluster time a request's `not_after` may lie.
pub const NOT_AFTER_AHEAD_MAX: DurationMs = DurationMs::from_secs(60);

/// How long a finished request is remembered at least.
pub const FINISHED_REQUEST_KEPT: DurationMs = DurationMs::from_secs(10 * 60);

/// Overdue holds that one command sweeps at most before behaviour 2.
pub const SWEEP_PER_COMMAND_MAX: usize = 4_096;

/// Clock-rate difference the store pads a TTL for: ρ = 1 %, as parts per thousand (HS-4).
pub const CLOCK_RATE_PADDING_PER_MILLE: u64 = 10;

/// Longest `Idempotency-Key` a client may send, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// Largest body the REST API reads, in bytes; a hold of 64 labels is under 4 KiB.
pub const REST_BODY_BYTES_MAX: usize = 64 * 1024;

/// Items in one page of a list.
pub const PAGE_ITEMS_MAX: u32 = 100;

/// Latest time that is read, in milliseconds since 1970: the year 2200, for typing errors.
pub const TIME_MS_MAX: i64 = 7_258_118_400_000;
