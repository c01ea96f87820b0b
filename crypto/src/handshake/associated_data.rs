//! The associated data that ties a session to its suite, its prekeys and its parties.

use alloc::vec::Vec;

use sottovoce_statements::{MAX_NAME_LEN, MAX_SERVER_NAME_LEN, MlKemKey, X25519Key};

use crate::codec::Write;
use crate::handshake::{HandshakeHeader, Party};
use crate::primitives::kdf::sha256;
use crate::suite::LABEL_ASSOCIATED_DATA;

/// The responder's public prekeys that a handshake used. Which there are, the header tells.
pub(crate) struct UsedPrekeys<'a> {
    pub(crate) signed: &'a X25519Key,
    pub(crate) one_time: Option<&'a X25519Key>,
    pub(crate) kem: Option<&'a MlKemKey>,
}

/// A hash of everything both sides must agree on. The header brings suite and prekey ids; keys,
/// addresses and ids follow in a form that reads back in one way only.
pub(crate) fn associated_data(
    header: &HandshakeHeader,
    prekeys: &UsedPrekeys<'_>,
    initiator: &Party,
    responder: &Party,
) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(HandshakeHeader::MAX_LEN + 64 + MlKemKey::LEN + 2 * 256);
    header.write(&mut bytes);
    bytes.put(prekeys.signed.as_bytes());
    if let Some(key) = prekeys.one_time {
        bytes.put(key.as_bytes());
    }
    if let Some(key) = prekeys.kem {
        bytes.put(key.as_bytes());
    }
    for party in [initiator, responder] {
        let address = party.address.as_str().as_bytes();
        const {
            assert!(
                MAX_NAME_LEN + 1 + MAX_SERVER_NAME_LEN <= 255,
                "one byte tells the length"
            )
        };
        bytes.put_u8(address.len() as u8);
        bytes.put(address);
        bytes.put(party.device_id.as_bytes());
        bytes.put(party.account_key.as_bytes());
        bytes.put(party.identity_key.as_bytes());
    }
    sha256(&[LABEL_ASSOCIATED_DATA, &bytes])
}
