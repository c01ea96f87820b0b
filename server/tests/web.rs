//! gRPC-Web over HTTP/1.1 as a browser speaks it, framed by hand.

use prost::Message;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{GetAccountRequest, GetAccountResponse, SubscribeRequest, SubscribeResponse};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Device, TestServer};

/// One frame of gRPC-Web: a flag byte (0x80 marks the trailers), a length, the bytes.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while body.len() >= 5 {
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        if body.len() < 5 + length {
            break;
        }
        frames.push((body[0], body[5..5 + length].to_vec()));
        body = &body[5 + length..];
    }
    frames
}

/// Undoes HTTP/1.1 chunking, of as many chunks as have come.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).unwrap(), 16).unwrap();
        if length == 0 || body.len() < end + 2 + length + 2 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 2 + length + 2..];
    }
    whole
}

/// Posts one message and reads until `enough` frames have come; returns the head and the frames.
async fn post(
    server: &TestServer,
    path: &str,
    token: Option<&str>,
    message: Vec<u8>,
    enough: impl Fn(&str, &[(u8, Vec<u8>)]) -> bool,
) -> (String, Vec<(u8, Vec<u8>)>) {
    let mut body = vec![0];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(&message);
    let authorization = token.map_or(String::new(), |token| {
        format!("authorization: Bearer {token}\r\n")
    });
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web+proto\r\n\
         accept: application/grpc-web+proto\r\nx-grpc-web: 1\r\n{authorization}content-length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&body).await.unwrap();
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let read = tokio::time::timeout(std::time::Duration::from_secs(5), socket.read(&mut chunk))
            .await
            .expect("the answer stopped early")
            .unwrap();
        received.extend_from_slice(&chunk[..read]);
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            assert!(read > 0, "the connection ended before the answer");
            continue;
        };
        let head = String::from_utf8(received[..end].to_vec())
            .unwrap()
            .to_lowercase();
        let body = &received[end + 4..];
        let body = if head.contains("chunked") {
            unchunked(body)
        } else {
            body.to_vec()
        };
        let frames = frames(&body);
        if enough(&head, &frames) || read == 0 {
            return (head, frames);
        }
    }
}

#[tokio::test]
async fn a_browser_can_make_a_call() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let request = GetAccountRequest {
        address: alice.address.to_string(),
        ..Default::default()
    };
    let path = "/sottovoce.v1.AccountService/GetAccount";
    let (head, frames) = post(
        &server,
        path,
        Some(&token),
        request.encode_to_vec(),
        |_, frames| frames.iter().any(|(flag, _)| *flag == 0x80),
    )
    .await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(
        head.contains("content-type: application/grpc-web+proto"),
        "{head}"
    );
    assert_eq!(frames.len(), 2);
    let account = GetAccountResponse::decode(frames[0].1.as_slice()).unwrap();
    assert_eq!(account.account_key, alice.account_key().as_bytes());
    let trailers = String::from_utf8(frames[1].1.clone()).unwrap();
    assert!(trailers.contains("grpc-status:0"), "{trailers}");
    server.stop().await;
}

#[tokio::test]
async fn a_browser_is_told_why_it_was_refused() {
    let server = TestServer::start().await;
    let path = "/sottovoce.v1.AccountService/GetAccount";
    let (head, _) = post(&server, path, None, Vec::new(), |_, _| true).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("grpc-status: 16"), "{head}");
    assert!(head.contains("grpc-status-details-bin: "), "{head}");
    server.stop().await;
}

#[tokio::test]
async fn a_browser_can_subscribe() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    Device::send_numbers(&clients, &alices, &bob, 1..=2).await;
    let path = "/sottovoce.v1.MailboxService/Subscribe";
    let (_, frames) = post(
        &server,
        path,
        Some(&bobs),
        SubscribeRequest {}.encode_to_vec(),
        |_, frames| frames.len() >= 3,
    )
    .await;
    let events: Vec<_> = frames
        .iter()
        .map(|(_, bytes)| {
            SubscribeResponse::decode(bytes.as_slice())
                .unwrap()
                .event
                .unwrap()
        })
        .collect();
    match events.as_slice() {
        [Event::Envelope(one), Event::Envelope(two), Event::QueueEmpty(_)] => {
            assert_eq!(
                (one.ciphertext.as_slice(), two.ciphertext.as_slice()),
                (&b"1"[..], &b"2"[..])
            );
        }
        other => panic!("not the backlog and its end: {other:?}"),
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_grpc_is_a_bad_request() {
    let server = TestServer::start().await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    server.stop().await;
}
