//! The end of an account.

use std::path::Path;
use std::time::{Duration, Instant};

use sha2::Digest;

use sottovoce_proto::v1::SetAccessKeyRequest;
use sottovoce_proto::v1::channel_service_client::ChannelServiceClient;
use sottovoce_proto::v1::{
    CompleteAuthenticationRequest, DeleteAccountRequest, PutLinkingGrantRequest, PutRecoveryBlobRequest,
};
use tonic::Status;

use super::{following, register, second, update, works};
use crate::common::{
    Clients, Device, Look, TestServer, dump, end_of, execute, reason, statement, subscribe, told, with_token,
};
use crate::{blobs, channels};

pub(crate) async fn delete(clients: &Clients, token: &str, signer: &Device) -> Result<(), Status> {
    let begun = signer.begin(clients).await;
    let deletion = Some(statement(signer.deletion(&begun), &signer.identity));
    let request = with_token(token, DeleteAccountRequest { deletion });
    let answer = clients.accounts.clone().delete_account(request).await;
    answer.map(|_| ())
}

/// An account with something in every table, and what the other one has without it.
pub(crate) async fn furnish(clients: &Clients, phone: &Device, bob: &Device, bobs: &str) -> (Device, String) {
    let first = register(clients, phone).await;
    let token = phone.sign_in_from(clients, None).await.access_token;
    let founder = channels::Person {
        device: phone.clone(),
        token: token.clone(),
    };
    let service = ChannelServiceClient::new(clients.channel.clone());
    channels::found(&service, &founder, channels::genesis(phone, 1))
        .await
        .unwrap();
    let person = blobs::Person::known(clients, &token);
    person.put(1, b"the attachment").await.unwrap();
    let laptop = second(phone, "laptop");
    let two = following(&first, 2, &[phone, &laptop]);
    update(clients, &two, &[&laptop]).await.unwrap();
    let mut accounts = clients.accounts.clone();
    let mut prekeys = clients.prekeys.clone();
    for published in [phone.prekeys(1..=3), phone.kem_prekeys(1..=3)] {
        prekeys
            .publish_prekeys(with_token(&token, published))
            .await
            .unwrap();
    }
    let recovery = PutRecoveryBlobRequest {
        fetch_token_hash: vec![1; 32],
        blob: b"the recovery blob".to_vec(),
    };
    accounts
        .put_recovery_blob(with_token(&token, recovery))
        .await
        .unwrap();
    let grant = PutLinkingGrantRequest {
        device_id: vec![3; 16],
        grant: b"the grant".to_vec(),
    };
    accounts
        .put_linking_grant(with_token(&token, grant))
        .await
        .unwrap();
    let access = SetAccessKeyRequest {
        access_key_hash: sottovoce_statements::AccessKeyHash::of(&[7; 32])
            .as_bytes()
            .to_vec(),
    };
    accounts.set_access_key(with_token(&token, access)).await.unwrap();
    let letter = sottovoce_proto::v1::SendRequest {
        messages: [phone, &laptop]
            .map(|device| Device::letter(device, 1, b"for alice").messages.remove(0))
            .to_vec(),
        ..Device::letter(phone, 1, b"")
    };
    let mut mailbox = clients.mailbox.clone();
    mailbox.send(with_token(bobs, letter.clone())).await.unwrap();
    let sealed = sottovoce_proto::v1::SendSealedRequest {
        recipient: letter.recipient,
        access_key: vec![7; 32],
        client_message_id: crate::common::id(2),
        messages: letter.messages,
        ..Default::default()
    };
    mailbox.send_sealed(sealed).await.unwrap();
    let mut later = Device::letter(bob, 3, b"a letter for tomorrow");
    later.delivery = Some(sottovoce_proto::v1::Delivery {
        deliver_after_ms: in_an_hour(),
        ..Default::default()
    });
    mailbox.send(with_token(&token, later)).await.unwrap();
    (laptop, token)
}

