//! Who is listening: at most one stream per device, and what it is told.
//!
//! The database is the truth. A stream that has delivered everything before is handed what was just
//! committed, so that it need not read it again; any other is only told to look. What is handed over is
//! bounded: beyond that a stream looks into the database like everybody else.

mod inbox;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use sottovoce_statements::DeviceId;

use crate::auth::Callers;
use crate::hints::{Hint, Outbox};
use crate::store::{Grounds, StoredEnvelope};
use crate::watch::Missed;
use inbox::Inbox;

pub(crate) use inbox::Inbound;

/// The streams that are open.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    seats: Arc<Mutex<Seats>>,
    max_streams: usize,
    /// Where the other nodes hear of what happens here.
    others: Outbox,
    callers: Callers,
}

/// Something that became true for a device.
#[derive(Debug)]
pub(crate) enum News {
    /// There may be something in the mailbox.
    Look(DeviceId),
    /// This was just put into the mailbox.
    Fresh(DeviceId, StoredEnvelope),
    /// These were acknowledged.
    Acknowledged(DeviceId, Vec<[u8; 16]>),
    /// One-time prekeys are running out.
    PrekeysLow(DeviceId, PrekeysLow),
    /// Some of the device's access tokens are void; its stream goes on.
    TokensVoid(DeviceId),
    /// The device may not listen any more, and some of its access tokens are void, or all.
    End(DeviceId, ErrorReason),
}

/// One stream's place in the hub; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Hub,
    device: DeviceId,
    number: u64,
    inbox: Arc<Inbox>,
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) device: DeviceId,
    /// Which of this node's streams it is.
    pub(crate) number: u64,
    /// Which of the device's streams it is; a higher one is newer.
    pub(crate) epoch: i64,
    pub(crate) grounds: Grounds,
    /// The sequence of the last envelope it delivered.
    pub(crate) delivered: i64,
    /// It waits for acknowledgements.
    pub(crate) stuck: bool,
}

/// Room for one stream of a device, kept until it sits down or is given up. It displaces nobody.
#[derive(Debug)]
pub(crate) struct Place {
    hub: Hub,
    device: DeviceId,
}

/// As many streams are open as the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no stream is free")]
pub(crate) struct HubFull;

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<DeviceId, Taken>,
    /// How many are about to sit down, of each device. They are calls being answered: few.
    reserved: HashMap<DeviceId, usize>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    epoch: i64,
    grounds: Grounds,
    inbox: Arc<Inbox>,
}

impl Hub {
    pub(crate) fn new(max_streams: usize, others: Outbox) -> Self {
        Self {
            seats: Arc::default(),
            max_streams,
            others,
            callers: Callers::new(),
        }
    }

    /// Whose tokens were good a moment ago: it learns of revocations here.
    pub(crate) fn callers(&self) -> &Callers {
        &self.callers
    }

    /// Room for a stream of the device: what is done to begin one is not done for nothing.
    pub(crate) fn reserve(&self, device: DeviceId) -> Result<Place, HubFull> {
        let mut seats = lock(&self.seats);
        if !seats.has(&device) && seats.used() >= self.max_streams {
            return Err(HubFull);
        }
        *seats.reserved.entry(device).or_default() += 1;
        Ok(Place {
            hub: self.clone(),
            device,
        })
    }

    fn seat(&self, device: DeviceId, epoch: i64, grounds: Grounds) -> Seat {
        let mut seats = lock(&self.seats);
        let number = seats.next;
        seats.next += 1;
        let inbox = Arc::<Inbox>::default();
        if seats.taken.get(&device).is_some_and(|taken| taken.epoch > epoch) {
            // Two were opened at one time, and the database counted the other as the newer.
            inbox.end(ErrorReason::StreamDisplaced);
            return Seat {
                hub: self.clone(),
                device,
                number,
                inbox,
            };
        }
        let taken = Taken {
            number,
            epoch,
            grounds,
            inbox: inbox.clone(),
        };
        if let Some(older) = seats.taken.insert(device, taken) {
            older.inbox.end(ErrorReason::StreamDisplaced);
        }
        Seat {
            hub: self.clone(),
            device,
            number,
            inbox,
        }
    }

    /// Whether a stream of the device is open here just now.
    pub(crate) fn has_stream(&self, device: &DeviceId) -> bool {
        lock(&self.seats).taken.contains_key(device)
    }

    /// How many streams are open here.
    pub(crate) fn streams(&self) -> usize {
        lock(&self.seats).taken.len()
    }

    /// Tells streams what has become true, here and at the other nodes.
    pub(crate) fn tell(&self, news: Vec<News>) {
        for news in &news {
            if let Some(hint) = news.hint() {
                self.others.put(|| hint);
            }
        }
        self.tell_here(news);
    }

    /// Tells streams of this node.
    pub(crate) fn tell_here(&self, news: impl IntoIterator<Item = News>) {
        let seats = lock(&self.seats);
        for news in news {
            if let News::End(device, _) | News::TokensVoid(device) = &news {
                self.callers.forget(device);
            }
            if let Some(taken) = seats.taken.get(&news.device()) {
                match news {
                    News::End(_, reason) => taken.inbox.end(reason),
                    News::TokensVoid(_) => {}
                    other => taken.inbox.put(|inbound| inbound.take_in(other)),
                }
            }
        }
    }

