//! Faults by a seed, in front of real servers and real databases: links that fail, processes that are
//! killed. What was acknowledged arrives once, in order, and nothing is lost.
//!
//! A seed decides what the people do, which faults there are and when. Threads and disks have their own
//! time, so a seed that failed may have to be run more than once to fail again.
//!
//! ```text
//! SOTTOVOCE_SEED=17 scripts/with-services cargo test -p sottovoce-server faults      one seed
//! SOTTOVOCE_SEEDS=1000 scripts/with-services cargo test -p sottovoce-server faults   the first thousand
//! ```

pub(crate) mod link;
pub(crate) mod people;
// One and the same for faults that are simulated and for real ones.
#[path = "../../src/simulation/random.rs"]
pub(crate) mod random;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::common::{Clients, Device, Program, Store, postgres_url};
use link::{Link, Way};
use people::{Person, Received};
use random::Random;

/// Seeds of an ordinary run.
const SEEDS: u64 = 16;

/// Seeds that failed once.
const FAILED_ONCE: [u64; 0] = [];

/// Worlds at one time: they mostly wait.
const AT_ONCE: usize = 8;

/// How long a world may take. Most take two seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Seeds to run: the one or the number that the environment names, or the usual ones.
pub(crate) fn seeds(usual: u64, failed_once: &[u64]) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("SOTTOVOCE_SEED"), number("SOTTOVOCE_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(usual))
            .chain(failed_once.iter().copied())
            .collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_each_acknowledged_message_arrives_once_and_in_order() {
    let seeds = seeds(SEEDS, &FAILED_ONCE);
    let (begun, count) = (Instant::now(), seeds.len());
    let seeds = Arc::new(Mutex::new(seeds));
    let mut lanes = JoinSet::new();
    for _ in 0..AT_ONCE.min(count) {
        let seeds = seeds.clone();
        lanes.spawn(async move {
            // One data folder, one database for many worlds: making one takes longer than all else.
            let folder = Arc::new(tempfile::tempdir().unwrap());
            let (mut failed, mut totals) = (Vec::new(), Totals::default());
            loop {
                let Some(seed) = seeds.lock().unwrap().pop() else {
                    return (failed, totals);
                };
                let world = AbortOnDropHandle::new(tokio::spawn(run(seed, folder.clone())));
                match tokio::time::timeout(PATIENCE, world).await {
                    Ok(Ok(counted)) => totals.add(&counted),
                    Ok(Err(panic)) => failed.push(format!("seed {seed}: {panic}")),
                    Err(_) => failed.push(format!("seed {seed}: it hangs")),
                }
                if !failed.is_empty() {
                    // A world that failed leaves its server to be killed whenever it is dropped.
                    return (failed, totals);
                }
            }
        });
    }
    let (mut failed, mut totals) = (Vec::new(), Totals::default());
    while let Some(lane) = lanes.join_next().await {
        let (of_lane, counted) = lane.unwrap();
        failed.extend(of_lane);
        totals.add(&counted);
    }
    println!("{count} seeds in {} s: {totals:?}", begun.elapsed().as_secs());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // The test means nothing unless the faults met calls under way.
    assert!(totals.repeats >= count as u64 / 2, "{totals:?}");
}

/// What happened.
#[derive(Debug, Default)]
struct Totals {
    messages: u64,
    repeats: u64,
    faults: u64,
    kills: u64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.repeats += other.repeats;
        self.faults += other.faults;
        self.kills += other.kills;
    }
}

async fn run(seed: u64, folder: Arc<TempDir>) -> Totals {
    let mut random = Random::new(seed, 0);
    let mut world = World::start(folder).await;
    let clients = Clients::connect(world.program.as_ref().unwrap().address).await;
    let names = ["alice", "carol", "bob", "dave"];
    let mut people = Vec::new();
    for (n, name) in (1..).zip(names) {
        // Accounts of the seed's own.
        let device = Device::named(&format!("{name}-{seed}"));
        let token = device.join(&clients).await;
        people.push(Person::new(
            device,
            token,
            world.link.address,
            Random::new(seed, n),
        ));
    }
    drop(clients);
    let receivers = people.split_off(2);
    let recipients: Vec<_> = receivers.iter().map(|person| person.device.clone()).collect();
    let (drain, draining) = watch::channel(false);
    let receiving: Vec<_> = receivers
        .into_iter()
        .map(|mut person| {
            let draining = draining.clone();
            AbortOnDropHandle::new(tokio::spawn(async move {
                (person.receive(draining).await, person.repeats)
            }))
        })
        .collect();
    let sending: Vec<_> = people
        .into_iter()
        .map(|mut person| {
            let recipients = recipients.clone();
            let messages = 20 + random.below(40);
            AbortOnDropHandle::new(tokio::spawn(async move {
                (person.send(&recipients, messages).await, person.repeats)
            }))
        })
        .collect();

    let mut totals = Totals::default();
    for _ in 0..4 + random.below(8) {
        tokio::time::sleep(random.micros(500..40_000)).await;
        totals.faults += 1;
        totals.kills += u64::from(world.fail(&mut random).await);
    }

    let mut sent = vec![Vec::new(); recipients.len()];
    for sender in sending {
        let (contents, repeats) = sender.await.unwrap();
        totals.repeats += repeats;
        for (of_all, of_one) in sent.iter_mut().zip(contents) {
            totals.messages += of_one.iter().map(|batch| batch.len() as u64).sum::<u64>();
            of_all.push(of_one);
        }
    }
    if debugging() {
        eprintln!(
            "{}",
            std::fs::read_to_string(world.folder.path().join("log")).unwrap()
        );
    }
    drain.send(true).unwrap();
    for (receiver, sent) in receiving.into_iter().zip(sent) {
        let (received, repeats) = receiver.await.unwrap();
        totals.repeats += repeats;
        check(&received, &sent);
    }
    // Its folder is free for the next one only when it is gone.
    world.program.take().unwrap().kill().await;
    totals
}

