//! How many files and sockets a process may have open.
//!
//! Always holds: the limit is never lowered, and a process that can't raise it goes on with what it
//! has. Leaves to others: the hard limit, which is an operator's to set (`LimitNOFILE`).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit, often 1024 for the sake of programs that use `select`, to the hard one; what
/// this process starts inherits it.
pub(crate) fn allow_most() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, most) {
        Ok(()) => tracing::debug!(before = current, now = maximum, "open files are limited"),
        Err(error) => tracing::debug!(limit = current, %error, "open files stay limited"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        let maximum = getrlimit(Resource::Nofile).maximum;
        // A little less than it may be, which no other test misses.
        let less = Rlimit {
            current: maximum.map(|most| most - 1),
            maximum,
        };
        setrlimit(Resource::Nofile, less).unwrap();
        allow_most();
        assert_eq!(getrlimit(Resource::Nofile).current, maximum);
    }
}
