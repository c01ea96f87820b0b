//! What the files are written in: byte strings as lower-case hex, times and numbers as numbers.

use std::fmt::Debug;

use serde_json::Value;

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> Value {
    hex::encode(bytes).into()
}

pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

pub(crate) fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a string, and not {value}"))
}

pub(crate) fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("a number, and not {value}"))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("a list, and not {value}"))
}

/// The name of a refusal, as this implementation tells it apart from others.
pub(crate) fn refusal<T>(result: Result<T, impl Debug>) -> String {
    match result {
        Ok(_) => panic!("taken, and must not be"),
        Err(error) => name_of(&error),
    }
}

/// The names of an error and the one within, without what they carry.
pub(crate) fn name_of(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    let names: Vec<_> = text
        .split('(')
        .take(2)
        .filter_map(|part| part.split(|letter: char| !letter.is_alphanumeric()).next())
        .collect();
    names.join(": ")
}
