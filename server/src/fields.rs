//! Reading the fields of requests. Nothing past these functions handles a length or an address that
//! was not checked.

use sottovoce_proto::v1::{ErrorReason, SignedStatement};
use sottovoce_statements::{
    Address, DeviceId, MAX_STATEMENT_LEN, SIGNATURE_LEN, ServerName, Signed, Statement, StatementError,
};

use crate::refusal::Refusal;
use crate::store::Caller;

/// An address of this server.
pub(crate) fn local_address(
    text: &str,
    server: &ServerName,
    field: &'static str,
) -> Result<Address, Refusal> {
    let address = Address::parse(text).map_err(|_| Refusal::field(field))?;
    check_local(&address, server, field)?;
    Ok(address)
}

pub(crate) fn check_local(
    address: &Address,
    server: &ServerName,
    field: &'static str,
) -> Result<(), Refusal> {
    if address.server() == server.as_str() {
        Ok(())
    } else {
        Err(Refusal::because(ErrorReason::ServerNotLocal).at(field))
    }
}

/// 16 bytes.
pub(crate) fn id(bytes: &[u8], field: &'static str) -> Result<[u8; 16], Refusal> {
    bytes.try_into().map_err(|_| Refusal::field(field))
}

/// 16 bytes.
pub(crate) fn device_id(bytes: &[u8], field: &'static str) -> Result<DeviceId, Refusal> {
    id(bytes, field).map(DeviceId::from_bytes)
}

/// 32 bytes.
pub(crate) fn secret(bytes: &[u8], field: &'static str) -> Result<[u8; 32], Refusal> {
    bytes.try_into().map_err(|_| Refusal::field(field))
}

/// The access key of a call that takes one in the place of a token; none when the call has a token.
pub(crate) fn access_key(bytes: &[u8], caller: Option<&Caller>) -> Result<Option<[u8; 32]>, Refusal> {
    match caller {
        Some(_) if bytes.is_empty() => Ok(None),
        // The key in one hand and the token in the other would say who it is that writes unseen.
        Some(_) => Err(Refusal::field("access_key")),
        None if bytes.is_empty() => Err(Refusal::because(ErrorReason::TokenMissing)),
        None => secret(bytes, "access_key").map(Some),
    }
}

/// A statement as it arrived, parsed and not yet believed.
pub(crate) fn signed<S: Statement>(
    message: Option<&SignedStatement>,
    field: &'static str,
) -> Result<Signed<S>, Refusal> {
    let message = message.ok_or_else(|| Refusal::field(field))?;
    if message.signature.len() != SIGNATURE_LEN {
        return Err(Refusal::field(field));
    }
    Signed::from_parts(&message.statement, &message.signature).map_err(|error| match error {
        StatementError::TooLong => Refusal::too_large(field, MAX_STATEMENT_LEN),
        _ => Refusal::field(field),
    })
}

/// The refusal for a signature that does not verify.
pub(crate) fn unsigned(field: &'static str) -> Refusal {
    Refusal::because(ErrorReason::SignatureInvalid).at(field)
}

/// 1 to `most` of something.
pub(crate) fn count(length: usize, most: usize, field: &'static str) -> Result<(), Refusal> {
    match length {
        0 => Err(Refusal::field(field)),
        length if length > most => Err(Refusal::too_large(field, most)),
        _ => Ok(()),
    }
}

/// No two alike.
pub(crate) fn distinct<T: Ord>(mut items: Vec<T>, field: &'static str) -> Result<(), Refusal> {
    items.sort_unstable();
    if items.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(Refusal::field(field))
    }
}
