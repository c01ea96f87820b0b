//! Whatever a server shows, in whatever order, what is trusted moves forward only.

use proptest::prelude::*;
use sottovoce_crypto::statements::{DeviceManifest, Verified};
use sottovoce_crypto::{AccountKeyPair, Advance, TrustedAccount};

use super::people::{account, alice, device, first, manifest, shown};

/// What a hostile server does next.
#[derive(Clone, Debug)]
enum Show {
    /// The honest chain, at some place.
    Honest(usize),
    /// A manifest under the same key that the owner never published: of this version, with that history.
    Forged {
        version: u64,
        previous: usize,
        device: u8,
    },
    /// The same under another account key.
    OtherKey { version: u64, device: u8 },
    /// The user gives in to whatever other key was shown last.
    Accept,
    /// The app restarts.
    Restart,
}

fn shows() -> impl Strategy<Value = Vec<Show>> {
    let show = prop_oneof![
        4 => (0_usize..8).prop_map(Show::Honest),
        3 => (2_u64..10, 0_usize..8, 20_u8..24)
            .prop_map(|(version, previous, device)| Show::Forged { version, previous, device }),
        2 => (2_u64..6, 30_u8..33).prop_map(|(version, device)| Show::OtherKey { version, device }),
        1 => Just(Show::Accept),
        1 => Just(Show::Restart),
    ];
    prop::collection::vec(show, 1..40)
}

fn chain(account: &AccountKeyPair) -> Vec<Verified<DeviceManifest>> {
    let mut chain = vec![first(account, &alice())];
    for added in 2..9 {
        let next = account
            .next_manifest(chain.last().unwrap(), &[device(added)], &[])
            .unwrap();
        chain.push(next);
    }
    chain
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_lie_moves_the_trusted_state_backwards(shows in shows()) {
        let (ours, other) = (account(1), account(2));
        let chain = chain(&ours);
        let mut trusted = TrustedAccount::trust_on_first_use(shown(&chain[0]));
        // The newest view ever trusted under each of the two keys.
        let mut newest = vec![(ours.public(), trusted.view())];
        let mut refused_key = None;
        for show in shows {
            let before = trusted.clone();
            let manifest = match show {
                Show::Honest(place) => chain[place].clone(),
                Show::Forged { version, previous, device } =>
                    manifest(&ours, &alice(), version, chain[previous].hash(), &[device]),
                Show::OtherKey { version, device } =>
                    manifest(&other, &alice(), version, [version as u8; 32], &[device]),
                Show::Restart => {
                    trusted = TrustedAccount::from_bytes(&trusted.to_bytes()).unwrap();
                    prop_assert_eq!(&trusted, &before);
                    continue;
                }
                Show::Accept => {
                    if let Some(other) = refused_key.take()
                        && trusted.accept_account_key(&other).is_err()
                    {
                        prop_assert_eq!(&trusted, &before);
                    }
                    check(&trusted, &mut newest)?;
                    continue;
                }
            };
            let shown = shown(&manifest);
            match trusted.advance(&shown) {
                Ok(Advance::Same) => prop_assert_eq!(&trusted, &before),
                Ok(Advance::Newer { .. }) => {
                    prop_assert!(trusted.view().version > before.view().version);
                    prop_assert_eq!(trusted.account_key(), before.account_key());
                    if trusted.view().version == before.view().version + 1 {
                        prop_assert_eq!(trusted.manifest().previous, before.view().hash);
                    }
                }
                Err(_) => {
                    prop_assert_eq!(&trusted, &before);
                    refused_key = Some(shown);
                }
            }
            check(&trusted, &mut newest)?;
        }
    }
}

/// Under each key, versions grow, and one version has one hash.
fn check(
    trusted: &TrustedAccount,
    newest: &mut Vec<(
        sottovoce_crypto::statements::AccountKey,
        sottovoce_crypto::ManifestView,
    )>,
) -> Result<(), TestCaseError> {
    let view = trusted.view();
    match newest.iter_mut().find(|(key, _)| key == trusted.account_key()) {
        None => newest.push((*trusted.account_key(), view)),
        Some((_, known)) => {
            prop_assert!(view.version >= known.version);
            if view.version == known.version {
                prop_assert_eq!(view.hash, known.hash);
            }
            *known = view;
        }
    }
    Ok(())
}
