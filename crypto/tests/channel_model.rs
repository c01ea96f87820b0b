//! A channel of several members on links that drop, repeat, reorder and corrupt, against a model that says
//! what each message must come to for each of them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing test is supposed to stop there"
)]

mod channel;

use std::collections::{BTreeMap, BTreeSet};

use channel::{History, NOW, context, head, member, rng, stored};
use proptest::prelude::*;
use proptest::sample::Index;
use rand_chacha::ChaCha20Rng;
use sottovoce_crypto::{
    ReceivingSenderKey, RosterDoubt, RosterStanding, SenderKeyDecryptError, SenderKeyDistribution,
    SenderKeyId, SenderKeyMessage, SenderKeySendError, SendingRoster, SendingSenderKey, SkippedMessageId,
};

#[derive(Clone, Debug)]
enum Op {
    /// A member writes; the message sets out to everybody, members or not.
    Send { who: Index, length: usize },
    /// Something under way arrives, whichever it is.
    Deliver(Index),
    /// It arrives, and stays under way: a duplicate to come.
    DeliverCopy(Index),
    /// It arrives damaged, and stays under way.
    DeliverDamaged(Index, Index, u8),
    /// It is lost.
    Drop(Index),
    /// Somebody comes, or comes back.
    Join(Index),
    /// Somebody leaves.
    Leave(Index),
    /// A member's device is revoked, and one member learns it.
    Revoke(Index),
    /// A member hands its sender key out once more.
    DistributeAgain(Index),
    /// Somebody's keys go to storage and back.
    Restore(Index),
    /// Time passes.
    Wait,
}

fn op() -> impl Strategy<Value = Op> {
    let which = any::<Index>;
    prop_oneof![
        8 => (which(), 0..600_usize).prop_map(|(who, length)| Op::Send { who, length }),
        16 => which().prop_map(Op::Deliver),
        4 => which().prop_map(Op::DeliverCopy),
        4 => (which(), which(), 1..=u8::MAX).prop_map(|(m, p, x)| Op::DeliverDamaged(m, p, x)),
        2 => which().prop_map(Op::Drop),
        1 => which().prop_map(Op::Join),
        1 => which().prop_map(Op::Leave),
        1 => which().prop_map(Op::Revoke),
        1 => which().prop_map(Op::DistributeAgain),
        2 => which().prop_map(Op::Restore),
        1 => Just(Op::Wait),
    ]
}

/// Somebody, in the channel or not.
#[derive(Default)]
struct Member {
    inside: bool,
    sending: Option<SendingSenderKey>,
    /// Who has been given the key that is now sent with.
    given: BTreeSet<usize>,
    keys: BTreeMap<(usize, SenderKeyId), Held>,
}

struct Held {
    key: ReceivingSenderKey,
    /// What is saved beside the key, kept up by what each message says that it changed.
    records: BTreeMap<SkippedMessageId, Vec<u8>>,
    /// The first message the key reads.
    from: u32,
}

/// A message as written, and what the model knows of it.
struct Sent {
    sender: usize,
    plaintext: Vec<u8>,
    /// Who was a member then.
    readers: BTreeSet<usize>,
    /// Who has read it.
    read: BTreeSet<usize>,
}

#[derive(Clone)]
enum Packet {
    /// In a pairwise session: nobody damages it, and it gets there.
    Distribution {
        sender: usize,
        bytes: Vec<u8>,
    },
    Message {
        number: usize,
        bytes: Vec<u8>,
    },
}

struct World {
    rng: ChaCha20Rng,
    now_ms: u64,
    height: u64,
    departed_at: u64,
    members: Vec<Member>,
    sent: Vec<Sent>,
    link: Vec<(usize, Packet)>,
}

