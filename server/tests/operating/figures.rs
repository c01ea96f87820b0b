//! What operators see: the figures, the page, and whether it is ready.

use std::time::Duration;

use super::{get, metric, start};
use crate::common::{Clients, Device};

#[tokio::test]
async fn the_figures_are_those_of_what_was_done_and_name_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (program, operators) = start(folder.path(), |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let tokens = [alice.join(&clients).await, bob.join(&clients).await];
    Device::send_numbers(&clients, &tokens[0], &bob, 1..=3).await;
    let (status, metrics) = get(operators, "/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(metric(&metrics, "sottovoce_messages_in_total"), 3.0);
    assert!(metric(&metrics, "sottovoce_message_bytes_in_total") > 0.0);
    assert_eq!(
        metric(
            &metrics,
            "sottovoce_calls_total{call=\"MailboxService/Send\",code=\"OK\"}"
        ),
        3.0
    );
    assert_eq!(
        metric(
            &metrics,
            "sottovoce_calls_total{call=\"AccountService/Register\",code=\"OK\"}"
        ),
        2.0
    );
    assert_eq!(metric(&metrics, "sottovoce_ready"), 1.0);
    assert!(metric(&metrics, "sottovoce_connections") >= 1.0);
    assert!(metric(&metrics, "sottovoce_database_bytes") > 10_000.0);
    let (status, page) = get(operators, "/").await;
    assert_eq!(status, 200);
    for words in [
        "Ready",
        "Writer queue",
        "<svg",
        "sweep",
        "localhost",
        "content-security-policy",
    ] {
        assert!(page.contains(words), "{words:?} is not in\n{page}");
    }
    let mut names = vec!["alice".to_owned(), "bob".to_owned(), "127.0.0.1".to_owned()];
    names.extend(tokens);
    names.extend([alice.id.to_string(), bob.id.to_string()]);
    for name in names {
        assert!(
            !metrics.contains(&name) && !page.contains(&name),
            "{name:?} is shown to operators"
        );
    }
    assert_eq!(get(operators, "/live").await.0, 200);
    assert_eq!(get(operators, "/ready").await.0, 200);
    assert_eq!(get(operators, "/other").await.0, 404);
    program.kill().await;
}

#[tokio::test]
async fn it_drains_before_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let (program, operators) = start(folder.path(), |command| {
        command.env("SOTTOVOCE_LIMITS__DRAIN_DELAY", "2s");
    })
    .await;
    program.signal("TERM").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let (status, answer) = get(operators, "/ready").await;
    assert_eq!(status, 503);
    assert!(answer.contains("draining"), "{answer}");
    // Who has not heard of it yet is served as before.
    let clients = Clients::connect(program.address).await;
    Device::named("alice").join(&clients).await;
    let (status, _, log) = program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
}
