//! What a device leaves with the server, so that others can write to it while it is away.

use js_sys::{Object, Reflect, Uint8Array};
use sottovoce_crypto as crypto;
use sottovoce_crypto::statements::{DeviceId, Signed, SignedPrekey, X25519Key};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, exactly, whole, whole_u32};
use crate::error::{argument_error, thrown};
use crate::keys::IdentityKeyPair;
use crate::party::Party;
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

    /// The signed statement to publish.
    pub fn statement(&self) -> Uint8Array {
        array(self.0.statement().statement_bytes())
    }

    /// The signature over the statement, 64 bytes.
    pub fn signature(&self) -> Uint8Array {
        array(self.0.statement().signature_bytes())
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
        let object = Object::new();
        Reflect::set(&object, &"id".into(), &public.id.into())?;
        Reflect::set(&object, &"publicKey".into(), &array(public.key.as_bytes()))?;
        Ok(object)
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

/// A peer's prekeys, of which the signed one is verified: what a session is begun with.
#[wasm_bindgen]
pub struct PrekeyBundle(pub(crate) crypto::PrekeyBundle);

#[wasm_bindgen]
impl PrekeyBundle {
    /// Checks that `them` signed the prekey. `oneTimePrekey` is absent when the peer has run out.
    ///
    /// @throws `ArgumentError`, `StatementError`, `KeyError`, or `VerifyError` when another key signed it.
    pub fn verify(
        them: &Party,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] statement: &JsValue,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] signature: &JsValue,
        #[wasm_bindgen(js_name = oneTimePrekey, unchecked_optional_param_type = "OneTimePrekey")]
        one_time_prekey: &JsValue,
    ) -> Result<Self, JsValue> {
        let signed: Signed<SignedPrekey> =
            Signed::from_parts(&bytes(statement)?, &bytes(signature)?).map_err(thrown)?;
        Ok(Self(crypto::PrekeyBundle {
            signed_prekey: signed.verify(&them.0.identity_key).map_err(thrown)?,
            one_time_prekey: read_one_time_prekey(one_time_prekey)?,
        }))
    }
}

fn read_one_time_prekey(value: &JsValue) -> Result<Option<crypto::OneTimePrekey>, JsValue> {
    if value.is_undefined() {
        return Ok(None);
    }
    if !value.is_object() {
        return Err(argument_error(
            "NotOneTimePrekey",
            "an object with id and publicKey is needed",
        ));
    }
    let id = whole_u32(&Reflect::get(value, &"id".into())?)?;
    let key = X25519Key::from_slice(&bytes(&Reflect::get(value, &"publicKey".into())?)?).map_err(thrown)?;
    Ok(Some(crypto::OneTimePrekey { id, key }))
}
