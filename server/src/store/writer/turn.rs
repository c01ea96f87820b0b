//! One turn of the writer after the other: what waits is made durable, and everybody is answered.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::job::{Job, Verdict};
use super::{BATCH, BATCH_LEN, Connection, Task, Tx, WriteError};
use crate::hub::Hub;
use crate::store::db::sql;
use crate::store::deposit;

/// Attempts at a change by itself, where others write too: the rows that two transactions hold may be what
/// each waits for, and the database ends one of them. What holds no more than it needs gets through.
const ATTEMPTS: usize = 3;

/// Why a transaction was not made.
#[derive(Debug)]
enum NotMade {
    /// The database is out of reach.
    NotBegun,
    RolledBack,
    /// Somebody held what it needed, for longer than may be waited for.
    Held,
}

pub(super) async fn run(
    mut connection: Connection,
    hub: Hub,
    mut tasks: mpsc::Receiver<Task>,
    closing: CancellationToken,
) {
    let mut waiting = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled(), if !tasks.is_closed() => {
                tasks.close();
                continue;
            }
            taken = tasks.recv_many(&mut waiting, BATCH) => if taken == 0 {
                break;
            },
        }
        while !waiting.is_empty() {
            let rest = waiting.split_off(fitting(&waiting));
            let mut batch = std::mem::replace(&mut waiting, rest);
            batch.retain(|task| !task.is_abandoned());
            turn(&mut connection, &hub, &mut batch).await;
            batch.into_iter().for_each(Task::answer);
        }
    }
    if let Err(error) = connection.finish().await {
        tracing::error!(%error, "closing the database failed; the next start recovers from its log");
    }
}

/// How many of those that wait share a turn.
fn fitting(waiting: &[Task]) -> usize {
    let mut size = 0;
    let fits = |task: &&Task| {
        let fits = size <= BATCH_LEN;
        size += task.size();
        fits
    };
    waiting.iter().take_while(fits).count()
}

async fn turn(connection: &mut Connection, hub: &Hub, batch: &mut [Task]) {
    // Where others write too, a transaction that first holds this and then that waits for one that holds
    // them the other way round. Mailboxes are all taken hold of at once: nothing else goes with them.
    if connection.is_shared() {
        batch.sort_by_key(Task::is_mail);
        let (changes, mail) = batch.split_at_mut(batch.partition_point(|task| !task.is_mail()));
        settle(connection, hub, changes).await;
        settle(connection, hub, mail).await;
    } else {
        settle(connection, hub, batch).await;
    }
}

/// Makes all of it together or, where that fails, each by itself. What is not made by then has failed.
async fn settle(connection: &mut Connection, hub: &Hub, batch: &mut [Task]) {
    let kept = match commit(connection, hub, batch).await {
        Ok(()) => true,
        // One attempt for all: while the database is away, everybody would wait for each.
        Err(NotMade::NotBegun) => return,
        Err(NotMade::RolledBack | NotMade::Held) => false,
    };
    let attempts = match (connection.is_shared(), kept || batch.len() == 1) {
        (true, _) => ATTEMPTS,
        // Nobody else could have been in its way.
        (false, true) => 0,
        (false, false) => 1,
    };
    for task in batch {
        let mut settled = kept && !task.has_failed();
        for _ in 0..attempts {
            if settled {
                break;
            }
            task.forget_outcome();
            match commit(connection, hub, std::slice::from_mut(task)).await {
                Ok(()) => settled = !task.has_failed(),
                // Each of the rest might wait as long again.
                Err(NotMade::NotBegun | NotMade::Held) => return,
                Err(NotMade::RolledBack) => {}
            }
        }
    }
}

/// Makes the changes durable, all or none, and only then tells the streams.
async fn commit(connection: &mut Connection, hub: &Hub, batch: &mut [Task]) -> Result<(), NotMade> {
    if batch.is_empty() {
        return Ok(());
    }
    let mut news = Vec::new();
    if let Err(error) = connection.begin().await {
        tracing::error!(%error, changes = batch.len(), "the database is out of reach; nothing was kept");
        return Err(NotMade::NotBegun);
    }
    let mut tx = Tx {
        conn: connection.conn(),
        hub,
        news: &mut news,
    };
    let outcome = match apply(&mut tx, batch).await {
        Ok(()) => connection.commit().await,
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        connection.roll_back().await;
        batch.iter_mut().for_each(Task::forget_outcome);
        tracing::error!(%error, changes = batch.len(), "a commit failed; none of it was kept");
        // PostgreSQL's "lock_not_available".
        let code = error.as_database_error().and_then(|error| error.code());
        return Err(match code.as_deref() {
            Some("55P03") => NotMade::Held,
            _ => NotMade::RolledBack,
        });
    }
    hub.tell(news);
    Ok(())
}

async fn apply(tx: &mut Tx<'_>, batch: &mut [Task]) -> Result<(), sqlx::Error> {
    let mut deposits = Vec::new();
    let mut acknowledgements = Vec::new();
    for task in batch {
        match task {
            Task::Change(job) => apply_one(tx, job).await?,
            Task::Deposit(waiting) => deposits.push(waiting),
            Task::Acknowledge(waiting) => acknowledgements.push(waiting),
        }
    }
    if deposits.is_empty() && acknowledgements.is_empty() {
        return Ok(());
    }
    let messages: Vec<_> = deposits.iter().map(|waiting| &waiting.change).collect();
    let acknowledged: Vec<_> = acknowledgements.iter().map(|waiting| &waiting.change).collect();
    let outcomes = deposit::apply(&messages, &acknowledged, tx).await?;
    for (waiting, outcome) in deposits.into_iter().zip(outcomes) {
        waiting.outcome = Some(outcome.map_err(WriteError::Refused));
    }
    for waiting in acknowledgements {
        waiting.outcome = Some(Ok(()));
    }
    Ok(())
}

async fn apply_one(tx: &mut Tx<'_>, job: &mut Box<dyn Job>) -> Result<(), sqlx::Error> {
    sql("SAVEPOINT one_change").execute(&mut tx.conn).await?;
    let news_before = tx.news.len();
    if job.apply(tx).await == Verdict::Undo {
        tx.news.truncate(news_before);
        sql("ROLLBACK TO SAVEPOINT one_change")
            .execute(&mut tx.conn)
            .await?;
    }
    sql("RELEASE SAVEPOINT one_change").execute(&mut tx.conn).await?;
    Ok(())
}
