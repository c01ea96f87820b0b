//! Taking up a session that a peer began. A call names the prekeys that the message names, so there is one
//! for each choice of them.

use js_sys::Object;
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, object, whole};
use crate::error::thrown;
use crate::kem_prekey::KemPrekeyPair;
use crate::keys::IdentityKeyPair;
use crate::message::SessionMessage;
use crate::party::Party;
use crate::prekeys::{OneTimePrekeyPair, SignedPrekeyPair};
use crate::session::Session;
use crate::skipped::changes;

#[wasm_bindgen]
impl Session {
    /// Takes up a session by PQXDH whose initial message names no one-time prekey; delete the KEM prekey
    /// after if it was a one-time one. `nowMs` is `Date.now()`.
    ///
    /// @throws `HandshakeError`, or `ArgumentError` for a message that begins no session. Nothing is used up.
    #[wasm_bindgen(unchecked_return_type = "Accepted")]
    pub fn accept(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey)] signed_prekey: &SignedPrekeyPair,
        #[wasm_bindgen(js_name = kemPrekey)] kem_prekey: &KemPrekeyPair,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        let prekeys = crypto::Prekeys {
            signed_prekey: &signed_prekey.0,
            one_time_prekey: None,
            kem_prekey: &kem_prekey.0,
        };
        accept(identity, us, them, &prekeys, message, now_ms)
    }

    /// Takes up a session by PQXDH whose initial message names a one-time prekey; delete that prekey after,
    /// and the KEM prekey if it was a one-time one.
    ///
    /// @throws `HandshakeError`, or `ArgumentError` for a message that begins no session. Nothing is used up.
    #[wasm_bindgen(js_name = acceptWithOneTimePrekey, unchecked_return_type = "Accepted")]
    #[expect(
        clippy::too_many_arguments,
        reason = "objects of the module travel one by one"
    )]
    pub fn accept_with_one_time_prekey(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey)] signed_prekey: &SignedPrekeyPair,
        #[wasm_bindgen(js_name = kemPrekey)] kem_prekey: &KemPrekeyPair,
        #[wasm_bindgen(js_name = oneTimePrekey)] one_time_prekey: &OneTimePrekeyPair,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        let prekeys = crypto::Prekeys {
            signed_prekey: &signed_prekey.0,
            one_time_prekey: Some(&one_time_prekey.0),
            kem_prekey: &kem_prekey.0,
        };
        accept(identity, us, them, &prekeys, message, now_ms)
    }

    /// Takes up a session by plain X3DH whose initial message names no one-time prekey. Whoever calls this
    /// lets a peer choose the weaker suite.
    ///
    /// @throws `HandshakeError`, or `ArgumentError` for a message that begins no session. Nothing is used up.
    #[wasm_bindgen(js_name = acceptX3dh, unchecked_return_type = "Accepted")]
    pub fn accept_x3dh(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey)] signed_prekey: &SignedPrekeyPair,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        let prekeys = crypto::X3dhPrekeys {
            signed_prekey: &signed_prekey.0,
            one_time_prekey: None,
        };
        accept_x3dh(identity, us, them, &prekeys, message, now_ms)
    }

    /// Takes up a session by plain X3DH whose initial message names a one-time prekey; delete that prekey
    /// after. Whoever calls this lets a peer choose the weaker suite.
    ///
    /// @throws `HandshakeError`, or `ArgumentError` for a message that begins no session. Nothing is used up.
    #[wasm_bindgen(js_name = acceptX3dhWithOneTimePrekey, unchecked_return_type = "Accepted")]
    pub fn accept_x3dh_with_one_time_prekey(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey)] signed_prekey: &SignedPrekeyPair,
        #[wasm_bindgen(js_name = oneTimePrekey)] one_time_prekey: &OneTimePrekeyPair,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        let prekeys = crypto::X3dhPrekeys {
            signed_prekey: &signed_prekey.0,
            one_time_prekey: Some(&one_time_prekey.0),
        };
        accept_x3dh(identity, us, them, &prekeys, message, now_ms)
    }
}

fn accept(
    identity: &IdentityKeyPair,
    us: &Party,
    them: &Party,
    prekeys: &crypto::Prekeys<'_>,
    message: &SessionMessage,
    now_ms: &JsValue,
) -> Result<Object, JsValue> {
    let (now_ms, message) = (whole(now_ms)?, message.initial()?);
    crypto::Session::accept(now_ms, &identity.0, &us.0, &them.0, prekeys, message)
        .map_err(thrown)
        .and_then(accepted)
}

fn accept_x3dh(
    identity: &IdentityKeyPair,
    us: &Party,
    them: &Party,
    prekeys: &crypto::X3dhPrekeys<'_>,
    message: &SessionMessage,
    now_ms: &JsValue,
) -> Result<Object, JsValue> {
    let (now_ms, message) = (whole(now_ms)?, message.initial()?);
    crypto::Session::accept_x3dh(now_ms, &identity.0, &us.0, &them.0, prekeys, message)
        .map_err(thrown)
        .and_then(accepted)
}

fn accepted((session, first): (crypto::Session, crypto::Decrypted)) -> Result<Object, JsValue> {
    object([
        ("session", Session(session).into()),
        ("plaintext", array(&first.plaintext).into()),
        ("skipped", changes(first.skipped)?.into()),
    ])
}
