//! Roster entries from outside: one encoding each, whatever they say.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use sottovoce_statements::{
    Account, AccountKey, Address, ChannelId, DeviceId, EntrySigner, Role, RosterChange, RosterEntry, Signed,
};

fn account(name: &str) -> Account {
    let key = SigningKey::from_bytes(&[1; 32]).verifying_key();
    Account {
        address: Address::parse(&format!("{name}@chat.example")).expect("a valid address"),
        account_key: AccountKey::from_slice(key.as_bytes()).expect("a public key"),
    }
}

fn entry(change: RosterChange) -> RosterEntry {
    RosterEntry {
        channel_id: ChannelId::from_bytes([3; 32]),
        height: 9,
        previous: [4; 32],
        signer: EntrySigner {
            account: account("alice"),
            device_id: DeviceId::from_bytes([5; 16]),
            manifest_version: 6,
            manifest_hash: [7; 32],
        },
        change,
    }
}

fn entries() -> Vec<RosterEntry> {
    let bob = account("bob");
    let address = bob.address.clone();
    let role = Role::Admin;
    vec![
        RosterEntry::genesis(entry(RosterChange::Leave).signer, [8; 16]),
        entry(RosterChange::Add(bob)),
        entry(RosterChange::Remove(address.clone())),
        entry(RosterChange::Ban(address.clone())),
        entry(RosterChange::Unban(address.clone())),
        entry(RosterChange::Leave),
        entry(RosterChange::HandOver(address.clone())),
        entry(RosterChange::SetRole { address, role }),
        entry(RosterChange::Confirm),
    ]
}

fn bytes_of(entry: RosterEntry) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[2; 32]);
    let signed = Signed::sign_with(entry, |bytes| key.sign(bytes).to_bytes()).expect("it can be encoded");
    signed.statement_bytes().to_vec()
}

#[test]
fn every_change_comes_back_from_its_bytes() {
    for entry in entries() {
        let bytes = bytes_of(entry.clone());
        let again = Signed::<RosterEntry>::from_parts(&bytes, &[0; 64]).expect("it was just written");
        assert_eq!(*again.claimed(), entry);
    }
}

proptest! {
    #[test]
    fn whatever_parses_as_an_entry_has_one_encoding(
        which in 0..9usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in prop::collection::vec(any::<u8>(), 0..3),
    ) {
        let mut bytes = bytes_of(entries().swap_remove(which));
        for (position, value) in changes {
            let position = position.index(bytes.len());
            bytes[position] = value;
        }
        bytes.extend(tail);
        if let Ok(signed) = Signed::<RosterEntry>::from_parts(&bytes, &[0; 64]) {
            prop_assert_eq!(bytes_of(signed.claimed().clone()), bytes);
        }
    }
}
