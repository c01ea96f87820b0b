//! What the server refuses or asks for, as an app sees it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{PATIENCE, RunningServer, read, sent, until};
use sottovoce::{Body, EventKind, Status};
use sottovoce_server::Limits;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Row};

async fn database(server: &RunningServer) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(&server.database);
    options.connect().await.expect("the server's database")
}

#[tokio::test]
async fn a_stolen_sign_in_is_told_and_the_client_comes_back_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = Limits {
        access_token_lifetime: Duration::from_secs(2),
        ..Default::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, short).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    let before = alice.sessions().await.expect("the server answers");
    // As after a thief has refreshed twice with what he took from this device.
    let thief = "UPDATE sessions SET refresh_hash = zeroblob(32), refreshed_hash = NULL \
                 WHERE device = ?";
    let changed = sqlx::query(thief)
        .bind(alice.device_id().as_bytes().to_vec())
        .execute(&mut database(&server).await)
        .await
        .expect("changed");
    assert_eq!(changed.rows_affected(), 1);
    until(&alice, &mut to_alice, |kind| *kind == EventKind::TokenReused).await;
    alice.caught_up().await.expect("it has signed in anew");
    let after = alice.sessions().await.expect("the server answers");
    assert!(
        !after.iter().any(|session| session.id == before[0].id),
        "that one has ended"
    );
    bob.send_text(alice.address(), "still you?")
        .await
        .expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "still you?");
    sent(&bob, &mut to_bob).await;
}

#[tokio::test]
async fn who_signs_in_too_often_is_told_for_how_long_to_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let strict = Limits {
        free_sign_ins: 1,
        sign_in_wait: Duration::from_secs(4),
        ..Default::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, strict).await;
    let (mut alice, _) = server.register(folder.path(), "alice").await;
    let wait = loop {
        alice.close().await;
        (alice, _) = server.open(folder.path(), "alice").await;
        let mut status = alice.status();
        let decided = status.wait_for(|status| matches!(status, Status::Throttled(_) | Status::CaughtUp));
        let decided = tokio::time::timeout(PATIENCE, decided)
            .await
            .expect("in good time");
        if let Status::Throttled(wait) = *decided.expect("the client runs") {
            break wait;
        }
    };
    assert!(!wait.is_zero() && wait <= Duration::from_secs(4), "{wait:?}");
    alice
        .caught_up()
        .await
        .expect("it comes in when the time has passed");
}

#[tokio::test]
async fn prekeys_that_run_out_are_published_anew_on_the_notice() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, _to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    let id = alice.device_id().as_bytes().to_vec();
    let mut database = database(&server).await;
    let tables = ["one_time_prekeys", "one_time_kem_prekeys"];
    // Others have taken all but twenty of each kind.
    for table in tables {
        let most = format!(
            "DELETE FROM {table} WHERE device = ?1 AND id NOT IN \
             (SELECT id FROM {table} WHERE device = ?1 ORDER BY id LIMIT 20)"
        );
        sqlx::query(sqlx::AssertSqlSafe(most))
            .bind(id.clone())
            .execute(&mut database)
            .await
            .expect("deleted");
    }
    // Bob begins a session with one more, and alice hears nothing of that but the notice.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let tomorrow = u64::try_from(now.as_millis()).expect("it fits") + 86_400_000;
    bob.send_later(alice.address(), Body::Text("tomorrow".into()), tomorrow)
        .await
        .expect("queued");
    sent(&bob, &mut to_bob).await;
    for table in tables {
        let left = format!("SELECT COUNT(*) FROM {table} WHERE device = ?");
        let published = async {
            loop {
                let row = sqlx::query(sqlx::AssertSqlSafe(left.clone()))
                    .bind(id.clone())
                    .fetch_one(&mut database)
                    .await
                    .expect("a row");
                if row.get::<i64, _>(0) == 19 + 50 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, published).await.expect(table);
    }
}
