//! What can go wrong with accounts, one enum per operation.

use super::text::TextError;
use crate::chunks::StreamHeaderError;
use crate::codec::Malformed;

/// Why an account is not to be believed by itself, whatever was known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyAccountError {
    /// The account key did not sign the manifest, or it is of another address.
    #[error("the manifest is not this account's")]
    Manifest,
    /// There is not one binding for each device, in the manifest's order, signed by the device and naming
    /// this account.
    #[error("the devices do not confirm that they are this account's")]
    Bindings,
}

/// Why a shown account does not become what is trusted. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvanceError {
    /// It is of another address. The caller mixed two up.
    #[error("the account is of another address")]
    OtherAddress,
    /// Another account key for the address. Stop sending, and ask the user:
    /// [`TrustedAccount::accept_account_key`](crate::TrustedAccount::accept_account_key) if they accept it.
    #[error("the account key has changed")]
    AccountKeyChanged,
    /// The account key to accept is the trusted one. There is nothing to accept; see
    /// [`TrustedAccount::advance`](crate::TrustedAccount::advance).
    #[error("the account key is the trusted one")]
    SameAccountKey,
    /// An older manifest than one that was seen. Tell the user that the server is at fault.
    #[error("the manifest is older than one that was seen")]
    RolledBack,
    /// A second manifest of one version, or a next one that is not of the same chain: the owner of the
    /// account key signed two. Tell the user.
    #[error("the manifest contradicts one that was seen")]
    Conflict,
}

/// Why there is no next manifest. Nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NextManifestError {
    /// Another account key signed the current manifest.
    #[error("the manifest is of another account key")]
    NotOurs,
    /// A device to revoke is not on the manifest.
    #[error("the manifest does not name this device")]
    NoSuchDevice,
    /// A device to add has the id or the key of one that is there, or that is revoked in the same step.
    #[error("the manifest names a device of this id or key")]
    DeviceAlreadyThere,
    /// More than [`MAX_DEVICES`](crate::statements::MAX_DEVICES).
    #[error("an account has at most {} devices", sottovoce_statements::MAX_DEVICES)]
    TooManyDevices,
    /// Nothing would be left. An account is given up with the server, not with a manifest.
    #[error("an account has at least one device")]
    NoDeviceLeft,
    /// The versions are used up.
    #[error("the manifest cannot be signed")]
    Refused,
}

/// Why a scanned safety number is not the one expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SafetyNumberError {
    /// The account keys differ: somebody stands between the two, or one of them has a new key that the
    /// other has not accepted. Warn the user.
    #[error("the safety numbers differ")]
    Mismatch,
    /// It is about other people, or the scanner's own. Nothing is wrong but what was scanned.
    #[error("the safety number is not about these two accounts")]
    OtherAccounts,
    /// Shown by an app whose safety numbers are of a version this one does not know. One of them needs
    /// updating.
    #[error("the safety number is of an unknown version")]
    UnsupportedVersion,
    /// Not a safety number.
    #[error("this is not a safety number")]
    Malformed,
}

/// Why a text is not a code or an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Too long, too short, or with characters that are never in one.
    #[error("this is not such a code")]
    NotACode,
    /// A character is wrong, or it is a code for something else.
    #[error("the code is mistyped, or for something else")]
    Mistyped,
    /// Made by a version of the format this one does not know.
    #[error("the code is of an unknown version")]
    UnsupportedVersion,
}

/// Why a linking grant was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantSealError {
    /// The manifest does not name the new device, or under another key. Add it first, with
    /// [`AccountKeyPair::next_manifest`](crate::AccountKeyPair::next_manifest).
    #[error("the manifest does not name the new device")]
    DeviceNotListed,
    /// There is not one binding of each other device, in the manifest's order.
    #[error("the bindings are not those of the other devices")]
    Bindings,
    /// The app adds more than [`MAX_LINKING_DATA_LEN`](crate::MAX_LINKING_DATA_LEN) bytes.
    #[error("the app may add at most {} bytes", crate::MAX_LINKING_DATA_LEN)]
    TooLong,
    /// The key in the offer is one nobody can agree on a secret with. Whoever shows it is not to be linked.
    #[error("the offer cannot be granted")]
    BadOffer,
}

/// Why a linking grant was not taken. The pending link is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantOpenError {
    /// Sealed by a version of the format this one does not know.
    #[error("the grant is of an unknown version")]
    UnsupportedVersion,
    /// The offer was shown too long ago, see [`MAX_LINKING_AGE_MS`](crate::MAX_LINKING_AGE_MS). Draw
    /// another, and show that.
    #[error("the offer is too old to be answered")]
    Expired,
    /// Forged, damaged, or for another offer. Wait for the right one.
    #[error("the grant cannot be opened")]
    Refused,
    /// The primary that scanned the offer sent an account that does not hold: its manifest does not name
    /// this device, or its parts do not vouch for each other.
    #[error("the grant holds no account with this device")]
    NotThisDevice,
}

/// Why there is nothing recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// Sealed by a version of the format this one does not know.
    #[error("the recovery blob is of an unknown version")]
    UnsupportedVersion,
    /// Another code, or of another address, sealed it, or it was damaged. A code with a typing mistake is
    /// refused before it comes to this.
    #[error("the code does not open this recovery blob")]
    WrongCode,
    /// It opened and does not hold this account. A faulty app wrote it.
    #[error("the recovery blob does not hold this account")]
    Malformed,
}

/// Why a record was not written to a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupWriteError {
    /// A history item is empty, or longer than [`MAX_BACKUP_ITEM_LEN`](crate::MAX_BACKUP_ITEM_LEN).
    /// Nothing was written; the backup can go on without it.
    #[error("a history item has 1 to {} bytes", crate::MAX_BACKUP_ITEM_LEN)]
    Length,
    /// The account stands first in a backup, once. Nothing was written.
    #[error("the account comes before everything else")]
    AccountNotFirst,
    /// The backup holds as much as its format can. What was written is no backup; throw it away.
    #[error("the backup is full")]
    Full,
}

/// Why a backup cannot be read, or not any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupOpenError {
    /// Written by a version of the format this one does not know.
    #[error("the backup is of an unknown version")]
    UnsupportedVersion,
    /// Another code sealed it, or it was damaged, cut short, lengthened or put in another order.
    #[error("the code does not open this backup, or it is damaged")]
    Refused,
    /// It opened and breaks the rules of backups. A faulty app wrote it.
    #[error("the backup is malformed")]
    Malformed,
}

impl From<TextError> for CodeError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::NotText => Self::NotACode,
            TextError::Mistyped => Self::Mistyped,
        }
    }
}

impl From<Malformed> for SafetyNumberError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Malformed> for CodeError {
    fn from(_: Malformed) -> Self {
        Self::NotACode
    }
}

impl From<Malformed> for RecoveryError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<Malformed> for BackupOpenError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl From<StreamHeaderError> for BackupOpenError {
    fn from(error: StreamHeaderError) -> Self {
        match error {
            StreamHeaderError::UnsupportedVersion => Self::UnsupportedVersion,
            StreamHeaderError::Malformed => Self::Refused,
        }
    }
}
