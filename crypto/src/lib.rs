//! End-to-end encryption for Sottovoce: PQXDH to begin a session with somebody who is away, the Double
//! Ratchet with post-quantum healing to carry it on, and sealing for what is kept.
//!
//! The package does no I/O, reads no clock and owns no randomness: time and the generator are arguments,
//! and what comes out are bytes to send or to keep. It runs wherever `alloc` does. Nothing a network
//! sends makes it panic, and a message that fails to decrypt changes nothing. Every byte is laid down in
//! `SPEC.md`.
//!
//! | for | there is |
//! |---|---|
//! | talking to one device | [`Session`]: PQXDH, or by explicit choice X3DH, then the Double Ratchet |
//! | talking to a channel | [`SendingSenderKey`], [`ReceivingSenderKey`], bound to its [`Roster`](statements::Roster) |
//! | hiding who writes | [`seal_envelope`], [`SealedEnvelope`], [`AccessKey`] |
//! | files | [`AttachmentSealer`], [`AttachmentOpener`], [`AttachmentPointer`] |
//! | knowing whom one talks to | [`TrustedAccount`], [`SafetyNumber`] |
//! | more devices, lost devices | [`PendingLink`] and [`LinkingOffer`], [`RecoveryCode`], [`BackupWriter`] and [`BackupReader`] |
//! | keeping state | `to_bytes` and `from_bytes` of each, sealed by a [`StorageKey`] |
//!
//! Two devices talk:
//!
//! ```
//! # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
//! use sottovoce_crypto::statements::{Address, DeviceId, KemPrekeyRole};
//! use sottovoce_crypto::{
//!     AccountKeyPair, IdentityKeyPair, KemPrekeyPair, OneTimePrekeyPair, Party, PrekeyBundle, Prekeys,
//!     Session, SessionMessage, SignedPrekeyPair,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
//! # let now_ms = 1_800_000_000_000;
//! // Two devices, each with an account and an identity of its own.
//! let (alice_account, alice_identity) = (AccountKeyPair::generate(rng), IdentityKeyPair::generate(rng));
//! let (bob_account, bob_identity) = (AccountKeyPair::generate(rng), IdentityKeyPair::generate(rng));
//! let alice = Party {
//!     address: Address::parse("alice@chat.example")?,
//!     device_id: DeviceId::from_bytes([0xa1; 16]),
//!     account_key: alice_account.public(),
//!     identity_key: alice_identity.public(),
//! };
//! let bob = Party {
//!     address: Address::parse("bob@chat.example")?,
//!     device_id: DeviceId::from_bytes([0xb0; 16]),
//!     account_key: bob_account.public(),
//!     identity_key: bob_identity.public(),
//! };
//!
//! // Bob leaves prekeys with the server and goes away.
//! let signed_prekey = SignedPrekeyPair::generate(rng, &bob_identity, bob.device_id, 1, now_ms)?;
//! let one_time_prekey = OneTimePrekeyPair::generate(rng, 1);
//! let role = KemPrekeyRole::OneTime;
//! let kem_prekey = KemPrekeyPair::generate(rng, &bob_identity, bob.device_id, role, 1, now_ms)?;
//!
//! // Alice checks who signed the prekeys, and writes.
//! let bundle = PrekeyBundle {
//!     signed_prekey: signed_prekey.statement().clone().verify(&bob.identity_key)?,
//!     one_time_prekey: Some(one_time_prekey.public()),
//!     kem_prekey: kem_prekey.statement().clone().verify(&bob.identity_key)?,
//! };
//! let mut alices = Session::initiate(rng, now_ms, &alice_identity, &alice, &bob, &bundle)?;
//! let bytes = alices.encrypt(rng, now_ms, b"are you there?")?;
//!
//! // Bob comes back, and answers.
//! let SessionMessage::Initial(message) = SessionMessage::decode(&bytes)? else { unreachable!() };
//! let prekeys = Prekeys {
//!     signed_prekey: &signed_prekey,
//!     one_time_prekey: Some(&one_time_prekey),
//!     kem_prekey: &kem_prekey,
//! };
//! let (mut bobs, first) = Session::accept(now_ms, &bob_identity, &bob, &alice, &prekeys, &message)?;
//! assert_eq!(first.plaintext.as_slice(), b"are you there?");
//!
//! let bytes = bobs.encrypt(rng, now_ms, b"always")?;
//! let answer = alices.decrypt(now_ms, &SessionMessage::decode(&bytes)?)?;
//! assert_eq!(answer.plaintext.as_slice(), b"always");
//! # Ok(())
//! # }
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod account;
mod attachment;
mod chain;
mod chunks;
mod codec;
mod error;
mod handshake;
mod keys;
mod message;
mod padding;
mod primitives;
mod ratchet;
mod sealed_sender;
mod secret;
mod sender_keys;
mod session;
mod storage;
mod suite;

