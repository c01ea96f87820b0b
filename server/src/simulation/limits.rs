//! Limits under a flood: the real rates, bodies and turns on a simulated network, with people who ask now and
//! then beside three accounts that do all they can to have the server to themselves: one asks all the time, two
//! never finish asking, and have announced between them as much as the server holds.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sottovoce_statements::DeviceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use turmoil::Builder;
use turmoil::net::{TcpListener, TcpStream};

use super::each_seed;
use super::node::PORT;
use super::random::Random;
use crate::auth::Origin;
use crate::calls::Call;
use crate::limits::{BODY_UNIT, Limits, MAX_MAILBOX_REQUEST_LEN};
use crate::pace::Pace;
use crate::rates::{Rate, RateLimits, Rates};
use crate::store::{Caller, Grounds};
use crate::turns::Turns;

/// Seeds of an ordinary run.
const SEEDS: u64 = 5;

/// How long there is a flood, in virtual time.
const FLOOD: Duration = Duration::from_secs(30);

/// How long a call may take, as at the gate.
const TIME: Duration = Duration::from_secs(15);

/// How long an answer may take for who keeps to the rules: it waits for a few others' work, and the network.
const SOON: Duration = Duration::from_secs(2);

/// What a device may do at once, and then a minute.
const RATE: Rate = Rate::new(30, 300);

const NODE: &str = "node";
const SEND: &str = "/sottovoce.v1.MailboxService/Send";

const DONE: u8 = 0;
const RATE_LIMITED: u8 = 1;

/// People with one device each.
const PEOPLE: u8 = 6;

/// The row numbers of the others' accounts, and their devices.
const MALLORYS: i64 = 100;
const MALLORYS_DEVICES: std::ops::Range<u8> = 100..104;
const TRUDYS: i64 = 200;
const TRUDYS_DEVICES: std::ops::Range<u8> = 200..204;
const WALTERS: i64 = 210;
const WALTERS_DEVICES: std::ops::Range<u8> = 210..214;

/// What each of these does at a time.
const CONNECTIONS: usize = 8;

/// Calls answered, of each device.
type Answered = Arc<Mutex<HashMap<DeviceId, u32>>>;

#[test]
fn a_flood_gets_no_more_than_its_rate_and_keeps_nobody_waiting() {
    each_seed(SEEDS, &[], run);
}

fn run(seed: u64) {
    let mut random = Random::new(seed, 0);
    let mut sim = Builder::new()
        .rng_seed(seed)
        .enable_random_order()
        .tick_duration(Duration::from_millis(1))
        .max_message_latency(random.millis(2..80))
        .simulation_duration(FLOOD * 3)
        .tcp_capacity(4096)
        .build();
    let answered = Answered::default();
    let (of_node, work) = (answered.clone(), Random::new(seed, 1));
    sim.host(NODE, move || serve(of_node.clone(), work.clone()));
    for person in 1..=PEOPLE {
        let asking = ask_now_and_then(caller(person, person.into()), Random::new(seed, person.into()));
        sim.client(format!("person-{person}"), asking);
    }
    for device in MALLORYS_DEVICES {
        let mallory = caller(device, MALLORYS);
        sim.host(format!("mallory-{device}"), move || flood(mallory.clone()));
    }
    for (account, devices) in [(TRUDYS, TRUDYS_DEVICES), (WALTERS, WALTERS_DEVICES)] {
        for device in devices {
            let trickling = caller(device, account);
            sim.host(format!("trickling-{device}"), move || trickle(trickling.clone()));
        }
    }
    sim.run().unwrap();
    let answered = answered.lock().unwrap();
    let minutes = sim.elapsed().as_secs_f64() / 60.0;
    let most = f64::from(RATE.burst) + minutes * f64::from(RATE.per_minute) + 1.0;
    for device in MALLORYS_DEVICES {
        let device = caller(device, MALLORYS).device;
        let got = answered.get(&device).copied().unwrap_or_default();
        assert!(got > RATE.burst && f64::from(got) <= most, "{got} of {most}");
    }
}

fn caller(device: u8, account: i64) -> Caller {
    Caller {
        device: DeviceId::from_bytes([device; 16]),
        account,
        grounds: Grounds {
            session: [device; 16],
            breaks: 0,
        },
        identity_key: [0; 32],
        address: "a@b.example".to_owned(),
        origin: Origin(None),
        expires_at_ms: 0,
    }
}

