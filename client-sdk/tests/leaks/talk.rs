//! Two people who do all that a server takes part in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sottovoce::{Body, Client, EventKind, Events, Linking, LinkingOffer, RecoveryCode, SealedAttachment};
use sottovoce_crypto::IdentityKeyPair;
use sottovoce_crypto::statements::{AuthChallenge, DeviceId, ServerName};
use sottovoce_proto::v1;
use sottovoce_proto::v1::auth_service_client::AuthServiceClient;
use sottovoce_server::Database;

use super::secrets::secrets_of;
use crate::common::{PATIENCE, RunningServer, address, read, sent, until};

/// What is written, posted, and in a file.
pub(crate) const SAID: [&str; 6] = [
    "under the voice",
    "in a whisper",
    "while you were away",
    "and once more",
    "to all of us here",
    "a picture of somebody whispering",
];

/// Has two people do all that a server takes part in, and returns their secrets, those that are used up by
/// then as well.
pub(crate) async fn talk(folder: &Path, database: Database) -> BTreeMap<String, Vec<u8>> {
    let config = sottovoce_server::Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        database,
        ..Default::default()
    };
    let server = RunningServer::start_as(folder, config).await;
    let mut secrets = BTreeMap::new();
    for name in ["alice", "bob"] {
        let (client, _) = server.register(folder, name).await;
        client.close().await;
        secrets.extend(secrets_of(folder, name, "at first").await);
    }
    let (alice, mut to_alice) = server.open(folder, "alice").await;
    let (bob, mut to_bob) = server.open(folder, "bob").await;
    alice.send_text(bob.address(), SAID[0]).await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, SAID[0]);
    sent(&alice, &mut to_alice).await;
    bob.send_text(alice.address(), SAID[1]).await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, SAID[1]);
    bob.close().await;
    secrets.extend(secrets_of(folder, "bob", "after two messages").await);
    for text in &SAID[2..4] {
        alice.send_text(&address("bob"), text).await.expect("queued");
        sent(&alice, &mut to_alice).await;
    }
    let (bob, mut to_bob) = server.open(folder, "bob").await;
    for text in &SAID[2..4] {
        assert_eq!(read(&bob, &mut to_bob).await, *text);
    }
    post(&alice, &mut to_alice, &bob, &mut to_bob).await;
    attach(folder, &alice, &bob, &mut secrets).await;
    link(&server, folder, &alice, &mut secrets).await;
    let code = RecoveryCode::generate(&mut rand_core::UnwrapErr(getrandom::SysRng));
    alice.put_recovery(&code).await.expect("the server takes it");
    secrets.insert("the recovery code".into(), code.to_text().as_bytes().to_vec());
    alice.close().await;
    bob.close().await;
    for name in ["alice", "bob", "tablet"] {
        secrets.extend(secrets_of(folder, name, "at last").await);
    }
    sign_in(&server, &secrets_of(folder, "alice", "").await, &mut secrets).await;
    for kind in ["session/", "sender-key/", "member-key/", "one-time-kem-prekey/"] {
        let found = secrets.keys().filter(|name| name.contains(kind)).count();
        assert!(found > 0, "no secrets of {kind}");
    }
    assert!(secrets.len() > 400, "with their prekeys: {}", secrets.len());
    // What was taken for a chain key of one is that of the other.
    for (hers, his) in [("session/", "session/"), ("sender-key/", "member-key/")] {
        let of = |who: &str, kind: &str| {
            let (front, kind) = (format!("{who} at last "), kind.to_owned());
            let named = secrets.iter().filter(move |(name, _)| {
                name.starts_with(&front) && name.contains(&kind) && name.ends_with("chain key")
            });
            named.map(|(_, secret)| secret.clone()).collect::<Vec<_>>()
        };
        let (hers, his) = (of("alice", hers), of("bob", his));
        assert!(hers.iter().any(|secret| his.contains(secret)), "other bytes");
    }
    secrets
}

