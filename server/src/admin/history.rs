//! The last hour in figures, sampled in memory: 360 samples of a few numbers each.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::app::App;

/// Pause between samples.
const PAUSE: Duration = Duration::from_secs(10);

/// Samples kept: an hour.
pub(super) const KEPT: usize = 360;

/// What is sampled, in the order of [`SERIES`].
pub(super) type Sample = [f64; SERIES.len()];

/// One line of the status page's charts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Series {
    pub(super) title: &'static str,
    pub(super) unit: Unit,
    /// What is shown is how much it grew in a second, not how much it is.
    pub(super) rate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    PerSecond,
    BytesPerSecond,
    Number,
    Bytes,
}

pub(super) const SERIES: [Series; 8] = [
    rate("Messages in", Unit::PerSecond),
    rate("Messages out", Unit::PerSecond),
    rate("Ciphertext in", Unit::BytesPerSecond),
    rate("Ciphertext out", Unit::BytesPerSecond),
    rate("Calls", Unit::PerSecond),
    rate("Refusals", Unit::PerSecond),
    level("Streams", Unit::Number),
    level("Writer queue", Unit::Number),
];

const fn rate(title: &'static str, unit: Unit) -> Series {
    Series {
        title,
        unit,
        rate: true,
    }
}

const fn level(title: &'static str, unit: Unit) -> Series {
    Series {
        title,
        unit,
        rate: false,
    }
}

/// The samples of the last hour, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<(Instant, Sample)>,
    shown: VecDeque<Sample>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
        }
    }

    /// Adds what was counted by `now`; the first sample only starts the rates.
    fn push(&self, now: Instant, counted: Sample) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, before)) = state.last.replace((now, counted)) {
            let seconds = now.duration_since(then).as_secs_f64().max(0.001);
            let mut shown = counted;
            for ((cell, before), series) in shown.iter_mut().zip(before).zip(&SERIES) {
                if series.rate {
                    *cell = ((*cell - before) / seconds).max(0.0);
                }
            }
            if state.shown.len() >= KEPT {
                state.shown.pop_front();
            }
            state.shown.push_back(shown);
        }
    }

    /// The values of one series, oldest first.
    pub(super) fn of(&self, series: usize) -> Vec<f64> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state
            .shown
            .iter()
            .filter_map(|sample| sample.get(series).copied())
            .collect()
    }
}

/// Takes samples until dropped.
pub(crate) async fn observe(app: Arc<App>) {
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.metrics.tidy();
        let gauges = app.gauges().await;
        let (calls, refusals) = app.metrics.answers();
        let counts = &app.metrics.counts;
        let counted = [
            counts.messages_in.get(),
            counts.messages_out.get(),
            counts.bytes_in.get(),
            counts.bytes_out.get(),
            calls,
            refusals,
        ];
        let mut sample = [0.0; SERIES.len()];
        #[allow(clippy::cast_precision_loss, reason = "a chart does not show the 53rd bit")]
        let counted = counted.into_iter().map(|count| count as f64);
        let levels = [gauges.streams, gauges.writer_queue];
        for (cell, value) in sample.iter_mut().zip(counted.chain(levels)) {
            *cell = value;
        }
        app.history.push(Instant::now(), sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_not_more() {
        let history = History::new();
        let begin = Instant::now();
        for n in 0..1_000_u32 {
            let mut sample = [0.0; SERIES.len()];
            sample[0] = f64::from(n) * 50.0;
            sample[6] = f64::from(n);
            history.push(begin + PAUSE * n, sample);
        }
        assert_eq!(history.of(0), vec![5.0; KEPT], "50 more in 10 seconds");
        let streams = history.of(6);
        assert_eq!((streams[0], streams[KEPT - 1]), (640.0, 999.0));
    }

    #[test]
    fn a_counter_that_fell_is_no_negative_rate() {
        let history = History::new();
        let begin = Instant::now();
        let mut sample = [0.0; SERIES.len()];
        sample[0] = 100.0;
        history.push(begin, sample);
        history.push(begin + PAUSE, [0.0; SERIES.len()]);
        assert_eq!(history.of(0), [0.0]);
    }
}
