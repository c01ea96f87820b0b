//! Who is listening: at most one stream per device, and the bell that wakes it.
//!
//! The hub holds no messages. The database is the truth; a wake only says "look again".

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_statements::DeviceId;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The streams that are open.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    seats: Arc<Mutex<Seats>>,
    max_streams: usize,
}

/// One stream's place in the hub; given up when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    hub: Hub,
    device: DeviceId,
    number: u64,
    bell: Arc<Notify>,
    displaced: CancellationToken,
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
    bell: Arc<Notify>,
    displaced: CancellationToken,
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
        let mut seats = self.lock();
        if !seats.taken.contains_key(&device) && seats.taken.len() >= self.max_streams {
            return Err(HubFull);
        }
        let number = seats.next;
        seats.next += 1;
        let seat = Seat {
            hub: self.clone(),
            device,
            number,
            bell: Arc::default(),
            displaced: CancellationToken::new(),
        };
        let taken = Taken {
            number,
            bell: seat.bell.clone(),
            displaced: seat.displaced.clone(),
        };
        if let Some(older) = seats.taken.insert(device, taken) {
            older.displaced.cancel();
        }
        Ok(seat)
    }

    /// Has the stream of `device`, if there is one, look at its mailbox.
    pub(crate) fn wake(&self, device: DeviceId) {
        if let Some(taken) = self.lock().taken.get(&device) {
            // Kept until the stream waits next, so none is lost between looking and waiting.
            taken.bell.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Returns when there may be something new.
    pub(crate) async fn woken(&self) {
        self.bell.notified().await;
    }

    /// Returns when a newer stream of the device has taken the seat.
    pub(crate) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.hub.lock();
        if seats
            .taken
            .get(&self.device)
            .is_some_and(|taken| taken.number == self.number)
        {
            seats.taken.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: DeviceId = DeviceId::from_bytes([1; 16]);
    const OTHER: DeviceId = DeviceId::from_bytes([2; 16]);

    #[test]
    fn a_seat_is_gone_once_its_stream_is() {
        let hub = Hub::new(10);
        drop(hub.take_seat(DEVICE).unwrap());
        assert!(hub.lock().taken.is_empty());
    }

    #[test]
    fn a_displaced_stream_does_not_take_its_successors_seat_away() {
        let hub = Hub::new(10);
        let older = hub.take_seat(DEVICE).unwrap();
        let newer = hub.take_seat(DEVICE).unwrap();
        assert!(older.displaced.is_cancelled());
        assert!(!newer.displaced.is_cancelled());
        drop(older);
        assert_eq!(hub.lock().taken.len(), 1);
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
    async fn a_wake_before_the_wait_is_not_lost() {
        let hub = Hub::new(1);
        let seat = hub.take_seat(DEVICE).unwrap();
        hub.wake(DEVICE);
        let woken = tokio::time::timeout(std::time::Duration::from_secs(5), seat.woken()).await;
        assert!(woken.is_ok());
    }
}
