//! The bytes of entries and rosters, written out by hand as the specification lays them down.

use sha2::{Digest, Sha256};
use sottovoce_crypto::statements::{
    Account, Address, ChannelId, DeviceManifest, Role, Roster, RosterChange, RosterEntry, Signed, Statement,
    StatementError,
};

use crate::people::{Channel, Person, found, next, rng};

/// Every kind of change, with the bytes it has in an entry.
fn changes(person: &Person) -> Vec<(RosterChange, Vec<u8>)> {
    let text = b"\x12max.b@chat.example";
    let address = Address::parse("max.b@chat.example").unwrap();
    let account = Account {
        address: address.clone(),
        account_key: person.account.public(),
    };
    let key = person.account.public();
    let bytes = |parts: &[&[u8]]| parts.concat();
    let role = |role| RosterChange::SetRole {
        address: address.clone(),
        role,
    };
    vec![
        (
            RosterChange::Add(account),
            bytes(&[&[2], text, &[1], key.as_bytes()]),
        ),
        (RosterChange::Remove(address.clone()), bytes(&[&[3], text])),
        (RosterChange::Ban(address.clone()), bytes(&[&[4], text])),
        (RosterChange::Unban(address.clone()), bytes(&[&[5], text])),
        (RosterChange::Leave, vec![6]),
        (role(Role::Member), bytes(&[&[7], text, &[1]])),
        (role(Role::Admin), bytes(&[&[7], text, &[2]])),
        (RosterChange::HandOver(address.clone()), bytes(&[&[8], text])),
        (RosterChange::Confirm, vec![9]),
    ]
}

#[test]
fn roster_entries_have_these_bytes() {
    let rng = &mut rng(41);
    let owner = Person::new(rng, "owner");
    let account_key = *owner.account.public().as_bytes();
    let manifest = owner.newest().hash();
    let entry = |channel: &[u8; 32], height: u64, previous: &[u8; 32], change: &[u8]| {
        [
            &b"Sottovoce-v1\x06\x02"[..],
            channel,
            &height.to_be_bytes(),
            previous,
            b"\x12owner@chat.example\x01",
            &account_key,
            &[1; 16],
            &1_u64.to_be_bytes(),
            &manifest,
            change,
        ]
        .concat()
    };
    let genesis = owner.sign(RosterEntry::genesis(owner.signer(), [0xcc; 16]));
    let expected = entry(&[0; 32], 0, &[0; 32], &[&[1][..], &[0xcc; 16]].concat());
    assert_eq!(genesis.statement_bytes(), expected);
    let roster = Roster::found(&owner.check(genesis).unwrap()).unwrap();
    let id = *roster.channel_id().as_bytes();
    for (change, bytes) in changes(&owner) {
        let signed = owner.sign(owner.forge(&roster, change.clone()));
        assert_eq!(signed.statement_bytes(), entry(&id, 1, &id, &bytes));
        let again = Signed::<RosterEntry>::from_parts(signed.statement_bytes(), signed.signature_bytes());
        assert_eq!(again.unwrap().claimed().change, change);
    }
}

#[test]
fn a_roster_has_these_bytes() {
    let rng = &mut rng(42);
    let [owner, admin] = ["owner", "admin"].map(|name| Person::new(rng, name));
    let (mut roster, genesis) = found(rng, &owner);
    let added = owner.changes(&mut roster, RosterChange::Add(admin.account()));
    let address = admin.address.clone();
    let role = Role::Admin;
    owner.changes(&mut roster, RosterChange::SetRole { address, role });

    let left = admin.changes(&mut roster, RosterChange::Ban(crate::people::address("bob")));
    let (owners_key, admins_key) = (owner.account.public(), admin.account.public());
    let (one, three) = (1_u64.to_be_bytes(), 3_u64.to_be_bytes());
    let expected: &[&[u8]] = &[
        &[0x01, 0x0b],
        &genesis.head().hash,
        &three,
        &left.head().hash,
        &[0; 8],
        &genesis.head().hash,
        &added.head().hash,
        &left.previous,
        &[0, 0, 0, 2],
        b"\x12admin@chat.example",
        admins_key.as_bytes(),
        &[2],
        &one,
        b"\x12owner@chat.example",
        owners_key.as_bytes(),
        &[3],
        &one,
        &[0, 0, 0, 1],
        b"\x10bob@chat.example",
    ];
    assert_eq!(roster.to_bytes(), expected.concat());
    let digest = Sha256::digest([b"Sottovoce-v1 roster state", &roster.to_bytes()[..]].concat());
    let expected: &[&[u8]] = &[&[1], &genesis.head().hash, &three, &left.head().hash, &digest];
    assert_eq!(roster.invitation().to_bytes(), expected.concat());
}

