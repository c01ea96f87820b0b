//! The hashes of a chain's last entries: enough to know an old entry again and to see a fork.

use alloc::collections::VecDeque;

use crate::roster::RosterHead;

/// How many of the last entries a roster knows by their hash. A channel message names the head its sender
/// knew: one that is further behind cannot be told from a fork, and one entry more costs 32 bytes in every
/// saved roster.
pub const MAX_RECENT_ENTRIES: usize = 256;

/// The hashes of the newest entries, oldest first; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecentEntries {
    head: RosterHead,
    earlier: VecDeque<[u8; 32]>,
}

impl RecentEntries {
    pub(super) fn new(head: RosterHead) -> Self {
        Self {
            head,
            earlier: VecDeque::new(),
        }
    }

    /// What was written by iterating over [`Self::earlier`]; `None` unless there are exactly as many as
    /// any chain of that height keeps.
    pub(super) fn restore(head: RosterHead, earlier: VecDeque<[u8; 32]>) -> Option<Self> {
        (earlier.len() == Self::earlier_at(head.height)).then_some(Self { head, earlier })
    }

    /// How many hashes below its head a chain of that height keeps.
    pub(super) fn earlier_at(height: u64) -> usize {
        usize::try_from(height).map_or(MAX_RECENT_ENTRIES - 1, |height| {
            height.min(MAX_RECENT_ENTRIES - 1)
        })
    }

    pub(super) fn head(&self) -> RosterHead {
        self.head
    }

    pub(super) fn earlier(&self) -> impl ExactSizeIterator<Item = &[u8; 32]> {
        self.earlier.iter()
    }

    pub(super) fn push(&mut self, head: RosterHead) {
        self.earlier.push_back(self.head.hash);
        if self.earlier.len() >= MAX_RECENT_ENTRIES {
            self.earlier.pop_front();
        }
        self.head = head;
    }

    pub(super) fn at(&self, height: u64) -> Option<&[u8; 32]> {
        let below = self.head.height.checked_sub(height)?;
        if below == 0 {
            return Some(&self.head.hash);
        }
        let index = self.earlier.len().checked_sub(usize::try_from(below).ok()?)?;
        self.earlier.get(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(height: u64) -> RosterHead {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&height.to_be_bytes());
        RosterHead { height, hash }
    }

    #[test]
    fn the_last_entries_are_known_by_their_heights_and_older_ones_forgotten() {
        let mut recent = RecentEntries::new(entry(0));
        for height in 1..1_000 {
            recent.push(entry(height));
            let oldest = height.saturating_sub(255);
            assert_eq!(recent.at(oldest), Some(&entry(oldest).hash));
            assert_eq!(recent.at(height), Some(&entry(height).hash));
            assert_eq!(recent.at(height + 1), None);
            assert_eq!(recent.earlier().len(), RecentEntries::earlier_at(height));
        }
        assert_eq!(recent.at(999 - 256), None);
        assert_eq!(recent.at(0), None);
    }
}
