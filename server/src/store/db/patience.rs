//! Nobody waits for PostgreSQL for ever. A network can lose a connection without a word, and the system
//! takes a quarter of an hour to notice: whoever waited for an answer on it would hold up all others.

use std::io;
use std::time::Duration;

/// How long PostgreSQL may take over one thing. Everything asked of it is bounded in what it touches, and
/// takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The answer, or an error as of a connection that was lost. The connection is of no more use then.
pub(crate) async fn in_time<T>(
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_is_a_connection_that_was_lost() {
        let never = std::future::pending::<Result<(), sqlx::Error>>();
        assert!(matches!(in_time(never).await, Err(sqlx::Error::Io(_))));
        assert_eq!(in_time(async { Ok(7) }).await.unwrap(), 7);
    }
}
