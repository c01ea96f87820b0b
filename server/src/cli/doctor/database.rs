//! The database, and the way by which nodes tell each other.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Finding;
use crate::config::{Config, Database};
use crate::hints::{Nats, Outbox};
use crate::store::{Inspection, inspect};

/// Clocks further apart than this make nodes disagree on what has expired.
const MAX_APART_MS: u64 = 5_000;

/// How long NATS may take to be there.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = match inspect(&config.database, &config.data_dir).await {
        Ok(Some(inspection)) => of(&inspection, config.server_name.as_str()),
        Ok(None) => vec![Finding::fine(
            "database",
            "SQLite, not there yet; `serve` and `init` make it",
        )],
        Err(sqlx::Error::Io(error)) if matches!(config.database, Database::Sqlite) => vec![Finding::wrong(
            "database",
            format!(
                "this user may not look for it in {}: {error}",
                config.data_dir.display()
            ),
            "Run `doctor` as the user the server runs as.",
        )],
        Err(error) => vec![Finding::wrong(
            "database",
            format!("it does not answer: {error}"),
            "Is it running, can it be reached from here, are user, password and name right?",
        )],
    };
    findings.extend(nats(config).await);
    findings
}

fn of(inspection: &Inspection, name: &str) -> Vec<Finding> {
    let (applied, known) = (inspection.applied, inspection.known);
    let mut findings = vec![match applied.cmp(&known) {
        std::cmp::Ordering::Equal => Finding::fine(
            "database",
            format!("it answers; its {applied} migrations are done"),
        ),
        std::cmp::Ordering::Less => Finding::doubtful(
            "database",
            format!("it answers; {applied} of {known} migrations are done"),
            "`serve` does the others when it starts, `migrate` now. Back it up first.",
        ),
        std::cmp::Ordering::Greater => Finding::wrong(
            "database",
            format!("it has had {applied} migrations, and this program knows {known}"),
            "A newer version has used it: run that one, or restore a backup from before.",
        ),
    }];
    if let Some(kept) = inspection.server_name.as_deref().filter(|kept| *kept != name) {
        findings.push(Finding::wrong(
            "server name",
            format!("the database is that of the server {kept}, the settings say {name}"),
            "Set server_name back: accounts have signed theirs, and nothing of them would verify.",
        ));
    }
    for problem in &inspection.problems {
        findings.push(Finding::wrong(
            "database",
            problem.clone(),
            "What was acknowledged may be lost or unreadable: mend that before serving.",
        ));
    }
    if inspection.ahead_ms.unsigned_abs() > MAX_APART_MS {
        findings.push(Finding::doubtful(
            "clock",
            format!(
                "the database's is {} ms ahead of this machine's",
                inspection.ahead_ms
            ),
            "Keep both set (NTP): what expires and which node runs a job go by the nodes' clocks.",
        ));
    }
    findings
}

async fn nats(config: &Config) -> Option<Finding> {
    let advice =
        "Nodes find what is new by themselves meanwhile, within limits.watch_interval_without_hints.";
    let Some(url) = &config.nats else {
        return matches!(config.database, Database::Postgres(_)).then(|| {
            Finding::doubtful(
                "nats",
                "not set: right for one node; with more, what one takes another delivers a second later",
                "Set nats where there are several nodes.",
            )
        });
    };
    let Ok(nats) = Nats::connect(url, &config.server_name).await else {
        return Some(Finding::doubtful("nats", "it cannot be connected to", advice));
    };
    let connected = nats.connected();
    let (_others, outbox): (Outbox, mpsc::Receiver<_>) = Outbox::new();
    let hub = crate::hub::Hub::new(0, Outbox::nowhere());
    let waiting = async {
        while !connected.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let reached = tokio::select! {
        reached = timeout(PATIENCE, waiting) => reached.is_ok(),
        () = nats.run(hub, outbox) => false,
    };
    Some(if reached {
        Finding::fine("nats", "connected")
    } else {
        Finding::doubtful("nats", "it does not answer", advice)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::Verdict;

    #[test]
    fn a_database_is_as_good_as_what_is_known_of_it() {
        let good = Inspection {
            applied: 6,
            known: 6,
            server_name: Some("chat.example".to_owned()),
            problems: Vec::new(),
            ahead_ms: 20,
        };
        let worst = |inspection: &Inspection| {
            of(inspection, "chat.example")
                .iter()
                .map(|finding| finding.verdict)
                .max()
                .unwrap()
        };
        assert_eq!(worst(&good), Verdict::Fine);
        assert_eq!(
            worst(&Inspection {
                applied: 5,
                ..good.clone()
            }),
            Verdict::Doubtful
        );
        assert_eq!(
            worst(&Inspection {
                applied: 7,
                ..good.clone()
            }),
            Verdict::Wrong
        );
        assert_eq!(
            worst(&Inspection {
                ahead_ms: -60_000,
                ..good.clone()
            }),
            Verdict::Doubtful
        );
        let name = |name: &str| Inspection {
            server_name: Some(name.to_owned()),
            ..good.clone()
        };
        assert_eq!(worst(&name("chat.example")), Verdict::Fine);
        assert_eq!(worst(&name("other.example")), Verdict::Wrong);
        let problems = vec!["fsync is off".to_owned()];
        assert_eq!(worst(&Inspection { problems, ..good }), Verdict::Wrong);
    }
}
