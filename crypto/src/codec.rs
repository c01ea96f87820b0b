//! Strict reading and plain writing: fixed widths, big-endian numbers, nothing left over.

use alloc::vec::Vec;

use crate::error::StateError;

/// The bytes are not what they should be. Each caller turns this into its own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Takes fields from the front of a byte string.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Borrows instead of copying, so that a secret field is copied once, to where it belongs.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|bytes| u8::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Refuses trailing bytes: no two byte strings mean the same.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Appends fields to a byte string.
pub(crate) trait Write {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }
}

impl Write for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// First byte of everything stored: the version of these encodings.
const STATE_VERSION: u8 = 0x01;

/// Second byte of everything stored, so that one kind is never read as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum StateKind {
    Session = 0x01,
    SignedPrekey = 0x02,
    OneTimePrekey = 0x03,
    KemPrekey = 0x04,
    SkippedKey = 0x05,
    SendingSenderKey = 0x06,
    ReceivingSenderKey = 0x07,
    AccessKey = 0x08,
    TrustedAccount = 0x09,
    PendingLink = 0x0a,
    SkippedSenderKeyMessage = 0x0c,
}

pub(crate) fn begin_state(kind: StateKind, bytes: &mut Vec<u8>) {
    bytes.put_u8(STATE_VERSION);
    bytes.put_u8(kind as u8);
}

/// A reader that stands behind the first two bytes, if they are the right ones.
pub(crate) fn read_state(kind: StateKind, bytes: &[u8]) -> Result<Reader<'_>, StateError> {
    let mut reader = Reader::new(bytes);
    if reader.u8()? != STATE_VERSION {
        return Err(StateError::UnsupportedVersion);
    }
    if reader.u8()? != kind as u8 {
        return Err(StateError::Malformed);
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_big_endian_and_come_back() {
        let mut bytes = Vec::new();
        bytes.put_u8(1);
        bytes.put_u32(3);
        bytes.put_u64(4);
        assert_eq!(bytes, [1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4]);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u8(), reader.u32(), reader.u64()), (Ok(1), Ok(3), Ok(4)));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn short_and_trailing_bytes_are_refused() {
        assert_eq!(Reader::new(&[1, 2, 3]).u32(), Err(Malformed));
        assert_eq!(Reader::new(&[1, 2, 3]).bytes(4), Err(Malformed));
        assert_eq!(Reader::new(&[1]).finish(), Err(Malformed));
    }
}
