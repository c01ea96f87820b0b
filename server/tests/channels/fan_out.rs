//! A thousand members: one ciphertext in, a thousand deliveries out, and nobody waits for them.

use std::time::Instant;

use sottovoce_statements::RosterChange;

use super::{Club, account, next, subscribe};
use crate::common::{Device, TestServer};

const MEMBERS: usize = 1_000;
const POSTS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_members_get_every_post_in_order_and_a_message_meanwhile_is_quick() {
    let server = TestServer::start_limited(|limits| limits.rates.scale = 1_000).await;
    let clients = server.connect().await;
    let mut club = Club::founded(server, clients).await;
    let members: Vec<Device> = (0..MEMBERS).map(|n| Device::named(&format!("m{n}"))).collect();
    let mut joining = tokio::task::JoinSet::new();
    for chunk in members.chunks(MEMBERS.div_ceil(8)) {
        let (clients, chunk) = (club.clients.clone(), chunk.to_vec());
        joining.spawn(async move {
            for member in chunk {
                member.register(&clients).await;
            }
        });
    }
    joining.join_all().await;
    let alice = club.alice.clone();
    for member in &members {
        club.change(&alice, RosterChange::Add(account(member)))
            .await
            .unwrap();
    }
    // One of them listens; the last to be served.
    let last = members.last().unwrap();
    let mut live = subscribe(&club.clients, &last.sign_in(&club.clients).await).await;
    let began = Instant::now();
    for n in 1..=POSTS {
        club.post(&alice, club.letter(n)).await.unwrap();
    }
    let sent = Instant::now();
    Device::send_numbers(&club.clients, &alice.token, &club.bob.device, 77..=77).await;
    let send_took = sent.elapsed();
    for n in 1..=POSTS {
        assert_eq!(next(&mut live).await.ciphertext, n.to_string().as_bytes());
    }
    let took = began.elapsed();
    println!(
        "{POSTS} posts to {MEMBERS} members in {took:?}, {:.0} deliveries/s; a send meanwhile took {send_took:?}",
        (POSTS as f64) * (MEMBERS as f64) / took.as_secs_f64()
    );
    // Everybody else finds them waiting, in order.
    let mut reading = tokio::task::JoinSet::new();
    for chunk in members[..MEMBERS - 1].chunks(MEMBERS.div_ceil(8)) {
        let (clients, chunk) = (club.clients.clone(), chunk.to_vec());
        reading.spawn(async move {
            for member in chunk {
                let mut stream = subscribe(&clients, &member.sign_in(&clients).await).await;
                for n in 1..=POSTS {
                    assert_eq!(next(&mut stream).await.ciphertext, n.to_string().as_bytes());
                }
            }
        });
    }
    reading.join_all().await;
    club.server.stop().await;
}
