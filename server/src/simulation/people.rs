//! Clients: they repeat until they are answered, and hold the server to what it promises of a stream.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sottovoce_proto::v1::connect_request::Frame;
use sottovoce_proto::v1::connect_response::Frame as Answer;
use sottovoce_proto::v1::send_result::Outcome;
use sottovoce_proto::v1::{
    AcknowledgeRequest, ConnectRequest, ConnectResponse, DeviceMessage, ErrorReason, SendRequest,
};
use sottovoce_statements::DeviceId;
use tokio::io::AsyncWriteExt;
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::database::Database;
use super::node::{PORT, read_frame, write_frame};
use super::random::Random;
use super::{NODES, RECEIVERS, SENDERS, WINDOW};
use crate::store::READ_BYTES;

/// How late the network may bring what it held back.
const LATE: Duration = Duration::from_secs(10);

/// How long a client waits for an answer, and how long for anything in a stream.
const PATIENCE: Duration = Duration::from_secs(3);

/// What everybody knows.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// What was acknowledged to its sender, for each recipient.
    acknowledged: Mutex<HashMap<DeviceId, Vec<Vec<u8>>>>,
    /// What came, in the order in which each came for the first time.
    came: Mutex<HashMap<DeviceId, Vec<Vec<u8>>>>,
    done: AtomicUsize,
    calm: AtomicBool,
}

impl Ledger {
    /// From now on nothing fails any more.
    pub(super) fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    fn nothing_more_is_sent(&self) -> bool {
        self.done.load(Ordering::Relaxed) == SENDERS.len() && self.calm.load(Ordering::Relaxed)
    }

    fn acknowledged(&self, to: DeviceId) -> Vec<Vec<u8>> {
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.get(&to).cloned().unwrap_or_default()
    }

    fn came(&self, to: DeviceId) -> Vec<Vec<u8>> {
        self.came.lock().unwrap().get(&to).cloned().unwrap_or_default()
    }

    pub(super) fn lost(&self) -> Vec<Vec<u8>> {
        let missing = |device: DeviceId| {
            let came: HashSet<_> = self.came(device).into_iter().collect();
            let sent = self.acknowledged(device).into_iter();
            sent.filter(move |content| !came.contains(content))
        };
        RECEIVERS.into_iter().flat_map(missing).collect()
    }
}

struct Connection {
    reading: OwnedReadHalf,
    writing: OwnedWriteHalf,
}

impl Connection {
    async fn open(device: DeviceId, random: &mut Random) -> Option<Self> {
        // As a client should: not at once, when the last one failed at once.
        tokio::time::sleep(random.millis(20..300)).await;
        let node = NODES[random.below(NODES.len() as u64) as usize];
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect((node, PORT))).await;
        let (reading, mut writing) = connecting.ok()?.ok()?.into_split();
        writing.write_all(device.as_bytes()).await.ok()?;
        Some(Self { reading, writing })
    }

    async fn say(&mut self, frame: Frame) -> Option<()> {
        let request = ConnectRequest { frame: Some(frame) };
        tokio::time::timeout(PATIENCE, write_frame(&mut self.writing, &request))
            .await
            .ok()?
    }

    /// What comes next; none when the connection has ended, or is silent for this long.
    async fn next(&mut self, patience: Duration) -> Option<Answer> {
        let reading = read_frame::<ConnectResponse>(&mut self.reading);
        tokio::time::timeout(patience, reading).await.ok()??.frame
    }
}

