//! Whose turn it is. Calls wait for a turn before their body is read, so the turns bound what bodies
//! hold in memory; and no device, and no network address without one, can hold so many that the others
//! wait for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_statements::DeviceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits::{Limits, MAX_OPEN_BODIES, MAX_OPEN_BODIES_PER_ADDRESS, MAX_OPEN_CALLS, OPEN_BODY_UNIT};
use crate::prefix::AddressPrefix;

/// The turns there are.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    devices: Lines<DeviceId>,
    open_bodies: Semaphore,
    addresses: Lines<AddressPrefix>,
    open_calls: Semaphore,
}

/// A turn of a device, or of a network address; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t, K: Copy + Eq + Hash> {
    _shared: Option<SemaphorePermit<'t>>,
    _own: Option<OwnedSemaphorePermit>,
    _place: Place<'t, K>,
}

/// Of each device or address, the turns it has and those it waits for.
#[derive(Debug)]
struct Lines<K> {
    turns_each: usize,
    held: Mutex<HashMap<K, Line>>,
}

/// The calls of one that have a turn or wait for one.
#[derive(Debug)]
struct Line {
    turns: Arc<Semaphore>,
    calls: usize,
}

/// A call's place in its line. The last one to leave takes the line away.
#[derive(Debug)]
struct Place<'t, K: Copy + Eq + Hash> {
    lines: &'t Lines<K>,
    of: K,
}

impl Turns {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Semaphore::new(limits.max_calls),
            devices: Lines::new(limits.max_calls_per_device),
            open_bodies: Semaphore::new(MAX_OPEN_BODIES),
            addresses: Lines::new(MAX_OPEN_BODIES_PER_ADDRESS),
            open_calls: Semaphore::new(MAX_OPEN_CALLS),
        }
    }

    /// Waits behind the device's own calls first: those are the only ones it can keep waiting for long.
    pub(crate) async fn of_device(&self, device: DeviceId) -> Turn<'_, DeviceId> {
        self.devices.turn(device, 1, &self.all).await
    }

    /// To read so many bytes of the body of a call that needs no token; behind what the same address
    /// has to be read.
    pub(crate) async fn open_body(&self, from: AddressPrefix, length: usize) -> Turn<'_, AddressPrefix> {
        let units = length
            .div_ceil(OPEN_BODY_UNIT)
            .clamp(1, MAX_OPEN_BODIES_PER_ADDRESS);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        self.addresses.turn(from, units, &self.open_bodies).await
    }

    /// To answer a call that needs no token, once its body is there: who withholds a body never has one
    /// of these few.
    pub(crate) async fn open_call(&self) -> Option<SemaphorePermit<'_>> {
        self.open_calls.acquire().await.ok()
    }
}

impl<K: Copy + Eq + Hash> Lines<K> {
    fn new(turns_each: usize) -> Self {
        Self {
            turns_each,
            held: Mutex::default(),
        }
    }

    async fn turn<'t>(&'t self, of: K, weight: u32, all: &'t Semaphore) -> Turn<'t, K> {
        let (place, own) = self.line_up(of);
        // The semaphores are never closed, so there is always a permit to come.
        let own = own.acquire_many_owned(weight).await.ok();
        Turn {
            _shared: all.acquire_many(weight).await.ok(),
            _own: own,
            _place: place,
        }
    }

