//! What must never change: the bytes of the formats, for given keys and a given generator.

use sha2::{Digest, Sha256};
use sottovoce_crypto::{
    AccountMaterial, BackupCode, BackupContact, BackupWriter, PendingLink, RecoveryCode, TrustedAccount,
};

use super::people::{NOW, account, alice, bob, device_id, first, identity, rng, shown};

#[test]
fn the_bytes_of_the_account_layer_do_not_change() {
    let account = account(1);
    let one = first(&account, &alice());

    let pending = PendingLink::new(&mut rng(1), NOW, device_id(2), identity(2).public());
    let two = account
        .next_manifest(&one, &[pending.offer().device()], &[])
        .unwrap();
    let grant = pending
        .offer()
        .seal_grant(&mut rng(2), &two, shown(&one).bindings(), b"app data")
        .unwrap();

    let recovery = RecoveryCode::generate(&mut rng(3));
    let material = AccountMaterial::new(account, two).unwrap();
    let blob = recovery.seal(&mut rng(4), &material);

    let backup_code = BackupCode::generate(&mut rng(5));
    let mut backup = Vec::new();
    let mut writer = BackupWriter::new(&mut rng(6), &backup_code, &mut backup);
    writer.account(&material, &mut backup).unwrap();
    let theirs = super::people::account(2);
    let mut bobs = TrustedAccount::trust_on_first_use(shown(&first(&theirs, &bob())));
    writer
        .contact(&BackupContact::of(&bobs, true), &mut backup)
        .unwrap();
    writer.history(b"history", &mut backup).unwrap();
    writer.finish(&mut backup).unwrap();

    bobs.accept_account_key(&shown(&first(&super::people::account(3), &bob())))
        .unwrap();

    for (what, bytes, digest) in [
        (
            "offer",
            pending.offer().to_bytes().to_vec(),
            "5cae3db51e9676cee3142cbe2ceab230476183f0ffd713a769645b0951d4cbb3",
        ),
        (
            "pending link",
            pending.to_bytes().to_vec(),
            "02b9650242206d675272aa10a46327d10d8288300c9571211d4faa2e015ea9b8",
        ),
        (
            "grant",
            grant,
            "2221ee718556261eef2dbfe3f71d466abf7f7606b6b813f055d10fcc1128507b",
        ),
        (
            "recovery code",
            recovery.to_text().as_bytes().to_vec(),
            "9f9e10d0954f09a91f20c910a2efdaf99363a3a0767208c2c1df777d4669cb79",
        ),
        (
            "blob",
            blob,
            "aab4517ad99313c75d4355802305df6ec4e49dedb2b70e8cedbff4c63e23cd47",
        ),
        (
            "fetch token",
            recovery.fetch_token(&alice()).to_vec(),
            "1e6355d11cc24d97657f2f8aca31546ecaeebd3c2d88f79e091c180ed43a5bd9",
        ),
        (
            "backup code",
            backup_code.to_text().as_bytes().to_vec(),
            "683ae7a65e9b80625c6ec42906030e0b24849485935a95c716266e7f433e222e",
        ),
        (
            "backup",
            backup,
            "4b6967418211b472ff1d4dd5d7b1df55bcc3e51ffac8b90ec1c3bad08ddbd27b",
        ),
        (
            "trusted account",
            bobs.to_bytes().to_vec(),
            "9de980f6830ea007c836f087267e764c2bd57e6fb37109063e93064882684c07",
        ),
    ] {
        assert_eq!(hex::encode(Sha256::digest(&bytes)), digest, "{what}");
    }
}
