//! Messages to a channel, encrypted once for all members: sender keys beside Megolm. Both sign every message and
//! verify the signature before they decrypt, both with Ed25519, and both strictly. Ours says which roster its
//! sender sees, and the receiver compares; Megolm knows of no roster.

use rand_chacha::ChaCha20Rng;
use sottovoce_benches::{medians, rounds, timed};
use sottovoce_crypto::statements::{ChannelId, Role, RosterHead, RosterMember};
use sottovoce_crypto::{
    DecryptedSenderKeyMessage, MAX_SENDER_KEY_MESSAGES, ReceivingSenderKey, RosterDoubt, SenderKeyContext,
    SenderKeyMessage, SendingRoster, SendingSenderKey,
};
use vodozemac::megolm::{GroupSession, InboundGroupSession, MegolmMessage, SessionConfig};

use crate::ours::NOW;
use crate::row::{Row, Sizes};
use crate::{PAYLOAD, ours};

/// Encrypted, signed, encoded.
pub(crate) fn encrypt() -> Row {
    let (mut channel, mut megolm) = (Channel::new(), Megolm::new());
    let (message, megolm_message) = (channel.send(), megolm.send());
    Row {
        name: "group_encrypt",
        ours: Sizes {
            wire: message.len(),
            state: channel.sending.to_bytes().len(),
        },
        peer: Sizes {
            wire: megolm_message.len(),
            state: megolm.sending.pickle().encrypt(&[0; 32]).len(),
        },
        medians_ns: medians(
            rounds(5_000),
            || {
                channel.keep_fresh();
                timed(|| channel.send()).0
            },
            || timed(|| megolm.send()).0,
        ),
        mark: 1.00,
    }
}

/// The same messages, in the order they were sent.
pub(crate) fn decrypt() -> Row {
    let (mut channel, mut megolm) = (Channel::new(), Megolm::new());
    let (message, megolm_message) = (channel.send(), megolm.send());
    channel.receive(&message);
    megolm.receive(&megolm_message);
    Row {
        name: "group_decrypt",
        ours: Sizes {
            wire: message.len(),
            state: channel.receiving.to_bytes().len(),
        },
        peer: Sizes {
            wire: megolm_message.len(),
            state: megolm.receiving.pickle().encrypt(&[0; 32]).len(),
        },
        medians_ns: medians(
            rounds(5_000),
            || {
                channel.keep_fresh();
                let message = channel.send();
                timed(|| channel.receive(&message)).0
            },
            || {
                let message = megolm.send();
                timed(|| megolm.receive(&message)).0
            },
        ),
        mark: 1.00,
    }
}

/// Both ends of our sender key.
struct Channel {
    rng: ChaCha20Rng,
    context: SenderKeyContext,
    sending: SendingSenderKey,
    receiving: ReceivingSenderKey,
}

impl Channel {
    fn new() -> Self {
        let mut rng = ours::rng();
        let context = SenderKeyContext {
            channel_id: ChannelId::from_bytes([0xcc; 32]),
            sender: ours::alice_and_bob(&mut rng).0.party,
        };
        let sending = SendingSenderKey::generate(&mut rng, NOW, &context, HEAD);
        Self {
            receiving: hand_out(&context, &sending),
            sending,
            context,
            rng,
        }
    }

    fn send(&mut self) -> Vec<u8> {
        self.sending.encrypt(NOW, &ROSTER, &PAYLOAD).unwrap()
    }

    fn receive(&mut self, message: &[u8]) -> DecryptedSenderKeyMessage {
        let message = SenderKeyMessage::decode(message).unwrap();
        self.receiving.decrypt(NOW, &message, &HEAD).unwrap()
    }

    /// Replaces the key once it has served. Megolm leaves that to its caller.
    fn keep_fresh(&mut self) {
        if self.sending.iteration() == MAX_SENDER_KEY_MESSAGES {
            self.sending = SendingSenderKey::generate(&mut self.rng, NOW, &self.context, HEAD);
            self.receiving = hand_out(&self.context, &self.sending);
        }
    }
}

fn hand_out(context: &SenderKeyContext, sending: &SendingSenderKey) -> ReceivingSenderKey {
    let distribution = sending.distribution(NOW, &ROSTER).unwrap();
    let sender = RosterMember {
        account_key: *context.sender.account_key.as_bytes(),
        role: Role::Member,
        manifest_version: 0,
    };
    ReceivingSenderKey::accept(context, &distribution, &sender, &HEAD)
        .unwrap()
        .0
}

/// Both ends of a Megolm session that carries whole tags.
struct Megolm {
    sending: GroupSession,
    receiving: InboundGroupSession,
}

impl Megolm {
    fn new() -> Self {
        let config = SessionConfig::version_2();
        let sending = GroupSession::new(config);
        Self {
            receiving: InboundGroupSession::new(&sending.session_key(), config),
            sending,
        }
    }

    fn send(&mut self) -> Vec<u8> {
        self.sending.encrypt(PAYLOAD).to_bytes()
    }

    fn receive(&mut self, message: &[u8]) -> Vec<u8> {
        let message = MegolmMessage::from_bytes(message).unwrap();
        self.receiving.decrypt(&message).unwrap().plaintext
    }
}

/// The roster that everybody sees.
const HEAD: RosterHead = RosterHead {
    height: 4,
    hash: [4; 32],
};
const ROSTER: SendingRoster = SendingRoster {
    head: HEAD,
    departed_at: 0,
    doubt: RosterDoubt::None,
};
