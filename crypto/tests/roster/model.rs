//! Random entries, judged by the roster and by a model of its rules that is as simple as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use sottovoce_crypto::statements::{Role, Roster, RosterChange, RosterEntry};

use crate::people::{Person, found, rng};

const PEOPLE: usize = 6;

static CAST: LazyLock<Vec<Person>> = LazyLock::new(|| {
    let rng = &mut rng(51);
    (0..PEOPLE)
        .map(|number| Person::new(rng, &format!("person{number}")))
        .collect()
});

#[derive(Clone, Copy, Debug)]
enum Deed {
    Add,
    Remove,
    Ban,
    Unban,
    Leave,
    Promote,
    Demote,
    HandOver,
    Confirm,
}

/// What may be wrong with an entry besides what it wants.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    Height,
    Previous,
    Channel,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    signer: usize,
    target: usize,
    deed: Deed,
    flaw: Flaw,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    use Deed::{Add, Ban, Confirm, Demote, HandOver, Leave, Promote, Remove, Unban};
    let deeds = vec![
        Add, Add, Add, Remove, Ban, Unban, Leave, Promote, Promote, Demote, HandOver, Confirm,
    ];
    let flaws = prop_oneof![
        9 => Just(Flaw::None),
        1 => prop::sample::select(vec![Flaw::Height, Flaw::Previous, Flaw::Channel]),
    ];
    // Half of all attempts come from the first two people, so that much of it is allowed.
    let signers = prop_oneof![0..2_usize, 0..PEOPLE];
    let attempt = (signers, 0..PEOPLE, prop::sample::select(deeds), flaws);
    let attempt = attempt.prop_map(|(signer, target, deed, flaw)| Attempt {
        signer,
        target,
        deed,
        flaw,
    });
    prop::collection::vec(attempt, 1..60)
}

/// The rules as a table of ranks: 3 the owner, 2 an admin, 1 a member, 0 nobody.
#[derive(Clone, Default)]
struct Model {
    ranks: [u8; PEOPLE],
    banned: BTreeSet<usize>,
    height: u64,
    departed_at: u64,
}

impl Model {
    fn allows(&self, attempt: &Attempt) -> bool {
        let (signer, target) = (self.ranks[attempt.signer], self.ranks[attempt.target]);
        let banned = self.banned.contains(&attempt.target);
        signer > 0
            && attempt.flaw == Flaw::None
            && match attempt.deed {
                Deed::Add => signer >= 2 && target == 0 && !banned,
                Deed::Remove => signer >= 2 && target > 0 && target < signer,
                Deed::Ban => signer >= 2 && target < signer && !banned,
                Deed::Unban => signer >= 2 && banned,
                Deed::Leave => signer < 3,
                Deed::Promote => signer == 3 && target == 1,
                Deed::Demote => signer == 3 && target == 2,
                Deed::HandOver => signer == 3 && (target == 1 || target == 2),
                Deed::Confirm => true,
            }
    }

    fn make(&mut self, attempt: &Attempt) {
        let Attempt { signer, target, .. } = *attempt;
        let members = self.ranks.iter().filter(|rank| **rank > 0).count();
        match attempt.deed {
            Deed::Add | Deed::Demote => self.ranks[target] = 1,
            Deed::Remove => self.ranks[target] = 0,
            Deed::Ban => {
                self.ranks[target] = 0;
                self.banned.insert(target);
            }
            Deed::Unban => {
                self.banned.remove(&target);
            }
            Deed::Leave => self.ranks[signer] = 0,
            Deed::Promote => self.ranks[target] = 2,
            Deed::HandOver => {
                self.ranks[signer] = 2;
                self.ranks[target] = 3;
            }
            Deed::Confirm => {}
        }
        self.height += 1;
        if self.ranks.iter().filter(|rank| **rank > 0).count() < members {
            self.departed_at = self.height;
        }
    }

    fn agrees_with(&self, roster: &Roster) {
        let ranks: BTreeMap<_, _> = roster
            .members()
            .map(|(address, member)| (address, member.role as u8))
            .collect();
        for (person, rank) in CAST.iter().zip(self.ranks) {
            assert_eq!(ranks.get(&person.address).copied().unwrap_or(0), rank);
        }
        for (number, person) in CAST.iter().enumerate() {
            assert_eq!(roster.is_banned(&person.address), self.banned.contains(&number));
        }
        assert_eq!(
            (roster.head().height, roster.departed_at()),
            (self.height, self.departed_at)
        );
        assert_eq!(self.ranks.iter().filter(|rank| **rank == 3).count(), 1);
        let owner = self.ranks.iter().position(|rank| *rank == 3).unwrap();
        assert_eq!(*roster.owner(), CAST[owner].address);
    }
}

fn entry(roster: &Roster, attempt: &Attempt) -> RosterEntry {
    let (signer, target) = (&CAST[attempt.signer], &CAST[attempt.target]);
    let address = target.address.clone();
    let role = |role| RosterChange::SetRole {
        address: target.address.clone(),
        role,
    };
    let change = match attempt.deed {
        Deed::Add => RosterChange::Add(target.account()),
        Deed::Remove => RosterChange::Remove(address),
        Deed::Ban => RosterChange::Ban(address),
        Deed::Unban => RosterChange::Unban(address),
        Deed::Leave => RosterChange::Leave,
        Deed::Promote => role(Role::Admin),
        Deed::Demote => role(Role::Member),
        Deed::HandOver => RosterChange::HandOver(address),
        Deed::Confirm => RosterChange::Confirm,
    };
    let mut entry = signer.forge(roster, change);
    match attempt.flaw {
        Flaw::None => {}
        Flaw::Height => entry.height += 1,
        Flaw::Previous => entry.previous[0] ^= 1,
        Flaw::Channel => entry.channel_id = sottovoce_crypto::statements::ChannelId::from_bytes([5; 32]),
    }
    entry
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_roster_judges_as_the_model_does(attempts in attempts()) {
        let (mut roster, genesis) = found(&mut rng(52), &CAST[0]);
        let mut peer = Roster::found(&genesis).unwrap();
        let mut model = Model::default();
        model.ranks[0] = 3;
        for attempt in attempts {
            let signer = &CAST[attempt.signer];
            let entry = signer.check(signer.sign(entry(&roster, &attempt))).unwrap();
            let before = roster.to_bytes();
            let applied = roster.apply(&entry);
            prop_assert_eq!(applied.is_ok(), model.allows(&attempt), "{:?}: {:?}", attempt, applied);
            if applied.is_ok() {
                let departed_at = model.departed_at;
                model.make(&attempt);
                prop_assert_eq!(applied.unwrap().departed, model.departed_at != departed_at);
                peer.apply(&entry).unwrap();
                prop_assert_eq!(roster.to_bytes(), peer.to_bytes());
                peer = Roster::from_bytes(&peer.to_bytes()).unwrap();
            } else {
                prop_assert_eq!(roster.to_bytes(), before);
            }
            model.agrees_with(&roster);
        }
    }
}
