//! What the server does by itself, again and again. Of all nodes on one database one runs a job at a
//! time: a row of the database says which, and until when that may be believed.

mod runner;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::blobs::{remove_orphans, remove_unheld};
use crate::clock::{millis, now_ms};
use crate::limits::Limits;
use crate::store::{Batch, Forsaken, RemoveLapsed, Sweep, SweepAccounts, Write, WriteError};

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
    /// Batches in one run; what is left then waits for the next.
    batches: u32,
    /// What a batch is, as the manual says it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the manual is held to it"))]
    batch_bound: &'static str,
    batch: fn(Arc<App>) -> Working,
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
        name: "sweep",
        purpose: "forgets receipts after `receipt_lifetime`",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
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
        batches: 100,
        batch_bound: "1,000 rows of a table",
        batch: |app| write(app, RemoveLapsed { now_ms: now_ms() }),
    },
    Job {
        name: "forsaken",
        purpose: "deletes channels whose members are gone, and posts that nobody is to get any more",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        batches: 1,
        batch_bound: "all channels and posts, some at a time",
        batch: |app| Box::pin(remove_forsaken(app)),
    },
    Job {
        name: "unheld",
        purpose: "ends holds and uploads whose time is over, and removes attachments that nobody holds",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        batches: 1,
        batch_bound: "all of them, 500 rows at a time",
        batch: |app| {
            Box::pin(async move {
                let removed = remove_unheld(&app.store, &app.storage, now_ms()).await;
                in_storage(removed)
            })
        },
    },
    Job {
        name: "orphans",
        purpose: "removes objects of the storage that belong to no attachment and are older than `orphan_grace`",
        interval_setting: "sweep_interval",
        interval: |limits| limits.sweep_interval,
        batches: 1,
        batch_bound: "all of them, 500 objects at a time",
        batch: |app| {
            Box::pin(async move {
                let removed = remove_orphans(&app.store, &app.storage, app.limits.orphan_grace).await;
                in_storage(removed)
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
    Ok(Batch { items, more: false })
}

fn in_storage<E: std::fmt::Display>(removed: Result<u64, E>) -> Result<Batch, Failed> {
    match removed {
        Ok(items) => Ok(Batch { items, more: false }),
        Err(error) => {
            tracing::warn!(%error, "a job that tidies the storage up was put off");
            Err(Failed)
        }
    }
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
        let mut text = "| job | purpose | interval | at most in one run |\n|---|---|---|---|\n".to_owned();
        for job in JOBS {
            let (name, purpose, interval) = (job.name, job.purpose, job.interval_setting);
            let bound = match job.batches {
                1 => job.batch_bound.to_owned(),
                batches => format!("{batches} batches of {}", job.batch_bound),
            };
            text.push_str(&format!("| `{name}` | {purpose} | `{interval}` | {bound} |\n"));
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
