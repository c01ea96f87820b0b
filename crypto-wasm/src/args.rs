//! From JavaScript values, which can be anything, to the types the cryptography takes.

use js_sys::{Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use zeroize::Zeroizing;

use crate::error::argument_error;

/// Longest byte array taken, 32 MiB: twice the largest record there is (16 MiB), so that whatever could
/// be meant gets through, and nothing larger is copied into the module's memory, where running out of it
/// would be a trap.
const MAX_ARRAY_LEN: u32 = 32 * 1_024 * 1_024;
/// Longest text taken, in UTF-16 units: more than any address has, so that its own check can speak.
const MAX_TEXT_LEN: u32 = 1_024;
/// The largest whole number a JavaScript number holds without rounding, 2⁵³ − 1.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// Copies a `Uint8Array` in; the copy is erased after use, for it may be a secret.
pub(crate) fn bytes(value: &JsValue) -> Result<Zeroizing<Vec<u8>>, JsValue> {
    let array: &Uint8Array = value
        .dyn_ref()
        .ok_or_else(|| argument_error("NotBytes", "a Uint8Array is needed"))?;
    if array.length() > MAX_ARRAY_LEN {
        return Err(argument_error(
            "TooLong",
            "the array is larger than anything taken here",
        ));
    }
    Ok(Zeroizing::new(array.to_vec()))
}

/// Copies in an array of at most `count` byte arrays, all together no longer than one may be.
pub(crate) fn list_of_bytes(value: &JsValue, count: usize) -> Result<Vec<Zeroizing<Vec<u8>>>, JsValue> {
    let list: &Array = value
        .dyn_ref()
        .ok_or_else(|| argument_error("NotList", "an array of Uint8Array is needed"))?;
    let too_long = || argument_error("TooLong", "the list is longer than anything taken here");
    let mut taken = Vec::new();
    let mut room = MAX_ARRAY_LEN as usize;
    for position in 0..list.length() {
        if taken.len() == count {
            return Err(too_long());
        }
        let bytes = bytes(&list.get(position))?;
        room = room.checked_sub(bytes.len()).ok_or_else(too_long)?;
        taken.push(bytes);
    }
    Ok(taken)
}

/// Copies in a `Uint8Array` of exactly `N` bytes.
pub(crate) fn exactly<const N: usize>(value: &JsValue) -> Result<Zeroizing<[u8; N]>, JsValue> {
    let bytes = bytes(value)?;
    <[u8; N]>::try_from(bytes.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| argument_error("WrongLength", "the array is not of the length asked for"))
}

/// Takes a string.
pub(crate) fn text(value: &JsValue) -> Result<String, JsValue> {
    let string: &js_sys::JsString = value
        .dyn_ref()
        .ok_or_else(|| argument_error("NotText", "a string is needed"))?;
    if string.length() > MAX_TEXT_LEN {
        return Err(argument_error("TooLong", "the string is longer than any address"));
    }
    Ok(String::from(string))
}

/// Takes a whole number from 0 to 2⁵³ − 1, such as Unix time in milliseconds.
pub(crate) fn whole(value: &JsValue) -> Result<u64, JsValue> {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER).contains(&number) => {
            Ok(number as u64)
        }
        _ => Err(argument_error(
            "NotWhole",
            "a whole number, not negative, is needed",
        )),
    }
}

/// Takes a whole number of 32 bits, such as a prekey's id.
pub(crate) fn whole_u32(value: &JsValue) -> Result<u32, JsValue> {
    u32::try_from(whole(value)?).map_err(|_| argument_error("TooLarge", "the number is above 4294967295"))
}

/// A property of an object; `code` names what else was passed.
pub(crate) fn property(value: &JsValue, name: &str, code: &str) -> Result<JsValue, JsValue> {
    if value.is_object() {
        Reflect::get(value, &name.into())
    } else {
        Err(argument_error(
            code,
            &format!("an object with a property {name} is needed"),
        ))
    }
}

/// Hands bytes out, leaving none behind.
pub(crate) fn array(bytes: &[u8]) -> Uint8Array {
    Uint8Array::from(bytes)
}

/// Hands out an object with these properties.
pub(crate) fn object<const N: usize>(properties: [(&str, JsValue); N]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in properties {
        Reflect::set(&object, &name.into(), &value)?;
    }
    Ok(object)
}
