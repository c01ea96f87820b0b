//! Who sent a sealed envelope: first somebody's word, then, once a message decrypts, the truth.

use alloc::vec::Vec;

use sottovoce_statements::{Address, DeviceId, MAX_NAME_LEN, MAX_SERVER_NAME_LEN, ManifestHash};

use crate::codec::{Malformed, Reader, Write};
use crate::handshake::Party;

/// What a sealed envelope says of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSender {
    /// The sending account.
    pub address: Address,
    /// The sending device.
    pub device_id: DeviceId,
    /// Version of the newest manifest of its own that the device knows, from 1.
    pub manifest_version: u64,
    /// Hash of that manifest.
    pub manifest_hash: ManifestHash,
}

impl EnvelopeSender {
    /// Bytes of the sender in an envelope, whoever it is.
    pub(super) const LEN: usize = ADDRESS_FIELD_LEN + 16 + 8 + 32;

    /// Appends the sender. `None` if it breaks a rule.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) -> Option<()> {
        if self.manifest_version == 0 {
            return None;
        }
        let address = self.address.as_str().as_bytes();
        let filling = MAX_ADDRESS_LEN.checked_sub(address.len())?;
        bytes.put_u8(u8::try_from(address.len()).ok()?);
        bytes.put(address);
        // So that the length of an address does not show in that of an envelope.
        bytes.put([0; MAX_ADDRESS_LEN].get(..filling)?);
        bytes.put(self.device_id.as_bytes());
        bytes.put_u64(self.manifest_version);
        bytes.put(&self.manifest_hash);
        Some(())
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = usize::from(reader.u8()?);
        let (address, filling) = reader
            .bytes(MAX_ADDRESS_LEN)?
            .split_at_checked(length)
            .ok_or(Malformed)?;
        if filling.iter().any(|byte| *byte != 0) {
            return Err(Malformed);
        }
        let address = core::str::from_utf8(address).map_err(|_| Malformed)?;
        let address = Address::parse(address).map_err(|_| Malformed)?;
        let device_id = DeviceId::from_bytes(*reader.array()?);
        let manifest_version = reader.u64()?;
        if manifest_version == 0 {
            return Err(Malformed);
        }
        Ok(Self {
            address,
            device_id,
            manifest_version,
            manifest_hash: *reader.array()?,
        })
    }
}

/// The sender that an opened envelope claims to be from. Anybody who may send can claim anything here:
/// it tells which session to try, and which manifest to fetch first, and is good for nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedSender(pub(super) EnvelopeSender);

impl ClaimedSender {
    /// What is claimed.
    #[must_use]
    pub fn claimed(&self) -> &EnvelopeSender {
        &self.0
    }

    /// Whether a party is the device that is claimed to have sent this.
    #[must_use]
    pub fn is(&self, party: &Party) -> bool {
        self.0.address == party.address && self.0.device_id == party.device_id
    }
}

/// The sender of an envelope whose message decrypted in a session with exactly this party.
///
/// The manifest that was claimed is not confirmed by it: the one inside the message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmedSender(pub(super) Party);

impl ConfirmedSender {
    /// Who it is.
    #[must_use]
    pub fn party(&self) -> &Party {
        &self.0
    }
}

/// Longest address, in bytes: name, `@`, server.
const MAX_ADDRESS_LEN: usize = MAX_NAME_LEN + 1 + MAX_SERVER_NAME_LEN;

/// Bytes of an address in an envelope: its length, and room for the longest.
const ADDRESS_FIELD_LEN: usize = 1 + MAX_ADDRESS_LEN;

#[cfg(test)]
mod tests {
    use super::*;

    fn sender() -> EnvelopeSender {
        EnvelopeSender {
            address: Address::parse("alice@one.example").unwrap(),
            device_id: DeviceId::from_bytes([0xa1; 16]),
            manifest_version: 2,
            manifest_hash: [7; 32],
        }
    }

    fn read(bytes: &[u8]) -> Result<EnvelopeSender, Malformed> {
        let mut reader = Reader::new(bytes);
        let sender = EnvelopeSender::read(&mut reader)?;
        reader.finish().map(|()| sender)
    }

    #[test]
    fn a_sender_has_one_encoding_of_one_length() {
        let mut bytes = Vec::new();
        sender().write(&mut bytes).unwrap();
        assert_eq!(bytes.len(), EnvelopeSender::LEN);
        assert_eq!(bytes.len(), 218);
        assert_eq!(read(&bytes), Ok(sender()));
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Err(Malformed));
        }
        let with = |position: usize, field: &[u8]| {
            let mut changed = bytes.clone();
            changed[position..position + field.len()].copy_from_slice(field);
            read(&changed)
        };
        assert_eq!(with(0, &[0]), Err(Malformed), "an address is not empty");
        assert_eq!(
            with(0, &[162]),
            Err(Malformed),
            "an address lies within its field"
        );
        assert_eq!(with(0, &[16]), Err(Malformed), "the address ends where it says");
        assert_eq!(with(1, b"A"), Err(Malformed), "an address is canonical");
        assert_eq!(with(1, &[0xff]), Err(Malformed), "an address is text");
        assert_eq!(with(161, &[1]), Err(Malformed), "the rest of the field is zeros");
        assert_eq!(with(178, &[0; 8]), Err(Malformed), "versions count from 1");
    }
}
