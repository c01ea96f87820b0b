//! Three nodes on one database, each of which looks for what is due and for what has expired.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{Delivery, SendRequest};

use crate::accounts::{following, register, second, update};
use crate::common::{Device, Look, TestServer, execute, setting, subscribe, with_token};
use crate::mailbox::now_ms;

const MESSAGES: u64 = 300;

/// Nodes that look for it all the time, so that they look together.
async fn nodes() -> Vec<TestServer> {
    let often = Duration::from_millis(20);
    let first = TestServer::start_limited(|limits| limits.release_interval = often).await;
    let data = first.folder.path().join("data");
    let mut nodes = vec![first];
    for _ in 1..3 {
        let node = TestServer::start_with(|config| {
            config.database = setting(&data);
            config.limits.release_interval = often;
        });
        nodes.push(node.await);
    }
    nodes
}

fn letter(to: &Device, n: u64, delivery: Delivery) -> SendRequest {
    SendRequest {
        delivery: Some(delivery),
        ..Device::letter(to, n, n.to_string().as_bytes())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_scheduled_comes_once_and_in_order_though_every_node_looks() {
    let nodes = nodes().await;
    let clients = nodes[0].connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    // More than one batch, in an hour.
    let later = now_ms() + 3_600_000;
    for n in 0..MESSAGES {
        let clients = nodes[n as usize % nodes.len()].connect().await;
        let delivery = Delivery {
            deliver_after_ms: later,
            ..Delivery::default()
        };
        let request = with_token(&alices, letter(&bob, n, delivery));
        clients.mailbox.clone().send(request).await.unwrap();
    }
    // However long that took, all of it is due at one time.
    execute(&nodes[0].database, "UPDATE scheduled SET due_ms = 1").await;
    let begun = Instant::now();
    let mut look = Look::into(&nodes[0].database).await;
    while look.texts("SELECT CAST(COUNT(*) AS TEXT) FROM scheduled").await != ["0"] {
        assert!(begun.elapsed() < Duration::from_secs(60), "some still wait");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let numbers = "SELECT convert_from(ciphertext, 'UTF8') FROM envelopes ORDER BY sequence";
    let expected: Vec<_> = (0..MESSAGES).map(|n| n.to_string()).collect();
    assert_eq!(look.texts(numbers).await, expected);
    let counted = "SELECT CAST(mailbox_messages AS TEXT) FROM devices ORDER BY mailbox_messages DESC";
    assert_eq!(look.texts(counted).await[0], MESSAGES.to_string());
    look.close().await;
    let mut stream = subscribe(&nodes[2].connect().await, &bobs).await;
    let first = stream.message().await.unwrap().unwrap().event.unwrap();
    assert!(matches!(first, Event::Envelope(envelope) if envelope.ciphertext == b"0"));
    for node in nodes.into_iter().rev() {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_that_goes_had_scheduled_is_not_delivered_though_it_was_found_due() {
    // One node releases, and the other one drops the device.
    let looking =
        TestServer::start_limited(|limits| limits.release_interval = Duration::from_millis(20)).await;
    let data = looking.folder.path().join("data");
    let other = TestServer::start_with(|config| {
        config.database = setting(&data);
        config.limits.release_interval = Duration::from_secs(3_600);
    });
    let other = other.await;
    let clients = other.connect().await;
    let (phone, bob) = (Device::named("alice"), Device::named("bob"));
    bob.join(&clients).await;
    let first = register(&clients, &phone).await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    update(&clients, &two, &[&laptop]).await.unwrap();
    let delivery = Delivery {
        deliver_after_ms: now_ms() + 3_600_000,
        ..Delivery::default()
    };
    let request = with_token(&laptop.sign_in(&clients).await, letter(&bob, 1, delivery));
    clients.mailbox.clone().send(request).await.unwrap();

    let mut look = Look::into(&looking.database).await;
    let mut held = Look::into(&looking.database).await;
    held.execute("BEGIN").await;
    let bobs = held.bytes(bob.id.as_bytes());
    held.execute(&format!("SELECT 1 FROM devices WHERE id = {bobs} FOR UPDATE"))
        .await;
    look.execute("UPDATE scheduled SET due_ms = 1").await;
    until(
        &mut look,
        "SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'",
        "1",
    )
    .await;
    let three = following(&two, 3, &[&phone]);
    let dropping = tokio::spawn(async move { update(&clients, &three, &[]).await });
    until(&mut look, "SELECT CAST(SUM(gone) AS TEXT) FROM devices", "1").await;
    held.close().await;
    dropping.await.unwrap().unwrap();
    for (what, rows) in [
        ("SELECT CAST(COUNT(*) AS TEXT) FROM scheduled", "0"),
        ("SELECT CAST(COUNT(*) AS TEXT) FROM envelopes", "0"),
        ("SELECT CAST(SUM(mailbox_messages) AS TEXT) FROM devices", "0"),
    ] {
        assert_eq!(look.texts(what).await, [rows], "{what}");
    }
    look.close().await;
    other.stop().await;
    looking.stop().await;
}

async fn until(look: &mut Look, select: &str, is: &str) {
    let begun = Instant::now();
    while look.texts(select).await != [is] {
        assert!(begun.elapsed() < Duration::from_secs(60), "{select} is not {is}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_counted_out_once_though_every_node_looks() {
    let nodes = nodes().await;
    let clients = nodes[0].connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let alices = alice.join(&clients).await;
    bob.join(&clients).await;
    for n in 0..MESSAGES {
        let delivery = Delivery {
            expires_after_s: 2,
            ..Delivery::default()
        };
        let request = with_token(&alices, letter(&bob, n, delivery));
        clients.mailbox.clone().send(request).await.unwrap();
    }
    Device::send_numbers(&clients, &alices, &bob, 1_000..=1_000).await;
    let begun = Instant::now();
    let mut look = Look::into(&nodes[0].database).await;
    while look.texts("SELECT CAST(COUNT(*) AS TEXT) FROM envelopes").await != ["1"] {
        assert!(begun.elapsed() < Duration::from_secs(60), "some are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let counted = "SELECT mailbox_messages || ' of ' || mailbox_bytes FROM devices \
                   ORDER BY mailbox_messages DESC";
    assert_eq!(look.texts(counted).await, ["1 of 4", "0 of 0"]);
    look.close().await;
    for node in nodes.into_iter().rev() {
        node.stop().await;
    }
}
