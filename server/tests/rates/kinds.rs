//! Which calls have a rate of their own.

use sottovoce_proto::v1::blob_service_client::BlobServiceClient;
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::{
    AcknowledgeRequest, BeginUploadRequest, FetchPrekeyBundlesRequest, FetchRecoveryBlobRequest, PostRequest,
    SendSealedRequest,
};
use sottovoce_server::RateLimits;
use tonic::Status;

use super::{ONE, assert_limited};
use crate::common::{Clients, Device, TestServer, reason, with_token};

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
