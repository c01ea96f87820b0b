//! Saying something to the person at the terminal.

use std::io::Write;

/// On standard output. A closed one is no reason to stop.
pub(super) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// On standard error. Nobody can be told that nobody could be told.
pub(super) fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
