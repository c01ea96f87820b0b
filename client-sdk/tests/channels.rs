//! A channel of three, and the real server between them.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::time::Duration;

use common::{PATIENCE, RunningServer, read, sent, until};
use sottovoce::{Address, ChannelId, Client, ClientError, EventKind, Events, InputError, Role};

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

/// Waits until a client knows these members, with their roles.
async fn knows(client: &Client, channel: ChannelId, members: &[(&Address, Role)]) {
    let expected: Vec<_> = members
        .iter()
        .map(|(address, role)| ((*address).clone(), *role))
        .collect();
    let known = async {
        while client.members(channel).await.expect("the client runs") != expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("in good time");
}

#[tokio::test]
async fn roles_bans_and_the_channel_itself_change_hands() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    let (carol, mut to_carol) = server.register(folder.path(), "carol").await;
    let [a, b, c] = [&alice, &bob, &carol].map(|client| client.address().clone());
    for (client, events) in [(&bob, &mut to_bob), (&carol, &mut to_carol)] {
        alice
            .send_text(client.address(), "a channel?")
            .await
            .expect("queued");
        assert_eq!(read(client, events).await, "a channel?");
        sent(&alice, &mut to_alice).await;
    }
    let channel = alice.create_channel().await.expect("founded");
    joined(&alice, &mut to_alice).await;
    for member in [&b, &c] {
        alice.add_member(channel, member).await.expect("the owner may");
        changed(&alice, &mut to_alice).await;
    }
    joined(&bob, &mut to_bob).await;
    joined(&carol, &mut to_carol).await;

    // An admin takes members out; what they are told of the change comes with the next post.
    let not_allowed = Err(ClientError::Input(InputError::NotAllowed));
    assert_eq!(bob.ban(channel, &c).await, not_allowed);
    alice
        .set_role(channel, &b, Role::Admin)
        .await
        .expect("the owner may");
    changed(&alice, &mut to_alice).await;
    alice
        .post_text(channel, "bob looks after us")
        .await
        .expect("queued");
    knows(
        &bob,
        channel,
        &[(&a, Role::Owner), (&b, Role::Admin), (&c, Role::Member)],
    )
    .await;
    bob.ban(channel, &c).await.expect("an admin may");
    knows(&bob, channel, &[(&a, Role::Owner), (&b, Role::Admin)]).await;
    carol.close().await;
    let (carol, mut to_carol) = server.open(folder.path(), "carol").await;
    until(&carol, &mut to_carol, |kind| {
        *kind == EventKind::ChannelLeft { channel }
    })
    .await;

    // Nobody adds her, until the ban is lifted.
    bob.post_text(channel, "carol is out").await.expect("queued");
    knows(&alice, channel, &[(&a, Role::Owner), (&b, Role::Admin)]).await;
    assert_eq!(alice.add_member(channel, &c).await, not_allowed);
    alice.lift_ban(channel, &c).await.expect("the owner may");
    let lifted = |kind: &EventKind| matches!(kind, EventKind::ChannelChanged { height, .. } if *height >= 5);
    until(&alice, &mut to_alice, lifted).await;
    alice.add_member(channel, &c).await.expect("the owner may");
    assert_eq!(joined(&carol, &mut to_carol).await, channel);

    // An owner who wants to leave hands the channel over.
    assert_eq!(alice.leave_channel(channel).await, not_allowed);
    alice.hand_over(channel, &b).await.expect("the owner may");
    let after = [(&a, Role::Admin), (&b, Role::Owner), (&c, Role::Member)];
    knows(&alice, channel, &after).await;
    alice.leave_channel(channel).await.expect("an admin may");
    until(&alice, &mut to_alice, |kind| {
        *kind == EventKind::ChannelLeft { channel }
    })
    .await;
    bob.post_text(channel, "alice has left").await.expect("queued");
    knows(&bob, channel, &[(&b, Role::Owner), (&c, Role::Member)]).await;
    let post = loop {
        let post = read_post(&carol, &mut to_carol).await;
        if post.starts_with("bob") {
            break post;
        }
    };
    assert_eq!(post, "bob@localhost: alice has left");
    assert_eq!(bob.leave_channel(channel).await, not_allowed);
}