#[test]
fn every_flipped_bit_and_every_cut_of_an_entry_is_refused() {
    let channel = Channel::new(43);
    let owner = &channel.owner;
    let mut entries: Vec<_> = changes(owner)
        .into_iter()
        .map(|(change, _)| owner.sign(owner.forge(&channel.roster, change)))
        .collect();
    entries.push(channel.entries[0].signed().clone());
    for signed in entries {
        let (bytes, signature) = (signed.statement_bytes(), signed.signature_bytes());
        assert!(owner.check(signed.clone()).is_ok());
        let believed = |bytes: &[u8], signature: &[u8]| {
            Signed::<RosterEntry>::from_parts(bytes, signature)
                .is_ok_and(|signed| owner.check(signed).is_ok())
        };
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!believed(&changed, signature), "bit {bit}");
        }
        for bit in 0..signature.len() * 8 {
            let mut changed = *signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!believed(bytes, &changed), "bit {bit} of the signature");
        }
        for length in 0..bytes.len() {
            assert!(Signed::<RosterEntry>::from_parts(&bytes[..length], signature).is_err());
        }
        let longer = [bytes, &[0]].concat();
        assert!(Signed::<RosterEntry>::from_parts(&longer, signature).is_err());
        assert!(Signed::<DeviceManifest>::from_parts(bytes, signature).is_err());
    }
}

#[test]
fn an_entry_that_contradicts_itself_is_no_entry() {
    let channel = Channel::new(44);
    let good = channel.owner.forge(&channel.roster, RosterChange::Confirm);
    let genesis = RosterEntry::genesis(channel.owner.signer(), [1; 16]);
    let refused = |entry: RosterEntry| channel.owner.devices[0].sign_roster_entry(entry).unwrap_err();
    let zero = ChannelId::from_bytes([0; 32]);
    let contradictions = [
        RosterEntry {
            height: 0,
            ..good.clone()
        },
        RosterEntry {
            channel_id: zero,
            ..good.clone()
        },
        RosterEntry {
            previous: [0; 32],
            ..good.clone()
        },
        RosterEntry {
            height: 1,
            ..genesis.clone()
        },
        RosterEntry {
            previous: [1; 32],
            ..genesis.clone()
        },
        RosterEntry {
            channel_id: channel.roster.channel_id(),
            ..genesis.clone()
        },
        RosterEntry {
            change: genesis.change.clone(),
            ..good.clone()
        },
        RosterEntry {
            change: RosterChange::Leave,
            ..genesis.clone()
        },
    ];
    for entry in contradictions {
        assert_eq!(refused(entry), StatementError::FieldRange);
    }
    let mut unsigned = good;
    unsigned.signer.manifest_version = 0;
    assert_eq!(refused(unsigned), StatementError::FieldRange);
    let address = channel.member.address.clone();
    let role = Role::Owner;
    let second_owner = next(
        &channel.roster,
        channel.owner.signer(),
        RosterChange::SetRole { address, role },
    );
    assert_eq!(refused(second_owner), StatementError::FieldRange);
    // None of these can be read either: what is read is checked alike, as is the kind of change.
    let signed = channel
        .owner
        .sign(channel.owner.forge(&channel.roster, RosterChange::Confirm));
    let mut bytes = signed.statement_bytes().to_vec();
    let last = bytes.len() - 1;
    for kind in [0, 10, 0xff] {
        bytes[last] = kind;
        let read = Signed::<RosterEntry>::from_parts(&bytes, signed.signature_bytes());
        assert_eq!(read.unwrap_err(), StatementError::FieldRange);
    }
    assert_eq!(RosterEntry::PURPOSE as u8, 6);
}
