//! A database that an older version has filled is brought up to date, and everything in it goes on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sottovoce_proto::v1::SignedStatement;
use sottovoce_proto::v1::subscribe_response::Event;
use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;

use crate::blobs::Person;
use crate::common::{Device, Look, Store, TestServer, id, reason, subscribe, with_token};

/// Milliseconds, far from now.
const FUTURE: u64 = 9_000_000_000_000;

/// An empty database as it was at this version of the tables.
pub(crate) async fn at_version(data: &Path, version: i64) -> PathBuf {
    std::fs::create_dir(data).unwrap();
    let database = data.join("sottovoce.db");
    let all = match crate::STORE {
        Store::Sqlite => {
            let options = SqliteConnectOptions::new().filename(&database);
            options.create_if_missing(true).connect().await.unwrap();
            sqlx::migrate!("./migrations/sqlite")
        }
        Store::Postgres => sqlx::migrate!("./migrations/postgres"),
    };
    let older = all.iter().filter(|migration| migration.version <= version);
    let older = Migrator::with_migrations(older.cloned().collect());
    assert!(older.iter().count() < all.iter().count(), "there are newer ones");
    let mut look = Look::into(&database).await;
    match &mut look {
        Look::Sqlite(conn) => older.run(conn).await.unwrap(),
        Look::Postgres(conn) => older.run(conn).await.unwrap(),
    }
    look.close().await;
    database
}

/// An account as the first version kept it.
pub(crate) async fn insert_account(look: &mut Look, device: &Device) {
    let registration = device.registration();
    let SignedStatement { statement, signature } = registration.manifest.unwrap();
    let binding = &registration.bindings[0];
    let address = &device.address;
    let text = format!(
        "INSERT INTO accounts (address, account_key, manifest_version, manifest_statement, \
         manifest_signature, created_at_ms) VALUES ('{address}', {}, 1, {}, {}, 1)",
        look.bytes(device.account_key().as_bytes()),
        look.bytes(&statement),
        look.bytes(&signature),
    );
    look.execute(&text).await;
    let text = format!(
        "INSERT INTO devices (id, account, position, identity_key, since_version, binding_statement, \
         binding_signature) SELECT {}, id, 0, {}, 1, {}, {} FROM accounts WHERE address = '{address}'",
        look.bytes(device.id.as_bytes()),
        look.bytes(device.identity_key().as_bytes()),
        look.bytes(&binding.statement),
        look.bytes(&binding.signature),
    );
    look.execute(&text).await;
    look.execute("UPDATE totals SET accounts = accounts + 1").await;
}

/// A message that waits for bob, two that were scheduled for him, and what is remembered of one of them.
async fn insert_messages(look: &mut Look, alice: &Device, bob: &Device) {
    let (from, to) = (look.bytes(alice.id.as_bytes()), look.bytes(bob.id.as_bytes()));
    let (one, envelope) = (look.bytes(b"1"), look.bytes(&id(1)));
    look.execute(&format!(
        "INSERT INTO envelopes (device, sequence, id, sender, sender_device, ciphertext, size, \
         received_at_ms) VALUES ({to}, 1, {envelope}, 'alice@localhost', {from}, {one}, 1, 5)"
    ))
    .await;
    for (ciphertext, received_at_ms) in [(b"3", 20), (b"2", 10)] {
        let (envelope, ciphertext) = (look.bytes(&id(received_at_ms)), look.bytes(ciphertext));
        look.execute(&format!(
            "INSERT INTO scheduled (id, device, sender, sender_device, client_message_id, ciphertext, \
             received_at_ms, due_ms) VALUES ({envelope}, {to}, 'alice@localhost', {from}, {envelope}, \
             {ciphertext}, {received_at_ms}, 30)"
        ))
        .await;
    }
    look.execute(&format!(
        "UPDATE devices SET mailbox_messages = 3, mailbox_bytes = 3, last_sequence = 1 WHERE id = {to}"
    ))
    .await;
    let (message, digest) = (look.bytes(&id(1)), look.bytes(&[1; 32]));
    look.execute(&format!(
        "INSERT INTO receipts (scope, client_message_id, request_digest, receipt_id, accepted_at_ms) \
         VALUES ({from}, {message}, {digest}, {envelope}, {FUTURE})"
    ))
    .await;
    look.execute(&format!("UPDATE devices SET receipts = 1 WHERE id = {from}"))
        .await;
}

