//! Whose turn it is. Calls wait for a turn before their body is read, so the turns bound what bodies
//! hold in memory; and no device can hold so many that the others wait for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_statements::DeviceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits::{Limits, MAX_OPEN_BODIES, MAX_OPEN_CALLS};

/// The turns there are.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    per_device: usize,
    devices: Mutex<HashMap<DeviceId, Line>>,
    open_bodies: Semaphore,
    open_calls: Semaphore,
}

/// A device's turn; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    _shared: Option<SemaphorePermit<'t>>,
    _own: Option<OwnedSemaphorePermit>,
    _place: Place<'t>,
}

/// The calls of one device that have a turn or wait for one.
#[derive(Debug)]
struct Line {
    turns: Arc<Semaphore>,
    calls: usize,
}

/// A call's place in its device's line. The last one to leave takes the line away.
#[derive(Debug)]
struct Place<'t> {
    turns: &'t Turns,
    device: DeviceId,
}

impl Turns {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            all: Semaphore::new(limits.max_calls),
            per_device: limits.max_calls_per_device,
            devices: Mutex::default(),
            open_bodies: Semaphore::new(MAX_OPEN_BODIES),
            open_calls: Semaphore::new(MAX_OPEN_CALLS),
        }
    }

    /// Waits behind the device's own calls first: those are the only ones it can keep waiting for long.
    pub(crate) async fn of_device(&self, device: DeviceId) -> Turn<'_> {
        let (place, own) = self.line_up(device);
        // The semaphores are never closed, so there is always a permit to come.
        let own = own.acquire_owned().await.ok();
        Turn {
            _shared: self.all.acquire().await.ok(),
            _own: own,
            _place: place,
        }
    }

    /// To read the body of a call that needs no token.
    pub(crate) async fn open_body(&self) -> Option<SemaphorePermit<'_>> {
        self.open_bodies.acquire().await.ok()
    }

    /// To answer a call that needs no token, once its body is there: who withholds a body never has one
    /// of these few.
    pub(crate) async fn open_call(&self) -> Option<SemaphorePermit<'_>> {
        self.open_calls.acquire().await.ok()
    }

    fn line_up(&self, device: DeviceId) -> (Place<'_>, Arc<Semaphore>) {
        let mut devices = self.lock();
        let line = devices.entry(device).or_insert_with(|| Line {
            turns: Arc::new(Semaphore::new(self.per_device)),
            calls: 0,
        });
        line.calls += 1;
        let turns = line.turns.clone();
        (Place { turns: self, device }, turns)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Line>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut devices = self.turns.lock();
        if let Some(line) = devices.get_mut(&self.device) {
            line.calls = line.calls.saturating_sub(1);
            if line.calls == 0 {
                devices.remove(&self.device);
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
        assert_eq!(turns.lock().len(), 1);
        drop(held);
        assert!(turns.lock().is_empty());
    }

    #[test]
    fn strangers_have_few_turns_and_none_while_their_body_is_missing() {
        let turns = turns(1, 1);
        let bodies: Vec<_> = (0..MAX_OPEN_BODIES)
            .map(|_| turns.open_body().now_or_never().unwrap())
            .collect();
        assert!(turns.open_body().now_or_never().is_none());
        let calls: Vec<_> = (0..MAX_OPEN_CALLS)
            .map(|_| turns.open_call().now_or_never().unwrap())
            .collect();
        assert!(turns.open_call().now_or_never().is_none());
        assert!(
            turns.of_device(ALICE).now_or_never().is_some(),
            "a device does not wait for them"
        );
        drop((bodies, calls));
        assert!(turns.open_body().now_or_never().is_some() && turns.open_call().now_or_never().is_some());
    }
}
