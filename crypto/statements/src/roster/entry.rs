//! One entry of a channel's roster: a change, the place in the chain it is for, and who says so.

use crate::codec::{Reader, Writer};
use crate::keys::{AccountKey, IdentityKey};
use crate::roster::{ChannelId, RosterHead};
use crate::signed::{Purpose, Statement, StatementError, Verified};
use crate::{Address, DeviceId, DeviceManifest, ManifestHash};

/// Longest statement of a roster entry, in bytes: one that adds a member, with the longest addresses.
/// A signature of 64 bytes goes with it.
pub const MAX_ROSTER_ENTRY_LEN: usize = 533;

/// Length of a genesis salt, in bytes.
pub const ROSTER_SALT_LEN: usize = 16;

/// A change of a channel's roster, signed by a device of the account that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterEntry {
    /// The channel; all zeros in a genesis, whose hash it is.
    pub channel_id: ChannelId,
    /// 0 for the genesis, one more for each entry that follows.
    pub height: u64,
    /// SHA-256 of the statement of the entry before; all zeros in a genesis, and only there.
    pub previous: [u8; 32],
    /// Who makes the change.
    pub signer: EntrySigner,
    /// The change.
    pub change: RosterChange,
}

impl RosterEntry {
    /// The entry that begins a channel owned by `signer`. The salt is random: it keeps two channels of one
    /// owner apart.
    #[must_use]
    pub fn genesis(signer: EntrySigner, salt: [u8; ROSTER_SALT_LEN]) -> Self {
        Self {
            channel_id: ChannelId::from_bytes([0; 32]),
            height: 0,
            previous: [0; 32],
            signer,
            change: RosterChange::Genesis { salt },
        }
    }

    pub(crate) fn following(
        channel_id: ChannelId,
        head: RosterHead,
        signer: EntrySigner,
        change: RosterChange,
    ) -> Option<Self> {
        Some(Self {
            channel_id,
            height: head.height.checked_add(1)?,
            previous: head.hash,
            signer,
            change,
        })
    }

    /// A genesis stands at height 0 under no name and on nothing, and everything else somewhere else.
    fn check(&self) -> Result<(), StatementError> {
        let genesis = matches!(self.change, RosterChange::Genesis { .. });
        let fits = (self.height == 0) == genesis
            && (*self.channel_id.as_bytes() == [0; 32]) == genesis
            && (self.previous == [0; 32]) == genesis;
        if fits && self.signer.manifest_version > 0 {
            Ok(())
        } else {
            Err(StatementError::FieldRange)
        }
    }
}

/// Who signs an entry: a device of an account, as that account's manifest had it at the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySigner {
    /// The account that makes the change.
    pub account: Account,
    /// The device that signs.
    pub device_id: DeviceId,
    /// Version of the account's newest manifest that the device knows; from 1.
    pub manifest_version: u64,
    /// Hash of that manifest.
    pub manifest_hash: ManifestHash,
}

impl EntrySigner {
    /// One of the devices of a manifest, or `None` if it is not on it.
    #[must_use]
    pub fn on_manifest(manifest: &Verified<DeviceManifest>, device_id: DeviceId) -> Option<Self> {
        manifest.identity_key(device_id)?;
        Some(Self {
            account: Account {
                address: manifest.address.clone(),
                account_key: *manifest.signer(),
            },
            device_id,
            manifest_version: manifest.version,
            manifest_hash: manifest.hash(),
        })
    }
}

/// An account: its address, and the key that makes it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The address.
    pub address: Address,
    /// The account key.
    pub account_key: AccountKey,
}

/// What an entry changes. Who may make which change is said with each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RosterChange {
    /// Begins the channel. The signer becomes its owner and only member.
    Genesis {
        /// Random bytes.
        salt: [u8; ROSTER_SALT_LEN],
    },
    /// Adds a member. Owner and admins.
    Add(Account),
    /// Takes membership away. The owner from everybody else, admins from plain members.
    Remove(Address),
    /// Takes membership away, if there is one, and lets nobody add the address again. As [`Self::Remove`].
    Ban(Address),
    /// Lifts a ban; the address is no member yet. Owner and admins.
    Unban(Address),
    /// Gives the signer's own membership up. Everybody but the owner.
    Leave,
    /// Makes a plain member an admin or an admin a plain member. The owner.
    SetRole {
        /// Whose role.
        address: Address,
        /// [`Role::Admin`] or [`Role::Member`].
        role: Role,
    },
    /// Makes another member the owner; the one before stays as an admin. The owner.
    HandOver(Address),
    /// Changes nobody: the signer stands by the chain so far, under the manifest the entry names. Every
    /// member. An account sends it after it revoked a device that has signed entries.
    Confirm,
}

