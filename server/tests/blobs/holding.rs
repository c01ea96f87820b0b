//! Blobs as long as they are held: how many an account may hold, and what becomes of them afterwards.

mod ending;
mod quotas;
mod removing;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::common::{Look, TestServer};

fn storage(server: &TestServer) -> PathBuf {
    server.folder.path().join("data/blobs")
}

async fn often_swept() -> TestServer {
    TestServer::start_limited(|limits| {
        limits.sweep_interval = Duration::from_millis(200);
        limits.orphan_grace = Duration::ZERO;
    })
    .await
}

/// Waits until no blob is left that was given up.
async fn until_forgotten(server: &TestServer) {
    let began = Instant::now();
    let mut look = Look::into(&server.database).await;
    let given_up = "SELECT CAST(COUNT(*) AS TEXT) FROM blobs WHERE unheld = 1";
    while look.texts(given_up).await != ["0"] {
        assert!(began.elapsed() < Duration::from_secs(30), "blobs are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    look.close().await;
}
