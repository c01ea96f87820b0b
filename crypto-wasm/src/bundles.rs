//! A peer's prekeys, as the server hands them out.

use js_sys::Object;
use sottovoce_crypto as crypto;
use sottovoce_crypto::statements::{
    IdentityKey, KemPrekey, Signed, SignedPrekey, Statement, Verified, X25519Key,
};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, object, property, whole_u32};
use crate::error::thrown;
use crate::party::Party;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A statement that a device signed, such as a prekey, as it is published and handed out. */
export interface SignedStatement {
    /** What it says. */
    readonly statement: Uint8Array;
    /** Ed25519, over exactly those bytes; 64 bytes. */
    readonly signature: Uint8Array;
}
"#;

/// A peer's prekeys, of which the signed ones are verified: what a session is begun with.
#[wasm_bindgen]
pub struct PrekeyBundle(pub(crate) crypto::PrekeyBundle);

#[wasm_bindgen]
impl PrekeyBundle {
    /// Checks that `them` signed the prekeys. `oneTimePrekey` is absent when the peer has run out.
    ///
    /// @throws `ArgumentError`, `StatementError`, `KeyError`, or `VerifyError` when another key signed one.
    pub fn verify(
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey, unchecked_param_type = "SignedStatement")]
        signed_prekey: &JsValue,
        #[wasm_bindgen(js_name = kemPrekey, unchecked_param_type = "SignedStatement")] kem_prekey: &JsValue,
        #[wasm_bindgen(js_name = oneTimePrekey, unchecked_optional_param_type = "OneTimePrekey")]
        one_time_prekey: &JsValue,
    ) -> Result<Self, JsValue> {
        Ok(Self(crypto::PrekeyBundle {
            signed_prekey: verified::<SignedPrekey>(them, signed_prekey)?,
            one_time_prekey: read_one_time_prekey(one_time_prekey)?,
            kem_prekey: verified::<KemPrekey>(them, kem_prekey)?,
        }))
    }
}

/// The same for plain X3DH, for peers that speak nothing else.
#[wasm_bindgen]
pub struct X3dhPrekeyBundle(pub(crate) crypto::X3dhPrekeyBundle);

#[wasm_bindgen]
impl X3dhPrekeyBundle {
    /// Checks that `them` signed the prekey. `oneTimePrekey` is absent when the peer has run out.
    ///
    /// @throws `ArgumentError`, `StatementError`, `KeyError`, or `VerifyError` when another key signed it.
    pub fn verify(
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey, unchecked_param_type = "SignedStatement")]
        signed_prekey: &JsValue,
        #[wasm_bindgen(js_name = oneTimePrekey, unchecked_optional_param_type = "OneTimePrekey")]
        one_time_prekey: &JsValue,
    ) -> Result<Self, JsValue> {
        Ok(Self(crypto::X3dhPrekeyBundle {
            signed_prekey: verified::<SignedPrekey>(them, signed_prekey)?,
            one_time_prekey: read_one_time_prekey(one_time_prekey)?,
        }))
    }
}

/// Hands out a statement with its signature.
pub(crate) fn signed_statement<S: Statement>(signed: &Signed<S>) -> Result<Object, JsValue> {
    object([
        ("statement", array(signed.statement_bytes()).into()),
        ("signature", array(signed.signature_bytes()).into()),
    ])
}

fn verified<S: Statement<Signer = IdentityKey>>(
    them: &Party,
    value: &JsValue,
) -> Result<Verified<S>, JsValue> {
    let statement = bytes(&property(value, "statement", "NotStatement")?)?;
    let signature = bytes(&property(value, "signature", "NotStatement")?)?;
    Signed::<S>::from_parts(&statement, &signature)
        .map_err(thrown)?
        .verify(&them.0.identity_key)
        .map_err(thrown)
}

fn read_one_time_prekey(value: &JsValue) -> Result<Option<crypto::OneTimePrekey>, JsValue> {
    if value.is_undefined() {
        return Ok(None);
    }
    let id = whole_u32(&property(value, "id", "NotOneTimePrekey")?)?;
    let key = bytes(&property(value, "publicKey", "NotOneTimePrekey")?)?;
    let key = X25519Key::from_slice(&key).map_err(thrown)?;
    Ok(Some(crypto::OneTimePrekey { id, key }))
}
