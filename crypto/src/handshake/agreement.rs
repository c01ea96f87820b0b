//! Both sides of the key agreement.

use rand_core::CryptoRng;

use crate::error::HandshakeError;
use crate::handshake::associated_data::{UsedPrekeys, associated_data};
use crate::handshake::header::HandshakeKem;
use crate::handshake::secrets::HandshakeSecrets;
use crate::handshake::{HandshakeHeader, Ours, Party, Theirs};
use crate::keys::{IdentityKeyPair, KemPrekeyPair, OneTimePrekeyPair};
use crate::primitives::dh::{X25519KeyPair, identity_public};
use crate::primitives::kem::encapsulate;
use crate::ratchet::RootKey;

/// What a handshake yields. Only a message that authenticates under it shows that the other side
/// reached the same.
pub(crate) struct Agreement {
    pub(crate) header: HandshakeHeader,
    pub(crate) root_key: RootKey,
    pub(crate) associated_data: [u8; 32],
}

impl Agreement {
    /// The initiator's side (X3DH section 3.3, PQXDH section 3.3).
    pub(crate) fn initiate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        prekeys: &Theirs<'_>,
    ) -> Result<Self, HandshakeError> {
        check_parties(identity, us, them)?;
        check_signers(them, prekeys)?;
        let signed_prekey = prekeys.signed_prekey;

        let ephemeral = X25519KeyPair::generate(rng);
        let their_identity = identity_public(&them.identity_key).ok_or(HandshakeError::Refused)?;
        let dh1 = identity.x25519_secret().diffie_hellman(&signed_prekey.key);
        let dh2 = ephemeral.secret().diffie_hellman(&their_identity);
        let dh3 = ephemeral.secret().diffie_hellman(&signed_prekey.key);
        let mut secrets = HandshakeSecrets::new();
        for shared in [dh1, dh2, dh3] {
            secrets = secrets.append(shared.ok_or(HandshakeError::Refused)?.as_bytes());
        }
        if let Some(one_time) = &prekeys.one_time_prekey {
            let dh4 = ephemeral.secret().diffie_hellman(&one_time.key);
            secrets = secrets.append(dh4.ok_or(HandshakeError::Refused)?.as_bytes());
        }
        let mut kem = None;
        if let Some(prekey) = prekeys.kem_prekey {
            let (ciphertext, shared) = encapsulate(rng, &prekey.key);
            secrets = secrets.append(shared.as_bytes());
            kem = Some(HandshakeKem {
                prekey_id: prekey.id,
                ciphertext,
            });
        }

        let header = HandshakeHeader {
            signed_prekey_id: signed_prekey.id,
            one_time_prekey_id: prekeys.one_time_prekey.map(|prekey| prekey.id),
            ephemeral_key: *ephemeral.public(),
            kem,
        };
        let used = UsedPrekeys {
            signed: &signed_prekey.key,
            one_time: prekeys.one_time_prekey.as_ref().map(|prekey| &prekey.key),
            kem: prekeys.kem_prekey.map(|prekey| &prekey.key),
        };
        Ok(Self {
            root_key: secrets.into_root_key(header.suite()),
            associated_data: associated_data(&header, &used, us, them),
            header,
        })
    }

    /// The responder's side (X3DH section 3.4, PQXDH section 3.4).
    pub(crate) fn accept(
        identity: &IdentityKeyPair,
        us: &Party,
        them: &Party,
        prekeys: Ours<'_>,
        header: &HandshakeHeader,
    ) -> Result<Self, HandshakeError> {
        check_parties(identity, us, them)?;
        check_named(us, prekeys, header)?;

        let their_identity = identity_public(&them.identity_key).ok_or(HandshakeError::Refused)?;
        let signed = prekeys.signed_prekey.pair();
        let dh1 = signed.secret().diffie_hellman(&their_identity);
        let dh2 = identity.x25519_secret().diffie_hellman(&header.ephemeral_key);
        let dh3 = signed.secret().diffie_hellman(&header.ephemeral_key);
        let mut secrets = HandshakeSecrets::new();
        for shared in [dh1, dh2, dh3] {
            secrets = secrets.append(shared.ok_or(HandshakeError::Refused)?.as_bytes());
        }
        if let Some(one_time) = prekeys.one_time_prekey {
            let dh4 = one_time.pair().secret().diffie_hellman(&header.ephemeral_key);
            secrets = secrets.append(dh4.ok_or(HandshakeError::Refused)?.as_bytes());
        }
        if let (Some(prekey), Some(kem)) = (prekeys.kem_prekey, &header.kem) {
            let shared = prekey.pair().decapsulate(&kem.ciphertext);
            secrets = secrets.append(shared.as_bytes());
        }

        let used = UsedPrekeys {
            signed: signed.public(),
            one_time: prekeys.one_time_prekey.map(|prekey| prekey.pair().public()),
            kem: prekeys.kem_prekey.map(|prekey| prekey.pair().public()),
        };
        Ok(Self {
            root_key: secrets.into_root_key(header.suite()),
            associated_data: associated_data(header, &used, them, us),
            header: header.clone(),
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

/// `Verified` says that some identity key signed a prekey; it must have been this peer's.
fn check_signers(them: &Party, prekeys: &Theirs<'_>) -> Result<(), HandshakeError> {
    let signed = prekeys.signed_prekey;
    let signed_is_theirs = signed.device_id == them.device_id && *signed.signer() == them.identity_key;
    let kem_is_theirs = prekeys
        .kem_prekey
        .is_none_or(|kem| kem.device_id == them.device_id && *kem.signer() == them.identity_key);
    if signed_is_theirs && kem_is_theirs {
        Ok(())
    } else {
        Err(HandshakeError::NotTheirPrekey)
    }
}

/// The prekeys passed in must be ours and the very ones the header names: no more, no fewer.
fn check_named(us: &Party, prekeys: Ours<'_>, header: &HandshakeHeader) -> Result<(), HandshakeError> {
    let signed = prekeys.signed_prekey;
    let named = signed.id() == header.signed_prekey_id
        && signed.statement().claimed().device_id == us.device_id
        && prekeys.one_time_prekey.map(OneTimePrekeyPair::id) == header.one_time_prekey_id
        && prekeys.kem_prekey.map(KemPrekeyPair::id) == header.kem.as_ref().map(|kem| kem.prekey_id)
        && prekeys
            .kem_prekey
            .is_none_or(|kem| kem.statement().claimed().device_id == us.device_id);
    if named {
        Ok(())
    } else {
        Err(HandshakeError::OtherPrekeys)
    }
}
