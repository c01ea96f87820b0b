//! What an app can ask for that cannot be.

/// Why the engine will not do what the app asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// The message is longer than one message may be.
    #[error("the message is too long: at most {} bytes", crate::MAX_BODY_LEN)]
    TooLong,
    /// The message has no content this version can send.
    #[error("a message of this kind cannot be sent")]
    NotSendable,
    /// The recipient is this account itself, which has no other device.
    #[error("a message cannot be sent to oneself")]
    ToOneself,
    /// The message is to be delivered more than 6 days ahead, or to wait for more than 30.
    #[error("a message can be delivered at most 6 days ahead, and wait for at most 30")]
    DeliveryTime,
    /// There is no such message that waits for its time.
    #[error("no such message waits for its time")]
    NotScheduled,
    /// The app's user has blocked the recipient.
    #[error("the recipient is blocked")]
    Blocked,
    /// It takes a connection, and there is none now.
    #[error("this can be done while connected only")]
    Offline,
    /// This device does not have the account's secret: the one the account was made on does.
    #[error("this device cannot change the account's devices")]
    NotPrimary,
    /// The account has no such device, or it is this one.
    #[error("the account has no such other device")]
    NoSuchDevice,
    /// The offered device is on the account already, or there are too many.
    #[error("the device cannot be linked")]
    NotLinkable,
    /// There is no such channel, or this account is not in it.
    #[error("there is no such channel")]
    NoSuchChannel,
    /// A change to the channel waits for the server already.
    #[error("a change to the channel is under way")]
    ChannelBusy,
    /// The channel's rules do not allow the change: by this account's role, or because it changes nothing.
    #[error("the channel's rules do not allow this")]
    NotAllowed,
    /// This device is in as many channels as it keeps.
    #[error("this device is in as many channels as it keeps")]
    TooManyChannels,
    /// Too many messages wait to be sent already.
    #[error("too many messages are waiting to be sent: try again when some have gone out")]
    OutboxFull,
    /// The app has left too many events unacknowledged.
    #[error("too many events are unacknowledged: acknowledge them first")]
    EventsUnacknowledged,
    /// No changed account key of that value is waiting to be accepted.
    #[error("that account key is not waiting to be accepted")]
    NoSuchAccountKey,
    /// The server's challenge is not one that may be signed.
    #[error("the server's challenge is malformed")]
    Challenge,
    /// Something that cannot be has happened; nothing was changed.
    #[error("the engine is in a state it cannot be in")]
    Internal,
}
