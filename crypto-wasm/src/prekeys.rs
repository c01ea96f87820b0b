//! What a device leaves with the server, so that others can write to it while it is away.

use js_sys::{Object, Uint8Array};
use sottovoce_crypto as crypto;
use sottovoce_crypto::statements::DeviceId;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, exactly, object, whole, whole_u32};
use crate::bundles::signed_statement;
use crate::error::thrown;
use crate::keys::IdentityKeyPair;
use crate::random::system;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** The public half of a one-time prekey, as it is published and handed out. */
export interface OneTimePrekey {
    /** The device's number for it. */
    readonly id: number;
    /** X25519, 32 bytes. */
    readonly publicKey: Uint8Array;
}
"#;

/// A signed prekey with its secret, used for many handshakes until the device rotates it.
#[wasm_bindgen]
pub struct SignedPrekeyPair(pub(crate) crypto::SignedPrekeyPair);

#[wasm_bindgen]
impl SignedPrekeyPair {
    /// Draws a prekey and signs it. `id` counts from 1 and is never reused; `nowMs` is `Date.now()`.
    ///
    /// @throws `ArgumentError`, or `StatementError` for the id 0.
    pub fn generate(
        identity: &IdentityKeyPair,
        #[wasm_bindgen(js_name = deviceId, unchecked_param_type = "Uint8Array")] device_id: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] id: &JsValue,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Self, JsValue> {
        let device_id = DeviceId::from_bytes(*exactly(device_id)?);
        let (id, now_ms) = (whole_u32(id)?, whole(now_ms)?);
        crypto::SignedPrekeyPair::generate(&mut system()?, &identity.0, device_id, id, now_ms)
            .map(Self)
            .map_err(thrown)
    }

    /// The device's number for this prekey.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The half to publish: a statement and its signature.
    #[wasm_bindgen(js_name = toPublic, unchecked_return_type = "SignedStatement")]
    pub fn to_public(&self) -> Result<Object, JsValue> {
        signed_statement(self.0.statement())
    }

    /// The whole prekey, secret included. Seal it before it is kept.
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Uint8Array {
        array(&self.0.to_bytes())
    }

    /// Reads what `toBytes` wrote.
    ///
    /// @throws `ArgumentError` or `StateError`.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(js_name = bytes, unchecked_param_type = "Uint8Array")] stored: &JsValue,
    ) -> Result<Self, JsValue> {
        crypto::SignedPrekeyPair::from_bytes(&bytes(stored)?)
            .map(Self)
            .map_err(thrown)
    }
}

/// A one-time prekey with its secret. Delete it once a session that names it was accepted, not before.
#[wasm_bindgen]
pub struct OneTimePrekeyPair(pub(crate) crypto::OneTimePrekeyPair);

#[wasm_bindgen]
impl OneTimePrekeyPair {
    /// Draws a prekey. `id` is never reused.
    ///
    /// @throws `ArgumentError`.
    pub fn generate(#[wasm_bindgen(unchecked_param_type = "number")] id: &JsValue) -> Result<Self, JsValue> {
        let id = whole_u32(id)?;
        Ok(Self(crypto::OneTimePrekeyPair::generate(&mut system()?, id)))
    }

    /// The device's number for this prekey.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// The half to publish.
    #[wasm_bindgen(js_name = toPublic, unchecked_return_type = "OneTimePrekey")]
    pub fn to_public(&self) -> Result<Object, JsValue> {
        let public = self.0.public();
        object([
            ("id", public.id.into()),
            ("publicKey", array(public.key.as_bytes()).into()),
        ])
    }

    /// The whole prekey, secret included. Seal it before it is kept.
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Uint8Array {
        array(&self.0.to_bytes())
    }

    /// Reads what `toBytes` wrote.
    ///
    /// @throws `ArgumentError` or `StateError`.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(js_name = bytes, unchecked_param_type = "Uint8Array")] stored: &JsValue,
    ) -> Result<Self, JsValue> {
        crypto::OneTimePrekeyPair::from_bytes(&bytes(stored)?)
            .map(Self)
            .map_err(thrown)
    }
}
