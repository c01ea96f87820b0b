//! Warm-up, measurement, end: for all tasks of a row at the same moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::meter::{Meter, Probe, Usage};
use crate::row::{Latencies, Row};

/// How long everything takes.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    /// Of the probe, before a row and after it.
    pub(crate) probe: Duration,
    /// Only whether it works.
    pub(crate) quick: bool,
}

/// A row whose last messages have not come by then has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// As [`PATIENCE`], of a row that goes on until all its messages are through.
const LONG_PATIENCE: Duration = Duration::from_secs(1800);

/// What the tasks of a row look at.
#[derive(Clone, Default)]
pub(crate) struct Phase(Arc<AtomicU8>);

const MEASURING: u8 = 1;
const ENDING: u8 = 2;

impl Phase {
    pub(crate) fn measuring(&self) -> bool {
        self.0.load(Ordering::Relaxed) == MEASURING
    }

    /// Nothing new is to be begun.
    pub(crate) fn ending(&self) -> bool {
        self.0.load(Ordering::Relaxed) == ENDING
    }

    fn set(&self, phase: u8) {
        self.0.store(phase, Ordering::Relaxed);
    }
}

/// What one task has seen during the measurement.
pub(crate) struct Tally {
    pub(crate) ack: Latencies,
    pub(crate) delivery: Latencies,
    pub(crate) messages: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            ack: Latencies::new(),
            delivery: Latencies::new(),
            messages: 0,
        }
    }

    /// For one of a thousand tasks.
    pub(crate) fn coarse() -> Self {
        Self {
            ack: Latencies::coarse(),
            delivery: Latencies::coarse(),
            messages: 0,
        }
    }

    fn add(&mut self, other: &Self) {
        self.ack.add(&other.ack);
        self.delivery.add(&other.delivery);
        self.messages += other.messages;
    }
}

/// What came of a row.
pub(crate) struct Measured {
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
    pub(crate) usage: Usage,
    pub(crate) rss_kib: u64,
    pub(crate) probe: Probe,
}

impl Measured {
    pub(crate) fn row(&self, name: &str) -> Row {
        Row::new(name)
            .cost(self.tally.messages, self.took, self.usage)
            .latency("ack", &self.tally.ack)
            .latency("delivery", &self.tally.delivery)
            .rss(self.rss_kib)
            .probe(&self.probe)
    }
}

/// Lets tasks run that end only when told, and measures for a fixed time.
pub(crate) async fn for_a_time(
    plan: Plan,
    meter: &Meter,
    phase: Phase,
    start: impl AsyncFnOnce(&mut JoinSet<Tally>),
) -> Measured {
    let probe = meter.probe(plan.probe);
    let mut tasks = JoinSet::new();
    start(&mut tasks).await;
    watched_sleep(&mut tasks, plan.warm_up).await;
    phase.set(MEASURING);
    let (began, before) = (Instant::now(), meter.usage());
    watched_sleep(&mut tasks, plan.measure).await;
    phase.set(ENDING);
    let (took, usage) = (began.elapsed(), meter.usage() - before);
    let rss_kib = meter.rss_kib();
    let tally = all(tasks, PATIENCE).await;
    let probe = probe.and(meter.probe(plan.probe));
    Measured {
        tally,
        took,
        usage,
        rss_kib,
        probe,
    }
}

/// Measures tasks that end by themselves, from their beginning to the end of the last.
pub(crate) async fn to_the_end(
    plan: Plan,
    meter: &Meter,
    start: impl AsyncFnOnce(&mut JoinSet<Tally>),
) -> Measured {
    let probe = meter.probe(plan.probe);
    let mut tasks = JoinSet::new();
    let (began, before) = (Instant::now(), meter.usage());
    start(&mut tasks).await;
    let tally = all(tasks, LONG_PATIENCE).await;
    let (took, usage) = (began.elapsed(), meter.usage() - before);
    let rss_kib = meter.rss_kib();
    let probe = probe.and(meter.probe(plan.probe));
    Measured {
        tally,
        took,
        usage,
        rss_kib,
        probe,
    }
}

/// Ends early, with the run, when a task fails meanwhile.
async fn watched_sleep(tasks: &mut JoinSet<Tally>, time: Duration) {
    tokio::select! {
        () = sleep(time) => {}
        Some(ended) = tasks.join_next() => {
            ended.unwrap();
            panic!("a task ended before its time");
        }
    }
}

async fn all(mut tasks: JoinSet<Tally>, patience: Duration) -> Tally {
    let mut tally = Tally::new();
    while !tasks.is_empty() {
        let ended = timeout(patience, tasks.join_next()).await;
        let ended = ended.unwrap_or_else(|_| panic!("messages are missing: the row does not end"));
        if let Some(ended) = ended {
            tally.add(&ended.unwrap());
        }
    }
    tally
}
