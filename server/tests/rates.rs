//! Calls that come too often: refused with a time to wait, by device, by address, by recipient.

use std::time::{Duration, Instant};

use sha2::Digest;
use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::connect_request::Frame as Asked;
use sottovoce_proto::v1::connect_response::Frame;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::server_service_client::ServerServiceClient;
use sottovoce_proto::v1::{
    AcknowledgeRequest, BeginUploadRequest, ConnectRequest, CountPrekeysRequest, FetchPrekeyBundlesRequest,
    FetchRecoveryBlobRequest, GetServerInfoRequest, PostRequest, PutRecoveryBlobRequest, SendBatchRequest,
    SendSealedRequest, SetAccessKeyRequest,
};
use sottovoce_server::{Rate, RateLimits};
use sottovoce_statements::AccessKeyHash;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::common::{Clients, Device, TestServer, reason, with_token};

/// One at once, and one more in a minute.
const ONE: Rate = Rate::new(1, 1);

/// A refusal that says how long to wait, which is something and not for ever.
#[track_caller]
fn assert_limited(status: &Status) {
    assert_eq!(reason(status), "RATE_LIMITED");
    let retry = status.get_details_retry_info().expect("a time to wait");
    let seconds = retry.retry_delay.unwrap().as_secs_f64();
    assert!(seconds > 0.0 && seconds <= 60.0, "{seconds}");
}

async fn count(clients: &Clients, token: &str) -> Result<(), Status> {
    let request = with_token(token, CountPrekeysRequest {});
    clients.prekeys.clone().count_prekeys(request).await.map(drop)
}