    fn line_up(&self, of: K) -> (Place<'_, K>, Arc<Semaphore>) {
        let mut held = self.lock();
        let line = held.entry(of).or_insert_with(|| Line {
            turns: Arc::new(Semaphore::new(self.turns_each)),
            calls: 0,
        });
        line.calls += 1;
        let turns = line.turns.clone();
        (Place { lines: self, of }, turns)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Line>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        let mut held = self.lines.lock();
        if let Some(line) = held.get_mut(&self.of) {
            line.calls = line.calls.saturating_sub(1);
            if line.calls == 0 {
                held.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    const ALICE: DeviceId = DeviceId::from_bytes([1; 16]);
    const BOB: DeviceId = DeviceId::from_bytes([2; 16]);

    fn turns(max_calls: usize, max_calls_per_device: usize) -> Turns {
        Turns::new(&Limits {
            max_calls,
            max_calls_per_device,
            ..Limits::default()
        })
    }

    #[test]
    fn a_device_waits_for_itself_and_not_for_another() {
        let turns = turns(100, 2);
        let first = turns.of_device(ALICE).now_or_never().unwrap();
        let _second = turns.of_device(ALICE).now_or_never().unwrap();
        assert!(turns.of_device(ALICE).now_or_never().is_none());
        assert!(turns.of_device(BOB).now_or_never().is_some());
        drop(first);
        assert!(turns.of_device(ALICE).now_or_never().is_some());
    }

    #[test]
    fn a_device_that_waits_for_itself_holds_no_shared_turn() {
        let turns = turns(2, 1);
        let _alice = turns.of_device(ALICE).now_or_never().unwrap();
        let mut waiting = Box::pin(turns.of_device(ALICE));
        assert!((&mut waiting).now_or_never().is_none());
        let _bob = turns.of_device(BOB).now_or_never().unwrap();
        let carol = DeviceId::from_bytes([3; 16]);
        assert!(
            turns.of_device(carol).now_or_never().is_none(),
            "two are all there are"
        );
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_devices_without_calls() {
        let turns = turns(10, 1);
        drop(join_all([turns.of_device(ALICE), turns.of_device(BOB)]).await);
        let held = turns.of_device(ALICE).await;
        // A call that went away while it waited.
        assert!(turns.of_device(ALICE).now_or_never().is_none());
        assert_eq!(turns.devices.lock().len(), 1);
        drop(held);
        assert!(turns.devices.lock().is_empty());
    }

    fn from(last: u8) -> AddressPrefix {
        AddressPrefix::counted_together([192, 0, 2, last].into())
    }

    #[test]
    fn strangers_have_few_turns_and_none_while_their_body_is_missing() {
        let turns = turns(1, 1);
        let addresses = MAX_OPEN_BODIES / MAX_OPEN_BODIES_PER_ADDRESS;
        let bodies: Vec<_> = (0..MAX_OPEN_BODIES)
            .map(|body| {
                let from = from(u8::try_from(body % addresses).unwrap());
                turns.open_body(from, 1).now_or_never().unwrap()
            })
            .collect();
        assert!(turns.open_body(from(200), 1).now_or_never().is_none());
        let calls: Vec<_> = (0..MAX_OPEN_CALLS)
            .map(|_| turns.open_call().now_or_never().unwrap())
            .collect();
        assert!(turns.open_call().now_or_never().is_none());
        assert!(
            turns.of_device(ALICE).now_or_never().is_some(),
            "a device does not wait for them"
        );
        drop((bodies, calls));
        assert!(turns.open_body(from(200), 1).now_or_never().is_some());
        assert!(turns.open_call().now_or_never().is_some());
        assert!(turns.addresses.lock().is_empty());
    }

    #[test]
    fn an_address_waits_for_itself_and_a_long_body_takes_many_turns() {
        let turns = turns(1, 1);
        let half = MAX_OPEN_BODIES_PER_ADDRESS / 2 * OPEN_BODY_UNIT;
        let one = turns.open_body(from(1), half).now_or_never().unwrap();
        let _two = turns.open_body(from(1), half).now_or_never().unwrap();
        assert!(turns.open_body(from(1), 1).now_or_never().is_none());
        assert!(turns.open_body(from(2), half).now_or_never().is_some());
        drop(one);
        assert!(turns.open_body(from(1), half).now_or_never().is_some());
        assert!(
            turns.open_body(from(3), usize::MAX).now_or_never().is_some(),
            "as long as may be"
        );
    }
}
