//! What a quiet client costs.

use std::process::Stdio;
use std::time::Duration;

use rustls::version::TLS13;
use sottovoce_server::{Config, Server, TlsFiles};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::common::h2::{DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, call_headers, frame, settings};
use crate::common::{Authority, Clients, Device};

/// Tells the process below that it is one, and where its certificate is.
const FOLDER: &str = "SOTTOVOCE_TEST_IDLE_FOLDER";

/// Streams that are counted, and those before them, which pay for what all of them use.
const STREAMS: usize = 300;
const WARM: usize = 20;

/// What each may cost in a build without optimisation, in KiB. The load program of `benches` measures what
/// ten thousand cost in one that is optimised.
const MOST_KIB: u64 = 44;

/// Not a test: a server of its own process, for the one below.
#[tokio::test(flavor = "multi_thread")]
async fn serve_for_another_test() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let mut config = Config {
        data_dir: folder.join("data"),
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: Some(TlsFiles {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
        }),
        ..Config::default()
    };
    config.limits.rates.scale = 1_000;
    let server = Server::bind(config).await.unwrap();
    println!("at {}", server.local_addr());
    let end = async {
        let _ = tokio::io::stdin().read(&mut [0]).await;
    };
    server.serve(end).await.unwrap();
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_encrypted_stream_costs_little() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    authority.vouch(folder.path());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["idle::serve_for_another_test", "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        if let Some((_, address)) = line.split_once("at ")
            && let Ok(address) = address.parse()
        {
            break address;
        }
    };
    let clients = Clients::connect_tls(address, &authority).await;
    let mut tokens = Vec::new();
    for number in 0..WARM + STREAMS {
        tokens.push(Device::named(&format!("d{number}")).join(&clients).await);
    }
    let mut open = Vec::new();
    let mut before = 0;
    for (number, token) in tokens.iter().enumerate() {
        if number == WARM {
            tokio::time::sleep(Duration::from_secs(1)).await;
            before = resident_kib(pid);
        }
        let socket = TcpStream::connect(address).await.unwrap();
        let mut stream = authority.shake_hands(socket, &TLS13, &[b"h2"]).await.unwrap();
        let path = "/sottovoce.v1.MailboxService/Subscribe";
        let headers = call_headers(path, &[("authorization", &format!("Bearer {token}"))]);
        let said = [
            PREFACE.to_vec(),
            settings(&[]),
            frame(HEADERS, END_HEADERS, 1, &headers),
            frame(DATA, END_STREAM, 1, &[0; 5]),
        ];
        stream.write_all(&said.concat()).await.unwrap();
        let mut heard = vec![0; 256];
        let mut all = 0;
        // Settings, their acknowledgement, headers, `queue_empty`.
        while all < 250 {
            all += stream.read(&mut heard).await.unwrap();
        }
        open.push(stream);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let each = (resident_kib(pid) - before) / STREAMS as u64;
    drop(child.stdin.take());
    tokio::time::timeout(Duration::from_secs(100), child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(each <= MOST_KIB, "{each} KiB");
}
