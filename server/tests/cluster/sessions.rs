//! Sessions of all nodes together: what ends at one is over at the others, with no hint of it.

use std::time::Duration;

use sottovoce_proto::v1::{
    CompleteAuthenticationRequest, CountPrekeysRequest, RefreshTokensRequest, RefreshTokensResponse,
    RevokeSessionRequest, SubscribeRequest, SubscribeResponse,
};
use tonic::Streaming;

use super::{AT_LAST, Cluster, NODES, SOON, listen};
use crate::common::{Clients, Device, hold_the_write_lock, reason, statement, with_token};

async fn refresh(clients: &Clients, refresh_token: &str) -> Result<RefreshTokensResponse, String> {
    let refresh_token = refresh_token.to_owned();
    let request = RefreshTokensRequest { refresh_token };
    let answer = clients.auth.clone().refresh_tokens(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| reason(&status))
}

async fn end_of(mut stream: Streaming<SubscribeResponse>) -> String {
    let end = tokio::time::timeout(AT_LAST, stream.message()).await;
    reason(&end.expect("the stream goes on").unwrap_err())
}

/// Whether every node comes to refuse the token, in time.
async fn void_everywhere(clients: &[Clients], token: &str) {
    for node in clients {
        let refused = async {
            loop {
                let request = with_token(token, CountPrekeysRequest {});
                match node.prekeys.clone().count_prekeys(request).await {
                    Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    Err(status) => break reason(&status),
                }
            }
        };
        let refused = tokio::time::timeout(AT_LAST, refused).await;
        assert_eq!(refused.expect("the token is good still"), "TOKEN_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_at_one_node_has_no_stream_at_another_without_hints() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let alice = Device::named("alice");
    alice.register(&clients[0]).await;
    cluster.kill_nats().await;

    let revoked = alice.sign_in_from(&clients[1], None).await;
    let stream = listen(&clients[2], &revoked.access_token).await;
    let request = RevokeSessionRequest {
        session_id: revoked.session_id.clone(),
    };
    let request = with_token(&revoked.access_token, request);
    clients[0].auth.clone().revoke_session(request).await.unwrap();
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    void_everywhere(&clients, &revoked.access_token).await;

    // By a command that no node carries out.
    let signed_out = alice.sign_in(&clients[1]).await;
    let stream = listen(&clients[2], &signed_out).await;
    cluster.order(&["device", "revoke", &alice.id.to_string()]).await;
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    void_everywhere(&clients, &signed_out).await;

    let shut_out = alice.sign_in(&clients[1]).await;
    let stream = listen(&clients[2], &shut_out).await;
    cluster.order(&["device", "block", &alice.id.to_string()]).await;
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    void_everywhere(&clients, &shut_out).await;
    cluster.order(&["device", "unblock", &alice.id.to_string()]).await;
    alice.sign_in(&clients[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_used_again_at_another_node_ends_the_session_everywhere() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let alice = Device::named("alice");
    alice.register(&clients[0]).await;
    cluster.kill_nats().await;
    let first = alice.sign_in_from(&clients[0], None).await;
    let second = refresh(&clients[1], &first.refresh_token).await.unwrap();
    // As if the answer had been lost: what came with it is void, and its stream ends.
    let stream = listen(&clients[2], &second.access_token).await;
    let third = refresh(&clients[0], &first.refresh_token).await.unwrap();
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    void_everywhere(&clients, &second.access_token).await;
    let stream = listen(&clients[2], &third.access_token).await;
    let reused = refresh(&clients[1], &second.refresh_token).await;
    assert_eq!(reused.unwrap_err(), "REFRESH_REUSED");
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    void_everywhere(&clients, &third.access_token).await;
    for (node, token) in clients.iter().zip([&first.refresh_token, &third.refresh_token]) {
        assert_eq!(refresh(node, token).await.unwrap_err(), "REFRESH_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_answered_at_many_nodes_lets_in_once() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let alice = Device::named("alice");
    alice.register(&clients[0]).await;
    for n in 0..10 {
        let begun = alice.begin(&clients[n % NODES]).await;
        let challenge = statement(alice.challenge(&begun), &alice.identity);
        let answering: Vec<_> = clients
            .iter()
            .map(|node| {
                let (mut auth, challenge) = (node.auth.clone(), Some(challenge.clone()));
                let request = CompleteAuthenticationRequest { challenge };
                tokio::spawn(async move { auth.complete_authentication(request).await })
            })
            .collect();
        let mut let_in = 0;
        for answer in answering {
            match answer.await.unwrap() {
                Ok(_) => let_in += 1,
                Err(status) => assert_eq!(reason(&status), "CHALLENGE_USED"),
            }
        }
        assert_eq!(let_in, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_session_ends_while_it_begins_displaces_nobody() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let alice = Device::named("alice");
    let kept = alice.join(&clients[0]).await;
    let ended = alice.sign_in_from(&clients[1], None).await;
    let mut older = listen(&clients[0], &kept).await;
    let mut lock = hold_the_write_lock(&cluster.folder.path().join("sottovoce.db")).await;
    let late = tokio::spawn({
        let (mut mailbox, token) = (clients[2].mailbox.clone(), ended.access_token.clone());
        async move { mailbox.subscribe(with_token(&token, SubscribeRequest {})).await }
    });
    // Time to pass the gate; were it not enough, the gate would say the same.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let session = lock.bytes(&ended.session_id);
    lock.execute(&format!("DELETE FROM sessions WHERE id = {session}"))
        .await;
    lock.execute("COMMIT").await;
    lock.close().await;
    let late = tokio::time::timeout(AT_LAST, late).await.unwrap().unwrap();
    assert_eq!(reason(&late.unwrap_err()), "TOKEN_INVALID");
    let quiet = tokio::time::timeout(SOON, older.message()).await;
    assert!(quiet.is_err(), "the older stream ended: {quiet:?}");
}
