//! Three nodes over one PostgreSQL and one NATS server: what is promised is promised by all of them
//! together, whichever of them dies.

mod dying;
mod leaving;
mod once;
mod sessions;
mod streams;

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sottovoce_proto::v1::SubscribeResponse;
use sottovoce_proto::v1::subscribe_response::Event;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tonic::Streaming;

use crate::common::{Clients, Program, postgres_url, service, subscribe};

const NODES: usize = 3;

/// What a hint should take, on a busy machine. Without hints it is the watch that notices: every second
/// when NATS is known to be away, every five otherwise.
const SOON: Duration = Duration::from_secs(3);
const AT_LAST: Duration = Duration::from_secs(20);

struct Cluster {
    folder: TempDir,
    nodes: Vec<Option<Program>>,
    nats: Option<Child>,
    nats_port: u16,
}

impl Cluster {
    async fn start() -> Self {
        // Somebody else could take the port in between; then the NATS server says so and the test fails.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nats_port = free.local_addr().unwrap().port();
        drop(free);
        let mut cluster = Self {
            folder: tempfile::tempdir().unwrap(),
            nodes: Vec::new(),
            nats: None,
            nats_port,
        };
        cluster.start_nats().await;
        for n in 0..NODES {
            let node = cluster.start_node(n).await;
            cluster.nodes.push(Some(node));
        }
        cluster
    }

    async fn start_nats(&mut self) {
        let port = self.nats_port.to_string();
        let nats = Command::new(service("SOTTOVOCE_TEST_NATS_SERVER"))
            .args(["--addr", "127.0.0.1", "--port", &port])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.nats = Some(nats);
        let begun = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", self.nats_port))
            .await
            .is_err()
        {
            assert!(begun.elapsed() < AT_LAST, "nats-server does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn kill_nats(&mut self) {
        self.nats.take().unwrap().kill().await.unwrap();
    }

    async fn start_node(&self, n: usize) -> Program {
        let mut command = Program::command(&self.folder.path().join(format!("node-{n}")));
        let log = std::fs::File::create(self.folder.path().join(format!("log-{n}"))).unwrap();
        command
            .env("SOTTOVOCE_DATABASE", postgres_url(self.folder.path()))
            .env("SOTTOVOCE_NATS", format!("nats://127.0.0.1:{}", self.nats_port))
            .stderr(log);
        Program::spawn(command).await
    }

    async fn kill_node(&mut self, n: usize) {
        self.nodes[n].take().unwrap().kill().await;
    }

    /// A command on the database, with no node to carry it out.
    async fn order(&self, words: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_sottovoce-server"))
            .args(words)
            .arg("--data-dir")
            .arg(self.folder.path().join("nobody"))
            .env("SOTTOVOCE_DATABASE", postgres_url(self.folder.path()))
            .env_remove("SOTTOVOCE_SEED")
            .env_remove("SOTTOVOCE_SEEDS")
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }

    fn address(&self, n: usize) -> SocketAddr {
        self.nodes[n].as_ref().unwrap().address
    }

    async fn clients(&self) -> Vec<Clients> {
        let mut clients = Vec::new();
        for n in 0..NODES {
            clients.push(Clients::connect(self.address(n)).await);
        }
        clients
    }
}

/// A stream that has said that nothing waits.
async fn listen(clients: &Clients, token: &str) -> Streaming<SubscribeResponse> {
    let mut stream = subscribe(clients, token).await;
    assert!(matches!(next(&mut stream, SOON).await, Event::QueueEmpty(_)));
    stream
}

async fn next(stream: &mut Streaming<SubscribeResponse>, patience: Duration) -> Event {
    loop {
        let answer = tokio::time::timeout(patience, stream.message()).await;
        match answer.expect("nothing came").unwrap().unwrap().event.unwrap() {
            Event::PrekeysLow(_) => {}
            event => return event,
        }
    }
}