impl RosterChange {
    /// Whom it changes besides the signer.
    #[must_use]
    pub fn about(&self) -> Option<&Address> {
        match self {
            Self::Genesis { .. } | Self::Leave | Self::Confirm => None,
            Self::Add(account) => Some(&account.address),
            Self::Remove(address)
            | Self::Ban(address)
            | Self::Unban(address)
            | Self::SetRole { address, .. }
            | Self::HandOver(address) => Some(address),
        }
    }
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Reads and writes, and may leave.
    Member = 0x01,
    /// Adds and removes members.
    Admin = 0x02,
    /// Also gives roles away. A channel has exactly one.
    Owner = 0x03,
}

impl Role {
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        [Self::Member, Self::Admin, Self::Owner]
            .into_iter()
            .find(|role| *role as u8 == byte)
    }
}

const GENESIS: u8 = 0x01;
const ADD: u8 = 0x02;
const REMOVE: u8 = 0x03;
const BAN: u8 = 0x04;
const UNBAN: u8 = 0x05;
const LEAVE: u8 = 0x06;
const SET_ROLE: u8 = 0x07;
const HAND_OVER: u8 = 0x08;
const CONFIRM: u8 = 0x09;

impl Statement for RosterEntry {
    type Signer = IdentityKey;
    const PURPOSE: Purpose = Purpose::RosterEntry;

    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError> {
        self.check()?;
        writer.fixed(self.channel_id.as_bytes());
        writer.u64(self.height);
        writer.fixed(&self.previous);
        encode_account(&self.signer.account, writer)?;
        writer.device_id(self.signer.device_id);
        writer.u64(self.signer.manifest_version);
        writer.fixed(&self.signer.manifest_hash);
        encode_change(&self.change, writer)
    }

    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError> {
        let entry = Self {
            channel_id: ChannelId::from_bytes(reader.fixed()?),
            height: reader.u64()?,
            previous: reader.fixed()?,
            signer: EntrySigner {
                account: decode_account(reader)?,
                device_id: reader.device_id()?,
                manifest_version: reader.u64()?,
                manifest_hash: reader.fixed()?,
            },
            change: decode_change(reader)?,
        };
        entry.check()?;
        Ok(entry)
    }
}

fn encode_account(account: &Account, writer: &mut Writer) -> Result<(), StatementError> {
    writer.address(&account.address)?;
    writer.account_key(&account.account_key);
    Ok(())
}

fn decode_account(reader: &mut Reader<'_>) -> Result<Account, StatementError> {
    Ok(Account {
        address: reader.address()?,
        account_key: reader.account_key()?,
    })
}

fn encode_change(change: &RosterChange, writer: &mut Writer) -> Result<(), StatementError> {
    let mut about = |kind: u8, address: &Address| {
        writer.u8(kind);
        writer.address(address)
    };
    match change {
        RosterChange::Genesis { salt } => {
            writer.u8(GENESIS);
            writer.fixed(salt);
        }
        RosterChange::Add(account) => {
            writer.u8(ADD);
            encode_account(account, writer)?;
        }
        RosterChange::Remove(address) => about(REMOVE, address)?,
        RosterChange::Ban(address) => about(BAN, address)?,
        RosterChange::Unban(address) => about(UNBAN, address)?,
        RosterChange::Leave => writer.u8(LEAVE),
        RosterChange::SetRole { address, role } => {
            about(SET_ROLE, address)?;
            writer.u8(assignable(*role)? as u8);
        }
        RosterChange::HandOver(address) => about(HAND_OVER, address)?,
        RosterChange::Confirm => writer.u8(CONFIRM),
    }
    Ok(())
}

fn decode_change(reader: &mut Reader<'_>) -> Result<RosterChange, StatementError> {
    Ok(match reader.u8()? {
        GENESIS => RosterChange::Genesis {
            salt: reader.fixed()?,
        },
        ADD => RosterChange::Add(decode_account(reader)?),
        REMOVE => RosterChange::Remove(reader.address()?),
        BAN => RosterChange::Ban(reader.address()?),
        UNBAN => RosterChange::Unban(reader.address()?),
        LEAVE => RosterChange::Leave,
        SET_ROLE => RosterChange::SetRole {
            address: reader.address()?,
            role: assignable(Role::from_byte(reader.u8()?).ok_or(StatementError::FieldRange)?)?,
        },
        HAND_OVER => RosterChange::HandOver(reader.address()?),
        CONFIRM => RosterChange::Confirm,
        _ => return Err(StatementError::FieldRange),
    })
}

/// Ownership is handed over, never given like a role: there would be two owners.
fn assignable(role: Role) -> Result<Role, StatementError> {
    match role {
        Role::Member | Role::Admin => Ok(role),
        Role::Owner => Err(StatementError::FieldRange),
    }
}
