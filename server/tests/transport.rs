//! Connections that do not behave: silent, slow, too many.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{Clients, Device, TestServer, call, told, unfinished};

async fn is_closed_within(socket: &mut TcpStream, time: Duration) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(time, socket.read_to_end(&mut rest))
        .await
        .is_ok()
}

#[tokio::test]
async fn a_connection_that_does_not_introduce_itself_is_closed() {
    let server =
        TestServer::start_limited(|limits| limits.first_byte_timeout = Duration::from_millis(200)).await;
    for start in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(start).await.unwrap();
        assert!(
            is_closed_within(&mut socket, Duration::from_secs(3)).await,
            "{start:?}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_and_places_are_given_back() {
    let server = TestServer::start_limited(|limits| limits.max_connections = 2).await;
    let first = Clients::connect(server.address).await;
    let alice = Device::named("alice");
    alice.register(&first).await;
    let second = Clients::connect(server.address).await;
    alice.begin(&second).await;
    let mut third = TcpStream::connect(server.address).await.unwrap();
    assert!(is_closed_within(&mut third, Duration::from_secs(3)).await);
    alice.begin(&first).await;
    drop(second);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        if let Ok(clients) = Clients::try_connect(server.address).await
            && clients
                .accounts
                .clone()
                .register(alice.registration())
                .await
                .is_ok()
        {
            server.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place of a closed connection was not given back");
}

/// The first bytes of the answer, in lower case.
async fn answer(socket: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(3), socket.read(&mut answer)).await;
    String::from_utf8_lossy(&answer[..read.unwrap().unwrap()]).to_lowercase()
}

#[tokio::test]
async fn a_request_that_never_ends_is_answered_in_time() {
    let server =
        TestServer::start_limited(|limits| limits.request_timeout = Duration::from_millis(300)).await;
    let answer = answer(&mut unfinished(server.address, "").await).await;
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_clients_own_deadline_is_kept() {
    let server = TestServer::start().await;
    let begun = Instant::now();
    let mut socket = unfinished(server.address, "grpc-timeout: 200m\r\n").await;
    let answer = answer(&mut socket).await;
    assert!(answer.contains("grpc-status: 4"), "{answer}");
    assert!(answer.contains("grpc-status-details-bin: "), "{answer}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    server.stop().await;
}

#[tokio::test]
async fn an_open_call_holds_up_the_stop_only_for_its_grace() {
    let mut server =
        TestServer::start_limited(|limits| limits.shutdown_grace = Duration::from_millis(300)).await;
    let mut socket = unfinished(server.address, "").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.begin_to_stop();
    tokio::time::timeout(Duration::from_secs(5), server.stop())
        .await
        .unwrap();
    assert!(is_closed_within(&mut socket, Duration::from_secs(3)).await);
}

#[tokio::test]
async fn endless_headers_are_refused() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let path = "/sottovoce.v1.AuthService/BeginAuthentication";
    let filler = "x".repeat(20 * 1024);
    assert!(
        call(&clients.channel, path, &[("x-filler", &filler)], vec![0x0a, 0x00])
            .await
            .is_err()
    );
    let status = call(&clients.channel, path, &[("x-filler", "x")], vec![0x0a, 0x00])
        .await
        .unwrap_err();
    assert_eq!(told(&status).2, "device_id", "the connection goes on");
    server.stop().await;
}
