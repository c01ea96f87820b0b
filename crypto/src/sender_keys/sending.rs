//! Our sender key for a channel.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use sottovoce_statements::{ChannelId, RosterHead};
use zeroize::Zeroizing;

use crate::chain::ChainKey;
use crate::codec::Write;
use crate::padding::{pad_onto, padded_len};
use crate::primitives::aead::TAG_LEN;
use crate::secret::{Secret32, redacted_debug};
use crate::sender_keys::LABEL_SENDER_KEY_MESSAGE;
use crate::sender_keys::claims::RosterDoubt;
use crate::sender_keys::context::{AssociatedData, SenderKeyContext, SenderKeyId};
use crate::sender_keys::distribution::SenderKeyDistribution;
use crate::sender_keys::error::{RotationReason, SenderKeySendError};
use crate::sender_keys::message::MessageHeader;
use crate::sender_keys::roster::SendingRoster;
use crate::sender_keys::signature::{MessageDigest, SIGNATURE_LEN, SenderSigningKey};

/// Most messages encrypted with one sender key. A new one costs a pairwise message to every device in the
/// channel, and a stolen one reads on until there is a new one; this puts the cost at a thousandth of a
/// pairwise message per message and device. It is also less than
/// [`MAX_FORWARD_JUMP`](crate::MAX_FORWARD_JUMP), so that a receiver can lose any number of a key's messages and
/// still read the next.
pub const MAX_SENDER_KEY_MESSAGES: u32 = 1_000;

/// Longest a sender key is used, in milliseconds: 7 days. A quiet channel heals from a theft within a week
/// as well.
pub const MAX_SENDER_KEY_AGE_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Our sender key for a channel: what we encrypt with, once for all members.
///
/// Save it after [`encrypt`](Self::encrypt) and before the message leaves: two messages under one key of the
/// chain would give the server what they differ in.
///
/// ```
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// use sottovoce_crypto::statements::{Address, ChannelId, DeviceId, Role, RosterHead, RosterMember};
/// use sottovoce_crypto::{
///     AccountKeyPair, IdentityKeyPair, Party, ReceivingSenderKey, RosterDoubt, SenderKeyContext,
///     SenderKeyDistribution, SenderKeyMessage, SendingRoster, SendingSenderKey,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// # let now_ms = 1_800_000_000_000;
/// let alice = Party {
///     address: Address::parse("alice@chat.example")?,
///     device_id: DeviceId::from_bytes([0xa1; 16]),
///     account_key: AccountKeyPair::generate(rng).public(),
///     identity_key: IdentityKeyPair::generate(rng).public(),
/// };
/// // What the channel's roster says of Alice; a `Roster` gives it with `member()`.
/// let member = RosterMember {
///     account_key: *alice.account_key.as_bytes(),
///     role: Role::Owner,
///     manifest_version: 1,
/// };
/// let context = SenderKeyContext { channel_id: ChannelId::from_bytes([0xcc; 32]), sender: alice };
/// // And of itself; a `Roster` gives it with `view()`.
/// let head = RosterHead { height: 4, hash: [4; 32] };
/// let roster = SendingRoster { head, departed_at: 0, doubt: RosterDoubt::None };
///
/// // Alice makes a key, and sends it to every member's devices in her pairwise sessions with them.
/// let mut alices = SendingSenderKey::generate(rng, now_ms, &context, head);
/// let secret_bytes = alices.distribution(now_ms, &roster)?.encode();
///
/// // Bob takes it up, if he agrees with what Alice believes the channel to be.
/// let distribution = SenderKeyDistribution::decode(&secret_bytes)?;
/// let (mut bobs, _) = ReceivingSenderKey::accept(&context, &distribution, &member, &head)?;
///
/// // From then on one ciphertext is for all of them.
/// let bytes = alices.encrypt(now_ms, &roster, b"hello, everybody")?;
/// let opened = bobs.decrypt(now_ms, &SenderKeyMessage::decode(&bytes)?, &head)?;
/// assert_eq!(opened.plaintext.as_slice(), b"hello, everybody");
///
/// // Somebody leaves: nothing more is sent before the key is replaced.
/// let head = RosterHead { height: 5, hash: [5; 32] };
/// let roster = SendingRoster { head, departed_at: 5, doubt: RosterDoubt::None };
/// assert!(alices.encrypt(now_ms, &roster, b"are we alone?").is_err());
/// let mut alices = alices.replace(rng, now_ms, head);
/// # let _ = alices.encrypt(now_ms, &roster, b"we are")?;
/// # Ok(())
/// # }
/// ```
pub struct SendingSenderKey {
    pub(super) channel_id: ChannelId,
    pub(super) associated_data: AssociatedData,
    pub(super) id: SenderKeyId,
    /// Number of the next message.
    pub(super) iteration: u32,
    pub(super) chain: ChainKey,
    pub(super) signing_key: SenderSigningKey,
    pub(super) made_at_ms: u64,
    pub(super) made_under: RosterHead,
    pub(super) retired: bool,
}

