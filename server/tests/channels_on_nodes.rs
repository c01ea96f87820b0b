//! Two nodes on one database: a post is delivered by one of them, whichever took it.

use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;

use crate::channels::{Club, assert_quiet, numbers};
use crate::common::{TestServer, setting, with_token};

const POSTS: u64 = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_taken_by_two_nodes_come_to_all_once_and_in_one_order() {
    let club = Club::new().await;
    let database = setting(&club.server.folder.path().join("data"));
    let second = TestServer::start_with(|config| config.database = database).await;
    let other = ChannelServiceClient::new(second.connect().await.channel);
    let mut posting = tokio::task::JoinSet::new();
    // Each member posts through both nodes in turn, waiting for each answer.
    for (who, first) in [(&club.alice, 0), (&club.bob, 1_000)] {
        let (who, nodes) = (who.clone(), [club.channels.clone(), other.clone()]);
        let letters: Vec<_> = (first..first + POSTS).map(|n| club.letter(n)).collect();
        posting.spawn(async move {
            for (letter, node) in letters.into_iter().zip(nodes.into_iter().cycle()) {
                node.clone().post(with_token(&who.token, letter)).await.unwrap();
            }
        });
    }
    posting.join_all().await;
    let mut carols = club.subscribe(&club.carol).await;
    let all = numbers(&club.clients, &club.carol.token, &mut carols, 2 * POSTS as usize).await;
    let by = |bob: bool| {
        let posts = all.iter().copied();
        posts.filter(move |n| (*n >= 1_000) == bob).collect::<Vec<_>>()
    };
    assert_eq!(by(false), (0..POSTS).collect::<Vec<_>>());
    assert_eq!(by(true), (1_000..1_000 + POSTS).collect::<Vec<_>>());
    for (who, posts) in [(&club.alice, by(true)), (&club.bob, by(false))] {
        let mut stream = club.subscribe(who).await;
        let found = numbers(&club.clients, &who.token, &mut stream, posts.len()).await;
        assert_eq!(found, posts);
        assert_quiet(&mut stream).await;
    }
    assert_quiet(&mut carols).await;
    second.stop().await;
    club.server.stop().await;
}
