//! Who is listening: at most one stream per device, and what it is told.
//!
//! The database is the truth. A stream that has delivered everything before is handed what was just
//! committed, so that it need not read it again; any other is only told to look. What is handed over is
//! bounded: beyond that a stream looks into the database like everybody else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_proto::v1::{Envelope, ErrorReason, PrekeysLow};
use sottovoce_statements::DeviceId;
use tokio::sync::Notify;

use crate::limits::MAX_ACKNOWLEDGED;
use crate::store::StoredEnvelope;

/// Envelopes handed to one stream and not yet taken.
const MAX_FRESH: usize = 32;

/// Their bytes, and those of messages that are never stored.
const MAX_FRESH_LEN: usize = 256 * 1024;

/// The streams that are open.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    seats: Arc<Mutex<Seats>>,
    max_streams: usize,
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
    /// The device may not listen any more.
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

/// What a stream is told, all that came since it last asked.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    /// Just committed, in the order of their sequence.
    pub(crate) fresh: VecDeque<StoredEnvelope>,
    /// Never stored: for now or never.
    pub(crate) ephemeral: VecDeque<Envelope>,
    pub(crate) acknowledged: Vec<[u8; 16]>,
    pub(crate) prekeys_low: Option<PrekeysLow>,
    /// The mailbox may hold more than was handed over, or less.
    pub(crate) look: bool,
    held: usize,
}

/// As many streams are open as the server allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no stream is free")]
pub(crate) struct HubFull;

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<DeviceId, Taken>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    number: u64,
    inbox: Arc<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    inbound: Mutex<Inbound>,
    bell: Notify,
    // Apart, so that a stream that waits for its client hears it too.
    end: Mutex<Option<ErrorReason>>,
    end_bell: Notify,
}

impl Hub {
    pub(crate) fn new(max_streams: usize) -> Self {
        Self {
            seats: Arc::default(),
            max_streams,
        }
    }

    /// Takes the device's one seat. Whoever sat there learns that it was displaced.
    pub(crate) fn take_seat(&self, device: DeviceId) -> Result<Seat, HubFull> {
        let mut seats = lock(&self.seats);
        if !seats.taken.contains_key(&device) && seats.taken.len() >= self.max_streams {
            return Err(HubFull);
        }
        let number = seats.next;
        seats.next += 1;
        let inbox = Arc::<Inbox>::default();
        let taken = Taken {
            number,
            inbox: inbox.clone(),
        };
        if let Some(older) = seats.taken.insert(device, taken) {
            older.inbox.end(ErrorReason::StreamDisplaced);
        }
        Ok(Seat {
            hub: self.clone(),
            device,
            number,
            inbox,
        })
    }

    /// Whether a stream of the device is open here just now.
    pub(crate) fn has_stream(&self, device: &DeviceId) -> bool {
        lock(&self.seats).taken.contains_key(device)
    }

    /// How many streams are open here.
    pub(crate) fn streams(&self) -> usize {
        lock(&self.seats).taken.len()
    }

    /// Tells streams what has become true.
    pub(crate) fn tell(&self, news: impl IntoIterator<Item = News>) {
        let seats = lock(&self.seats);
        for news in news {
            if let Some(taken) = seats.taken.get(&news.device()) {
                match news {
                    News::End(_, reason) => taken.inbox.end(reason),
                    other => taken.inbox.put(|inbound| inbound.take_in(other)),
                }
            }
        }
    }

    /// Hands a message that is never stored to the stream of the device; false when there is none.
    pub(crate) fn hand_over(&self, device: &DeviceId, envelope: Envelope) -> bool {
        let seats = lock(&self.seats);
        let Some(taken) = seats.taken.get(device) else {
            return false;
        };
        taken.inbox.put(|inbound| {
            if inbound.make_room(envelope.ciphertext.len()) {
                inbound.ephemeral.push_back(envelope);
            }
        });
        true
    }
}

impl News {
    fn device(&self) -> DeviceId {
        match self {
            Self::Look(device)
            | Self::Fresh(device, _)
            | Self::Acknowledged(device, _)
            | Self::PrekeysLow(device, _)
            | Self::End(device, _) => *device,
        }
    }
}

impl Inbox {
    fn put(&self, change: impl FnOnce(&mut Inbound)) {
        change(&mut lock(&self.inbound));
        // Kept until the stream waits next, so none is lost between looking and waiting.
        self.bell.notify_one();
    }

    /// The first reason is the one that counts.
    fn end(&self, reason: ErrorReason) {
        lock(&self.end).get_or_insert(reason);
        self.end_bell.notify_one();
    }
}

