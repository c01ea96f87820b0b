//! What was said, by whom, and whether it was: [`Signed`] becomes [`Verified`] under the right key.
//!
//! ```text
//!  S ── sign_with ──▶ Signed<S> ── verify(key) ──▶ Verified<S>
//!                        ▲
//!  bytes ─ from_parts ───┘   (strictly parsed, not yet believed)
//! ```

use alloc::vec::Vec;
use core::ops::Deref;

use sha2::{Digest, Sha256};

use crate::codec::{Reader, Writer};
use crate::keys::SigningKeyKind;

/// Opens every statement: the protocol and the version of this encoding.
const MAGIC: &[u8; 12] = b"Sottovoce-v1";

/// Longest statement, in bytes: a manifest with the most devices fits, nothing much longer does.
pub const MAX_STATEMENT_LEN: usize = 1_536;

/// Length of an Ed25519 signature, in bytes (RFC 8032).
pub const SIGNATURE_LEN: usize = 64;

/// What a statement is for. A signature for one purpose can never serve another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// [`DeviceManifest`](crate::DeviceManifest), by the account key.
    DeviceManifest = 0x01,
    /// [`DeviceBinding`](crate::DeviceBinding), by a device identity key.
    DeviceBinding = 0x02,
    /// [`SignedPrekey`](crate::SignedPrekey), by a device identity key.
    SignedPrekey = 0x03,
    /// [`AuthChallenge`](crate::AuthChallenge), by a device identity key.
    AuthChallenge = 0x04,
    /// [`KemPrekey`](crate::KemPrekey), by a device identity key.
    KemPrekey = 0x05,
    /// [`RosterEntry`](crate::RosterEntry), by a device identity key.
    RosterEntry = 0x06,
    /// [`AccountDeletion`](crate::AccountDeletion), by a device identity key.
    AccountDeletion = 0x07,
}

/// Something that can be signed: a purpose, a kind of signer and a body with one encoding.
pub trait Statement: Sized {
    /// The kind of key that signs it.
    type Signer: SigningKeyKind;
    /// What it is for.
    const PURPOSE: Purpose;

    /// Appends the fields.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    fn encode_body(&self, writer: &mut Writer) -> Result<(), StatementError>;

    /// Takes the fields back.
    ///
    /// # Errors
    /// [`StatementError`] when the bytes are not exactly what [`Self::encode_body`] writes.
    fn decode_body(reader: &mut Reader<'_>) -> Result<Self, StatementError>;
}

/// A statement and a signature that nobody has checked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed<S> {
    claimed: S,
    statement: Vec<u8>,
    signature: [u8; SIGNATURE_LEN],
}

impl<S: Statement> Signed<S> {
    /// Encodes `statement` and has `sign` sign the bytes. The key `sign` uses must be of the kind
    /// [`Statement::Signer`] names; this package never sees it.
    ///
    /// # Errors
    /// [`StatementError`] when a field is out of range.
    pub fn sign_with(
        statement: S,
        sign: impl FnOnce(&[u8]) -> [u8; SIGNATURE_LEN],
    ) -> Result<Self, StatementError> {
        let bytes = encode(&statement)?;
        let signature = sign(&bytes);
        Ok(Self {
            claimed: statement,
            statement: bytes,
            signature,
        })
    }

    /// Parses a statement as it arrived, with the signature that came with it.
    ///
    /// # Errors
    /// [`StatementError`] when the bytes are not the one encoding of such a statement.
    pub fn from_parts(statement: &[u8], signature: &[u8]) -> Result<Self, StatementError> {
        if statement.len() > MAX_STATEMENT_LEN {
            return Err(StatementError::TooLong);
        }
        let signature = signature
            .try_into()
            .map_err(|_| StatementError::SignatureLength)?;
        let claimed = decode(statement)?;
        Ok(Self {
            claimed,
            statement: statement.to_vec(),
            signature,
        })
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`VerifyError`] when `key` did not sign these bytes.
    pub fn verify(self, key: &S::Signer) -> Result<Verified<S>, VerifyError> {
        if key.verifies(&self.statement, &self.signature) {
            Ok(Verified {
                signed: self,
                signer: *key,
            })
        } else {
            Err(VerifyError)
        }
    }
}

impl<S> Signed<S> {
    /// What the statement claims. Good for finding the key to verify it with, and for nothing else.
    #[must_use]
    pub fn claimed(&self) -> &S {
        &self.claimed
    }

    /// The signed bytes.
    #[must_use]
    pub fn statement_bytes(&self) -> &[u8] {
        &self.statement
    }

    /// The signature, 64 bytes.
    #[must_use]
    pub fn signature_bytes(&self) -> &[u8; SIGNATURE_LEN] {
        &self.signature
    }
}

/// A statement whose signature was checked, and the key it was checked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<S: Statement> {
    signed: Signed<S>,
    signer: S::Signer,
}

impl<S: Statement> Verified<S> {
    /// The key that signed it. Whose key that is, and whether it was the right one, is the caller's to
    /// know.
    #[must_use]
    pub fn signer(&self) -> &S::Signer {
        &self.signer
    }

    /// The statement with its signature, to pass on or to keep.
    #[must_use]
    pub fn signed(&self) -> &Signed<S> {
        &self.signed
    }

    /// SHA-256 of the signed bytes: the statement's name in a chain.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.signed.statement).into()
    }
}

impl<S: Statement> Deref for Verified<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.signed.claimed
    }
}

/// Why bytes are not a statement, or why a statement cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The header is of another protocol, version, purpose or kind of signer.
    #[error("the statement is for something else")]
    Header,
    /// The bytes end before the last field.
    #[error("the statement is cut short")]
    Truncated,
    /// Something follows the last field.
    #[error("bytes follow the statement")]
    TrailingBytes,
    /// Longer than [`MAX_STATEMENT_LEN`].
    #[error("a statement has at most {MAX_STATEMENT_LEN} bytes")]
    TooLong,
    /// The signature is not 64 bytes long.
    #[error("a signature has {SIGNATURE_LEN} bytes")]
    SignatureLength,
    /// An address or server name is not in its canonical spelling.
    #[error("an address in the statement is not valid")]
    Address,
    /// A key is of the wrong kind or not canonical.
    #[error("a key in the statement is not valid")]
    Key,
    /// A number or a length is outside what the statement allows.
    #[error("a field of the statement is out of range")]
    FieldRange,
    /// The devices of a manifest are not in ascending order of their ids, each once, each with its own key.
    #[error("the devices of the manifest are not in their one order")]
    DeviceOrder,
}

/// The signature is not by that key over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct VerifyError;

fn encode<S: Statement>(statement: &S) -> Result<Vec<u8>, StatementError> {
    let mut writer = Writer::new();
    writer.fixed(MAGIC);
    writer.u8(S::PURPOSE as u8);
    writer.u8(S::Signer::SIGNER);
    statement.encode_body(&mut writer)?;
    let bytes = writer.into_bytes();
    if bytes.len() > MAX_STATEMENT_LEN {
        Err(StatementError::TooLong)
    } else {
        Ok(bytes)
    }
}

fn decode<S: Statement>(bytes: &[u8]) -> Result<S, StatementError> {
    let mut reader = Reader::new(bytes);
    let header_fits = reader.bytes(MAGIC.len())? == MAGIC
        && reader.u8()? == S::PURPOSE as u8
        && reader.u8()? == S::Signer::SIGNER;
    if !header_fits {
        return Err(StatementError::Header);
    }
    let statement = S::decode_body(&mut reader)?;
    reader.finish()?;
    Ok(statement)
}
