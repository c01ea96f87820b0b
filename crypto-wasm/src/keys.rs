//! Long-term keys of an account and of a device.

use js_sys::Uint8Array;
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, exactly};
use crate::error::thrown;
use crate::random::system;

/// An account's long-term Ed25519 key pair. Only the account's primary device holds it.
#[wasm_bindgen]
pub struct AccountKeyPair(crypto::AccountKeyPair);

/// A device's Ed25519 key pair: it signs the device's prekeys and takes part in each handshake.
#[wasm_bindgen]
pub struct IdentityKeyPair(pub(crate) crypto::IdentityKeyPair);

/// The methods of a class around an Ed25519 key pair: both kinds have the same.
macro_rules! key_pair_methods {
    ($name:ident) => {
        #[wasm_bindgen]
        impl $name {
            /// Draws a new key pair.
            ///
            /// @throws `ArgumentError` where the host has no random generator.
            pub fn generate() -> Result<Self, JsValue> {
                Ok(Self(crypto::$name::generate(&mut system()?)))
            }

            /// Reads a key pair from its 32-byte secret.
            ///
            /// @throws `ArgumentError`, or `KeyError` for a secret without a proper public key.
            #[wasm_bindgen(js_name = fromSecretBytes)]
            pub fn from_secret_bytes(
                #[wasm_bindgen(unchecked_param_type = "Uint8Array")] secret: &JsValue,
            ) -> Result<Self, JsValue> {
                crypto::$name::from_secret_bytes(&*exactly::<32>(secret)?)
                    .map(Self)
                    .map_err(thrown)
            }

            /// The 32-byte secret. Seal it before it is kept, and overwrite the array after.
            #[wasm_bindgen(js_name = toSecretBytes)]
            pub fn to_secret_bytes(&self) -> Uint8Array {
                array(self.0.to_secret_bytes().as_slice())
            }

            /// The public key, 32 bytes.
            #[wasm_bindgen(js_name = publicKey)]
            pub fn public_key(&self) -> Uint8Array {
                array(self.0.public().as_bytes())
            }
        }
    };
}

key_pair_methods!(AccountKeyPair);
key_pair_methods!(IdentityKeyPair);