impl Inbound {
    fn take_in(&mut self, news: News) {
        match news {
            // An end is told apart from the rest.
            News::Look(_) | News::End(..) => self.look = true,
            News::Fresh(_, envelope) => {
                if !self.look && self.make_room(envelope.size) {
                    self.fresh.push_back(envelope);
                } else {
                    self.look = true;
                }
            }
            News::Acknowledged(_, ids) if self.acknowledged.len() + ids.len() <= MAX_ACKNOWLEDGED => {
                self.acknowledged.extend(ids);
            }
            News::Acknowledged(..) => self.look = true,
            News::PrekeysLow(_, low) => self.prekeys_low = Some(low),
        }
    }

    fn make_room(&mut self, size: usize) -> bool {
        let held = self.held.saturating_add(size);
        let room = held <= MAX_FRESH_LEN && self.fresh.len() + self.ephemeral.len() < MAX_FRESH;
        if room {
            self.held = held;
        }
        room
    }

    fn is_empty(&self) -> bool {
        self.fresh.is_empty()
            && self.ephemeral.is_empty()
            && self.acknowledged.is_empty()
            && self.prekeys_low.is_none()
            && !self.look
    }
}

impl Seat {
    /// What came since this was last asked; waits until there is something.
    pub(crate) async fn inbound(&self) -> Inbound {
        loop {
            let inbound = std::mem::take(&mut *lock(&self.inbox.inbound));
            if !inbound.is_empty() {
                return inbound;
            }
            self.inbox.bell.notified().await;
        }
    }

    /// Returns when the stream has to end, and why.
    pub(crate) async fn ended(&self) -> ErrorReason {
        loop {
            if let Some(reason) = *lock(&self.inbox.end) {
                return reason;
            }
            self.inbox.end_bell.notified().await;
        }
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
mod tests {
    use super::*;
    use std::time::Duration;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
    const OTHER: DeviceId = DeviceId::from_bytes([2; 16]);

    async fn told(seat: &Seat) -> Inbound {
        tokio::time::timeout(Duration::from_secs(5), seat.inbound())
            .await
            .unwrap()
    }

    fn envelope(sequence: i64, size: usize) -> StoredEnvelope {
        StoredEnvelope {
            sequence,
            size,
            ..StoredEnvelope::default()
        }
    }

    #[test]
    fn a_seat_is_gone_once_its_stream_is() {
        let hub = Hub::new(10);
        drop(hub.take_seat(DEVICE).unwrap());
        assert_eq!(hub.streams(), 0);
    }

    #[tokio::test]
    async fn a_displaced_stream_does_not_take_its_successors_seat_away() {
        let hub = Hub::new(10);
        let older = hub.take_seat(DEVICE).unwrap();
        let newer = hub.take_seat(DEVICE).unwrap();
        assert_eq!(older.ended().await, ErrorReason::StreamDisplaced);
        drop(older);
        assert_eq!(hub.streams(), 1);
        hub.tell([News::Look(DEVICE)]);
        assert!(told(&newer).await.look);
    }

    #[test]
    fn a_full_hub_still_lets_a_device_replace_its_own_stream() {
        let hub = Hub::new(1);
        let first = hub.take_seat(DEVICE).unwrap();
        assert_eq!(hub.take_seat(OTHER).unwrap_err(), HubFull);
        let _second = hub.take_seat(DEVICE).unwrap();
        drop(first);
        assert_eq!(hub.take_seat(OTHER).unwrap_err(), HubFull);
    }

    #[tokio::test]
    async fn news_before_the_wait_is_not_lost() {
        let hub = Hub::new(1);
        let seat = hub.take_seat(DEVICE).unwrap();
        hub.tell([News::Look(DEVICE)]);
        assert!(told(&seat).await.look);
    }

    #[tokio::test]
    async fn a_stream_that_takes_nothing_is_handed_no_more_than_it_may_hold() {
        let hub = Hub::new(1);
        let seat = hub.take_seat(DEVICE).unwrap();
        for sequence in 1..=100 {
            hub.tell([News::Fresh(DEVICE, envelope(sequence, MAX_FRESH_LEN / 4))]);
        }
        let inbound = told(&seat).await;
        assert!(inbound.look);
        let handed: Vec<_> = inbound.fresh.iter().map(|envelope| envelope.sequence).collect();
        assert_eq!(handed, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn nothing_is_handed_over_behind_a_gap() {
        let hub = Hub::new(1);
        let seat = hub.take_seat(DEVICE).unwrap();
        hub.tell([News::Look(DEVICE), News::Fresh(DEVICE, envelope(7, 1))]);
        let inbound = told(&seat).await;
        assert!(inbound.look && inbound.fresh.is_empty());
    }
}
