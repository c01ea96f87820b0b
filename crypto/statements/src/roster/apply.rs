//! Taking entries in: is it the next one, may its signer make it, and only then the change.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Address;
use crate::roster::recent::RecentEntries;
use crate::roster::{
    ChangeError, ChannelId, CurrentEntry, EntrySigner, Role, Roster, RosterChange, RosterEntry, RosterHead,
    RosterMember,
};

impl Roster {
    /// The roster that a genesis begins.
    ///
    /// # Errors
    /// [`NotAGenesis`] for any other entry.
    pub fn found(genesis: &CurrentEntry) -> Result<Self, NotAGenesis> {
        Self::begin(genesis, genesis.head()).ok_or(NotAGenesis)
    }

    /// Takes the next entry in. Costs O(log n), and copies no list.
    ///
    /// Afterwards only the signer and whom [`RosterChange::about`] names may differ: save these two and the
    /// head, or [`Self::to_bytes`] from time to time and the entries since.
    ///
    /// # Errors
    /// [`ApplyError`]; the roster is as it was.
    pub fn apply(&mut self, entry: &CurrentEntry) -> Result<Applied, ApplyError> {
        self.apply_checked(entry, entry.channel_id(), entry.head())
    }

    /// How a head that somebody else speaks of stands to this roster.
    #[must_use]
    pub fn standing(&self, head: &RosterHead) -> HeadStanding {
        match self.recent.at(head.height) {
            Some(ours) if *ours != head.hash => HeadStanding::Fork { ours: *ours },
            Some(_) if head.height == self.head().height => HeadStanding::Current,
            Some(_) => HeadStanding::Earlier,
            None if head.height > self.head().height => HeadStanding::Ahead,
            None => HeadStanding::Forgotten,
        }
    }

    pub(super) fn begin(genesis: &RosterEntry, head: RosterHead) -> Option<Self> {
        let RosterChange::Genesis { .. } = genesis.change else {
            return None;
        };
        let EntrySigner {
            account,
            manifest_version,
            ..
        } = &genesis.signer;
        let owner = RosterMember {
            account_key: *account.account_key.as_bytes(),
            role: Role::Owner,
            manifest_version: *manifest_version,
        };
        Some(Self {
            channel_id: ChannelId::from_bytes(head.hash),
            recent: RecentEntries::new(head),
            departed_at: 0,
            owner: account.address.clone(),
            members: BTreeMap::from([(account.address.clone(), owner)]),
            banned: BTreeSet::new(),
        })
    }

    /// As [`Self::apply`], for an entry whose author is vouched for by other means.
    pub(super) fn apply_checked(
        &mut self,
        entry: &RosterEntry,
        channel_id: ChannelId,
        head: RosterHead,
    ) -> Result<Applied, ApplyError> {
        self.follows(entry, channel_id, head)?;
        self.allows(&entry.signer, &entry.change)?;
        Ok(self.make(entry, head))
    }

    /// Whether the entry is the next one.
    fn follows(
        &self,
        entry: &RosterEntry,
        channel_id: ChannelId,
        head: RosterHead,
    ) -> Result<(), ApplyError> {
        if channel_id != self.channel_id {
            return Err(ApplyError::OtherChannel);
        }
        match self.standing(&head) {
            HeadStanding::Current | HeadStanding::Earlier => return Err(ApplyError::AlreadyApplied),
            HeadStanding::Forgotten => return Err(ApplyError::Forgotten),
            HeadStanding::Fork { ours } => return Err(self.fork(entry, head, ours)),
            HeadStanding::Ahead => {}
        }
        let ours = self.head();
        if head.height - 1 > ours.height {
            return Err(ApplyError::Gap {
                height: ours.height,
                found: head.height,
            });
        }
        if entry.previous != ours.hash {
            self.could_make(&entry.signer, &entry.change)?;
            return Err(ApplyError::Unlinked {
                height: head.height,
                theirs: head.hash,
            });
        }
        Ok(())
    }

