//! The ratchet header: which key, which chain, which message (Double Ratchet section 3.4).

use alloc::vec::Vec;

use sottovoce_statements::X25519Key;

use crate::codec::{Malformed, Reader, Write};

/// In the clear on every message, and authenticated with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RatchetHeader {
    /// The sender's ratchet key.
    pub(crate) ratchet_key: X25519Key,
    /// How many messages the sender's previous chain carried.
    pub(crate) previous: u32,
    /// The message's number in its chain, from 0.
    pub(crate) number: u32,
}

impl RatchetHeader {
    /// Length of the encoding, in bytes.
    pub(crate) const LEN: usize = 32 + 4 + 4;

    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.put(self.ratchet_key.as_bytes());
        bytes.put_u32(self.previous);
        bytes.put_u32(self.number);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            ratchet_key: X25519Key::from_slice(reader.array::<32>()?).map_err(|_| Malformed)?,
            previous: reader.u32()?,
            number: reader.u32()?,
        })
    }
}
