//! What an access key opens, without a token.

use sottovoce_proto::v1::{
    FetchPrekeyBundlesRequest, FetchPrekeyBundlesResponse, GetAccountRequest, GetAccountResponse,
    SetAccessKeyRequest,
};
use sottovoce_statements::AccessKeyHash;
use tonic::{Code, Status};

use crate::common::{Clients, Device, TestServer, dump, reason, told, with_token};

const KEY: [u8; 32] = [7; 32];

async fn set(clients: &Clients, token: &str, access_key_hash: Vec<u8>) -> Result<(), Status> {
    let request = with_token(token, SetAccessKeyRequest { access_key_hash });
    let answer = clients.accounts.clone().set_access_key(request).await;
    answer.map(|_| ())
}

async fn account(clients: &Clients, address: &str, key: &[u8]) -> Result<GetAccountResponse, Status> {
    let request = GetAccountRequest {
        address: address.to_owned(),
        access_key: key.to_vec(),
    };
    let answer = clients.accounts.clone().get_account(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn bundles(clients: &Clients, of: &Device, key: &[u8]) -> Result<FetchPrekeyBundlesResponse, Status> {
    let request = FetchPrekeyBundlesRequest {
        address: of.address.to_string(),
        device_ids: vec![of.id.as_bytes().to_vec()],
        access_key: key.to_vec(),
    };
    let answer = clients.prekeys.clone().fetch_prekey_bundles(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn who_has_an_access_key_sees_the_account_and_its_prekeys_without_a_token() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let bob = Device::named("bob");
    let token = bob.join(&clients).await;
    let mut prekeys = clients.prekeys.clone();
    for published in [bob.prekeys(1..=3), bob.kem_prekeys(1..=3)] {
        prekeys
            .publish_prekeys(with_token(&token, published))
            .await
            .unwrap();
    }
    set(&clients, &token, AccessKeyHash::of(&KEY).as_bytes().to_vec())
        .await
        .unwrap();
    let shown = account(&clients, bob.address.as_str(), &KEY).await.unwrap();
    assert_eq!(shown.manifest, bob.registration().manifest);
    let fetched = bundles(&clients, &bob, &KEY).await.unwrap().bundles;
    assert_eq!(fetched[0].one_time_prekey.as_ref().unwrap().id, 1);
    // Rotated, and then taken away.
    for hash in [AccessKeyHash::of(&[8; 32]).as_bytes().to_vec(), Vec::new()] {
        set(&clients, &token, hash).await.unwrap();
        let before = dump(&server.database).await;
        for status in [
            account(&clients, bob.address.as_str(), &KEY).await.unwrap_err(),
            bundles(&clients, &bob, &KEY).await.unwrap_err(),
        ] {
            assert_eq!(reason(&status), "ACCESS_DENIED");
        }
        assert_eq!(dump(&server.database).await, before);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_key_an_account_without_one_and_no_account_look_the_same() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (bob, carol) = (Device::named("bob"), Device::named("carol"));
    let token = bob.join(&clients).await;
    carol.register(&clients).await;
    set(&clients, &token, AccessKeyHash::of(&KEY).as_bytes().to_vec())
        .await
        .unwrap();
    let nobody = Device::named("nobody");
    let mut seen = Vec::new();
    for device in [&bob, &carol, &nobody] {
        for status in [
            account(&clients, device.address.as_str(), &[9; 32])
                .await
                .unwrap_err(),
            bundles(&clients, device, &[9; 32]).await.unwrap_err(),
        ] {
            assert_eq!(
                told(&status),
                (Code::PermissionDenied, "ACCESS_DENIED".to_owned(), String::new())
            );
            seen.push((status.message().to_owned(), status.details().to_vec()));
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "they differ");
    server.stop().await;
}