/// Waits until nothing is left of what nobody holds, and of the channels that nobody is in.
pub(crate) async fn until_swept(database: &Path) {
    let begun = Instant::now();
    let mut look = Look::into(database).await;
    let left = "SELECT CAST((SELECT COUNT(*) FROM blobs) + (SELECT COUNT(*) FROM channels) AS TEXT)";
    while look.texts(left).await != ["0"] {
        assert!(begun.elapsed() < Duration::from_secs(30), "they are still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    look.close().await;
}

/// Bytes in lower-case hexadecimal, on either database.
fn lower(rows: Vec<String>) -> Vec<String> {
    rows.iter().map(|row| row.to_lowercase()).collect()
}

fn in_an_hour() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap() + 3_600_000
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_behind() {
    let server = TestServer::start_limited(|limits| limits.sweep_interval = Duration::from_millis(200)).await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let bobs = bob.join(&clients).await;
    let (laptop, token) = furnish(&clients, &alice, &bob, &bobs).await;
    let stream = subscribe(&clients, &token).await;
    let needles: Vec<String> = [
        alice.id.as_bytes().as_slice(),
        laptop.id.as_bytes(),
        alice.identity_key().as_bytes(),
        laptop.identity_key().as_bytes(),
        alice.account_key().as_bytes(),
        b"alice@localhost",
        b"for alice",
        b"a letter for tomorrow",
        b"the recovery blob",
        b"the grant",
    ]
    .map(hex::encode)
    .into_iter()
    .chain(["alice@localhost".to_owned()])
    .collect();
    let mentions = |rows: &[String], needle: &str| rows.iter().any(|row| row.contains(needle));
    let before = lower(dump(&server.database).await);
    for needle in &needles {
        assert!(mentions(&before, needle), "{needle} was never there");
    }

    delete(&clients, &token, &alice).await.unwrap();

    until_swept(&server.database).await;
    let after = lower(dump(&server.database).await);
    for needle in &needles {
        assert!(!mentions(&after, needle), "{needle} is still there");
    }
    for table in [
        "envelopes",
        "scheduled",
        "manifests",
        "recovery_blobs",
        "linking_grants",
        "signed_prekeys",
        "one_time_prekeys",
        "one_time_kem_prekeys",
        "last_resort_kem_prekeys",
        "blob_holds",
        "channel_members",
        // What a sweep takes.
        "blobs",
        "channels",
        "rosters",
        "roster_entries",
    ] {
        let row = format!("{table}: ");
        assert!(
            before.iter().any(|line| line.starts_with(&row)),
            "{table} was empty"
        );
        assert!(
            !after.iter().any(|line| line.starts_with(&row)),
            "{table} is not empty"
        );
    }
    // Bob's answer to his own message, and nothing that names its recipient.
    assert_eq!(
        after.iter().filter(|row| row.starts_with("receipts: ")).count(),
        1
    );
    assert_eq!(works(&clients, &token).await, Err("TOKEN_INVALID".into()));
    assert_eq!(reason(&end_of(stream).await), "TOKEN_INVALID");
    assert_eq!(works(&clients, &bobs).await, Ok(()));
    server.stop().await;
}

/// So many messages into the mailbox of a device, and as much to remember of what it sent.
async fn fill(database: &Path, device: &Device, messages: u32) {
    let mut look = Look::into(database).await;
    let device = look.bytes(device.id.as_bytes());
    let id = match crate::STORE {
        crate::common::Store::Sqlite => "CAST(printf('%016d', n) AS BLOB)",
        crate::common::Store::Postgres => "convert_to(lpad(n::text, 16, '0'), 'UTF8')",
    };
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {messages})"
    );
    for change in [
        format!(
            "{numbers} INSERT INTO envelopes (device, sequence, id, ciphertext, size, received_at_ms) \
             SELECT {device}, n, {id}, {device}, 16, 0 FROM numbers"
        ),
        format!(
            "{numbers} INSERT INTO receipts (scope, client_message_id, request_digest, receipt_id, \
             accepted_at_ms) SELECT {device}, {id}, {id}, {id}, 9000000000000 FROM numbers"
        ),
    ] {
        look.execute(&change).await;
    }
    look.close().await;
}

