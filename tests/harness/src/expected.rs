//! Loud lines that are no failure, by what makes a process say them.
//!
//! Always holds: an entry names one event, and says why it is none. What everybody may say is in
//! [`EVERYWHERE`]; a test that kills something adds what that makes the others say.

use crate::Expected;

/// What any test may see, on a slow machine above all: a system starts and stops, and a late
/// heartbeat makes an election.
pub const EVERYWHERE: &[Expected] = &[
    Expected {
        process: "postgres",
        words: &["FATAL:  the database system is starting up"],
        reason: "`up` asks until it is there",
    },
    Expected {
        process: "postgres",
        words: &["FATAL:  terminating connection due to administrator command"],
        reason: "it stops, and a client hasn't let go of its connection yet",
    },
    Expected {
        process: "up",
        words: &[
            "warning: lockstore-",
            "is not ready",
            "the others are enough",
        ],
        reason: "slow: a node joins later, and is asked until it is there",
    },
    Expected {
        process: "lockstore",
        words: &["lockstore_node::founding: still waiting for a member"],
        reason: "the nodes start together, and one may take longer",
    },
    Expected {
        process: "lockstore",
        words: &["openraft::"],
        reason: "the library's account of peers that are late or stop, and of its own stop; what it \
                 can't get over ends the node, which is loud",
    },
    Expected {
        process: "lockstore",
        words: &[
            "LockStoreService/",
            "holdfast_mesh::server::call: failed",
            "rpc.code=Unavailable",
        ],
        reason: "an election: nobody decides, and the client asks again",
    },
    Expected {
        process: "lockstore",
        words: &["commands of a stream weren't decided"],
        reason: "an election: nobody decides, and the client asks again",
    },
    Expected {
        process: "lockstore",
        words: &["lockstore_node::server: nobody took over the leadership in time"],
        reason: "all nodes stop together, and whoever was asked stops as well",
    },
    Expected {
        process: "lockstore",
        words: &["a peer's request met a node that has stopped"],
        reason: "the nodes stop together",
    },
    Expected {
        process: "all",
        words: &["the lock store", "the step stays open"],
        reason: "an election: the step is taken again",
    },
    Expected {
        process: "all",
        words: &["a part that booking needs is away error=lock store:"],
        reason: "an election: the client is told to try again",
    },
    Expected {
        process: "all",
        words: &[
            "a peer doesn't answer; it is tried again",
            "connect error",
            "Connection refused",
        ],
        reason: "the services start together, and one calls another that doesn't listen yet",
    },
    Expected {
        process: "all",
        words: &[CALL_FAILED, "rpc.code=Unavailable"],
        reason: "a client is told to try again; why is a line of its own, and judged by it",
    },
    Expected {
        process: "all",
        words: &["sqlx::query: slow statement"],
        reason: "slow is for a benchmark to judge",
    },
    Expected {
        process: "all",
        words: &["sqlx::pool::acquire: acquired connection, but"],
        reason: "slow is for a benchmark to judge",
    },
    Expected {
        process: "all",
        words: &["pool timed out while waiting for an open connection"],
        reason: "slow: what waited too long is refused, and comes again",
    },
    Expected {
        process: "all",
        words: &["event not handled", "unavailable"],
        reason: "slow, or an election: a part that its handler needs had refused; it comes again",
    },
    Expected {
        process: "all",
        words: &[
            "holdfast_mesh::task: a background step failed",
            "lock store",
        ],
        reason: "an election: the next round does it",
    },
    Expected {
        process: "",
        words: &[CALL_FAILED, "rpc.code=DeadlineExceeded"],
        reason: "slow: whoever asked has given up, and a test that needed the answer fails",
    },
    Expected {
        process: "",
        words: &["a peer's status has no reason", "no answer by the deadline"],
        reason: "slow: whoever asked has given up, and a test that needed the answer fails",
    },
    Expected {
        process: "all",
        words: &[
            "a peer doesn't answer; it is tried again",
            "no answer by the deadline",
        ],
        reason: "slow: several in a row have given up; any answer ends it",
    },
    Expected {
        process: "all",
        words: &["gateway::scope: no answer within the deadline"],
        reason: "slow: whoever asked has given up, and a test that needed the answer fails",
    },
    Expected {
        process: "",
        words: &["outlasted the drain limit"],
        reason: "slow: a stop has a limit",
    },
    Expected {
        process: "",
        words: &["was still in use"],
        reason: "slow: a stop has a limit",
    },
    Expected {
        process: "all",
        words: &["was cut off at shutdown"],
        reason: "slow: a stop has a limit",
    },
    Expected {
        process: "all",
        words: &["handlers did not end in time"],
        reason: "slow: a stop has a limit, and the events come again",
    },
    Expected {
        process: "all",
        words: &["the rest drains, though calls from outside are still under way"],
        reason: "slow: a stop has a limit",
    },
];

/// What a server says of a call that it could not do.
const CALL_FAILED: &str = "holdfast_mesh::server::call: failed";

/// A node of the lock store was killed.
pub const STORE_NODE_KILLED: &[Expected] = &[Expected {
    process: "up",
    words: &["lockstore-", " ended (signal 9); starting it again in"],
    reason: "the test killed it",
}];

/// The process with all services was killed: it starts part by part, while customers call.
pub const SERVICES_KILLED: &[Expected] = &[
    Expected {
        process: "postgres",
        words: &["FATAL:  connection to client lost"],
        reason: "it was sending rows to the killed process",
    },
    Expected {
        process: "lockstore",
        words: &[" WARN "],
        reason: "calls of the killed process break off in every way; an ERROR is still one",
    },
    Expected {
        process: "up",
        words: &["all ended (signal 9); starting it again in"],
        reason: "the test killed it",
    },
    Expected {
        process: "all",
        words: &["the token issuer's keys can't be fetched", "connect error"],
        reason: "the gateway serves, and identity-svc not yet",
    },
    Expected {
        process: "all",
        words: &["a peer's status has no reason", "connect error"],
        reason: "a service calls one that doesn't serve yet",
    },
    Expected {
        process: "all",
        words: &["could not find out about a session"],
        reason: "payment-svc asks the provider, which doesn't serve yet",
    },
];

/// Postgres was killed.
pub const POSTGRES_KILLED: &[Expected] = &[
    Expected {
        process: "up",
        words: &["postgres ended (exit code 1); starting it again in"],
        reason: "the test killed it",
    },
    Expected {
        process: "postgres",
        words: &["holdfast: postgres ended: signal: 9"],
        reason: "the test killed it",
    },
    Expected {
        process: "postgres",
        words: &["FATAL:  terminating connection due to unexpected postmaster exit"],
        reason: "the test killed it",
    },
    Expected {
        process: "postgres",
        words: &["FATAL:  the database system is not yet accepting connections"],
        reason: "it recovers, and is asked meanwhile",
    },
];

/// `up` was killed, and every process stops by itself, Postgres as soon as any.
pub const UP_KILLED: &[Expected] = &[Expected {
    process: "postgres",
    words: &["FATAL:  the database system is shutting down"],
    reason: "it stops, and is asked meanwhile",
}];

/// Postgres is away: everything that uses it says so until it is back, and goes on then.
pub const DATABASE_AWAY: &[Expected] = &[Expected {
    process: "all",
    words: &[" WARN "],
    reason: "whatever works on the database says so in its own words; an ERROR is still one",
}];
