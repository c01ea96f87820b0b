//! Accounts: what is believed of other people's devices, and what is done with one's own.
//!
//! ```text
//!  key, manifest, bindings ── verify ──▶ VerifiedAccount ── first use ──▶ TrustedAccount ◀─ advance ─ newer ones
//! ```

mod backup;
mod code;
mod error;
mod fields;
mod linking;
mod material;
mod next_manifest;
mod recovery;
mod safety_number;
mod text;
mod trusted;
mod verified;
mod view;

pub use backup::{
    BACKUP_HEADER_LEN, BackupContact, BackupReader, BackupRecord, BackupWriter, MAX_BACKUP_ITEM_LEN,
    SEALED_BACKUP_CHUNK_LEN,
};
pub use code::{BackupCode, RecoveryCode};
pub use error::{
    AdvanceError, BackupOpenError, BackupWriteError, CodeError, GrantOpenError, GrantSealError,
    NextManifestError, RecoveryError, SafetyNumberError, VerifyAccountError,
};
pub use linking::{
    GrantedAccount, LinkingFailed, LinkingOffer, MAX_LINKING_AGE_MS, MAX_LINKING_DATA_LEN, PendingLink,
};
pub use material::AccountMaterial;
pub use recovery::RECOVERY_BLOB_LEN;
pub use safety_number::SafetyNumber;
pub use trusted::{Advance, MAX_FORMER_ACCOUNT_KEYS, TrustedAccount};
pub use verified::VerifiedAccount;
pub use view::{ManifestView, ReportedView};
