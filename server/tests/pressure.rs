//! Calls that hold on to what others need: none gets more than its share.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::CountPrekeysRequest;
use sottovoce_server::MAX_MAILBOX_REQUEST_LEN;
use tokio_stream::StreamExt;
use tokio_util::task::AbortOnDropHandle;

use crate::common::h2::{DATA, END_HEADERS, Frames, HEADERS, call_headers};
use crate::common::{
    Clients, Device, TestServer, half_open, hold_the_write_lock, prefix, reason, streamed, with_token,
};

const SEND: &str = "/sottovoce.v1.MailboxService/Send";
const REGISTER: &str = "/sottovoce.v1.AccountService/Register";

/// Long enough for half-open calls to have reached the server.
const SETTLED: Duration = Duration::from_millis(300);

/// Long before a held body is cut.
const SOON: Duration = Duration::from_secs(5);

/// Whether a small call is answered within this long.
async fn is_answered(clients: &Clients, token: &str, within: Duration) -> bool {
    let request = with_token(token, CountPrekeysRequest {});
    let mut prekeys = clients.prekeys.clone();
    match tokio::time::timeout(within, prekeys.count_prekeys(request)).await {
        Ok(answer) => answer.map(|_| true).unwrap(),
        Err(_) => false,
    }
}

/// Whether a long message is taken within this long. Nobody's message is refused for being sent again.
async fn is_taken(clients: &Clients, token: &str, to: &Device, within: Duration) -> bool {
    let request = with_token(token, Device::letter(to, 1, &[7; 100_000]));
    let mut mailbox = clients.mailbox.clone();
    match tokio::time::timeout(within, mailbox.send(request)).await {
        Ok(answer) => answer.map(|_| true).unwrap(),
        Err(_) => false,
    }
}

#[tokio::test]
async fn unfinished_calls_hold_no_turn() {
    let server = TestServer::start_limited(|limits| {
        limits.max_calls = 2;
        limits.max_calls_per_device = 1;
        limits.body_timeout = Duration::from_secs(10);
    })
    .await;
    let clients = server.connect().await;
    let mallory = Device::named("mallory").join(&clients).await;
    let alice = Device::named("alice").join(&clients).await;
    let connection = server.connect().await;
    // Nothing of the body, or all of it and not its end.
    let calls: Vec<_> = [None, Some(vec![0x1a, 0x00])]
        .into_iter()
        .cycle()
        .take(20)
        .map(|body| half_open(&connection.channel, SEND, Some(&mallory), body))
        .collect();
    tokio::time::sleep(SETTLED).await;
    for token in [&alice, &mallory] {
        assert!(is_answered(&clients, token, SOON).await);
    }
    assert!(
        calls.iter().all(|call| !call.is_finished()),
        "they are held still"
    );
    server.stop().await;
}

/// Says that a body of the greatest length is to come, and sends a little of it now and then.
async fn trickle(server: &TestServer, token: &str, calls: usize) -> AbortOnDropHandle<()> {
    let mut connection = Frames::connect(server.address, &[]).await;
    let authorization = format!("Bearer {token}");
    let headers = call_headers(SEND, &[("authorization", &authorization)]);
    let length = u32::try_from(MAX_MAILBOX_REQUEST_LEN).unwrap().to_be_bytes();
    let streams: Vec<_> = (0..calls)
        .map(|call| 2 * u32::try_from(call).unwrap() + 1)
        .collect();
    for stream in &streams {
        connection
            .send(HEADERS, END_HEADERS, *stream, &headers)
            .await
            .unwrap();
        connection
            .send(DATA, 0, *stream, &[&[0], &length[..]].concat())
            .await
            .unwrap();
    }
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            for stream in &streams {
                if connection.send(DATA, 0, *stream, &[0]).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(SETTLED).await;
        }
    }))
}

#[tokio::test]
async fn an_account_that_sends_slowly_keeps_only_its_own_long_calls_waiting() {
    let server = TestServer::start_limited(|limits| {
        limits.max_calls = 4;
        limits.max_calls_per_account = 2;
        limits.body_timeout = Duration::from_secs(30);
        limits.request_timeout = Duration::from_secs(30);
    })
    .await;
    let clients = server.connect().await;
    let (alice, mallory) = (Device::named("alice"), Device::named("mallory"));
    let alices = alice.join(&clients).await;
    let mallorys = mallory.join(&clients).await;
    let trickling = trickle(&server, &mallorys, 20).await;
    tokio::time::sleep(SETTLED).await;
    assert!(is_taken(&clients, &alices, &mallory, SOON).await);
    assert!(!is_taken(&clients, &mallorys, &alice, SETTLED).await);
    for token in [&alices, &mallorys] {
        assert!(is_answered(&clients, token, SOON).await);
    }
    drop(trickling);
    assert!(is_taken(&clients, &mallorys, &alice, SOON).await);
    server.stop().await;
}

