//! The status page: one document, no script, nothing loaded.

use std::fmt;

use crate::app::App;
use crate::clock::{now_ms, span};
use crate::jobs::{JOBS, Job};
use crate::metrics::Gauges;
use crate::store;

use super::Readiness;
use super::chart::{Chart, shown};
use super::history::{SERIES, Unit};

const STYLE: &str = include_str!("page.css");

/// Seconds between reloads of an open page: as often as there is something new.
const REFRESH: u32 = 10;

/// What the page shows.
pub(super) struct Page<'a> {
    app: &'a App,
    readiness: Readiness,
    gauges: Gauges,
    jobs: Vec<JobRow>,
}

/// A job as the page shows it.
pub(super) struct JobRow {
    pub(super) name: &'static str,
    pub(super) purpose: &'static str,
    pub(super) every: std::time::Duration,
    pub(super) last_ms: Option<u64>,
    pub(super) outcome: String,
}

impl<'a> Page<'a> {
    pub(super) async fn of(app: &'a App) -> Self {
        Self {
            app,
            readiness: app.readiness().await,
            gauges: app.gauges().await,
            jobs: jobs(app).await,
        }
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let limits = &self.app.limits;
        let of = |now: f64, most: usize| format!("{now:.0} of {most}");
        vec![
            ("Server", self.app.server_name.as_str().to_owned()),
            ("Version", env!("CARGO_PKG_VERSION").to_owned()),
            ("Up for", span(self.gauges.uptime)),
            (
                "Registration",
                format!("{:?}", self.app.registration).to_lowercase(),
            ),
            ("Connections", of(self.gauges.connections, limits.max_connections)),
            ("Streams", of(self.gauges.streams, limits.max_streams)),
            ("Writer queue", format!("{:.0}", self.gauges.writer_queue)),
            ("Database", shown(self.gauges.database, Unit::Bytes)),
            ("Memory", shown(self.gauges.resident, Unit::Bytes)),
            (
                "Open files",
                format!("{:.0} of {:.0}", self.gauges.open_files, self.gauges.max_files),
            ),
        ]
    }
}

/// The jobs there are, and what the database knows of them, or this node of those that every node runs.
async fn jobs(app: &App) -> Vec<JobRow> {
    // A page about a server without its database shows that, and no more of the jobs than there is.
    let mut rows = app.store.jobs().await.unwrap_or_default();
    rows.extend(app.runs_here.rows());
    let shown = |job: &Job| {
        let row = rows.iter().find(|row| row.name == job.name);
        JobRow {
            name: job.name,
            purpose: job.purpose,
            every: (job.interval)(&app.limits),
            last_ms: row.map(|row| row.started_at_ms).filter(|at| *at > 0),
            outcome: row.map_or_else(String::new, outcome),
        }
    };
    JOBS.iter().map(shown).collect()
}

fn outcome(row: &store::JobRow) -> String {
    let running = if row.ended_at_ms.is_none() {
        "running; before that: "
    } else {
        ""
    };
    let last = row.outcome.as_deref().unwrap_or("none yet");
    let (items, runs, failures) = (row.items, row.runs, row.failures);
    format!("{running}{last}, items: {items}; runs so far: {runs}, failed: {failures}")
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = escaped(self.app.server_name.as_str());
        let (class, health) = match self.readiness {
            Readiness::Ready => ("good", "Ready"),
            Readiness::Draining => ("fair", "Draining"),
            Readiness::NoDatabase => ("bad", "The database cannot be reached"),
        };
        write!(
            f,
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"color-scheme\" content=\"light dark\">\
             <meta http-equiv=\"refresh\" content=\"{REFRESH}\">\
             <title>{health} · {name}</title><style>{STYLE}</style></head><body>\
             <header><h1>Sottovoce <span>{name}</span></h1>\
             <p class=\"health {class}\" role=\"status\">{health}</p></header><main>\
             <section aria-labelledby=\"now\"><h2 id=\"now\">Now</h2><dl class=\"facts\">"
        )?;
        for (what, value) in self.facts() {
            write!(
                f,
                "<div class=\"card\"><dt>{what}</dt><dd>{}</dd></div>",
                escaped(&value)
            )?;
        }
        f.write_str("</dl></section><section aria-labelledby=\"hour\"><h2 id=\"hour\">The last hour</h2><div class=\"charts\">")?;
        for (n, series) in SERIES.iter().enumerate() {
            let values = self.app.history.of(n);
            Chart { series, values }.fmt(f)?;
        }
        f.write_str("</div></section>")?;
        self.jobs(f)?;
        write!(
            f,
            "</main><footer>This page counts and names nobody. The same figures for Prometheus: \
             <a href=\"/metrics\">/metrics</a>; for a load balancer: <a href=\"/ready\">/ready</a>, \
             <a href=\"/live\">/live</a>.</footer></body></html>"
        )
    }
}

impl Page<'_> {
    fn jobs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "<section aria-labelledby=\"jobs\"><h2 id=\"jobs\">Jobs</h2><div class=\"card scroll\"><table>\
             <thead><tr><th scope=\"col\">Job</th><th scope=\"col\">Purpose</th><th scope=\"col\">Every</th>\
             <th scope=\"col\">Last run</th><th scope=\"col\">Outcome</th></tr></thead><tbody>",
        )?;
        for job in &self.jobs {
            let last = job.last_ms.map_or_else(
                || "not yet".to_owned(),
                |at| format!("{} ago", span(seconds(now_ms().saturating_sub(at)))),
            );
            write!(
                f,
                "<tr><th scope=\"row\"><code>{}</code></th><td>{}</td><td>{}</td><td>{last}</td><td>{}</td></tr>",
                job.name,
                with_code(job.purpose),
                span(job.every.as_secs_f64()),
                escaped(&job.outcome),
            )?;
        }
        f.write_str("</tbody></table></div></section>")
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a span of time in words has two digits"
)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// What stands between backquotes is a name, and shown as one.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(|(n, part)| match n % 2 {
            1 => format!("<code>{}</code>", escaped(part)),
            _ => escaped(part),
        })
        .collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_cannot_become_markup() {
        assert_eq!(with_code("after `a<b`"), "after <code>a&lt;b</code>");
        assert_eq!(escaped("<b>&\"</b>"), "&lt;b&gt;&amp;&quot;&lt;/b&gt;");
    }
}
