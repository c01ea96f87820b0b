//! Where a roster stands: the channel's name, and the last entry of its chain.

use core::fmt;

/// A channel's name: SHA-256 of the statement of its genesis entry, so that one channel has one beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId([u8; 32]);

impl ChannelId {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({self})")
    }
}

/// One place on a chain: how many entries after the genesis, and which entry stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RosterHead {
    /// 0 for the genesis, one more for each entry that follows.
    pub height: u64,
    /// SHA-256 of the statement of the entry at that height.
    pub hash: [u8; 32],
}

/// What a sender of channel messages needs to know of a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterView {
    /// Height of the last entry.
    pub height: u64,
    /// Hash of the last entry.
    pub head: [u8; 32],
    /// Height of the last entry that took somebody's access away, 0 if none did. A key made below that
    /// height is known to somebody who may no longer read.
    pub departed_at: u64,
}
