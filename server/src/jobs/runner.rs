//! Running the jobs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::here::Ended;
use super::{At, Failed, JOBS, Job};
use crate::app::App;
use crate::clock::{millis, now_ms};
use crate::store::{ClaimJob, EndJob, MORE};

/// Between the batches of one run, so that the writer's other callers come first.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a run may take. A job that is cut goes on with its next run.
const RUN_LIMIT: Duration = Duration::from_secs(5 * 60);

/// How long a node that has taken a job is believed to be at it: longer than any run.
const LEASE: Duration = Duration::from_secs(6 * 60);

/// How often within an interval a node looks whether the job is due: after a restart, and where the node
/// that ran it is gone, it is not much later than it should be.
const LOOKS: u32 = 4;

/// Between a ring of its bell and the run of a job.
const SETTLE: Duration = Duration::from_secs(1);

/// How far the clocks of nodes may be apart.
const CLOCKS_APART: Duration = Duration::from_secs(60);

/// How runs end besides [`MORE`].
const DONE: &str = "done";
const FAILED: &str = "failed";

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
    let (mut woken, mut failing) = (false, false);
    loop {
        let interval = (job.interval)(&app.limits).max(PAUSE);
        let turn = match job.at {
            At::OneNode => turn(&app, job, interval, woken).await,
            At::EveryNode => turn_here(&app, job).await,
        };
        if app.stopping.is_cancelled() {
            return;
        }
        // Once, not with every look, while the database is away.
        if turn.is_err() && !failing {
            tracing::warn!(job = job.name, "put off: the database did not take it");
        }
        failing = turn.is_err();
        let pause = match turn {
            // What is left is due at once, here or at another node.
            Ok(Turn::Left) => PAUSE,
            // Another node is at it, and may be past what this one was woken for.
            Ok(Turn::NotDue) if woken => SETTLE,
            _ => {
                woken = false;
                match job.at {
                    At::OneNode => jittered(interval / LOOKS),
                    At::EveryNode => jittered(interval),
                }
            }
        };
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = sleep(pause) => {}
            () = ringing(&app, job) => {
                woken = true;
                // What comes together is dealt with together.
                sleep(SETTLE).await;
            }
        }
    }
}

/// Returns when the job is due whatever its interval.
async fn ringing(app: &App, job: &Job) {
    match job.bell {
        Some(bell) => bell(app).notified().await,
        None => std::future::pending().await,
    }
}

/// What came of looking whether a job is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is not, or another node has it.
    NotDue,
    Ran,
    /// It ran, and something is left.
    Left,
}

/// Runs the job if it is due, or was woken, and no other node has it.
async fn turn(app: &Arc<App>, job: &'static Job, interval: Duration, woken: bool) -> Result<Turn, Failed> {
    let now_ms = now_ms();
    let since = if woken { Duration::ZERO } else { interval };
    let claim = ClaimJob {
        name: job.name,
        node: app.node.clone(),
        now_ms,
        due_before_ms: now_ms.saturating_sub(millis(since)),
        latest_start_ms: now_ms.saturating_add(millis(CLOCKS_APART)),
        lease_until_ms: now_ms.saturating_add(millis(LEASE)),
    };
    if !app.store.write(claim).await? {
        return Ok(Turn::NotDue);
    }
    let (outcome, items, took) = timed(app, job).await;
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
        failed: outcome == FAILED,
    };
    app.store.write(end).await?;
    Ok(if outcome == MORE { Turn::Left } else { Turn::Ran })
}

/// Runs the job for this node alone.
async fn turn_here(app: &Arc<App>, job: &'static Job) -> Result<Turn, Failed> {
    let started_at_ms = now_ms();
    let (outcome, items, took) = timed(app, job).await;
    let failed = outcome == FAILED;
    app.runs_here.ended(
        job.name,
        Ended {
            node: &app.node,
            started_at_ms,
            ended_at_ms: now_ms(),
            outcome,
            items,
            failed,
        },
    );
    // It runs every second: the log has the runs that found something.
    if items > 0 {
        tracing::info!(
            job = job.name,
            outcome,
            items,
            took_ms = millis(took),
            "a job ran"
        );
    }
    match outcome {
        FAILED => Err(Failed),
        MORE => Ok(Turn::Left),
        _ => Ok(Turn::Ran),
    }
}

/// Runs the job, and counts the run. Returns how it ended, how much it dealt with, and how long it took.
async fn timed(app: &Arc<App>, job: &Job) -> (&'static str, u64, Duration) {
    let begun = Instant::now();
    let mut items = 0;
    let outcome = match timeout(RUN_LIMIT, run(app, job, &mut items)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(Failed)) => FAILED,
        Err(_) => MORE,
    };
    let took = begun.elapsed();
    app.metrics.job_ran(job.name, outcome, items, took);
    (outcome, items, took)
}

async fn run(app: &Arc<App>, job: &Job, items: &mut u64) -> Result<&'static str, Failed> {
    for _ in 0..job.batches {
        let batch = (job.batch)(app.clone()).await?;
        *items += batch.items;
        if !batch.more {
            return Ok(DONE);
        }
        sleep(PAUSE).await;
    }
    Ok(MORE)
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
