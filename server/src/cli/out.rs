//! Saying something to the person at the terminal.

use std::error::Error;
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

/// What a failure came of, the last cause last.
pub(super) fn causes(failure: &dyn Error) -> String {
    let mut causes = Vec::new();
    let mut cause = failure.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.join(": ")
}
