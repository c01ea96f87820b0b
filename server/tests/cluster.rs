//! Three nodes over one PostgreSQL and one NATS server: what is promised is promised by all of them
//! together, whichever of them dies.

mod sessions;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    Delivery, FetchPrekeyBundlesRequest, SendRequest, SubscribeRequest, SubscribeResponse,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tonic::Streaming;

use crate::common::{Clients, Device, Program, postgres_url, reason, service, with_token};
use crate::faults::link::Link;
use crate::faults::people::Person;
use crate::faults::random::Random;
use crate::faults::{check, seeds};

const NODES: usize = 3;

/// Seeds of an ordinary run.
const SEEDS: u64 = 3;

/// Seeds that failed once.
const FAILED_ONCE: [u64; 0] = [];

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_and_hints_die_and_nothing_is_lost() {
    let mut cluster = Cluster::start().await;
    let (mut messages, mut kills, mut repeats) = (0, 0, 0);
    for seed in seeds(SEEDS, &FAILED_ONCE) {
        let mut random = Random::new(seed, 0);
        let clients = cluster.clients().await;
        let mut people = Vec::new();
        let mut links = Vec::new();
        for (n, name) in ["alice", "carol", "bob", "dave"].into_iter().enumerate() {
            let device = Device::named(&format!("{name}-{seed}"));
            let token = device.join(&clients[n % NODES]).await;
            let link = Link::to(cluster.address(random.below(NODES as u64) as usize)).await;
            let random = Random::new(seed, n as u64 + 1);
            people.push(Person::new(device, token, link.address, random));
            links.push(link);
        }
        let receivers = people.split_off(2);
        let recipients: Vec<_> = receivers.iter().map(|person| person.device.clone()).collect();
        let (drain, draining) = watch::channel(false);
        let receiving: Vec<_> = receivers
            .into_iter()
            .map(|mut person| {
                let draining = draining.clone();
                tokio::spawn(async move { (person.receive(draining).await, person.repeats) })
            })
            .collect();
        let sending: Vec<_> = people
            .into_iter()
            .map(|mut person| {
                let (recipients, count) = (recipients.clone(), 60 + random.below(40));
                tokio::spawn(async move { (person.send(&recipients, count).await, person.repeats) })
            })
            .collect();
        for _ in 0..12 {
            tokio::time::sleep(random.micros(1_000..150_000)).await;
            match random.below(4) {
                0 | 1 => {
                    let n = random.below(NODES as u64) as usize;
                    cluster.kill_node(n).await;
                    kills += 1;
                    let others: Vec<_> = (0..NODES).filter(|other| *other != n).collect();
                    for link in &links {
                        link.move_to(cluster.address(others[random.below(2) as usize]));
                    }
                    tokio::time::sleep(random.micros(0..50_000)).await;
                    let node = cluster.start_node(n).await;
                    cluster.nodes[n] = Some(node);
                }
                2 => {
                    cluster.kill_nats().await;
                    tokio::time::sleep(random.micros(0..300_000)).await;
                    cluster.start_nats().await;
                }
                _ => {
                    for link in &links {
                        link.move_to(cluster.address(random.below(NODES as u64) as usize));
                    }
                }
            }
        }
        let mut sent = vec![Vec::new(); recipients.len()];
        for sender in sending {
            let (contents, of_sender) = sender.await.unwrap();
            repeats += of_sender;
            for (of_all, of_one) in sent.iter_mut().zip(contents) {
                messages += of_one.iter().map(Vec::len).sum::<usize>();
                of_all.push(of_one);
            }
        }
        drain.send(true).unwrap();
        for (receiver, sent) in receiving.into_iter().zip(sent) {
            let (received, of_receiver) = receiver.await.unwrap();
            repeats += of_receiver;
            check(&received, &sent);
        }
    }
    println!("{messages} messages, {kills} nodes killed, {repeats} repeats");
    assert!(kills > 0 && repeats > kills, "the kills met nobody");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_a_stream_at_another_node_with_hints_and_without() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    let mut stream = subscribe(&clients[2], &bobs).await;
    assert!(matches!(next(&mut stream, SOON).await, Event::QueueEmpty(_)));
    Device::send_numbers(&clients[0], &alices, &bob, 1..=1).await;
    assert!(matches!(next(&mut stream, SOON).await, Event::Envelope(_)));
    cluster.kill_nats().await;
    Device::send_numbers(&clients[0], &alices, &bob, 2..=2).await;
    assert!(matches!(next(&mut stream, AT_LAST).await, Event::Envelope(_)));
    cluster.start_nats().await;
    Device::send_numbers(&clients[1], &alices, &bob, 3..=3).await;
    assert!(matches!(next(&mut stream, AT_LAST).await, Event::Envelope(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_stream_displaces_the_older_at_whichever_node() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let bob = Device::named("bob");
    let bobs = bob.join(&clients[0]).await;
    let mut older = subscribe(&clients[0], &bobs).await;
    assert!(matches!(next(&mut older, SOON).await, Event::QueueEmpty(_)));
    for (n, patience) in [(1, SOON), (2, SOON), (0, AT_LAST)] {
        if patience == AT_LAST {
            // Now without hints.
            cluster.kill_nats().await;
        }
        let mut newer = subscribe(&clients[n], &bobs).await;
        assert!(matches!(next(&mut newer, SOON).await, Event::QueueEmpty(_)));
        let end = tokio::time::timeout(patience, older.message()).await;
        let status = end.expect("the older stream goes on").unwrap_err();
        assert_eq!(reason(&status), "STREAM_DISPLACED");
        older = newer;
    }
    let quiet = tokio::time::timeout(SOON, older.message()).await;
    assert!(quiet.is_err(), "the newest stream ended: {quiet:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_nodes_hand_out_the_same_prekey() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    for prekeys in [bob.prekeys(1..=60), bob.kem_prekeys(1..=40)] {
        let request = with_token(&bobs, prekeys);
        clients[2].prekeys.clone().publish_prekeys(request).await.unwrap();
    }
    let fetching: Vec<_> = (0..6)
        .map(|n| {
            let (clients, alices, bob) = (clients[n % NODES].clone(), alices.clone(), bob.clone());
            tokio::spawn(async move {
                let mut handed_out = Vec::new();
                for _ in 0..12 {
                    let request = FetchPrekeyBundlesRequest {
                        address: bob.address.to_string(),
                        device_ids: vec![bob.id.as_bytes().to_vec()],
                        ..FetchPrekeyBundlesRequest::default()
                    };
                    let request = with_token(&alices, request);
                    let answer = clients.prekeys.clone().fetch_prekey_bundles(request).await;
                    let bundle = answer.unwrap().into_inner().bundles.remove(0);
                    handed_out.push((bundle.one_time_prekey, bundle.kem_prekey.unwrap().statement));
                }
                handed_out
            })
        })
        .collect();
    let (mut one_time, mut kem) = (Vec::new(), Vec::new());
    for fetcher in fetching {
        for (prekey, statement) in fetcher.await.unwrap() {
            one_time.extend(prekey.map(|prekey| prekey.id));
            kem.push(statement);
        }
    }
    let distinct: HashSet<_> = one_time.iter().collect();
    assert_eq!((one_time.len(), distinct.len()), (60, 60));
    // Beyond the forty, everybody gets the one of last resort.
    let distinct: HashSet<_> = kem.iter().collect();
    assert_eq!((kem.len(), distinct.len()), (72, 41));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_repeated_at_another_node_is_the_same_request() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    for n in 1..=20 {
        let calls = (0..6).map(|call| {
            let request = with_token(&alices, Device::letter(&bob, n, &n.to_be_bytes()));
            let mut mailbox = clients[call % NODES].mailbox.clone();
            tokio::spawn(async move { mailbox.send(request).await })
        });
        let mut receipts = HashSet::new();
        for call in calls.collect::<Vec<_>>() {
            receipts.insert(call.await.unwrap().unwrap().into_inner().receipt_id);
        }
        assert_eq!(receipts.len(), 1);
        let other = with_token(&alices, Device::letter(&bob, n, b"another"));
        let status = clients[n as usize % NODES].mailbox.clone().send(other).await;
        assert_eq!(reason(&status.unwrap_err()), "MESSAGE_ID_CONFLICT");
    }
    let mut stream = subscribe(&clients[2], &bobs).await;
    for n in 1..=20_u64 {
        let Event::Envelope(envelope) = next(&mut stream, SOON).await else {
            panic!("the mailbox holds less than was sent");
        };
        assert_eq!(envelope.ciphertext, n.to_be_bytes());
    }
    assert!(matches!(next(&mut stream, SOON).await, Event::QueueEmpty(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_ephemeral_comes_to_a_stream_at_another_node() {
    let mut cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients[0]).await, bob.join(&clients[1]).await);
    let mut stream = listen(&clients[2], &bobs).await;
    let send = async |n: u64| {
        let ephemeral = Delivery {
            ephemeral: true,
            ..Delivery::default()
        };
        let request = SendRequest {
            delivery: Some(ephemeral),
            ..Device::letter(&bob, n, &n.to_be_bytes())
        };
        clients[0]
            .mailbox
            .clone()
            .send(with_token(&alices, request))
            .await
            .unwrap();
    };
    send(1).await;
    let Event::Envelope(envelope) = next(&mut stream, SOON).await else {
        panic!("not an envelope");
    };
    assert!(envelope.ephemeral);
    assert_eq!(envelope.ciphertext, 1_u64.to_be_bytes());
    // Without a way for it, it is gone, and what is stored comes all the same.
    cluster.kill_nats().await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    send(2).await;
    Device::send_numbers(&clients[0], &alices, &bob, 3..=3).await;
    let Event::Envelope(envelope) = next(&mut stream, AT_LAST).await else {
        panic!("not an envelope");
    };
    assert_eq!((envelope.ephemeral, envelope.ciphertext), (false, b"3".to_vec()));
    cluster.start_nats().await;
    let quiet = tokio::time::timeout(SOON, stream.message()).await;
    assert!(quiet.is_err(), "what was for then came later: {quiet:?}");
}

/// A stream that has said that nothing waits.
async fn listen(clients: &Clients, token: &str) -> Streaming<SubscribeResponse> {
    let mut stream = subscribe(clients, token).await;
    assert!(matches!(next(&mut stream, SOON).await, Event::QueueEmpty(_)));
    stream
}

async fn subscribe(clients: &Clients, token: &str) -> Streaming<SubscribeResponse> {
    let request = with_token(token, SubscribeRequest {});
    let stream = clients.mailbox.clone().subscribe(request).await;
    stream.unwrap().into_inner()
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
