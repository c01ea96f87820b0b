//! How messages reach the real server, and when they leave it: several in one call, both ways on one stream,
//! later, and not any more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{RunningServer, address, counted, read, sent, until};
use sottovoce::{
    Body, Client, ClientError, Config, EventKind, Events, InputError, MessageId, Status, Streaming,
};
use sottovoce_server::{Limits, Rate, RateLimits};

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    now.as_millis().try_into().expect("before the year 584,556,019")
}

fn words(text: &str) -> Body {
    Body::Text(text.into())
}

fn both_ways(server: &RunningServer, folder: &Path, name: &str) -> Config {
    Config {
        streaming: Streaming::BothWays,
        ..server.config(folder, name)
    }
}

async fn cancelled(client: &Client, events: &mut Events) -> (MessageId, bool) {
    let cancelled = |kind: &EventKind| matches!(kind, EventKind::ScheduledCancelled { .. });
    match until(client, events, cancelled).await {
        EventKind::ScheduledCancelled {
            message_id, in_time, ..
        } => (message_id, in_time),
        _ => unreachable!("that is what was waited for"),
    }
}

#[tokio::test]
async fn a_message_for_later_comes_then_and_can_be_taken_back_until_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    bob.send_text(alice.address(), "write me").await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "write me");
    sent(&bob, &mut to_bob).await;

    let due = now_ms() + 3_000;
    let never = alice
        .send_later(bob.address(), words("never"), due)
        .await
        .expect("queued");
    sent(&alice, &mut to_alice).await;
    alice
        .send_later(bob.address(), words("later"), due)
        .await
        .expect("queued");
    sent(&alice, &mut to_alice).await;
    alice.cancel_scheduled(never).await.expect("it waits");
    assert_eq!(cancelled(&alice, &mut to_alice).await, (never, true));
    let unknown = alice.cancel_scheduled(never).await;
    assert_eq!(unknown, Err(ClientError::Input(InputError::NotScheduled)));
    // The one that was taken back leaves a gap, which is told.
    let missing = until(&bob, &mut to_bob, |_| true).await;
    assert!(
        matches!(missing, EventKind::MessagesMissing { count: 1, .. }),
        "{missing:?}"
    );
    assert!(now_ms() >= due, "not before its time");
    assert_eq!(read(&bob, &mut to_bob).await, "later");
}

#[tokio::test]
async fn what_has_expired_does_not_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice.send_text(bob.address(), "hello").await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "hello");
    sent(&alice, &mut to_alice).await;
    bob.close().await;
    let (brief, long) = (Duration::from_secs(1), Duration::from_secs(3_600));
    alice
        .send_expiring(&address("bob"), words("gone"), brief)
        .await
        .expect("queued");
    sent(&alice, &mut to_alice).await;
    alice
        .send_expiring(&address("bob"), words("there"), long)
        .await
        .expect("queued");
    sent(&alice, &mut to_alice).await;
    tokio::time::sleep(brief * 2).await;
    let (bob, mut to_bob) = server.open(folder.path(), "bob").await;
    let missing = until(&bob, &mut to_bob, |kind| {
        !matches!(kind, EventKind::MessageSent { .. })
    })
    .await;
    assert!(
        matches!(missing, EventKind::MessagesMissing { count: 1, .. }),
        "{missing:?}"
    );
    assert_eq!(read(&bob, &mut to_bob).await, "there");
    let beyond = alice
        .send_expiring(bob.address(), words("x"), Duration::MAX)
        .await;
    assert_eq!(beyond, Err(ClientError::Input(InputError::DeliveryTime)));
}

