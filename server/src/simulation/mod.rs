//! Streams and their hub on a simulated network: several nodes, virtual time, faults that follow from a
//! seed. What runs is the real hub and the real delivery; the database is a model of one, so that it can
//! live in the same time.
//!
//! ```text
//! SOTTOVOCE_SEED=17 cargo test -p sottovoce-server --lib simulation       one seed
//! SOTTOVOCE_SEEDS=1000 cargo test -p sottovoce-server --lib simulation    the first thousand
//! ```

mod database;
mod limits;
mod node;
mod people;
mod random;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use sottovoce_statements::DeviceId;
use turmoil::{Builder, Sim};

use database::Database;
use node::Bus;
use people::Ledger;
use random::Random;

/// Seeds of an ordinary run.
const SEEDS: u64 = 40;

/// Seeds that failed once.
const FAILED_ONCE: [u64; 0] = [];

/// What a device may have unacknowledged: few, so that it matters.
const WINDOW: u64 = 6;

/// How long there are faults, in virtual time.
const TROUBLE: Duration = Duration::from_secs(30);

/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(600);

const NODES: [&str; 3] = ["node-0", "node-1", "node-2"];
const SENDERS: [DeviceId; 2] = [DeviceId::from_bytes([1; 16]), DeviceId::from_bytes([2; 16])];
const RECEIVERS: [DeviceId; 2] = [DeviceId::from_bytes([11; 16]), DeviceId::from_bytes([12; 16])];

#[test]
fn whatever_the_network_does_streams_deliver_everything_in_order() {
    each_seed(SEEDS, &FAILED_ONCE, run);
}

/// Runs the seeds that were asked for, or else an ordinary run's, and tells which of them failed.
fn each_seed(ordinary: u64, failed_once: &[u64], run: impl Fn(u64)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seeds: Vec<u64> = match (number("SOTTOVOCE_SEED"), number("SOTTOVOCE_SEEDS")) {
        (Some(seed), _) => vec![seed],
        (None, count) => (0..count.unwrap_or(ordinary))
            .chain(failed_once.iter().copied())
            .collect(),
    };
    let failed: Vec<u64> = seeds
        .into_iter()
        .filter(|seed| catch_unwind(AssertUnwindSafe(|| run(*seed))).is_err())
        .collect();
    assert!(failed.is_empty(), "seeds that failed: {failed:?}");
}

fn run(seed: u64) {
    let mut random = Random::new(seed, 0);
    let mut sim = Builder::new()
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(1))
        .min_message_latency(Duration::from_micros(200))
        .max_message_latency(random.millis(2..80))
        .simulation_duration(PATIENCE)
        .tcp_capacity(4096)
        .build();
    let database = Arc::new(Database::new(Random::new(seed, 1)));
    let bus = Arc::new(Bus::new(NODES.len(), Random::new(seed, 2)));
    for (n, name) in NODES.into_iter().enumerate() {
        let (database, bus) = (database.clone(), bus.clone());
        sim.host(name, move || node::serve(n, database.clone(), bus.clone()));
    }
    let ledger = Arc::new(Ledger::default());
    for (n, device) in (3..).zip(SENDERS) {
        let messages = 30 + random.below(60);
        let sending = people::send(device, messages, ledger.clone(), Random::new(seed, n));
        sim.client(format!("sender-{n}"), sending);
    }
    for (n, device) in (5..).zip(RECEIVERS) {
        let (ledger, database) = (ledger.clone(), database.clone());
        let receiving = people::receive(device, ledger, database, Random::new(seed, n));
        sim.client(format!("receiver-{n}"), receiving);
    }
    let mut quiet_until = Duration::ZERO;
    let mut healed = false;
    while !sim.step().unwrap() {
        let now = sim.elapsed();
        if now >= TROUBLE && !healed {
            heal(&mut sim);
            database.set_sick(false);
            bus.set_lossy(false);
            ledger.calm();
            healed = true;
        } else if now >= quiet_until && !healed {
            quiet_until = now + random.millis(20..1_500);
            fail(&mut sim, &database, &bus, &mut random);
        }
    }
    assert_eq!(ledger.lost(), Vec::<Vec<u8>>::new(), "acknowledged and lost");
    assert_eq!(database.left(), 0, "acknowledged and still there");
}

const PEOPLE: [&str; 4] = ["sender-3", "sender-4", "receiver-5", "receiver-6"];

fn fail(sim: &mut Sim<'_>, database: &Database, bus: &Bus, random: &mut Random) {
    let node = NODES[random.below(NODES.len() as u64) as usize];
    let person = PEOPLE[random.below(PEOPLE.len() as u64) as usize];
    match random.below(10) {
        0 => sim.partition(node, person),
        1 => sim.partition_oneway(node, person),
        2 => sim.partition_oneway(person, node),
        3 => sim.hold(node, person),
        4 => {
            sim.crash(node);
            sim.bounce(node);
        }
        5 => database.set_sick(random.one_in(2)),
        6 => bus.set_lossy(random.one_in(2)),
        7 => {
            let device = RECEIVERS[random.below(RECEIVERS.len() as u64) as usize];
            database.end_session(device);
            // By a command on the database, which tells nobody, or through a node.
            if random.one_in(2) {
                bus.tell_of_end(random.below(NODES.len() as u64) as usize, device);
            }
        }
        _ => heal(sim),
    }
}

fn heal(sim: &mut Sim<'_>) {
    for node in NODES {
        for person in PEOPLE {
            sim.repair(node, person);
            sim.release(node, person);
        }
    }
}
