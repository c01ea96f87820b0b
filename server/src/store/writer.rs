//! The one writer. Changes queue up, and as many as are waiting share one transaction and one sync of
//! the disk; a caller hears back only after the commit that holds its change.
//!
//! ```text
//!  submit ─┐             BEGIN
//!  submit ─┼─▶ queue ─▶   each change:     SAVEPOINT ─ apply ─ RELEASE (or ROLLBACK TO: that one is refused)
//!  submit ─┘              all deposits:    one set of queries for all of them
//!                         all acknowledgements: the same
//!                        COMMIT ─▶ tell the streams ─▶ answer every caller
//! ```
//!
//! When a commit fails, each of its changes is tried once more by itself, so that one that the database
//! cannot take does not take the others with it.

mod connection;
mod job;
mod turn;

use std::fmt;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use sottovoce_statements::DeviceId;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::db::Conn;
use super::deposit::Deposit;
use super::mailbox::Acknowledge;
use crate::hub::{Hub, News};
use job::{Answer, Job, Queued};

pub(crate) use connection::{Connection, Reconnecting};
pub(crate) use job::Waiting;

/// Changes that share one commit at most: enough to spread the cost of a sync, few enough that the
/// first of them does not wait long.
const BATCH: usize = 128;

/// Bytes of messages that share one commit, and one message more: what is held of them while it lasts is
/// a few times that.
const BATCH_LEN: usize = 4 * 1024 * 1024;

/// Changes that may wait for the writer. Beyond these, callers wait for room, within their deadline.
const QUEUE: usize = 2 * BATCH;

/// One change to the database.
pub(crate) trait Write: Send + Sync + 'static {
    /// What the caller gets once the change is durable.
    type Output: Send + 'static;
    /// Why the change may be refused. A refused change leaves no trace.
    type Refusal: Send + 'static;

    /// Makes the change inside the writer's transaction. It may be made again after that was rolled back,
    /// so it has no effect but on the transaction.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = Result<Self::Output, WriteError<Self::Refusal>>> + Send;
}

/// A kind of change so frequent that all of a batch are made by one set of queries, those of
/// [`deposit`](super::deposit).
pub(crate) trait WriteTogether: Send + Sync + Sized + 'static {
    type Output: Send + 'static;
    type Refusal: Send + 'static;

    /// Wraps it for the queue.
    fn queue(waiting: Waiting<Self>) -> Task;
}

/// The transaction a change is made in.
pub(crate) struct Tx<'c> {
    pub(crate) conn: Conn<'c>,
    hub: &'c Hub,
    news: &'c mut Vec<News>,
}

impl Tx<'_> {
    /// Has the stream of `device` look at its mailbox, once the change is durable.
    pub(crate) fn wake(&mut self, device: DeviceId) {
        self.news.push(News::Look(device));
    }

    /// Tells streams something, once the change is durable.
    pub(crate) fn tell(&mut self, news: News) {
        self.news.push(news);
    }

    /// Whether a stream of the device is open at this node just now.
    pub(crate) fn has_stream(&self, device: &DeviceId) -> bool {
        self.hub.has_stream(device)
    }
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError<R> {
    /// The change itself was refused.
    #[error("the change was refused")]
    Refused(R),
    /// The database failed; what happened is in the log.
    #[error("the database failed")]
    Failed,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl<R> From<sqlx::Error> for WriteError<R> {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "a change to the database failed");
        Self::Failed
    }
}

/// What waits for the writer.
pub(crate) enum Task {
    Change(Box<dyn Job>),
    Deposit(Box<Waiting<Deposit>>),
    Acknowledge(Waiting<Acknowledge>),
}

/// The queue in front of the writer, and the task that is the writer.
pub(crate) struct Writer {
    queue: mpsc::Sender<Task>,
    closing: CancellationToken,
    ended: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, hub: Hub) -> Self {
        let (queue, tasks) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let ended = CancellationToken::new();
        // Cancelled whichever way the task ends, a panic included.
        let at_its_end = ended.clone().drop_guard();
        let writing = turn::run(connection, hub, tasks, closing.clone());
        let task = tokio::spawn(async move {
            let _at_its_end = at_its_end;
            writing.await;
        });
        Self {
            queue,
            closing,
            ended,
            task: Mutex::new(Some(task)),
        }
    }

    pub(crate) async fn submit<W: Write>(&self, write: W) -> Result<W::Output, WriteError<W::Refusal>> {
        let (queued, answer) = Queued::new(write);
        let task = Task::Change(Box::new(queued));
        self.queue.send(task).await.map_err(|_| WriteError::Stopping)?;
        answer.await.unwrap_or(Err(WriteError::Failed))
    }

    /// Takes a place in the queue: changes are made in the order of their places.
    pub(crate) async fn enqueue<W: WriteTogether>(&self, change: W) -> Pending<W> {
        let (waiting, answer) = Waiting::new(change);
        match self.queue.send(W::queue(waiting)).await {
            Ok(()) => Pending(Some(answer)),
            Err(_) => Pending(None),
        }
    }

    /// How many changes wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Returns when the writer is no more.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Takes nothing new, commits what is queued and closes the connection.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("the writer did not end well");
        }
    }
}

