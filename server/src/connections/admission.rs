//! Who may come in: a place for each connection, and no more for one address than its share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::app::App;
use crate::blocks::BlockList;
use crate::clock::now_ms;
use crate::peer::Peer;
use crate::prefix::AddressPrefix;
use crate::rates::{AddressRate, Rates};
use crate::shares::{Share, Shares};

/// Pause between two lines of the log about refused connections.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// The door.
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    shares: Shares,
    per_address: usize,
    proxies: Vec<AddressPrefix>,
    blocks: Arc<BlockList>,
    rates: Arc<Rates>,
    refused: Mutex<Refused>,
}

/// A connection's place among those allowed; given back when dropped.
pub(crate) struct Place {
    _place: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Admission {
    pub(crate) fn new(app: &App) -> Self {
        Self {
            places: Arc::new(Semaphore::new(app.limits.max_connections)),
            shares: Shares::default(),
            per_address: app.limits.max_connections_per_address,
            proxies: app.trusted_proxies.clone(),
            blocks: app.blocks.clone(),
            rates: app.rates.clone(),
            refused: Mutex::default(),
        }
    }

    /// A place, unless the peer is blocked, comes too often, has its share, or all are taken.
    pub(crate) fn admit(&self, peer: Peer) -> Option<Place> {
        if self.blocks.has(peer.address(), now_ms()) {
            // Not worth a line: the operator knows.
            return None;
        }
        let admitted = self.find_place(peer);
        if admitted.is_none() {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(connections) = refused.one_more(Instant::now()) {
                tracing::warn!(
                    connections,
                    "refused: as many are open, or come, as the limits allow"
                );
            }
        }
        admitted
    }

    fn find_place(&self, peer: Peer) -> Option<Place> {
        // Behind a proxy there are many: only their calls can be told apart.
        let share = if peer.stands_for_many(&self.proxies) {
            None
        } else {
            self.rates.address(AddressRate::Connections, peer).ok()?;
            Some(self.shares.take(peer.together(), self.per_address)?)
        };
        Some(Place {
            _place: self.places.clone().try_acquire_owned().ok()?,
            _share: share,
        })
    }
}

/// Connections refused, and when that was last said: who knocks often does not fill the log.
#[derive(Debug, Default)]
struct Refused {
    unsaid: u64,
    said: Option<Instant>,
}

impl Refused {
    /// Counts one. How many there were since it was last said, when it is time to say so again.
    fn one_more(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self
            .said
            .is_some_and(|said| now.duration_since(said) < REFUSED_PAUSE)
        {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::BlockedPrefix;
    use crate::rates::{Rate, RateLimits};

    fn admission(places: usize, per_address: usize, rate: Rate) -> Admission {
        let rates = RateLimits {
            connections_per_address: rate,
            ..RateLimits::default()
        };
        Admission {
            places: Arc::new(Semaphore::new(places)),
            shares: Shares::default(),
            per_address,
            proxies: vec!["198.51.100.0/24".parse().unwrap()],
            blocks: Arc::new(BlockList::new()),
            rates: Arc::new(Rates::new(&rates)),
            refused: Mutex::default(),
        }
    }

    fn peer(address: &str) -> Peer {
        Peer::new(address.parse().unwrap())
    }

    #[test]
    fn an_address_has_its_share_and_gets_it_back() {
        let door = admission(10, 2, Rate::new(100, 100));
        let one = door.admit(peer("2001:db8::1")).unwrap();
        let _two = door.admit(peer("2001:db8::2")).unwrap();
        assert!(door.admit(peer("2001:db8::3")).is_none(), "the same site");
        assert!(door.admit(peer("192.0.2.1")).is_some());
        drop(one);
        assert!(door.admit(peer("2001:db8::3")).is_some());
    }

    #[test]
    fn proxies_and_this_machine_have_what_places_there_are() {
        let door = admission(5, 1, Rate::new(1, 1));
        let held: Vec<_> = ["127.0.0.1", "127.0.0.1", "198.51.100.7", "198.51.100.7", "::1"]
            .map(|address| door.admit(peer(address)))
            .into();
        assert!(held.iter().all(Option::is_some));
        assert!(door.admit(peer("127.0.0.1")).is_none());
        drop(held);
        assert!(door.admit(peer("127.0.0.1")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_too_often_or_is_blocked_stays_outside() {
        let door = admission(10, 10, Rate::new(1, 60));
        assert!(door.admit(peer("192.0.2.1")).is_some());
        assert!(door.admit(peer("192.0.2.1")).is_none());
        assert!(door.admit(peer("192.0.2.2")).is_some());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(door.admit(peer("192.0.2.1")).is_some());
        door.blocks.replace(vec![BlockedPrefix {
            prefix: "203.0.113.0/24".parse().unwrap(),
            until_ms: None,
        }]);
        assert!(door.admit(peer("203.0.113.1")).is_none());
    }

    #[test]
    fn refused_connections_are_counted_and_seldom_said() {
        let mut refused = Refused::default();
        let now = Instant::now();
        assert_eq!(refused.one_more(now), Some(1));
        for _ in 0..1000 {
            assert_eq!(refused.one_more(now + REFUSED_PAUSE / 2), None);
        }
        assert_eq!(refused.one_more(now + REFUSED_PAUSE), Some(1001));
        assert_eq!(refused.one_more(now + REFUSED_PAUSE), None);
    }
}