    /// Tells a stream what it has missed. Another may have taken its place since it was looked at, and is told
    /// nothing.
    pub(crate) fn correct(&self, stream: &Progress, missed: Missed) {
        let seats = lock(&self.seats);
        let taken = seats.taken.get(&stream.device);
        if let Some(taken) = taken.filter(|taken| taken.number == stream.number) {
            match missed {
                Missed::Mail => taken.inbox.put(|inbound| inbound.look = true),
                Missed::End(reason) => {
                    self.callers.forget(&stream.device);
                    taken.inbox.end(reason);
                }
            }
        }
    }

    /// Hands a message that is never stored to the stream of the device, wherever it is open.
    pub(crate) fn hand_over(&self, device: DeviceId, envelope: Envelope) {
        if let Some(envelope) = self.hand_over_here(device, envelope) {
            self.others.put(|| Hint::Ephemeral(device, envelope));
        }
    }

    /// Gives the message back when no stream is open here.
    fn hand_over_here(&self, device: DeviceId, envelope: Envelope) -> Option<Envelope> {
        let seats = lock(&self.seats);
        let Some(taken) = seats.taken.get(&device) else {
            return Some(envelope);
        };
        taken.inbox.put(|inbound| {
            if inbound.make_room(envelope.ciphertext.len()) {
                inbound.ephemeral.push_back(envelope);
            }
        });
        None
    }

    /// Has the other nodes end older streams of the device.
    pub(crate) fn opened(&self, device: DeviceId, epoch: i64) {
        self.others.put(|| Hint::Opened(device, epoch));
    }

    /// Takes in what another node tells.
    pub(crate) fn hear(&self, hints: impl Iterator<Item = Hint>) {
        for hint in hints {
            match hint {
                Hint::Look(device) => self.tell_here([News::Look(device)]),
                Hint::End(device, reason) => self.tell_here([News::End(device, reason)]),
                Hint::PrekeysLow(device, low) => self.tell_here([News::PrekeysLow(device, low)]),
                Hint::TokensVoid(device) => self.tell_here([News::TokensVoid(device)]),
                Hint::Opened(device, epoch) => self.end_older(device, epoch),
                Hint::Ephemeral(device, envelope) => drop(self.hand_over_here(device, envelope)),
            }
        }
    }

    fn end_older(&self, device: DeviceId, epoch: i64) {
        if let Some(taken) = lock(&self.seats).taken.get(&device)
            && taken.epoch < epoch
        {
            taken.inbox.end(ErrorReason::StreamDisplaced);
        }
    }

    /// How far each stream of this node has come.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        let seats = lock(&self.seats);
        let streams = seats.taken.iter().map(|(device, taken)| {
            let (delivered, stuck) = taken.inbox.noted();
            Progress {
                device: *device,
                number: taken.number,
                epoch: taken.epoch,
                grounds: taken.grounds,
                delivered,
                stuck,
            }
        });
        streams.collect()
    }
}

impl Seats {
    fn has(&self, device: &DeviceId) -> bool {
        self.taken.contains_key(device) || self.reserved.contains_key(device)
    }

    /// Devices that have a stream or room for one.
    fn used(&self) -> usize {
        let reserved = self.reserved.keys();
        self.taken.len() + reserved.filter(|device| !self.taken.contains_key(device)).count()
    }
}

impl Place {
    /// Takes the device's one seat. Whoever sat there learns that it was displaced. `epoch` is which of
    /// the device's streams it is, where several nodes count them; 0 otherwise. Whoever takes it looks
    /// after that whether its `grounds` still stand: what ended them before has told nobody here.
    pub(crate) fn sit(self, epoch: i64, grounds: Grounds) -> Seat {
        self.hub.seat(self.device, epoch, grounds)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut seats = lock(&self.hub.seats);
        if let Some(count) = seats.reserved.get_mut(&self.device) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                seats.reserved.remove(&self.device);
            }
        }
    }
}

impl News {
    fn device(&self) -> DeviceId {
        match self {
            Self::Look(device)
            | Self::Fresh(device, _)
            | Self::Acknowledged(device, _)
            | Self::PrekeysLow(device, _)
            | Self::TokensVoid(device)
            | Self::End(device, _) => *device,
        }
    }

    /// What of it the other nodes should know.
    fn hint(&self) -> Option<Hint> {
        match self {
            Self::Look(device) => Some(Hint::Look(*device)),
            // Its stream is here.
            Self::Fresh(..) => None,
            Self::PrekeysLow(device, low) => Some(Hint::PrekeysLow(*device, *low)),
            Self::TokensVoid(device) => Some(Hint::TokensVoid(*device)),
            Self::Acknowledged(device, _) => Some(Hint::Look(*device)),
            Self::End(device, reason) => Some(Hint::End(*device, *reason)),
        }
    }
}

impl Seat {
    /// Whose it is.
    pub(crate) fn device(&self) -> &DeviceId {
        &self.device
    }

    /// What came since this was last asked; waits until there is something.
    pub(crate) async fn inbound(&self) -> Inbound {
        self.inbox.told().await
    }

    /// Returns when the stream has to end, and why.
    pub(crate) async fn ended(&self) -> ErrorReason {
        self.inbox.ended().await
    }

    /// Says how far the stream has come, for those who look after it.
    pub(crate) fn note(&self, delivered: i64, stuck: bool) {
        self.inbox.note(delivered, stuck);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = lock(&self.hub.seats);
        if seats
            .taken
            .get(&self.device)
            .is_some_and(|taken| taken.number == self.number)
        {
            seats.taken.remove(&self.device);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
