//! Limits of the state machine alone; those that others must know too are in
//! [`holdfast_types::limits`].

/// Shows that the store knows before it refuses new ones with `TooManyRequests`: the traffic to
/// plan for; small ones take a few kilobytes each.
pub const SHOWS_MAX: usize = 1_000_000;

/// Requests that a show remembers before it refuses new holds with `TooManyRequests`: 10 minutes
/// of 1,700 granted holds a second, in some 300 MB. Nothing is forgotten early (HS-7).
pub const REQUESTS_PER_SHOW_MAX: usize = 1 << 20;

/// Requests that a show remembers before it also refuses what a customer can repeat without end
/// (`ExtendHold`, `ChangeShow`, `OpenShow`). Releases, sales and returns are never refused for
/// this: each ends a hold or a sale, and those are bounded by [`REQUESTS_PER_SHOW_MAX`].
pub const REQUESTS_PER_SHOW_HARD_MAX: usize = 2 << 20;

/// Overdue holds that one entry sweeps at most with one tick or none, from behaviour 2 on, and each
/// further tick of it besides: less than a millisecond, which everything else waits for.
pub const SWEEP_PER_TICK_MAX: usize = 128;

/// Overdue holds that one entry sweeps at most, besides those that its commands name, from behaviour 2
/// on: some milliseconds.
pub const SWEEP_PER_ENTRY_MAX: usize = 512;

/// Remembered requests that one command forgets at most, after their time, before behaviour 2.
pub const FORGET_PER_COMMAND_MAX: usize = 4_096;

/// Remembered requests that one entry forgets at most, after their time, besides what each command
/// does: about a millisecond. From behaviour 2 on.
pub const FORGET_PER_ENTRY_MAX: usize = 512;

/// Remembered requests that any command forgets of its show, if their time is over: one more than it
/// can add, so that a show that is full gets room again.
pub(crate) const FORGET_PER_COMMAND_LEAST: usize = 2;

/// How long after the first request of a show may be forgotten a `Tick` is due for it, if nothing
/// else touches the show: memory is in no hurry, and a later tick forgets many at once.
pub const FORGET_SLACK_MS: u64 = 60_000;

/// Seats that one command blocks or unblocks at most: a block of a stadium, and some milliseconds.
pub const SEATS_PER_BLOCK_MAX: usize = 1_024;

/// Claims of an earlier life of the cluster that one command loads at most.
pub const CLAIMS_PER_LOAD_MAX: usize = 256;

/// Seats of all claims that one command loads.
pub const SEATS_PER_LOAD_MAX: usize = 1_024;

/// Numbers of a waiting room that one command hands out at most.
pub const JOINS_PER_COMMAND_MAX: u32 = 100_000;

/// Acts of operators that are kept: the oldest goes when another comes, unless a copy of its
/// request could come still.
pub const ACTS_KEPT_MAX: usize = 1_024;

/// Bytes of an operator's name.
pub const OPERATOR_BYTES_MAX: usize = 64;

/// Bytes of what an operator did, or why.
pub const ACT_BYTES_MAX: usize = 1_024;

/// Sections, and price categories, that one choice names at most.
pub const FILTER_ENTRIES_MAX: usize = 64;

/// Pairs of section and price category in one show; a choice with a filter looks at each.
pub const ZONES_PER_SHOW_MAX: usize = 2_048;

/// Seats side by side that are looked at as one; a longer row is cut. Ten times the widest halls'.
pub(crate) const SEGMENT_SEATS_MAX: u16 = 512;

/// Seats of a row for which the lone-seat rule is judged; a longer row is free of it.
pub(crate) const ROW_SEATS_JUDGED_MAX: u32 = 512;

/// Free stretches that a choice looks into before it answers `NoBlock`. Almost always the first
/// will do: one doesn't only if what it offers would leave a seat alone.
pub(crate) const STRETCHES_EXAMINED_MAX: usize = 512;

/// Seats of free stretches, and first stretches of zones, that a choice looks at in all before it
/// answers `NoBlock`: what it takes to look into as many stretches as it may for one block, each of as
/// many seats as there are; some milliseconds. From behaviour 2 on.
pub(crate) const SEATS_WALKED_MAX: usize = STRETCHES_EXAMINED_MAX * SEGMENT_SEATS_MAX as usize;

/// Seats that a refusal names at most.
pub const REFUSAL_SEATS_MAX: usize = holdfast_types::limits::SEATS_PER_HOLD_MAX;

/// Seats in one exported [`SeatsRecord`](crate::SeatsRecord) or
/// [`LayoutRecord`](crate::LayoutRecord): some 64 KiB encoded.
pub const SEATS_PER_RECORD_MAX: usize = 2_048;
