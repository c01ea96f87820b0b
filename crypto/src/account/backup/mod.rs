//! Backups: what a new device needs to go on as the old one's owner, in a stream of sealed records.
//!
//! There is a record for the account, for contacts and for history, and none for sessions, prekeys or
//! sender keys: restored, these would use keys twice. Whoever restores a backup does so on a new device.

mod open;
mod records;
mod seal;

pub use open::BackupReader;
pub use records::{BackupContact, BackupRecord, MAX_BACKUP_ITEM_LEN};
pub use seal::BackupWriter;

use super::code::BackupCode;
use crate::chunks::{SEALED_CHUNK_LEN, STREAM_HEADER_LEN};
use crate::secret::Secret32;

/// Bytes before the first chunk.
pub const BACKUP_HEADER_LEN: usize = 1 + SALT_LEN + STREAM_HEADER_LEN;

/// Bytes of every chunk but the last, and at most of that.
pub const SEALED_BACKUP_CHUNK_LEN: usize = SEALED_CHUNK_LEN;

/// First byte of a backup.
const BACKUP_VERSION: u8 = 0x01;

/// Bytes drawn for each backup, so that one code seals many, each under a key of its own.
const SALT_LEN: usize = 32;

/// HKDF info of a backup's key.
const LABEL_KEY: &[u8] = b"Sottovoce-v1 backup key";

/// HKDF info of the chunks' key.
const LABEL_STREAM: &[u8] = b"Sottovoce-v1 backup stream";

fn stream_key(code: &BackupCode, salt: &[u8; SALT_LEN]) -> Secret32 {
    code.derive(salt, &[LABEL_KEY, &[BACKUP_VERSION]])
}
