//! Which cryptography a session speaks, and the labels that keep its derived keys apart.

/// A handshake suite. The byte goes on the wire, into every derivation label and into the associated
/// data, so a session begun under one suite can never be continued, or downgraded to, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Suite {
    /// X3DH on X25519, HKDF and HMAC on SHA-256, ChaCha20-Poly1305.
    X3dh = 0x01,
    // 0x02 is held for PQXDH (X3DH and ML-KEM-768). Until it exists, `from_byte` refuses it like any
    // byte it does not know; what it will append to the handshake's key material has its place in
    // `handshake::secrets`.
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
            _ => None,
        }
    }
}

/// HKDF info of the handshake: input key material to first root key.
pub(crate) const LABEL_HANDSHAKE: &[u8] = b"Sottovoce-v1 handshake";

/// HKDF info of a Diffie-Hellman ratchet step: root key to root key and chain key.
pub(crate) const LABEL_ROOT: &[u8] = b"Sottovoce-v1 root";

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
    fn the_suite_held_for_pqxdh_is_not_a_suite_yet() {
        assert_eq!(Suite::from_byte(0x01), Some(Suite::X3dh));
        assert_eq!(Suite::X3dh.byte(), 0x01);
        for byte in (0..=u8::MAX).filter(|&byte| byte != 0x01) {
            assert_eq!(Suite::from_byte(byte), None);
        }
    }
}
