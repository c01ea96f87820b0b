//! A member's sender key, as it was distributed to us.

use alloc::vec::Vec;

use sottovoce_statements::{ChannelId, RosterHead, RosterMember};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::chain::{ChainKey, MAX_FORWARD_JUMP, MessageKey, SkippedKeys};
use crate::padding::unpad;
use crate::secret::redacted_debug;
use crate::sender_keys::LABEL_SENDER_KEY_MESSAGE;
use crate::sender_keys::context::{AssociatedData, SenderKeyContext, SenderKeyId};
use crate::sender_keys::distribution::SenderKeyDistribution;
use crate::sender_keys::error::{DistributionError, SenderKeyDecryptError};
use crate::sender_keys::message::SenderKeyMessage;
use crate::sender_keys::roster::{RosterHistory, RosterStanding, compare};
use crate::sender_keys::signature::{MessageDigest, SenderVerifyingKey};
use crate::sender_keys::skipped::{SkippedMessageChanges, SkippedMessageId, SkippedMessageRecord, record};

/// A member's sender key: what we read their messages to a channel with.
///
/// Messages may come late, twice or in any order; each decrypts once. Keep a key that its sender has
/// replaced for [`MAX_SKIPPED_AGE_MS`](crate::MAX_SKIPPED_AGE_MS) at most, and erase it when they leave.
pub struct ReceivingSenderKey {
    pub(super) channel_id: ChannelId,
    pub(super) associated_data: AssociatedData,
    pub(super) id: SenderKeyId,
    pub(super) signing_key: SenderVerifyingKey,
    /// Number of the next message expected.
    pub(super) next: u32,
    pub(super) chain: ChainKey,
    pub(super) skipped: SkippedKeys<u32>,
}

/// A message that was decrypted, and what has to be saved.
#[derive(Debug)]
pub struct DecryptedSenderKeyMessage {
    /// What the sender wrote.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// The newest entry of the roster that the sender knew, authenticated.
    pub roster_head: RosterHead,
    /// How that stands to ours.
    pub standing: RosterStanding,
    /// What to save besides the sender key itself.
    pub skipped: SkippedMessageChanges,
}

impl ReceivingSenderKey {
    /// Takes up a sender key that came over a pairwise session with `context.sender`, for a key id of
    /// which we have none of this sender's in this channel: for one we have, there is
    /// [`confirm`](Self::confirm). `sender` is what our roster has for the sender's address. If it has nothing,
    /// fetch the newest entries; who is no member by them hands out nothing.
    ///
    /// # Errors
    /// [`DistributionError`] if it is for another channel, the sender's account key is not the member's, or
    /// the sender names another roster.
    pub fn accept<H: RosterHistory + ?Sized>(
        context: &SenderKeyContext,
        distribution: &SenderKeyDistribution,
        sender: &RosterMember,
        roster: &H,
    ) -> Result<(Self, RosterStanding), DistributionError> {
        if distribution.channel_id != context.channel_id {
            return Err(DistributionError::OtherChannel);
        }
        if !context.sender.is_of(sender) {
            return Err(DistributionError::OtherAccount);
        }
        let standing = compare(&distribution.roster_head, roster)?;
        let key = Self {
            channel_id: context.channel_id,
            associated_data: context.associated_data(),
            id: distribution.key_id,
            signing_key: distribution.signing_key,
            next: distribution.iteration,
            chain: distribution.chain.clone(),
            skipped: SkippedKeys::default(),
        };
        Ok((key, standing))
    }

