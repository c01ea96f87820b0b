//! A restart that nobody notices: two nodes behind a balancer, one restarted after the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::common::{Clients, Device, postgres_url, reason, with_token};
use crate::faults::check;
use crate::faults::link::Link;
use crate::faults::people::Person;
use crate::faults::random::Random;
use crate::operating::{get, start};

/// Everything here is a matter of seconds; this is when something hangs.
const AT_LAST: Duration = Duration::from_secs(60);

/// What the sender has come to.
struct Sending {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_restart_one_after_the_other_and_nothing_is_refused_or_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folders = [folder.path().join("one"), folder.path().join("two")];
    let database = postgres_url(&folders[0]);
    let node = async |place: usize| {
        start(&folders[place], |command| {
            command
                .env("SOTTOVOCE_DATABASE", &database)
                .env("SOTTOVOCE_LIMITS__DRAIN_DELAY", "3s");
        })
        .await
    };
    let (mut leaving, mut staying) = (node(0).await, node(1).await);
    let balancer = Link::to(leaving.0.address).await;
    let clients = Clients::connect(balancer.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    let sending = Arc::new(Sending {
        stop: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
    });
    let sender = tokio::spawn(send(balancer.address, alices, bob.clone(), sending.clone()));
    let (drain, draining) = watch::channel(false);
    let mut person = Person::new(bob, bobs, balancer.address, Random::new(7, 1));
    let receiver = tokio::spawn(async move { person.receive(draining).await });

    progress(&sending).await;
    for place in [0, 1] {
        leaving.0.signal("TERM").await;
        wait_for(leaving.1, 503).await;
        balancer.move_to(staying.0.address);
        progress(&sending).await;
        let (status, _, log) = leaving.0.end().await;
        assert_eq!(status.code(), Some(0), "{log}");
        let back = node(place).await;
        wait_for(back.1, 200).await;
        (leaving, staying) = (staying, back);
    }
    sending.stop.store(true, Ordering::SeqCst);
    let sent = sender.await.unwrap();
    drain.send(true).unwrap();
    check(&receiver.await.unwrap(), &[sent]);
    leaving.0.kill().await;
    staying.0.kill().await;
}

/// Sends one message after the other. A connection that is cut is made anew, and nothing is ever refused.
async fn send(address: SocketAddr, token: String, to: Device, sending: Arc<Sending>) -> Vec<Vec<Vec<u8>>> {
    let mut acknowledged = Vec::new();
    let mut clients = Clients::connect(address).await;
    for number in 0_u64.. {
        if sending.stop.load(Ordering::SeqCst) {
            break;
        }
        let content = number.to_be_bytes().to_vec();
        loop {
            let request = with_token(&token, Device::letter(&to, number, &content));
            match clients.mailbox.clone().send(request).await {
                Ok(_) => break,
                Err(status) => {
                    assert!(reason(&status).starts_with("untyped"), "refused: {status:?}");
                    clients = Clients::connect(address).await;
                }
            }
        }
        acknowledged.push(vec![content]);
        sending.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

/// Returns once more was acknowledged than when it was called.
async fn progress(sending: &Sending) {
    let before = sending.acknowledged.load(Ordering::SeqCst);
    let begun = Instant::now();
    while sending.acknowledged.load(Ordering::SeqCst) < before + 10 {
        assert!(begun.elapsed() < AT_LAST, "nothing is acknowledged any more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns once a node says so of itself.
async fn wait_for(operators: SocketAddr, status: u16) {
    let begun = Instant::now();
    while get(operators, "/ready").await.0 != status {
        assert!(begun.elapsed() < AT_LAST, "it never says {status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
