//! The account layer: what decodes has one form, nothing made up opens, and everything sealed does.

use std::sync::LazyLock;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use sottovoce_crypto::statements::{Account, Address, DeviceId, DeviceManifest, ManifestDevice, Verified};
use sottovoce_crypto::{
    AccountKeyPair, AccountMaterial, BACKUP_HEADER_LEN, BackupCode, BackupOpenError, BackupReader,
    BackupRecord, BackupWriter, IdentityKeyPair, LinkingOffer, PendingLink, RecoveryCode, SafetyNumber,
    TrustedAccount,
};

/// An account with one device, which is about to be linked.
struct World {
    manifest: Verified<DeviceManifest>,
    number: SafetyNumber,
    pending: Vec<u8>,
    recovery_code: RecoveryCode,
    backup_code: BackupCode,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let rng = &mut ChaCha20Rng::from_seed([9; 32]);
    let account = AccountKeyPair::from_secret_bytes(&[1; 32]).unwrap();
    let device = ManifestDevice {
        device_id: DeviceId::from_bytes([2; 16]),
        identity_key: IdentityKeyPair::from_secret_bytes(&[2; 32]).unwrap().public(),
    };
    let who = |address| Account {
        address: Address::parse(address).unwrap(),
        account_key: account.public(),
    };
    let (alice, bob) = (who("alice@one.example"), who("bob@two.example"));
    World {
        manifest: account.first_manifest(alice.address.clone(), device).unwrap(),
        number: SafetyNumber::between(&alice, &bob),
        pending: PendingLink::new(rng, 0, device.device_id, device.identity_key)
            .to_bytes()
            .to_vec(),
        recovery_code: RecoveryCode::generate(rng),
        backup_code: BackupCode::generate(rng),
    }
});

/// Stored state, offers and texts: read as each there is, and written again.
pub fn account(data: &[u8]) {
    if let Ok(trusted) = TrustedAccount::from_bytes(data) {
        assert_eq!(&*trusted.to_bytes(), data);
    }
    if let Ok(pending) = PendingLink::from_bytes(data) {
        assert_eq!(&*pending.to_bytes(), data);
    }
    if let Ok(offer) = LinkingOffer::from_bytes(data) {
        assert_eq!(&*offer.to_bytes(), data);
        assert_eq!(&*LinkingOffer::parse(&offer.to_text()).unwrap().to_bytes(), data);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(code) = RecoveryCode::parse(text) {
            assert_eq!(
                RecoveryCode::parse(&code.to_text()).unwrap().to_text(),
                code.to_text()
            );
            assert!(BackupCode::parse(text).is_err());
        }
        let _ = BackupCode::parse(text);
        let _ = LinkingOffer::parse(text);
    }
    if WORLD.number.compare(data).is_ok() {
        assert_eq!(data.len(), WORLD.number.to_scannable().len());
    }
}

/// The bytes as a grant, a recovery blob and a backup, none of which they are; and as what is inside of
/// them.
pub fn account_seals(data: &[u8]) {
    let world = &*WORLD;
    let pending = PendingLink::from_bytes(&world.pending).unwrap();
    let failed = pending.open(0, data).unwrap_err();
    assert_eq!(&*failed.pending.to_bytes(), &world.pending);

    let rng = &mut ChaCha20Rng::from_seed([2; 32]);
    if let Ok(grant) = failed.pending.offer().seal_grant(rng, &world.manifest, &[], data) {
        assert_eq!(failed.pending.open(0, &grant).unwrap().app_data(), data);
    }

    let account = AccountKeyPair::from_secret_bytes(&[1; 32]).unwrap();
    let material = AccountMaterial::new(account, world.manifest.clone()).unwrap();
    assert!(world.recovery_code.open(material.address(), data).is_err());

    assert!(read(data).is_err());
    let mut backup = Vec::new();
    let mut writer = BackupWriter::new(rng, &world.backup_code, &mut backup);
    writer.account(&material, &mut backup).unwrap();
    let items: Vec<&[u8]> = data
        .split(|byte| *byte == 0)
        .filter(|item| !item.is_empty())
        .collect();
    for item in &items {
        writer.history(item, &mut backup).unwrap();
    }
    writer.finish(&mut backup).unwrap();
    let found = read(&backup).unwrap();
    assert_eq!(found.len(), 1 + items.len());
    for (record, item) in found.iter().skip(1).zip(items) {
        assert!(matches!(record, BackupRecord::History(found) if found.as_slice() == item));
    }
}

fn read(backup: &[u8]) -> Result<Vec<BackupRecord>, BackupOpenError> {
    let (header, rest) = backup
        .split_at_checked(BACKUP_HEADER_LEN)
        .ok_or(BackupOpenError::Refused)?;
    let mut reader = BackupReader::new(&WORLD.backup_code, backup.len() as u64, header)?;
    let mut rest = rest.to_vec();
    let mut rest = rest.as_mut_slice();
    let mut records = Vec::new();
    while let Some(length) = reader.next_sealed_len() {
        let (chunk, after) = rest
            .split_at_mut_checked(length)
            .ok_or(BackupOpenError::Refused)?;
        records.extend(reader.open_next(chunk)?);
        rest = after;
    }
    reader.finish()?;
    Ok(records)
}
