//! A roster as bytes: one encoding, so that all who applied the same entries hold the same bytes.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::Address;
use crate::codec::{Reader, Writer};
use crate::roster::recent::RecentEntries;
use crate::roster::{
    ChannelId, MAX_BANNED, MAX_MEMBERS, MAX_RECENT_ENTRIES, Role, Roster, RosterHead, RosterMember,
};
use crate::signed::StatementError;

/// Longest encoding of a roster, in bytes: every list full and every address as long as can be. With
/// addresses of 25 bytes, a channel of 10,000 members takes 0.7 MB.
pub const MAX_ROSTER_LEN: usize = FIXED_LEN
    + (MAX_RECENT_ENTRIES - 1) * 32
    + MAX_MEMBERS * (MAX_ADDRESS_LEN + 32 + 1 + 8)
    + MAX_BANNED * MAX_ADDRESS_LEN;

/// Version and kind, channel id, head, departed at, two counts.
const FIXED_LEN: usize = 2 + 32 + (8 + 32) + 8 + 4 + 4;
/// A length byte, a name, an `@` and a server name.
const MAX_ADDRESS_LEN: usize = 1 + crate::MAX_NAME_LEN + 1 + crate::MAX_SERVER_NAME_LEN;

/// First byte of everything stored: the version of these encodings.
const STATE_VERSION: u8 = 0x01;
/// Second byte of everything stored: what it is.
const STATE_KIND: u8 = 0x0b;

impl Roster {
    /// The whole roster. It holds no secrets, but who is in the channel.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(STATE_VERSION);
        writer.u8(STATE_KIND);
        writer.fixed(self.channel_id.as_bytes());
        writer.u64(self.head().height);
        writer.fixed(&self.head().hash);
        writer.u64(self.departed_at);
        self.recent.earlier().for_each(|hash| writer.fixed(hash));
        writer.u32(count(self.members.len()));
        for (address, member) in &self.members {
            put_address(&mut writer, address);
            writer.fixed(&member.account_key);
            writer.u8(member.role as u8);
            writer.u64(member.manifest_version);
        }
        writer.u32(count(self.banned.len()));
        self.banned
            .iter()
            .for_each(|address| put_address(&mut writer, address));
        writer.into_bytes()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote here before. For bytes that come from somebody else
    /// there is [`from_snapshot`](Self::from_snapshot).
    ///
    /// # Errors
    /// [`RosterStateError`] when the bytes are anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RosterStateError> {
        if bytes.len() > MAX_ROSTER_LEN {
            return Err(RosterStateError::Malformed);
        }
        let mut reader = Reader::new(bytes);
        if reader.u8()? != STATE_VERSION {
            return Err(RosterStateError::UnsupportedVersion);
        }
        if reader.u8()? != STATE_KIND {
            return Err(RosterStateError::Malformed);
        }
        let channel_id = ChannelId::from_bytes(reader.fixed()?);
        let head = RosterHead {
            height: reader.u64()?,
            hash: reader.fixed()?,
        };
        let departed_at = reader.u64()?;
        let recent = read_recent(head, &mut reader)?;
        let members = read_members(&mut reader)?;
        let banned = read_banned(&mut reader)?;
        reader.finish()?;
        let owner = the_owner(&members).ok_or(RosterStateError::Malformed)?;
        let genesis_fits = recent.at(0).is_none_or(|hash| hash == channel_id.as_bytes());
        let apart = banned.iter().all(|address| !members.contains_key(address));
        if !genesis_fits || !apart || departed_at > head.height {
            return Err(RosterStateError::Malformed);
        }
        Ok(Self {
            channel_id,
            recent,
            departed_at,
            owner,
            members,
            banned,
        })
    }
}

/// Why bytes are not a roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RosterStateError {
    /// Written by a version of the format this one does not know.
    #[error("the roster is of an unknown version")]
    UnsupportedVersion,
    /// Not the one encoding of any roster.
    #[error("the roster is malformed")]
    Malformed,
}

impl From<StatementError> for RosterStateError {
    fn from(_: StatementError) -> Self {
        Self::Malformed
    }
}

/// Both lists are bounded far below 2³².
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn put_address(writer: &mut Writer, address: &Address) {
    // An address is at most 161 bytes long, so that its length always fits the one byte.
    let written = writer.address(address);
    debug_assert!(written.is_ok());
}

fn read_recent(head: RosterHead, reader: &mut Reader<'_>) -> Result<RecentEntries, RosterStateError> {
    let earlier = (0..RecentEntries::earlier_at(head.height))
        .map(|_| reader.fixed())
        .collect::<Result<VecDeque<_>, _>>()?;
    RecentEntries::restore(head, earlier).ok_or(RosterStateError::Malformed)
}

fn read_members(reader: &mut Reader<'_>) -> Result<BTreeMap<Address, RosterMember>, RosterStateError> {
    let mut members = BTreeMap::new();
    for _ in 0..read_count(reader, MAX_MEMBERS)? {
        let address = reader.address()?;
        let member = RosterMember {
            account_key: reader.fixed()?,
            role: Role::from_byte(reader.u8()?).ok_or(RosterStateError::Malformed)?,
            manifest_version: reader.u64()?,
        };
        if members.last_key_value().is_some_and(|(last, _)| *last >= address) {
            return Err(RosterStateError::Malformed);
        }
        members.insert(address, member);
    }
    Ok(members)
}

fn read_banned(reader: &mut Reader<'_>) -> Result<BTreeSet<Address>, RosterStateError> {
    let mut banned = BTreeSet::new();
    for _ in 0..read_count(reader, MAX_BANNED)? {
        let address = reader.address()?;
        if banned.last().is_some_and(|last| *last >= address) {
            return Err(RosterStateError::Malformed);
        }
        banned.insert(address);
    }
    Ok(banned)
}

fn read_count(reader: &mut Reader<'_>, most: usize) -> Result<usize, RosterStateError> {
    usize::try_from(reader.u32()?)
        .ok()
        .filter(|count| *count <= most)
        .ok_or(RosterStateError::Malformed)
}

/// The one owner, if there is exactly one.
fn the_owner(members: &BTreeMap<Address, RosterMember>) -> Option<Address> {
    let mut owners = members.iter().filter(|(_, member)| member.role == Role::Owner);
    let (owner, _) = owners.next()?;
    owners.next().is_none().then(|| owner.clone())
}
