//! The specification's table of rules and tests, held to what it says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SPEC: &str = include_str!("../SPEC.md");

/// The rows of the table: a rule's number, and the tests that hold it.
fn rows() -> Vec<(&'static str, Vec<&'static str>)> {
    let (_, table) = SPEC.split_once("| rule | held by |").unwrap();
    table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            let rule = cells.next().unwrap();
            let held_by = cells.next().unwrap();
            // Names stand between backticks: every second piece.
            let tests = held_by.split('`').skip(1).step_by(2).collect();
            (
                rule,
                if held_by.starts_with('*') {
                    Vec::new()
                } else {
                    tests
                },
            )
        })
        .collect()
}

/// The numbers of all rules: bold, and of the form 1.2.
fn rules() -> BTreeSet<&'static str> {
    let (text, _) = SPEC.split_once("| rule | held by |").unwrap();
    text.split("**")
        .skip(1)
        .step_by(2)
        .filter(|bold| {
            bold.split_once('.')
                .is_some_and(|(a, b)| is_number(a) && is_number(b))
        })
        .collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// All sources of this package and of the statements, as one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_rule_is_in_the_table_and_every_test_named_exists() {
    let mut text = String::new();
    sources(Path::new(env!("CARGO_MANIFEST_DIR")), &mut text);
    let tests: BTreeSet<&str> = text
        .split("#[test]")
        .skip(1)
        .filter_map(|after| after.split_once("fn ")?.1.split_once('(').map(|(name, _)| name))
        .collect();

    let rows = rows();
    let in_table: BTreeSet<&str> = rows.iter().map(|(rule, _)| *rule).collect();
    assert_eq!(in_table, rules());
    assert!(rows.len() > 40);
    for (rule, held_by) in rows {
        for test in held_by {
            assert!(
                tests.contains(test),
                "rule {rule} names `{test}`, which does not exist"
            );
        }
    }
}

/// The numbers in the text are the ones in the code.
#[test]
fn the_limits_are_as_the_specification_says() {
    use sottovoce_crypto::{
        ATTACHMENT_CHUNK_LEN, ATTACHMENT_HEADER_LEN, BACKUP_HEADER_LEN, ENVELOPE_OVERHEAD, LinkingOffer,
        MAX_ATTACHMENT_LEN, MAX_BACKUP_ITEM_LEN, MAX_FORMER_ACCOUNT_KEYS, MAX_FORWARD_JUMP,
        MAX_LINKING_AGE_MS, MAX_LINKING_DATA_LEN, MAX_PLAINTEXT_LEN, MAX_RECORD_LEN, MAX_SEALED_MESSAGE_LEN,
        MAX_SKIPPED_AGE_MS, MAX_SKIPPED_KEYS, MIN_BUCKET_LEN, MIN_PADDED_ATTACHMENT_LEN, RECOVERY_BLOB_LEN,
        SEALED_ATTACHMENT_CHUNK_LEN, statements,
    };
    assert_eq!((MAX_FORWARD_JUMP, MAX_SKIPPED_KEYS), (2_000, 2_000));
    assert_eq!(MAX_SKIPPED_AGE_MS, 7 * 86_400_000);
    assert_eq!((MIN_BUCKET_LEN, MAX_PLAINTEXT_LEN), (256, 65_536));
    assert_eq!(MAX_RECORD_LEN, 16 << 20);
    assert_eq!((ENVELOPE_OVERHEAD, MAX_SEALED_MESSAGE_LEN), (267, 73_728));
    assert_eq!((ATTACHMENT_CHUNK_LEN, MAX_ATTACHMENT_LEN), (65_536, 1 << 32));
    assert_eq!((ATTACHMENT_HEADER_LEN, MIN_PADDED_ATTACHMENT_LEN), (5, 4_096));
    assert_eq!(SEALED_ATTACHMENT_CHUNK_LEN, 65_552);
    assert_eq!(RECOVERY_BLOB_LEN, 1_675);
    assert_eq!((BACKUP_HEADER_LEN, MAX_BACKUP_ITEM_LEN), (38, 262_144));
    assert_eq!((LinkingOffer::LEN, MAX_LINKING_DATA_LEN), (113, 32_768));
    assert_eq!((MAX_LINKING_AGE_MS, MAX_FORMER_ACCOUNT_KEYS), (600_000, 8));
    assert_eq!(statements::MAX_STATEMENT_LEN, 1_536);
    assert_eq!(
        (statements::MAX_NAME_LEN, statements::MAX_SERVER_NAME_LEN),
        (32, 128)
    );
    assert_eq!((statements::MAX_DEVICES, statements::MAX_NONCE_LEN), (16, 64));
}
