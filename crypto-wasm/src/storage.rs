//! Sealing what a page keeps, in IndexedDB or elsewhere.

use js_sys::Uint8Array;
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, exactly};
use crate::error::thrown;
use crate::random::system;

/// The key that seals a device's state. A record opens only under the context it was sealed with (say,
/// table and row), so that records cannot be swapped.
#[wasm_bindgen]
pub struct StorageKey(crypto::StorageKey);

#[wasm_bindgen]
impl StorageKey {
    /// Draws a new key.
    ///
    /// @throws `ArgumentError` where the host has no random generator.
    pub fn generate() -> Result<Self, JsValue> {
        Ok(Self(crypto::StorageKey::generate(&mut system()?)))
    }

    /// Takes 32 secret, uniformly random bytes.
    ///
    /// @throws `ArgumentError`.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(js_name = bytes, unchecked_param_type = "Uint8Array")] key: &JsValue,
    ) -> Result<Self, JsValue> {
        Ok(Self(crypto::StorageKey::from_bytes(*exactly(key)?)))
    }

    /// Stretches a passphrase (its UTF-8 bytes) with Argon2id over 64 MiB: some tenths of a second to some
    /// seconds, so call it in a worker. The salt is 16 random bytes, not secret, kept beside the records.
    ///
    /// @throws `ArgumentError` or `PassphraseError`.
    #[wasm_bindgen(js_name = fromPassphrase)]
    pub fn from_passphrase(
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] passphrase: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] salt: &JsValue,
    ) -> Result<Self, JsValue> {
        let (passphrase, salt) = (bytes(passphrase)?, exactly(salt)?);
        crypto::StorageKey::from_passphrase(&passphrase, &salt)
            .map(Self)
            .map_err(thrown)
    }

    /// Encrypts a record of at most 16 MiB.
    ///
    /// @throws `SealError` or `ArgumentError`.
    pub fn seal(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] context: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] plaintext: &JsValue,
    ) -> Result<Uint8Array, JsValue> {
        let (context, plaintext) = (bytes(context)?, bytes(plaintext)?);
        let sealed = self
            .0
            .seal(&mut system()?, &context, &plaintext)
            .map_err(thrown)?;
        Ok(array(&sealed))
    }

    /// Decrypts what `seal` wrote under the same context.
    ///
    /// @throws `OpenError` or `ArgumentError`.
    pub fn open(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] context: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] sealed: &JsValue,
    ) -> Result<Uint8Array, JsValue> {
        let plaintext = self.0.open(&bytes(context)?, &bytes(sealed)?).map_err(thrown)?;
        Ok(array(&plaintext))
    }
}
