//! KEM prekeys: what makes a handshake withstand quantum computers.

use js_sys::{Object, Uint8Array};
use sottovoce_crypto as crypto;
use sottovoce_crypto::statements::{DeviceId, KemPrekeyRole};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, exactly, whole, whole_u32};
use crate::bundles::signed_statement;
use crate::error::{argument_error, thrown};
use crate::keys::IdentityKeyPair;
use crate::random::system;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** How often a KEM prekey may be used: for one handshake, or, when no such is left, until it is replaced. */
export type KemPrekeyRole = "one-time" | "last-resort";
"#;

/// An ML-KEM-768 prekey with its secret. Delete a one-time one once a session that names it was accepted,
/// not before; keep a last-resort one until it is replaced and messages that name it can no longer come.
#[wasm_bindgen]
pub struct KemPrekeyPair(pub(crate) crypto::KemPrekeyPair);

#[wasm_bindgen]
impl KemPrekeyPair {
    /// Draws a prekey and signs it. `id` counts from 1 and is never reused, in either role; `nowMs` is
    /// `Date.now()`.
    ///
    /// @throws `ArgumentError`, or `StatementError` for the id 0.
    pub fn generate(
        identity: &IdentityKeyPair,
        #[wasm_bindgen(js_name = deviceId, unchecked_param_type = "Uint8Array")] device_id: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "KemPrekeyRole")] role: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "number")] id: &JsValue,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Self, JsValue> {
        let device_id = DeviceId::from_bytes(*exactly(device_id)?);
        let (role, id, now_ms) = (read_role(role)?, whole_u32(id)?, whole(now_ms)?);
        crypto::KemPrekeyPair::generate(&mut system()?, &identity.0, device_id, role, id, now_ms)
            .map(Self)
            .map_err(thrown)
    }

    /// The device's number for this prekey.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How often it may be used.
    #[wasm_bindgen(getter, unchecked_return_type = "KemPrekeyRole")]
    pub fn role(&self) -> String {
        role_name(self.0.role()).to_owned()
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
        crypto::KemPrekeyPair::from_bytes(&bytes(stored)?)
            .map(Self)
            .map_err(thrown)
    }
}

const fn role_name(role: KemPrekeyRole) -> &'static str {
    match role {
        KemPrekeyRole::OneTime => "one-time",
        KemPrekeyRole::LastResort => "last-resort",
    }
}

fn read_role(value: &JsValue) -> Result<KemPrekeyRole, JsValue> {
    [KemPrekeyRole::OneTime, KemPrekeyRole::LastResort]
        .into_iter()
        .find(|&role| *value == role_name(role))
        .ok_or_else(|| argument_error("NotKemPrekeyRole", "\"one-time\" or \"last-resort\" is needed"))
}
