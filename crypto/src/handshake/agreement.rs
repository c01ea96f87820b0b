//! Both sides of the key agreement, and the associated data that ties it to its parties.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::{MAX_NAME_LEN, MAX_SERVER_NAME_LEN, X25519Key};

use crate::codec::Write;
use crate::error::HandshakeError;
use crate::handshake::secrets::HandshakeSecrets;
use crate::handshake::{HandshakeHeader, Party, PrekeyBundle};
use crate::keys::{IdentityKeyPair, OneTimePrekeyPair, SignedPrekeyPair};
use crate::primitives::dh::{X25519KeyPair, identity_public};
use crate::primitives::kdf::sha256;
use crate::ratchet::RootKey;
use crate::suite::{LABEL_ASSOCIATED_DATA, Suite};

/// What a handshake yields. Only a message that authenticates under it shows that the other side
/// reached the same.
pub(crate) struct Agreement {
    pub(crate) header: HandshakeHeader,
    pub(crate) root_key: RootKey,
    pub(crate) associated_data: [u8; 32],
}

impl Agreement {
    /// The initiator's side (X3DH section 3.3).
    pub(crate) fn initiate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        bundle: &PrekeyBundle,
    ) -> Result<Self, HandshakeError> {
        check_parties(identity, us, them)?;
        let signed_prekey = &bundle.signed_prekey;
        // `Verified` says that some identity key signed it; it must have been this peer's.
        let theirs = signed_prekey.device_id == them.device_id
            && signed_prekey.signed().clone().verify(&them.identity_key).is_ok();
        if !theirs {
            return Err(HandshakeError::NotTheirPrekey);
        }

        let ephemeral = X25519KeyPair::generate(rng);
        let their_identity = identity_public(&them.identity_key).ok_or(HandshakeError::Refused)?;
        let dh1 = identity.x25519_secret().diffie_hellman(&signed_prekey.key);
        let dh2 = ephemeral.secret().diffie_hellman(&their_identity);
        let dh3 = ephemeral.secret().diffie_hellman(&signed_prekey.key);
        let mut secrets = HandshakeSecrets::new();
        for shared in [dh1, dh2, dh3] {
            secrets = secrets.append(&shared.ok_or(HandshakeError::Refused)?);
        }
        if let Some(one_time) = &bundle.one_time_prekey {
            let dh4 = ephemeral.secret().diffie_hellman(&one_time.key);
            secrets = secrets.append(&dh4.ok_or(HandshakeError::Refused)?);
        }

        let header = HandshakeHeader {
            suite: Suite::X3dh,
            signed_prekey_id: signed_prekey.id,
            one_time_prekey_id: bundle.one_time_prekey.map(|prekey| prekey.id),
            ephemeral_key: *ephemeral.public(),
        };
        let one_time_key = bundle.one_time_prekey.map(|prekey| prekey.key);
        Ok(Self {
            header,
            root_key: secrets.into_root_key(header.suite),
            associated_data: associated_data(&header, &signed_prekey.key, one_time_key.as_ref(), us, them),
        })
    }

    /// The responder's side (X3DH section 3.4).
    pub(crate) fn accept(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        signed_prekey: &SignedPrekeyPair,
        one_time_prekey: Option<&OneTimePrekeyPair>,
        header: &HandshakeHeader,
    ) -> Result<Self, HandshakeError> {
        check_parties(identity, us, them)?;
        let named = signed_prekey.id() == header.signed_prekey_id
            && signed_prekey.statement().claimed().device_id == us.device_id
            && one_time_prekey.map(OneTimePrekeyPair::id) == header.one_time_prekey_id;
        if !named {
            return Err(HandshakeError::OtherPrekeys);
        }

        let their_identity = identity_public(&them.identity_key).ok_or(HandshakeError::Refused)?;
        let prekey = signed_prekey.pair();
        let dh1 = prekey.secret().diffie_hellman(&their_identity);
        let dh2 = identity.x25519_secret().diffie_hellman(&header.ephemeral_key);
        let dh3 = prekey.secret().diffie_hellman(&header.ephemeral_key);
        let mut secrets = HandshakeSecrets::new();
        for shared in [dh1, dh2, dh3] {
            secrets = secrets.append(&shared.ok_or(HandshakeError::Refused)?);
        }
        if let Some(one_time) = one_time_prekey {
            let dh4 = one_time.pair().secret().diffie_hellman(&header.ephemeral_key);
            secrets = secrets.append(&dh4.ok_or(HandshakeError::Refused)?);
        }

        let one_time_key = one_time_prekey.map(|prekey| prekey.pair().public());
        Ok(Self {
            header: *header,
            root_key: secrets.into_root_key(header.suite),
            associated_data: associated_data(header, prekey.public(), one_time_key, them, us),
        })
    }
}

fn check_parties(identity: &IdentityKeyPair, us: &Party, them: &Party) -> Result<(), HandshakeError> {
    if identity.public() != us.identity_key {
        return Err(HandshakeError::NotOurKey);
    }
    let same_key = us.identity_key == them.identity_key;
    let same_device = us.address == them.address && us.device_id == them.device_id;
    if same_key || same_device {
        return Err(HandshakeError::SameDevice);
    }
    Ok(())
}

/// The session's associated data: a hash of everything both sides must agree on. The header brings suite
/// and prekey ids; keys, addresses and ids follow in a form that reads back in one way only.
fn associated_data(
    header: &HandshakeHeader,
    signed_prekey: &X25519Key,
    one_time_prekey: Option<&X25519Key>,
    initiator: &Party,
    responder: &Party,
) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(512);
    header.write(&mut bytes);
    bytes.put(signed_prekey.as_bytes());
    // Its presence is told by the header.
    if let Some(key) = one_time_prekey {
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