    /// Compares another distribution of this key with what we have. Nothing changes: the chain never goes
    /// back, and goes forward by messages only.
    ///
    /// # Errors
    /// [`DistributionError`] if it cannot be of the same key, or its sender was shown another roster.
    pub fn confirm<H: RosterHistory + ?Sized>(
        &self,
        context: &SenderKeyContext,
        distribution: &SenderKeyDistribution,
        roster: &H,
    ) -> Result<RosterStanding, DistributionError> {
        if distribution.key_id != self.id {
            return Err(DistributionError::OtherKey);
        }
        let same_key = self.is_for(context)
            && distribution.channel_id == self.channel_id
            && distribution.signing_key == self.signing_key;
        if !(same_key && self.leads_to(distribution)) {
            return Err(DistributionError::Conflict);
        }
        Ok(compare(&distribution.roster_head, roster)?)
    }

    /// Decrypts a message, once. `roster` is what we remember of the channel's; `now_ms` is Unix time in
    /// milliseconds. Save the sender key and [`skipped`](DecryptedSenderKeyMessage::skipped) before the
    /// plaintext is shown.
    ///
    /// # Errors
    /// [`SenderKeyDecryptError`]; the key is then, byte for byte, as it was.
    pub fn decrypt<H: RosterHistory + ?Sized>(
        &mut self,
        now_ms: u64,
        message: &SenderKeyMessage,
        roster: &H,
    ) -> Result<DecryptedSenderKeyMessage, SenderKeyDecryptError> {
        let header = &message.header;
        if header.key_id != self.id {
            return Err(SenderKeyDecryptError::OtherKey);
        }
        // Only the sender's word makes the chain do its work: the signature comes before it.
        let kept = self.reach(header.iteration, now_ms)?;
        let prefix = header.prefix(0);
        let digest = MessageDigest::new(&self.associated_data, &prefix, &message.ciphertext);
        if !self.signing_key.verifies(&digest, &message.signature) {
            return Err(SenderKeyDecryptError::Undecryptable);
        }
        let aad = [&self.associated_data, prefix.as_slice()].concat();
        let (plaintext, advance) = match kept {
            Some(key) => (open(key, &aad, message)?, None),
            None => {
                let advance = self.advance(header.iteration);
                (open(&advance.key, &aad, message)?, Some(advance))
            }
        };
        let standing = compare(&header.roster_head, roster)?;
        Ok(DecryptedSenderKeyMessage {
            plaintext,
            roster_head: header.roster_head,
            standing,
            skipped: self.commit(header.iteration, advance, now_ms),
        })
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> SenderKeyId {
        self.id
    }

    /// The channel it is for.
    #[must_use]
    pub fn channel_id(&self) -> ChannelId {
        self.channel_id
    }

    /// The number of the next message expected.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.next
    }

    /// Whether the key was accepted for this context.
    #[must_use]
    pub fn is_for(&self, context: &SenderKeyContext) -> bool {
        self.associated_data == context.associated_data()
    }

    /// Every key kept for a message that has not come.
    pub fn skipped_messages(&self) -> impl Iterator<Item = SkippedMessageRecord> {
        self.skipped.ids().filter_map(|iteration| {
            let id = SkippedMessageId::new(self.associated_data, self.id, iteration);
            record(id, &self.skipped)
        })
    }

    /// The key kept for a message, or nothing if the chain still gets there.
    fn reach(&self, iteration: u32, now_ms: u64) -> Result<Option<&MessageKey>, SenderKeyDecryptError> {
        let refused = SenderKeyDecryptError::Undecryptable;
        match iteration.checked_sub(self.next) {
            None => self.skipped.get(&iteration, now_ms).map(Some).ok_or(refused),
            Some(jump) if jump <= MAX_FORWARD_JUMP && iteration < u32::MAX => Ok(None),
            Some(_) => Err(refused),
        }
    }

    /// Where a message would take the chain.
    fn advance(&self, iteration: u32) -> Advance {
        #[cfg(test)]
        tests::ADVANCES.set(tests::ADVANCES.get() + 1);
        let jump = usize::try_from(iteration.saturating_sub(self.next)).unwrap_or_default();
        let mut skipped = Vec::with_capacity(jump);
        let (mut key, mut chain) = self.chain.step();
        for passed in self.next..iteration {
            let (following_key, following_chain) = chain.step();
            skipped.push((passed, key));
            (key, chain) = (following_key, following_chain);
        }
        Advance { key, chain, skipped }
    }

