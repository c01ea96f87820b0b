//! Sealed envelopes and attachments: nothing made up opens, everything sealed does, and what decodes has
//! no second form.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Address, DeviceId};
use sottovoce_crypto::{
    AccountKeyPair, AttachmentPointer, EnvelopeSender, IdentityKeyPair, Party, SealedEnvelope,
    open_attachment, seal_attachment, seal_envelope,
};

/// The device that the seeds are sealed to.
struct Recipient {
    identity: IdentityKeyPair,
    party: Party,
}

static RECIPIENT: LazyLock<Recipient> = LazyLock::new(|| {
    let identity = IdentityKeyPair::from_secret_bytes(&[2; 32]).unwrap();
    let party = Party {
        address: Address::parse("bob@two.example").unwrap(),
        device_id: DeviceId::from_bytes([2; 16]),
        account_key: AccountKeyPair::from_secret_bytes(&[3; 32]).unwrap().public(),
        identity_key: identity.public(),
    };
    Recipient { identity, party }
});

/// An envelope from the network: decoded, encoded again, opened; what opens is sealed once more, and must
/// open as the same.
pub fn sealed_envelope(data: &[u8]) {
    let Recipient { identity, party } = &*RECIPIENT;
    let Ok(envelope) = SealedEnvelope::decode(data) else {
        return;
    };
    assert_eq!(envelope.encode(), data);
    let Ok(opened) = envelope.open(identity, party) else {
        return;
    };
    let sender: &EnvelopeSender = opened.sender().claimed();
    let rng = &mut ChaCha20Rng::from_seed([1; 32]);
    let again = seal_envelope(rng, sender, party, opened.message()).unwrap();
    assert_eq!(again.len(), data.len());
    let again = SealedEnvelope::decode(&again).unwrap();
    assert_eq!(again.open(identity, party).as_ref(), Ok(&opened));
}

/// A pointer from a message, read and written again; and the same bytes as an attachment, whole and with
/// a byte of it changed.
pub fn attachment(data: &[u8]) {
    if let Ok(pointer) = AttachmentPointer::from_bytes(data) {
        assert_eq!(&*pointer.to_bytes(), data);
        assert!(pointer.sealed_chunk(pointer.chunk_count()).is_none());
    }
    let (mut sealed, pointer) = seal_attachment(&mut ChaCha20Rng::from_seed([1; 32]), data).unwrap();
    assert_eq!(open_attachment(&pointer, &sealed).unwrap().as_slice(), data);
    assert!(open_attachment(&pointer, data).is_err());
    let position = data
        .iter()
        .fold(data.len(), |sum, byte| (sum * 31 + usize::from(*byte)) % 65_521)
        % sealed.len();
    if let Some(byte) = sealed.get_mut(position) {
        *byte ^= 1;
    }
    assert!(open_attachment(&pointer, &sealed).is_err());
}
