//! Nodes and hints that die while messages are under way.

use tokio::sync::watch;

use super::{Cluster, NODES};
use crate::common::Device;
use crate::faults::link::Link;
use crate::faults::people::Person;
use crate::faults::random::Random;
use crate::faults::{check, seeds};

/// Seeds of an ordinary run.
const SEEDS: u64 = 3;

/// Seeds that failed once.
const FAILED_ONCE: [u64; 0] = [];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_hints_die_and_nothing_is_lost() {
    let mut cluster = Cluster::start().await;
    let (mut messages, mut kills, mut repeats) = (0, 0, 0);
    for seed in seeds(SEEDS, &FAILED_ONCE) {
        let mut random = Random::new(seed, 0);
        let clients = cluster.clients().await;
        let mut people = Vec::new();
        let mut links = Vec::new();
        for (n, name) in ["alice", "carol", "bob", "dave"].into_iter().enumerate() {
            let device = Device::named(&format!("{name}-{seed}"));
            let token = device.join(&clients[n % NODES]).await;
            let link = Link::to(cluster.address(random.below(NODES as u64) as usize)).await;
            let random = Random::new(seed, n as u64 + 1);
            people.push(Person::new(device, token, link.address, random));
            links.push(link);
        }
        let receivers = people.split_off(2);
        let recipients: Vec<_> = receivers.iter().map(|person| person.device.clone()).collect();
        let (drain, draining) = watch::channel(false);
        let receiving: Vec<_> = receivers
            .into_iter()
            .map(|mut person| {
                let draining = draining.clone();
                tokio::spawn(async move { (person.receive(draining).await, person.repeats) })
            })
            .collect();
        let sending: Vec<_> = people
            .into_iter()
            .map(|mut person| {
                let (recipients, count) = (recipients.clone(), 60 + random.below(40));
                tokio::spawn(async move { (person.send(&recipients, count).await, person.repeats) })
            })
            .collect();
        for _ in 0..12 {
            tokio::time::sleep(random.micros(1_000..150_000)).await;
            match random.below(4) {
                0 | 1 => {
                    let n = random.below(NODES as u64) as usize;
                    cluster.kill_node(n).await;
                    kills += 1;
                    let others: Vec<_> = (0..NODES).filter(|other| *other != n).collect();
                    for link in &links {
                        link.move_to(cluster.address(others[random.below(2) as usize]));
                    }
                    tokio::time::sleep(random.micros(0..50_000)).await;
                    let node = cluster.start_node(n).await;
                    cluster.nodes[n] = Some(node);
                }
                2 => {
                    cluster.kill_nats().await;
                    tokio::time::sleep(random.micros(0..300_000)).await;
                    cluster.start_nats().await;
                }
                _ => {
                    for link in &links {
                        link.move_to(cluster.address(random.below(NODES as u64) as usize));
                    }
                }
            }
        }
        let mut sent = vec![Vec::new(); recipients.len()];
        for sender in sending {
            let (contents, of_sender) = sender.await.unwrap();
            repeats += of_sender;
            for (of_all, of_one) in sent.iter_mut().zip(contents) {
                messages += of_one.iter().map(Vec::len).sum::<usize>();
                of_all.push(of_one);
            }
        }
        drain.send(true).unwrap();
        for (receiver, sent) in receiving.into_iter().zip(sent) {
            let (received, of_receiver) = receiver.await.unwrap();
            repeats += of_receiver;
            check(&received, &sent);
        }
    }
    println!("{messages} messages, {kills} nodes killed, {repeats} repeats");
    assert!(kills > 0 && repeats > kills, "the kills met nobody");
}
