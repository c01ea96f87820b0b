//! Signed statements: what Sottovoce's keys put their names to.
//!
//! A statement is a short, canonical byte string: a header that says what it is for and which kind of
//! key signs it, then a fixed sequence of fields. Signed bytes are parsed here and nowhere else, by
//! clients and server alike, so that two sides can never read one signature in two ways. The package
//! holds no secrets: it encodes, decodes and verifies, and whoever owns a key signs.
//!
//! The three types of a statement's life keep its trust visible: `S` is what somebody says,
//! [`Signed<S>`] what arrived, and only [`Verified<S>`] is worth acting on.
//!
//! ```
//! use ed25519_dalek::{Signer, SigningKey};
//! use sottovoce_statements::{AuthChallenge, DeviceId, IdentityKey, ServerName, Signed};
//!
//! let device = SigningKey::from_bytes(&[7; 32]);
//! let identity = IdentityKey::from_slice(device.verifying_key().as_bytes())?;
//! let challenge = AuthChallenge {
//!     server: ServerName::parse("chat.example")?,
//!     device_id: DeviceId::from_bytes([1; 16]),
//!     nonce: vec![9; 32],
//!     expires_at_ms: 1_800_000_000_000,
//! };
//! let signed = Signed::sign_with(challenge, |bytes| device.sign(bytes).to_bytes())?;
//!
//! let arrived = Signed::<AuthChallenge>::from_parts(signed.statement_bytes(), signed.signature_bytes())?;
//! let verified = arrived.verify(&identity)?;
//! assert_eq!(verified.server.as_str(), "chat.example");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]

extern crate alloc;

mod access_key;
mod address;
mod binding;
mod challenge;
mod codec;
mod kem_key;
mod kem_prekey;
mod keys;
mod manifest;
mod prekey;
mod roster;
mod signed;

pub use access_key::{AccessKeyHash, AccessKeyHashError};
pub use address::{Address, AddressError, DeviceId, MAX_NAME_LEN, MAX_SERVER_NAME_LEN, ServerName};
pub use binding::DeviceBinding;
pub use challenge::{AccountDeletion, AuthChallenge, MAX_NONCE_LEN};
pub use kem_key::MlKemKey;
pub use kem_prekey::{KemPrekey, KemPrekeyRole};
pub use keys::{AccountKey, IdentityKey, KeyError, SigningKeyKind, X25519Key};
pub use manifest::{DeviceManifest, MAX_DEVICES, ManifestDevice, ManifestHash};
pub use prekey::SignedPrekey;
pub use roster::{
    Account, Applied, ApplyError, CatchUpError, ChangeError, ChannelId, CheckError, CheckedEntry,
    CurrentEntry, EntrySigner, HeadStanding, JoinError, MAX_BANNED, MAX_MEMBERS, MAX_RECENT_ENTRIES,
    MAX_ROSTER_ENTRY_LEN, MAX_ROSTER_LEN, NotAGenesis, PastEntry, ROSTER_INVITATION_LEN, ROSTER_SALT_LEN,
    Role, Roster, RosterChange, RosterEntry, RosterHead, RosterInvitation, RosterMember, RosterStateError,
    RosterView, RunEntry,
};
pub use signed::{
    MAX_STATEMENT_LEN, Purpose, SIGNATURE_LEN, Signed, Statement, StatementError, Verified, VerifyError,
};
