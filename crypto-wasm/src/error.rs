//! Thrown errors: a JavaScript `Error` whose `name` is the operation that refused and whose `code` is
//! the reason, in the words of the Rust package.

use js_sys::{Error, Reflect};
use sottovoce_crypto::statements::{AddressError, KeyError, StatementError, VerifyError};
use sottovoce_crypto::{
    DecodeError, DecryptError, EncryptError, HandshakeError, OpenError, PassphraseError, SealError,
    StateError,
};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/**
 * What every function of this module throws. `name` is the operation that refused, `code` why:
 *
 * - `ArgumentError`: `NotBytes`, `NotText`, `NotWhole`, `NotList`, `WrongLength`, `TooLong`, `TooLarge`,
 *   `NotInitial`, `NotStatement`, `NotOneTimePrekey`, `NotKemPrekeyRole`, `NoRandomness`
 * - `AddressError`, `KeyError`, `StatementError`: `Malformed`; `VerifyError`: `BadSignature`
 * - `HandshakeError`: `NotOurKey`, `SameDevice`, `NotTheirPrekey`, `OtherPrekeys`, `OtherSuite`,
 *   `Refused`
 * - `EncryptError`: `TooLong`, `Exhausted`; `DecryptError`: `Undecryptable`, `OtherSession`
 * - `DecodeError`, `StateError`: `UnsupportedVersion`, `UnsupportedSuite`, `Malformed`
 * - `SealError`: `TooLong`; `OpenError`: `UnsupportedVersion`, `Refused`
 * - `PassphraseError`: `Empty`, `TooLong`, `OutOfMemory`
 *
 * A later version may add codes: treat one you do not know as a refusal.
 */
export interface SottovoceError extends Error {
    readonly name: string;
    readonly code: string;
}
"#;

/// The reason of a refusal, for programs.
pub(crate) trait Refusal: std::fmt::Display {
    /// The operation.
    const NAME: &'static str;
    /// The reason.
    fn code(&self) -> &'static str;
}

/// Turns a refusal into what is thrown.
pub(crate) fn thrown<E: Refusal>(error: E) -> JsValue {
    build(E::NAME, error.code(), &error.to_string())
}

/// An argument of the wrong type or size.
pub(crate) fn argument_error(code: &str, message: &str) -> JsValue {
    build("ArgumentError", code, message)
}

fn build(name: &str, code: &str, message: &str) -> JsValue {
    let error = Error::new(message);
    error.set_name(name);
    // A new Error takes any property; were it ever to refuse, name and message still tell.
    let _ = Reflect::set(&error, &"code".into(), &code.into());
    error.into()
}

/// Reasons by name; the enums may grow, and what is added before this table knows it stays a refusal.
macro_rules! refusals {
    ($($error:ident: $($variant:ident)*;)*) => {$(
        impl Refusal for $error {
            const NAME: &'static str = stringify!($error);
            fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                    _ => "Unknown",
                }
            }
        }
    )*};
}

refusals! {
    HandshakeError: NotOurKey SameDevice NotTheirPrekey OtherPrekeys OtherSuite Refused;
    EncryptError: TooLong Exhausted;
    DecryptError: Undecryptable OtherSession;
    DecodeError: UnsupportedVersion UnsupportedSuite Malformed;
    StateError: UnsupportedVersion UnsupportedSuite Malformed;
    SealError: TooLong;
    OpenError: UnsupportedVersion Refused;
    PassphraseError: Empty TooLong OutOfMemory;
}

/// Errors whose details are in their message; a program needs no more than that the input is malformed.
macro_rules! malformed {
    ($($error:ident: $code:literal;)*) => {$(
        impl Refusal for $error {
            const NAME: &'static str = stringify!($error);
            fn code(&self) -> &'static str {
                $code
            }
        }
    )*};
}

malformed! {
    AddressError: "Malformed";
    KeyError: "Malformed";
    StatementError: "Malformed";
    VerifyError: "BadSignature";
}