struct Node {
    rates: Rates,
    turns: Turns,
    random: Mutex<Random>,
    answered: Answered,
}

async fn serve(answered: Answered, random: Random) -> turmoil::Result {
    let rates = RateLimits {
        sends_per_device: RATE,
        ..RateLimits::default()
    };
    let limits = Limits {
        max_calls: 4,
        max_calls_per_account: 2,
        max_calls_per_device: 1,
        ..Limits::default()
    };
    let node = Arc::new(Node {
        rates: Rates::new(&rates),
        turns: Turns::new(&limits),
        random: Mutex::new(random),
        answered,
    });
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (connection, _) = listener.accept().await?;
        let node = node.clone();
        tokio::spawn(async move {
            // Whoever takes too long is cut, as at the gate.
            let _ = timeout(TIME, node.answer(connection)).await;
        });
    }
}

impl Node {
    /// One call: who it is, how long its body is, the body. As `crate::gate` does.
    async fn answer(&self, mut connection: TcpStream) -> io::Result<()> {
        let device = connection.read_u8().await?;
        let caller = caller(device, connection.read_i64().await?);
        let send = Call::at(SEND).unwrap();
        if self.rates.call_of_device(send, caller.device).is_err() {
            return connection.write_all(&[RATE_LIMITED]).await;
        }
        let held = self.turns.bodies.begin(caller.account).await;
        let length = connection.read_u32().await? as usize;
        let mut held = held.announced(caller.account, length).await;
        let limits = Limits::default();
        let mut pace = Pace::new(limits.body_timeout, limits.min_body_rate);
        let (mut had, mut piece) = (0, [0; 1024]);
        while had < length {
            let most = (length - had).min(piece.len());
            let read = pace.wait(connection.read(&mut piece[..most])).await;
            let read = read.map_err(io::Error::other)??;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            pace.moved(read);
            had += read;
            held.take_in(had).await;
        }
        held.whole().await;
        let _turn = self.turns.of_device(&caller).await;
        let work = self.random.lock().unwrap().millis(5..60);
        tokio::time::sleep(work).await;
        *self.answered.lock().unwrap().entry(caller.device).or_default() += 1;
        connection.write_all(&[DONE]).await
    }
}

async fn begin(caller: &Caller, length: usize) -> io::Result<TcpStream> {
    let mut connection = TcpStream::connect((NODE, PORT)).await?;
    connection.write_u8(caller.device.as_bytes()[0]).await?;
    connection.write_i64(caller.account).await?;
    connection.write_u32(u32::try_from(length).unwrap()).await?;
    Ok(connection)
}

async fn call(caller: &Caller, length: usize) -> io::Result<u8> {
    let mut connection = begin(caller, length).await?;
    connection.write_all(&vec![0; length]).await?;
    connection.read_u8().await
}

/// Somebody who is always answered, and soon.
async fn ask_now_and_then(caller: Caller, mut random: Random) -> turmoil::Result {
    // Until then the flood rises.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begun = Instant::now();
    while begun.elapsed() < FLOOD {
        let asked = Instant::now();
        let length = random.below(2 * BODY_UNIT as u64) as usize;
        let answer = timeout(SOON, call(&caller, length)).await;
        assert!(
            matches!(answer, Ok(Ok(DONE))),
            "{answer:?} after {:?}",
            asked.elapsed()
        );
        tokio::time::sleep(random.millis(300..3_000)).await;
    }
    Ok(())
}

/// Calls as fast as they are answered: nothing deters her.
async fn flood(mallory: Caller) -> turmoil::Result {
    for _ in 0..CONNECTIONS {
        let mallory = mallory.clone();
        tokio::spawn(async move {
            loop {
                let _ = call(&mallory, 100).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    std::future::pending().await
}

/// Calls whose bodies are the longest there may be, and come a byte at a time.
async fn trickle(trudy: Caller) -> turmoil::Result {
    for _ in 0..CONNECTIONS {
        let trudy = trudy.clone();
        tokio::spawn(async move {
            loop {
                if let Ok(mut connection) = begin(&trudy, MAX_MAILBOX_REQUEST_LEN).await {
                    while connection.write_all(&[0]).await.is_ok() {
                        tokio::time::sleep(Duration::from_secs(3)).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    std::future::pending().await
}
