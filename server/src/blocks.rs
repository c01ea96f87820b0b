//! Network addresses that the operator has blocked, in memory: asked for each connection and each call.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::prefix::AddressPrefix;

/// Prefixes kept at most, some 6 MiB: beyond them a firewall is the better place.
pub const MAX_BLOCKED: usize = 65_536;

/// A prefix nobody is served from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockedPrefix {
    /// Who.
    pub prefix: AddressPrefix,
    /// Until when, Unix time in milliseconds; `None` for as long as the operator wants.
    pub until_ms: Option<u64>,
}

/// The blocked prefixes. Whoever holds a [`Blocked`] of it sees every change.
#[derive(Debug)]
pub(crate) struct BlockList(watch::Sender<Arc<Index>>);

/// Sees the list as it is now, and when it changes.
#[derive(Clone, Debug)]
pub(crate) struct Blocked(watch::Receiver<Arc<Index>>);

#[derive(Debug, Default)]
struct Index {
    until_ms: HashMap<AddressPrefix, u64>,
    /// Those that occur: as many are asked for, however many prefixes there are.
    lens: Vec<u8>,
}

impl BlockList {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }

    /// From here on these are blocked and no others. Of more than [`MAX_BLOCKED`] the first are taken.
    #[allow(dead_code, reason = "for the one who keeps the list")]
    pub(crate) fn replace(&self, prefixes: Vec<BlockedPrefix>) {
        if prefixes.len() > MAX_BLOCKED {
            tracing::warn!(prefixes = prefixes.len(), "more blocked prefixes than are kept");
        }
        let mut index = Index::default();
        for blocked in prefixes.into_iter().take(MAX_BLOCKED) {
            let until_ms = blocked.until_ms.unwrap_or(u64::MAX);
            let longest = index.until_ms.entry(blocked.prefix).or_insert(until_ms);
            *longest = until_ms.max(*longest);
            if !index.lens.contains(&blocked.prefix.len()) {
                index.lens.push(blocked.prefix.len());
            }
        }
        self.0.send_replace(Arc::new(index));
    }

    pub(crate) fn watch(&self) -> Blocked {
        Blocked(self.0.subscribe())
    }

    pub(crate) fn has(&self, address: IpAddr, now_ms: u64) -> bool {
        self.0.borrow().has(address, now_ms)
    }
}

impl Blocked {
    pub(crate) fn has(&self, address: IpAddr, now_ms: u64) -> bool {
        self.0.borrow().has(address, now_ms)
    }

    /// Done when the list has changed since it was last looked at here; never when it is gone.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Index {
    fn has(&self, address: IpAddr, now_ms: u64) -> bool {
        self.lens.iter().any(|len| {
            let until_ms = self.until_ms.get(&AddressPrefix::of(address, *len));
            until_ms.is_some_and(|until_ms| *until_ms > now_ms)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn blocked(prefix: &str, until_ms: Option<u64>) -> BlockedPrefix {
        BlockedPrefix {
            prefix: prefix.parse().unwrap(),
            until_ms,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_is_on_the_list_is_blocked_until_it_says_so() {
        let list = BlockList::new();
        assert!(!list.has(address("192.0.2.1"), 0));
        list.replace(vec![
            blocked("192.0.2.0/24", None),
            blocked("2001:db8::/32", Some(1_000)),
            blocked("198.51.100.7/32", Some(500)),
            blocked("198.51.100.7/32", Some(700)),
        ]);
        assert!(list.has(address("192.0.2.1"), u64::MAX - 1));
        assert!(!list.has(address("192.0.3.1"), 0));
        assert!(list.has(address("2001:db8::9"), 999));
        assert!(!list.has(address("2001:db8::9"), 1_000));
        assert!(list.has(address("198.51.100.7"), 600), "the longer of two");
        list.replace(Vec::new());
        assert!(!list.has(address("192.0.2.1"), 0));
    }

    #[test]
    fn a_change_is_seen_once_by_everybody() {
        let list = BlockList::new();
        let (mut one, mut two) = (list.watch(), list.watch());
        assert!(one.changed().now_or_never().is_none());
        list.replace(vec![blocked("192.0.2.0/24", None)]);
        for seen in [&mut one, &mut two] {
            assert!(seen.changed().now_or_never().is_some());
            assert!(seen.has(address("192.0.2.1"), 0));
            assert!(seen.changed().now_or_never().is_none());
        }
    }
}