    /// The message has authenticated.
    fn commit(&mut self, iteration: u32, advance: Option<Advance>, now_ms: u64) -> SkippedMessageChanges {
        let change = match advance {
            None => self.skipped.commit(Some(iteration), Vec::new(), now_ms),
            Some(advance) => {
                self.chain = advance.chain;
                self.next = iteration.saturating_add(1);
                self.skipped.commit(None, advance.skipped, now_ms)
            }
        };
        SkippedMessageChanges::new(self.associated_data, self.id, change, &self.skipped)
    }

    /// Whether our chain comes to what is distributed, as far as that can be told: nothing is known of
    /// iterations that are past.
    fn leads_to(&self, distribution: &SenderKeyDistribution) -> bool {
        let Some(steps) = distribution.iteration.checked_sub(self.next) else {
            return true;
        };
        if steps > MAX_FORWARD_JUMP {
            return false;
        }
        let mut chain = self.chain.clone();
        for _ in 0..steps {
            chain = chain.step().1;
        }
        chain.as_bytes().ct_eq(distribution.chain.as_bytes()).into()
    }
}

redacted_debug!(ReceivingSenderKey);

/// What decrypting a message in its turn, or before it, would come to.
struct Advance {
    key: MessageKey,
    chain: ChainKey,
    skipped: Vec<(u32, MessageKey)>,
}