/// How many rows there are of a device, by its id, its key and its address.
async fn traces(database: &Path, device: &Device) -> usize {
    let needles = [
        hex::encode(device.id.as_bytes()),
        hex::encode(device.identity_key().as_bytes()),
        hex::encode(device.address.as_str()),
        device.address.as_str().to_owned(),
    ];
    let rows = lower(dump(database).await).into_iter();
    let names = |row: &String| needles.iter().any(|needle| row.contains(needle.as_str()));
    rows.filter(names).count()
}

/// Has the database refuse to delete envelopes, or, after that, take it again.
async fn keep_envelopes(database: &Path, kept: bool) {
    let changes: &[&str] = match (crate::STORE, kept) {
        (crate::common::Store::Sqlite, true) => {
            &["CREATE TRIGGER kept BEFORE DELETE ON envelopes BEGIN SELECT RAISE(ABORT, 'kept'); END"]
        }
        (crate::common::Store::Sqlite, false) => &["DROP TRIGGER kept"],
        (crate::common::Store::Postgres, true) => &[
            "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'kept'; END $$",
            "CREATE TRIGGER kept BEFORE DELETE ON envelopes FOR EACH ROW EXECUTE FUNCTION kept()",
        ],
        (crate::common::Store::Postgres, false) => &["DROP TRIGGER kept ON envelopes", "DROP FUNCTION kept"],
    };
    for change in changes {
        execute(database, change).await;
    }
}