#[tokio::test]
async fn what_waits_for_several_people_goes_in_one_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start_as(folder.path(), counted()).await;
    let place = server.address;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let mut others = Vec::new();
    for name in ["bob", "carol", "dora"] {
        let (client, mut events) = server.register(folder.path(), name).await;
        alice.send_text(client.address(), "hello").await.expect("queued");
        assert_eq!(read(&client, &mut events).await, "hello");
        sent(&alice, &mut to_alice).await;
        others.push((client, events));
    }
    assert_eq!(server.answered("MailboxService/SendBatch").await, 0);
    server.stop().await;
    let mut status = alice.status();
    status
        .wait_for(|status| !status.is_connected())
        .await
        .expect("the client runs");
    for number in 0..2 {
        for (client, _) in &others {
            let text = format!("number {number}");
            alice.send_text(client.address(), &text).await.expect("queued");
        }
    }
    let config = sottovoce_server::Config {
        listen: place,
        ..counted()
    };
    let server = RunningServer::start_as(folder.path(), config).await;
    for (client, events) in &mut others {
        assert_eq!(read(client, events).await, "number 0");
        assert_eq!(read(client, events).await, "number 1");
    }
    for _ in 0..6 {
        sent(&alice, &mut to_alice).await;
    }
    assert!(server.answered("MailboxService/SendBatch").await >= 1);
}

#[tokio::test]
async fn on_one_stream_both_ways_all_is_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start_as(folder.path(), counted()).await;
    let place = server.address;
    let register = async |name: &str| {
        Client::register(both_ways(&server, folder.path(), name), &address(name))
            .await
            .expect("the address is free")
    };
    let (alice, mut to_alice) = register("alice").await;
    let (bob, mut to_bob) = register("bob").await;
    for number in 0..100 {
        alice
            .send_text(bob.address(), &number.to_string())
            .await
            .expect("queued");
    }
    for number in 0..100 {
        assert_eq!(read(&bob, &mut to_bob).await, number.to_string());
        sent(&alice, &mut to_alice).await;
    }
    bob.send_text(alice.address(), "and back").await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, "and back");
    // All of it went over the streams.
    for call in ["Send", "Acknowledge", "Subscribe", "SendBatch"] {
        assert_eq!(
            server.answered(&format!("MailboxService/{call}")).await,
            0,
            "{call}"
        );
    }
    // Acknowledged is acknowledged: nothing comes again, and nothing is lost with the server.
    let waiting = async |server: &RunningServer| {
        use sqlx::{ConnectOptions, Row};
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&server.database);
        let mut database = options.connect().await.expect("the server's database");
        let count = sqlx::query("SELECT COUNT(*) FROM envelopes")
            .fetch_one(&mut database)
            .await;
        count.expect("a row").get::<i64, _>(0)
    };
    let emptied = async {
        while waiting(&server).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, emptied)
        .await
        .expect("in good time");
    server.stop().await;
    alice
        .status()
        .wait_for(|status| !status.is_connected())
        .await
        .expect("the client runs");
    alice.send_text(bob.address(), "after all").await.expect("queued");
    let config = sottovoce_server::Config {
        listen: place,
        ..counted()
    };
    let server = RunningServer::start_as(folder.path(), config).await;
    assert_eq!(read(&bob, &mut to_bob).await, "after all");
    sent(&alice, &mut to_alice).await;
    assert!(server.answered("MailboxService/Acknowledge").await == 0);
}

/// Three messages at a server that takes one a second; whether the sender was told to wait.
async fn too_fast(streaming: Streaming) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = Limits {
        rates: RateLimits {
            sends_per_device: Rate::new(1, 60),
            ..Default::default()
        },
        ..Default::default()
    };
    let server = RunningServer::start_limited(folder.path(), None, limits).await;
    let config = Config {
        streaming,
        ..server.config(folder.path(), "alice")
    };
    let (alice, mut to_alice) = Client::register(config, &address("alice")).await.expect("free");
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    let mut status = alice.status();
    let limited = tokio::spawn(async move {
        let limited = status.wait_for(|status| matches!(status, Status::RateLimited(_)));
        matches!(limited.await.as_deref(), Ok(Status::RateLimited(wait)) if !wait.is_zero())
    });
    for number in 0..3 {
        alice
            .send_text(bob.address(), &number.to_string())
            .await
            .expect("queued");
    }
    for number in 0..3 {
        assert_eq!(read(&bob, &mut to_bob).await, number.to_string());
        sent(&alice, &mut to_alice).await;
    }
    alice.close().await;
    limited.await.expect("no panic")
}

#[tokio::test]
async fn who_sends_too_fast_is_told_and_waits() {
    assert!(too_fast(Streaming::OneWay).await);
}

#[tokio::test]
async fn on_one_stream_whoever_sends_too_fast_is_only_read_slowly() {
    assert!(!too_fast(Streaming::BothWays).await);
}