/// A change that has its place in the queue.
pub(crate) struct Pending<W: WriteTogether>(Option<Answer<W::Output, W::Refusal>>);

impl<W: WriteTogether> Pending<W> {
    /// Returns once the change is durable, or not made.
    pub(crate) async fn answer(self) -> Result<W::Output, WriteError<W::Refusal>> {
        match self.0 {
            Some(answer) => answer.await.unwrap_or(Err(WriteError::Failed)),
            None => Err(WriteError::Stopping),
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::sql;
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

    /// Writes a number, then does what the test wants.
    struct Put(i64, Then);

    #[derive(Clone, Copy)]
    enum Then {
        Succeed,
        Refuse,
        FailInSql,
        /// Leaves behind what only the commit can notice.
        SpoilTheCommit,
    }

    impl Write for Put {
        type Output = i64;
        type Refusal = i64;

        async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, WriteError<i64>> {
            sql("INSERT INTO numbers VALUES ($1)")
                .bind(self.0)
                .execute(&mut tx.conn)
                .await?;
            match self.1 {
                Then::Succeed => Ok(self.0),
                Then::Refuse => Err(WriteError::Refused(self.0)),
                Then::FailInSql => {
                    sql("INSERT INTO nowhere VALUES (1)")
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(self.0)
                }
                Then::SpoilTheCommit => {
                    sql("INSERT INTO children VALUES (999)")
                        .execute(&mut tx.conn)
                        .await?;
                    Ok(self.0)
                }
            }
        }
    }

    async fn writer(folder: &tempfile::TempDir) -> Writer {
        let mut conn = connect(folder).await;
        for table in [
            "CREATE TABLE numbers (n INTEGER PRIMARY KEY)",
            "CREATE TABLE children (n INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)",
        ] {
            sqlx::query(table).execute(&mut conn).await.unwrap();
        }
        Writer::start(
            Connection::Sqlite(conn),
            Hub::new(1, crate::hints::Outbox::nowhere()),
        )
    }

    async fn connect(folder: &tempfile::TempDir) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(folder.path().join("db"))
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    async fn numbers(folder: &tempfile::TempDir) -> Vec<i64> {
        let rows: Vec<(i64,)> = sqlx::query_as("SELECT n FROM numbers ORDER BY n")
            .fetch_all(&mut connect(folder).await)
            .await
            .unwrap();
        rows.into_iter().map(|(n,)| n).collect()
    }

    /// All at once: on a runtime of one thread they are queued before the writer runs, and share a
    /// commit.
    async fn together(writer: &Writer, puts: Vec<Put>) -> Vec<Result<i64, WriteError<i64>>> {
        join_all(puts.into_iter().map(|put| writer.submit(put))).await
    }

    #[tokio::test]
    async fn one_refused_change_does_not_hurt_those_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let outcomes = together(
            &writer,
            vec![
                Put(1, Then::Succeed),
                Put(2, Then::Refuse),
                Put(3, Then::FailInSql),
                Put(4, Then::Succeed),
            ],
        )
        .await;
        assert_eq!(
            outcomes,
            [Ok(1), Err(WriteError::Refused(2)), Err(WriteError::Failed), Ok(4)]
        );
        assert_eq!(numbers(&folder).await, [1, 4]);
        writer.close().await;
    }

    #[tokio::test]
    async fn a_change_that_spoils_the_commit_does_not_take_the_others_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let outcomes = together(
            &writer,
            vec![
                Put(1, Then::Succeed),
                Put(2, Then::SpoilTheCommit),
                Put(3, Then::Refuse),
            ],
        )
        .await;
        assert_eq!(
            outcomes,
            [Ok(1), Err(WriteError::Failed), Err(WriteError::Refused(3))]
        );
        assert_eq!(numbers(&folder).await, [1]);
        // And the writer goes on.
        assert_eq!(writer.submit(Put(5, Then::Succeed)).await, Ok(5));
        assert_eq!(numbers(&folder).await, [1, 5]);
        writer.close().await;
    }

    #[tokio::test]
    async fn a_change_whose_caller_has_left_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        // On a runtime of one thread it is queued, and the writer has not run yet.
        let mut abandoned = Box::pin(writer.submit(Put(1, Then::Succeed)));
        assert!((&mut abandoned).now_or_never().is_none());
        drop(abandoned);
        assert_eq!(writer.submit(Put(2, Then::Succeed)).await, Ok(2));
        assert_eq!(numbers(&folder).await, [2]);
        writer.close().await;
    }

    #[tokio::test]
    async fn what_was_queued_before_the_close_is_committed_and_nothing_after() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let queued = together(&writer, (1..=100).map(|n| Put(n, Then::Succeed)).collect());
        let (outcomes, ()) = tokio::join!(queued, writer.close());
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(numbers(&folder).await.len(), 100);
        assert_eq!(
            writer.submit(Put(101, Then::Succeed)).await,
            Err(WriteError::Stopping)
        );
    }
}