impl World {
    fn new(seed: u8, size: usize) -> Self {
        let members = (0..size).map(|number| Member {
            inside: number < 2,
            ..Member::default()
        });
        Self {
            rng: rng(seed),
            now_ms: NOW,
            height: 1,
            departed_at: 0,
            members: members.collect(),
            sent: Vec::new(),
            link: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        let someone = |who: &Index| who.index(self.members.len());
        match op {
            Op::Send { who, length } => self.send(someone(who), *length),
            Op::Join(who) => self.change(someone(who), true),
            Op::Leave(who) => self.change(someone(who), false),
            Op::Revoke(who) => {
                let who = someone(who);
                self.members[who]
                    .sending
                    .iter_mut()
                    .for_each(SendingSenderKey::retire);
            }
            Op::DistributeAgain(who) => self.distribute_again(someone(who)),
            Op::Restore(who) => {
                let who = someone(who);
                self.restore(who);
            }
            Op::Wait => self.now_ms += 3_600_000,
            _ if self.link.is_empty() => {}
            Op::Deliver(which) => {
                let position = which.index(self.link.len());
                let (to, packet) = self.link[position].clone();
                // What cannot be read yet waits for its key, as an application would have it.
                if self.arrive(to, &packet) {
                    self.link.swap_remove(position);
                }
            }
            Op::DeliverCopy(which) => {
                let (to, packet) = self.link[which.index(self.link.len())].clone();
                self.arrive(to, &packet);
            }
            Op::DeliverDamaged(which, position, xor) => {
                let (to, packet) = self.link[which.index(self.link.len())].clone();
                if let Packet::Message { number, mut bytes } = packet {
                    let position = position.index(bytes.len());
                    bytes[position] ^= xor;
                    let sender = self.sent[number].sender;
                    let opened = self.open(to, sender, &bytes);
                    assert_eq!(opened, None, "a damaged message is refused");
                }
            }
            Op::Drop(which) => {
                let position = which.index(self.link.len());
                if matches!(self.link[position].1, Packet::Message { .. }) {
                    self.link.swap_remove(position);
                }
            }
        }
    }

    fn roster(&self) -> SendingRoster {
        SendingRoster {
            head: head(self.height),
            departed_at: self.departed_at,
            doubt: RosterDoubt::None,
        }
    }

    /// An entry of the roster that adds somebody or takes somebody away.
    fn change(&mut self, who: usize, inside: bool) {
        if self.members[who].inside == inside {
            return;
        }
        self.members[who].inside = inside;
        self.height += 1;
        if inside {
            // Who comes back begins anew.
            self.members[who].sending = None;
        } else {
            self.departed_at = self.height;
        }
    }

    fn inside(&self) -> BTreeSet<usize> {
        let inside = |who: &usize| self.members[*who].inside;
        (0..self.members.len()).filter(inside).collect()
    }

    /// Hands the key out to whoever lacks it, as it is now.
    fn distribute(&mut self, sender: usize, to: &BTreeSet<usize>) {
        let roster = self.roster();
        let key = self.members[sender].sending.as_ref().unwrap();
        let bytes = key.distribution(self.now_ms, &roster).unwrap().encode().to_vec();
        for &to in to.iter().filter(|&&to| to != sender) {
            let bytes = bytes.clone();
            self.link.push((to, Packet::Distribution { sender, bytes }));
        }
    }

    fn distribute_again(&mut self, sender: usize) {
        let (roster, given) = (self.roster(), self.members[sender].given.clone());
        let due = |key: &SendingSenderKey| key.rotation_due(self.now_ms, &roster).is_some();
        if self.members[sender].inside && self.members[sender].sending.as_ref().is_some_and(|key| !due(key)) {
            self.distribute(sender, &given);
        }
    }

    fn send(&mut self, sender: usize, length: usize) {
        if !self.members[sender].inside {
            return;
        }
        let (roster, readers) = (self.roster(), self.inside());
        let (now_ms, rng) = (self.now_ms, &mut self.rng);
        let member = &mut self.members[sender];
        let plaintext = vec![0x61; length];
        match &mut member.sending {
            None => {
                let context = context(sender as u8);
                member.sending = Some(SendingSenderKey::generate(rng, now_ms, &context, roster.head));
                member.given = BTreeSet::from([sender]);
            }
            Some(key) if key.rotation_due(now_ms, &roster).is_some() => {
                let refusal = key.encrypt(now_ms, &roster, &plaintext);
                assert!(matches!(refusal, Err(SenderKeySendError::RotationDue(_))));
                let old = member.sending.take().unwrap();
                member.sending = Some(old.replace(rng, now_ms, roster.head));
                member.given = BTreeSet::from([sender]);
            }
            Some(_) => {}
        }
        let lacking: BTreeSet<_> = readers.difference(&member.given).copied().collect();
        member.given.extend(&lacking);
        self.distribute(sender, &lacking);
        let key = self.members[sender].sending.as_mut().unwrap();
        let bytes = key.encrypt(now_ms, &roster, &plaintext).unwrap();
        let number = self.sent.len();
        for to in (0..self.members.len()).filter(|&to| to != sender) {
            let bytes = bytes.clone();
            self.link.push((to, Packet::Message { number, bytes }));
        }
        self.sent.push(Sent {
            sender,
            plaintext,
            readers,
            read: BTreeSet::new(),
        });
    }

    /// Hands something to somebody. Whether it is done with.
    fn arrive(&mut self, to: usize, packet: &Packet) -> bool {
        match packet {
            Packet::Distribution { sender, bytes } => {
                self.take_up(to, *sender, bytes);
                true
            }
            Packet::Message { number, bytes } => self.read(to, *number, bytes),
        }
    }

    fn take_up(&mut self, to: usize, sender: usize, bytes: &[u8]) {
        let distribution = SenderKeyDistribution::decode(bytes).unwrap();
        let (context, known) = (context(sender as u8), History(self.height));
        let name = (sender, distribution.key_id());
        if let Some(held) = self.members[to].keys.get(&name) {
            let before = stored(&held.key);
            let standing = held.key.confirm(&context, &distribution, &known);
            assert_eq!(standing, Ok(RosterStanding::Agreed));
            assert_eq!(stored(&held.key), before);
            return;
        }
        let (key, standing) =
            ReceivingSenderKey::accept(&context, &distribution, &member(&context.sender), &known).unwrap();
        assert_eq!(standing, RosterStanding::Agreed);
        let held = Held {
            key,
            records: BTreeMap::new(),
            from: distribution.iteration(),
        };
        self.members[to].keys.insert(name, held);
    }

    fn read(&mut self, to: usize, number: usize, bytes: &[u8]) -> bool {
        let sender = self.sent[number].sender;
        let message = SenderKeyMessage::decode(bytes).unwrap();
        let held = self.members[to].keys.get(&(sender, message.key_id()));
        let reads = held.map(|held| message.iteration() >= held.from);
        let opened = self.open(to, sender, bytes);
        let sent = &mut self.sent[number];
        match reads {
            Some(true) if sent.read.insert(to) => {
                assert_eq!(opened.as_ref(), Some(&sent.plaintext), "a new message is read");
                assert!(sent.readers.contains(&to), "by a member");
                true
            }
            _ => {
                assert_eq!(opened, None, "a message is read once, by who has the key");
                reads.is_some() || !sent.readers.contains(&to)
            }
        }
    }

    /// Tries bytes with the key they name. Checks that a refusal leaves it as it was.
    fn open(&mut self, to: usize, sender: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = SenderKeyMessage::decode(bytes).ok()?;
        let held = self.members[to].keys.get_mut(&(sender, message.key_id()))?;
        let before = stored(&held.key);
        match held.key.decrypt(self.now_ms, &message, &History(self.height)) {
            Ok(opened) => {
                assert_eq!(opened.standing, RosterStanding::Agreed);
                for record in opened.skipped.added {
                    held.records.insert(record.id, record.bytes.to_vec());
                }
                for id in opened.skipped.removed {
                    held.records.remove(&id);
                }
                Some(opened.plaintext.to_vec())
            }
            Err(error) => {
                assert_eq!(error, SenderKeyDecryptError::Undecryptable);
                assert_eq!(stored(&held.key), before, "a refusal changes nothing");
                None
            }
        }
    }

    fn restore(&mut self, who: usize) {
        let member = &mut self.members[who];
        if let Some(key) = &mut member.sending {
            *key = SendingSenderKey::from_bytes(&key.to_bytes()).unwrap();
        }
        for held in member.keys.values_mut() {
            let restored =
                ReceivingSenderKey::from_bytes(&held.key.to_bytes(), held.records.values()).unwrap();
            assert_eq!(stored(&restored), stored(&held.key));
            held.key = restored;
        }
    }

    /// Everything still under way arrives: keys first, then messages in any order.
    fn settle(&mut self, order: &[Index]) {
        let (keys, messages): (Vec<_>, _) = std::mem::take(&mut self.link)
            .into_iter()
            .partition(|(_, packet)| matches!(packet, Packet::Distribution { .. }));
        for (to, packet) in &keys {
            self.arrive(*to, packet);
        }
        self.link = messages;
        for which in order.iter().cycle() {
            if self.link.is_empty() {
                break;
            }
            let (to, packet) = self.link.swap_remove(which.index(self.link.len()));
            assert!(self.arrive(to, &packet), "every member has the key by now");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_channel_message_opens_once_for_who_holds_the_key(
        seed in any::<u8>(),
        size in 3..=5_usize,
        ops in proptest::collection::vec(op(), 1..150),
        order in proptest::collection::vec(any::<Index>(), 40),
    ) {
        let mut world = World::new(seed, size);
        for op in &ops {
            world.apply(op);
        }
        world.settle(&order);
        // And all who are still inside can talk: each of them reads each.
        let inside = world.inside();
        for &who in &inside {
            world.send(who, 5);
            world.settle(&order);
            let last = world.sent.last().unwrap();
            let others: BTreeSet<_> = inside.iter().copied().filter(|&other| other != who).collect();
            prop_assert_eq!(&last.read, &others);
        }
    }
}
