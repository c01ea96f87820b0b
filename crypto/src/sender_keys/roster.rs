//! What sender keys ask of a channel's roster, and what comes of comparing ours with a sender's.

use core::cmp::Ordering;

use sottovoce_statements::{HeadStanding, Roster, RosterHead, RosterView};

use crate::codec::{Malformed, Reader, Write};

/// What a sender knows of the roster, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendingRoster {
    /// The newest entry.
    pub head: RosterHead,
    /// Height of the last entry that took somebody's access away, 0 if none did.
    pub departed_at: u64,
    /// Whether a fork is known, by a [`RosterFork`] that any message or distribution brought, or in any
    /// other way. It stays known until the user has dealt with it.
    pub forked: bool,
}

impl SendingRoster {
    /// What a roster says, and whether another of the same channel has been seen.
    #[must_use]
    pub fn new(roster: RosterView, forked: bool) -> Self {
        Self {
            head: RosterHead {
                height: roster.height,
                hash: roster.head,
            },
            departed_at: roster.departed_at,
            forked,
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
    /// It has entries that we have not seen. Fetch them, then compare again: it may be a fork.
    Ahead,
    /// It is older than all we remember: nothing can be said.
    Forgotten,
}

/// Two rosters of one channel: members were shown different ones.
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
        HeadStanding::Fork { ours } => Err(RosterFork {
            ours: RosterHead {
                height: theirs.height,
                hash: ours,
            },
            theirs: *theirs,
        }),
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
