//! Joining: what the inviter says in a pairwise message, and a roster from elsewhere held to it.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::codec::{Reader, Writer};
use crate::roster::check::channel_of;
use crate::roster::{
    Account, ApplyError, CatchUpError, ChannelId, Role, Roster, RosterEntry, RosterHead, RosterMember,
    RosterStateError, RunEntry,
};
use crate::signed::Signed;

/// Length of an encoded invitation, in bytes.
pub const ROSTER_INVITATION_LEN: usize = 1 + 32 + 8 + 32 + 32;

/// Opens the hashed bytes of a roster's digest.
const DIGEST_LABEL: &[u8] = b"Sottovoce-v1 roster state";

const INVITATION_VERSION: u8 = 0x01;

/// A roster in 105 bytes, for somebody who joins. It travels in a pairwise message and nowhere else; the
/// roster itself may come from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RosterInvitation {
    /// The channel.
    pub channel_id: ChannelId,
    /// Where its roster stood.
    pub head: RosterHead,
    /// Digest of the whole roster there.
    pub digest: [u8; 32],
}

impl RosterInvitation {
    /// The encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(INVITATION_VERSION);
        writer.fixed(self.channel_id.as_bytes());
        writer.u64(self.head.height);
        writer.fixed(&self.head.hash);
        writer.fixed(&self.digest);
        writer.into_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`RosterStateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RosterStateError> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != INVITATION_VERSION {
            return Err(RosterStateError::UnsupportedVersion);
        }
        let invitation = Self {
            channel_id: ChannelId::from_bytes(reader.fixed()?),
            head: RosterHead {
                height: reader.u64()?,
                hash: reader.fixed()?,
            },
            digest: reader.fixed()?,
        };
        reader.finish()?;
        Ok(invitation)
    }
}

impl Roster {
    /// What to tell somebody who joins, once the entry that adds them has been applied.
    #[must_use]
    pub fn invitation(&self) -> RosterInvitation {
        RosterInvitation {
            channel_id: self.channel_id,
            head: self.head(),
            digest: digest(&self.to_bytes()),
        }
    }

    /// Joins by a roster that was handed over whole: `bytes` are the inviter's [`Self::to_bytes`], from
    /// whoever kept them. `inviter` is the account whose pairwise message the invitation came in. Nothing
    /// protects from the inviter here: a plain member can write itself down as the owner of a real channel.
    /// Where the chain can be had, use [`Self::from_checked_history`].
    ///
    /// # Errors
    /// [`JoinError`] unless the bytes are the inviter's, we are in it, and the inviter may invite.
    pub fn from_snapshot(
        bytes: &[u8],
        invitation: &RosterInvitation,
        inviter: &Account,
        us: &Account,
    ) -> Result<Self, JoinError> {
        if digest(bytes) != invitation.digest {
            return Err(JoinError::OtherRoster);
        }
        Self::from_bytes(bytes)?.joined(invitation, inviter, us)
    }

    /// Joins by the whole chain, genesis first, up to the invitation's head. Each entry names the hash of
    /// the one before, so that the head alone vouches for all of them. Who signed is not checked: the inviter is trusted for
    /// that, as in [`Self::from_snapshot`].
    ///
    /// # Errors
    /// [`JoinError`] unless the entries come to the inviter's roster, we are in it, and the inviter may
    /// invite.
    pub fn from_history<'a>(
        entries: impl IntoIterator<Item = &'a Signed<RosterEntry>>,
        invitation: &RosterInvitation,
        inviter: &Account,
        us: &Account,
    ) -> Result<Self, JoinError> {
        let mut entries = entries.into_iter().map(place);
        let mut roster = entries
            .next()
            .and_then(|(genesis, head)| Self::begin(genesis, head))
            .ok_or(JoinError::OtherRoster)?;
        for (entry, head) in entries {
            if roster.head() == invitation.head {
                return Err(JoinError::OtherRoster);
            }
            roster.apply_checked(entry, channel_of(entry, head.hash), head)?;
        }
        if digest(&roster.to_bytes()) != invitation.digest {
            return Err(JoinError::OtherRoster);
        }
        roster.joined(invitation, inviter, us)
    }

    /// Joins by the whole chain, as [`Self::from_history`], but checks who signed as well: every entry is
    /// current, or past and confirmed as in [`Self::catch_up`]. So the inviter cannot have invented any of it.
    /// The other two ways take the inviter's word for who is in the channel, and who owns it. Prefer this one.
    ///
    /// # Errors
    /// [`JoinError`] unless the entries come to the inviter's roster, we are in it, and the inviter may
    /// invite.
    pub fn from_checked_history(
        run: &[RunEntry],
        invitation: &RosterInvitation,
        inviter: &Account,
        us: &Account,
    ) -> Result<Self, JoinError> {
        let roster = Self::from_run(run)?.ok_or(JoinError::OtherRoster)?;
        if digest(&roster.to_bytes()) != invitation.digest {
            return Err(JoinError::OtherRoster);
        }
        roster.joined(invitation, inviter, us)
    }

    fn joined(
        self,
        invitation: &RosterInvitation,
        inviter: &Account,
        us: &Account,
    ) -> Result<Self, JoinError> {
        if self.channel_id != invitation.channel_id || self.head() != invitation.head {
            return Err(JoinError::OtherRoster);
        }
        self.holds(us).ok_or(JoinError::NotInvited)?;
        // Another device of one's own may invite without being anything but a member.
        let may_invite = self
            .holds(inviter)
            .is_some_and(|member| member.role >= Role::Admin || inviter == us);
        if may_invite {
            Ok(self)
        } else {
            Err(JoinError::NotTheirsToInvite)
        }
    }

    pub(super) fn holds(&self, account: &Account) -> Option<&RosterMember> {
        self.member(&account.address)
            .filter(|member| member.account_key == *account.account_key.as_bytes())
    }
}

/// Why a roster is not the one we were invited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It is not the roster the inviter saw. Whoever gave it to us is at fault, unless the inviter is.
    #[error("the roster is not the inviter's")]
    OtherRoster,
    /// We are not in it under our account key.
    #[error("the roster does not hold us")]
    NotInvited,
    /// The inviter is neither owner nor admin in it, nor another device of ours.
    #[error("the inviter may not invite to the channel")]
    NotTheirsToInvite,
    /// It is no roster at all.
    #[error(transparent)]
    State(#[from] RosterStateError),
    /// One of its entries does not fit.
    #[error(transparent)]
    Entry(#[from] ApplyError),
    /// Nobody confirms one of its entries, whose device was revoked. Wait until its account or the owner
    /// does, and ask for a new invitation.
    #[error("nobody confirms the entry at height {height}, whose device was revoked")]
    Unconfirmed {
        /// The first such entry.
        height: u64,
    },
}

impl From<CatchUpError> for JoinError {
    fn from(error: CatchUpError) -> Self {
        match error {
            CatchUpError::Entry(error) => Self::Entry(error),
            CatchUpError::Unconfirmed { height } => Self::Unconfirmed { height },
        }
    }
}

fn digest(roster: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(DIGEST_LABEL)
        .chain_update(roster)
        .finalize()
        .into()
}

/// An entry and where it stands.
fn place(signed: &Signed<RosterEntry>) -> (&RosterEntry, RosterHead) {
    let entry = signed.claimed();
    let hash = Sha256::digest(signed.statement_bytes()).into();
    let height = entry.height;
    (entry, RosterHead { height, hash })
}
