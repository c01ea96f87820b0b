//! What an account leaves here: a recovery blob, and grants for devices to come.

use sottovoce_proto::v1::{
    FetchLinkingGrantsRequest, FetchRecoveryBlobRequest, FetchRecoveryBlobResponse, PutLinkingGrantRequest,
    PutRecoveryBlobRequest,
};
use tonic::Status;

use super::{following, register, second, update};
use crate::common::{Clients, Device, TestServer, dump, execute, reason, told, with_token};

const TOKEN: [u8; 32] = [5; 32];

async fn keep(clients: &Clients, token: &str, fetch_token: Option<&[u8]>, blob: &[u8]) {
    use sha2::Digest as _;
    let request = PutRecoveryBlobRequest {
        fetch_token_hash: fetch_token.map_or(Vec::new(), |token| sha2::Sha256::digest(token).to_vec()),
        blob: blob.to_vec(),
    };
    let request = with_token(token, request);
    clients.accounts.clone().put_recovery_blob(request).await.unwrap();
}

async fn fetch(
    clients: &Clients,
    address: &str,
    fetch_token: &[u8],
) -> Result<FetchRecoveryBlobResponse, Status> {
    let request = FetchRecoveryBlobRequest {
        address: address.to_owned(),
        fetch_token: fetch_token.to_vec(),
    };
    let answer = clients.accounts.clone().fetch_recovery_blob(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn recover(clients: &Clients, address: &str, fetch_token: &[u8]) -> Result<Vec<u8>, Status> {
    Ok(fetch(clients, address, fetch_token).await?.blob)
}

async fn grant(clients: &Clients, token: &str, device: u8, sealed: &[u8]) -> Result<(), String> {
    let request = PutLinkingGrantRequest {
        device_id: vec![device; 16],
        grant: sealed.to_vec(),
    };
    let request = with_token(token, request);
    let answer = clients.accounts.clone().put_linking_grant(request).await;
    answer.map(|_| ()).map_err(|status| reason(&status))
}

async fn grants(clients: &Clients, device: u8) -> Vec<Vec<u8>> {
    let request = FetchLinkingGrantsRequest {
        device_id: vec![device; 16],
    };
    let answer = clients.accounts.clone().fetch_linking_grants(request).await;
    answer.unwrap().into_inner().grants
}

#[tokio::test]
async fn who_recovers_is_shown_the_newest_manifest() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let phone = Device::named("alice");
    let first = register(&clients, &phone).await;
    keep(&clients, &phone.sign_in(&clients).await, Some(&TOKEN), b"sealed").await;
    let laptop = second(&phone, "laptop");
    let two = following(&first, 2, &[&phone, &laptop]);
    let shown = async || {
        fetch(&clients, phone.address.as_str(), &TOKEN)
            .await
            .unwrap()
            .manifest
    };
    assert_eq!(shown().await, Some(first));
    update(&clients, &two, &[&laptop]).await.unwrap();
    assert_eq!(shown().await, Some(two));
    server.stop().await;
}

#[tokio::test]
async fn a_recovery_blob_is_given_to_who_has_its_token_and_to_nobody_else() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    bob.register(&clients).await;
    keep(&clients, &token, Some(&TOKEN), b"sealed").await;
    let address = alice.address.as_str();
    assert_eq!(recover(&clients, address, &TOKEN).await.unwrap(), b"sealed");
    assert!(
        !dump(&server.database)
            .await
            .join("\n")
            .to_lowercase()
            .contains(&hex::encode(TOKEN))
    );
    let mut seen = Vec::new();
    for (address, fetch_token) in [
        (address, [6; 32]),
        (bob.address.as_str(), TOKEN),
        ("nobody@localhost", TOKEN),
    ] {
        let status = recover(&clients, address, &fetch_token).await.unwrap_err();
        assert_eq!(told(&status).1, "RECOVERY_UNKNOWN");
        seen.push((status.message().to_owned(), status.details().to_vec()));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "they differ");
    keep(&clients, &token, Some(&[6; 32]), b"newer").await;
    assert_eq!(recover(&clients, address, &[6; 32]).await.unwrap(), b"newer");
    assert!(recover(&clients, address, &TOKEN).await.is_err());
    keep(&clients, &token, None, b"").await;
    assert!(recover(&clients, address, &[6; 32]).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn grants_wait_for_the_device_they_are_for_and_no_more_than_two() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let mut tokens = Vec::new();
    for name in ["alice", "eve", "mallory"] {
        tokens.push(Device::named(name).join(&clients).await);
    }
    assert_eq!(grants(&clients, 1).await, Vec::<Vec<u8>>::new());
    assert_eq!(grant(&clients, &tokens[0], 1, b"first").await, Ok(()));
    // A repeat takes its own place, not another.
    assert_eq!(grant(&clients, &tokens[0], 1, b"alice's").await, Ok(()));
    assert_eq!(grant(&clients, &tokens[1], 1, b"eve's").await, Ok(()));
    assert_eq!(
        grant(&clients, &tokens[2], 1, b"mallory's").await,
        Err("SERVER_FULL".into())
    );
    assert_eq!(
        grants(&clients, 1).await,
        [b"alice's".to_vec(), b"eve's".to_vec()]
    );
    assert_eq!(grants(&clients, 2).await, Vec::<Vec<u8>>::new());
    execute(&server.database, "UPDATE linking_grants SET expires_at_ms = 1").await;
    assert_eq!(grants(&clients, 1).await, Vec::<Vec<u8>>::new());
    assert_eq!(grant(&clients, &tokens[2], 1, b"mallory's").await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn grants_are_bounded_for_an_account_and_altogether() {
    let server = TestServer::start_limited(|limits| {
        limits.max_linking_grants_per_account = 2;
        limits.max_linking_bytes = 100;
        limits.max_linking_grants = 3;
    })
    .await;
    let clients = server.connect().await;
    let full = || Err("SERVER_FULL".to_owned());
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alice, bob) = (alice.join(&clients).await, bob.join(&clients).await);
    assert_eq!(grant(&clients, &alice, 1, &[0; 90]).await, Ok(()));
    assert_eq!(grant(&clients, &alice, 2, &[0; 11]).await, full(), "bytes");
    assert_eq!(grant(&clients, &alice, 2, &[0; 1]).await, Ok(()));
    assert_eq!(
        grant(&clients, &alice, 3, &[0; 1]).await,
        full(),
        "of one account"
    );
    assert_eq!(grant(&clients, &bob, 3, &[0; 1]).await, Ok(()));
    assert_eq!(grant(&clients, &bob, 4, &[0; 1]).await, full(), "altogether");
    server.stop().await;
}
