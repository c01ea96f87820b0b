//! Why a server does not start, and why it stops other than it was asked to.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::blobs::StorageError;
use crate::cors::WebOriginError;
use crate::tls::TlsError;

/// What stands in the way of [`Server::bind`](crate::Server::bind).
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder could not be created or opened.
    #[error("the data folder {} cannot be used", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another server uses the data folder.
    #[error("another server is using the data folder {}", path.display())]
    DataDirInUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database could not be opened.
    #[error("the database could not be opened")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the database could not be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database belongs to a server of another name.
    #[error(
        "this database was first opened for {kept}, whose accounts are called name@{kept}, and the settings \
         say name@{configured}"
    )]
    OtherName {
        /// The name that the database keeps, and accounts have signed.
        kept: String,
        /// The one in the settings.
        configured: String,
    },
    /// The connection to NATS could not be set up.
    #[error("the connection to NATS could not be set up")]
    Nats,
    /// The storage of blobs could not be opened.
    #[error("the storage of blobs could not be opened")]
    Storage(#[from] StorageError),
    /// The database is there, and could not be read.
    #[error("the database could not be read; the log says how")]
    Unreadable,
    /// The keys that nodes share could not be read or made; the log says why.
    #[error("the keys of the server could not be read from the database")]
    SharedKey,
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    Randomness,
    /// The certificate or its key cannot be used.
    #[error("connections cannot be encrypted")]
    Tls(#[from] TlsError),
    /// An origin is none.
    #[error("the web origins cannot be used")]
    WebOrigin(#[from] WebOriginError),
    /// Listening beyond this machine without TLS was not allowed.
    #[error(
        "{address} can be reached from other machines, and without a certificate this server \
         does not encrypt connections"
    )]
    PlaintextNetwork {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The operators' address could not be listened on.
    #[error("cannot listen on {address} for operators")]
    ListenAdmin {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// Why a server stopped other than it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The protocol's description, for gRPC reflection, could not be read.
    #[error("the protocol's own description could not be read")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// TLS could not be set up.
    #[error("connections cannot be encrypted")]
    Tls(#[from] TlsError),
    /// The database's writer has ended, so that nothing can be acknowledged any more.
    #[error("the database's writer ended by itself")]
    Writer,
}
