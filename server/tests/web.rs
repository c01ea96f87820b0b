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

/// The head of the answer to a request without a body, in lower case, and the headers it has.
async fn head(server: &TestServer, method: &str, headers: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let request = format!(
        "{method} /sottovoce.v1.ServerService/GetServerInfo HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut chunk = [0; 4096];
        let read = tokio::time::timeout(std::time::Duration::from_secs(5), socket.read(&mut chunk)).await;
        let read = read.expect("the answer stopped early").unwrap();
        assert!(read > 0, "the connection ended before the answer");
        received.extend_from_slice(&chunk[..read]);
    }
    let text = String::from_utf8_lossy(&received).to_lowercase();
    text.split_once("\r\n\r\n").unwrap().0.to_owned() + "\r\n"
}

const CALL: &str = "content-type: application/grpc-web+proto\r\ncontent-length: 0\r\n";
const PREFLIGHT: &str = "access-control-request-method: POST\r\n\
                         access-control-request-headers: authorization,content-type,x-grpc-web\r\n";

#[tokio::test]
async fn pages_of_a_named_origin_may_call_and_read_why_they_were_refused() {
    let server =
        TestServer::start_with(|config| config.web_origins = vec!["https://chat.example".into()]).await;
    let origin = "origin: https://chat.example\r\n";
    let preflight = head(&server, "OPTIONS", &format!("{origin}{PREFLIGHT}")).await;
    assert!(preflight.starts_with("http/1.1 204"), "{preflight}");
    for line in [
        "access-control-allow-origin: https://chat.example\r\n",
        "access-control-allow-methods: post\r\n",
        "access-control-max-age: 7200\r\n",
        "vary: origin\r\n",
    ] {
        assert!(preflight.contains(line), "{line} {preflight}");
    }
    for header in [
        "authorization",
        "content-type",
        "grpc-timeout",
        "x-grpc-web",
        "x-user-agent",
    ] {
        let allowed = preflight.split("access-control-allow-headers: ").nth(1).unwrap();
        assert!(allowed.lines().next().unwrap().contains(header), "{header}");
    }
    let answer = head(&server, "POST", &format!("{origin}{CALL}")).await;
    assert!(
        answer.contains("access-control-allow-origin: https://chat.example\r\n"),
        "{answer}"
    );
    let exposed = answer.split("access-control-expose-headers: ").nth(1).unwrap();
    for header in [
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "x-request-id",
    ] {
        assert!(exposed.lines().next().unwrap().contains(header), "{header}");
    }
    for answer in [preflight, answer] {
        assert!(!answer.contains("access-control-allow-credentials"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_no_other_origin_may_call() {
    let named =
        TestServer::start_with(|config| config.web_origins = vec!["https://chat.example".into()]).await;
    let none = TestServer::start().await;
    for server in [&named, &none] {
        for origin in ["https://evil.example", "https://chat.example:8443", "null", "*"] {
            let preflight = head(server, "OPTIONS", &format!("origin: {origin}\r\n{PREFLIGHT}")).await;
            assert!(!preflight.contains("access-control-allow"), "{preflight}");
            let answer = head(server, "POST", &format!("origin: {origin}\r\n{CALL}")).await;
            assert!(!answer.contains("access-control"), "{answer}");
        }
    }
    named.stop().await;
    none.stop().await;
}

#[tokio::test]
async fn every_answer_is_marked_and_numbered_by_the_server() {
    let server = TestServer::start().await;
    let mut numbers = std::collections::HashSet::new();
    for (method, headers) in [
        ("POST", CALL),
        ("GET", ""),
        ("OPTIONS", PREFLIGHT),
        (
            "POST",
            "x-request-id: 0123456789abcdef0123456789abcdef\r\ncontent-length: 0\r\n",
        ),
    ] {
        let answer = head(&server, method, headers).await;
        for line in [
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
            "referrer-policy: no-referrer\r\n",
            "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n",
        ] {
            assert!(answer.contains(line), "{line} {answer}");
        }
        assert!(
            !answer.contains("strict-transport-security"),
            "this is not encrypted: {answer}"
        );
        let number = answer.split("x-request-id: ").nth(1).unwrap();
        let number = number.lines().next().unwrap().to_owned();
        assert_eq!(number.len(), 32, "{number}");
        assert!(number.bytes().all(|byte| byte.is_ascii_hexdigit()), "{number}");
        assert_ne!(number, "0123456789abcdef0123456789abcdef");
        assert!(numbers.insert(number), "the same again");
    }
    server.stop().await;
}
