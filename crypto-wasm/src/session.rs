//! Sessions.

use js_sys::{Array, Object, Uint8Array};
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes, list_of_bytes, object, whole};
use crate::bundles::{PrekeyBundle, X3dhPrekeyBundle};
use crate::error::thrown;
use crate::keys::IdentityKeyPair;
use crate::message::SessionMessage;
use crate::party::Party;
use crate::random::system;
use crate::skipped::{changes, records};
use crate::suite::suite_name;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What came out of a message, and what it changed. */
export interface Decrypted {
    /** What the peer wrote. */
    readonly plaintext: Uint8Array;
    /** What became of the session's skipped keys; empty for a message in its turn. */
    readonly skipped: SkippedChanges;
}

/** A session that a peer began, and what came out of its message. */
export interface Accepted extends Decrypted {
    readonly session: Session;
}
"#;

/// A session with one device of a peer. Save `toBytes()`, and what `decrypt` says of skipped keys, sealed,
/// after every message and before acting on it. Messages may be lost, repeated and reordered on their way.
#[wasm_bindgen]
pub struct Session(pub(crate) crypto::Session);

#[wasm_bindgen]
impl Session {
    /// Begins a session with a peer that may be away, by PQXDH. `nowMs` is `Date.now()`.
    ///
    /// @throws `HandshakeError`; `ArgumentError` where the host has no random generator.
    pub fn initiate(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &PrekeyBundle,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Self, JsValue> {
        let now_ms = whole(now_ms)?;
        crypto::Session::initiate(&mut system()?, now_ms, &identity.0, &us.0, &them.0, &bundle.0)
            .map(Self)
            .map_err(thrown)
    }

    /// The same by plain X3DH, for peers that speak nothing else. A session begun so never withstands a
    /// quantum computer.
    ///
    /// @throws `HandshakeError`; `ArgumentError` where the host has no random generator.
    #[wasm_bindgen(js_name = initiateX3dh)]
    pub fn initiate_x3dh(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &X3dhPrekeyBundle,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Self, JsValue> {
        let now_ms = whole(now_ms)?;
        crypto::Session::initiate_x3dh(&mut system()?, now_ms, &identity.0, &us.0, &them.0, &bundle.0)
            .map(Self)
            .map_err(thrown)
    }

    /// Encrypts a message of at most 65,536 bytes, padded to a size that many messages share. `nowMs` is
    /// `Date.now()`, by which an exchange of post-quantum keys falls due.
    ///
    /// @throws `EncryptError` or `ArgumentError`; the session is as it was.
    pub fn encrypt(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array")] plaintext: &JsValue,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Uint8Array, JsValue> {
        let (plaintext, now_ms) = (bytes(plaintext)?, whole(now_ms)?);
        let message = self
            .0
            .encrypt(&mut system()?, now_ms, &plaintext)
            .map_err(thrown)?;
        Ok(array(&message))
    }

    /// Decrypts a message. `nowMs` is `Date.now()`, by which keys kept for late messages grow old.
    ///
    /// @throws `DecryptError` or `ArgumentError`; the session is, byte for byte, as it was.
    #[wasm_bindgen(unchecked_return_type = "Decrypted")]
    pub fn decrypt(
        &mut self,
        message: &SessionMessage,
        #[wasm_bindgen(js_name = nowMs, unchecked_param_type = "number")] now_ms: &JsValue,
    ) -> Result<Object, JsValue> {
        let decrypted = self.0.decrypt(whole(now_ms)?, &message.0).map_err(thrown)?;
        object([
            ("plaintext", array(&decrypted.plaintext).into()),
            ("skipped", changes(decrypted.skipped)?.into()),
        ])
    }

    /// The suite this session speaks.
    #[wasm_bindgen(getter, unchecked_return_type = "Suite")]
    pub fn suite(&self) -> String {
        suite_name(self.0.suite())
    }

    /// The name of the handshake this session began with, 32 bytes, the same on both sides.
    #[wasm_bindgen(getter, js_name = handshakeDigest)]
    pub fn handshake_digest(&self) -> Uint8Array {
        array(&self.0.handshake_digest())
    }

    /// The session without its skipped keys, secrets included. Seal it before it is kept.
    #[wasm_bindgen(js_name = toBytes)]
    pub fn to_bytes(&self) -> Uint8Array {
        array(&self.0.to_bytes())
    }

    /// All of its skipped keys. What `decrypt` tells suffices to keep them; this is for moving a session as
    /// a whole.
    #[wasm_bindgen(js_name = skippedKeys, unchecked_return_type = "SkippedKeyRecord[]")]
    pub fn skipped_keys(&self) -> Result<Array, JsValue> {
        records(self.0.skipped_keys())
    }

    /// Reads what `toBytes` wrote, and the `bytes` of its skipped keys, in any order.
    ///
    /// @throws `ArgumentError` or `StateError`.
    #[wasm_bindgen(js_name = fromBytes)]
    pub fn from_bytes(
        #[wasm_bindgen(js_name = bytes, unchecked_param_type = "Uint8Array")] stored: &JsValue,
        #[wasm_bindgen(js_name = skippedKeys, unchecked_param_type = "readonly Uint8Array[]")]
        skipped_keys: &JsValue,
    ) -> Result<Self, JsValue> {
        let skipped_keys = list_of_bytes(skipped_keys, crypto::MAX_SKIPPED_KEYS)?;
        let skipped_keys = skipped_keys.iter().map(|bytes| bytes.as_slice());
        crypto::Session::from_bytes(&bytes(stored)?, skipped_keys)
            .map(Self)
            .map_err(thrown)
    }
}
