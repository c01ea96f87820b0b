//! What the server does by itself, again and again. Of all nodes on one database one runs a job at a
//! time: a row of the database says which, and until when that may be believed. What cannot wait until a node
//! that has died is no longer believed, every node does.

mod here;
mod runner;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::app::App;
use crate::blobs::{mark_unheld, remove_orphans, remove_unheld};
use crate::clock::{millis, now_ms};
use crate::limits::Limits;
use crate::store::{
    Batch, ExpireEnvelopes, Forsaken, ReleaseScheduled, RemoveGone, RemoveLapsed, Sweep, SweepAccounts,
    Write, WriteError,
};

pub(crate) use here::RunsHere;
pub(crate) use runner::{Runner, node_name};

/// One job. It works in batches, so that the writer's other callers come first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) purpose: &'static str,
    /// The setting its interval is, as the manual names it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the manual is held to it"))]
    interval_setting: &'static str,
    pub(crate) interval: fn(&Limits) -> Duration,
    pub(crate) at: At,
    /// What, when it rings, makes it due at once.
    bell: Option<fn(&App) -> &Notify>,
    /// Batches in one run; what is left then waits for the next.
    batches: u32,
    /// What a batch is, as the manual says it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the manual is held to it"))]
    batch_bound: &'static str,
    batch: fn(Arc<App>) -> Working,
}

/// Where a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// At one node at a time.
    OneNode,
    /// At every node, each for itself: they share the work by what each finds undone.
    EveryNode,
}

/// A batch under way.
type Working = Pin<Box<dyn Future<Output = Result<Batch, Failed>> + Send>>;

/// A batch failed. Why is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a batch failed")]
pub(crate) struct Failed;

impl<R> From<WriteError<R>> for Failed {
    fn from(_: WriteError<R>) -> Self {
        Self
    }
}

/// All jobs.
pub(crate) const JOBS: &[Job] = &[
    Job {
        name: "release",
        purpose: "delivers scheduled messages whose time has come",
        interval_setting: "release_interval",
        interval: |limits| limits.release_interval,
        at: At::EveryNode,
        bell: None,
        batches: 10_000,
        batch_bound: "256 messages",
        batch: |app| Box::pin(release(app)),
    },
    Job {
        name: "expire",
        purpose: "deletes envelopes that have expired",
        interval_setting: "release_interval",
        interval: |limits| limits.release_interval,
        at: At::EveryNode,
        bell: None,
        batches: 10_000,
        batch_bound: "500 envelopes",
        batch: |app| Box::pin(expire(app)),
    },
    Job {
        name: "leaving",
        purpose: "deletes what devices and accounts that are gone have left, beside the call that ended them and where that was cut off",
        interval_setting: "release_interval",
        interval: |limits| limits.release_interval,
        at: At::EveryNode,
        bell: None,
        batches: 10_000,
        batch_bound: "750 messages and 2,000 receipts",
        batch: |app| Box::pin(remove_gone(app)),
    },
    Job {
        name: "sweep",
        purpose: "forgets receipts after `receipt_lifetime`",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: None,
        batches: 10_000,
        batch_bound: "1,000 rows of a table",
        batch: |app| {
            let receipts_before_ms = now_ms().saturating_sub(millis(app.limits.receipt_lifetime));
            write(app, Sweep { receipts_before_ms })
        },
    },
    Job {
        name: "expired",
        purpose: "forgets access tokens, sessions, used challenges, linking grants and retired names whose time is over, \
                  and counts of sign-ins after `sign_in_memory`",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: None,
        batches: 10_000,
        batch_bound: "1,000 rows of a table",
        batch: |app| {
            let now_ms = now_ms();
            let sign_ins_before_ms = now_ms.saturating_sub(millis(app.limits.sign_in_memory));
            write(
                app,
                SweepAccounts {
                    sign_ins_before_ms,
                    now_ms,
                },
            )
        },
    },
    Job {
        name: "lapsed",
        purpose: "forgets invites that are used up or have expired, and blocks that have ended",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: None,
        batches: 100,
        batch_bound: "1,000 rows of a table",
        batch: |app| write(app, RemoveLapsed { now_ms: now_ms() }),
    },
    Job {
        name: "forsaken",
        purpose: "deletes channels whose members are gone, and posts that nobody is to get any more",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: None,
        batches: 1,
        batch_bound: "all channels and posts, some at a time",
        batch: |app| Box::pin(remove_forsaken(app)),
    },
    Job {
        name: "unheld",
        purpose: "ends holds and uploads whose time is over, and removes attachments that nobody holds; \
                  soon, when one was given up",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: Some(|app| &app.given_up),
        batches: 1,
        batch_bound: "all of them, 500 rows at a time",
        batch: |app| {
            Box::pin(async move {
                let removed = remove_unheld(&app.store, &app.storage, now_ms()).await;
                in_storage(removed.map(all))
            })
        },
    },
    Job {
        name: "bereft",
        purpose: "finds attachments whose holders' accounts were deleted, for `unheld`",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: None,
        batches: 1,
        batch_bound: "all attachments, 500 at a time",
        batch: |app| {
            Box::pin(async move {
                let marked = mark_unheld(&app.store).await;
                if marked.as_ref().is_ok_and(|count| *count > 0) {
                    app.given_up.notify_one();
                }
                in_storage(marked.map(all))
            })
        },
    },
    Job {
        name: "orphans",
        purpose: "removes objects of the storage that belong to no attachment and are older than `orphan_grace`",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        at: At::OneNode,
        bell: None,
        batches: 1_000,
        batch_bound: "one of 256 shelves of the storage",
        batch: |app| {
            Box::pin(async move {
                let (grace, shelves) = (app.limits.orphan_grace, &app.shelves);
                in_storage(remove_orphans(&app.store, &app.storage, grace, shelves).await)
            })
        },
    },
];

