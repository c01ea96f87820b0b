//! Sessions.

use js_sys::{Object, Reflect, Uint8Array};
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, whole};
use crate::error::thrown;
use crate::keys::IdentityKeyPair;
use crate::message::SessionMessage;
use crate::party::Party;
use crate::prekeys::{OneTimePrekeyPair, PrekeyBundle, SignedPrekeyPair};
use crate::random::system;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** A session that a peer began, and what its message said. */
export interface Accepted {
    readonly session: Session;
    readonly plaintext: Uint8Array;
}
"#;

/// A session with one device of a peer. Save `toBytes()`, sealed, after every message and before acting
/// on it. Messages may be lost, repeated and reordered on their way.
#[wasm_bindgen]
pub struct Session(crypto::Session);

#[wasm_bindgen]
impl Session {
    /// Begins a session with a peer that may be away.
    ///
    /// @throws `HandshakeError`; `ArgumentError` where the host has no random generator.
    pub fn initiate(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &PrekeyBundle,
    ) -> Result<Self, JsValue> {
        crypto::Session::initiate(&mut system()?, &identity.0, &us.0, &them.0, &bundle.0)
            .map(Self)
            .map_err(thrown)
    }

    /// Takes up a session whose initial message names no one-time prekey. `nowMs` is `Date.now()`.
    ///
    /// @throws `HandshakeError`, or `ArgumentError` for a message that begins no session. Nothing is used up.
    #[wasm_bindgen(unchecked_return_type = "Accepted")]
    pub fn accept(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey)] signed_prekey: &SignedPrekeyPair,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        accept(identity, us, them, signed_prekey, None, message, now_ms)
    }

    /// Takes up a session whose initial message names a one-time prekey; delete that prekey after.
    ///
    /// @throws `HandshakeError`, or `ArgumentError` for a message that begins no session. Nothing is used up.
    #[wasm_bindgen(js_name = acceptWithOneTimePrekey, unchecked_return_type = "Accepted")]
    pub fn accept_with_one_time_prekey(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        #[wasm_bindgen(js_name = signedPrekey)] signed_prekey: &SignedPrekeyPair,
        #[wasm_bindgen(js_name = oneTimePrekey)] one_time_prekey: &OneTimePrekeyPair,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        accept(
            identity,
            us,
            them,
            signed_prekey,
            Some(one_time_prekey),
            message,
            now_ms,
        )
    }

    /// Encrypts a message of at most 65,536 bytes, padded to a size that many messages share.
    ///
    /// @throws `EncryptError` or `ArgumentError`; the session is as it was.
    pub fn encrypt(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] plaintext: &JsValue,
    ) -> Result<Uint8Array, JsValue> {
        let plaintext = bytes(plaintext)?;
        let message = self.0.encrypt(&mut system()?, &plaintext).map_err(thrown)?;
        Ok(array(&message))
    }

    /// Decrypts a message. `nowMs` is `Date.now()`, by which keys kept for late messages grow old.
    ///
    /// @throws `DecryptError` or `ArgumentError`; the session is, byte for byte, as it was.
    pub fn decrypt(
        &mut self,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Uint8Array, JsValue> {
        let plaintext = self.0.decrypt(whole(now_ms)?, &message.0).map_err(thrown)?;
        Ok(array(&plaintext))
    }

    /// The name of the handshake this session began with, 32 bytes, the same on both sides.
    #[wasm_bindgen(getter, js_name = handshakeDigest)]
    pub fn handshake_digest(&self) -> Uint8Array {
        array(&self.0.handshake_digest())
    }

    /// The whole session, secrets included. Seal it before it is kept.
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
        crypto::Session::from_bytes(&bytes(stored)?)
            .map(Self)
            .map_err(thrown)
    }
}

fn accept(
    identity: &IdentityKeyPair,
    us: &Party,
    them: &Party,
    signed_prekey: &SignedPrekeyPair,
    one_time_prekey: Option<&OneTimePrekeyPair>,
    message: &SessionMessage,
    now_ms: &JsValue,
) -> Result<Object, JsValue> {
    let (session, plaintext) = crypto::Session::accept(
        whole(now_ms)?,
        &identity.0,
        &us.0,
        &them.0,
        &signed_prekey.0,
        one_time_prekey.map(|pair| &pair.0),
        message.initial()?,
    )
    .map_err(thrown)?;
    let accepted = Object::new();
    Reflect::set(&accepted, &"session".into(), &Session(session).into())?;
    Reflect::set(&accepted, &"plaintext".into(), &array(&plaintext))?;
    Ok(accepted)
}
