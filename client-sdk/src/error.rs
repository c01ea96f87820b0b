//! What can go wrong, by what was being done.

use sottovoce_crypto::statements::Address;
use sottovoce_engine::InputError;
use sottovoce_proto::v1::ErrorReason;

/// Why a store or a client could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server's URL is not one.
    #[error("the server's URL is not valid")]
    ServerUrl,
    /// The URL is `http` and names another machine: the server would see who writes to whom, and so would
    /// everyone on the way.
    #[error("plain http is for servers on this machine only")]
    PlaintextNetwork,
    /// The roots hold no certificate, or this system has none that it believes.
    #[error("there is no certificate to believe a server by")]
    Roots,
    /// The store's file cannot be made, read or written.
    #[error("the store cannot be opened")]
    Store(#[source] sqlx::Error),
    /// Another client has the store open.
    #[error("another client is using this store")]
    StoreInUse,
    /// The passphrase or key is not the one the store was made with, or the store has been tampered with.
    #[error("the key does not open this store")]
    WrongKey,
    /// The passphrase is empty, or this machine cannot stretch it.
    #[error("the passphrase cannot be used")]
    Passphrase,
    /// A record in the store is damaged, or was written by a newer version.
    #[error("the store holds something this version cannot read")]
    Damaged,
    /// The device was cut off while it joined an account, and the server has still not taken it up: try
    /// again, unless the store holds [no account](Self::NoAccount) any more.
    #[error("the device has not joined its account yet")]
    NotJoined,
    /// The store holds no account yet: register one.
    #[error("the store holds no account: register one first")]
    NoAccount,
}

/// Why an account could not be registered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The store cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store holds an account already: open it.
    #[error("the store holds an account already: open it")]
    AlreadyRegistered,
    /// The store holds the keys of another address, whose registration was begun and never answered. The
    /// server may have made that account, and these are its only keys: register that address, or use
    /// another store.
    #[error(
        "the registration of {0} with this store is unfinished: register that address, or use another store"
    )]
    Unfinished(Address),
    /// Somebody has the address.
    #[error("the address is taken")]
    AddressTaken,
    /// The server does not register this address, for the reason given.
    #[error("the server does not register this account")]
    Refused(ErrorReason),
    /// The server wants an invite for a new account, and this one is missing, unknown, used up or expired.
    /// Registering again with the same store and another invite goes on with the same keys.
    #[error("the server wants an invite for this account")]
    InviteInvalid,
    /// The server did not answer, or gave an answer that leaves open whether it has made the account (out
    /// of time, full, failing). Registering again with the same store goes on with the same keys.
    #[error("the server did not register the account yet: try again with the same store")]
    Unavailable,
}

/// Why a device could not join an account.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The store cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store holds an account already.
    #[error("the store holds an account already")]
    AlreadyRegistered,
    /// Nobody answered the offer in time: make another.
    #[error("the offer has expired")]
    Expired,
    /// There is nothing to recover under this address and code.
    #[error("there is nothing to recover with this code")]
    WrongCode,
    /// The server does not take the device up, for the reason given. Nothing was kept.
    #[error("the server does not take this device up")]
    Refused(ErrorReason),
    /// The server did not answer. What there is of the device is kept in the store, if anything is.
    #[error("the server did not answer: try again")]
    Unavailable,
}

/// Why a client will not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It cannot be done as asked; nothing was changed.
    #[error(transparent)]
    Input(#[from] InputError),
    /// It takes a connection, and there is none now.
    #[error("the client is not connected")]
    Offline,
    /// The server refused, for the reason given.
    #[error("the server refused")]
    Refused(ErrorReason),
    /// The server did not answer, or not in a way that can be understood. It may have done what it was
    /// asked.
    #[error("the server gave no answer")]
    Unavailable,
    /// The client has stopped: it was closed, or its store failed. Open it anew.
    #[error("the client has stopped: open it anew")]
    Stopped,
}