/// `sent` are the contents of each sender, in their order.
pub(crate) fn check(received: &Received, sent: &[Vec<Vec<Vec<u8>>>]) {
    for batches in sent {
        let place = |content| batches.iter().position(|batch| batch.contains(content));
        let order: Vec<_> = received.order.iter().filter_map(place).collect();
        assert!(order.is_sorted(), "out of order: {order:?}");
        let all = batches.iter().flatten();
        let lost = all.filter(|content| !received.order.contains(content)).count();
        assert_eq!(lost, 0, "acknowledged messages are lost");
    }
    let total = sent.iter().flatten().map(Vec::len).sum::<usize>();
    assert_eq!(received.order.len(), total, "something came that nobody sent");
    for envelopes in received.envelopes.values() {
        assert_eq!(envelopes.len(), 1, "one message came in two envelopes");
    }
}

/// A server process between two links: one to its clients, and on PostgreSQL one to the database.
struct World {
    folder: Arc<TempDir>,
    program: Option<Program>,
    link: Link,
    database: Option<(Link, String)>,
}

impl World {
    async fn start(folder: Arc<TempDir>) -> Self {
        let database = match crate::STORE {
            Store::Sqlite => None,
            Store::Postgres => Some(link_to_postgres(folder.path()).await),
        };
        let program = start(folder.path(), database.as_ref()).await;
        Self {
            link: Link::to(program.address).await,
            folder,
            program: Some(program),
            database,
        }
    }

    /// Has something fail for a while. True when it was the server itself.
    async fn fail(&mut self, random: &mut Random) -> bool {
        let link = match &self.database {
            Some((link, _)) if random.one_in(2) => link,
            _ => &self.link,
        };
        let ways = |random: &mut Random| match random.below(4) {
            0 => Way::Open,
            1 => Way::Still,
            2 => Way::Closed,
            _ => Way::Slow(random.micros(100..20_000)),
        };
        let what = random.below(6);
        if debugging() {
            eprintln!(
                "fault {what}, of the database: {}",
                !std::ptr::eq(link, &self.link)
            );
        }
        match what {
            0 => {
                // `kill -9`, in the middle of whatever it does.
                self.program.take().unwrap().kill().await;
                tokio::time::sleep(random.micros(0..20_000)).await;
                let program = start(self.folder.path(), self.database.as_ref()).await;
                self.link.move_to(program.address);
                self.program = Some(program);
                return true;
            }
            1 => link.cut(),
            2 => {
                link.kill();
                tokio::time::sleep(random.micros(1_000..100_000)).await;
            }
            3 => {
                // Answers are lost: the server does what it is asked, and nobody hears of it.
                link.set(Way::Open, Way::Still);
                tokio::time::sleep(random.micros(1_000..50_000)).await;
                link.cut();
            }
            _ => {
                link.set(ways(random), ways(random));
                tokio::time::sleep(random.micros(1_000..150_000)).await;
                if random.one_in(2) {
                    link.cut();
                }
            }
        }
        link.heal();
        false
    }
}

/// Whether one seed is looked at.
fn debugging() -> bool {
    std::env::var_os("SOTTOVOCE_SEED").is_some()
}

pub(crate) async fn link_to_postgres(folder: &Path) -> (Link, String) {
    let url = postgres_url(folder);
    let (front, rest) = url.rsplit_once('@').unwrap();
    let (address, name) = rest.split_once('/').unwrap();
    let link = Link::to(address.parse().unwrap()).await;
    let url = format!("{front}@{}/{name}", link.address);
    (link, url)
}

async fn start(folder: &Path, database: Option<&(Link, String)>) -> Program {
    let mut command = Program::command(folder);
    // Into a file: a pipe that nobody empties would stop the server.
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    command.stderr(log);
    if let Some((_, url)) = database {
        command.env("SOTTOVOCE_DATABASE", url);
    }
    Program::spawn(command).await
}
