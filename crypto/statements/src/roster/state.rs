//! The roster itself: what a chain of entries comes to.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Address;
use crate::roster::recent::RecentEntries;
use crate::roster::{ChannelId, Role, RosterHead, RosterView};

/// Most members of a channel. A message to all of them is one ciphertext; a roster of them is 2 MB at most.
pub const MAX_MEMBERS: usize = 10_000;

/// Most banned addresses of a channel.
pub const MAX_BANNED: usize = 10_000;

/// Who is in a channel, at one place of its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roster {
    pub(super) channel_id: ChannelId,
    pub(super) recent: RecentEntries,
    pub(super) departed_at: u64,
    pub(super) owner: Address,
    pub(super) members: BTreeMap<Address, RosterMember>,
    pub(super) banned: BTreeSet<Address>,
}

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterMember {
    /// The 32 bytes of the account key the member was added with.
    pub account_key: [u8; 32],
    /// What the member may do.
    pub role: Role,
    /// Version of the newest manifest that an entry of the member's was made under, 0 before the first.
    pub manifest_version: u64,
}

impl Roster {
    /// The channel.
    #[must_use]
    pub fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// The last entry.
    #[must_use]
    pub fn head(&self) -> RosterHead {
        self.recent.head()
    }

    /// Height of the last entry that took somebody's access away, 0 if none did.
    #[must_use]
    pub fn departed_at(&self) -> u64 {
        self.departed_at
    }

    /// What a sender of channel messages needs to know.
    #[must_use]
    pub fn view(&self) -> RosterView {
        let RosterHead { height, hash } = self.head();
        RosterView {
            height,
            head: hash,
            departed_at: self.departed_at,
        }
    }

    /// The owner.
    #[must_use]
    pub fn owner(&self) -> &Address {
        &self.owner
    }

    pub(super) fn owner_key(&self) -> Option<[u8; 32]> {
        self.member(&self.owner).map(|owner| owner.account_key)
    }

    /// One member, or `None` if the address is not one.
    #[must_use]
    pub fn member(&self, address: &Address) -> Option<&RosterMember> {
        self.members.get(address)
    }

    /// All members, in the order of their addresses.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Address, &RosterMember)> {
        self.members.iter()
    }

    /// Whether nobody may add the address.
    #[must_use]
    pub fn is_banned(&self, address: &Address) -> bool {
        self.banned.contains(address)
    }

    /// All banned addresses, in order.
    pub fn banned(&self) -> impl ExactSizeIterator<Item = &Address> {
        self.banned.iter()
    }
}
