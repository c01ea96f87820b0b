//! Our own manifests.

use sottovoce_crypto::NextManifestError;
use sottovoce_crypto::statements::{MAX_DEVICES, ManifestDevice};

use super::people::{account, alice, device, device_id, first, manifest};

#[test]
fn a_manifest_follows_the_one_before() {
    let account = account(1);
    let one = first(&account, &alice());
    assert_eq!((one.version, one.previous), (1, [0; 32]));
    // In the order of their ids, whatever order they are added in.
    let two = account.next_manifest(&one, &[device(9), device(3)], &[]).unwrap();
    assert_eq!((two.version, two.previous), (2, one.hash()));
    assert_eq!(two.devices, [device(1), device(3), device(9)]);
    let three = account
        .next_manifest(&two, &[device(4)], &[device_id(1), device_id(9)])
        .unwrap();
    assert_eq!((three.version, three.previous), (3, two.hash()));
    assert_eq!(three.devices, [device(3), device(4)]);
}

#[test]
fn a_change_that_makes_no_manifest_is_refused() {
    let ours = account(1);
    let one = first(&ours, &alice());
    let with_id = |id| ManifestDevice {
        device_id: device_id(id),
        ..device(1)
    };
    let with_key = ManifestDevice {
        device_id: device_id(1),
        ..device(7)
    };
    for (added, revoked, error) in [
        (vec![], vec![device_id(2)], NextManifestError::NoSuchDevice),
        (vec![], vec![device_id(1)], NextManifestError::NoDeviceLeft),
        (vec![device(1)], vec![], NextManifestError::DeviceAlreadyThere),
        (vec![with_id(2)], vec![], NextManifestError::DeviceAlreadyThere),
        (
            vec![with_key],
            vec![device_id(1)],
            NextManifestError::DeviceAlreadyThere,
        ),
        (
            vec![device(2), device(2)],
            vec![],
            NextManifestError::DeviceAlreadyThere,
        ),
    ] {
        assert_eq!(ours.next_manifest(&one, &added, &revoked).unwrap_err(), error);
    }
    let all: Vec<u8> = (1..=MAX_DEVICES as u8).collect();
    let full = manifest(&ours, &alice(), 2, one.hash(), &all);
    assert_eq!(
        ours.next_manifest(&full, &[device(99)], &[]).unwrap_err(),
        NextManifestError::TooManyDevices
    );
    assert!(ours.next_manifest(&full, &[device(99)], &[device_id(3)]).is_ok());
    let last = manifest(&ours, &alice(), u64::MAX, [1; 32], &[1]);
    assert_eq!(
        ours.next_manifest(&last, &[], &[]).unwrap_err(),
        NextManifestError::Refused
    );
}

#[test]
fn nobody_continues_the_manifests_of_another_key() {
    let one = first(&account(1), &alice());
    assert_eq!(
        account(2).next_manifest(&one, &[device(2)], &[]).unwrap_err(),
        NextManifestError::NotOurs
    );
}
