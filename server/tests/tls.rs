//! TLS from outside: real handshakes with certificates made here.

use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use sottovoce_proto::v1::GetServerInfoRequest;
use sottovoce_proto::v1::server_service_client::ServerServiceClient;
use sottovoce_server::{Config, Limits, Server, StartError, TlsFiles};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::common::{Authority, TestServer};

async fn start(authority: &Authority) -> (TestServer, TlsFiles) {
    start_limited(authority, |limits| {
        limits.handshake_timeout = Duration::from_millis(500);
        limits.first_byte_timeout = Duration::from_millis(500);
    })
    .await
}

async fn start_limited(authority: &Authority, change: impl FnOnce(&mut Limits)) -> (TestServer, TlsFiles) {
    let folder = tempfile::tempdir().unwrap();
    let files = authority.vouch(folder.path());
    let tls = Some(files.clone());
    let server = TestServer::start_in(folder, |config| {
        config.tls = tls;
        change(&mut config.limits);
    })
    .await;
    (server, files)
}

async fn is_answered(server: &TestServer, authority: &Authority) -> bool {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.pem()));
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", server.address.port())).unwrap();
    let Ok(channel) = endpoint.tls_config(tls).unwrap().connect().await else {
        return false;
    };
    let info = ServerServiceClient::new(channel)
        .get_server_info(GetServerInfoRequest {})
        .await;
    let info = info.unwrap();
    assert!(
        info.metadata().contains_key("strict-transport-security"),
        "over TLS, clients are told to stay there"
    );
    true
}

#[tokio::test]
async fn calls_are_answered_over_tls_to_who_believes_the_certificate() {
    let authority = Authority::new();
    let (server, _) = start(&authority).await;
    assert!(is_answered(&server, &authority).await);
    assert!(!is_answered(&server, &Authority::new()).await);
    server.stop().await;
}

#[tokio::test]
async fn both_versions_and_both_protocols_are_spoken_and_no_other() {
    let authority = Authority::new();
    let (server, _) = start(&authority).await;
    for version in [&TLS12, &TLS13] {
        for protocol in [&b"h2"[..], b"http/1.1"] {
            let socket = TcpStream::connect(server.address).await.unwrap();
            let stream = authority.shake_hands(socket, version, &[protocol]).await.unwrap();
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(version.version));
            assert_eq!(session.alpn_protocol(), Some(protocol));
        }
        let socket = TcpStream::connect(server.address).await.unwrap();
        assert!(authority.shake_hands(socket, version, &[b"smtp"]).await.is_err());
    }
    server.stop().await;
}

#[tokio::test]
async fn a_page_can_call_over_tls_by_the_older_http() {
    let authority = Authority::new();
    let (server, _) = start(&authority).await;
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut stream = authority
        .shake_hands(socket, &TLS13, &[b"http/1.1"])
        .await
        .unwrap();
    let request = "POST /sottovoce.v1.ServerService/GetServerInfo HTTP/1.1\r\nhost: localhost\r\n\
                   content-type: application/grpc-web+proto\r\ncontent-length: 5\r\n\r\n\0\0\0\0\0";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    server.stop().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_or_speaks_plainly_is_cut() {
    let authority = Authority::new();
    let (server, _) = start(&authority).await;
    for begin in [&b""[..], b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(begin).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "{begin:?}");
        assert!(!rest.starts_with(b"\0"), "no HTTP/2 without TLS: {rest:?}");
    }
    // Nor who says nothing afterwards.
    let socket = TcpStream::connect(server.address).await.unwrap();
    let mut stream = authority.shake_hands(socket, &TLS13, &[b"h2"]).await.unwrap();
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(closed.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart_and_a_broken_one_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, files) = start(&old).await;
    // A client that is there already stays.
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(old.pem()));
    let endpoint = Endpoint::from_shared(format!("https://localhost:{}", server.address.port())).unwrap();
    let mut there = ServerServiceClient::new(endpoint.tls_config(tls).unwrap().connect().await.unwrap());
    // A certificate without its key, as between the writing of the two.
    let good_key = std::fs::read(&files.key).unwrap();
    new.vouch(server.folder.path());
    let new_key = std::fs::read(&files.key).unwrap();
    std::fs::write(&files.key, good_key).unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(is_answered(&server, &old).await);
    std::fs::write(&files.key, new_key).unwrap();
    let began = Instant::now();
    while !is_answered(&server, &new).await {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the new one is not used"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!is_answered(&server, &old).await);
    there.get_server_info(GetServerInfoRequest {}).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_server_with_an_unusable_certificate_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.vouch(folder.path());
    let (certificate, key) = (
        std::fs::read(&files.certificate).unwrap(),
        std::fs::read(&files.key).unwrap(),
    );
    let other_key = {
        authority.vouch(folder.path());
        std::fs::read(&files.key).unwrap()
    };
    let start = async |certificate: &[u8], key: &[u8]| {
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        let config = Config {
            data_dir: folder.path().join("data"),
            listen: "127.0.0.1:0".parse().unwrap(),
            tls: Some(files.clone()),
            ..Config::default()
        };
        Server::bind(config).await.map(|server| server.is_encrypted())
    };
    for (certificate, key) in [
        (&b""[..], &key[..]),
        (&certificate, b""),
        (&certificate, &other_key),
        (&key, &certificate),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &key,
        ),
    ] {
        let started = start(certificate, key).await;
        assert!(matches!(started, Err(StartError::Tls(_))), "{started:?}");
    }
    assert!(start(&certificate, &key).await.unwrap());
}

#[tokio::test]
async fn who_is_silent_keeps_nobody_from_shaking_hands() {
    // More than there are handshakes at one time.
    const SILENT: usize = 1_100;
    let authority = Authority::new();
    let (server, _) = start_limited(&authority, |limits| {
        limits.handshake_timeout = Duration::from_secs(60);
    })
    .await;
    let mut silent = Vec::new();
    for n in 0..SILENT {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        // Nothing, or less than a client's first message.
        socket.write_all(&b"\x16\x03\x01\x02\x00"[..n % 6]).await.unwrap();
        silent.push(socket);
    }
    let socket = TcpStream::connect(server.address).await.unwrap();
    let shaking = authority.shake_hands(socket, &TLS13, &[b"h2"]);
    let shaken = tokio::time::timeout(Duration::from_secs(20), shaking).await;
    assert!(shaken.expect("the silent ones are waited for").is_ok());
    drop(silent);
    server.stop().await;
}
