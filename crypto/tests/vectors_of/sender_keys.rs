//! A channel's sender key: handed out, used, replaced.

use serde_json::{Value, json};
use sottovoce_crypto::statements::{
    Address, ChannelId, DeviceId, HeadStanding, Role, RosterHead, RosterMember,
};
use sottovoce_crypto::{
    AccountKeyPair, IdentityKeyPair, Party, ReceivingSenderKey, RosterDoubt, RosterHistory, SenderKeyContext,
    SenderKeyDistribution, SenderKeyMessage, SendingRoster, SendingSenderKey,
};

use super::by_hand::{hkdf, hmac, padded, seal, sha256};
use super::draws::Draws;
use super::json::{array, bytes, hex, list, number, text};
use super::people::{NOW, party, party_json};
use super::sender_key_refusals;
use super::statements::sign;

/// The names of what a sender key draws.
const DRAWN: [&str; 3] = ["key id", "chain key", "signing secret"];

pub(crate) fn generate() -> Value {
    let draws = &mut Draws::seeded(0x53);
    let context = SenderKeyContext {
        channel_id: ChannelId::from_bytes([0xcc; 32]),
        sender: Party {
            address: Address::parse("member-1@one.example").unwrap(),
            device_id: DeviceId::from_bytes([1; 16]),
            account_key: AccountKeyPair::from_secret_bytes(&[1; 32]).unwrap().public(),
            identity_key: IdentityKeyPair::from_secret_bytes(&[0x81; 32]).unwrap().public(),
        },
    };
    let roster = sending(head(3), 2);
    let mut alices = SendingSenderKey::generate(draws, NOW, &context, head(3));
    let drawn = draws.take(&DRAWN);
    let mut by_hand = ByHand::new(&context, &drawn);
    let new = hex(&*alices.to_bytes());
    let distribution = alices.distribution(NOW, &roster).unwrap().encode();

    // Alice writes four times. Bob gets the third first, then the first, then the last; the second is lost.
    let plaintexts = [b"hello, all".as_slice(), b"", &[0x78; 300], b"good night"];
    let mut sent = Vec::new();
    for (plaintext, height) in plaintexts.iter().zip([3, 3, 4, 5]) {
        let message = alices.encrypt(NOW, &sending(head(height), 0), plaintext).unwrap();
        let (expected, keys) = by_hand.seal(&head(height), &padded(plaintext));
        assert_eq!(message, expected, "by hand it is another message");
        by_hand.advance();
        sent.push(json!({
            "iteration": sent.len(),
            "roster head": head_json(&head(height)),
            "plaintext": hex(plaintext),
            "keys": keys,
            "message": hex(&message),
            "sender's state after": hex(&*alices.to_bytes()),
        }));
    }
    let ours = History::new((0..=4).map(head));
    let decoded = SenderKeyDistribution::decode(&distribution).unwrap();
    let (mut bobs, _) = ReceivingSenderKey::accept(&context, &decoded, &member(&context), &ours).unwrap();
    let accepted = hex(&*bobs.to_bytes());
    let mut received = Vec::new();
    for (step, now_ms) in [(2, NOW + 1), (0, NOW + 2), (3, NOW + 3)] {
        let message = SenderKeyMessage::decode(&bytes(&sent[step]["message"])).unwrap();
        let opened = bobs.decrypt(now_ms, &message, &ours).unwrap();
        assert_eq!(*opened.plaintext, plaintexts[step]);
        received.push(json!({
            "iteration": step,
            "at, ms": now_ms,
            "standing of its roster head": format!("{:?}", opened.standing),
            "receiver's state after": hex(&*bobs.to_bytes()),
            "skipped messages after": records(&bobs),
        }));
    }

    // Somebody is removed: the key is replaced.
    let mut next = alices.replace(draws, NOW, head(6));
    let next_draws = draws.take(&DRAWN);
    let departed = sending(head(6), 6);
    let next_distribution = next.distribution(NOW, &departed).unwrap().encode();
    let next_message = next.encrypt(NOW, &departed, b"without Mallory").unwrap();
    let next_state = hex(&*next.to_bytes());
    next.retire();
    let mut file = json!({
        "channel id": hex(context.channel_id.as_bytes()),
        "sender": party_json(&context.sender),
        "made at, ms": NOW,
        "made under the roster head": head_json(&head(3)),
        "departed at": 2,
        "draws": drawn,
        "under the associated data": hex(&by_hand.bound),
        "associated data": hex(by_hand.associated_data),
        "sender's state": new,
        "distribution": hex(&*distribution),
        "receiver's roster": (0..=4).map(|height| head_json(&head(height))).collect::<Vec<_>>(),
        "receiver's state": accepted,
        "sent": sent,
        "received": received,
        "replaced": {
            "made under the roster head": head_json(&head(6)),
            "departed at": 6,
            "draws": next_draws,
            "distribution": hex(&*next_distribution),
            "plaintext": hex("without Mallory"),
            "message": hex(next_message),
            "sender's state after": next_state,
            "sender's state after, retired": hex(&*next.to_bytes()),
        },
    });
    file["refused"] = sender_key_refusals::refused(&file, &by_hand);
    file
}

