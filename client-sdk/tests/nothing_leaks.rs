//! A live conversation, and then a search: no word that was said and no secret of a client is anywhere in
//! the server's database, its log file, or what server and clients wrote to the log.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{RunningServer, address, read, sent};
use sottovoce_crypto::StorageKey;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
use tracing_subscriber::filter::LevelFilter;

const SAID: [&str; 4] = [
    "under the voice",
    "in a whisper",
    "while you were away",
    "and once more",
];

/// Everything logged, at the most talkative level of every library in the process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_word_and_no_secret_reaches_the_servers_disk_or_a_log() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .init();
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    let (alice, mut to_alice) = server.register(folder.path(), "alice").await;
    let (bob, mut to_bob) = server.register(folder.path(), "bob").await;
    alice.send_text(bob.address(), SAID[0]).await.expect("queued");
    assert_eq!(read(&bob, &mut to_bob).await, SAID[0]);
    sent(&alice, &mut to_alice).await;
    bob.send_text(alice.address(), SAID[1]).await.expect("queued");
    assert_eq!(read(&alice, &mut to_alice).await, SAID[1]);
    bob.close().await;
    for text in &SAID[2..] {
        alice.send_text(&address("bob"), text).await.expect("queued");
        sent(&alice, &mut to_alice).await;
    }
    alice.close().await;

    let mut secrets = secrets_of(&folder.path().join("alice.db")).await;
    secrets.extend(secrets_of(&folder.path().join("bob.db")).await);
    assert!(
        secrets.len() > 200,
        "two identities and their prekeys: {}",
        secrets.len()
    );
    let written = [
        everything_in(&folder.path().join("server")),
        log.0.lock().expect("nobody panics").clone(),
    ];
    assert!(
        written.iter().all(|bytes| bytes.len() > 1_000),
        "there is something to search"
    );
    assert!(
        holds(&written[0], b"alice@localhost"),
        "the search finds what is there"
    );
    for bytes in &written {
        for text in SAID {
            assert!(!holds(bytes, text.as_bytes()), "found {text:?}");
        }
        for (name, secret) in &secrets {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(
                !holds(bytes, secret) && !holds(bytes, hex.as_bytes()),
                "found the secret of {name}"
            );
        }
    }
    let log = String::from_utf8_lossy(&written[1]).into_owned();
    for identifier in ["alice@", "bob@"] {
        assert!(!log.contains(identifier), "the log names {identifier}");
    }
}

/// Every secret key in a client's store, by the record it is in.
async fn secrets_of(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let key = StorageKey::from_bytes([7; 32]);
    let mut connection = SqliteConnectOptions::new()
        .filename(store)
        .connect()
        .await
        .expect("the client has closed it");
    let rows = sqlx::query("SELECT name, value FROM record")
        .fetch_all(&mut connection)
        .await
        .expect("rows");
    let mut secrets = BTreeMap::new();
    for row in rows {
        let (name, sealed): (Vec<u8>, Vec<u8>) = (row.get(0), row.get(1));
        let record = key.open(&name, &sealed).expect("the right key");
        let (length, rest) = record.split_first_chunk::<2>().expect("a length");
        let (name, value) = rest.split_at(usize::from(u16::from_be_bytes(*length)));
        let name = format!("{}: {}", store.display(), String::from_utf8_lossy(name));
        let fields = fields(&value[1..]);
        if name.ends_with(": own") {
            secrets.insert(format!("{name}, account"), fields[3].to_vec());
            secrets.insert(format!("{name}, device"), fields[4].to_vec());
        } else if name.contains(": signed-prekey/") {
            secrets.insert(name, fields[0][2..34].to_vec());
        } else if name.contains(": one-time-prekey/") {
            secrets.insert(name, fields[0][6..38].to_vec());
        } else if name.contains("-kem-prekey/") {
            secrets.insert(name, fields[0][2..66].to_vec());
        }
    }
    secrets
}

fn fields(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        fields.push(field);
        rest = after;
    }
    fields
}

fn everything_in(folder: &Path) -> Vec<u8> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten();
    entries
        .flat_map(|entry| std::fs::read(entry.path()).expect("a file"))
        .collect()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
