//! A node: the real hub and the real delivery behind a listener of the simulated network.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use prost::bytes::Bytes;
use sottovoce_proto::v1::connect_request::Frame;
use sottovoce_proto::v1::connect_response::Frame as Answer;
use sottovoce_proto::v1::{ConnectRequest, ConnectResponse, ErrorReason, Refused, SendResult, send_result};
use sottovoce_statements::DeviceId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use turmoil::net::{TcpListener, TcpStream};

use super::database::Database;
use super::random::Random;
use super::{NODES, WINDOW};
use crate::hints::{Outbox, Outgoings};
use crate::hub::{Hub, News, Seat};
use crate::stream::{Delivery, Saying};
use crate::watch::judge;

pub(super) const PORT: u16 = 7443;

/// How often a node looks after streams whose hints were lost.
const WATCH: Duration = Duration::from_secs(2);

/// The way of hints between nodes. Some are late, and some are lost.
pub(super) struct Bus {
    hubs: Mutex<Vec<Option<Hub>>>,
    random: Mutex<Random>,
    lossy: AtomicBool,
}

impl Bus {
    pub(super) fn new(nodes: usize, random: Random) -> Self {
        Self {
            hubs: Mutex::new(vec![None; nodes]),
            random: Mutex::new(random),
            lossy: AtomicBool::new(false),
        }
    }

    /// Tells a node that a session of the device has ended, as if it was ended through this node.
    pub(super) fn tell_of_end(&self, node: usize, device: DeviceId) {
        let hub = self.hubs.lock().unwrap()[node].clone();
        if let Some(hub) = hub {
            hub.tell(vec![News::End(device, ErrorReason::TokenInvalid)]);
        }
    }

    pub(super) fn set_lossy(&self, lossy: bool) {
        self.lossy.store(lossy, Ordering::Relaxed);
    }

    async fn carry(self: Arc<Self>, from: usize, mut hints: Outgoings) {
        while let Some(hint) = hints.recv().await {
            let hint = hint.hint;
            for to in (0..NODES.len()).filter(|to| *to != from) {
                let (time, lost) = {
                    let mut random = self.random.lock().unwrap();
                    let lossy = self.lossy.load(Ordering::Relaxed);
                    (random.millis(1..40), lossy && random.one_in(2))
                };
                let (bus, hint) = (self.clone(), hint.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    let hub = bus.hubs.lock().unwrap()[to].clone();
                    if let (Some(hub), false) = (hub, lost) {
                        hub.hear([hint].into_iter());
                    }
                });
            }
        }
    }
}

pub(super) async fn serve(n: usize, database: Arc<Database>, bus: Arc<Bus>) -> turmoil::Result {
    let (outbox, hints) = Outbox::new();
    let hub = Hub::new(100, outbox);
    bus.hubs.lock().unwrap()[n] = Some(hub.clone());
    tokio::spawn(bus.carry(n, hints));
    tokio::spawn(watch(hub.clone(), database.clone()));
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(connect(connection, hub.clone(), database.clone()));
    }
}

/// As `crate::watch` does.
async fn watch(hub: Hub, database: Arc<Database>) {
    loop {
        tokio::time::sleep(WATCH).await;
        let mut streams = hub.progress();
        streams.sort_by_key(|stream| stream.device);
        for stream in streams {
            if let Ok(state) = database.state(stream.device, stream.grounds).await
                && let Some(missed) = judge(&stream, Some(&state))
            {
                hub.correct(&stream, missed);
            }
        }
    }
}