pub(crate) fn check(file: &Value) {
    let context = context(file);
    let made_under = head_of(&file["made under the roster head"]);
    let draws = &mut Draws::given(&file["draws"]);
    let mut alices = SendingSenderKey::generate(draws, number(&file["made at, ms"]), &context, made_under);
    assert_eq!(hex(&*alices.to_bytes()), file["sender's state"]);
    let roster = sending(made_under, number(&file["departed at"]));
    let distribution = alices.distribution(NOW, &roster).unwrap();
    assert_eq!(hex(&*distribution.encode()), file["distribution"]);
    for step in list(&file["sent"]) {
        let head = head_of(&step["roster head"]);
        let message = alices
            .encrypt(NOW, &sending(head, 0), &bytes(&step["plaintext"]))
            .unwrap();
        assert_eq!(hex(&message), step["message"]);
        let state = bytes(&step["sender's state after"]);
        assert_eq!(*alices.to_bytes(), state);
        alices = SendingSenderKey::from_bytes(&state).unwrap();
    }

    let ours = history(file);
    let mut bobs = accept(file, &bytes(&file["distribution"])).unwrap();
    assert_eq!(hex(&*bobs.to_bytes()), file["receiver's state"]);
    for step in list(&file["received"]) {
        let sent = &file["sent"][usize::try_from(number(&step["iteration"])).unwrap()];
        let message = SenderKeyMessage::decode(&bytes(&sent["message"])).unwrap();
        assert_eq!(hex(message.encode()), sent["message"]);
        let opened = bobs.decrypt(number(&step["at, ms"]), &message, &ours).unwrap();
        assert_eq!(hex(&*opened.plaintext), sent["plaintext"]);
        assert_eq!(opened.roster_head, head_of(&sent["roster head"]));
        assert_eq!(
            format!("{:?}", opened.standing),
            text(&step["standing of its roster head"])
        );
        let state = bytes(&step["receiver's state after"]);
        assert_eq!(*bobs.to_bytes(), state);
        assert_eq!(records(&bobs), step["skipped messages after"]);
        let kept: Vec<_> = list(&step["skipped messages after"]).iter().map(bytes).collect();
        bobs = ReceivingSenderKey::from_bytes(&state, kept).unwrap();
    }

    let replaced = &file["replaced"];
    let head = head_of(&replaced["made under the roster head"]);
    let roster = sending(head, number(&replaced["departed at"]));
    let mut next = alices.replace(&mut Draws::given(&replaced["draws"]), NOW, head);
    assert_eq!(
        hex(&*next.distribution(NOW, &roster).unwrap().encode()),
        replaced["distribution"]
    );
    let message = next
        .encrypt(NOW, &roster, &bytes(&replaced["plaintext"]))
        .unwrap();
    assert_eq!(hex(message), replaced["message"]);
    assert_eq!(hex(&*next.to_bytes()), replaced["sender's state after"]);
    next.retire();
    assert_eq!(hex(&*next.to_bytes()), replaced["sender's state after, retired"]);
    sender_key_refusals::check(file);
}

pub(crate) fn context(file: &Value) -> SenderKeyContext {
    SenderKeyContext {
        channel_id: ChannelId::from_bytes(array(&file["channel id"])),
        sender: party(&file["sender"]),
    }
}

/// What a receiver knows of the roster: its entries from the genesis on.
pub(crate) struct History(Vec<RosterHead>);

impl History {
    fn new(heads: impl IntoIterator<Item = RosterHead>) -> Self {
        Self(heads.into_iter().collect())
    }
}

impl RosterHistory for History {
    fn standing(&self, theirs: &RosterHead) -> HeadStanding {
        match self.0.iter().find(|ours| ours.height == theirs.height) {
            None => HeadStanding::Ahead,
            Some(ours) if ours.hash != theirs.hash => HeadStanding::Fork { ours: ours.hash },
            Some(ours) if Some(ours) == self.0.last() => HeadStanding::Current,
            Some(_) => HeadStanding::Earlier,
        }
    }
}

