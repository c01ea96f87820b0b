//! From the database's integers and blobs to ours and back.

use sottovoce_statements::DeviceId;

/// Unix milliseconds and counts as SQLite holds them; times beyond the year 292 million saturate.
pub(crate) fn to_db(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Back from [`to_db`]; the server never stores a negative number.
pub(crate) fn from_db(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A blob of a fixed length, as the server wrote it.
pub(crate) fn fixed<const N: usize>(blob: &[u8]) -> Result<[u8; N], sqlx::Error> {
    blob.try_into()
        .map_err(|_| sqlx::Error::Decode("a stored blob has the wrong length".into()))
}

/// A small id, as the server wrote it.
pub(crate) fn small(value: i64) -> Result<u32, sqlx::Error> {
    u32::try_from(value).map_err(|_| sqlx::Error::Decode("a stored id is out of range".into()))
}

/// A device id as bound to a statement.
pub(crate) fn id(device: &DeviceId) -> &[u8] {
    device.as_bytes().as_slice()
}