/// One connection: the device's id, then frames both ways, as `Connect` has them.
async fn connect(connection: TcpStream, hub: Hub, database: Arc<Database>) {
    let (mut reading, writing) = connection.into_split();
    let mut id = [0; 16];
    if reading.read_exact(&mut id).await.is_err() {
        return;
    }
    let device = DeviceId::from_bytes(id);
    let Some(seat) = sit_down(device, &hub, &database).await else {
        return;
    };
    let (answers, outgoing) = mpsc::channel(64);
    let delivery = Delivery::new(database.clone(), Arc::default(), seat, WINDOW);
    let _writing = AbortOnDropHandle::new(tokio::spawn(write(writing, outgoing)));
    let taking = take(reading, device, hub, database, &answers);
    tokio::pin!(taking);
    let reason = tokio::select! {
        biased;
        reason = delivery.run(&answers) => reason,
        () = &mut taking => return,
    };
    // What the client is told last: why it was. In this small protocol, as a result without an id.
    let _ = answers.send(refused(Vec::new(), reason.into())).await;
    // Time to be written, unless the client has gone.
    let _ = tokio::time::timeout(Duration::from_secs(5), taking).await;
}

/// As `crate::stream::open` does.
async fn sit_down(device: DeviceId, hub: &Hub, database: &Database) -> Option<Seat> {
    let grounds = database.grounds(device).await.ok()?;
    let place = hub.reserve(device).ok()?;
    let epoch = database.open_stream(device, grounds).await.ok()??;
    let seat = place.sit(epoch, grounds);
    let state = database.state(device, grounds).await.ok()?;
    state.stands.then(|| hub.opened(device, epoch))?;
    Some(seat)
}

/// Does what the client asks, until it has gone.
async fn take(
    mut reading: OwnedReadHalf,
    device: DeviceId,
    hub: Hub,
    database: Arc<Database>,
    answers: &Saying<ConnectResponse>,
) {
    while let Some(request) = read_frame::<ConnectRequest>(&mut reading).await {
        match request.frame {
            Some(Frame::Send(send)) => {
                let number = u64::from_be_bytes(send.client_message_id[8..].try_into().unwrap());
                let message = &send.messages[0];
                let to = DeviceId::from_bytes(message.device_id.as_slice().try_into().unwrap());
                let taken = database
                    .deposit(device, number, to, message.ciphertext.clone())
                    .await;
                let answer = match taken {
                    Ok(new) => {
                        if let Some(envelope) = new {
                            hub.tell(vec![match hub.has_stream(&to) {
                                true => News::Fresh(to, envelope),
                                false => News::Look(to),
                            }]);
                        }
                        let taken = send_result::Outcome::Taken(Default::default());
                        result(send.client_message_id, taken)
                    }
                    Err(_) => refused(send.client_message_id, 23),
                };
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
            Some(Frame::Acknowledge(acknowledge)) => {
                let ids = acknowledge.envelope_ids;
                if database.acknowledge(device, &ids).await.is_err() {
                    return;
                }
                let ids = ids.iter().map(|id| id.as_slice().try_into().unwrap()).collect();
                hub.tell(vec![News::Acknowledged(device, ids)]);
            }
            None => return,
        }
    }
}

fn refused(client_message_id: Vec<u8>, reason: i32) -> Box<ConnectResponse> {
    let refused = Refused {
        reason,
        ..Refused::default()
    };
    result(client_message_id, send_result::Outcome::Refused(refused))
}

fn result(client_message_id: Vec<u8>, outcome: send_result::Outcome) -> Box<ConnectResponse> {
    Box::new(ConnectResponse {
        frame: Some(Answer::Result(SendResult {
            client_message_id,
            outcome: Some(outcome),
        })),
    })
}

async fn write(mut writing: OwnedWriteHalf, mut outgoing: mpsc::Receiver<Box<ConnectResponse>>) {
    while let Some(answer) = outgoing.recv().await {
        if write_frame(&mut writing, &*answer).await.is_none() {
            return;
        }
    }
}

pub(super) async fn write_frame(writing: &mut OwnedWriteHalf, message: &impl Message) -> Option<()> {
    let body = message.encode_to_vec();
    writing.write_all(&(body.len() as u32).to_be_bytes()).await.ok()?;
    writing.write_all(&body).await.ok()
}

pub(super) async fn read_frame<M: Message + Default>(reading: &mut OwnedReadHalf) -> Option<M> {
    let mut length = [0; 4];
    reading.read_exact(&mut length).await.ok()?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    reading.read_exact(&mut body).await.ok()?;
    M::decode(Bytes::from(body)).ok()
}