#[tokio::test]
async fn what_many_accounts_announce_and_do_not_send_keeps_nobody_waiting() {
    let server = TestServer::start_limited(|limits| {
        limits.max_calls = 4;
        limits.max_calls_per_account = 1;
        limits.body_timeout = Duration::from_secs(30);
        limits.request_timeout = Duration::from_secs(30);
    })
    .await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients).await;
    bob.join(&clients).await;
    // Between them as much as the server holds, and twice that.
    let mut trickling = Vec::new();
    for name in [
        "eve", "mallory", "oscar", "peggy", "sybil", "trudy", "victor", "wendy",
    ] {
        let theirs = Device::named(name).join(&clients).await;
        trickling.push(trickle(&server, &theirs, 2).await);
    }
    tokio::time::sleep(SETTLED).await;
    assert!(is_answered(&clients, &token, SOON).await);
    assert!(is_taken(&clients, &token, &bob, SOON).await);
    assert!(
        trickling.iter().all(|call| !call.is_finished()),
        "they are held still"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_though_it_never_pauses() {
    let server = TestServer::start_limited(|limits| {
        limits.body_timeout = 2 * SETTLED;
        limits.request_timeout = Duration::from_secs(300);
    })
    .await;
    let clients = server.connect().await;
    let token = Device::named("alice").join(&clients).await;
    for (path, token) in [(SEND, Some(token.as_str())), (REGISTER, None)] {
        let bytes = tokio_stream::iter(std::iter::repeat(vec![0])).then(|byte| async move {
            tokio::time::sleep(SETTLED / 10).await;
            byte
        });
        let body = tokio_stream::iter([prefix(8_000).to_vec()]).chain(bytes);
        let call = streamed(&clients.channel, path, token, body);
        let status = tokio::time::timeout(Duration::from_secs(60), call).await;
        let status = status.expect("it is cut").unwrap().unwrap_err();
        assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
    }
    server.stop().await;
}

#[tokio::test]
async fn calls_beyond_the_servers_number_wait_for_a_turn() {
    let server = TestServer::start_limited(|limits| limits.max_calls = 1).await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    let lock = hold_the_write_lock(&server.database).await;
    let sending = tokio::spawn({
        let (clients, alices, bob) = (clients.clone(), alices.clone(), bob.clone());
        async move { Device::send_numbers(&clients, &alices, &bob, 1..=1).await }
    });
    tokio::time::sleep(SETTLED).await;
    assert!(!is_answered(&clients, &bobs, SETTLED).await);
    lock.close().await;
    tokio::time::timeout(SOON, sending).await.unwrap().unwrap();
    assert!(is_answered(&clients, &bobs, SOON).await);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_its_call_long_before_the_calls_time() {
    let server = TestServer::start_limited(|limits| limits.body_timeout = Duration::from_millis(200)).await;
    let clients = server.connect().await;
    let alice = Device::named("alice").join(&clients).await;
    let begun = Instant::now();
    let whole = vec![0x1a, 0x00];
    for body in [None, Some(whole)] {
        for (path, token) in [(SEND, Some(alice.as_str())), (REGISTER, None)] {
            let call = half_open(&clients.channel, path, token, body.clone());
            let status = call.await.unwrap().unwrap_err();
            assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn strangers_who_withhold_their_bodies_keep_no_device_waiting() {
    let server = TestServer::start_limited(|limits| limits.body_timeout = Duration::from_secs(10)).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let connection = server.connect().await;
    let _calls: Vec<_> = (0..90)
        .map(|_| half_open(&connection.channel, REGISTER, None, None))
        .collect();
    tokio::time::sleep(SETTLED).await;
    assert!(is_answered(&clients, &token, SOON).await);
    // Nor, as they are no more than the bodies that may be read at one time, do they keep anybody out.
    tokio::time::timeout(SOON, alice.sign_in(&clients)).await.unwrap();
    server.stop().await;
}
