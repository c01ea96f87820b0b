//! Sender keys and a true roster, from its genesis on.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

#[path = "roster/people.rs"]
#[allow(dead_code, reason = "the tests of rosters use the rest")]
mod people;

use people::{Person, device_id, found, rng};
use sottovoce_crypto::statements::{Role, Roster, RosterChange};
use sottovoce_crypto::{
    DecryptedSenderKeyMessage, DistributionError, Party, ReceivingSenderKey, RosterStanding, RotationReason,
    SenderKeyContext, SenderKeyDecryptError, SenderKeyMessage, SenderKeySendError, SendingRoster,
    SendingSenderKey,
};

const NOW: u64 = 1_800_000_000_000;

fn context(person: &Person, roster: &Roster) -> SenderKeyContext {
    SenderKeyContext {
        channel_id: roster.channel_id(),
        sender: Party {
            address: person.address.clone(),
            device_id: device_id(0),
            account_key: person.account.public(),
            identity_key: person.devices[0].public(),
        },
    }
}

fn sending(roster: &Roster) -> SendingRoster {
    SendingRoster::new(roster.view(), false)
}

fn open(
    key: &mut ReceivingSenderKey,
    bytes: &[u8],
    roster: &Roster,
) -> Result<DecryptedSenderKeyMessage, SenderKeyDecryptError> {
    key.decrypt(NOW, &SenderKeyMessage::decode(bytes).unwrap(), roster)
}

#[test]
fn a_roster_says_when_a_sender_key_is_due() {
    let rng = &mut rng(1);
    let (alice, bob, carol) = (
        Person::new(rng, "alice"),
        Person::new(rng, "bob"),
        Person::new(rng, "carol"),
    );
    let (mut roster, _) = found(rng, &alice);
    alice.changes(&mut roster, RosterChange::Add(bob.account()));
    let context = context(&alice, &roster);
    let mut key = SendingSenderKey::generate(rng, NOW, &context, roster.head());
    let early = roster.clone();
    let distribution = key.distribution(NOW, &sending(&roster)).unwrap();
    let (mut bobs, standing) = ReceivingSenderKey::accept(&context, &distribution, &early).unwrap();
    assert_eq!(standing, RosterStanding::Agreed);

    // Who comes, or is given a role, takes nothing away from anybody.
    alice.changes(&mut roster, RosterChange::Add(carol.account()));
    let role = RosterChange::SetRole {
        address: bob.address.clone(),
        role: Role::Admin,
    };
    alice.changes(&mut roster, role);
    let message = key.encrypt(NOW, &sending(&roster), b"words").unwrap();
    let opened = open(&mut bobs, &message, &early).unwrap();
    assert_eq!(
        (opened.standing, opened.roster_head),
        (RosterStanding::Ahead, roster.head())
    );
    let mut again = ReceivingSenderKey::accept(&context, &distribution, &roster)
        .unwrap()
        .0;
    assert_eq!(
        open(&mut again, &message, &roster).unwrap().standing,
        RosterStanding::Agreed
    );

    // Who goes does.
    alice.changes(&mut roster, RosterChange::Remove(carol.address.clone()));
    let due = SenderKeySendError::RotationDue(RotationReason::Departure);
    assert_eq!(key.encrypt(NOW, &sending(&roster), b"words"), Err(due));
    let mut key = key.replace(rng, NOW, roster.head());
    assert!(key.encrypt(NOW, &sending(&roster), b"words").is_ok());
}

#[test]
fn members_who_were_shown_different_rosters_find_out() {
    let rng = &mut rng(2);
    let (alice, bob) = (Person::new(rng, "alice"), Person::new(rng, "bob"));
    let (mut roster, _) = found(rng, &alice);
    alice.changes(&mut roster, RosterChange::Add(bob.account()));
    let context = context(&alice, &roster);
    let mut key = SendingSenderKey::generate(rng, NOW, &context, roster.head());
    let distribution = key.distribution(NOW, &sending(&roster)).unwrap();
    let (mut bobs, _) = ReceivingSenderKey::accept(&context, &distribution, &roster).unwrap();

    // The server shows Alice one entry, and Bob another in its place.
    let (mut hers, mut his) = (roster.clone(), roster);
    alice.changes(&mut hers, RosterChange::Ban(people::address("mallory")));
    alice.changes(&mut his, RosterChange::Confirm);
    let message = key.encrypt(NOW, &sending(&hers), b"words").unwrap();
    let Err(SenderKeyDecryptError::Fork(fork)) = open(&mut bobs, &message, &his) else {
        panic!("not a fork");
    };
    assert_eq!((fork.ours, fork.theirs), (his.head(), hers.head()));
    let distribution = key.distribution(NOW, &sending(&hers)).unwrap();
    let refusal = bobs.confirm(&context, &distribution, &his);
    assert_eq!(refusal, Err(DistributionError::Fork(fork)));

    // He sends nothing from then on.
    let known = SendingRoster::new(his.view(), true);
    let mut bobs = SendingSenderKey::generate(rng, NOW, &context, his.head());
    let refusal = bobs.encrypt(NOW, &known, b"words");
    assert_eq!(refusal, Err(SenderKeySendError::RosterForked));
}
