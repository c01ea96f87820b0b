//! `kill -9` between a post and its deliveries: each reaches every member, once and in order.

use sottovoce_statements::RosterChange;
use tempfile::TempDir;

use super::{Club, account, assert_quiet, numbers, subscribe};
use crate::common::{Clients, Device, Program, TestServer, dump};

const MEMBERS: usize = 300;
const KILLS: u64 = 6;
const POSTS_A_KILL: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_survive_kill_9_and_reach_every_member_once_and_in_order() {
    // The channel is made by a server in this process: only posting is to be interrupted.
    let server = TestServer::start_limited(|limits| limits.rates.scale = 1_000).await;
    let clients = server.connect().await;
    let mut club = Club::founded(server, clients).await;
    let members: Vec<Device> = (0..MEMBERS).map(|n| Device::named(&format!("m{n}"))).collect();
    let alice = club.alice.clone();
    for member in &members {
        member.register(&club.clients).await;
        club.change(&alice, RosterChange::Add(account(member)))
            .await
            .unwrap();
    }
    let (database, letters) = (club.server.database.clone(), {
        let posts = 1..=KILLS * POSTS_A_KILL;
        posts.map(|n| club.letter(n)).collect::<Vec<_>>()
    });
    let folder: TempDir = club.server.stop().await;
    let data = folder.path().join("data");

    let mut interrupted = 0;
    for posts in letters.chunks(POSTS_A_KILL as usize) {
        let program = Program::start(&data).await;
        let clients = Clients::connect(program.address).await;
        let mut channels =
            sottovoce_proto::v1::channel_service_client::ChannelServiceClient::new(clients.channel);
        for post in posts {
            let request = crate::common::with_token(&alice.token, post.clone());
            channels.post(request).await.unwrap();
        }
        program.kill().await;
        let rows = dump(&database).await;
        interrupted += u64::from(rows.iter().any(|row| row.starts_with("fan_outs: ")));
    }
    // The test means nothing unless deliveries were under way.
    println!("{interrupted} of {KILLS} kills met posts on their way");
    assert!(
        interrupted >= KILLS / 2,
        "only {interrupted} kills met posts on their way"
    );

    let program = Program::start(&data).await;
    let clients = Clients::connect(program.address).await;
    let all: Vec<u64> = (1..=KILLS * POSTS_A_KILL).collect();
    for member in members.iter().step_by(7).chain(members.last()) {
        let token = member.sign_in(&clients).await;
        let mut stream = subscribe(&clients, &token).await;
        let found = numbers(&clients, &token, &mut stream, all.len()).await;
        assert_eq!(found, all, "{}", member.address);
        assert_quiet(&mut stream).await;
    }
    program.kill().await;
}