/// A name that nobody may have yet, a blob that alice holds, and one that nobody does.
async fn insert_blobs_and_names(look: &mut Look) {
    let name = Sha256::new_with_prefix(b"Sottovoce-v1 retired name").chain_update("gone@localhost");
    let name = look.bytes(&name.finalize());
    look.execute(&format!("INSERT INTO retired_names VALUES ({name}, {FUTURE})"))
        .await;
    let (held, unheld) = (look.bytes(&[0x0a; 16]), look.bytes(&[0x0b; 16]));
    look.execute(&format!(
        "INSERT INTO blobs (key, size, part_len, unheld) VALUES ({held}, 900, 900, 0), ({unheld}, 1, 1, 1)"
    ))
    .await;
    look.execute(&format!(
        "INSERT INTO blob_holds (blob, account, size, expires_at_ms) SELECT {held}, id, 900, {FUTURE} \
         FROM accounts WHERE address = 'alice@localhost'"
    ))
    .await;
}

#[tokio::test]
async fn a_database_of_an_older_version_keeps_all_that_is_in_it() {
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    for version in [1, 6] {
        let folder = tempfile::tempdir().unwrap();
        let database = at_version(&folder.path().join("data"), version).await;
        let mut look = Look::into(&database).await;
        for device in [&alice, &bob] {
            insert_account(&mut look, device).await;
        }
        insert_messages(&mut look, &alice, &bob).await;
        if version == 6 {
            insert_blobs_and_names(&mut look).await;
        }
        look.close().await;

        let server = TestServer::start_in(folder, |config| {
            config.limits.max_blob_bytes_per_account = 1_000;
        })
        .await;
        let clients = server.connect().await;
        let (alices, bobs) = (alice.sign_in(&clients).await, bob.sign_in(&clients).await);
        let conflict = with_token(&alices, Device::letter(&bob, 1, b"another"));
        let conflict = clients.mailbox.clone().send(conflict).await.unwrap_err();
        assert_eq!(reason(&conflict), "MESSAGE_ID_CONFLICT", "the receipt is there");
        let mut stream = subscribe(&clients, &bobs).await;
        let mut numbers = Vec::new();
        while numbers.len() < 3 {
            let event = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
            if let Event::Envelope(envelope) = event.unwrap().unwrap().unwrap().event.unwrap() {
                numbers.push(String::from_utf8(envelope.ciphertext).unwrap());
            }
        }
        assert_eq!(numbers, ["1", "2", "3"], "in the order in which they were sent");
        if version == 6 {
            let mut gone = Device::named("heir");
            gone.address = Device::named("gone").address;
            let taken = clients.accounts.clone().register(gone.registration()).await;
            assert_eq!(reason(&taken.unwrap_err()), "ADDRESS_TAKEN");
            let alice = Person::known(&clients, &alices);
            let over = alice.begin(1, 101).await.unwrap_err();
            assert_eq!(reason(&over), "QUOTA_EXCEEDED");
            alice.begin(1, 100).await.unwrap();
            let begun = Instant::now();
            let mut look = Look::into(&server.database).await;
            // The held one and the one begun: what nobody held goes with the first sweep.
            while look.texts("SELECT CAST(COUNT(*) AS TEXT) FROM blobs").await != ["2"] {
                assert!(begun.elapsed() < Duration::from_secs(30), "it is still there");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            look.close().await;
        }
        server.stop().await;
    }
}
