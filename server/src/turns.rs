//! Whose turn it is, and whose body is read. No device, no account and no network address can hold so much
//! of either that the others wait for it.
//!
//! ```text
//!   the body begins ─▶ its length is known ─▶ the body is whole ─▶ a turn ─▶ the answer
//!    own share only     shared as it comes ─────────────────────────────────▶ given back
//! ```
//!
//! Who sends a body slowly, or never, holds of what is there for all what it has sent, and no turn.

mod bodies;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sottovoce_statements::DeviceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::limits::{
    BODY_UNIT, Limits, MAX_MAILBOX_REQUEST_LEN, MAX_OPEN_BODIES, MAX_OPEN_BODIES_PER_ADDRESS, MAX_OPEN_CALLS,
};
use crate::prefix::AddressPrefix;
use crate::store::Caller;

pub(crate) use bodies::{Bodies, Held};

/// The turns there are.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    devices: Lines<DeviceId>,
    accounts: Lines<i64>,
    open_calls: Semaphore,
    /// Of calls with a token, by account.
    pub(crate) bodies: Bodies<i64>,
    /// Of calls without.
    pub(crate) open_bodies: Bodies<AddressPrefix>,
}

/// A turn of a device.
#[derive(Debug)]
pub(crate) struct DeviceTurn<'t> {
    _account: Turn<'t, i64>,
    _device: Turn<'t, DeviceId>,
}

/// What was waited for in a line; given back when dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t, K: Copy + Eq + Hash> {
    _shared: Option<SemaphorePermit<'t>>,
    _own: Option<OwnedSemaphorePermit>,
    _place: Place<'t, K>,
}

/// Of each of its kind, what it has and what it waits for.
#[derive(Debug)]
pub(crate) struct Lines<K> {
    most_each: usize,
    held: Mutex<HashMap<K, Line>>,
}

/// The calls of one that have something or wait for it.
#[derive(Debug)]
struct Line {
    free: Arc<Semaphore>,
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
        let (all, each) = (limits.max_calls, limits.max_calls_per_account);
        Self {
            all: Semaphore::new(all),
            devices: Lines::new(limits.max_calls_per_device),
            accounts: Lines::new(each),
            open_calls: Semaphore::new(MAX_OPEN_CALLS),
            bodies: Bodies::new(all.saturating_mul(LONGEST), each.saturating_mul(LONGEST)),
            open_bodies: Bodies::new(MAX_OPEN_BODIES, MAX_OPEN_BODIES_PER_ADDRESS),
        }
    }

    /// To answer a call whose body is there. Waits behind the device's own calls first, then behind those of
    /// its account: those are the only ones they can keep waiting for long.
    pub(crate) async fn of_device(&self, caller: &Caller) -> DeviceTurn<'_> {
        let device = self.devices.turn(caller.device, 1, None).await;
        DeviceTurn {
            _account: self.accounts.turn(caller.account, 1, Some(&self.all)).await,
            _device: device,
        }
    }

    /// To answer a call that needs no token, once its body is there: who withholds a body never has one
    /// of these few.
    pub(crate) async fn open_call(&self) -> Option<SemaphorePermit<'_>> {
        self.open_calls.acquire().await.ok()
    }
}

impl<K: Copy + Eq + Hash> Lines<K> {
    pub(crate) fn new(most_each: usize) -> Self {
        Self {
            most_each,
            held: Mutex::default(),
        }
    }

    /// So much of what `of` may have, and then as much of what there is for all.
    pub(crate) async fn turn<'t>(&'t self, of: K, weight: u32, all: Option<&'t Semaphore>) -> Turn<'t, K> {
        let (place, own) = self.line_up(of);
        // The semaphores are never closed, so there is always a permit to come.
        let own = own.acquire_many_owned(weight).await.ok();
        let shared = match all {
            Some(all) => all.acquire_many(weight).await.ok(),
            None => None,
        };
        Turn {
            _shared: shared,
            _own: own,
            _place: place,
        }
    }

