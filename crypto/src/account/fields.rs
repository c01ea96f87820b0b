//! Fields that the formats of accounts have in common.

use alloc::vec::Vec;

use sottovoce_statements::{AccountKey, Address, MAX_STATEMENT_LEN, Signed, Statement};

use crate::codec::{Malformed, Reader, Write};

/// Length in one byte, and the text, as in statements (SPEC.md section 4).
pub(super) fn write_address(bytes: &mut Vec<u8>, address: &Address) {
    let text = address.as_str().as_bytes();
    // An address is at most 161 bytes.
    bytes.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    bytes.put(text);
}

pub(super) fn read_address(reader: &mut Reader<'_>) -> Result<Address, Malformed> {
    let length = usize::from(reader.u8()?);
    let text = core::str::from_utf8(reader.bytes(length)?).map_err(|_| Malformed)?;
    Address::parse(text).map_err(|_| Malformed)
}

pub(super) fn read_account_key(reader: &mut Reader<'_>) -> Result<AccountKey, Malformed> {
    AccountKey::from_slice(reader.bytes(32)?).map_err(|_| Malformed)
}

/// The signature, the statement's length in two bytes, and the statement.
pub(super) fn write_signed<S>(bytes: &mut Vec<u8>, signed: &Signed<S>) {
    bytes.put(signed.signature_bytes());
    // A statement is at most 1,536 bytes.
    let length = u16::try_from(signed.statement_bytes().len()).unwrap_or(u16::MAX);
    bytes.put(&length.to_be_bytes());
    bytes.put(signed.statement_bytes());
}

pub(super) fn read_signed<S: Statement>(reader: &mut Reader<'_>) -> Result<Signed<S>, Malformed> {
    let signature = reader.array::<64>()?;
    let length = usize::from(u16::from_be_bytes(*reader.array()?));
    Signed::from_parts(reader.bytes(length)?, signature).map_err(|_| Malformed)
}

/// Longest [`write_signed`].
pub(super) const MAX_SIGNED_LEN: usize = 64 + 2 + MAX_STATEMENT_LEN;
