//! Who may change what. Nothing here looks at signatures or places in the chain.

use crate::Address;
use crate::roster::{
    Account, EntrySigner, MAX_BANNED, MAX_MEMBERS, Role, Roster, RosterChange, RosterEntry, RosterMember,
};

impl Roster {
    /// The entry that makes `change` next, to be signed and then applied like anybody's.
    ///
    /// # Errors
    /// [`ChangeError`] when the signer may not make the change now.
    pub fn next_entry(&self, change: RosterChange, signer: EntrySigner) -> Result<RosterEntry, ChangeError> {
        self.allows(&signer, &change)?;
        RosterEntry::following(self.channel_id, self.head(), signer, change).ok_or(ChangeError::ChainFull)
    }

    /// Whether the signer may make the change now. What it allows, [`Self::make`] can do.
    pub(super) fn allows(&self, signer: &EntrySigner, change: &RosterChange) -> Result<(), ChangeError> {
        let role = self.could_make(signer, change)?;
        match change {
            RosterChange::Genesis { .. } | RosterChange::Leave | RosterChange::Confirm => Ok(()),
            RosterChange::Add(account) => self.admits(&account.address),
            RosterChange::Remove(address) | RosterChange::HandOver(address) => {
                below(role, self.existing(address)?)
            }
            RosterChange::Ban(address) => {
                self.member(address)
                    .map_or(Ok(()), |member| below(role, member))?;
                self.bannable(address)
            }
            RosterChange::Unban(address) => {
                if self.is_banned(address) {
                    Ok(())
                } else {
                    Err(ChangeError::NotBanned)
                }
            }
            RosterChange::SetRole { address, role: new } => {
                let member = self.existing(address)?;
                below(role, member)?;
                if member.role == *new || *new == Role::Owner {
                    Err(ChangeError::NoChange)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// Whether the signer, as a member with today's role and manifest, makes changes of this kind, whomever
    /// they are about. Of an entry for a place the chain has passed no more can be judged: the roster of
    /// that place is gone.
    pub(super) fn could_make(
        &self,
        signer: &EntrySigner,
        change: &RosterChange,
    ) -> Result<Role, ChangeError> {
        let role = self.authority(&signer.account, signer.manifest_version)?;
        let least = match change {
            RosterChange::Genesis { .. } => return Err(ChangeError::AlreadyBegun),
            RosterChange::Leave if role == Role::Owner => return Err(ChangeError::OwnerStays),
            RosterChange::Leave | RosterChange::Confirm => Role::Member,
            RosterChange::Add(_)
            | RosterChange::Remove(_)
            | RosterChange::Ban(_)
            | RosterChange::Unban(_) => Role::Admin,
            RosterChange::SetRole { .. } | RosterChange::HandOver(_) => Role::Owner,
        };
        if role >= least {
            Ok(role)
        } else {
            Err(ChangeError::NotAllowed)
        }
    }

    /// The account's role, if it is who the roster thinks.
    pub(super) fn authority(&self, account: &Account, manifest_version: u64) -> Result<Role, ChangeError> {
        let member = self.holds(account).ok_or(ChangeError::NotAMember)?;
        if manifest_version < member.manifest_version {
            Err(ChangeError::StaleManifest)
        } else {
            Ok(member.role)
        }
    }

    fn existing(&self, address: &Address) -> Result<&RosterMember, ChangeError> {
        self.member(address).ok_or(ChangeError::NoSuchMember)
    }

    fn admits(&self, address: &Address) -> Result<(), ChangeError> {
        if self.is_banned(address) {
            Err(ChangeError::Banned)
        } else if self.member(address).is_some() {
            Err(ChangeError::NoChange)
        } else if self.members.len() >= MAX_MEMBERS {
            Err(ChangeError::ChannelFull)
        } else {
            Ok(())
        }
    }

    fn bannable(&self, address: &Address) -> Result<(), ChangeError> {
        if self.is_banned(address) {
            Err(ChangeError::NoChange)
        } else if self.banned.len() >= MAX_BANNED {
            Err(ChangeError::ChannelFull)
        } else {
            Ok(())
        }
    }
}

/// Why a change is not the signer's to make, or not to be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The signer is no member, or a member under another account key.
    #[error("who signs is not a member of the channel")]
    NotAMember,
    /// The signer's account has signed an entry under a newer manifest before. Learn the newest, and sign
    /// again.
    #[error("the account has signed under a newer manifest before")]
    StaleManifest,
    /// The signer's role does not allow this change, or not to this member.
    #[error("the signer's role does not allow this change")]
    NotAllowed,
    /// The owner cannot leave. Hand the channel over first.
    #[error("the owner cannot leave before handing the channel over")]
    OwnerStays,
    /// Who is to be changed is not a member.
    #[error("there is no such member")]
    NoSuchMember,
    /// The address is banned. Lift the ban first.
    #[error("the address is banned from the channel")]
    Banned,
    /// The address is not banned.
    #[error("the address is not banned")]
    NotBanned,
    /// It is so already.
    #[error("the change changes nothing")]
    NoChange,
    /// [`MAX_MEMBERS`] or [`MAX_BANNED`] is reached.
    #[error("the channel is full")]
    ChannelFull,
    /// A genesis begins a channel and cannot follow in one.
    #[error("the channel has begun already")]
    AlreadyBegun,
    /// The chain has 2⁶⁴ − 1 entries.
    #[error("the chain takes no more entries")]
    ChainFull,
}

/// The owner acts on everybody else, admins on plain members; nobody on their equals, nor on themselves.
fn below(role: Role, member: &RosterMember) -> Result<(), ChangeError> {
    if member.role < role {
        Ok(())
    } else {
        Err(ChangeError::NotAllowed)
    }
}
