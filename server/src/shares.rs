//! Shares of what there is for all: how many of a kind each network address has, and who would have more
//! is refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::prefix::AddressPrefix;

/// What each address has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares(Arc<Mutex<HashMap<AddressPrefix, usize>>>);

/// One of what an address has; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Shares,
    of: AddressPrefix,
}

impl Shares {
    /// One more, unless it has as many as it may.
    pub(crate) fn take(&self, of: AddressPrefix, most: usize) -> Option<Share> {
        let mut held = self.lock();
        let count = held.get(&of).copied().unwrap_or_default();
        if count >= most {
            return None;
        }
        held.insert(of, count + 1);
        Some(Share {
            shares: self.clone(),
            of,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressPrefix, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.shares.lock();
        if let Some(count) = held.get_mut(&self.of) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                held.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_comes_back_and_nothing_is_remembered_of_who_has_none() {
        let shares = Shares::default();
        let [one, two] = ["192.0.2.1", "192.0.2.2"]
            .map(|address| AddressPrefix::pooled_together(address.parse().unwrap()));
        let held = shares.take(one, 1).unwrap();
        assert!(shares.take(one, 1).is_none());
        assert!(shares.take(two, 1).is_some());
        assert!(shares.take(two, 0).is_none());
        drop(held);
        assert!(shares.take(one, 1).is_some());
        assert!(shares.lock().is_empty());
    }
}