pub(crate) fn history(file: &Value) -> History {
    History::new(list(&file["receiver's roster"]).iter().map(head_of))
}

/// What the roster has for the sender's address.
fn member(context: &SenderKeyContext) -> RosterMember {
    RosterMember {
        account_key: *context.sender.account_key.as_bytes(),
        role: Role::Member,
        manifest_version: 0,
    }
}

/// A receiver's key from a distribution, if it is taken.
pub(crate) fn accept(file: &Value, distribution: &[u8]) -> Result<ReceivingSenderKey, String> {
    let distribution =
        SenderKeyDistribution::decode(distribution).map_err(|error| super::json::name_of(&error))?;
    assert_eq!(distribution.encode().len(), SenderKeyDistribution::LEN);
    let context = context(file);
    ReceivingSenderKey::accept(&context, &distribution, &member(&context), &history(file))
        .map(|(key, _)| key)
        .map_err(|error| super::json::name_of(&error))
}

fn records(key: &ReceivingSenderKey) -> Value {
    key.skipped_messages().map(|record| hex(&*record.bytes)).collect()
}

/// Some entry at a height.
pub(crate) fn head(height: u64) -> RosterHead {
    let mut hash = [0x4e; 32];
    hash[..8].copy_from_slice(&height.to_be_bytes());
    RosterHead { height, hash }
}

pub(crate) fn sending(head: RosterHead, departed_at: u64) -> SendingRoster {
    SendingRoster {
        head,
        departed_at,
        doubt: RosterDoubt::None,
    }
}

pub(crate) fn head_json(head: &RosterHead) -> Value {
    json!({ "height": head.height, "hash": hex(head.hash) })
}

pub(crate) fn head_of(value: &Value) -> RosterHead {
    RosterHead {
        height: number(&value["height"]),
        hash: array(&value["hash"]),
    }
}

/// A sender key worked out by hand, with its secrets.
#[derive(Clone)]
pub(crate) struct ByHand {
    bound: Vec<u8>,
    pub(crate) associated_data: [u8; 32],
    pub(crate) key_id: [u8; 16],
    pub(crate) chain_key: [u8; 32],
    pub(crate) iteration: u32,
    pub(crate) signing_secret: [u8; 32],
}

impl ByHand {
    fn new(context: &SenderKeyContext, drawn: &Value) -> Self {
        let mut bound = b"Sottovoce-v1 sender key associated data".to_vec();
        bound.extend(context.channel_id.as_bytes());
        bound.extend(super::trace::party_bytes(&context.sender));
        Self {
            associated_data: sha256(&bound),
            bound,
            key_id: array(&drawn[0]["bytes"]),
            chain_key: array(&drawn[1]["bytes"]),
            iteration: 0,
            signing_secret: array(&drawn[2]["bytes"]),
        }
    }

    /// The message at this place with any text in it, and its keys.
    pub(crate) fn seal(&self, head: &RosterHead, padded: &[u8]) -> (Vec<u8>, Value) {
        let message_key = hmac(&self.chain_key, &[1]);
        let keys: [u8; 44] = hkdf(&[0; 32], &message_key, b"Sottovoce-v1 sender key message");
        let (key, nonce) = (keys[..32].try_into().unwrap(), keys[32..].try_into().unwrap());
        let mut message = vec![0x01, 0x10];
        message.extend(self.key_id);
        message.extend(self.iteration.to_be_bytes());
        message.extend(head.height.to_be_bytes());
        message.extend(head.hash);
        let bound = [self.associated_data.as_slice(), &message].concat();
        message.extend(seal(&key, &nonce, &bound, padded));
        let digest = self.digest(&message);
        message.extend(sign(&self.signing_secret, &digest));
        let json = json!({
            "chain key": hex(self.chain_key),
            "message key": hex(message_key),
            "encryption key": hex(key),
            "nonce": hex(nonce),
            "signed digest": hex(digest),
        });
        (message, json)
    }

    /// What is signed of a message (13.8), given everything before the signature.
    pub(crate) fn digest(&self, message: &[u8]) -> [u8; 32] {
        let label = b"Sottovoce-v1 sender key signature".as_slice();
        sha256(&[label, &self.associated_data, message].concat())
    }

    pub(crate) fn advance(&mut self) {
        self.chain_key = hmac(&self.chain_key, &[2]);
        self.iteration += 1;
    }

    /// The key further on.
    pub(crate) fn at(&self, iteration: u32) -> Self {
        let mut key = self.clone();
        while key.iteration < iteration {
            key.advance();
        }
        key
    }
}