/// Between the steps of a job that is one batch, so that the writer's other callers come first.
const PAUSE: Duration = Duration::from_millis(20);

async fn remove_forsaken(app: Arc<App>) -> Result<Batch, Failed> {
    let mut found = Forsaken::default();
    let mut items = 0;
    while !found.is_last() {
        found = app.store.forsaken(&found).await.map_err(|_| Failed)?;
        if !found.is_empty() {
            app.store.write(found.clone()).await?;
            items += found.len();
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(all(items))
}

/// Mostly there is nothing, which a reader sees: the writer is asked when there is.
async fn release(app: Arc<App>) -> Result<Batch, Failed> {
    let now_ms = now_ms();
    if !app.store.is_due(now_ms).await.map_err(|_| Failed)? {
        return Ok(all(0));
    }
    Ok(app.store.write(ReleaseScheduled { now_ms }).await?)
}

async fn expire(app: Arc<App>) -> Result<Batch, Failed> {
    let now_ms = now_ms();
    if !app.store.has_expired(now_ms).await.map_err(|_| Failed)? {
        return Ok(all(0));
    }
    Ok(app.store.write(ExpireEnvelopes { now_ms }).await?)
}

async fn remove_gone(app: Arc<App>) -> Result<Batch, Failed> {
    if !app.store.is_anybody_leaving().await.map_err(|_| Failed)? {
        return Ok(all(0));
    }
    Ok(app.store.write(RemoveGone::Any).await?)
}

fn in_storage<E: std::fmt::Display>(batch: Result<Batch, E>) -> Result<Batch, Failed> {
    batch.map_err(|error| {
        tracing::warn!(%error, "a job that tidies the storage up was put off");
        Failed
    })
}

/// All there was.
fn all(items: u64) -> Batch {
    Batch { items, more: false }
}

/// A batch that is one change.
fn write<W>(app: Arc<App>, change: W) -> Working
where
    W: Write<Output = Batch>,
    W::Refusal: Sync,
{
    Box::pin(async move { Ok(app.store.write(change).await?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_the_table_of_jobs() {
        let mut text =
            "| job | purpose | interval | at | at most in one run |\n|---|---|---|---|---|\n".to_owned();
        for job in JOBS {
            let (name, purpose, interval) = (job.name, job.purpose, job.interval_setting);
            let bound = match job.batches {
                1 => job.batch_bound.to_owned(),
                batches => format!("{batches} batches of {}", job.batch_bound),
            };
            let at = match job.at {
                At::OneNode => "one node",
                At::EveryNode => "every node",
            };
            text.push_str(&format!(
                "| `{name}` | {purpose} | `{interval}` | {at} | {bound} |\n"
            ));
        }
        crate::manual::holds("jobs", &text);
    }

    #[test]
    fn an_interval_is_the_setting_it_is_said_to_be() {
        for job in JOBS {
            let limits = serde_json::to_value(Limits::default()).unwrap();
            let said = limits[job.interval_setting].as_f64().unwrap();
            let is = (job.interval)(&Limits::default()).as_secs_f64();
            assert!((said - is).abs() < 1e-9, "{}", job.name);
        }
    }
}
