//! Which cryptography a session speaks, and the labels that keep its derived keys apart.

/// A handshake suite. The byte goes on the wire, into every derivation label and into the associated
/// data, so a session begun under one suite can never be continued, or downgraded to, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Suite {
    /// X3DH on X25519, HKDF and HMAC on SHA-256, ChaCha20-Poly1305. For interoperability; nothing of it
    /// withstands a quantum computer.
    X3dh = 0x01,
    /// PQXDH: the same with ML-KEM-768 in the handshake and in the ratchet. The default.
    Pqxdh = 0x02,
}

impl Suite {
    /// The byte that stands for the suite.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    pub(crate) const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::X3dh),
            0x02 => Some(Self::Pqxdh),
            _ => None,
        }
    }
}

/// HKDF info of the handshake: input key material to first root key.
pub(crate) const LABEL_HANDSHAKE: &[u8] = b"Sottovoce-v1 handshake";

/// HKDF info of a Diffie-Hellman ratchet step: root key to root key and chain key.
pub(crate) const LABEL_ROOT: &[u8] = b"Sottovoce-v1 root";

/// The same of a step that takes in a KEM secret as well.
pub(crate) const LABEL_ROOT_KEM: &[u8] = b"Sottovoce-v1 root with KEM";

/// HKDF info of a message: message key to cipher key and nonce.
pub(crate) const LABEL_MESSAGE: &[u8] = b"Sottovoce-v1 message";

/// First bytes under the hash that becomes a session's associated data.
pub(crate) const LABEL_ASSOCIATED_DATA: &[u8] = b"Sottovoce-v1 associated data";

/// First bytes under the hash that names a handshake.
pub(crate) const LABEL_HANDSHAKE_DIGEST: &[u8] = b"Sottovoce-v1 handshake digest";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_has_its_byte_and_no_other_byte_is_one() {
        for suite in [Suite::X3dh, Suite::Pqxdh] {
            assert_eq!(Suite::from_byte(suite.byte()), Some(suite));
        }
        for byte in (0..=u8::MAX).filter(|byte| ![0x01, 0x02].contains(byte)) {
            assert_eq!(Suite::from_byte(byte), None);
        }
    }
}
