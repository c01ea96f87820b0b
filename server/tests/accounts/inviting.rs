//! Registering with an invite.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::RegisterRequest;
use sottovoce_server::Registration;

use crate::common::{Clients, Device, Look, TestServer, dump, reason};

async fn register(clients: &Clients, device: &Device, invite: &str) -> Result<(), String> {
    let request = RegisterRequest {
        invite: invite.to_owned(),
        ..device.registration()
    };
    let answer = clients.accounts.clone().register(request).await;
    answer.map(|_| ()).map_err(|status| reason(&status))
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says_and_nobody_learns_who_is_in() {
    let server = TestServer::start_with(|config| config.registration = Registration::Invite).await;
    let clients = server.connect().await;
    let mut look = Look::into(&server.database).await;
    // The first sweep is over: it would take what has expired along, at a moment of its own.
    let swept = "SELECT name FROM jobs WHERE name = 'lapsed' AND ended_at_ms IS NOT NULL";
    let begun = Instant::now();
    while look.texts(swept).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it never swept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (number, code, uses, expires) in [(1, "one", "1", "NULL"), (2, "late", "5", "1")] {
        // Codes are hashed as people may write them, without what looks alike.
        let plain = code.replace('o', "0").replace('l', "1");
        let hash = look.bytes(&Sha256::digest(plain));
        look.execute(&format!(
            "INSERT INTO invites (hash, number, uses_left, expires_at_ms, created_at_ms, note) \
             VALUES ({hash}, {number}, {uses}, {expires}, 1, '')"
        ))
        .await;
    }
    look.close().await;
    let refused = || Err("INVITE_INVALID".to_owned());
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let before = dump(&server.database).await;
    for code in ["", "another", "late"] {
        assert_eq!(register(&clients, &alice, code).await, refused(), "{code:?}");
    }
    assert_eq!(dump(&server.database).await, before);
    assert_eq!(register(&clients, &alice, "One").await, Ok(()));
    // The same again, whatever became of the invite; and another with it.
    assert_eq!(register(&clients, &alice, "One").await, Ok(()));
    assert_eq!(register(&clients, &bob, "One").await, refused());
    let mut heir = bob.clone();
    heir.address = alice.address.clone();
    assert_eq!(register(&clients, &heir, "").await, refused());
    server.stop().await;
}
