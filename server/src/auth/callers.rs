//! Who holds which token, remembered for seconds: every call asks.
//!
//! What is revoked through this node is forgotten here at once, and what is revoked through another one
//! as soon as its hint arrives. Hints may be lost, so nothing is believed for longer than a few seconds.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sottovoce_statements::DeviceId;

use crate::store::Caller;

/// Tokens remembered at one time, some 4 MiB.
const MAX_REMEMBERED: usize = 10_000;

/// The tokens that were good a moment ago.
#[derive(Clone)]
pub(crate) struct Callers(Arc<Mutex<Remembered>>);

/// The state of the memory before a look into the database.
#[derive(Clone, Copy)]
pub(crate) struct Epoch(u64);

#[derive(Default)]
struct Remembered {
    by_hash: HashMap<[u8; 32], (Caller, Instant)>,
    /// Counts what was forgotten on purpose.
    epoch: u64,
}

impl Callers {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// Who holds the token with this hash, as far as that was looked up within `lifetime`; otherwise what
    /// [`Callers::remember`] asks for.
    pub(crate) fn find(&self, hash: &[u8; 32], lifetime: Duration, now_ms: u64) -> Result<Caller, Epoch> {
        let remembered = self.lock();
        match remembered.by_hash.get(hash) {
            Some((caller, since)) if since.elapsed() < lifetime && caller.expires_at_ms > now_ms => {
                Ok(caller.clone())
            }
            _ => Err(Epoch(remembered.epoch)),
        }
    }

    /// Remembers what was looked up, unless something was revoked meanwhile: it may have been this.
    pub(crate) fn remember(&self, hash: [u8; 32], caller: &Caller, before: Epoch) {
        let mut remembered = self.lock();
        if remembered.epoch != before.0 {
            return;
        }
        if remembered.by_hash.len() >= MAX_REMEMBERED {
            // They come back within a call each.
            remembered.by_hash.clear();
        }
        remembered.by_hash.insert(hash, (caller.clone(), Instant::now()));
    }

    /// Some of the device's tokens may be void.
    pub(crate) fn forget(&self, device: &DeviceId) {
        let mut remembered = self.lock();
        remembered.epoch += 1;
        remembered
            .by_hash
            .retain(|_, (caller, _)| caller.device != *device);
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Grounds;

    const MINUTE: Duration = Duration::from_secs(60);

    fn caller(device: u8) -> Caller {
        Caller {
            device: DeviceId::from_bytes([device; 16]),
            account: 1,
            grounds: Grounds {
                session: [device; 16],
                breaks: 0,
            },
            identity_key: [0; 32],
            address: "a@b.example".to_owned(),
            origin: crate::auth::Origin(None),
            expires_at_ms: 100,
        }
    }

    fn remembering(device: u8) -> (Callers, [u8; 32]) {
        let (callers, hash) = (Callers::new(), [device; 32]);
        let before = callers.find(&hash, MINUTE, 0).unwrap_err();
        callers.remember(hash, &caller(device), before);
        (callers, hash)
    }

    #[test]
    fn a_caller_is_remembered_until_the_token_or_the_memory_of_it_ends() {
        let (callers, hash) = remembering(1);
        assert!(callers.find(&hash, MINUTE, 99).is_ok());
        assert!(callers.find(&hash, MINUTE, 100).is_err());
        assert!(callers.find(&hash, Duration::ZERO, 99).is_err());
        assert!(callers.find(&[9; 32], MINUTE, 99).is_err());
    }

    #[test]
    fn what_was_revoked_is_forgotten_and_the_rest_is_not() {
        let (callers, alice) = remembering(1);
        let before = callers.find(&[2; 32], MINUTE, 0).unwrap_err();
        callers.remember([2; 32], &caller(2), before);
        callers.forget(&DeviceId::from_bytes([1; 16]));
        assert!(callers.find(&alice, MINUTE, 0).is_err());
        assert!(callers.find(&[2; 32], MINUTE, 0).is_ok());
    }

    #[test]
    fn what_was_read_before_a_revocation_is_not_remembered_after_it() {
        let (callers, hash) = (Callers::new(), [1; 32]);
        let before = callers.find(&hash, MINUTE, 0).unwrap_err();
        callers.forget(&DeviceId::from_bytes([1; 16]));
        callers.remember(hash, &caller(1), before);
        assert!(callers.find(&hash, MINUTE, 0).is_err());
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let callers = Callers::new();
        for n in 0..=MAX_REMEMBERED as u64 {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_le_bytes());
            let before = callers.find(&hash, MINUTE, 0).unwrap_err();
            callers.remember(hash, &caller(1), before);
        }
        assert!(callers.lock().by_hash.len() <= MAX_REMEMBERED);
    }
}
