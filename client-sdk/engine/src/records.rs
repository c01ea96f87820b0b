//! The records an engine is kept in: their keys and their encoding.
//!
//! | key | what it holds |
//! |---|---|
//! | `own` | account key, device id and key, manifest, binding, whether registered |
//! | `access-key` | the account's access key, whether the server has its hash |
//! | `blocked/<address>` | an address the user wants nothing to do with |
//! | `renewals` | when sessions were last renewed without the user's doing |
//! | `counters` | the numbers that must never be used twice |
//! | `signed-prekey/<id>` | a signed prekey with its secret, whether published |
//! | `last-resort-kem-prekey/<id>` | a KEM prekey of last resort with its secret, whether published |
//! | `one-time-prekey/<id>` | a one-time prekey with its secret, whether published |
//! | `one-time-kem-prekey/<id>` | a one-time KEM prekey with its secret, whether published |
//! | `initial/<signed prekey id>/<last-resort id>/<digest>` | a handshake already accepted |
//! | `peer/<address>` | a peer's trusted account, another proposed in its place, message counters and last message ids, its access key |
//! | `session/<address>/<device>/<digest>` | one session with a peer's device, without skipped keys |
//! | `skipped-key/<address>/<device>/<digest>/<key>` | one skipped key of that session |
//! | `outbox/<number>` | a message not yet taken by the server |
//! | `scheduled/<number>` | a message that the server has and delivers later |
//! | `seen/<slot>` | the id of an envelope already dealt with |
//! | `channel/<id>` | a channel: its roster, what is open about it, an entry of ours on its way |
//! | `sender-key/<channel>` | our sender key for a channel, and who has it |
//! | `member-key/<channel>/<address>/<device>/<key>` | a member's sender key |
//! | `member-key-skipped/<channel>/<address>/<device>/<key>/<message>` | one skipped message key of it |
//! | `post/<number>` | a post not yet taken by the server |
//! | `event/<id>` | an event the app has not acknowledged |
//!
//! A value is a version byte, then each field with its length before it in four bytes, big-endian.
//! Values hold secrets: whoever stores them seals them.

use zeroize::Zeroizing;

/// Version of the encoding of every record.
const VERSION: u8 = 1;

/// A record is damaged, or of a version this engine does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored record cannot be read")]
pub struct RecordError;

pub(crate) fn pack(fields: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = 1 + fields.iter().map(|field| 4 + field.len()).sum::<usize>();
    // One allocation of the right size: growing would leave copies of secrets behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.push(VERSION);
    for field in fields {
        // Fields are bounded far below four gigabytes; a longer one would not be read back.
        let length = u32::try_from(field.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<&[u8]>, RecordError> {
    let (&version, mut rest) = bytes.split_first().ok_or(RecordError)?;
    if version != VERSION {
        return Err(RecordError);
    }
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(RecordError)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| RecordError)?;
        let (field, after) = after.split_at_checked(length).ok_or(RecordError)?;
        fields.push(field);
        rest = after;
    }
    Ok(fields)
}

pub(crate) fn u64_of(bytes: &[u8]) -> Result<u64, RecordError> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| RecordError)
}

pub(crate) fn u32_of(bytes: &[u8]) -> Result<u32, RecordError> {
    bytes.try_into().map(u32::from_be_bytes).map_err(|_| RecordError)
}

pub(crate) fn id16(bytes: &[u8]) -> Result<[u8; 16], RecordError> {
    bytes.try_into().map_err(|_| RecordError)
}

pub(crate) fn secret32(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, RecordError> {
    let mut secret = Zeroizing::new([0; 32]);
    if bytes.len() != secret.len() {
        return Err(RecordError);
    }
    secret.copy_from_slice(bytes);
    Ok(secret)
}

pub(crate) fn text(bytes: &[u8]) -> Result<String, RecordError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| RecordError)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Splits `outbox/00000000000000000007` into its kind and the rest.
pub(crate) fn split_key(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or((key, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_survive_packing() {
        let packed = pack(&[b"one", b"", &[0; 300]]);
        assert_eq!(unpack(&packed).unwrap(), [&b"one"[..], b"", &[0; 300]]);
    }

    #[test]
    fn damage_is_an_error_and_not_a_panic() {
        let packed = pack(&[b"one", b"two"]);
        assert!(
            (0..packed.len())
                .filter(|cut| unpack(&packed[..*cut]).is_ok())
                .eq([1, 8])
        );
        assert_eq!(unpack(&[VERSION, 0xff, 0xff, 0xff, 0xff, 1]), Err(RecordError));
        assert_eq!(unpack(&[VERSION + 1]), Err(RecordError));
    }
}
