//! One line of the result, and what it is made of.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::meter::{Probe, Usage};

/// `ROW name=… key=value …`
pub(crate) struct Row {
    text: String,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            text: format!("ROW name={name}"),
        }
    }

    pub(crate) fn key(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.text.push_str(&format!(" {key}={value}"));
        self
    }

    pub(crate) fn number(self, key: &str, value: f64, decimals: usize) -> Self {
        self.key(key, format!("{value:.decimals$}"))
    }

    /// The median and the 99th percentile, when anything was recorded.
    pub(crate) fn latency(self, what: &str, latencies: &Latencies) -> Self {
        if latencies.0.is_empty() {
            return self;
        }
        self.number(&format!("{what}_p50_ms"), latencies.ms(0.5), 3)
            .number(&format!("{what}_p99_ms"), latencies.ms(0.99), 3)
    }

    /// What `messages` took, in time and in work.
    pub(crate) fn cost(self, messages: u64, took: Duration, usage: Usage) -> Self {
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / messages.max(1) as f64;
        let row = self
            .number("msgs_per_s", messages as f64 / took.as_secs_f64(), 0)
            .number("server_cpu_us_per_msg", each(usage.server), 1);
        let row = match usage.database {
            Some(cpu) => row.number("db_cpu_us_per_msg", each(cpu), 1),
            None => row,
        };
        row.number("client_cpu_us_per_msg", each(usage.client), 1)
    }

    pub(crate) fn probe(self, probe: &Probe) -> Self {
        self.number("fsync_per_s", probe.per_second(), 0)
            .number("fsync_p50_ms", probe.median_ms(), 3)
    }

    pub(crate) fn rss(self, kib: u64) -> Self {
        self.number("rss_mib", kib as f64 / 1024.0, 1)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Times from handing a message over until something came of it.
#[derive(Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self::with_digits(3)
    }

    /// To a hundredth instead of a thousandth, in a tenth of the memory: where there are many.
    pub(crate) fn coarse() -> Self {
        Self::with_digits(2)
    }

    fn with_digits(digits: u8) -> Self {
        Self(Histogram::new(digits).unwrap())
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.record(micros).unwrap();
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).unwrap();
    }

    fn ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}
