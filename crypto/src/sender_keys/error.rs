//! What can go wrong with a sender key, one enum per operation.

use crate::sender_keys::RosterFork;

/// Why nothing may be sent with a sender key. The key is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderKeySendError {
    /// The key has to be replaced first: [`replace`](crate::SendingSenderKey::replace) it, distribute
    /// the new one to all who are members now, and send with that.
    #[error("the sender key has to be replaced: {0}")]
    RotationDue(RotationReason),
    /// Members were shown different rosters, or one of them claims it. Nobody can tell who would read the
    /// message; resolve the [claim](crate::RosterClaims), and tell the user.
    #[error("the channel's roster is forked")]
    RosterForked,
    /// A member named a head that we cannot compare with ours: somebody may have been removed since.
    /// Resolve the [claim](crate::RosterClaims) before anything is sent.
    #[error("the channel's roster has entries that have not come")]
    RosterBehind,
    /// Longer than [`MAX_PLAINTEXT_LEN`](crate::MAX_PLAINTEXT_LEN). Send it as an attachment.
    #[error("a message has at most {} bytes", crate::MAX_PLAINTEXT_LEN)]
    TooLong,
}

/// Why a sender key has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationReason {
    /// Somebody left the channel, or was removed, after the key was made.
    #[error("a member has left since it was made")]
    Departure,
    /// It was [retired](crate::SendingSenderKey::retire), because a member's device was revoked.
    #[error("it was retired")]
    Retired,
    /// It has encrypted [`MAX_SENDER_KEY_MESSAGES`](crate::MAX_SENDER_KEY_MESSAGES).
    #[error("it has encrypted {} messages", crate::MAX_SENDER_KEY_MESSAGES)]
    Messages,
    /// It is [`MAX_SENDER_KEY_AGE_MS`](crate::MAX_SENDER_KEY_AGE_MS) old.
    #[error("it is too old")]
    Age,
}

/// Why a message could not be decrypted. The sender key is, byte for byte, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderKeyDecryptError {
    /// Forged, damaged, already decrypted, too far ahead, too old, or from before we were given the key.
    /// Which of these is not told; drop the message, and trust nothing it says.
    #[error("the message cannot be decrypted")]
    Undecryptable,
    /// The message names another sender key. Look it up by [`key_id`](crate::SenderKeyMessage::key_id).
    #[error("the message is under another sender key")]
    OtherKey,
    /// The message is the sender's, and the sender names another roster than ours.
    /// [Note](crate::RosterClaims::note) it, and send nothing in this channel until it is resolved. What the
    /// message says is withheld.
    #[error(transparent)]
    Fork(#[from] RosterFork),
}

/// Why a distribution was not taken up. Whatever we had before is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DistributionError {
    /// It is for another channel.
    #[error("the sender key is for another channel")]
    OtherChannel,
    /// Its sender is not a device of the member's: the account key is not the one that the roster has for
    /// the address. If the roster is not the newest, fetch it and try again.
    #[error("the sender's account key is not the member's")]
    OtherAccount,
    /// It is of another sender key than the one at hand.
    #[error("the distribution is of another sender key")]
    OtherKey,
    /// It contradicts what the same sender distributed before under the same id. The sender is faulty or
    /// false; keep the key you have.
    #[error("the distribution contradicts an earlier one")]
    Conflict,
    /// The sender names another roster than ours. [Note](crate::RosterClaims::note) it, and send nothing in
    /// this channel until it is resolved.
    #[error(transparent)]
    Fork(#[from] RosterFork),
}
