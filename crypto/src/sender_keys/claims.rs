//! Heads of the roster that members named and that ours was not found to agree with: hearsay, each in the
//! name of the device that authenticated it, until entries settle it.
//!
//! ```text
//!  Ahead, Forgotten, Fork ─ note ─▶ RosterClaim ─┬─ entries that agree ──────────────▶ settle
//!  (from decrypt, accept, confirm)               ├─ the claimant is no member now ───▶ settle
//!                                                ├─ the claimant cannot back it up ──▶ withdraw
//!                                                └─ two linked, signed entries ──────▶ RosterDoubt::Forked
//! ```

use alloc::vec::Vec;

use sottovoce_statements::{HeadStanding, Roster, RosterEntry, RosterHead, Signed};

use crate::handshake::Party;
use crate::primitives::kdf::sha256;
use crate::sender_keys::roster::{RosterFork, fork};

/// What keeps us from taking our roster for the one that all members see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RosterDoubt {
    /// Nothing: every head that a member named is of our chain.
    None,
    /// A member named a head that lies above ours, or below all we remember. What it has that we have not
    /// may be somebody's removal.
    Behind,
    /// A member named another entry than ours at one height; or two entries of one height, each signed and
    /// linked to the chain, are at hand, which is a fork for good.
    Forked,
}

/// A head that a member's device named in a message or distribution that authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterClaim {
    /// Who named it.
    pub claimant: Party,
    /// What was named.
    pub head: RosterHead,
}

impl RosterClaim {
    /// Compares a claim that is older than all we remember, by the entries from its height on up to one whose
    /// hash `roster` knows, oldest first. They may come from anybody and need not be verified: each names
    /// the one before by its hash, so they are our chain's or do not lead to it.
    ///
    /// # Errors
    /// [`TraceError`] unless the claim is of our chain.
    pub fn trace(&self, roster: &Roster, entries: &[Signed<RosterEntry>]) -> Result<(), TraceError> {
        let (first, later) = entries.split_first().ok_or(TraceError::Unlinked)?;
        let ours = head_of(first);
        let mut last = ours;
        for entry in later {
            let claimed = entry.claimed();
            if claimed.previous != last.hash || Some(claimed.height) != last.height.checked_add(1) {
                return Err(TraceError::Unlinked);
            }
            last = head_of(entry);
        }
        let known = matches!(
            roster.standing(&last),
            HeadStanding::Current | HeadStanding::Earlier
        );
        if !known || ours.height != self.head.height {
            Err(TraceError::Unlinked)
        } else if ours.hash == self.head.hash {
            Ok(())
        } else {
            Err(fork(ours.hash, &self.head).into())
        }
    }

    /// Whether nothing is open any more: the roster has the entry, or has the claimant no longer.
    fn is_settled(&self, roster: &Roster) -> bool {
        !self.claimant.is_member_of(roster) || self.doubt(roster) == RosterDoubt::None
    }

    fn doubt(&self, roster: &Roster) -> RosterDoubt {
        match roster.standing(&self.head) {
            HeadStanding::Current | HeadStanding::Earlier => RosterDoubt::None,
            HeadStanding::Ahead | HeadStanding::Forgotten => RosterDoubt::Behind,
            HeadStanding::Fork { .. } => RosterDoubt::Forked,
        }
    }
}

/// All claims about one channel's roster that are open, at most one per device.
///
/// [`note`](Self::note) every head that was not [`Agreed`](crate::RosterStanding::Agreed), keep the claims
/// with the roster, and send under what [`doubt`](Self::doubt) says. A claim ends in one of four ways, and
/// never by a clock alone: a server that withholds entries could wait for it.
///
/// - Entries come that agree with it: [`settle`](Self::settle), or [`RosterClaim::trace`] for one that is
///   too old and then [`withdraw`](Self::withdraw).
/// - The claimant is asked, in the pairwise session, for the signed entries from the last common height up
///   to the claim, and they do not link and verify, or there are none: `withdraw` the claim, and tell the
///   user whose fault it is, by name. So may the user decide where no answer comes.
/// - The claimant is removed from the channel: entries may be signed and taken in whatever is open. `settle`.
/// - The entries do link and verify, and one stands where another of ours does: the channel is forked for
///   good. Tell the user, keep both entries, and send under [`RosterDoubt::Forked`] from then on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RosterClaims(Vec<RosterClaim>);

impl RosterClaims {
    /// Takes up what a device named. Of one device the highest head is kept: that of a chain which agrees
    /// there agrees below as well.
    pub fn note(&mut self, claim: RosterClaim) {
        match self.0.iter_mut().find(|held| held.claimant == claim.claimant) {
            Some(held) if claim.head.height > held.head.height => *held = claim,
            Some(_) => {}
            None => self.0.push(claim),
        }
    }

    /// Drops what the roster has answered since: claims it agrees with, and those of accounts that are not
    /// members any more.
    pub fn settle(&mut self, roster: &Roster) {
        self.0.retain(|claim| !claim.is_settled(roster));
    }

    /// Drops a device's claim, because it was traced to our chain, or because nobody backs it up.
    pub fn withdraw(&mut self, claimant: &Party) {
        self.0.retain(|claim| claim.claimant != *claimant);
    }

    /// What the claims come to under this roster: the worst of them.
    #[must_use]
    pub fn doubt(&self, roster: &Roster) -> RosterDoubt {
        self.0
            .iter()
            .filter(|claim| !claim.is_settled(roster))
            .map(|claim| claim.doubt(roster))
            .max()
            .unwrap_or(RosterDoubt::None)
    }

    /// Every claim, to resolve it or to save it.
    pub fn iter(&self) -> impl Iterator<Item = &RosterClaim> {
        self.0.iter()
    }
}

impl Extend<RosterClaim> for RosterClaims {
    fn extend<I: IntoIterator<Item = RosterClaim>>(&mut self, claims: I) {
        for claim in claims {
            self.note(claim);
        }
    }
}

impl FromIterator<RosterClaim> for RosterClaims {
    fn from_iter<I: IntoIterator<Item = RosterClaim>>(claims: I) -> Self {
        let mut all = Self::default();
        all.extend(claims);
        all
    }
}

/// Why entries do not show that a claim is of our chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// They do not lead from the claim's height to an entry we know. Fetch them from somebody else.
    #[error("the entries do not lead from the claim to our roster")]
    Unlinked,
    /// They do, and our chain has another entry there. Ask the claimant to back the claim up.
    #[error(transparent)]
    Fork(#[from] RosterFork),
}

fn head_of(entry: &Signed<RosterEntry>) -> RosterHead {
    RosterHead {
        height: entry.claimed().height,
        hash: sha256(&[entry.statement_bytes()]),
    }
}
