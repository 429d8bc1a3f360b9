//! How far a long piece of work is, on stderr: one line that changes on a terminal, else a line now and then.

use super::words::said;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use tokio::time::Instant;

/// Pause between two looks of the line on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(200);
/// Pause between two lines elsewhere.
const IN_LOG: Duration = Duration::from_secs(10);

/// The line.
pub(super) struct Progress {
    terminal: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), next: Instant::now(), shown: false }
    }

    /// Shows where things stand, unless something was shown a moment ago. Where nothing can be shown, nothing is.
    pub(super) fn at(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        self.next = now + if self.terminal { ON_TERMINAL } else { IN_LOG };
        self.shown = true;
        let (begin, end) = if self.terminal { ("\r", "\x1b[K") } else { ("", "\n") };
        let mut stderr = io::stderr();
        write!(stderr, "{begin}{}{end}", text()).and_then(|()| stderr.flush()).ok();
    }

    /// Takes the line away from a terminal.
    pub(super) fn clear(&mut self) {
        if self.terminal && std::mem::take(&mut self.shown) {
            let mut stderr = io::stderr();
            write!(stderr, "\r\x1b[K").and_then(|()| stderr.flush()).ok();
        }
    }

    /// Says something that stays.
    pub(super) fn tell(&mut self, text: &str) {
        let begin = if self.terminal && self.shown { "\r\x1b[K" } else { "" };
        self.shown = false;
        writeln!(io::stderr(), "{begin}{text}").ok();
        self.next = Instant::now();
    }
}

/// A time left, for people.
pub(super) fn left(time: Duration) -> String {
    said(&crate::work::left(time))
}