impl SendingSenderKey {
    /// Draws a sender key for `context`, whose sender we are. `head` is the newest entry of the roster:
    /// who has left by then never gets the key, so give it to none of them. `now_ms` is Unix time in
    /// milliseconds.
    pub fn generate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_ms: u64,
        context: &SenderKeyContext,
        head: RosterHead,
    ) -> Self {
        Self::draw(rng, now_ms, context.channel_id, context.associated_data(), head)
    }

    /// Puts a new sender key in the place of this one, which is erased. Nobody has the new one yet:
    /// distribute it to all who are members now.
    #[must_use]
    pub fn replace<R: CryptoRng + ?Sized>(self, rng: &mut R, now_ms: u64, head: RosterHead) -> Self {
        Self::draw(rng, now_ms, self.channel_id, self.associated_data, head)
    }

    /// Marks the key as one that must not be used any more, because a member's device was revoked. A
    /// departure from the roster needs no mark. The mark is saved with the key.
    pub fn retire(&mut self) {
        self.retired = true;
    }

    /// Why the key has to be replaced before anything is sent, if it has.
    #[must_use]
    pub fn rotation_due(&self, now_ms: u64, roster: &SendingRoster) -> Option<RotationReason> {
        if roster.departed_at > self.made_under.height {
            Some(RotationReason::Departure)
        } else if self.retired {
            Some(RotationReason::Retired)
        } else if self.iteration >= MAX_SENDER_KEY_MESSAGES {
            Some(RotationReason::Messages)
        } else if now_ms.saturating_sub(self.made_at_ms) >= MAX_SENDER_KEY_AGE_MS {
            Some(RotationReason::Age)
        } else {
            None
        }
    }

    /// The key as it is now, for a device that does not have it: it will read what is sent from now on,
    /// and nothing before. Give it to [members](crate::Party::is_member_of)' devices only: those on manifests
    /// signed by the account key that the roster has.
    ///
    /// # Errors
    /// [`SenderKeySendError`] if nothing may be sent with the key.
    pub fn distribution(
        &self,
        now_ms: u64,
        roster: &SendingRoster,
    ) -> Result<SenderKeyDistribution, SenderKeySendError> {
        self.check(now_ms, roster)?;
        Ok(self.hand_out(roster.head))
    }

    /// Encrypts a message, of at most [`MAX_PLAINTEXT_LEN`](crate::MAX_PLAINTEXT_LEN) bytes, for everybody who
    /// has the key. Returns the bytes to send.
    ///
    /// # Errors
    /// [`SenderKeySendError`]; the key is then as it was.
    pub fn encrypt(
        &mut self,
        now_ms: u64,
        roster: &SendingRoster,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SenderKeySendError> {
        self.check(now_ms, roster)?;
        self.seal(roster.head, plaintext)
            .ok_or(SenderKeySendError::TooLong)
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

    /// The number of the next message: how many were encrypted.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.iteration
    }

    /// Whether the key was made for this context.
    #[must_use]
    pub fn is_for(&self, context: &SenderKeyContext) -> bool {
        self.associated_data == context.associated_data()
    }

    fn draw<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_ms: u64,
        channel_id: ChannelId,
        associated_data: AssociatedData,
        head: RosterHead,
    ) -> Self {
        Self {
            channel_id,
            associated_data,
            id: SenderKeyId::random(rng),
            iteration: 0,
            chain: ChainKey::new(Secret32::random(rng)),
            signing_key: SenderSigningKey::generate(rng),
            made_at_ms: now_ms,
            made_under: head,
            retired: false,
        }
    }

    fn hand_out(&self, roster_head: RosterHead) -> SenderKeyDistribution {
        SenderKeyDistribution {
            channel_id: self.channel_id,
            key_id: self.id,
            iteration: self.iteration,
            chain: self.chain.clone(),
            signing_key: self.signing_key.public(),
            roster_head,
        }
    }

    /// Encrypts and signs the next message, or nothing if it is too long.
    fn seal(&mut self, roster_head: RosterHead, plaintext: &[u8]) -> Option<Vec<u8>> {
        let following = self.iteration.checked_add(1)?;
        let header = MessageHeader {
            key_id: self.id,
            iteration: self.iteration,
            roster_head,
        };
        // Room for all of it from the start: the plaintext is encrypted where it is written.
        let room = padded_len(plaintext)? + TAG_LEN + SIGNATURE_LEN;
        let mut message = Zeroizing::new(header.prefix(room));
        let start = message.len();
        let aad = [&self.associated_data, message.as_slice()].concat();
        pad_onto(&mut message, plaintext)?;
        let (message_key, chain) = self.chain.step();
        message_key
            .seal(&[LABEL_SENDER_KEY_MESSAGE], &aad, &mut message, start)
            .ok()?;
        let digest = MessageDigest::new(&self.associated_data, &message, &[]);
        message.put(&self.signing_key.sign(&digest));
        self.chain = chain;
        self.iteration = following;
        Some(core::mem::take(&mut *message))
    }

    /// Whether anything may be sent with the key.
    fn check(&self, now_ms: u64, roster: &SendingRoster) -> Result<(), SenderKeySendError> {
        if self.contradicts(&roster.head) {
            return Err(SenderKeySendError::RosterForked);
        }
        match roster.doubt {
            RosterDoubt::None => {}
            RosterDoubt::Behind => return Err(SenderKeySendError::RosterBehind),
            RosterDoubt::Forked => return Err(SenderKeySendError::RosterForked),
        }
        match self.rotation_due(now_ms, roster) {
            Some(reason) => Err(SenderKeySendError::RotationDue(reason)),
            None => Ok(()),
        }
    }

    /// A roster only grows: one that is shorter than when the key was made, or of the same height and not
    /// the same, is another roster.
    fn contradicts(&self, head: &RosterHead) -> bool {
        head.height < self.made_under.height
            || head.height == self.made_under.height && head.hash != self.made_under.hash
    }
}

