//! Rates by whom calls are about, which nobody else can use up.

use sha2::Digest;
use sottovoce_proto::v1::{
    FetchPrekeyBundlesRequest, FetchRecoveryBlobRequest, PutRecoveryBlobRequest, SendSealedRequest,
    SetAccessKeyRequest,
};
use sottovoce_statements::AccessKeyHash;

use super::{ONE, assert_limited};
use crate::common::{Device, TestServer, reason, with_token};

#[tokio::test]
async fn prekeys_of_one_account_are_not_drained_by_many() {
    let server = TestServer::start_limited(|limits| limits.rates.prekey_fetches_per_recipient = ONE).await;
    let clients = server.connect().await;
    let (bob, carol) = (Device::named("bob"), Device::named("carol"));
    bob.join(&clients).await;
    carol.join(&clients).await;
    let fetch = async |token: &str, of: &Device| {
        let request = FetchPrekeyBundlesRequest {
            address: of.address.to_string(),
            device_ids: vec![of.id.as_bytes().to_vec()],
            access_key: Vec::new(),
        };
        let answer = clients
            .prekeys
            .clone()
            .fetch_prekey_bundles(with_token(token, request))
            .await;
        reason(&answer.unwrap_err())
    };
    let alice = Device::named("alice").join(&clients).await;
    let dave = Device::named("dave").join(&clients).await;
    assert_eq!(fetch(&alice, &bob).await, "PREKEYS_MISSING");
    assert_eq!(fetch(&dave, &bob).await, "RATE_LIMITED", "whoever asks");
    assert_eq!(fetch(&dave, &carol).await, "PREKEYS_MISSING");
    server.stop().await;
}

#[tokio::test]
async fn who_has_not_the_key_takes_no_sealed_sends_from_those_who_have() {
    const KEY: [u8; 32] = [7; 32];
    let server = TestServer::start_limited(|limits| limits.rates.sealed_sends_per_recipient = ONE).await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let token = bob.join(&clients).await;
    let access_key_hash = AccessKeyHash::of(&KEY).as_bytes().to_vec();
    let set = with_token(&token, SetAccessKeyRequest { access_key_hash });
    clients.accounts.clone().set_access_key(set).await.unwrap();
    let send = async |n, access_key: [u8; 32]| {
        let letter = Device::letter(&bob, n, b"sealed");
        let sealed = SendSealedRequest {
            recipient: letter.recipient,
            access_key: access_key.to_vec(),
            client_message_id: letter.client_message_id,
            messages: letter.messages,
            ..Default::default()
        };
        clients.mailbox.clone().send_sealed(sealed).await.map(drop)
    };
    assert_eq!(reason(&send(1, [8; 32]).await.unwrap_err()), "ACCESS_DENIED");
    assert_limited(&send(2, [8; 32]).await.unwrap_err());
    send(3, KEY).await.unwrap();
    assert_limited(&send(4, KEY).await.unwrap_err());
    server.stop().await;
}

#[tokio::test]
async fn who_has_not_the_code_keeps_nobody_from_recovery() {
    let server = TestServer::start_limited(|limits| limits.rates.recovery_fetches_per_recipient = ONE).await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let token = bob.join(&clients).await;
    let put = PutRecoveryBlobRequest {
        blob: b"sealed under a code".to_vec(),
        fetch_token_hash: sha2::Sha256::digest([7; 32]).to_vec(),
    };
    let put = with_token(&token, put);
    clients.accounts.clone().put_recovery_blob(put).await.unwrap();
    let fetch = async |fetch_token: [u8; 32]| {
        let request = FetchRecoveryBlobRequest {
            address: bob.address.to_string(),
            fetch_token: fetch_token.to_vec(),
        };
        clients
            .accounts
            .clone()
            .fetch_recovery_blob(request)
            .await
            .map(drop)
    };
    assert_eq!(reason(&fetch([8; 32]).await.unwrap_err()), "RECOVERY_UNKNOWN");
    assert_limited(&fetch([8; 32]).await.unwrap_err());
    fetch([7; 32]).await.unwrap();
    assert_limited(&fetch([7; 32]).await.unwrap_err());
    server.stop().await;
}
