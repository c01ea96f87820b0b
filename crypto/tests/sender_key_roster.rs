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
use sottovoce_crypto::statements::{
    ApplyError, CurrentEntry, Role, Roster, RosterChange, RosterEntry, RosterHead, Signed,
};
use sottovoce_crypto::{
    DecryptedSenderKeyMessage, DistributionError, Party, ReceivingSenderKey, RosterClaim, RosterClaims,
    RosterDoubt, RosterStanding, RotationReason, SenderKeyContext, SenderKeyDecryptError,
    SenderKeyDistribution, SenderKeyMessage, SenderKeySendError, SendingRoster, SendingSenderKey, TraceError,
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

fn accept(
    context: &SenderKeyContext,
    distribution: &SenderKeyDistribution,
    roster: &Roster,
) -> Result<(ReceivingSenderKey, RosterStanding), DistributionError> {
    let sender = roster.member(&context.sender.address).unwrap();
    ReceivingSenderKey::accept(context, distribution, sender, roster)
}

fn sending(roster: &Roster) -> SendingRoster {
    SendingRoster::new(roster.view(), RosterDoubt::None)
}

/// What a sender's head comes to for who cannot agree with it.
fn claim(context: &SenderKeyContext, head: RosterHead) -> RosterClaim {
    RosterClaim {
        claimant: context.sender.clone(),
        head,
    }
}

fn signed(entries: &[CurrentEntry]) -> Vec<Signed<RosterEntry>> {
    entries.iter().map(|entry| entry.signed().clone()).collect()
}

/// Asserts that nothing can be sent under a roster with these claims, and that trying changes nothing.
fn stopped(key: &mut SendingSenderKey, roster: &Roster, claims: &RosterClaims, error: SenderKeySendError) {
    let known = SendingRoster::new(roster.view(), claims.doubt(roster));
    let before = key.to_bytes();
    assert_eq!(key.encrypt(NOW, &known, b"words"), Err(error));
    assert_eq!(key.distribution(NOW, &known).unwrap_err(), error);
    assert_eq!(key.to_bytes(), before);
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
    let (mut bobs, standing) = accept(&context, &distribution, &early).unwrap();
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
    let mut again = accept(&context, &distribution, &roster).unwrap().0;
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
    let (mut bobs, _) = accept(&context, &distribution, &roster).unwrap();

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
    let claims = RosterClaims::from_iter([claim(&context, fork.theirs)]);
    let known = SendingRoster::new(his.view(), claims.doubt(&his));
    let mut bobs = SendingSenderKey::generate(rng, NOW, &context, his.head());
    let refusal = bobs.encrypt(NOW, &known, b"words");
    assert_eq!(refusal, Err(SenderKeySendError::RosterForked));
}

#[test]
fn a_removal_that_is_withheld_stops_the_sender() {
    let rng = &mut rng(3);
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|name| Person::new(rng, name));
    let (mut roster, _) = found(rng, &bob);
    bob.changes(&mut roster, RosterChange::Add(alice.account()));
    bob.changes(&mut roster, RosterChange::Add(carol.account()));
    let bobs_context = context(&bob, &roster);
    let mut bobs = SendingSenderKey::generate(rng, NOW, &bobs_context, roster.head());
    let distribution = bobs.distribution(NOW, &sending(&roster)).unwrap();
    let (mut alices_of_bob, _) = accept(&bobs_context, &distribution, &roster).unwrap();
    let alices_context = context(&alice, &roster);
    let mut alices = SendingSenderKey::generate(rng, NOW, &alices_context, roster.head());

    // The server shows Carol's removal to Bob, and not to Alice. Bob writes, under any key of his.
    let mut hers = roster.clone();
    let confirmed = bob.changes(&mut roster, RosterChange::Confirm);
    let message = bobs.encrypt(NOW, &sending(&roster), b"words").unwrap();
    let removal = bob.changes(&mut roster, RosterChange::Remove(carol.address.clone()));
    let opened = open(&mut alices_of_bob, &message, &hers).unwrap();
    assert_eq!(opened.standing, RosterStanding::Ahead);
    let mut claims = RosterClaims::default();
    claims.note(claim(&bobs_context, opened.roster_head));
    let mut next = bobs.replace(rng, NOW, roster.head());
    let distribution = next.distribution(NOW, &sending(&roster)).unwrap();
    let (_, standing) = accept(&bobs_context, &distribution, &hers).unwrap();
    assert_eq!(standing, RosterStanding::Ahead);
    claims.note(claim(&bobs_context, distribution.roster_head()));
    // What is older than a claim that is open takes nothing from it.
    claims.note(claim(&bobs_context, opened.roster_head));

    // Alice does not send until all of it has come, and then not under a key that Carol has.
    stopped(&mut alices, &hers, &claims, SenderKeySendError::RosterBehind);
    hers.apply(&confirmed).unwrap();
    claims.settle(&hers);
    stopped(&mut alices, &hers, &claims, SenderKeySendError::RosterBehind);
    hers.apply(&removal).unwrap();
    claims.settle(&hers);
    assert_eq!(claims, RosterClaims::default());
    let due = SenderKeySendError::RotationDue(RotationReason::Departure);
    stopped(&mut alices, &hers, &claims, due);
    let mut alices = alices.replace(rng, NOW, hers.head());
    assert!(alices.encrypt(NOW, &sending(&hers), b"words").is_ok());
    assert!(next.encrypt(NOW, &sending(&hers), b"words").is_ok());
}

