//! The account layer: recovery, backup, linking, and the codes that somebody types.

use sottovoce_crypto::statements::{Address, DeviceId, ManifestDevice};
use sottovoce_crypto::{
    AccountKeyPair, AccountMaterial, BACKUP_HEADER_LEN, BackupCode, BackupReader, BackupRecord, BackupWriter,
    IdentityKeyPair, LinkingOffer, PendingLink, RecoveryCode,
};

use crate::schedule::note_shared;
use crate::script::{Script, spoken};

/// Pieces of history, of 700 bytes each: more than two chunks.
const HISTORY: u8 = 250;

/// The account goes through a recovery blob and a backup, and a device is linked to it.
pub(crate) fn account(script: &mut Script) {
    let account = AccountKeyPair::generate(&mut script.rng);
    let identity = IdentityKeyPair::generate(&mut script.rng);
    script.drawn();
    let address = Address::parse("alice@one.example").unwrap();
    let device = ManifestDevice {
        device_id: DeviceId::from_bytes([1; 16]),
        identity_key: identity.public(),
    };
    let manifest = account.first_manifest(address.clone(), device).unwrap();
    let material = AccountMaterial::new(account, manifest.clone()).unwrap();

    let material = Box::new(recovered(script, &address, &material));
    backed_up(script, &material);

    let pending = PendingLink::new(
        &mut script.rng,
        script.now_ms,
        device.device_id,
        device.identity_key,
    );
    let asking = script.drawn();
    let shown = pending.offer().to_text();
    script.note("offer", shown.as_bytes());
    let offer = LinkingOffer::parse(&shown).unwrap();
    let stored = script.seal(&pending.to_bytes());
    let storage = script.storage.as_ref().unwrap();
    let pending = PendingLink::from_bytes(&storage.open(b"context", &stored).unwrap()).unwrap();
    let words = script.words();
    let grant = offer.seal_grant(&mut script.rng, &manifest, &[], &words).unwrap();
    let granting = script.drawn();
    if let Some(notes) = &mut script.notes {
        note_shared(notes, &asking[0], &granting[0]);
    }
    let mut damaged = grant.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let pending = pending.open(script.now_ms, &damaged).unwrap_err().pending;
    let granted = pending.open(script.now_ms, &grant).unwrap();
    assert_eq!(granted.app_data(), words);
}

fn recovered(script: &mut Script, address: &Address, material: &AccountMaterial) -> AccountMaterial {
    let code = RecoveryCode::generate(&mut script.rng);
    note_code(script, code.to_text().as_bytes());
    let code = RecoveryCode::parse(&code.to_text()).unwrap();
    let mut blob = code.seal(&mut script.public_rng, material);
    let again = code.open(address, &blob).unwrap();
    let token = code.fetch_token(address);
    script.note("fetch token", token.as_slice());
    *blob.last_mut().unwrap() ^= 1;
    assert!(code.open(address, &blob).is_err());
    again
}

fn backed_up(script: &mut Script, material: &AccountMaterial) {
    let code = BackupCode::generate(&mut script.rng);
    note_code(script, code.to_text().as_bytes());
    let code = BackupCode::parse(&code.to_text()).unwrap();
    let mut backup = Vec::new();
    let mut writer = BackupWriter::new(&mut script.public_rng, &code, &mut backup);
    writer.account(material, &mut backup).unwrap();
    for seed in 0..HISTORY {
        script.note("history", &spoken(seed));
        writer.history(&spoken(seed), &mut backup).unwrap();
    }
    writer.finish(&mut backup).unwrap();

    let (header, mut rest) = backup.split_at(BACKUP_HEADER_LEN);
    let mut reader = BackupReader::new(&code, backup.len() as u64, header).unwrap();
    let mut records = Vec::new();
    while let Some(length) = reader.next_sealed_len() {
        // The reader erases what it opened.
        let mut chunk = rest[..length].to_vec();
        rest = &rest[length..];
        records.extend(reader.open_next(&mut chunk).unwrap());
    }
    reader.finish().unwrap();
    let history = records.iter().filter_map(|record| match record {
        BackupRecord::History(item) => Some(item),
        _ => None,
    });
    assert!(
        history
            .zip(0..HISTORY)
            .all(|(item, seed)| item.as_slice() == spoken(seed))
    );
    assert_eq!(records.len(), usize::from(HISTORY) + 1);
}

/// A code, as drawn and as text, with and without its groups.
fn note_code(script: &mut Script, text: &[u8]) {
    for drawn in script.drawn() {
        script.note("code", &drawn);
        let plain: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
        script.note("code, as text", text);
        script.note("code, as text", &plain);
    }
}
