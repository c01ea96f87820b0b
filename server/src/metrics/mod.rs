//! What the server counts and measures. Nothing here knows whom it counts: labels are names of calls,
//! statuses and jobs, all of them constants of this program.

mod calls;
mod numbers;
mod process;
mod table;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tonic::Code;

use crate::calls::CALLS;
use calls::{CODES, CallCounts, OTHER};

pub(crate) use numbers::{Count, Level};
pub(crate) use process::Process;
pub(crate) use table::{Counts, Gauges, METRICS};

/// Upper ends of the buckets of durations, in seconds: from a warm cache to the longest call.
const SECONDS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0,
];

/// One thing counted or measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    #[cfg_attr(
        not(test),
        allow(dead_code, reason = "the manual and the export are held to it")
    )]
    pub(crate) labels: &'static [&'static str],
    pub(crate) about: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Counts {
    /// Counts a message that a client sends: what its letters hold, in bytes.
    pub(crate) fn sent(&self, lengths: impl Iterator<Item = usize>) {
        self.messages_in.add(1);
        self.bytes_in.add(lengths.map(|len| len as u64).sum());
    }

    /// Counts an envelope that is delivered.
    pub(crate) fn delivered(&self, len: usize) {
        self.messages_out.add(1);
        self.bytes_out.add(len as u64);
    }
}

/// All that one server counts. Several servers in one process keep their numbers apart.
pub(crate) struct Metrics {
    pub(crate) counts: Arc<Counts>,
    /// Open now.
    pub(crate) connections: Level,
    calls: Vec<CallCounts>,
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Histogram) {
            // It refuses only an empty list.
            if let Ok(with_buckets) = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), &SECONDS)
            {
                builder = with_buckets;
            }
        }
        let recorder = builder.build_recorder();
        let calls = with_local_recorder(&recorder, || {
            describe();
            let paths = CALLS.iter().map(|call| call.path).chain([OTHER]);
            paths.map(CallCounts::new).collect()
        });
        Self {
            counts: Arc::default(),
            connections: Level::default(),
            calls,
            handle: recorder.handle(),
            recorder,
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, path: Option<&'static str>, code: Code, took: Duration) {
        let path = path.unwrap_or(OTHER);
        if let Some(call) = self.calls.iter().find(|call| call.path == path) {
            if let Some(answers) = call.by_code.get(code as usize) {
                answers.fetch_add(1, Ordering::Relaxed);
            }
            call.seconds.record(took.as_secs_f64());
        }
    }

    /// All answers, and those of them that refused.
    pub(crate) fn answers(&self) -> (u64, u64) {
        let of = |codes: std::ops::Range<usize>| {
            let cells = self
                .calls
                .iter()
                .filter_map(|call| call.by_code.get(codes.clone()))
                .flatten();
            cells.map(|cell| cell.load(Ordering::Relaxed)).sum()
        };
        (of(0..CODES), of(1..CODES))
    }

    /// Counts a run of a job.
    pub(crate) fn job_ran(&self, job: &'static str, outcome: &'static str, rows: u64, took: Duration) {
        with_local_recorder(&self.recorder, || {
            counter!(table::JOB_RUNS, "name" => job, "outcome" => outcome).increment(1);
            counter!(table::JOB_ROWS, "name" => job).increment(rows);
            gauge!(table::JOB_SECONDS, "name" => job).set(took.as_secs_f64());
        });
    }

    /// Everything, in the text format of Prometheus.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        with_local_recorder(&self.recorder, || {
            self.counts.each(|name, value| counter!(name).absolute(value));
            gauges.each(|name, value| gauge!(name).set(value));
            gauge!(table::BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
            self.calls.iter().for_each(CallCounts::publish);
        });
        self.handle.render()
    }

    /// Puts durations into their buckets; until then each is kept by itself.
    pub(crate) fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn describe() {
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.about),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.about),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.about),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_the_table_of_metrics() {
        let mut text = "| metric | kind | labels | what it is |\n|---|---|---|---|\n".to_owned();
        for metric in METRICS {
            let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let (name, kind, about) = (metric.name, metric.kind, metric.about);
            let row = format!("| `{name}` | {kind:?} | {} | {about} |\n", labels.join(", "));
            text.push_str(
                &row.replace("Counter", "counter")
                    .replace("Gauge", "gauge")
                    .replace("Histogram", "histogram"),
            );
        }
        crate::manual::holds("metrics", &text);
    }

    #[test]
    fn every_metric_of_the_table_is_exported_with_its_labels_and_no_other_is() {
        let metrics = Metrics::new();
        metrics.answered(
            Some("/sottovoce.v1.MailboxService/Send"),
            Code::Ok,
            Duration::from_millis(3),
        );
        metrics.answered(None, Code::Unimplemented, Duration::from_millis(3));
        metrics.job_ran("sweep", "done", 3, Duration::from_millis(3));
        metrics.counts.messages_in.add(5);
        metrics.tidy();
        let text = metrics.render(&Gauges::default());
        for metric in METRICS {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            assert!(
                text.contains(&format!("# TYPE {} {kind}\n", metric.name)),
                "{}:\n{text}",
                metric.name
            );
            for label in metric.labels {
                let has = text
                    .lines()
                    .any(|line| line.starts_with(metric.name) && line.contains(&format!("{label}=\"")));
                assert!(has, "{} has no {label}", metric.name);
            }
        }
        let exported = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(exported, METRICS.len());
        assert!(
            text.contains("sottovoce_calls_total{call=\"MailboxService/Send\",code=\"OK\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("sottovoce_calls_total{call=\"other\",code=\"UNIMPLEMENTED\"} 1"),
            "{text}"
        );
        assert!(text.contains("sottovoce_messages_in_total 5"), "{text}");
        assert!(
            text.contains("sottovoce_call_seconds_bucket{call=\"MailboxService/Send\",le=\"0.005\"} 1"),
            "{text}"
        );
        assert_eq!(metrics.answers(), (2, 1));
    }

    #[test]
    fn the_dashboard_asks_for_metrics_there_are() {
        let dashboard = include_str!("../../deploy/grafana-dashboard.json");
        let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
        let panels = parsed["panels"].as_array().unwrap();
        let targets = panels
            .iter()
            .filter_map(|panel| panel["targets"].as_array())
            .flatten();
        let mut asked = 0;
        for expression in targets.map(|target| target["expr"].as_str().unwrap()) {
            for name in expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                if name.starts_with("sottovoce_") || name.starts_with("process_") {
                    let base = name.trim_end_matches("_bucket").trim_end_matches("_sum");
                    assert!(
                        METRICS.iter().any(|metric| metric.name == base),
                        "{name} in {expression}"
                    );
                    asked += 1;
                }
            }
        }
        assert!(asked > 10, "{asked}");
    }
}
