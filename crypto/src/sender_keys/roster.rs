//! What sender keys ask of a channel's roster, and what comes of comparing ours with a sender's.

use core::cmp::Ordering;

use sottovoce_statements::{HeadStanding, Roster, RosterHead, RosterMember, RosterView};

use crate::codec::{Malformed, Reader, Write};
use crate::handshake::Party;
use crate::sender_keys::claims::RosterDoubt;

/// What a sender knows of the roster, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendingRoster {
    /// The newest entry.
    pub head: RosterHead,
    /// Height of the last entry that took somebody's access away, 0 if none did.
    pub departed_at: u64,
    /// What keeps us from taking this roster for the one that all members see. While there is anything,
    /// nothing is sent: it may be somebody's removal that is kept from us.
    pub doubt: RosterDoubt,
}

impl SendingRoster {
    /// What a roster says, and what [`RosterClaims::doubt`](crate::RosterClaims::doubt) says of it: or
    /// [`RosterDoubt::Forked`], once a fork is shown.
    #[must_use]
    pub fn new(roster: RosterView, doubt: RosterDoubt) -> Self {
        Self {
            head: RosterHead {
                height: roster.height,
                hash: roster.head,
            },
            departed_at: roster.departed_at,
            doubt,
        }
    }
}

/// What a receiver remembers of the roster: a [`Roster`], or a bare [`RosterHead`] that remembers itself and
/// nothing older.
pub trait RosterHistory {
    /// How a head that a sender speaks of stands to ours.
    fn standing(&self, theirs: &RosterHead) -> HeadStanding;
}

impl RosterHistory for Roster {
    fn standing(&self, theirs: &RosterHead) -> HeadStanding {
        Self::standing(self, theirs)
    }
}

impl RosterHistory for RosterHead {
    fn standing(&self, theirs: &RosterHead) -> HeadStanding {
        match theirs.height.cmp(&self.height) {
            Ordering::Less => HeadStanding::Forgotten,
            Ordering::Equal if theirs.hash == self.hash => HeadStanding::Current,
            Ordering::Equal => HeadStanding::Fork { ours: self.hash },
            Ordering::Greater => HeadStanding::Ahead,
        }
    }
}

/// How the roster that a sender sees stands to ours, if it does not contradict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterStanding {
    /// It is ours, or was once.
    Agreed,
    /// It has entries that we have not seen. [Note](crate::RosterClaims::note) it, send nothing, fetch the
    /// entries up to it, and compare again: it may be a fork.
    Ahead,
    /// It is older than all we remember. [Note](crate::RosterClaims::note) it, send nothing, fetch the
    /// entries from its height on, and [trace](crate::RosterClaim::trace) it: it may be a fork.
    Forgotten,
}

/// Two rosters of one channel: members were shown different ones, or the one who names theirs is false. One
/// member's word does not tell which: [note](crate::RosterClaims::note) it, and ask for the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the channel's roster is forked at height {}", theirs.height)]
pub struct RosterFork {
    /// Our entry, of the same height as theirs.
    pub ours: RosterHead,
    /// Theirs.
    pub theirs: RosterHead,
}

/// Compares a head that a sender authenticated with what we remember.
pub(crate) fn compare<H: RosterHistory + ?Sized>(
    theirs: &RosterHead,
    ours: &H,
) -> Result<RosterStanding, RosterFork> {
    match ours.standing(theirs) {
        HeadStanding::Current | HeadStanding::Earlier => Ok(RosterStanding::Agreed),
        HeadStanding::Ahead => Ok(RosterStanding::Ahead),
        HeadStanding::Forgotten => Ok(RosterStanding::Forgotten),
        HeadStanding::Fork { ours } => Err(fork(ours, theirs)),
    }
}

/// A head, and the hash of our entry of the same height.
pub(crate) fn fork(ours: [u8; 32], theirs: &RosterHead) -> RosterFork {
    RosterFork {
        ours: RosterHead {
            height: theirs.height,
            hash: ours,
        },
        theirs: *theirs,
    }
}

impl Party {
    /// Whether this device's account is a member by this roster, under the account key that the roster has:
    /// nobody else is given a sender key, however the device came by its manifest.
    #[must_use]
    pub fn is_member_of(&self, roster: &Roster) -> bool {
        roster
            .member(&self.address)
            .is_some_and(|member| self.is_of(member))
    }

    /// Whether its account key is the member's. That the member is the one of its address is the caller's
    /// to see.
    pub(crate) fn is_of(&self, member: &RosterMember) -> bool {
        member.account_key == *self.account_key.as_bytes()
    }
}

/// Length of an encoded head.
pub(crate) const ROSTER_HEAD_LEN: usize = 40;

pub(crate) fn write_head(head: &RosterHead, bytes: &mut impl Write) {
    bytes.put_u64(head.height);
    bytes.put(&head.hash);
}

pub(crate) fn read_head(reader: &mut Reader<'_>) -> Result<RosterHead, Malformed> {
    Ok(RosterHead {
        height: reader.u64()?,
        hash: *reader.array()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(height: u64, hash: u8) -> RosterHead {
        RosterHead {
            height,
            hash: [hash; 32],
        }
    }

    #[test]
    fn a_head_alone_remembers_itself() {
        let ours = head(4, 4);
        let standing = |theirs| compare(&theirs, &ours);
        assert_eq!(standing(ours), Ok(RosterStanding::Agreed));
        assert_eq!(standing(head(3, 4)), Ok(RosterStanding::Forgotten));
        assert_eq!(standing(head(5, 4)), Ok(RosterStanding::Ahead));
        let theirs = head(4, 5);
        assert_eq!(standing(theirs), Err(RosterFork { ours, theirs }));
    }
}
