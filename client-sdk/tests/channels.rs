//! A channel of three, and the real server between them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use common::{RunningServer, next, read, sent};
use sottovoce::{ChannelId, Client, ClientError, EventKind, Events, InputError, Role};

/// Waits for an event of this kind, acknowledging all others on the way.
async fn until(client: &Client, events: &mut Events, wanted: impl Fn(&EventKind) -> bool) -> EventKind {
    loop {
        let event = next(events).await;
        client.acknowledge(event.id).await.expect("the client runs");
        if wanted(&event.kind) {
            return event.kind;
        }
    }
}

async fn joined(client: &Client, events: &mut Events) -> ChannelId {
    let joined = |kind: &EventKind| matches!(kind, EventKind::ChannelJoined { .. });
    match until(client, events, joined).await {
        EventKind::ChannelJoined { channel } => channel,
        _ => unreachable!("that is what was waited for"),
    }
}

async fn changed(client: &Client, events: &mut Events) {
    until(client, events, |kind| {
        matches!(kind, EventKind::ChannelChanged { .. })
    })
    .await;
}

/// The next post's words, with who said them.
async fn read_post(client: &Client, events: &mut Events) -> String {
    let post = |kind: &EventKind| matches!(kind, EventKind::PostReceived(_));
    match until(client, events, post).await {
        EventKind::PostReceived(post) => match post.body {
            sottovoce::Body::Text(text) => format!("{}: {text}", post.from),
            other => panic!("unexpected: {other:?}"),
        },
        _ => unreachable!("that is what was waited for"),
    }
}

#[tokio::test]
async fn three_members_talk_and_who_is_removed_reads_nothing_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    let (carol, mut to_carol) = server.register(folder.path(), "carol").await;
    alice
        .send_text(bob.address(), "a channel?")
        .await
        .expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, "a channel?");
    sent(&alice, &mut to_alice).await;
    alice
        .send_text(carol.address(), "a channel?")
        .await
        .expect("queued");
    assert_eq!(read(&carol, &mut to_carol).await, "a channel?");
    sent(&alice, &mut to_alice).await;

    let channel = alice.create_channel().await.expect("founded");
    assert_eq!(joined(&alice, &mut to_alice).await, channel);
    alice
        .add_member(channel, bob.address())
        .await
        .expect("the owner may");
    changed(&alice, &mut to_alice).await;
    alice
        .add_member(channel, carol.address())
        .await
        .expect("the owner may");
    changed(&alice, &mut to_alice).await;
    assert_eq!(joined(&bob, &mut to_bob).await, channel);
    assert_eq!(joined(&carol, &mut to_carol).await, channel);
    let not_his = bob.remove_member(channel, carol.address()).await;
    assert_eq!(not_his, Err(ClientError::Input(InputError::NotAllowed)));

    alice.post_text(channel, "welcome").await.expect("queued");
    assert_eq!(read_post(&bob, &mut to_bob).await, "alice@localhost: welcome");
    assert_eq!(read_post(&carol, &mut to_carol).await, "alice@localhost: welcome");
    bob.post_text(channel, "thanks").await.expect("queued");
    assert_eq!(read_post(&alice, &mut to_alice).await, "bob@localhost: thanks");
    assert_eq!(read_post(&carol, &mut to_carol).await, "bob@localhost: thanks");

    alice
        .remove_member(channel, carol.address())
        .await
        .expect("the owner may");
    changed(&alice, &mut to_alice).await;
    alice.post_text(channel, "without carol").await.expect("queued");
    assert_eq!(
        read_post(&bob, &mut to_bob).await,
        "alice@localhost: without carol"
    );
    // Bob posts under the roster that he was told of by that, with a key of which carol has nothing.
    bob.post_text(channel, "so be it").await.expect("queued");
    assert_eq!(read_post(&alice, &mut to_alice).await, "bob@localhost: so be it");
    let members = bob.members(channel).await.expect("the client runs");
    let expected = [
        (alice.address().clone(), Role::Owner),
        (bob.address().clone(), Role::Member),
    ];
    assert_eq!(members, expected);

    // Carol hears of it when she next connects, and of nothing else.
    carol.close().await;
    let (carol, mut to_carol) = server.open(folder.path(), "carol").await;
    let left = |kind: &EventKind| {
        assert!(
            !matches!(kind, EventKind::PostReceived(_)),
            "she reads on: {kind:?}"
        );
        *kind == EventKind::ChannelLeft { channel }
    };
    until(&carol, &mut to_carol, left).await;
    let refused = carol.post_text(channel, "hello?").await;
    assert_eq!(refused, Err(ClientError::Input(InputError::NoSuchChannel)));
    assert_eq!(carol.channels().await, Ok(Vec::new()));
}
