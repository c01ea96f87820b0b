//! What is believed of an account, and what never is.

use sottovoce_crypto::statements::{DeviceBinding, DeviceManifest, Signed, Verified};
use sottovoce_crypto::{
    AccountKeyPair, Advance, AdvanceError, ManifestView, ReportedView, TrustedAccount, VerifiedAccount,
    VerifyAccountError,
};

use super::people::{
    account, alice, binding, bindings, bob, device, device_id, first, identity, manifest, shown, verify, who,
};

fn next(account: &AccountKeyPair, current: &Verified<DeviceManifest>, added: u8) -> Verified<DeviceManifest> {
    account.next_manifest(current, &[device(added)], &[]).unwrap()
}

/// Shows what must not be believed, and sees that nothing changes.
fn refused(trusted: &mut TrustedAccount, shown: &VerifiedAccount) -> AdvanceError {
    let before = trusted.to_bytes();
    let error = trusted.advance(shown).unwrap_err();
    assert_eq!(trusted.to_bytes(), before);
    error
}

#[test]
fn an_account_whose_parts_vouch_for_each_other_is_verified() {
    let account = account(1);
    let manifest = next(&account, &first(&account, &alice()), 2);
    let verified = shown(&manifest);
    assert_eq!(verified.address(), &alice());
    assert_eq!(verified.account_key(), &account.public());
    assert_eq!(verified.view(), ManifestView::of(&manifest));
    assert_eq!(verified.bindings().len(), 2);
}

#[test]
fn neither_an_account_nor_a_device_can_be_misbound() {
    let (ours, other) = (account(1), account(2));
    let manifest = next(&ours, &first(&ours, &alice()), 2);
    let says = |account: &AccountKeyPair, address, id, signer| {
        identity(signer)
            .sign_binding(DeviceBinding {
                account_key: account.public(),
                address,
                device_id: device_id(id),
            })
            .unwrap()
    };
    let good = || binding(&manifest, device_id(1));
    assert!(verify(&manifest, vec![good(), says(&ours, alice(), 2, 2)]).is_ok());
    let wrong: [Vec<Signed<DeviceBinding>>; 9] = [
        vec![good(), says(&other, alice(), 2, 2)], // of another account key
        vec![good(), says(&ours, bob(), 2, 2)],    // of another address
        vec![good(), says(&ours, alice(), 3, 2)],  // of another device
        vec![good(), says(&ours, alice(), 2, 3)],  // signed by another device
        vec![good()],
        vec![],
        vec![good(), good()],
        vec![says(&ours, alice(), 2, 2), good()],
        vec![good(), says(&ours, alice(), 2, 2), says(&ours, alice(), 3, 3)],
    ];
    for bindings in wrong {
        assert_eq!(verify(&manifest, bindings), Err(VerifyAccountError::Bindings));
    }
    for (address, key) in [(bob(), ours.public()), (alice(), other.public())] {
        let signed = manifest.signed().clone();
        assert_eq!(
            VerifiedAccount::verify(&address, &key, signed, bindings(&manifest)),
            Err(VerifyAccountError::Manifest)
        );
    }
}

#[test]
fn a_newer_manifest_is_taken_up_and_tells_what_changed() {
    let account = account(1);
    let one = first(&account, &alice());
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&one));
    assert_eq!(trusted.advance(&shown(&one)), Ok(Advance::Same));

    let two = account
        .next_manifest(&one, &[device(2), device(3)], &[device_id(1)])
        .unwrap();
    let newer = Advance::Newer {
        gone: vec![device(1)],
        new: vec![device(2), device(3)],
    };
    assert_eq!(trusted.advance(&shown(&two)), Ok(newer));
    assert_eq!(trusted.view(), ManifestView::of(&two));
    assert!(trusted.party(device_id(1)).is_none());
    assert_eq!(trusted.party(device_id(2)).unwrap().account_key, account.public());
}

#[test]
fn another_key_under_the_same_id_is_another_device() {
    let account = account(1);
    let one = first(&account, &alice());
    let mut replaced = device(2);
    replaced.device_id = device_id(1);
    let two = account
        .sign_manifest(DeviceManifest {
            version: 2,
            previous: one.hash(),
            devices: vec![replaced],
            address: alice(),
        })
        .unwrap();
    let signed_back = identity(2)
        .sign_binding(DeviceBinding {
            account_key: account.public(),
            address: alice(),
            device_id: device_id(1),
        })
        .unwrap();
    let two = VerifiedAccount::verify(&alice(), &account.public(), two, vec![signed_back]).unwrap();
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&one));
    let newer = Advance::Newer {
        gone: vec![device(1)],
        new: vec![replaced],
    };
    assert_eq!(trusted.advance(&two), Ok(newer));
}

#[test]
fn an_older_manifest_is_a_rollback() {
    let account = account(1);
    let one = first(&account, &alice());
    let two = next(&account, &one, 2);
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&two));
    assert_eq!(refused(&mut trusted, &shown(&one)), AdvanceError::RolledBack);
}

