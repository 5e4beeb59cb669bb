//! Every bound of a node, named once, with why it has its value.

use std::time::Duration;

/// How often what the log surely has is noted beside it: a log that was put back from an older copy is
/// found out if it lacks what was older than that.
pub(crate) const WATERMARK_PERIOD: Duration = Duration::from_secs(1);

/// The one Raft group of today.
pub(crate) const GROUP_ID: u32 = 0;

/// Members of a cluster: more would only make every write slower.
pub(crate) const MEMBERS_MAX: usize = 9;

/// Requests that may wait to be proposed; beyond it the answer is OVERLOADED. Several times what
/// one entry takes, and still under a second of work.
pub(crate) const PROPOSALS_QUEUED_MAX: usize = 16_384;
/// Commands in one entry, fewer of those that are more work: far under the 32,768 that a revision can
/// number, and some ten milliseconds of applying, which everything else waits for.
pub(crate) const COMMANDS_PER_ENTRY_MAX: usize = 2_048;
/// Commands in one entry that have seats chosen: a fraction of a millisecond each, and a few in a hall
/// made for it.
pub(crate) const CHOICES_PER_ENTRY_MAX: usize = 64;
/// Seats held, opened or loaded by one command that are as much work as one more command.
pub(crate) const SEATS_PER_WORK: usize = 8;
/// The same of seats blocked or unblocked.
pub(crate) const BLOCKED_PER_WORK: usize = 3;
/// Bytes of commands in one entry, unless a single command is larger.
pub(crate) const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Entries proposed and not yet applied. Few, so that under load entries fill up; several, so
/// that one waiting for its quorum doesn't stop the next.
pub(crate) const ENTRIES_IN_FLIGHT_MAX: usize = 8;
/// After how long a refused caller should try again.
pub(crate) const OVERLOAD_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Streams of commands that a node serves: a few dozen booking services with some connections each.
pub(crate) const HOLD_STREAMS_MAX: usize = 1_024;
/// Commands of one stream that are not answered yet; beyond it the stream isn't read.
pub(crate) const STREAM_IN_FLIGHT_MAX: usize = 8_192;
/// Commands in one message of a stream.
pub(crate) const STREAM_COMMANDS_MAX: usize = 512;
/// How long a stream is still read when its node stops: several times what a message needs to arrive
/// that was sent before.
pub(crate) const STREAM_DRAIN_MAX: Duration = Duration::from_millis(200);
/// How often a stream says that its commands fail.
pub(crate) const STREAM_FAILURE_LOG_PERIOD: Duration = Duration::from_secs(1);
/// Answers in one message of a stream.
pub(crate) const STREAM_ANSWERS_MAX: usize = 512;
/// Messages of answers that wait for a client that reads slowly; its commands then wait, too.
pub(crate) const STREAM_MESSAGES_WAITING: usize = 4;

/// Reads waiting for their read index or being encoded; beyond it the answer is OVERLOADED. At
/// 100,000 seats each it is 50 MB of seat maps.
pub(crate) const READS_IN_FLIGHT_MAX: usize = 512;
/// Reads that wait for their node to come as far as they ask, each of which looks at every entry: a
/// node that is so far behind shouldn't be asked.
pub(crate) const READS_WAITING_MAX: usize = 512;
/// Status questions of operators in flight, each of which asks every peer.
pub(crate) const STATUSES_IN_FLIGHT_MAX: usize = 8;

/// Watchers of one node: each of a few dozen gateways watching the hundred shows that are looked at.
pub(crate) const WATCHERS_MAX: usize = 4_096;
/// Items that wait for one watcher; one with more is too slow and ends. A second of the busiest
/// show, and of pointers only.
pub(crate) const WATCH_QUEUE_MAX: usize = 8_192;
/// Events that are remembered for watchers that come back: some ten seconds of a rush, an hour of
/// an ordinary day, in some 20 MB.
pub(crate) const WATCH_REMEMBERED_MAX: usize = 131_072;
/// How long a node that is behind a watcher, or behind what a reader has seen, may take to catch up.
pub(crate) const CATCH_UP_MAX: Duration = Duration::from_secs(2);
/// Seats of a show that are encoded where it would keep other work waiting for a moment only.
pub(crate) const SEATS_ENCODED_AT_ONCE_MAX: u32 = 4_096;
/// How often a node says that commands need a newer release of other members.
pub(crate) const UPGRADING_LOG_PERIOD: Duration = Duration::from_secs(10);
/// How often watchers are told that they have everything.
pub(crate) const BOOKMARK_PERIOD: Duration = Duration::from_millis(200);
/// How old what is known may be, while they are.
pub(crate) const BOOKMARK_AGE_MAX: Duration = Duration::from_secs(1);

/// The largest age that a read may allow.
pub(crate) const STALE_READ_AGE_MAX: Duration = Duration::from_secs(60);
/// Words of a leader of how far the log is decided count as one that are closer together: half of what
/// an idle leader leaves between two.
pub(crate) const LEADERS_WORDS_APART_MIN: Duration = Duration::from_millis(50);
/// Such words that are kept: those of [`STALE_READ_AGE_MAX`], of which every second is so far apart.
pub(crate) const LEADERS_WORDS_MAX: usize =
    2 * (STALE_READ_AGE_MAX.as_millis() / LEADERS_WORDS_APART_MIN.as_millis()) as usize + 2;