pub use sottovoce_statements as statements;

pub use account::{
    AccountMaterial, Advance, AdvanceError, BACKUP_HEADER_LEN, BackupCode, BackupContact, BackupOpenError,
    BackupReader, BackupRecord, BackupWriteError, BackupWriter, CodeError, GrantOpenError, GrantSealError,
    GrantedAccount, LinkingFailed, LinkingOffer, MAX_BACKUP_ITEM_LEN, MAX_FORMER_ACCOUNT_KEYS,
    MAX_LINKING_AGE_MS, MAX_LINKING_DATA_LEN, ManifestView, NextManifestError, PendingLink,
    RECOVERY_BLOB_LEN, RecoveryCode, RecoveryError, ReportedView, SEALED_BACKUP_CHUNK_LEN, SafetyNumber,
    SafetyNumberError, TrustedAccount, VerifiedAccount, VerifyAccountError,
};
pub use attachment::{
    ATTACHMENT_CHUNK_LEN, ATTACHMENT_HEADER_LEN, AttachmentOpenError, AttachmentOpener, AttachmentPointer,
    AttachmentPointerError, AttachmentSealError, AttachmentSealer, MAX_ATTACHMENT_LEN,
    MIN_PADDED_ATTACHMENT_LEN, SEALED_ATTACHMENT_CHUNK_LEN, open_attachment, seal_attachment,
};
pub use chain::{MAX_FORWARD_JUMP, MAX_SKIPPED_AGE_MS, MAX_SKIPPED_KEYS};
pub use error::{
    DecodeError, DecryptError, EncryptError, HandshakeError, OpenError, PassphraseError, SealError,
    StateError,
};
pub use handshake::{Party, PrekeyBundle, Prekeys, X3dhPrekeyBundle, X3dhPrekeys};
pub use keys::{
    AccountKeyPair, IdentityKeyPair, KemPrekeyPair, OneTimePrekey, OneTimePrekeyPair, SignedPrekeyPair,
};
pub use message::{InitialMessage, RatchetMessage, SessionMessage};
pub use padding::{MAX_PLAINTEXT_LEN, MIN_BUCKET_LEN};
pub use ratchet::{MAX_HEALING_AGE_MS, MAX_HEALING_STEPS};
pub use sealed_sender::{
    AccessKey, ClaimedSender, ConfirmError, ConfirmedSender, ENVELOPE_OVERHEAD, EnvelopeDecodeError,
    EnvelopeOpenError, EnvelopeSealError, EnvelopeSender, MAX_SEALED_MESSAGE_LEN, OpenedEnvelope,
    SealedEnvelope, seal_envelope,
};
pub use sender_keys::{
    DecryptedSenderKeyMessage, DistributionError, MAX_SENDER_KEY_AGE_MS, MAX_SENDER_KEY_MESSAGES,
    ReceivingSenderKey, RosterClaim, RosterClaims, RosterDoubt, RosterFork, RosterHistory, RosterStanding,
    RotationReason, SenderKeyContext, SenderKeyDecryptError, SenderKeyDistribution, SenderKeyId,
    SenderKeyMessage, SenderKeySendError, SendingRoster, SendingSenderKey, SkippedMessageChanges,
    SkippedMessageId, SkippedMessageRecord, TraceError,
};
pub use session::{Decrypted, MAX_SESSION_LEN, Session, SkippedChanges, SkippedKeyId, SkippedKeyRecord};
pub use storage::{MAX_RECORD_LEN, StorageKey};
pub use suite::Suite;