#[test]
fn two_manifests_of_one_version_are_a_conflict() {
    let account = account(1);
    let one = first(&account, &alice());
    let (two, other) = (next(&account, &one, 2), next(&account, &one, 3));
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&two));
    assert_eq!(refused(&mut trusted, &shown(&other)), AdvanceError::Conflict);
    // What follows the other one is of the other chain.
    let three = next(&account, &other, 4);
    assert_eq!(refused(&mut trusted, &shown(&three)), AdvanceError::Conflict);
}

#[test]
fn versions_that_were_never_shown_may_lie_between() {
    let account = account(1);
    let one = first(&account, &alice());
    let three = next(&account, &next(&account, &one, 2), 3);
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&one));
    assert!(matches!(
        trusted.advance(&shown(&three)),
        Ok(Advance::Newer { .. })
    ));
    // The one that was skipped does not come back.
    let two = next(&account, &one, 2);
    assert_eq!(refused(&mut trusted, &shown(&two)), AdvanceError::RolledBack);
}

#[test]
fn another_account_key_stops_until_it_is_accepted() {
    let (old, new) = (account(1), account(2));
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&first(&old, &alice())));
    let other = shown(&manifest(&new, &alice(), 9, [9; 32], &[5]));
    assert_eq!(refused(&mut trusted, &other), AdvanceError::AccountKeyChanged);

    assert_eq!(trusted.accept_account_key(&other), Ok(()));
    assert_eq!(trusted.account_key(), &new.public());
    assert_eq!(trusted.advance(&other), Ok(Advance::Same));
    assert_eq!(
        trusted.accept_account_key(&other),
        Err(AdvanceError::SameAccountKey)
    );
}

#[test]
fn another_address_is_another_account() {
    let account = account(1);
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&first(&account, &alice())));
    let other = shown(&first(&account, &bob()));
    assert_eq!(refused(&mut trusted, &other), AdvanceError::OtherAddress);
    assert_eq!(
        trusted.accept_account_key(&other),
        Err(AdvanceError::OtherAddress)
    );
}

#[test]
fn coming_back_to_a_former_key_brings_back_no_older_list() {
    let (old, new) = (account(1), account(2));
    let one = first(&old, &alice());
    let two = old.next_manifest(&one, &[device(2)], &[device_id(1)]).unwrap();
    let fork = next(&old, &one, 3);
    let mut trusted = TrustedAccount::trust_on_first_use(shown(&two));
    trusted
        .accept_account_key(&shown(&first(&new, &alice())))
        .unwrap();

    for (older, error) in [(&one, AdvanceError::RolledBack), (&fork, AdvanceError::Conflict)] {
        assert_eq!(refused(&mut trusted, &shown(older)), error);
        let before = trusted.to_bytes();
        assert_eq!(trusted.accept_account_key(&shown(older)), Err(error));
        assert_eq!(trusted.to_bytes(), before);
    }
    assert_eq!(
        refused(&mut trusted, &shown(&two)),
        AdvanceError::AccountKeyChanged
    );
    assert_eq!(trusted.accept_account_key(&shown(&two)), Ok(()));
    assert_eq!(trusted.account_key(), &old.public());
}

#[test]
fn a_reported_view_is_judged_against_ours() {
    let account = account(1);
    let one = first(&account, &alice());
    let (two, fork) = (next(&account, &one, 2), next(&account, &one, 3));
    let three = next(&account, &two, 4);
    let trusted = TrustedAccount::trust_on_first_use(shown(&two));
    for (reported, verdict) in [
        (&one, ReportedView::Older),
        (&two, ReportedView::Same),
        (&fork, ReportedView::Conflict),
        (&three, ReportedView::Newer),
    ] {
        assert_eq!(trusted.compare(&ManifestView::of(reported)), verdict);
    }
}

#[test]
fn an_account_known_by_its_view_only_is_trusted_where_it_was_left() {
    let (ours, other) = (account(1), account(2));
    let one = first(&ours, &alice());
    let (two, fork) = (next(&ours, &one, 2), next(&ours, &one, 3));
    let view = ManifestView::of(&two);
    let again = |manifest: &Verified<DeviceManifest>| {
        TrustedAccount::trust_again(&who(&alice(), &ours), &view, shown(manifest))
    };
    assert_eq!(again(&two).unwrap().view(), view);
    assert_eq!(again(&next(&ours, &two, 4)).unwrap().view().version, 3);
    assert_eq!(again(&one), Err(AdvanceError::RolledBack));
    assert_eq!(again(&fork), Err(AdvanceError::Conflict));
    assert_eq!(again(&first(&ours, &bob())), Err(AdvanceError::OtherAddress));
    assert_eq!(
        again(&first(&other, &alice())),
        Err(AdvanceError::AccountKeyChanged)
    );
}
