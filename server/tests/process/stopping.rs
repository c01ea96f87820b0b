//! How it stops.

use std::time::{Duration, Instant};

use crate::common::{Clients, Device, Program, reason, subscribe, unfinished};

#[cfg(unix)]
#[tokio::test]
async fn a_signal_stops_it_in_order() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::start(folder.path()).await;
        let clients = Clients::connect(program.address).await;
        let token = Device::named("alice").join(&clients).await;
        let mut stream = subscribe(&clients, &token).await;
        assert!(stream.message().await.unwrap().is_some());
        let begun = Instant::now();
        program.signal(signal).await;
        assert_eq!(reason(&stream.message().await.unwrap_err()), "SHUTTING_DOWN");
        let (status, printed, log) = program.end().await;
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(printed.contains("Stopped."), "{printed}");
        assert!(
            !folder.path().join("sottovoce.db-wal").exists(),
            "the log is folded in"
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_second_signal_stops_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    // A request that does not end keeps the server waiting.
    let _socket = unfinished(program.address, "").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    program.signal("TERM").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    program.signal("TERM").await;
    let (status, printed, _) = program.end().await;
    assert_eq!(status.code(), Some(130), "{printed}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[cfg(unix)]
#[tokio::test]
async fn a_hangup_ends_nothing_without_a_certificate_either() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let token = Device::named("alice").join(&clients).await;
    let mut stream = subscribe(&clients, &token).await;
    assert!(stream.message().await.unwrap().is_some());
    program.signal("HUP").await;
    Device::named("bob")
        .join(&Clients::connect(program.address).await)
        .await;
    program.signal("TERM").await;
    assert_eq!(reason(&stream.message().await.unwrap_err()), "SHUTTING_DOWN");
    let (status, printed, log) = program.end().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(printed.contains("Stopped."), "{printed}");
}
