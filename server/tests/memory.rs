//! Memory is bounded, whatever clients do: those who do not read, and those who send without end.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::connect_request::Frame;
use sottovoce_proto::v1::{ConnectRequest, CountPrekeysRequest};
use tokio::task::JoinSet;

use crate::common::{Clients, Device, Program, Store, subscribe, with_token};

/// The longest there may be.
const LONGEST: usize = 128 * 1024;

/// The same in KiB.
const MESSAGE: u64 = 128;

/// What a client that does not read has in memory, in KiB: of the longest messages four that are held ready,
/// one that waits for a place among them, one that gRPC has encoded, and one that HTTP/2 is sending; and less
/// than another one's worth for the connection itself.
const CLIENT: u64 = (4 + 1 + 1 + 1 + 1) * MESSAGE;

/// Connections to the database for reading.
const CONNECTIONS: u64 = 4;

/// What each of them has, in KiB: a message as the driver has it and as it is handed on, and on SQLite the
/// pages it keeps.
const fn connection() -> u64 {
    let pages = match crate::STORE {
        Store::Sqlite => 4096,
        Store::Postgres => 0,
    };
    2 * MESSAGE + pages
}

async fn send(clients: &Clients, token: &str, to: &Device, n: u64) {
    let request = with_token(token, Device::letter(to, n, &vec![n as u8; LONGEST]));
    clients.mailbox.clone().send(request).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_cost_a_few_messages_each() {
    const READERS: u64 = 12;
    const WAITING: u64 = 40;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let alices = Device::named("alice").join(&clients).await;
    let mut readers = Vec::new();
    for n in 0..READERS {
        let device = Device::named(&format!("reader-{n}"));
        let token = device.join(&clients).await;
        for message in 0..WAITING {
            send(&clients, &alices, &device, n * WAITING + message).await;
        }
        readers.push((device, token));
    }
    // Once and in full, so that what is allocated once is there before.
    let (device, token) = &readers[0];
    let mut stream = subscribe(&clients, token).await;
    for _ in 0..WAITING {
        stream.message().await.unwrap().unwrap();
    }
    drop(stream);
    let before = program.resident_kib();
    let mut held = Vec::new();
    for (_, token) in &readers {
        let own = Clients::connect(program.address).await;
        let stream = subscribe(&own, token).await;
        held.push((own, stream));
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cost = program.resident_kib().saturating_sub(before);
    println!(
        "{cost} KiB for {READERS} clients that do not read {} MiB each",
        WAITING / 8
    );
    // Nothing grows with what waits, which is five times as much for each of them.
    let most = READERS * CLIENT + CONNECTIONS * connection();
    assert!(cost < most, "{cost} KiB, and not {most}");
    drop(held);
    send(&clients, &alices, device, 1_000_000).await;
    program.kill().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_costs_a_bounded_amount_and_keeps_nobody_else_waiting() {
    const CONNECTIONS: u64 = 8;
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let (mallory, bob) = (Device::named("mallory"), Device::named("bob"));
    let (mallorys, bobs) = (mallory.join(&clients).await, bob.join(&clients).await);
    let before = program.resident_kib();
    let mut flood = JoinSet::new();
    for n in 0..CONNECTIONS {
        let (address, token, to) = (program.address, mallorys.clone(), bob.clone());
        flood.spawn(async move {
            // Streams both ways on which nothing is ever read, one after the other and many at one time.
            loop {
                let clients = Clients::connect(address).await;
                let mut calls = JoinSet::new();
                for call in 0..50 {
                    let to = to.clone();
                    let frames = (0..u64::MAX).map(move |frame| ConnectRequest {
                        frame: Some(Frame::Send(Device::letter(
                            &to,
                            (n << 48) | (call << 32) | frame,
                            &vec![7; LONGEST],
                        ))),
                    });
                    let request = with_token(&token, tokio_stream::iter(frames));
                    let mut mailbox = clients.mailbox.clone();
                    calls.spawn(async move {
                        let answer = mailbox.connect(request).await;
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        drop(answer);
                    });
                }
                while calls.join_next().await.is_some() {}
            }
        });
    }
    let begun = Instant::now();
    let mut most = 0;
    while begun.elapsed() < Duration::from_secs(6) {
        let call = with_token(&bobs, CountPrekeysRequest {});
        let mut prekeys = clients.prekeys.clone();
        let answer = tokio::time::timeout(Duration::from_secs(5), prekeys.count_prekeys(call)).await;
        answer.expect("somebody else waits").unwrap();
        most = most.max(program.resident_kib());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    flood.shutdown().await;
    let grown = most.saturating_sub(before) / 1024;
    println!("{grown} MiB more at most");
    // The mailbox that is filled holds 64 MiB, and the database keeps as many of its pages in memory.
    assert!(grown < 320, "{grown} MiB more than before the flood");
    program.kill().await;
}