redacted_debug!(SendingSenderKey);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::format;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    pub(in crate::sender_keys) const HEAD: RosterHead = RosterHead {
        height: 3,
        hash: [3; 32],
    };

    /// A sender key of somebody's, drawn from a seed.
    pub(in crate::sender_keys) fn key(seed: u8) -> SendingSenderKey {
        let rng = &mut ChaCha20Rng::from_seed([seed; 32]);
        SendingSenderKey::draw(rng, 0, ChannelId::from_bytes([0xc; 32]), [0xad; 32], HEAD)
    }

    impl SendingSenderKey {
        /// Encrypts, whatever the rules of rotation.
        pub(in crate::sender_keys) fn seal_anyway(&mut self, plaintext: &[u8]) -> Vec<u8> {
            self.seal(HEAD, plaintext).unwrap()
        }

        /// Hands the key out, whatever the rules of rotation.
        pub(in crate::sender_keys) fn hand_out_anyway(&self) -> SenderKeyDistribution {
            self.hand_out(HEAD)
        }

        /// A key with the chain of this one, under the same name, and a signing key of our own: all that
        /// another member can make of it.
        pub(in crate::sender_keys) fn forgers(&self) -> Self {
            Self {
                chain: self.chain.clone(),
                signing_key: SenderSigningKey::from_secret(&Secret32::copy_from(&[0xf0; 32])),
                channel_id: self.channel_id,
                associated_data: self.associated_data,
                id: self.id,
                iteration: self.iteration,
                made_at_ms: self.made_at_ms,
                made_under: self.made_under,
                retired: self.retired,
            }
        }
    }

    #[test]
    fn a_sender_key_whose_iterations_have_run_out_encrypts_nothing() {
        let mut key = key(1);
        key.iteration = u32::MAX;
        let before = key.to_bytes();
        assert!(key.seal(HEAD, b"words").is_none());
        assert_eq!(key.to_bytes(), before);
    }

    #[test]
    fn a_sender_key_prints_no_secret() {
        let key = key(1);
        let distribution = key.hand_out(HEAD);
        assert_eq!(format!("{key:?}"), "SendingSenderKey([redacted])");
        assert_eq!(format!("{distribution:?}"), "SenderKeyDistribution([redacted])");
        assert_eq!(format!("{:?}", key.signing_key), "SenderSigningKey([redacted])");
    }
}