/// How often a node looks how much disk space is free: at the highest load it writes some tens of
/// megabytes meanwhile, a tenth of the default floor.
pub(crate) const FREE_SPACE_LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How much must be free again, in percent of the floor: more than a purge and a compaction move.
pub(crate) const FREE_SPACE_RECOVERED_PERCENT: u64 = 125;
/// Entries that a node may lack which takes the leadership over for want of space elsewhere: what is
/// under way, since the leader takes no more.
pub(crate) const HAND_OVER_LAG_ENTRIES_MAX: u64 = 64;
/// After how many leases without a leader a node stands though it is short of disk space: others
/// stand after two, and again after one or two more.
pub(crate) const SHORT_OF_SPACE_STANDS_AFTER_LEASES: u32 = 4;

/// Writes waiting for the log's I/O thread.
pub(crate) const LOG_QUEUE_MAX: usize = 4_096;
/// Writes merged into one synced batch.
pub(crate) const LOG_BATCH_WRITES_MAX: usize = 1_024;
/// Bytes merged into one synced batch, unless one write is larger.
pub(crate) const LOG_BATCH_BYTES_MAX: usize = 8 << 20;
/// Log kept in memory for replication and applying: some seconds of the highest load; older entries are
/// read from disk.
pub(crate) const LOG_TAIL_BYTES_MAX: usize = 16 << 20;
/// Bytes of entries in one append to a peer, unless one entry is larger.
pub(crate) const APPEND_BYTES_MAX: usize = 2 << 20;
/// Entries in one append to a peer.
pub(crate) const APPEND_ENTRIES_MAX: u64 = 1_024;

/// Largest message a peer accepts: an append's bytes, one large entry, and room.
pub(crate) const PEER_MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Largest request on the client plane: a layout chunk of 4,096 seats takes under 128 KiB.
pub(crate) const CLIENT_MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of one message of a snapshot stream.
pub(crate) const SNAPSHOT_CHUNK_BYTES: usize = 1 << 20;
/// Largest snapshot file that is accepted from a peer.
pub(crate) const SNAPSHOT_BYTES_MAX: u64 = 64 << 30;
/// Snapshots received at once: each is verified in memory, and one is of use.
pub(crate) const SNAPSHOTS_RECEIVED_MAX: usize = 1;
/// How often a node looks whether a snapshot is due by the bytes of the log: at the highest load a tenth
/// of what makes it so comes meanwhile.
pub(crate) const SNAPSHOT_LOOK_PERIOD: Duration = Duration::from_secs(1);
/// After how long it looks again when it asked for one, which may have been put off.
pub(crate) const SNAPSHOT_ASKED_PERIOD: Duration = Duration::from_secs(5);
/// Largest record of a snapshot file.
pub(crate) const SNAPSHOT_RECORD_BYTES_MAX: usize = 64 << 20;

/// How long an append may go without an answer before its connection is given up. Never shorter:
/// a follower that is merely slow must not have its stream torn down.
pub(crate) const APPEND_STALL_MAX: Duration = Duration::from_secs(15);
/// How long a peer may take to answer a status question.
pub(crate) const PEER_STATUS_TIMEOUT: Duration = Duration::from_millis(500);
/// How often a node that waits to be founded asks its peers.
pub(crate) const FOUNDING_POLL: Duration = Duration::from_millis(100);
/// A whole snapshot transfer.
pub(crate) const SNAPSHOT_TRANSFER_TIMEOUT: Duration = Duration::from_secs(600);

/// Wall time that may have passed while the whole cluster was down; a clock that shows more is
/// taken to be wrong.
pub(crate) const WALL_FORWARD_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;
/// How far a wall clock may have gone back meanwhile: what setting it right may take.
pub(crate) const WALL_BACKWARD_MS_MAX: u64 = 10_000;

/// An idle leader notes the wall clock in the log that often, so that it is the time down that is
/// measured and not the time since the last command; well under [`WALL_FORWARD_MS_MAX`].
pub(crate) const WALL_NOTED_EVERY_MS: u64 = 3_600 * 1_000;
/// How often a leader with nothing due looks at the wall clock.
pub(crate) const WALL_LOOK_PERIOD: Duration = Duration::from_secs(60);

/// Acts of operators in one answer.
pub(crate) const ACTS_LISTED_MAX: usize = 100;

/// How often readiness looks whether the leader still has a quorum.
pub(crate) const QUORUM_LOOK_PERIOD: Duration = Duration::from_millis(250);

/// Ticks in an entry that has nothing else: the store ends as many holds with each as it does in an entry
/// of commands, and nobody waits for this one.
pub(crate) const TICKS_ALONE: usize = 4;
/// How late a Tick may be proposed after something fell due.
pub(crate) const TICK_PERIOD: Duration = Duration::from_millis(50);
/// How long a read waits for the state machine to catch up with the read index.
pub(crate) const READ_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long stopping may take before the rest is abandoned.
pub(crate) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