#[tokio::test]
async fn registrations_from_one_address_are_limited_and_nothing_else_is() {
    let server = TestServer::start_limited(|limits| limits.rates.registrations_per_address = ONE).await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    // Another connection is the same address.
    let second = server.connect().await;
    let status = second
        .accounts
        .clone()
        .register(bob.registration())
        .await
        .unwrap_err();
    assert_limited(&status);
    count(&clients, &token).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_device_that_calls_too_often_waits_and_no_other_does() {
    let server = TestServer::start_limited(|limits| {
        limits.rates.scale = 1;
        limits.rates.calls_per_device = Rate::new(3, 1);
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice").join(&clients).await;
    let bob = Device::named("bob").join(&clients).await;
    let mut answered = 0;
    let refused = loop {
        match count(&clients, &alice).await {
            Ok(()) => answered += 1,
            Err(status) => break status,
        }
    };
    assert!(answered <= 3);
    assert_limited(&refused);
    count(&clients, &bob).await.unwrap();
    server.stop().await;
}

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
async fn tokens_cannot_be_guessed_for_long() {
    let server =
        TestServer::start_limited(|limits| limits.rates.sign_ins_per_address = Rate::new(3, 1)).await;
    let clients = server.connect().await;
    let reasons = async |count| {
        let mut reasons = Vec::new();
        for _ in 0..count {
            reasons.push(reason(&self::count(&clients, &"0".repeat(64)).await.unwrap_err()));
        }
        reasons
    };
    assert_eq!(reasons(3).await, ["TOKEN_INVALID"; 3]);
    assert_eq!(reasons(2).await, ["RATE_LIMITED"; 2]);
    server.stop().await;
}

#[tokio::test]
async fn each_send_of_a_batch_counts() {
    let server = TestServer::start_limited(|limits| limits.rates.sends_per_device = Rate::new(10, 60)).await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let alice = Device::named("alice").join(&clients).await;
    let carol = Device::named("carol").join(&clients).await;
    bob.join(&clients).await;
    let batch = async |token: &str, numbers: std::ops::Range<u64>| {
        let sends = numbers.map(|n| Device::letter(&bob, n, b"letter")).collect();
        let request = with_token(token, SendBatchRequest { sends });
        let answer = clients.mailbox.clone().send_batch(request).await?;
        Ok::<_, Status>(answer.into_inner().results.len())
    };
    assert_eq!(batch(&alice, 0..8).await.unwrap(), 8);
    assert_limited(&batch(&alice, 8..12).await.unwrap_err());
    assert_eq!(batch(&carol, 0..8).await.unwrap(), 8);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_sends_too_fast_waits_and_loses_nothing() {
    let server = TestServer::start_limited(|limits| limits.rates.sends_per_device = Rate::new(3, 120)).await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let alice = Device::named("alice").join(&clients).await;
    bob.join(&clients).await;
    let frames = (0..6).map(|n| ConnectRequest {
        frame: Some(Asked::Send(Device::letter(&bob, n, b"letter"))),
    });
    let request = with_token(&alice, tokio_stream::iter(frames.collect::<Vec<_>>()));
    let begun = Instant::now();
    let mut answers = clients
        .mailbox
        .clone()
        .connect(request)
        .await
        .unwrap()
        .into_inner();
    let mut taken = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        if let Some(Frame::Result(result)) = answer.frame {
            assert!(matches!(result.outcome, Some(Outcome::Taken(_))));
            taken += 1;
        }
    }
    assert_eq!(taken, 6);
    // Three at once, and three more at two a second.
    assert!(
        begun.elapsed() >= Duration::from_millis(1_400),
        "{:?}",
        begun.elapsed()
    );
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

/// Of two calls, the second is one too many. What they ask for is nothing: they are counted all the same.
async fn limited(
    change: impl FnOnce(&mut RateLimits),
    call: impl AsyncFn(&Clients, &str) -> Result<(), Status>,
) {
    let server = TestServer::start_limited(|limits| change(&mut limits.rates)).await;
    let clients = server.connect().await;
    let token = Device::named("alice").join(&clients).await;
    if let Err(status) = call(&clients, &token).await {
        assert_ne!(reason(&status), "RATE_LIMITED");
    }
    assert_limited(&call(&clients, &token).await.unwrap_err());
    server.stop().await;
}

#[tokio::test]
async fn each_kind_of_call_has_a_rate_of_its_own() {
    limited(
        |rates| rates.posts_per_device = ONE,
        async |clients, token| {
            let request = with_token(token, PostRequest::default());
            ChannelServiceClient::new(clients.channel.clone())
                .post(request)
                .await
                .map(drop)
        },
    )
    .await;
    limited(
        |rates| rates.uploads_per_device = ONE,
        async |clients, token| {
            let request = with_token(token, BeginUploadRequest::default());
            BlobServiceClient::new(clients.channel.clone())
                .begin_upload(request)
                .await
                .map(drop)
        },
    )
    .await;
    limited(
        |rates| rates.acknowledgements_per_device = ONE,
        async |clients, token| {
            let request = with_token(token, AcknowledgeRequest::default());
            clients.mailbox.clone().acknowledge(request).await.map(drop)
        },
    )
    .await;
    limited(
        |rates| rates.prekey_fetches_per_device = ONE,
        async |clients, token| {
            let request = with_token(token, FetchPrekeyBundlesRequest::default());
            clients
                .prekeys
                .clone()
                .fetch_prekey_bundles(request)
                .await
                .map(drop)
        },
    )
    .await;
    limited(
        |rates| rates.sealed_sends_per_address = ONE,
        async |clients, _| {
            clients
                .mailbox
                .clone()
                .send_sealed(SendSealedRequest::default())
                .await
                .map(drop)
        },
    )
    .await;
    limited(
        |rates| rates.prekey_fetches_per_address = ONE,
        async |clients, _| {
            let request = FetchPrekeyBundlesRequest::default();
            clients
                .prekeys
                .clone()
                .fetch_prekey_bundles(request)
                .await
                .map(drop)
        },
    )
    .await;
    limited(
        |rates| rates.recovery_fetches_per_address = ONE,
        async |clients, _| {
            let request = FetchRecoveryBlobRequest::default();
            clients
                .accounts
                .clone()
                .fetch_recovery_blob(request)
                .await
                .map(drop)
        },
    )
    .await;
}

async fn info_for(clients: &Clients, forwarded: &str) -> Result<(), Status> {
    let mut request = Request::new(GetServerInfoRequest {});
    request
        .metadata_mut()
        .insert("x-forwarded-for", forwarded.parse().unwrap());
    let mut server = ServerServiceClient::new(clients.channel.clone());
    server.get_server_info(request).await.map(drop)
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_rate() {
    let server = TestServer::start_with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.limits.rates.scale = 1;
        config.limits.rates.calls_per_address = ONE;
    })
    .await;
    let clients = server.connect().await;
    info_for(&clients, "192.0.2.1").await.unwrap();
    assert_limited(&info_for(&clients, "192.0.2.1").await.unwrap_err());
    info_for(&clients, "192.0.2.2").await.unwrap();
    assert_limited(&info_for(&clients, "198.51.100.9, 192.0.2.2").await.unwrap_err());
    server.stop().await;
}

#[tokio::test]
async fn nobody_else_says_where_a_call_comes_from() {
    let server = TestServer::start_limited(|limits| {
        limits.rates.scale = 1;
        limits.rates.calls_per_address = ONE;
    })
    .await;
    let clients = server.connect().await;
    info_for(&clients, "192.0.2.1").await.unwrap();
    assert_limited(&info_for(&clients, "192.0.2.2").await.unwrap_err());
    server.stop().await;
}
