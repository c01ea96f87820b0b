//! What the app is told. Events are kept until the app acknowledges them, and told again after a
//! restart.

use sottovoce_crypto::statements::{AccountKey, Address, ChannelId, DeviceId};

use crate::message::{Body, ChannelPost, MessageId, ReceivedMessage};

/// An event's number on this device. Grows; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// Something the app should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What to acknowledge it by.
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A message arrived.
    MessageReceived(ReceivedMessage),
    /// The server has durably taken a message; it is on its way.
    MessageSent {
        /// Whom to.
        to: Address,
        /// Which message.
        message_id: MessageId,
        /// When the server took it, by its clock, Unix time in milliseconds.
        accepted_at_ms: u64,
    },
    /// A message will not be sent.
    MessageFailed {
        /// Whom to.
        to: Address,
        /// Which message.
        message_id: MessageId,
        /// Why.
        reason: SendFailure,
    },
    /// A message that was to be delivered later has been taken back, if that came in time.
    ScheduledCancelled {
        /// Whom it was to.
        to: Address,
        /// Which message.
        message_id: MessageId,
        /// Whether it will never be delivered. Otherwise it may have been.
        in_time: bool,
    },
    /// Messages of a sender have not come, and later ones have: lost, withheld or still on their way.
    MessagesMissing {
        /// Whose.
        from: Address,
        /// From which device.
        device_id: DeviceId,
        /// How many.
        count: u64,
    },
    /// Something arrived that cannot be read, and was thrown away.
    Unreadable {
        /// Who the server says sent it. Not proven.
        from: String,
        /// What is wrong with it.
        reason: Unreadable,
    },
    /// Another account key has appeared for an address. Nothing is sent there, and nothing from devices
    /// that only the new key names is opened, until the key is accepted or rejected. Messages from the
    /// trusted account still arrive.
    AccountKeyChanged {
        /// Whose.
        address: Address,
        /// The new key, to compare with its owner.
        account_key: AccountKey,
    },
    /// The server showed an older or another manifest than one already seen, one that does not verify, or
    /// none where there is a newer one. It was not believed.
    ManifestConflict {
        /// Whose.
        address: Address,
    },
    /// The server refused the access key that an address has told us. What waits is sent all the same, by
    /// name. Either the address has a new key, which comes with its next message, or the server wants to
    /// learn who writes to it.
    SealedRefused {
        /// Whose access key.
        address: Address,
    },
    /// Another device of this account has sent a message. The server may not have taken it yet.
    MessageSynced {
        /// Whom to.
        to: Address,
        /// Which message.
        message_id: MessageId,
        /// When it was sent, by that device's clock, Unix time in milliseconds.
        sent_at_ms: u64,
        /// What it says.
        body: Body,
    },
    /// This account has other devices than before.
    DevicesChanged {
        /// Those that are new.
        added: Vec<DeviceId>,
        /// Those that are gone.
        removed: Vec<DeviceId>,
    },
    /// The server would not have a device linked or revoked: the account's devices are as they were.
    DeviceChangeFailed,
    /// This device is not on its account's newest manifest any more.
    Revoked,
    /// This account is in a channel.
    ChannelJoined {
        /// Which.
        channel: ChannelId,
    },
    /// Who is in a channel has changed.
    ChannelChanged {
        /// Which.
        channel: ChannelId,
        /// The height of its roster now.
        height: u64,
    },
    /// This account is not in a channel any more.
    ChannelLeft {
        /// Which.
        channel: ChannelId,
    },
    /// The server would not have a channel founded or changed.
    ChannelRefused {
        /// Which.
        channel: ChannelId,
    },
    /// What the server shows of a channel's roster does not verify. It was not believed.
    ChannelUnverified {
        /// Which.
        channel: ChannelId,
    },
    /// A member was shown another roster of a channel than this device, or says so. Nothing is sent there
    /// until that is settled.
    ChannelDisputed {
        /// Which.
        channel: ChannelId,
        /// Who says so.
        by: Address,
    },
    /// Two entries of one height, each signed and allowed: the channel has two histories.
    ChannelForked {
        /// Which.
        channel: ChannelId,
    },
    /// A post arrived.
    PostReceived(ChannelPost),
    /// The server has durably taken a post.
    PostSent {
        /// Where to.
        channel: ChannelId,
        /// Which message.
        message_id: MessageId,
    },
    /// A post will not be sent.
    PostFailed {
        /// Where to.
        channel: ChannelId,
        /// Which message.
        message_id: MessageId,
    },
    /// A refresh token of this device was used twice: somebody else may have it. The server has ended
    /// that session, and this device has signed in anew.
    TokenReused,
    /// A sender has seen another manifest than this device has: either it or the server is wrong, or one
    /// of them lies.
    ManifestDisputed {
        /// Whose manifest: the sender's, or one's own.
        address: Address,
        /// Who says so.
        by: Address,
    },
}

/// Why a message will not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendFailure {
    /// No such account, or one on a server that this one does not reach.
    NoSuchAccount = 1,
    /// What the server says of the recipient's devices or prekeys does not verify.
    RecipientNotVerified = 2,
    /// The server refused the message for good.
    Refused = 3,
    /// The server hands out no KEM prekey of the recipient: a session begun without one would not
    /// withstand a quantum computer.
    Downgraded = 4,
}

/// Why something that arrived cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// Not a session message, or its content is malformed.
    Malformed = 1,
    /// Sent from a device that is not on its account's manifest.
    UnknownDevice = 2,
    /// It does not decrypt: damaged, forged, replayed, or for a session that is gone.
    NotAuthentic = 3,
    /// Sent from a device that only an account key not yet accepted names, when enough of these are held.
    KeyNotAccepted = 4,
    /// It begins a session that would not withstand a quantum computer (plain X3DH).
    Downgraded = 5,
}
