//! A live conversation, and then a search: no word that was said and no secret of a client is anywhere in
//! the server's database, its write-ahead log, or what server, clients and PostgreSQL wrote to their logs.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use common::{RunningServer, address, read, sent};
use sottovoce_crypto::StorageKey;
use sottovoce_server::{Database, PostgresUrl};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
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
    let secrets = talk(folder.path(), Database::Sqlite).await;
    search(
        "SQLite's files",
        &everything_in(&folder.path().join("server")),
        &secrets,
    );
    search_log(&log, &secrets);

    let folder = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::new().await;
    let url = PostgresUrl::parse(&postgres.url).expect("a URL");
    let secrets = talk(folder.path(), Database::Postgres(url)).await;
    postgres.flush().await;
    for (name, files) in postgres.written() {
        search(name, &files, &secrets);
    }
    let own_log = std::fs::read(postgres.folder.join("log")).expect("PostgreSQL's log");
    let needles = Needles::new(&secrets);
    let found = needles.first_in(&own_log);
    assert_eq!(found, None, "in PostgreSQL's log");
    search_log(&log, &secrets);
}

/// Has two people talk, and returns their secrets.
async fn talk(folder: &Path, database: Database) -> BTreeMap<String, Vec<u8>> {
    let config = sottovoce_server::Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        database,
        ..Default::default()
    };
    let server = RunningServer::start_as(folder, config).await;
    let (alice, mut to_alice) = server.register(folder, "alice").await;
    let (bob, mut to_bob) = server.register(folder, "bob").await;
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
    let mut secrets = secrets_of(&folder.join("alice.db")).await;
    secrets.extend(secrets_of(&folder.join("bob.db")).await);
    assert!(
        secrets.len() > 200,
        "two identities and their prekeys: {}",
        secrets.len()
    );
    secrets
}

/// Nothing of it may be there, but what is no secret must be: else the search finds nothing at all.
fn search(name: &str, bytes: &[u8], secrets: &BTreeMap<String, Vec<u8>>) {
    assert!(holds(bytes, b"alice@localhost"), "{name}: nothing to search");
    assert_eq!(Needles::new(secrets).first_in(bytes), None, "in {name}");
}

fn search_log(log: &Log, secrets: &BTreeMap<String, Vec<u8>>) {
    let log = log.0.lock().expect("nobody panics").clone();
    assert!(log.len() > 1_000, "there is something to search");
    assert_eq!(Needles::new(secrets).first_in(&log), None, "in the log");
    for identifier in ["alice@", "bob@"] {
        assert!(!holds(&log, identifier.as_bytes()), "the log names {identifier}");
    }
}

/// A database of its own in the PostgreSQL that `scripts/with-services` starts.
struct Postgres {
    url: String,
    folder: PathBuf,
    begun: SystemTime,
}

impl Postgres {
    async fn new() -> Self {
        let set = |name| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: run the tests with `scripts/with-services cargo test …`")
            })
        };
        let (server, folder) = (
            set("SOTTOVOCE_TEST_POSTGRES"),
            set("SOTTOVOCE_TEST_POSTGRES_FOLDER"),
        );
        let name = format!("nothing_leaks_{}", std::process::id());
        let (front, _) = server.rsplit_once('/').expect("a URL");
        let url = format!("{front}/{name}");
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        Self {
            url,
            folder: folder.into(),
            begun: SystemTime::now(),
        }
    }

    /// Has everything that is only in its memory written to its files.
    async fn flush(&self) {
        execute(&self.url, "CHECKPOINT").await;
    }

    /// The files of the database, and the parts of the write-ahead log that were written meanwhile.
    fn written(&self) -> [(&'static str, Vec<u8>); 2] {
        let data = self.folder.join("data");
        let databases = std::fs::read_dir(data.join("base"))
            .expect("a data folder")
            .flatten();
        let newest = databases
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok())
            .max()
            .expect("a database");
        let written_to = |path: &Path| {
            let modified = path.metadata().and_then(|file| file.modified());
            path.is_file() && modified.is_ok_and(|time| time >= self.begun)
        };
        let log = std::fs::read_dir(data.join("pg_wal")).expect("a log").flatten();
        let log = log.map(|entry| entry.path()).filter(|path| written_to(path));
        [
            (
                "PostgreSQL's files",
                everything_in(&data.join("base").join(newest.to_string())),
            ),
            (
                "PostgreSQL's write-ahead log",
                log.flat_map(|path| std::fs::read(path).expect("a file"))
                    .collect(),
            ),
        ]
    }
}

async fn execute(url: &str, statement: &str) {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let mut connection = options.connect().await.expect("PostgreSQL answers");
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .expect("it does");
}

/// Everything that must not be found, as it is and as hexadecimal digits.
struct Needles {
    named: Vec<(String, Vec<u8>)>,
    /// Which needles begin with these two bytes: most places are passed over at this look.
    beginnings: Vec<Vec<usize>>,
}

impl Needles {
    fn new(secrets: &BTreeMap<String, Vec<u8>>) -> Self {
        let mut named: Vec<_> = SAID
            .iter()
            .map(|text| ((*text).to_owned(), text.as_bytes().to_vec()))
            .collect();
        for (name, secret) in secrets {
            let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            named.push((name.clone(), secret.clone()));
            named.push((name.clone(), hex.into_bytes()));
        }
        let mut beginnings = vec![Vec::new(); 1 << 16];
        for (n, (_, needle)) in named.iter().enumerate() {
            beginnings[usize::from(u16::from_be_bytes([needle[0], needle[1]]))].push(n);
        }
        Self { named, beginnings }
    }

    fn first_in(&self, bytes: &[u8]) -> Option<&str> {
        bytes.windows(2).enumerate().find_map(|(at, two)| {
            let candidates = &self.beginnings[usize::from(u16::from_be_bytes([two[0], two[1]]))];
            let found = |n: &&usize| bytes[at..].starts_with(&self.named[**n].1);
            candidates.iter().find(found).map(|n| self.named[*n].0.as_str())
        })
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let secrets = BTreeMap::from([("a key".to_owned(), vec![7; 32])]);
    let needles = Needles::new(&secrets);
    assert_eq!(needles.first_in(&[&[7; 31][..], &[8]].concat()), None);
    assert_eq!(needles.first_in(&[&[1; 5][..], &[7; 33]].concat()), Some("a key"));
    assert_eq!(needles.first_in("07".repeat(32).as_bytes()), Some("a key"));
    assert_eq!(needles.first_in(b"and in a whisper, too"), Some("in a whisper"));
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
        } else if name.ends_with(": access-key") || name.contains(": signed-prekey/") {
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
        // The socket that commands come in by holds nothing.
        .filter(|entry| entry.file_type().expect("it has one").is_file())
        .flat_map(|entry| std::fs::read(entry.path()).expect("a file"))
        .collect()
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
