//! Clients that misuse HTTP/2: each is cut off, and nobody else notices.

use std::time::Duration;

use prost::Message;
use sottovoce_proto::v1::SubscribeRequest;

use crate::common::h2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, PING, RST_STREAM, call_headers,
};
use crate::common::{Device, TestServer, with_token};

const BEGIN: &str = "/sottovoce.v1.AuthService/BeginAuthentication";
const SUBSCRIBE: &str = "/sottovoce.v1.MailboxService/Subscribe";

/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 section 6.5.2).
const INITIAL_WINDOW: u16 = 4;

/// Long enough on a busy machine, and shorter than what would end the connection anyway.
const SOON: Duration = Duration::from_secs(15);

async fn is_well(server: &TestServer) {
    let clients = server.connect().await;
    Device::named("somebody").begin(&clients).await;
}

#[tokio::test]
async fn calls_begun_and_taken_back_in_a_flood_end_the_connection() {
    let server = TestServer::start().await;
    let mut frames = Frames::connect(server.address, &[]).await;
    let headers = call_headers(BEGIN, &[]);
    // Written at once, so that the server finds them taken back when it first looks.
    for call in 0..2_000 {
        let stream = 2 * call + 1;
        let begun = frames.send(HEADERS, END_HEADERS, stream, &headers).await;
        let taken_back = frames.send(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await;
        if begun.and(taken_back).is_err() {
            break;
        }
    }
    assert!(frames.ends_within(SOON).await);
    is_well(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn headers_that_go_on_for_ever_end_the_connection() {
    let server = TestServer::start().await;
    let mut frames = Frames::connect(server.address, &[]).await;
    let headers = call_headers(BEGIN, &[]);
    frames.send(HEADERS, 0, 1, &headers).await.unwrap();
    let more = call_headers(BEGIN, &[]).split_off(headers.len() / 2);
    for _ in 0..10_000 {
        if frames.send(CONTINUATION, 0, 1, &more).await.is_err() {
            break;
        }
    }
    assert!(frames.ends_within(SOON).await);
    is_well(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn headers_that_are_never_finished_end_the_connection() {
    let server = TestServer::start_limited(|limits| {
        limits.keepalive = (Duration::from_millis(300), Duration::from_millis(300));
    })
    .await;
    let mut frames = Frames::connect(server.address, &[]).await;
    frames
        .send(HEADERS, 0, 1, &call_headers(BEGIN, &[]))
        .await
        .unwrap();
    // Between the frames of one header block nothing else may be said, not even the answer to a ping.
    let ended = async {
        while let Some(frame) = frames.next().await {
            assert_ne!((frame.kind, frame.stream), (HEADERS, 1));
        }
    };
    assert!(tokio::time::timeout(SOON, ended).await.is_ok());
    is_well(&server).await;
    server.stop().await;
}

/// A client whose window has no room, or is never opened again, holds what it was sent in the server's
/// memory; it answers every ping, so that nothing else would end it.
#[tokio::test]
async fn a_client_that_takes_nothing_of_an_answer_is_cut_off() {
    let server = TestServer::start_limited(|limits| {
        limits.stall_timeout = Duration::from_millis(500);
        limits.keepalive = (Duration::from_millis(200), Duration::from_secs(10));
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let bob = Device::named("bob").join(&clients).await;
    let letter = Device::letter(&alice, 1, &[7; 100_000]);
    clients
        .mailbox
        .clone()
        .send(with_token(&bob, letter))
        .await
        .unwrap();
    let authorization = format!("Bearer {token}");
    for window in [0, 20_000] {
        let mut frames = Frames::connect(server.address, &[(INITIAL_WINDOW, window)]).await;
        let headers = call_headers(SUBSCRIBE, &[("authorization", &authorization)]);
        frames.send(HEADERS, END_HEADERS, 1, &headers).await.unwrap();
        let request = [&[0; 5][..], &SubscribeRequest {}.encode_to_vec()].concat();
        frames.send(DATA, END_STREAM, 1, &request).await.unwrap();
        assert!(frames.ends_within(SOON).await, "window {window}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_waits_with_an_open_window_is_not_cut_off() {
    let server = TestServer::start_limited(|limits| {
        limits.stall_timeout = Duration::from_millis(300);
        limits.keepalive = (Duration::from_millis(200), Duration::from_secs(10));
    })
    .await;
    let clients = server.connect().await;
    let token = Device::named("alice").join(&clients).await;
    let mut frames = Frames::connect(server.address, &[]).await;
    let headers = call_headers(SUBSCRIBE, &[("authorization", &format!("Bearer {token}"))]);
    frames.send(HEADERS, END_HEADERS, 1, &headers).await.unwrap();
    frames.send(DATA, END_STREAM, 1, &[0; 5]).await.unwrap();
    assert!(!frames.ends_within(Duration::from_secs(2)).await);
    frames.send(PING, 0, 0, &[7; 8]).await.unwrap();
    let pong = loop {
        let frame = frames.next().await.expect("the connection lasts");
        if frame.kind == PING && frame.flags == 1 {
            break frame;
        }
    };
    assert_eq!(pong.payload, [7; 8]);
    server.stop().await;
}
