//! The host's random generator.

use getrandom::SysRng;
use rand_core::UnwrapErr;
use wasm_bindgen::JsValue;

use crate::error::argument_error;

/// `crypto.getRandomValues`, as the generator the cryptography takes. Asked once here, so that a host
/// without it throws: a generator that fails later could only trap.
pub(crate) fn system() -> Result<UnwrapErr<SysRng>, JsValue> {
    getrandom::fill(&mut [0; 1])
        .map(|()| UnwrapErr(SysRng))
        .map_err(|_| argument_error("NoRandomness", "globalThis.crypto.getRandomValues is needed"))
}
