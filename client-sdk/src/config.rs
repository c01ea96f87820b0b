//! What a client needs to be told.

use core::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

/// Where the server is, where the client keeps its records, and what seals them.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's URL, for example `https://chat.example:7443`. Plain `http` reaches this machine only.
    pub server: String,
    /// Whom to believe that a server is the one it says it is, over `https`; `None` for whom the system
    /// believes.
    pub roots: Option<Roots>,
    /// The client's SQLite file. Made if it is not there; used by one client at a time.
    pub store: PathBuf,
    /// What the file is sealed with.
    pub key: StoreKey,
    /// How the client listens to the server.
    pub streaming: Streaming,
}

/// How a client listens to its server while it is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streaming {
    /// The server streams what comes, and what goes out goes in calls of its own. Works through every proxy
    /// that speaks HTTP/2, and as browsers do it.
    #[default]
    OneWay,
    /// Messages by name and acknowledgements go out on the same stream that brings what comes: less for
    /// both sides to do with each.
    BothWays,
}

/// Certificates of those who vouch for servers (RFC 5280, "trust anchors").
#[derive(Clone, Debug)]
pub struct Roots(String);

impl Roots {
    /// One or more certificates in PEM (RFC 7468).
    #[must_use]
    pub fn pem(pem: &str) -> Self {
        Self(pem.to_owned())
    }

    pub(crate) fn as_pem(&self) -> &str {
        &self.0
    }
}

/// What a client's records are sealed with.
#[derive(Clone)]
pub struct StoreKey(pub(crate) Secret);

#[derive(Clone)]
pub(crate) enum Secret {
    Passphrase(Zeroizing<String>),
    Raw(Zeroizing<[u8; 32]>),
}

impl StoreKey {
    /// A passphrase, stretched with Argon2id (RFC 9106) under a random salt kept in the file.
    #[must_use]
    pub fn passphrase(passphrase: &str) -> Self {
        Self(Secret::Passphrase(Zeroizing::new(passphrase.to_owned())))
    }

    /// 32 uniformly random bytes that the platform keeps safe, for example in its key store.
    #[must_use]
    pub fn raw(key: [u8; 32]) -> Self {
        Self(Secret::Raw(Zeroizing::new(key)))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey([redacted])")
    }
}