#[test]
fn a_fork_longer_than_anybody_remembers_is_found() {
    let rng = &mut rng(2);
    let [alice, bob, mallory] = ["alice", "bob", "mallory"].map(|name| Person::new(rng, name));
    let (mut roster, _) = found(rng, &mallory);
    mallory.changes(&mut roster, RosterChange::Add(alice.account()));
    mallory.changes(&mut roster, RosterChange::Add(bob.account()));
    // Alice is shown Eve's coming, Bob 257 confirmations instead.
    let (mut hers, mut his) = (roster.clone(), roster);
    let eve = Person::new(rng, "eve");
    mallory.changes(&mut hers, RosterChange::Add(eve.account()));
    let entries: Vec<_> = (0..257)
        .map(|_| mallory.changes(&mut his, RosterChange::Confirm))
        .collect();

    let mut standings = Vec::new();
    let mut noted = Vec::new();
    for (from, to, whose, who) in [(&hers, &his, &alice, &bob), (&his, &hers, &bob, &alice)] {
        let theirs = context(whose, from);
        let mut key = SendingSenderKey::generate(rng, NOW, &theirs, from.head());
        let distribution = key.distribution(NOW, &sending(from)).unwrap();
        let (mut held, standing) = accept(&theirs, &distribution, to).unwrap();
        let message = key.encrypt(NOW, &sending(from), b"words").unwrap();
        let opened = open(&mut held, &message, to).unwrap();
        assert_eq!(opened.standing, standing);
        standings.push(standing);
        let claims = RosterClaims::from_iter([claim(&theirs, opened.roster_head)]);
        let mut ours = SendingSenderKey::generate(rng, NOW, &context(who, to), to.head());
        stopped(&mut ours, to, &claims, SenderKeySendError::RosterBehind);
        noted.push((claims, ours));
    }
    assert_eq!(standings, [RosterStanding::Forgotten, RosterStanding::Ahead]);

    // Bob traces what Alice named to what he remembers: it is another chain's.
    let (claims, _) = &noted[0];
    let traced = claims.iter().next().unwrap().trace(&his, &signed(&entries[..2]));
    let Err(TraceError::Fork(fork)) = traced else {
        panic!("not a fork");
    };
    assert_eq!((fork.ours, fork.theirs), (entries[0].head(), hers.head()));
    // Alice asks for the entries up to what Bob named: the first of them is another than hers.
    assert!(matches!(hers.apply(&entries[0]), Err(ApplyError::Fork { .. })));
    // Now that it is shown, no claim that ends makes them send again.
    for ((_, mut ours), roster) in noted.into_iter().zip([&his, &hers]) {
        let known = SendingRoster::new(roster.view(), RosterDoubt::Forked);
        let refusal = ours.encrypt(NOW, &known, b"words");
        assert_eq!(refusal, Err(SenderKeySendError::RosterForked));
    }
}

