//! What is sealed beside sessions: attachments, envelopes, access keys.

use sottovoce_crypto::{
    AccessKey, AttachmentPointer, EnvelopeSender, SealedEnvelope, open_attachment, seal_attachment,
    seal_envelope,
};

use crate::people::Device;
use crate::schedule::{note_attachment, note_envelope};
use crate::script::{Script, spoken};

/// Longer than a chunk.
const CONTENT_LEN: usize = 100 * 700;

/// An attachment of more than one chunk is sealed and opened, whole and damaged, by way of its pointer.
pub(crate) fn attachment(script: &mut Script) {
    let mut content = [0; CONTENT_LEN];
    for (part, seed) in content.chunks_mut(700).zip(0..) {
        part.copy_from_slice(&spoken(seed));
        // Ends and beginnings of chunks are among them.
        script.note("attachment", part);
    }
    let (mut sealed, pointer) = seal_attachment(&mut script.rng, &content).unwrap();
    let drawn = script.drawn();
    if let Some(notes) = &mut script.notes {
        note_attachment(notes, &drawn[0], CONTENT_LEN);
    }
    let stored = script.seal(&pointer.to_bytes());
    let stored = script
        .storage
        .as_ref()
        .unwrap()
        .open(b"context", &stored)
        .unwrap();
    let pointer = AttachmentPointer::from_bytes(&stored).unwrap();
    assert_eq!(open_attachment(&pointer, &sealed).unwrap().as_slice(), content);
    // The first chunk opens, the last does not.
    *sealed.last_mut().unwrap() ^= 1;
    assert!(open_attachment(&pointer, &sealed).is_err());
}

/// An envelope is opened by whom it is for, and by nobody else.
pub(crate) fn envelope(script: &mut Script, alice: &Device, bob: &Device) {
    let sender = EnvelopeSender {
        address: alice.party.address.clone(),
        device_id: alice.party.device_id,
        manifest_version: 1,
        manifest_hash: [9; 32],
    };
    let message = [0x6d; 300];
    let sealed = seal_envelope(&mut script.rng, &sender, &bob.party, &message).unwrap();
    let drawn = script.drawn();
    let bobs = bob.identity_secret();
    if let Some(notes) = &mut script.notes {
        let party = &bob.party;
        let recipient: [&[u8]; 3] = [
            party.identity_key.as_bytes(),
            party.device_id.as_bytes(),
            party.address.as_str().as_bytes(),
        ];
        note_envelope(notes, &drawn[0], &bobs.unwrap(), &recipient.concat());
    }
    let envelope = SealedEnvelope::decode(&sealed).unwrap();
    assert_eq!(
        envelope.open(&bob.identity, &bob.party).unwrap().message(),
        message
    );
    assert!(envelope.open(&alice.identity, &alice.party).is_err());

    let key = AccessKey::generate(&mut script.rng);
    script.drawn();
    let stored = script.seal(&key.to_bytes());
    let stored = script
        .storage
        .as_ref()
        .unwrap()
        .open(b"context", &stored)
        .unwrap();
    let again = AccessKey::from_bytes(&stored).unwrap();
    assert_eq!(
        AccessKey::from_secret_bytes(&again.to_secret_bytes()).hash(),
        key.hash()
    );
}
