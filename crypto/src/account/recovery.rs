//! The recovery blob: the account secret, kept by the server and opened by a code that the server never
//! sees.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::Address;
use zeroize::Zeroizing;

use super::code::RecoveryCode;
use super::error::RecoveryError;
use super::fields::write_address;
use super::material::{AccountMaterial, MAX_MATERIAL_LEN};
use crate::codec::{Reader, Write};
use crate::primitives::aead::{TAG_LEN, X_NONCE_LEN, open_x, seal_x};
use crate::secret::Secret32;

impl RecoveryCode {
    /// Seals the account for its own server to keep, [`RECOVERY_BLOB_LEN`] bytes. To be done again, with
    /// the same code, after each new manifest.
    pub fn seal<R: CryptoRng + ?Sized>(&self, rng: &mut R, material: &AccountMaterial) -> Vec<u8> {
        let mut nonce = [0; X_NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_MATERIAL_LEN + TAG_LEN));
        material.write(&mut text);
        // So that the server does not read the number of devices off the length.
        text.resize(MAX_MATERIAL_LEN, 0);
        let key = self.key(material.address());
        // Fails on texts of 256 GiB only.
        let ciphertext = seal_x(key.as_bytes(), &nonce, &[BLOB_VERSION], text).unwrap_or_default();
        let mut blob = Vec::with_capacity(RECOVERY_BLOB_LEN);
        blob.put_u8(BLOB_VERSION);
        blob.put(&nonce);
        blob.put(&ciphertext);
        blob
    }

    /// Opens the blob of the account at `address`.
    ///
    /// # Errors
    /// [`RecoveryError`] when this is not the code, or the blob was tampered with.
    pub fn open(&self, address: &Address, blob: &[u8]) -> Result<AccountMaterial, RecoveryError> {
        let mut reader = Reader::new(blob);
        match reader.u8() {
            Ok(BLOB_VERSION) => {}
            Ok(_) => return Err(RecoveryError::UnsupportedVersion),
            Err(_) => return Err(RecoveryError::WrongCode),
        }
        let nonce = reader.array().map_err(|_| RecoveryError::WrongCode)?;
        let ciphertext = reader.rest();
        if ciphertext.len() != MAX_MATERIAL_LEN + TAG_LEN {
            return Err(RecoveryError::WrongCode);
        }
        let text = open_x(self.key(address).as_bytes(), nonce, &[BLOB_VERSION], ciphertext)
            .map_err(|_| RecoveryError::WrongCode)?;
        let mut reader = Reader::new(&text);
        let material = AccountMaterial::read(&mut reader)?;
        let filling = reader.rest();
        if filling.iter().any(|byte| *byte != 0) || material.address() != address {
            return Err(RecoveryError::Malformed);
        }
        Ok(material)
    }

    /// What to show the server of `address` to be given the blob, 32 bytes. It tells nothing of the code
    /// or of the key; the server keeps its hash.
    #[must_use]
    pub fn fetch_token(&self, address: &Address) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.derive_for(LABEL_FETCH, address).as_bytes())
    }

    fn key(&self, address: &Address) -> Secret32 {
        self.derive_for(LABEL_KEY, address)
    }

    /// The address is in it, so that one guess at a code is a guess at one account.
    fn derive_for(&self, label: &[u8], address: &Address) -> Secret32 {
        let mut field = Vec::with_capacity(256);
        write_address(&mut field, address);
        self.derive(&[0; 32], &[label, &field])
    }
}

/// Bytes of every recovery blob.
pub const RECOVERY_BLOB_LEN: usize = 1 + X_NONCE_LEN + MAX_MATERIAL_LEN + TAG_LEN;

/// First byte of a recovery blob.
const BLOB_VERSION: u8 = 0x01;

/// HKDF info of the key a blob is sealed under.
const LABEL_KEY: &[u8] = b"Sottovoce-v1 recovery key";
/// HKDF info of the token a blob is fetched with.
const LABEL_FETCH: &[u8] = b"Sottovoce-v1 recovery fetch";