#[test]
fn a_claim_too_old_to_tell_is_traced_by_hashes() {
    let rng = &mut rng(4);
    let [alice, bob] = ["alice", "bob"].map(|name| Person::new(rng, name));
    let (mut roster, genesis) = found(rng, &alice);
    let mut entries = vec![genesis];
    entries.push(alice.changes(&mut roster, RosterChange::Add(bob.account())));
    for _ in 0..258 {
        entries.push(alice.changes(&mut roster, RosterChange::Confirm));
    }
    let second = entries[2].head();
    let entries = signed(&entries);
    let bobs = context(&bob, &roster);
    let old = claim(&bobs, second);
    let mut claims = RosterClaims::from_iter([old.clone()]);
    claims.settle(&roster);
    assert_eq!(claims.doubt(&roster), RosterDoubt::Behind, "nobody can tell yet");
    assert_eq!(
        old.trace(&roster, &entries[2..8]),
        Ok(()),
        "up to one that is known"
    );
    assert_eq!(old.trace(&roster, &entries[2..]), Ok(()), "or on to the head");
    let unlinked = Err(TraceError::Unlinked);
    assert_eq!(old.trace(&roster, &[]), unlinked);
    assert_eq!(old.trace(&roster, &entries[2..4]), unlinked, "too few");
    assert_eq!(old.trace(&roster, &entries[1..8]), unlinked, "of another height");
    let with_a_gap = [&entries[2..4], &entries[5..8]].concat();
    assert_eq!(old.trace(&roster, &with_a_gap), unlinked);
    let turned: Vec<_> = entries[2..8].iter().rev().cloned().collect();
    assert_eq!(old.trace(&roster, &turned), unlinked);
    let other = RosterHead {
        height: 2,
        hash: [0xee; 32],
    };
    let traced = claim(&bobs, other).trace(&roster, &entries[2..8]);
    assert!(matches!(traced, Err(TraceError::Fork(fork)) if fork.ours == second && fork.theirs == other));
    claims.withdraw(&bobs.sender);
    assert_eq!(claims.doubt(&roster), RosterDoubt::None);
}

#[test]
fn a_claim_without_evidence_ends_by_name() {
    let rng = &mut rng(5);
    let [alice, bob, mallory] = ["alice", "bob", "mallory"].map(|name| Person::new(rng, name));
    let (mut roster, _) = found(rng, &alice);
    alice.changes(&mut roster, RosterChange::Add(bob.account()));
    alice.changes(&mut roster, RosterChange::Add(mallory.account()));
    let alices_context = context(&alice, &roster);
    let mut alices = SendingSenderKey::generate(rng, NOW, &alices_context, roster.head());
    let mallorys = context(&mallory, &roster);
    for (height, error) in [
        (2, SenderKeySendError::RosterForked),
        (u64::MAX, SenderKeySendError::RosterBehind),
    ] {
        let hash = [0xee; 32];
        let mut claims = RosterClaims::from_iter([claim(&mallorys, RosterHead { height, hash })]);
        stopped(&mut alices, &roster, &claims, error);
        assert_eq!(claims.iter().next().unwrap().claimant, mallorys.sender);

        // Mallory has no entries to show for it.
        let mut withdrawn = claims.clone();
        withdrawn.withdraw(&context(&bob, &roster).sender);
        assert_eq!(withdrawn, claims, "that is Mallory's, and not Bob's");
        withdrawn.withdraw(&mallorys.sender);
        let known = SendingRoster::new(roster.view(), withdrawn.doubt(&roster));
        assert!(alices.encrypt(NOW, &known, b"words").is_ok());

        // Or goes, which no claim of anybody's keeps from being written.
        let mut after = roster.clone();
        alice.changes(&mut after, RosterChange::Remove(mallory.address.clone()));
        assert_eq!(claims.doubt(&after), RosterDoubt::None);
        claims.settle(&after);
        assert_eq!(claims, RosterClaims::default());
    }
}

#[test]
fn only_the_account_that_the_roster_has_takes_part() {
    let rng = &mut rng(6);
    let [alice, bob, bobs_thief] = ["alice", "bob", "bob"].map(|name| Person::new(rng, name));
    let (mut roster, _) = found(rng, &alice);
    alice.changes(&mut roster, RosterChange::Add(bob.account()));
    // Another account under Bob's address, with a manifest of its own.
    let (honest, false_one) = (context(&bob, &roster), context(&bobs_thief, &roster));
    assert!(honest.sender.is_member_of(&roster));
    assert!(!false_one.sender.is_member_of(&roster), "is given no key");
    let key = SendingSenderKey::generate(rng, NOW, &false_one, roster.head());
    let distribution = key.distribution(NOW, &sending(&roster)).unwrap();
    let refusal = accept(&false_one, &distribution, &roster).unwrap_err();
    assert_eq!(refusal, DistributionError::OtherAccount);
    let key = SendingSenderKey::generate(rng, NOW, &honest, roster.head());
    let distribution = key.distribution(NOW, &sending(&roster)).unwrap();
    assert!(accept(&honest, &distribution, &roster).is_ok());
    alice.changes(&mut roster, RosterChange::Remove(bob.address.clone()));
    assert!(!honest.sender.is_member_of(&roster), "nor who left");
}
