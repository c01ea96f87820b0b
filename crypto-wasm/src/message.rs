//! Messages of a session, as they arrive.

use js_sys::Uint8Array;
use sottovoce_crypto as crypto;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::args::{array, bytes};
use crate::error::{argument_error, thrown};
use crate::suite::suite_name;

/// A message, decoded and not yet believed. One that begins a session tells which prekeys it used.
#[wasm_bindgen]
pub struct SessionMessage(pub(crate) crypto::SessionMessage);

#[wasm_bindgen]
impl SessionMessage {
    /// Reads a message.
    ///
    /// @throws `ArgumentError` or `DecodeError`.
    pub fn decode(
        #[wasm_bindgen(js_name = bytes, unchecked_param_type = "Uint8Array")] encoded: &JsValue,
    ) -> Result<Self, JsValue> {
        crypto::SessionMessage::decode(&bytes(encoded)?)
            .map(Self)
            .map_err(thrown)
    }

    /// Whether it carries a handshake: it begins a session, or its sender has not heard back yet.
    #[wasm_bindgen(getter, js_name = isInitial)]
    pub fn is_initial(&self) -> bool {
        self.initial().is_ok()
    }

    /// The suite an initial message speaks, which says how to accept it; `undefined` for any other.
    #[wasm_bindgen(getter, unchecked_return_type = "Suite | undefined")]
    pub fn suite(&self) -> Option<String> {
        self.initial().ok().map(|initial| suite_name(initial.suite()))
    }

    /// The signed prekey an initial message used; `undefined` for any other.
    #[wasm_bindgen(getter, js_name = signedPrekeyId)]
    pub fn signed_prekey_id(&self) -> Option<u32> {
        self.initial().ok().map(crypto::InitialMessage::signed_prekey_id)
    }

    /// The one-time prekey an initial message used, if it used one.
    #[wasm_bindgen(getter, js_name = oneTimePrekeyId)]
    pub fn one_time_prekey_id(&self) -> Option<u32> {
        self.initial()
            .ok()
            .and_then(crypto::InitialMessage::one_time_prekey_id)
    }

    /// The KEM prekey an initial message used; `undefined` for any other, and in plain X3DH.
    #[wasm_bindgen(getter, js_name = kemPrekeyId)]
    pub fn kem_prekey_id(&self) -> Option<u32> {
        self.initial()
            .ok()
            .and_then(crypto::InitialMessage::kem_prekey_id)
    }

    /// The name of an initial message's handshake, 32 bytes: accept none twice.
    #[wasm_bindgen(getter, js_name = handshakeDigest)]
    pub fn handshake_digest(&self) -> Option<Uint8Array> {
        self.initial()
            .ok()
            .map(|initial| array(&initial.handshake_digest()))
    }
}

impl SessionMessage {
    pub(crate) fn initial(&self) -> Result<&crypto::InitialMessage, JsValue> {
        match &self.0 {
            crypto::SessionMessage::Initial(initial) => Ok(initial),
            crypto::SessionMessage::Ratchet(_) => {
                Err(argument_error("NotInitial", "the message begins no session"))
            }
        }
    }
}