/// A channel of both, and a post there.
async fn post(alice: &Client, to_alice: &mut Events, bob: &Client, to_bob: &mut Events) {
    let channel = alice.create_channel().await.expect("founded");
    until(alice, to_alice, |kind| {
        *kind == EventKind::ChannelJoined { channel }
    })
    .await;
    alice
        .add_member(channel, bob.address())
        .await
        .expect("the owner may");
    until(bob, to_bob, |kind| *kind == EventKind::ChannelJoined { channel }).await;
    let changed = |kind: &EventKind| matches!(kind, EventKind::ChannelChanged { .. });
    until(alice, to_alice, changed).await;
    alice.post_text(channel, SAID[4]).await.expect("queued");
    let posted = |kind: &EventKind| matches!(kind, EventKind::PostReceived(_));
    match until(bob, to_bob, posted).await {
        EventKind::PostReceived(post) => assert_eq!(post.body, Body::Text(SAID[4].into())),
        _ => unreachable!("that is what was waited for"),
    }
}

/// A file, up and down.
async fn attach(folder: &Path, alice: &Client, bob: &Client, secrets: &mut BTreeMap<String, Vec<u8>>) {
    let file = SAID[5].repeat(2_000).into_bytes();
    let mut rest = file.as_slice();
    let sealed = SealedAttachment::seal(&mut rest, file.len() as u64, &folder.join("sealed"))
        .await
        .expect("the folder can be written");
    let day = Duration::from_secs(86_400);
    let attachment = alice.upload_attachment(&sealed, day).await.expect("it is taken");
    let mut content = Vec::new();
    bob.download_attachment(&attachment, 0, &mut content)
        .await
        .expect("it is there");
    assert!(content == file);
    // After the blob's id, which the server knows, and a version byte.
    let key = attachment.to_bytes()[17..49].to_vec();
    secrets.insert("the attachment's key".into(), key);
}

/// A second device for alice.
async fn link(
    server: &RunningServer,
    folder: &Path,
    alice: &Client,
    secrets: &mut BTreeMap<String, Vec<u8>>,
) {
    let linking = Linking::begin(server.config(folder, "tablet")).expect("a URL");
    let offer = linking.offer().to_bytes();
    secrets.insert("the pairing secret".into(), offer[offer.len() - 32..].to_vec());
    let offer = LinkingOffer::parse(&linking.offer().to_text()).expect("as it was shown");
    alice.link_device(offer).await.expect("it is the primary device");
    let granted = tokio::time::timeout(PATIENCE, linking.granted()).await;
    let granted = granted.expect("in good time").expect("it is granted");
    let (tablet, _events) = granted.join().await.expect("it joins");
    tablet.close().await;
}

/// Signs in as a device whose keys were found, and refreshes; what the server gives out is secret too.
async fn sign_in(
    server: &RunningServer,
    device: &BTreeMap<String, Vec<u8>>,
    secrets: &mut BTreeMap<String, Vec<u8>>,
) {
    let secret = &device["alice  own, device"];
    let identity = IdentityKeyPair::from_secret_bytes(secret.as_slice().try_into().expect("32 bytes"));
    let identity = identity.expect("a secret key");
    let id = device["alice  own, id"].clone();
    let url = format!("http://{}", server.address);
    let channel = tonic::transport::Endpoint::from_shared(url)
        .expect("a URL")
        .connect_lazy();
    let mut auth = AuthServiceClient::new(channel);
    let begin = v1::BeginAuthenticationRequest {
        device_id: id.clone(),
    };
    let challenge = auth
        .begin_authentication(begin)
        .await
        .expect("a challenge")
        .into_inner();
    let signed = identity
        .sign_challenge(AuthChallenge {
            server: ServerName::parse("localhost").expect("a name"),
            device_id: DeviceId::from_slice(&id).expect("16 bytes"),
            nonce: challenge.nonce,
            expires_at_ms: challenge.expires_at_ms,
        })
        .expect("it can be signed");
    let challenge = Some(v1::SignedStatement {
        statement: signed.statement_bytes().to_vec(),
        signature: signed.signature_bytes().to_vec(),
    });
    let complete = v1::CompleteAuthenticationRequest { challenge };
    let first = auth
        .complete_authentication(complete)
        .await
        .expect("it lets in")
        .into_inner();
    let refresh = v1::RefreshTokensRequest {
        refresh_token: first.refresh_token.clone(),
    };
    let second = auth
        .refresh_tokens(refresh)
        .await
        .expect("it is good")
        .into_inner();
    for (name, token) in [
        ("first access token", first.access_token),
        ("first refresh token", first.refresh_token),
        ("second access token", second.access_token),
        ("second refresh token", second.refresh_token),
    ] {
        assert!(token.len() >= 32);
        secrets.insert(name.into(), token.into_bytes());
    }
}
