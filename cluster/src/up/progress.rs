//! What `up` shows while it starts: a line for each part when it is done, with the time it took,
//! and a moving one for the part at work where somebody looks (a terminal).

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::supervisor::say;

/// How often the moving line moves.
const TICK: Duration = Duration::from_millis(100);

/// One part at work. Dropped without [`Progress::done`] it leaves no line.
pub(super) struct Progress {
    what: String,
    since: Instant,
    bar: ProgressBar,
}

impl Progress {
    /// Begins. The moving line goes to standard error, and nowhere if that is no terminal.
    pub(super) fn start(what: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Self {
            what: what.to_owned(),
            since: Instant::now(),
            bar,
        }
    }

    /// Says that it is done; `detail` may be empty.
    pub(super) fn done(self, detail: &str) {
        self.bar.finish_and_clear();
        let space = if detail.is_empty() { "" } else { " " };
        say(&format!(
            "  {}{space}{detail}: ready ({:.1} s)",
            self.what,
            self.since.elapsed().as_secs_f32()
        ));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
