//! The test vectors in `vectors/`: they are what this version comes to, byte for byte, and each file holds by
//! itself. If a byte changes, old and new versions no longer understand each other, and the protocol needs a
//! new version.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod vectors_of;

use vectors_of::{ALL, Vectors};

fn file(name: &str) -> &'static Vectors {
    ALL.iter().find(|vectors| vectors.name == name).unwrap()
}

/// The file is what the library comes to today.
fn made_again(name: &str) {
    let vectors = file(name);
    let made = vectors.text();
    if made != vectors.stored {
        // Where to look for what changed.
        let path = format!("{}/{name}", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, made).unwrap();
        panic!("the bytes of the protocol have changed; this version's are in {path}");
    }
}

/// What the file has is opened, verified and refused as it says.
fn holds(name: &str) {
    let vectors = file(name);
    (vectors.check)(&vectors.read());
}

#[test]
fn the_bytes_of_a_conversation_do_not_change() {
    made_again("session.json");
    holds("session.json");
}

#[test]
fn the_bytes_of_handshakes_do_not_change() {
    made_again("handshake_x3dh.json");
    made_again("handshake_pqxdh.json");
}

#[test]
fn the_vectors_of_handshakes_hold() {
    holds("handshake_x3dh.json");
    holds("handshake_pqxdh.json");
}

#[test]
fn the_bytes_of_ratchet_and_padding_do_not_change() {
    made_again("ratchet.json");
    made_again("padding.json");
}

#[test]
fn the_vectors_of_ratchet_and_padding_hold() {
    holds("ratchet.json");
    holds("padding.json");
}

#[test]
fn the_bytes_of_healing_do_not_change() {
    made_again("healing.json");
}

#[test]
fn the_vectors_of_healing_hold() {
    holds("healing.json");
}

#[test]
fn the_bytes_of_statements_do_not_change() {
    made_again("statements.json");
}

#[test]
fn the_vectors_of_statements_hold() {
    holds("statements.json");
}

#[test]
fn the_bytes_at_rest_do_not_change() {
    made_again("storage.json");
}

#[test]
fn the_vectors_of_storage_hold() {
    holds("storage.json");
}

#[test]
fn the_bytes_of_sealed_attachments_and_envelopes_do_not_change() {
    made_again("attachments.json");
    made_again("sealed_sender.json");
}

#[test]
fn the_vectors_of_attachments_and_envelopes_hold() {
    holds("attachments.json");
    holds("sealed_sender.json");
}

#[test]
fn the_bytes_of_a_channel_do_not_change() {
    made_again("sender_keys.json");
}

#[test]
fn the_vectors_of_sender_keys_hold() {
    holds("sender_keys.json");
}

#[test]
fn the_bytes_of_a_roster_do_not_change() {
    made_again("roster.json");
}

#[test]
fn the_vectors_of_rosters_hold() {
    holds("roster.json");
}

#[test]
fn the_bytes_of_accounts_do_not_change() {
    made_again("accounts.json");
    made_again("linking.json");
    made_again("recovery.json");
}

#[test]
fn the_vectors_of_accounts_hold() {
    holds("accounts.json");
    holds("linking.json");
    holds("recovery.json");
}

#[test]
fn every_file_of_vectors_is_checked() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    files.sort();
    let mut names: Vec<_> = ALL.iter().map(|vectors| vectors.name).collect();
    names.sort_unstable();
    assert_eq!(files, names);
}
