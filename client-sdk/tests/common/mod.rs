//! A real server, in this process, and clients of it.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sottovoce::{Address, Client, Config, Event, EventKind, Events, StoreKey};
use sottovoce_server::{Limits, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct RunningServer {
    pub(crate) address: SocketAddr,
    pub(crate) database: PathBuf,
    /// Where operators are listened for, if they are.
    operators: Option<SocketAddr>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl RunningServer {
    /// Starts on a free port, or on the port an earlier one had.
    pub(crate) async fn start(folder: &Path, address: Option<SocketAddr>) -> Self {
        Self::start_limited(folder, address, Limits::default()).await
    }

    pub(crate) async fn start_limited(folder: &Path, address: Option<SocketAddr>, limits: Limits) -> Self {
        let config = sottovoce_server::Config {
            listen: address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            limits,
            ..Default::default()
        };
        Self::start_as(folder, config).await
    }

    pub(crate) async fn start_as(folder: &Path, config: sottovoce_server::Config) -> Self {
        let config = sottovoce_server::Config {
            data_dir: folder.join("server"),
            ..config
        };
        let server = Server::bind(config).await.expect("the server starts");
        let (address, database) = (server.local_addr(), server.database_path());
        let operators = server.admin_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let stopped = async { stopped.await.unwrap_or_default() };
            server.serve(stopped).await.expect("the server stops cleanly");
        });
        Self {
            address,
            database,
            operators,
            stop,
            running,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("the server is running");
        self.running.await.expect("the server stops cleanly");
    }

    /// How many calls of this name the server has answered with `OK`; operators must be listened for.
    pub(crate) async fn answered(&self, call: &str) -> u64 {
        let operators = self.operators.expect("a listener for operators");
        let mut socket = TcpStream::connect(operators).await.expect("it listens");
        let request = b"GET /metrics HTTP/1.1\r\nHost: operators\r\nConnection: close\r\n\r\n";
        socket.write_all(request).await.expect("it reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.contains("sottovoce_calls_total"), "{answer}");
        let counter = format!("sottovoce_calls_total{{call=\"{call}\",code=\"OK\"}} ");
        let line = answer.lines().find_map(|line| line.strip_prefix(&counter));
        line.map_or(0, |count| count.parse().expect("a number"))
    }

    pub(crate) fn config(&self, folder: &Path, name: &str) -> Config {
        Config {
            server: format!("http://{}", self.address),
            roots: None,
            store: folder.join(format!("{name}.db")),
            // A raw key: stretching a passphrase takes longer than the rest of a test.
            key: StoreKey::raw([7; 32]),
            streaming: sottovoce::Streaming::default(),
        }
    }

    pub(crate) async fn register(&self, folder: &Path, name: &str) -> (Client, Events) {
        Client::register(self.config(folder, name), &address(name))
            .await
            .expect("the address is free")
    }

    pub(crate) async fn open(&self, folder: &Path, name: &str) -> (Client, Events) {
        Client::open(self.config(folder, name))
            .await
            .expect("the store opens")
    }
}

pub(crate) fn address(name: &str) -> Address {
    Address::parse(&format!("{name}@localhost")).expect("a valid address")
}

pub(crate) async fn next(events: &mut Events) -> Event {
    tokio::time::timeout(PATIENCE, events.next())
        .await
        .expect("in good time")
        .expect("the client runs")
}

/// A server that tells operators how often it was called.
pub(crate) fn counted() -> sottovoce_server::Config {
    sottovoce_server::Config {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin: sottovoce_server::AdminConfig {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        },
        ..Default::default()
    }
}

/// Waits for an event of this kind, acknowledging all others on the way.
pub(crate) async fn until(
    client: &Client,
    events: &mut Events,
    wanted: impl Fn(&EventKind) -> bool,
) -> EventKind {
    loop {
        let event = next(events).await;
        client.acknowledge(event.id).await.expect("the client runs");
        if wanted(&event.kind) {
            return event.kind;
        }
    }
}

/// The next message's words, acknowledged; anything but messages received and sent fails the test.
pub(crate) async fn read(client: &Client, events: &mut Events) -> String {
    loop {
        let event = next(events).await;
        client.acknowledge(event.id).await.expect("the client runs");
        match event.kind {
            EventKind::MessageReceived(message) => return message.text().expect("words").to_owned(),
            EventKind::MessageSent { .. } => {}
            other => panic!("unexpected: {other:?}"),
        }
    }
}

pub(crate) async fn sent(client: &Client, events: &mut Events) {
    let event = next(events).await;
    assert!(
        matches!(event.kind, EventKind::MessageSent { .. }),
        "unexpected: {event:?}"
    );
    client.acknowledge(event.id).await.expect("the client runs");
}
