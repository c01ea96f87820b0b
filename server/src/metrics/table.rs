//! Every metric, documented once: the export, the status page and the operators' manual are made of this.

use super::{Count, Kind, Metric};

macro_rules! metrics {
    (
        counters { $( $(#[doc = $c_about:literal])+ $count:ident = $c_name:literal, )+ }
        gauges { $( $(#[doc = $g_about:literal])+ $gauge:ident = $g_name:literal, )+ }
        labelled { $( $(#[doc = $l_about:literal])+ $CONST:ident: $kind:ident [$($label:literal),+] = $l_name:literal, )+ }
    ) => {
        /// What is only counted up.
        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $( $(#[doc = $c_about])+ pub(crate) $count: Count, )+
        }

        impl Counts {
            pub(crate) fn each(&self, mut tell: impl FnMut(&'static str, u64)) {
                $( tell($c_name, self.$count.get()); )+
            }
        }

        /// What is looked at when somebody asks.
        #[derive(Clone, Debug, Default)]
        pub(crate) struct Gauges {
            $( $(#[doc = $g_about])+ pub(crate) $gauge: f64, )+
        }

        impl Gauges {
            pub(crate) fn each(&self, mut tell: impl FnMut(&'static str, f64)) {
                $( tell($g_name, self.$gauge); )+
            }
        }

        $( $(#[doc = $l_about])+ pub(super) const $CONST: &str = $l_name; )+

        /// All of them.
        pub(crate) const METRICS: &[Metric] = &[
            $( Metric { name: $c_name, kind: Kind::Counter, labels: &[], about: concat!($($c_about),+).trim_ascii() }, )+
            $( Metric { name: $g_name, kind: Kind::Gauge, labels: &[], about: concat!($($g_about),+).trim_ascii() }, )+
            $( Metric { name: $l_name, kind: Kind::$kind, labels: &[$($label),+], about: concat!($($l_about),+).trim_ascii() }, )+
        ];
    };
}

metrics! {
    counters {
        /// Messages that clients send, well-formed ones; some are then refused. Posts to channels are not among them.
        messages_in = "sottovoce_messages_in_total",
        /// Ciphertext in these, in bytes.
        bytes_in = "sottovoce_message_bytes_in_total",
        /// Envelopes delivered on streams, repeats included.
        messages_out = "sottovoce_messages_out_total",
        /// Ciphertext in these, in bytes.
        bytes_out = "sottovoce_message_bytes_out_total",
        /// Connections refused: as many were open as the limits allow, they came too often, or their address is
        /// blocked.
        connections_refused = "sottovoce_connections_refused_total",
    }
    gauges {
        /// 1 while the server takes new work, 0 while it drains or cannot reach its database.
        ready = "sottovoce_ready",
        /// Seconds since the server started.
        uptime = "sottovoce_uptime_seconds",
        /// Open connections of clients.
        connections = "sottovoce_connections",
        /// Open message streams.
        streams = "sottovoce_streams",
        /// Changes that wait for the database's writer.
        writer_queue = "sottovoce_writer_queue",
        /// Size of the database, in bytes.
        database = "sottovoce_database_bytes",
        /// Memory of the process in use, in bytes (Linux).
        resident = "process_resident_memory_bytes",
        /// Files and sockets the process has open (Linux).
        open_files = "process_open_fds",
        /// Files and sockets the process may have open.
        max_files = "process_max_fds",
        /// Processor time the process has used, in seconds; take its rate (Linux).
        cpu = "process_cpu_seconds",
    }
    labelled {
        /// Always 1; says which version runs.
        BUILD: Gauge ["version"] = "sottovoce_build_info",
        /// Calls answered, by call and status. A stream counts when it opens.
        CALLS: Counter ["call", "code"] = "sottovoce_calls_total",
        /// How long calls took to answer; a stream, to open.
        CALL_SECONDS: Histogram ["call"] = "sottovoce_call_seconds",
        /// Runs of jobs on this node, by how they ended: `done`, `more` left for the next run, `failed`.
        JOB_RUNS: Counter ["name", "outcome"] = "sottovoce_job_runs_total",
        /// What jobs on this node have dealt with: rows, files.
        JOB_ROWS: Counter ["name"] = "sottovoce_job_rows_total",
        /// How long the last run of a job on this node took.
        JOB_SECONDS: Gauge ["name"] = "sottovoce_job_last_run_seconds",
    }
}
