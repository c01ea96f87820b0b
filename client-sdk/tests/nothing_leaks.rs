//! A live conversation, and then a search: no word that was said and no secret of a client is anywhere in
//! the server's database, its write-ahead log, or what server, clients and PostgreSQL wrote to their logs.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failing test is supposed to stop there"
)]

mod common;
mod leaks;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use leaks::everything_in;
use leaks::needles::Needles;
use leaks::postgres::Postgres;
use leaks::talk::{SAID, talk};
use sottovoce_server::{Database, PostgresUrl};
use tracing_subscriber::filter::LevelFilter;

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
    let files = everything_in(&folder.path().join("server"));
    search("SQLite's files and the blobs", &files, &secrets);
    search_log(&log, &secrets);

    let folder = tempfile::tempdir().expect("a folder");
    let postgres = Postgres::new().await;
    let url = PostgresUrl::parse(&postgres.url).expect("a URL");
    let secrets = talk(folder.path(), Database::Postgres(url)).await;
    postgres.flush().await;
    let blobs = everything_in(&folder.path().join("server"));
    assert!(blobs.len() > SAID[5].len() * 1_000, "the file is there, sealed");
    assert_eq!(Needles::new(&secrets).first_in(&blobs), None, "beside PostgreSQL");
    for (name, files) in postgres.written() {
        search(name, &files, &secrets);
    }
    let own_log = std::fs::read(postgres.folder.join("log")).expect("PostgreSQL's log");
    let needles = Needles::new(&secrets);
    let found = needles.first_in(&own_log);
    assert_eq!(found, None, "in PostgreSQL's log");
    search_log(&log, &secrets);
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

#[test]
fn the_search_finds_what_is_there() {
    let secrets = BTreeMap::from([("a key".to_owned(), vec![7; 32])]);
    let needles = Needles::new(&secrets);
    assert_eq!(needles.first_in(&[&[7; 31][..], &[8]].concat()), None);
    assert_eq!(needles.first_in(&[&[1; 5][..], &[7; 33]].concat()), Some("a key"));
    assert_eq!(needles.first_in("07".repeat(32).as_bytes()), Some("a key"));
    assert_eq!(needles.first_in(b"and in a whisper, too"), Some("in a whisper"));
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