    /// What another entry at a known height is. Anybody can sign one, at any height and on an invented
    /// hash: only one that its signer could have made, and on the entry known here, is a second history.
    fn fork(&self, entry: &RosterEntry, head: RosterHead, ours: [u8; 32]) -> ApplyError {
        if let Err(refusal) = self.could_make(&entry.signer, &entry.change) {
            return refusal.into();
        }
        let (height, theirs) = (head.height, head.hash);
        let below = height.checked_sub(1).and_then(|below| self.recent.at(below));
        if below == Some(&entry.previous) {
            ApplyError::Fork { height, ours, theirs }
        } else {
            ApplyError::Unlinked { height, theirs }
        }
    }

    /// Makes a change that [`Self::allows`] allowed.
    fn make(&mut self, entry: &RosterEntry, head: RosterHead) -> Applied {
        let signer = &entry.signer.account.address;
        if let Some(member) = self.members.get_mut(signer) {
            member.manifest_version = entry.signer.manifest_version;
        }
        let departed = match &entry.change {
            RosterChange::Genesis { .. } | RosterChange::Confirm => false,
            RosterChange::Add(account) => {
                let member = RosterMember {
                    account_key: *account.account_key.as_bytes(),
                    role: Role::Member,
                    manifest_version: 0,
                };
                self.members.insert(account.address.clone(), member);
                false
            }
            RosterChange::Remove(address) => self.members.remove(address).is_some(),
            RosterChange::Ban(address) => {
                self.banned.insert(address.clone());
                self.members.remove(address).is_some()
            }
            RosterChange::Unban(address) => {
                self.banned.remove(address);
                false
            }
            RosterChange::Leave => self.members.remove(signer).is_some(),
            RosterChange::SetRole { address, role } => {
                self.give(address, *role);
                false
            }
            RosterChange::HandOver(address) => {
                self.give(signer, Role::Admin);
                self.give(address, Role::Owner);
                self.owner = address.clone();
                false
            }
        };
        if departed {
            self.departed_at = head.height;
        }
        self.recent.push(head);
        Applied { head, departed }
    }

    fn give(&mut self, address: &Address, role: Role) {
        if let Some(member) = self.members.get_mut(address) {
            member.role = role;
        }
    }
}

/// What taking an entry in came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The new head.
    pub head: RosterHead,
    /// Whether somebody lost access: keys made before must not be used again.
    pub departed: bool,
}

/// How a head stands to a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadStanding {
    /// It is the roster's own.
    Current,
    /// It is one of the roster's recent entries.
    Earlier,
    /// It is of entries that have not arrived here.
    Ahead,
    /// Another entry stands at that height: somebody was shown another chain.
    Fork {
        /// Hash of the entry known here.
        ours: [u8; 32],
    },
    /// It is too far behind to tell, or before this roster's first entry: beyond
    /// [`MAX_RECENT_ENTRIES`](crate::MAX_RECENT_ENTRIES).
    Forgotten,
}

/// Why an entry was not taken in. The roster is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// It is for another channel.
    #[error("the entry is for another channel")]
    OtherChannel,
    /// This very entry was taken in before. Nothing is wrong.
    #[error("the entry was applied before")]
    AlreadyApplied,
    /// Another entry stands at that height, on the same one before it, by a member who could make it: the
    /// server, or a member, shows different people different chains. Both entries together are lasting
    /// evidence. Stop sending to the channel.
    #[error("another entry is known at height {height}")]
    Fork {
        /// Height of both, the first where the chains differ.
        height: u64,
        /// Hash of the entry known here.
        ours: [u8; 32],
        /// Hash of the other one.
        theirs: [u8; 32],
    },
    /// It stands on an entry that is not known here. Either it belongs to another chain, and then some entry
    /// below it is a fork, or it belongs to none: a member can invent as many as it likes. Ask for the
    /// entries below; until one of them is a fork, this is hearsay.
    #[error("the entry at height {height} stands on none that is known")]
    Unlinked {
        /// Height of the entry.
        height: u64,
        /// Hash of the entry.
        theirs: [u8; 32],
    },
    /// Entries between are missing. Fetch them first.
    #[error("entries are missing between heights {height} and {found}")]
    Gap {
        /// Height of the head known here.
        height: u64,
        /// Height of the entry.
        found: u64,
    },
    /// So old that its hash is no longer known here.
    #[error("the entry is too old to be known again")]
    Forgotten,
    /// The signer may not make this change.
    #[error(transparent)]
    Refused(#[from] ChangeError),
}

/// The entry does not begin a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry does not begin a channel")]
pub struct NotAGenesis;