#[tokio::test]
async fn what_a_deletion_did_not_get_to_is_deleted_later_and_nobodys_meanwhile() {
    let server =
        TestServer::start_limited(|limits| limits.release_interval = Duration::from_millis(100)).await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    let bobs = register(&clients, &bob).await;
    fill(&server.database, &alice, 3_000).await;
    keep_envelopes(&server.database, true).await;
    assert_eq!(
        reason(&delete(&clients, &token, &alice).await.unwrap_err()),
        "INTERNAL"
    );
    assert!(
        traces(&server.database, &alice).await > 3_000,
        "nothing was cut off"
    );
    assert_eq!(works(&clients, &token).await, Err("TOKEN_INVALID".into()));
    let begun = alice.begin(&clients).await;
    let request = CompleteAuthenticationRequest {
        challenge: Some(statement(alice.challenge(&begun), &alice.identity)),
    };
    let entered = clients.auth.clone().complete_authentication(request).await;
    assert_eq!(reason(&entered.unwrap_err()), "DEVICE_UNKNOWN");
    // The id is that of what is left. The keys are nobody's.
    let mut heir = Device::named("heir");
    heir.id = alice.id;
    let registered = clients.accounts.clone().register(heir.registration()).await;
    assert_eq!(reason(&registered.unwrap_err()), "RATE_LIMITED");
    let tablet = Device {
        id: alice.id,
        ..second(&bob, "tablet")
    };
    let two = following(&bobs, 2, &[&bob, &tablet]);
    let updated = update(&clients, &two, &[&tablet]).await;
    assert_eq!(reason(&updated.unwrap_err()), "RATE_LIMITED");
    let mut new_id = alice.clone();
    new_id.address = heir.address.clone();
    new_id.id = Device::named("another").id;
    new_id.join(&clients).await;

    keep_envelopes(&server.database, false).await;
    let begun = Instant::now();
    let mut look = Look::into(&server.database).await;
    let left = "SELECT CAST((SELECT COUNT(*) FROM envelopes) + (SELECT COUNT(*) FROM receipts) \
                + (SELECT COUNT(*) FROM accounts WHERE gone = 1) AS TEXT)";
    while look.texts(left).await != ["0"] {
        assert!(begun.elapsed() < Duration::from_secs(60), "it stays");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    look.close().await;
    update(&clients, &two, &[&tablet]).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_deletion_whose_time_runs_out_goes_on_or_never_began() {
    let server =
        TestServer::start_limited(|limits| limits.release_interval = Duration::from_millis(100)).await;
    let clients = server.connect().await;
    let mut gone = 0;
    for time_ms in [1, 4, 16, 64, 60_000] {
        let alice = Device::named(&format!("alice{time_ms}"));
        let token = alice.join(&clients).await;
        fill(&server.database, &alice, 3_000).await;
        let begun = alice.begin(&clients).await;
        let deletion = Some(statement(alice.deletion(&begun), &alice.identity));
        let mut request = with_token(&token, DeleteAccountRequest { deletion });
        request.set_timeout(Duration::from_millis(time_ms));
        let answer = clients.accounts.clone().delete_account(request).await;
        if answer.is_ok() {
            assert_eq!(traces(&server.database, &alice).await, 0, "{time_ms} ms");
        }
        let begun = alice.begin(&clients).await;
        let request = CompleteAuthenticationRequest {
            challenge: Some(statement(alice.challenge(&begun), &alice.identity)),
        };
        match clients.auth.clone().complete_authentication(request).await {
            Ok(_) => assert!(
                traces(&server.database, &alice).await > 6_000,
                "{time_ms} ms: it is whole"
            ),
            Err(status) => {
                assert_eq!(reason(&status), "DEVICE_UNKNOWN");
                gone += 1;
                let begun = Instant::now();
                while traces(&server.database, &alice).await > 0 {
                    assert!(
                        begun.elapsed() < Duration::from_secs(60),
                        "{time_ms} ms: it stays"
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
    assert!(gone > 0);
    server.stop().await;
}

#[tokio::test]
async fn the_name_of_a_deleted_account_is_nobodys_for_a_while() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    delete(&clients, &token, &alice).await.unwrap();
    let mut heir = Device::named("heir");
    heir.address = alice.address.clone();
    for device in [&heir, &alice] {
        let answer = clients.accounts.clone().register(device.registration()).await;
        assert_eq!(reason(&answer.unwrap_err()), "ADDRESS_TAKEN");
    }
    let rows = lower(dump(&server.database).await);
    let guessed = sha2::Sha256::new_with_prefix(b"Sottovoce-v1 retired name").chain_update("alice@localhost");
    let guessed = hex::encode(guessed.finalize());
    assert!(
        !rows.iter().any(|row| row.contains(&guessed)),
        "who knows the name finds its hash"
    );
    execute(&server.database, "UPDATE retired_names SET until_ms = 1").await;
    heir.join(&clients).await;
    server.stop().await;
}

#[tokio::test]
async fn only_a_fresh_challenge_signed_by_the_calling_device_deletes() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    bob.register(&clients).await;
    let before = dump(&server.database).await;
    let others = delete(&clients, &token, &bob).await.unwrap_err();
    assert_eq!(told(&others).2, "deletion");
    let begun = alice.begin(&clients).await;
    let forged = DeleteAccountRequest {
        deletion: Some(statement(alice.deletion(&begun), &bob.identity)),
    };
    let request = with_token(&token, forged);
    let status = clients
        .accounts
        .clone()
        .delete_account(request)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SIGNATURE_INVALID");
    assert_eq!(dump(&server.database).await, before);
    // What was signed to sign in deletes nothing, and the other way round.
    let entering = Some(statement(alice.challenge(&begun), &alice.identity));
    let deleting = Some(statement(alice.deletion(&begun), &alice.identity));
    let enter = async |challenge| {
        let request = CompleteAuthenticationRequest { challenge };
        let answer = clients.auth.clone().complete_authentication(request).await;
        answer.map(|_| ())
    };
    let delete = async |deletion| {
        let request = with_token(&token, DeleteAccountRequest { deletion });
        let answer = clients.accounts.clone().delete_account(request).await;
        answer.map(|_| ())
    };
    let refused = delete(entering.clone()).await.unwrap_err();
    assert_eq!(
        (reason(&refused), told(&refused).2),
        ("FIELD_INVALID".into(), "deletion".into())
    );
    let refused = enter(deleting.clone()).await.unwrap_err();
    assert_eq!(
        (reason(&refused), told(&refused).2),
        ("FIELD_INVALID".into(), "challenge".into())
    );
    assert_eq!(dump(&server.database).await, before);
    // It is one challenge, answered once.
    enter(entering).await.unwrap();
    assert_eq!(reason(&delete(deleting).await.unwrap_err()), "CHALLENGE_USED");
    alice.sign_in(&clients).await;
    server.stop().await;
}
