//! What a server says of itself, before there is an account.

use sottovoce_proto::v1;
use sottovoce_proto::v1::server_service_client::ServerServiceClient;

use crate::config::Config;
use crate::error::OpenError;
use crate::transport::{Transport, answer, timed};

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The part after the `@` of every account there.
    pub server_name: String,
    /// Its software and version, for people to read.
    pub version: String,
    /// Who may make an account.
    pub registration: Registration,
    /// Its clock, Unix time in milliseconds.
    pub now_ms: u64,
    /// Longest attachment it keeps, sealed, in bytes; 0 when it keeps none.
    pub max_blob_size: u64,
}

/// Who may make an account at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registration {
    /// Whoever can reach it.
    Open,
    /// Who has an invite.
    Invite,
    /// Nobody.
    Closed,
    /// Something that this version does not know.
    Unknown,
}

/// Why a server tells nothing of itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerInfoError {
    /// Its URL or certificates cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It does not answer.
    #[error("the server does not answer")]
    Unavailable,
}

impl ServerInfo {
    /// Asks the server of a configuration, whose store is not looked at.
    ///
    /// # Errors
    /// [`ServerInfoError`].
    pub async fn of(config: &Config) -> Result<Self, ServerInfoError> {
        let transport = Transport::of(config)?;
        let mut client = ServerServiceClient::new(transport.anonymous());
        let info = answer(client.get_server_info(timed(v1::GetServerInfoRequest {})))
            .await
            .map_err(|_| ServerInfoError::Unavailable)?;
        Ok(Self {
            registration: match info.registration() {
                v1::Registration::Open => Registration::Open,
                v1::Registration::Invite => Registration::Invite,
                v1::Registration::Closed => Registration::Closed,
                v1::Registration::Unspecified => Registration::Unknown,
            },
            server_name: info.server_name,
            version: info.version,
            now_ms: info.now_ms,
            max_blob_size: info.max_blob_size,
        })
    }
}
