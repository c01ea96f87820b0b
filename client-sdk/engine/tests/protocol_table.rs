//! The tables of client rules and tests, held to what they say.
#![allow(clippy::expect_used, reason = "a failing test is supposed to stop there")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PROTOCOL: &str = include_str!("../../../proto/PROTOCOL.md");
const SPEC: &str = include_str!("../../../crypto/SPEC.md");

#[test]
fn the_rules_of_a_client_are_numbered_without_a_gap() {
    let rules = rules();
    assert!(rules.len() > 20);
    for (rule, number) in rules.into_iter().zip(1..) {
        assert_eq!(rule, number, "in the order of section 8");
    }
}

#[test]
fn every_rule_in_the_table_exists_and_so_does_every_test_it_names() {
    let (rules, tests) = (rules(), tests());
    let rows = rows(PROTOCOL);
    assert!(rows.len() > 10);
    for (rule, held_by) in rows {
        let number = rule.strip_prefix("8.").and_then(|number| number.parse().ok());
        let exists = number.is_some_and(|number| rules.contains(&number));
        assert!(exists, "there is no rule {rule}");
        assert!(named(held_by).next().is_some(), "rule {rule} names no test");
        assert_exist(rule, held_by, &tests);
    }
}

/// Some rules of the cryptography are a client's to keep: their cells begin in italics, and name tests of
/// this package.
#[test]
fn tests_that_the_cryptography_leaves_to_clients_exist() {
    let tests = tests();
    let mut left = rows(SPEC);
    left.retain(|(_, held_by)| held_by.starts_with('*'));
    assert!(left.iter().flat_map(|(_, held_by)| named(held_by)).count() > 2);
    for (rule, held_by) in left {
        assert_exist(rule, held_by, &tests);
    }
}

fn assert_exist(rule: &str, held_by: &str, tests: &BTreeSet<String>) {
    for test in named(held_by) {
        let exists = tests.contains(test);
        assert!(exists, "rule {rule} names `{test}`, which does not exist");
    }
}

/// The rows of a document's table: a rule's number, and the cell that names the tests.
fn rows(document: &'static str) -> Vec<(&'static str, &'static str)> {
    let (_, table) = document
        .split_once("| rule | held by |")
        .expect("there is a table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split_once('|').expect("two columns"))
        .map(|(rule, held_by)| (rule.trim(), held_by.trim()))
        .collect()
}

/// The names of tests in a cell: what stands between backticks and is no path.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| !name.contains(['/', '.']))
}

/// The rules of section 8, in the order they stand in: bold numbers.
fn rules() -> Vec<u32> {
    let bold = PROTOCOL.split("**").skip(1).step_by(2);
    bold.filter_map(|bold| bold.strip_prefix("8.")?.parse().ok())
        .collect()
}

/// Every test of this package.
fn tests() -> BTreeSet<String> {
    let mut text = String::new();
    for folder in ["src", "tests"] {
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut text);
    }
    let marked = text.split("#[test]").skip(1);
    marked
        .filter_map(|after| after.split_once("fn ")?.1.split_once('('))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn read(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("it can be listed").path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source is text"));
        }
    }
}
