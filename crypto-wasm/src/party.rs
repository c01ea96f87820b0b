//! Who takes part in a session.

use sottovoce_crypto as crypto;
use sottovoce_crypto::statements::{AccountKey, Address, DeviceId, IdentityKey};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{bytes, exactly, text};
use crate::error::thrown;

/// One device of one account, by its public keys. A session is between two of these, and its first
/// message authenticates both whole.
#[wasm_bindgen]
pub struct Party(pub(crate) crypto::Party);

#[wasm_bindgen]
impl Party {
    /// Names a device: its account's address (`name@server`), its id (16 bytes), its account's key and
    /// its own identity key (32 bytes each).
    ///
    /// @throws `ArgumentError`, `AddressError`, or `KeyError` for bytes that are no public key.
    #[wasm_bindgen(constructor)]
    pub fn new(
        #[wasm_bindgen(unchecked_param_type = "string")] address: &JsValue,
        #[wasm_bindgen(js_name = deviceId, unchecked_param_type = "Uint8Array")] device_id: &JsValue,
        #[wasm_bindgen(js_name = accountKey, unchecked_param_type = "Uint8Array")] account_key: &JsValue,
        #[wasm_bindgen(js_name = identityKey, unchecked_param_type = "Uint8Array")] identity_key: &JsValue,
    ) -> Result<Self, JsValue> {
        Ok(Self(crypto::Party {
            address: Address::parse(&text(address)?).map_err(thrown)?,
            device_id: DeviceId::from_bytes(*exactly(device_id)?),
            account_key: AccountKey::from_slice(&bytes(account_key)?).map_err(thrown)?,
            identity_key: IdentityKey::from_slice(&bytes(identity_key)?).map_err(thrown)?,
        }))
    }

    /// The account's address, `name@server`.
    #[wasm_bindgen(getter)]
    pub fn address(&self) -> String {
        self.0.address.as_str().to_owned()
    }
}
