//! Clients killed at any instant: what the SDK said it would send arrives, once, and what the app was
//! told it is told under the same number again.
//!
//! This program starts itself again as a sender and a receiver, kills both with `SIGKILL` over and over
//! while they work, and counts.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failing test is supposed to stop there, and the children speak through their output"
)]

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::{PATIENCE, RunningServer, address};
use sottovoce::{Client, Config, EventKind, StoreKey};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

/// Kills per run; each at another instant.
const KILLS: u64 = 24;

/// Between two messages: enough of them to be killed among, few enough to wait for.
const PACE: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "child-sender", url, store, round] => sender(url, store, round).await,
        [_, "child-receiver", url, store] => receiver(url, store).await,
        _ => {
            killed_clients_lose_and_repeat_nothing().await;
            println!("test killed_clients_lose_and_repeat_nothing ... ok");
        }
    }
}

async fn killed_clients_lose_and_repeat_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = RunningServer::start(folder.path(), None).await;
    for name in ["alice", "bob"] {
        let (client, _) = server.register(folder.path(), name).await;
        client.close().await;
    }
    let url = format!("http://{}", server.address);
    let mut said = Vec::new();
    let mut told = BTreeMap::new();
    for round in 0..KILLS {
        let mut sender = start(&[
            "child-sender",
            &url,
            &store(folder.path(), "alice"),
            &round.to_string(),
        ]);
        let mut receiver = start(&["child-receiver", &url, &store(folder.path(), "bob")]);
        // Spread over the whole of a short life, the moment of opening included.
        let life = Instant::now() + Duration::from_millis(15 + round * 37 % 400);
        listen(&mut sender, life, |line| said.push(line.to_owned())).await;
        listen(&mut receiver, Instant::now() + Duration::from_millis(5), |line| {
            note(&mut told, line)
        })
        .await;
    }
    assert!(!said.is_empty(), "nobody lived long enough to say anything");

    // Nobody is killed any more: everything said must come.
    let mut sender = start(&["child-sender", &url, &store(folder.path(), "alice"), "silent"]);
    let mut receiver = start(&["child-receiver", &url, &store(folder.path(), "bob")]);
    let deadline = Instant::now() + PATIENCE;
    let mut lines = BufReader::new(receiver.stdout.take().expect("piped")).lines();
    while !said.iter().all(|text| told.values().any(|heard| heard == text)) {
        let line = tokio::time::timeout_at(deadline, lines.next_line()).await;
        note(
            &mut told,
            &line
                .expect("everything said comes in good time")
                .expect("output")
                .expect("a line"),
        );
    }
    for child in [&mut sender, &mut receiver] {
        child.kill().await.expect("it was running");
    }

    let heard: Vec<&String> = told.values().collect();
    let places: Vec<(u64, u64)> = heard.iter().map(|text| place(text)).collect();
    assert!(
        places.is_sorted_by(|a, b| a < b),
        "each once and in order: {heard:?}"
    );
    println!(
        "{KILLS} kills of both sides: {} said, {} told, none lost, none twice",
        said.len(),
        told.len()
    );
}

/// One line a message, printed once the SDK has promised to send it.
async fn sender(url: &str, store: &str, round: &str) {
    let Ok((client, mut events)) = Client::open(config(url, store)).await else {
        return;
    };
    let acknowledging = client.clone();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let _ = acknowledging.acknowledge(event.id).await;
        }
    });
    for number in 0.. {
        if round == "silent" {
            tokio::time::sleep(PATIENCE).await;
            return;
        }
        let text = format!("{round} {number}");
        if client.send_text(&address("bob"), &text).await.is_err() {
            return;
        }
        say(&text);
        tokio::time::sleep(PACE).await;
    }
}

/// One line an event, printed before it is acknowledged.
async fn receiver(url: &str, store: &str) {
    let Ok((client, mut events)) = Client::open(config(url, store)).await else {
        return;
    };
    while let Some(event) = events.next().await {
        match &event.kind {
            EventKind::MessageReceived(message) => {
                say(&format!("{} {}", event.id.0, message.text().expect("words")));
            }
            other => say(&format!("{} unexpected: {other:?}", event.id.0)),
        }
        if client.acknowledge(event.id).await.is_err() {
            return;
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn note(told: &mut BTreeMap<u64, String>, line: &str) {
    let (id, text) = line.split_once(' ').expect("a number and words");
    assert!(!text.starts_with("unexpected"), "{line}");
    let before = told.insert(id.parse().expect("a number"), text.to_owned());
    assert!(
        before.is_none_or(|before| before == text),
        "event {id} has changed"
    );
}

fn place(text: &str) -> (u64, u64) {
    let (round, number) = text.split_once(' ').expect("two numbers");
    (
        round.parse().expect("a number"),
        number.parse().expect("a number"),
    )
}

fn start(arguments: &[&str]) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("this program runs")
}

/// Reads what a child says until its time is up, kills it, and reads what was still in the pipe.
async fn listen(child: &mut Child, until: Instant, mut hear: impl FnMut(&str)) {
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    while let Ok(Ok(Some(line))) = tokio::time::timeout_at(until, lines.next_line()).await {
        hear(&line);
    }
    child.kill().await.expect("it was running");
    rest(&mut lines, hear).await;
}

async fn rest(lines: &mut tokio::io::Lines<BufReader<ChildStdout>>, mut hear: impl FnMut(&str)) {
    while let Ok(Some(line)) = lines.next_line().await {
        hear(&line);
    }
}

fn store(folder: &Path, name: &str) -> String {
    folder.join(format!("{name}.db")).to_string_lossy().into_owned()
}

fn config(url: &str, store: &str) -> Config {
    Config {
        server: url.to_owned(),
        roots: None,
        store: store.into(),
        key: StoreKey::raw([7; 32]),
        streaming: sottovoce::Streaming::default(),
    }
}