fn open(
    key: &MessageKey,
    aad: &[u8],
    message: &SenderKeyMessage,
) -> Result<Zeroizing<Vec<u8>>, SenderKeyDecryptError> {
    key.open(&[LABEL_SENDER_KEY_MESSAGE], aad, &message.ciphertext)
        .ok()
        .and_then(unpad)
        .ok_or(SenderKeyDecryptError::Undecryptable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{MAX_SKIPPED_AGE_MS, MAX_SKIPPED_KEYS};
    use crate::padding::pad_onto;
    use crate::secret::Secret32;
    use crate::sender_keys::message::MessageHeader;
    use crate::sender_keys::sending::SendingSenderKey;
    use crate::sender_keys::sending::tests::{HEAD, key};
    use crate::sender_keys::signature::SenderSigningKey;
    use alloc::format;
    use core::cell::Cell;
    use core::iter;

    std::thread_local! {
        /// How often this thread has stepped a receiver's chain.
        pub(super) static ADVANCES: Cell<u32> = const { Cell::new(0) };
    }

    /// What a member holds who is given the key now.
    fn received(key: &SendingSenderKey) -> ReceivingSenderKey {
        let distribution = key.hand_out_anyway();
        ReceivingSenderKey {
            channel_id: distribution.channel_id,
            associated_data: [0xad; 32],
            id: distribution.key_id,
            signing_key: distribution.signing_key,
            next: distribution.iteration,
            chain: distribution.chain,
            skipped: SkippedKeys::default(),
        }
    }

    fn open(theirs: &mut ReceivingSenderKey, now_ms: u64, bytes: &[u8]) -> Option<Vec<u8>> {
        let message = SenderKeyMessage::decode(bytes).unwrap();
        let opened = theirs.decrypt(now_ms, &message, &HEAD).ok()?;
        Some(opened.plaintext.to_vec())
    }

    #[test]
    fn a_member_cannot_write_in_anothers_name() {
        let mut ours = key(1);
        let mut theirs = received(&ours);
        let forged = ours.forgers().seal_anyway(b"forged");
        let before = theirs.to_bytes();
        assert_eq!(open(&mut theirs, 0, &forged), None);

        // Nor with a signature of the sender's, over another message under the same message key.
        let honest = ours.seal_anyway(b"honest");
        let mut moved = SenderKeyMessage::decode(&forged).unwrap();
        moved.signature = SenderKeyMessage::decode(&honest).unwrap().signature;
        assert_eq!(open(&mut theirs, 0, &moved.encode()), None);

        // Nor by saying that the key is the forger's: then nothing of the owner's verifies, and the forger
        // has only signed for itself.
        let mut misled = received(&ours);
        misled.associated_data = [0xae; 32];
        assert_eq!(open(&mut misled, 0, &honest), None);

        assert_eq!(theirs.to_bytes(), before);
        assert_eq!(theirs.skipped_messages().count(), 0);
        assert_eq!(open(&mut theirs, 0, &honest).unwrap(), b"honest");
    }

    #[test]
    fn a_signature_alone_does_not_make_a_message() {
        // The signing key without the chain: who has only that is refused by the tag.
        let ours = key(1);
        let mut theirs = received(&ours);
        let other_chain = key(2).seal_anyway(b"words");
        let mut message = SenderKeyMessage::decode(&other_chain).unwrap();
        message.header.key_id = ours.id();
        let signing_key = SenderSigningKey::from_secret(&signing_secret(&ours));
        let digest = MessageDigest::new(
            &theirs.associated_data,
            &message.header.prefix(0),
            &message.ciphertext,
        );
        message.signature = signing_key.sign(&digest);
        assert!(theirs.signing_key.verifies(&digest, &message.signature));
        let before = theirs.to_bytes();
        assert_eq!(open(&mut theirs, 0, &message.encode()), None);
        assert_eq!(theirs.to_bytes(), before);
    }

    /// Read out of the stored key: it stands behind the chain key.
    fn signing_secret(key: &SendingSenderKey) -> Secret32 {
        let bytes = key.to_bytes();
        Secret32::copy_from(bytes[118..150].try_into().unwrap())
    }

    #[test]
    fn a_jump_in_a_channel_within_the_limit_gets_through_and_one_beyond_does_not() {
        let mut ours = key(1);
        let sent: Vec<_> = iter::repeat_with(|| ours.seal_anyway(b"words"))
            .take(2_002)
            .collect();
        let mut theirs = received(&key(1));
        let before = theirs.to_bytes();
        assert_eq!(open(&mut theirs, 0, &sent[2_001]), None);
        assert_eq!(theirs.to_bytes(), before);
        assert!(open(&mut theirs, 0, &sent[2_000]).is_some());
        assert_eq!(theirs.skipped_messages().count(), 2_000);
        assert!(open(&mut theirs, 0, &sent[2_001]).is_some());
        for late in &sent[..2_000] {
            assert!(open(&mut theirs, 0, late).is_some());
        }
        assert_eq!(theirs.skipped_messages().count(), 0);
    }

    #[test]
    fn keys_kept_for_a_channel_are_bounded_and_the_oldest_go_first() {
        let mut ours = key(1);
        let mut theirs = received(&ours);
        let sent: Vec<_> = iter::repeat_with(|| ours.seal_anyway(b"words"))
            .take(4_004)
            .collect();
        // Every second message comes, one at a time: two thousand and one are missing.
        for (position, message) in sent.iter().enumerate().skip(1).step_by(2).take(2_001) {
            assert!(
                open(&mut theirs, position as u64, message).is_some(),
                "{position}"
            );
        }
        assert_eq!(theirs.skipped_messages().count(), MAX_SKIPPED_KEYS);
        assert_eq!(open(&mut theirs, 5_000, &sent[0]), None);
        assert!(open(&mut theirs, 5_000, &sent[2]).is_some());
    }

    #[test]
    fn a_late_channel_message_decrypts_until_its_key_expires() {
        let mut ours = key(1);
        let sent: Vec<_> = iter::repeat_with(|| ours.seal_anyway(b"words")).take(5).collect();
        let mut theirs = received(&key(1));
        open(&mut theirs, 1_000, &sent[3]).unwrap();
        assert!(open(&mut theirs, 1_000 + MAX_SKIPPED_AGE_MS, &sent[0]).is_some());
        assert_eq!(open(&mut theirs, 1_001 + MAX_SKIPPED_AGE_MS, &sent[1]), None);
        // What has expired is erased with the next message.
        let next = SenderKeyMessage::decode(&sent[4]).unwrap();
        let opened = theirs.decrypt(1_001 + MAX_SKIPPED_AGE_MS, &next, &HEAD).unwrap();
        let gone: Vec<_> = opened.skipped.removed.iter().map(|id| id.iteration()).collect();
        assert_eq!(gone, [1, 2]);
        assert_eq!(theirs.skipped_messages().count(), 0);
    }

    #[test]
    fn a_forged_jump_does_not_step_the_chain() {
        let mut ours = key(1);
        let mut theirs = received(&ours);
        let sent: Vec<_> = iter::repeat_with(|| ours.seal_anyway(b"words"))
            .take(2_001)
            .collect();
        let mut forgers = ours.forgers();
        forgers.iteration = 2_000;
        let honest = sent.last().unwrap();
        let mut unsigned = honest.clone();
        *unsigned.last_mut().unwrap() ^= 1;
        let (before, steps) = (theirs.to_bytes(), ADVANCES.get());
        for forged in [unsigned, forgers.seal_anyway(b"words")] {
            assert_eq!(open(&mut theirs, 0, &forged), None);
        }
        assert_eq!((theirs.to_bytes(), ADVANCES.get()), (before, steps));
        assert!(open(&mut theirs, 0, honest).is_some());
        assert_eq!(ADVANCES.get(), steps + 1, "what the sender signed does");
    }

    #[test]
    fn the_last_iteration_is_refused() {
        let ours = key(1);
        let mut theirs = received(&ours);
        theirs.next = u32::MAX;
        let header = MessageHeader {
            key_id: theirs.id,
            iteration: u32::MAX,
            roster_head: HEAD,
        };
        let prefix = header.prefix(0);
        let aad = [&theirs.associated_data, prefix.as_slice()].concat();
        let mut ciphertext = Vec::new();
        pad_onto(&mut ciphertext, b"words").unwrap();
        let message_key = theirs.chain.step().0;
        message_key
            .seal(&[LABEL_SENDER_KEY_MESSAGE], &aad, &mut ciphertext, 0)
            .unwrap();
        let digest = MessageDigest::new(&theirs.associated_data, &prefix, &ciphertext);
        let message = SenderKeyMessage {
            header,
            ciphertext,
            signature: SenderSigningKey::from_secret(&signing_secret(&ours)).sign(&digest),
        };
        assert_eq!(open(&mut theirs, 0, &message.encode()), None);
        assert_eq!(theirs.iteration(), u32::MAX);
    }

    #[test]
    fn a_distribution_further_on_is_followed_as_far_as_a_message_could_jump() {
        let (mut ours, theirs) = (key(1), received(&key(1)));
        for steps in 1..=2_001 {
            ours.seal_anyway(b"");
            if [1, 2_000, 2_001].contains(&steps) {
                assert_eq!(theirs.leads_to(&ours.hand_out_anyway()), steps <= 2_000);
            }
        }
    }

    #[test]
    fn a_received_sender_key_prints_no_secret() {
        let theirs = received(&key(1));
        assert_eq!(format!("{theirs:?}"), "ReceivingSenderKey([redacted])");
        let mut ours = key(1);
        ours.seal_anyway(b"");
        let mut theirs = received(&key(1));
        let message = SenderKeyMessage::decode(&ours.seal_anyway(b"")).unwrap();
        let opened = theirs.decrypt(0, &message, &HEAD).unwrap();
        let record = opened.skipped.added.first().unwrap();
        assert_eq!(format!("{record:?}"), "SkippedMessageRecord([redacted])");
    }
}
