//! Channel rosters: entries, snapshots and invitations have one encoding, and a roster that was read serves.

use std::sync::LazyLock;

use sottovoce_crypto::statements::{
    Account, Address, CurrentEntry, DeviceId, DeviceManifest, EntrySigner, HeadStanding, ManifestDevice,
    Roster, RosterChange, RosterEntry, RosterInvitation, Signed, Verified,
};
use sottovoce_crypto::{AccountKeyPair, IdentityKeyPair};

/// The account and the device that the seeds are signed by.
struct Owner {
    identity: IdentityKeyPair,
    manifest: Verified<DeviceManifest>,
    account: Account,
}

static OWNER: LazyLock<Owner> = LazyLock::new(|| {
    let account = AccountKeyPair::from_secret_bytes(&[3; 32]).unwrap();
    let identity = IdentityKeyPair::from_secret_bytes(&[2; 32]).unwrap();
    let address = Address::parse("owner@one.example").unwrap();
    let device = ManifestDevice {
        device_id: DeviceId::from_bytes([2; 16]),
        identity_key: identity.public(),
    };
    let manifest = DeviceManifest {
        address: address.clone(),
        version: 1,
        previous: [0; 32],
        devices: vec![device],
    };
    let manifest = account.sign_manifest(manifest).unwrap();
    Owner {
        identity,
        manifest: manifest.verify(&account.public()).unwrap(),
        account: Account {
            address,
            account_key: account.public(),
        },
    }
});

/// Bytes as an entry, a roster and an invitation; each written again, and a roster put to use.
pub fn roster(data: &[u8]) {
    let signature = [0; 64];
    if let Ok(signed) = Signed::<RosterEntry>::from_parts(data, &signature) {
        let again = Signed::sign_with(signed.claimed().clone(), |_| signature);
        assert!(again.is_ok_and(|again| again.statement_bytes() == data));
        assert!(CurrentEntry::check(signed, &OWNER.manifest).is_err());
    }
    if let Ok(invitation) = RosterInvitation::from_bytes(data) {
        assert_eq!(invitation.to_bytes(), data);
    }
    if let Ok(roster) = Roster::from_bytes(data) {
        assert_eq!(roster.to_bytes(), data);
        put_to_use(roster);
    }
}

/// Whatever the roster, an entry is taken in or changes nothing.
fn put_to_use(mut roster: Roster) {
    let Owner {
        identity,
        manifest,
        account,
    } = &*OWNER;
    assert_eq!(roster.standing(&roster.head()), HeadStanding::Current);
    let before = roster.to_bytes();
    let joined = Roster::from_snapshot(&before, &roster.invitation(), account, account);
    assert!(joined.is_err() || joined.as_ref() == Ok(&roster));

    let stranger = Account {
        address: Address::parse("zoe@one.example").unwrap(),
        account_key: account.account_key,
    };
    let signer = EntrySigner::on_manifest(manifest, DeviceId::from_bytes([2; 16])).unwrap();
    let Ok(entry) = roster.next_entry(RosterChange::Add(stranger.clone()), signer) else {
        return;
    };
    let Ok(signed) = identity.sign_roster_entry(entry) else {
        return;
    };
    let entry = CurrentEntry::check(signed, manifest).unwrap();
    let applied = roster.apply(&entry).unwrap();
    assert_eq!(roster.head(), applied.head);
    assert!(roster.member(&stranger.address).is_some());
    assert_eq!(Roster::from_bytes(&roster.to_bytes()).as_ref(), Ok(&roster));
    let after = roster.to_bytes();
    assert!(roster.apply(&entry).is_err());
    assert_eq!(roster.to_bytes(), after);
}
