//! The records of a backup.

use alloc::boxed::Box;
use alloc::vec::Vec;

use sottovoce_statements::Account;
use zeroize::Zeroizing;

use crate::account::fields::{read_account_key, read_address, write_address};
use crate::account::material::AccountMaterial;
use crate::account::trusted::TrustedAccount;
use crate::account::view::ManifestView;
use crate::codec::{Malformed, Reader, Write};

/// What a backup brings back.
#[derive(Debug)]
#[non_exhaustive]
pub enum BackupRecord {
    /// Our own account, if the backup was written by its primary device: then it is the first record.
    Account(Box<AccountMaterial>),
    /// Somebody we know.
    Contact(Box<BackupContact>),
    /// A piece of history, as the app wrote it.
    History(Zeroizing<Vec<u8>>),
}

/// Somebody we know: enough that no server can put another in their place, nor an older list of their
/// devices. See [`TrustedAccount::trust_again`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupContact {
    /// The address, and the account key trusted for it.
    pub account: Account,
    /// Whether the user compared safety numbers with them, for this account key.
    pub verified: bool,
    /// The newest manifest seen.
    pub view: ManifestView,
}

impl BackupContact {
    /// What to back up of an account.
    #[must_use]
    pub fn of(account: &TrustedAccount, verified: bool) -> Self {
        Self {
            account: account.account(),
            verified,
            view: account.view(),
        }
    }

    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        write_address(bytes, &self.account.address);
        bytes.put(self.account.account_key.as_bytes());
        bytes.put_u8(u8::from(self.verified));
        bytes.put_u64(self.view.version);
        bytes.put(&self.view.hash);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let address = read_address(reader)?;
        let account_key = read_account_key(reader)?;
        let verified = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let (version, hash) = (reader.u64()?, *reader.array()?);
        if version == 0 {
            return Err(Malformed);
        }
        Ok(Self {
            account: Account { address, account_key },
            verified,
            view: ManifestView { version, hash },
        })
    }
}

impl BackupRecord {
    /// Takes a record from the front of what is there of a backup. `Ok(None)` if it is not there whole.
    pub(super) fn take(reader: &mut Reader<'_>, is_first: bool) -> Result<Option<Self>, Malformed> {
        let Ok(&[kind, a, b, c, d]) = reader.array::<RECORD_HEADER_LEN>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| Malformed)?;
        if length > MAX_BACKUP_ITEM_LEN {
            return Err(Malformed);
        }
        let known = matches!(kind, KIND_ACCOUNT | KIND_CONTACT | KIND_HISTORY);
        // A length that is never kept is not waited for, nor a kind that nobody writes.
        if !known || (kind == KIND_ACCOUNT) && !is_first || (kind == KIND_HISTORY) && length == 0 {
            return Err(Malformed);
        }
        let Ok(body) = reader.bytes(length) else {
            return Ok(None);
        };
        let mut body = Reader::new(body);
        let record = match kind {
            KIND_ACCOUNT => Self::Account(Box::new(AccountMaterial::read(&mut body)?)),
            KIND_CONTACT => Self::Contact(Box::new(BackupContact::read(&mut body)?)),
            _ => return Ok(Some(Self::History(Zeroizing::new(body.rest().to_vec())))),
        };
        body.finish()?;
        Ok(Some(record))
    }
}

/// Longest history item, in bytes: 256 KiB, four times a message. Attachments stay where they are; their
/// pointers are what is backed up.
pub const MAX_BACKUP_ITEM_LEN: usize = 256 * 1_024;

/// Bytes before a record's body: its kind, and its length.
pub(super) const RECORD_HEADER_LEN: usize = 1 + 4;

pub(super) const KIND_ACCOUNT: u8 = 0x01;
pub(super) const KIND_CONTACT: u8 = 0x02;
pub(super) const KIND_HISTORY: u8 = 0x03;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::AccountKeyPair;
    use alloc::vec;
    use sottovoce_statements::Address;

    fn record(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.put_u32(u32::try_from(body.len()).unwrap());
        bytes.put(body);
        bytes
    }

    /// Whether a record is there (`Some`), not there whole (`None`), or against the rules.
    fn take(bytes: &[u8], is_first: bool) -> Result<bool, Malformed> {
        BackupRecord::take(&mut Reader::new(bytes), is_first).map(|record| record.is_some())
    }

    #[test]
    fn records_that_break_the_rules_are_not_read() {
        let contact = BackupContact {
            account: Account {
                address: Address::parse("bob@two.example").unwrap(),
                account_key: AccountKeyPair::from_secret_bytes(&[2; 32]).unwrap().public(),
            },
            verified: true,
            view: ManifestView {
                version: 1,
                hash: [5; 32],
            },
        };
        let mut body = Vec::new();
        contact.write(&mut body);
        assert_eq!(take(&record(KIND_CONTACT, &body), true), Ok(true));
        for length in 0..body.len() {
            assert_eq!(take(&record(KIND_CONTACT, &body[..length]), true), Err(Malformed));
        }
        assert_eq!(
            take(&record(KIND_CONTACT, &[&body[..], &[0]].concat()), true),
            Err(Malformed)
        );
        let flag = body.len() - 41;
        let changed = |place: usize, value: u8| {
            let mut body = body.clone();
            body[place] = value;
            take(&record(KIND_CONTACT, &body), true)
        };
        assert_eq!(changed(flag, 0), Ok(true));
        assert_eq!(changed(flag, 2), Err(Malformed));
        assert_eq!(changed(flag + 8, 0), Err(Malformed));

        assert_eq!(take(&record(KIND_HISTORY, b"words"), false), Ok(true));
        assert_eq!(take(&record(KIND_HISTORY, b""), false), Err(Malformed));
        assert_eq!(take(&record(0x04, b"words"), false), Err(Malformed));
        assert_eq!(take(&record(KIND_ACCOUNT, &[0; 200]), false), Err(Malformed));

        // What is not there yet is waited for, unless it is never kept.
        let whole = record(KIND_HISTORY, b"words");
        for length in 0..whole.len() {
            assert_eq!(take(&whole[..length], false), Ok(false));
        }
        assert_eq!(take(&[KIND_HISTORY, 0, 4, 0, 0], false), Ok(false));
        assert_eq!(take(&[KIND_HISTORY, 0, 4, 0, 1], false), Err(Malformed));
    }
}
