//! Running the jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{Failed, JOBS, Job};
use crate::app::App;
use crate::clock::{millis, now_ms};
use crate::store::{ClaimJob, EndJob};

/// Between the batches of one run, so that the writer's other callers come first.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a run may take. A job that is cut goes on with its next run.
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long a node that has taken a job is believed to be at it: longer than any run.
const LEASE: Duration = Duration::from_secs(6 * 60);

/// How often within an interval a node looks whether the job is due: after a restart, and where the node
/// that ran it is gone, it is not much later than it should be.
const LOOKS: u32 = 4;

/// The jobs, run until this is dropped.
#[derive(Debug)]
pub(crate) struct Runner {
    _jobs: Vec<AbortOnDropHandle<()>>,
}

impl Runner {
    pub(crate) fn start(app: &Arc<App>) -> Self {
        let run = |job| AbortOnDropHandle::new(tokio::spawn(keep_running(app.clone(), job)));
        Self {
            _jobs: JOBS.iter().map(run).collect(),
        }
    }
}

/// What this node is called in the table of jobs.
pub(crate) fn node_name(configured: Option<String>) -> Result<String, getrandom::Error> {
    if let Some(name) = configured {
        return Ok(name);
    }
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(format!("node-{:016x}", u64::from_be_bytes(bytes)))
}

async fn keep_running(app: Arc<App>, job: &'static Job) {
    loop {
        let interval = (job.interval)(&app.limits).max(PAUSE);
        if let Err(Failed) = turn(&app, job, interval).await {
            tracing::warn!(job = job.name, "put off: the database did not take it");
        }
        sleep(jittered(interval / LOOKS)).await;
    }
}

/// Runs the job if it is due and no other node has it.
async fn turn(app: &Arc<App>, job: &'static Job, interval: Duration) -> Result<(), Failed> {
    let now_ms = now_ms();
    let claim = ClaimJob {
        name: job.name,
        node: app.node.clone(),
        now_ms,
        due_before_ms: now_ms.saturating_sub(millis(interval)),
        lease_until_ms: now_ms.saturating_add(millis(LEASE)),
    };
    if !app.store.write(claim).await? {
        return Ok(());
    }
    let begun = Instant::now();
    let mut items = 0;
    let outcome = match timeout(RUN_LIMIT, run(app, job, &mut items)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(Failed)) => "failed",
        Err(_) => "more",
    };
    let took = begun.elapsed();
    app.metrics.job_ran(job.name, outcome, items, took);
    tracing::info!(
        job = job.name,
        outcome,
        items,
        took_ms = millis(took),
        "a job ran"
    );
    let end = EndJob {
        name: job.name,
        node: app.node.clone(),
        now_ms: crate::clock::now_ms(),
        outcome,
        items,
        failed: outcome == "failed",
    };
    Ok(app.store.write(end).await?)
}

async fn run(app: &Arc<App>, job: &Job, items: &mut u64) -> Result<&'static str, Failed> {
    for _ in 0..job.batches {
        let batch = (job.batch)(app.clone()).await?;
        *items += batch.items;
        if !batch.more {
            return Ok("done");
        }
        sleep(PAUSE).await;
    }
    Ok("more")
}

/// Within a tenth of the duration given, so that nodes that started together do not all look together.
fn jittered(duration: Duration) -> Duration {
    let mut bytes = [0; 2];
    // Without randomness they look together; one of them gets the job all the same.
    let _ = getrandom::fill(&mut bytes);
    let tenth = f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX);
    duration.mul_f64(0.9 + 0.2 * tenth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth_and_differs() {
        let drawn: Vec<_> = (0..100).map(|_| jittered(Duration::from_secs(100))).collect();
        assert!(drawn.iter().all(|at| (90.0..=110.0).contains(&at.as_secs_f64())));
        assert!(drawn.iter().any(|at| *at != drawn[0]));
    }

    #[test]
    fn a_node_has_the_name_it_was_given_or_one_of_its_own() {
        assert_eq!(node_name(Some("a".to_owned())).unwrap(), "a");
        assert_ne!(node_name(None).unwrap(), node_name(None).unwrap());
    }
}