/// Sends messages one after the other, each until it is acknowledged.
pub(super) async fn send(
    device: DeviceId,
    messages: u64,
    ledger: Arc<Ledger>,
    mut random: Random,
) -> turmoil::Result {
    let mut connection = None;
    for number in 0..messages {
        let to = RECEIVERS[random.below(RECEIVERS.len() as u64) as usize];
        let mut content = device.as_bytes().to_vec();
        content.extend(number.to_be_bytes());
        if random.one_in(4) {
            // A few of these are more than is read at a time.
            content.resize(READ_BYTES / 3, 0);
        }
        let mut client_message_id = device.as_bytes()[..8].to_vec();
        client_message_id.extend(number.to_be_bytes());
        let request = SendRequest {
            client_message_id,
            messages: vec![DeviceMessage {
                device_id: to.as_bytes().to_vec(),
                ciphertext: content.clone(),
            }],
            ..SendRequest::default()
        };
        loop {
            if connection.is_none() {
                connection = Connection::open(device, &mut random).await;
            }
            let Some(open) = connection.as_mut() else { continue };
            match ask(open, &request).await {
                Some(true) => break,
                Some(false) => {}
                None => connection = None,
            }
        }
        ledger
            .acknowledged
            .lock()
            .unwrap()
            .entry(to)
            .or_default()
            .push(content);
        tokio::time::sleep(random.millis(0..600)).await;
    }
    ledger.done.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// Whether it was taken; none when the connection is of no more use.
async fn ask(connection: &mut Connection, request: &SendRequest) -> Option<bool> {
    connection.say(Frame::Send(request.clone())).await?;
    loop {
        match connection.next(PATIENCE).await? {
            Answer::Result(result) if result.client_message_id == request.client_message_id => {
                return Some(matches!(result.outcome, Some(Outcome::Taken(_))));
            }
            Answer::Result(result) if result.client_message_id.is_empty() => return None,
            _ => {}
        }
    }
}

/// Receives and acknowledges until all that was sent has come, then checks that a newer stream displaces
/// and that the end of a session is the end of its stream.
pub(super) async fn receive(
    device: DeviceId,
    ledger: Arc<Ledger>,
    database: Arc<Database>,
    mut random: Random,
) -> turmoil::Result {
    loop {
        let over = ledger.nothing_more_is_sent();
        let Some(connection) = Connection::open(device, &mut random).await else {
            continue;
        };
        if listen(connection, device, &ledger, &mut random).await == Some(Nothing) && over {
            break;
        }
    }
    in_order(&ledger.came(device));
    // What the network held of streams that were given up has come by then, and has displaced whom it will.
    tokio::time::sleep(LATE).await;
    displace(device, &mut random).await;
    end_session(device, &database, &mut random).await;
    Ok(())
}

/// Nothing was waiting when the stream began.
#[derive(PartialEq)]
struct Nothing;

/// One stream, until it ends or is silent.
async fn listen(
    mut connection: Connection,
    device: DeviceId,
    ledger: &Ledger,
    random: &mut Random,
) -> Option<Nothing> {
    let waiting = ledger.acknowledged(device);
    let mut in_this_stream = HashSet::new();
    let mut unacknowledged: Vec<Vec<u8>> = Vec::new();
    let mut empty = false;
    loop {
        if random.one_in(40) {
            // Somebody who does not read.
            tokio::time::sleep(random.millis(0..4_000)).await;
        }
        match connection.next(PATIENCE).await? {
            Answer::Envelope(envelope) => {
                let id = envelope.envelope_id;
                assert!(in_this_stream.insert(id.clone()), "twice in one stream");
                unacknowledged.push(id);
                assert!(unacknowledged.len() as u64 <= WINDOW, "more than the window");
                let mut came = ledger.came.lock().unwrap();
                let came = came.entry(device).or_default();
                if !came.contains(&envelope.ciphertext) {
                    came.push(envelope.ciphertext);
                }
            }
            Answer::QueueEmpty(_) => {
                assert!(!empty, "queue_empty came twice");
                empty = true;
                let came = ledger.came(device);
                let early = waiting.iter().find(|content| !came.contains(content));
                assert!(early.is_none(), "queue_empty came before what was waiting");
                if in_this_stream.is_empty() {
                    return Some(Nothing);
                }
            }
            Answer::Result(_) => return None,
            Answer::PrekeysLow(_) => {}
        }
        let all = unacknowledged.len() as u64 == WINDOW || random.one_in(3);
        if all && !unacknowledged.is_empty() {
            let envelope_ids = std::mem::take(&mut unacknowledged);
            let frame = Frame::Acknowledge(AcknowledgeRequest { envelope_ids });
            connection.say(frame).await?;
        }
    }
}

/// Each sender's messages come in the order of their numbers.
fn in_order(came: &[Vec<u8>]) {
    for sender in SENDERS {
        let of_sender = came
            .iter()
            .filter(|content| content.starts_with(sender.as_bytes()));
        let numbers: Vec<_> = of_sender.map(|content| content[16..24].to_vec()).collect();
        assert!(numbers.is_sorted(), "out of order");
    }
}

/// On a network that works: whichever nodes two streams are at, the newer one ends the older.
async fn displace(device: DeviceId, random: &mut Random) {
    let mut older = opened(device, random).await;
    for _ in 0..3 {
        let mut newer = opened(device, random).await;
        assert_eq!(end_of(&mut older).await, ErrorReason::StreamDisplaced);
        let quiet = newer.next(Duration::from_secs(5)).await;
        assert!(quiet.is_none(), "the newer stream is told {quiet:?}");
        older = newer;
    }
}

/// On a network that works, and told to nobody: each stream ends with the session it rests on, and the next
/// session has a stream that stays.
async fn end_session(device: DeviceId, database: &Database, random: &mut Random) {
    let mut stream = opened(device, random).await;
    for _ in 0..3 {
        database.end_session(device);
        assert_eq!(end_of(&mut stream).await, ErrorReason::TokenInvalid);
        stream = opened(device, random).await;
        let quiet = stream.next(Duration::from_secs(5)).await;
        assert!(quiet.is_none(), "the next stream is told {quiet:?}");
    }
}

async fn end_of(stream: &mut Connection) -> ErrorReason {
    let end = loop {
        match stream.next(Duration::from_secs(20)).await {
            Some(Answer::Result(end)) => break end.outcome,
            Some(_) => {}
            None => panic!("the stream goes on, or ends without a reason"),
        }
    };
    match end {
        Some(Outcome::Refused(refused)) => refused.reason(),
        other => panic!("{other:?}"),
    }
}

/// A stream that has said `queue_empty`.
async fn opened(device: DeviceId, random: &mut Random) -> Connection {
    loop {
        if let Some(mut connection) = Connection::open(device, random).await
            && matches!(connection.next(PATIENCE).await, Some(Answer::QueueEmpty(_)))
        {
            return connection;
        }
    }
}
