//! Which calls have a rate of their own.

use sottovoce_server::RateLimits;

use super::{ONE, assert_limited};
use crate::common::{Device, TestServer, call, reason};

/// What is limited, the call, and whether it is made with a token.
type Row = (fn(&mut RateLimits), &'static str, bool);

const KINDS: [Row; 7] = [
    (
        |rates| rates.posts_per_device = ONE,
        "/sottovoce.v1.ChannelService/Post",
        true,
    ),
    (
        |rates| rates.uploads_per_device = ONE,
        "/sottovoce.v1.BlobService/BeginUpload",
        true,
    ),
    (
        |rates| rates.acknowledgements_per_device = ONE,
        "/sottovoce.v1.MailboxService/Acknowledge",
        true,
    ),
    (
        |rates| rates.prekey_fetches_per_device = ONE,
        "/sottovoce.v1.PrekeyService/FetchPrekeyBundles",
        true,
    ),
    (
        |rates| rates.sealed_sends_per_address = ONE,
        "/sottovoce.v1.MailboxService/SendSealed",
        false,
    ),
    (
        |rates| rates.prekey_fetches_per_address = ONE,
        "/sottovoce.v1.PrekeyService/FetchPrekeyBundles",
        false,
    ),
    (
        |rates| rates.recovery_fetches_per_address = ONE,
        "/sottovoce.v1.AccountService/FetchRecoveryBlob",
        false,
    ),
];

#[tokio::test]
async fn each_kind_of_call_has_a_rate_of_its_own() {
    for (change, path, with_token) in KINDS {
        let server = TestServer::start_limited(|limits| change(&mut limits.rates)).await;
        let clients = server.connect().await;
        let bearer = format!("Bearer {}", Device::named("alice").join(&clients).await);
        let metadata = [("authorization", bearer.as_str())];
        let metadata = if with_token { &metadata[..] } else { &[] };
        // What is asked for is nothing: it is counted all the same. The second is one too many.
        if let Err(status) = call(&clients.channel, path, metadata, Vec::new()).await {
            assert_ne!(reason(&status), "RATE_LIMITED", "{path}");
        }
        let second = call(&clients.channel, path, metadata, Vec::new()).await;
        assert_limited(&second.unwrap_err());
        server.stop().await;
    }
}
