//! The jobs that run beside calls: that they run, that they fail visibly, and on which node.

use std::time::Duration;

use super::{done, get, runs, start};
use crate::common::{Look, execute};

#[tokio::test]
async fn jobs_run_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (program, operators) = start(folder.path(), |command| {
        command.env("SOTTOVOCE_LIMITS__SWEEP_INTERVAL", "200ms");
        command.env("SOTTOVOCE_LIMITS__RELEASE_INTERVAL", "200ms");
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    for job in [
        "release", "expire", "sweep", "expired", "lapsed", "forsaken", "unheld", "bereft", "orphans",
    ] {
        let runs = runs(operators, job, "done").await;
        assert!(
            (2.0..=12.0).contains(&runs),
            "{job} ran {runs} times in two seconds"
        );
    }
    let (_, page) = get(operators, "/").await;
    for row in page.split("<tr><th scope=\"row\"><code>").skip(1) {
        assert!(row.contains("runs so far: ") && !row.contains("not yet"), "{row}");
    }
    program.kill().await;
}

#[tokio::test]
async fn a_job_that_fails_is_counted_shown_and_logged_and_goes_on_when_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (program, operators) = start(&data, |command| {
        command.env("SOTTOVOCE_LIMITS__RELEASE_INTERVAL", "100ms");
    })
    .await;
    let until = async |outcome: &str, more: f64| {
        let begun = std::time::Instant::now();
        let mut at_first = None;
        loop {
            let runs = runs(operators, "release", outcome).await;
            if runs >= *at_first.get_or_insert(runs) + more {
                return;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{outcome} stays {runs}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("done", 1.0).await;
    let database = data.join("sottovoce.db");
    execute(&database, "ALTER TABLE scheduled RENAME TO elsewhere").await;
    until("failed", 2.0).await;
    let (_, page) = get(operators, "/").await;
    let row = page
        .split("<tr>")
        .find(|row| row.contains("<code>release</code>"))
        .unwrap();
    assert!(row.contains("failed, items: 0"), "{row}");
    execute(&database, "ALTER TABLE elsewhere RENAME TO scheduled").await;
    until("done", 2.0).await;
    program.signal("TERM").await;
    let (_, _, log) = program.end().await;
    let put_off = log
        .lines()
        .filter(|line| line.contains("put off") && line.contains("release"));
    assert_eq!(put_off.count(), 1, "once, not with every look:\n{log}");
}

#[tokio::test]
async fn a_job_that_another_node_has_is_taken_over_when_its_lease_has_run_out() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = folder.path().join("settings.toml");
    done(&data, &["--config", settings.to_str().unwrap(), "init"]).await;
    let database = data.join("sottovoce.db");
    let in_five_minutes = crate::mailbox::now_ms() + 300_000;
    execute(
        &database,
        &format!(
            "INSERT INTO jobs (name, node, lease_until_ms, started_at_ms, items, runs, failures) \
             VALUES ('lapsed', 'elsewhere', {in_five_minutes}, 1, 0, 0, 0)"
        ),
    )
    .await;
    let (program, operators) = start(&data, |command| {
        command.env("SOTTOVOCE_LIMITS__SWEEP_INTERVAL", "100ms");
    })
    .await;
    let until = async |job: &str, count: f64| {
        let begun = std::time::Instant::now();
        while runs(operators, job, "done").await < count {
            assert!(begun.elapsed() < Duration::from_secs(30), "{job} does not run");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("sweep", 5.0).await;
    assert_eq!(
        runs(operators, "lapsed", "done").await,
        0.0,
        "it is another node's"
    );
    execute(
        &database,
        "UPDATE jobs SET lease_until_ms = 1 WHERE name = 'lapsed'",
    )
    .await;
    until("lapsed", 1.0).await;
    let mut look = Look::into(&database).await;
    let node = look.texts("SELECT node FROM jobs WHERE name = 'lapsed'").await;
    assert_ne!(node, ["elsewhere"]);
    look.close().await;
    program.kill().await;
}