    fn line_up(&self, of: K) -> (Place<'_, K>, Arc<Semaphore>) {
        let mut held = self.lock();
        let line = held.entry(of).or_insert_with(|| Line {
            free: Arc::new(Semaphore::new(self.most_each)),
            calls: 0,
        });
        line.calls += 1;
        let free = line.free.clone();
        (Place { lines: self, of }, free)
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

/// Units of the longest request.
const LONGEST: usize = MAX_MAILBOX_REQUEST_LEN.div_ceil(BODY_UNIT);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Origin;
    use crate::store::Grounds;
    use futures_util::FutureExt;
    use futures_util::future::join_all;

    fn turns(max_calls: usize, max_calls_per_account: usize, max_calls_per_device: usize) -> Turns {
        Turns::new(&Limits {
            max_calls,
            max_calls_per_account,
            max_calls_per_device,
            ..Limits::default()
        })
    }

    /// A device of an account.
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

    #[test]
    fn a_device_waits_for_itself_and_not_for_another() {
        let turns = turns(100, 100, 2);
        let (alice, bob) = (caller(1, 1), caller(2, 2));
        let first = turns.of_device(&alice).now_or_never().unwrap();
        let _second = turns.of_device(&alice).now_or_never().unwrap();
        assert!(turns.of_device(&alice).now_or_never().is_none());
        assert!(turns.of_device(&bob).now_or_never().is_some());
        drop(first);
        assert!(turns.of_device(&alice).now_or_never().is_some());
    }

    #[test]
    fn an_account_waits_for_its_devices_and_not_for_another_account() {
        let turns = turns(100, 3, 2);
        let held: Vec<_> = [1, 1, 2]
            .map(|device| turns.of_device(&caller(device, 1)).now_or_never().unwrap())
            .into();
        assert!(turns.of_device(&caller(2, 1)).now_or_never().is_none());
        assert!(turns.of_device(&caller(3, 1)).now_or_never().is_none());
        assert!(turns.of_device(&caller(4, 2)).now_or_never().is_some());
        drop(held);
        assert!(turns.of_device(&caller(3, 1)).now_or_never().is_some());
    }

    #[test]
    fn who_waits_for_its_own_holds_no_shared_turn() {
        let turns = turns(2, 2, 1);
        let (alice, bob) = (caller(1, 1), caller(2, 2));
        let _held = turns.of_device(&alice).now_or_never().unwrap();
        let mut waiting = Box::pin(turns.of_device(&alice));
        assert!((&mut waiting).now_or_never().is_none());
        let _bob = turns.of_device(&bob).now_or_never().unwrap();
        assert!(
            turns.of_device(&caller(3, 3)).now_or_never().is_none(),
            "two are all there are"
        );
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_those_without_calls() {
        let turns = turns(10, 10, 1);
        let (alice, bob) = (caller(1, 1), caller(2, 2));
        drop(join_all([turns.of_device(&alice), turns.of_device(&bob)]).await);
        let held = turns.of_device(&alice).await;
        let body = turns.bodies.begin(1).await;
        // A call that went away while it waited.
        assert!(turns.of_device(&alice).now_or_never().is_none());
        assert_eq!(turns.devices.lock().len(), 1);
        drop((held, body));
        assert!(turns.devices.lock().is_empty());
        assert!(turns.accounts.lock().is_empty());
        assert!(turns.bodies.is_forgotten());
    }

    #[test]
    fn unfinished_bodies_of_one_account_keep_nobody_else_waiting_and_take_no_turn() {
        let turns = turns(4, 2, 2);
        let longest = |account| {
            let begun = turns.bodies.begin(account).now_or_never()?;
            begun.announced(account, MAX_MAILBOX_REQUEST_LEN).now_or_never()
        };
        let held: Vec<_> = (0..2).map(|_| longest(1).unwrap()).collect();
        assert!(longest(1).is_none(), "its share");
        assert!(longest(2).is_some());
        for device in 1..=4 {
            assert!(
                turns
                    .of_device(&caller(device, device.into()))
                    .now_or_never()
                    .is_some()
            );
        }
        drop(held);
        assert!(longest(1).is_some());
    }

    #[test]
    fn strangers_have_few_turns_and_a_device_does_not_wait_for_them() {
        let turns = turns(1, 1, 1);
        let calls: Vec<_> = (0..MAX_OPEN_CALLS)
            .map(|_| turns.open_call().now_or_never().unwrap())
            .collect();
        assert!(turns.open_call().now_or_never().is_none());
        assert!(turns.of_device(&caller(1, 1)).now_or_never().is_some());
        drop(calls);
        assert!(turns.open_call().now_or_never().is_some());
    }

    #[test]
    fn an_address_waits_for_itself_and_a_long_body_takes_many_units() {
        let turns = turns(1, 1, 1);
        let half = MAX_OPEN_BODIES_PER_ADDRESS / 2 * BODY_UNIT;
        let announced = |from, length| {
            let begun = turns.open_bodies.begin(from).now_or_never()?;
            begun.announced(from, length).now_or_never()
        };
        let one = announced(from(1), half).unwrap();
        let _two = announced(from(1), half).unwrap();
        assert!(announced(from(1), BODY_UNIT + 1).is_none());
        assert!(
            announced(from(1), BODY_UNIT).is_some(),
            "the short ones are another share"
        );
        assert!(announced(from(2), half).is_some());
        drop(one);
        assert!(announced(from(1), half).is_some());
    }

    fn from(last: u8) -> AddressPrefix {
        AddressPrefix::pooled_together([192, 0, 2, last].into())
    }
}
