//! What an operator may have done to a server: by the server itself while it runs, through a socket in
//! its data folder, and otherwise by the command that was typed, on the database.

#[cfg(unix)]
mod socket;

use serde::{Deserialize, Serialize};
use sottovoce_statements::DeviceId;

use crate::blocks::{BlockList, BlockedPrefix, MAX_BLOCKED};
use crate::clock::now_ms;
use crate::prefix::{AddressPrefix, AddressPrefixError};
use crate::store::{
    Block, BlockDevice, CreateInvite, DeviceRow, Invite, NewInvite, PutBlock, ReadError, RemoveBlock,
    RevokeInvite, SignOut, Store, WhichInvite, WriteError,
};

#[cfg(unix)]
pub(crate) use socket::{Orders, ask};

/// Longest note, in bytes: a line about whom or why.
pub(crate) const MAX_NOTE_LEN: usize = 200;

/// What is to be done.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    CreateInvite {
        uses: u32,
        expires_at_ms: Option<u64>,
        note: String,
    },
    ListInvites,
    RevokeInvite(WhichInvite),
    Block {
        prefix: String,
        until_ms: Option<u64>,
        note: String,
    },
    ListBlocks,
    Unblock {
        prefix: String,
    },
    ListDevices {
        address: String,
    },
    SignOut {
        device: String,
    },
    ShutOut {
        device: String,
        blocked: bool,
    },
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    /// There is no such thing.
    NotFound,
    /// It is done, and will show when an account has the device.
    Ahead,
    /// The code of a new invite, shown this once, and its number.
    Invite {
        number: u64,
        code: String,
    },
    Invites(Vec<Invite>),
    Blocks(Vec<Block>),
    Devices(Vec<DeviceRow>),
    Refused(Refused),
}

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the database failed; the log says how")]
    Database,
    #[error("the system has no randomness to give")]
    Randomness,
    #[error(transparent)]
    Prefix(AddressPrefixError),
    #[error("a note has at most {MAX_NOTE_LEN} bytes")]
    Note,
    #[error("an invite has at least one use")]
    Uses,
    #[error("not the id of a device: 32 hexadecimal digits")]
    Device,
    #[error("{MAX_BLOCKED} prefixes are blocked already: beyond them a firewall is the better place")]
    TooManyBlocks,
    #[error("not an order this server knows; is it of another version?")]
    NotUnderstood,
}

impl From<ReadError> for Refused {
    fn from(_: ReadError) -> Self {
        Self::Database
    }
}

impl<R> From<WriteError<R>> for Refused {
    fn from(_: WriteError<R>) -> Self {
        Self::Database
    }
}

/// Does what is ordered.
pub(crate) async fn carry_out(store: &Store, order: Order) -> Answer {
    obey(store, order).await.unwrap_or_else(Answer::Refused)
}

async fn obey(store: &Store, order: Order) -> Result<Answer, Refused> {
    match order {
        Order::CreateInvite {
            uses,
            expires_at_ms,
            note,
        } => create_invite(store, uses, expires_at_ms, note).await,
        Order::ListInvites => Ok(Answer::Invites(store.invites().await?)),
        Order::RevokeInvite(which) => found(store.write(RevokeInvite(which)).await?),
        Order::Block {
            prefix,
            until_ms,
            note,
        } => block(store, &prefix, until_ms, note).await,
        Order::ListBlocks => Ok(Answer::Blocks(store.blocks().await?)),
        Order::Unblock { prefix } => {
            let prefix = canonical(&prefix)?;
            found(store.write(RemoveBlock { prefix }).await?)
        }
        Order::ListDevices { address } => {
            let devices = store.devices_of(&address).await?;
            Ok(match devices.is_empty() {
                true => Answer::NotFound,
                false => Answer::Devices(devices),
            })
        }
        Order::SignOut { device } => {
            let device = device_id(&device)?;
            found(store.write(SignOut { device }).await?)
        }
        Order::ShutOut { device, blocked } => {
            let device = device_id(&device)?;
            let was_there = store.write(BlockDevice { device, blocked }).await?;
            Ok(match (was_there, blocked) {
                (true, _) => Answer::Done,
                (false, true) => Answer::Ahead,
                (false, false) => Answer::NotFound,
            })
        }
    }
}

async fn create_invite(
    store: &Store,
    uses: u32,
    expires_at_ms: Option<u64>,
    note: String,
) -> Result<Answer, Refused> {
    if uses == 0 {
        return Err(Refused::Uses);
    }
    let code = NewInvite::random().map_err(|_| Refused::Randomness)?;
    let change = CreateInvite {
        hash: code.hash(),
        uses,
        expires_at_ms,
        note: short(note)?,
        now_ms: now_ms(),
    };
    let number = store.write(change).await?;
    let code = code.reveal().to_owned();
    Ok(Answer::Invite { number, code })
}

async fn block(store: &Store, prefix: &str, until_ms: Option<u64>, note: String) -> Result<Answer, Refused> {
    if store.blocks().await?.len() >= MAX_BLOCKED {
        return Err(Refused::TooManyBlocks);
    }
    let block = Block {
        prefix: canonical(prefix)?,
        until_ms,
        created_at_ms: now_ms(),
        note: short(note)?,
    };
    store.write(PutBlock(block)).await?;
    Ok(Answer::Done)
}

/// One way to write a prefix, so that it is found again.
fn canonical(prefix: &str) -> Result<String, Refused> {
    let parsed: AddressPrefix = prefix.trim().parse().map_err(Refused::Prefix)?;
    Ok(parsed.to_string())
}

fn short(note: String) -> Result<String, Refused> {
    if note.len() > MAX_NOTE_LEN || note.chars().any(char::is_control) {
        return Err(Refused::Note);
    }
    Ok(note)
}

fn device_id(text: &str) -> Result<DeviceId, Refused> {
    let mut bytes = [0; 16];
    if text.len() != 2 * bytes.len() {
        return Err(Refused::Device);
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| Refused::Device)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| Refused::Device)?;
    }
    Ok(DeviceId::from_bytes(bytes))
}

fn found(was_there: bool) -> Result<Answer, Refused> {
    Ok(if was_there { Answer::Done } else { Answer::NotFound })
}

/// Blocks as the database has them from here on. Which prefixes these are concerns nobody but the
/// operator: they are not logged.
pub(crate) async fn load_blocks(store: &Store, list: &BlockList) -> Result<(), ReadError> {
    let blocked = |block: Block| {
        Some(BlockedPrefix {
            prefix: block.prefix.parse().ok()?,
            until_ms: block.until_ms,
        })
    };
    list.replace(store.blocks().await?.into_iter().filter_map(blocked).collect());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_by_its_whole_id() {
        let id = DeviceId::from_bytes([0xa5; 16]);
        assert_eq!(device_id(&id.to_string()), Ok(id));
        for wrong in ["", "a5", &"zz".repeat(16), &"a5".repeat(17), &"é".repeat(16)] {
            assert_eq!(device_id(wrong), Err(Refused::Device), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_is_written_one_way() {
        assert_eq!(
            canonical(" 192.0.2.7 ").unwrap(),
            canonical("192.0.2.7/32").unwrap()
        );
        assert_eq!(
            canonical("nowhere"),
            Err(Refused::Prefix(AddressPrefixError::Syntax))
        );
        let slip = canonical("192.0.2.7/24").unwrap_err();
        assert!(slip.to_string().contains("did you mean 192.0.2.0/24?"), "{slip}");
    }
}
