//! What a server is told when it starts. Each setting is a field here or in [`Limits`]; what its
//! documentation says is what the operators' table says, which is made of it.

mod database;
mod explain;
mod load;
mod parts;
mod secret;
mod storage;
mod text;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sottovoce_statements::ServerName;

use crate::blobs::StorageConfig;
use crate::hints::NatsUrl;
use crate::limits::Limits;
use crate::prefix::AddressPrefix;

pub use database::{Database, PostgresUrl, PostgresUrlError};
pub use explain::ConfigError;
pub(crate) use explain::ListenError;
pub(crate) use load::Sources;
#[cfg(test)]
pub(crate) use load::TEXT;
pub use parts::{AdminConfig, LogConfig, LogFormat, LogLevel, Registration, TlsFiles};
pub use secret::Secret;
pub(crate) use text::{duration, keepalive, name, nats, seconds};

/// The port the server listens on when told nothing else.
pub const DEFAULT_PORT: u16 = 7443;

/// How a server is set up. [`Config::default`] is a private server on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The part after the `@` of every account here, and the name devices sign in to. Accounts are
    /// bound to it: the database keeps it, and is not opened under another.
    #[serde(with = "name")]
    pub server_name: ServerName,
    /// Where clients are listened for; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Listen beyond this machine although connections are not encrypted: for closed networks, and
    /// behind a proxy that speaks TLS.
    #[serde(rename = "insecure_allow_plaintext_network")]
    pub allow_plaintext_network: bool,
    /// The certificate and key that connections are encrypted with; unset, they are not encrypted, and only
    /// this machine can reach the server.
    pub tls: Option<TlsFiles>,
    /// The folder the server keeps its own files in, SQLite's among them; created where it is missing.
    pub data_dir: PathBuf,
    /// `sqlite`, a file in `data_dir`, for one server; or PostgreSQL, which several nodes may share:
    /// `postgres://user:password@host:5432/name`. A secret.
    pub database: Database,
    /// Who may make an account: `open` anybody, `invite` who has an invite, `closed` nobody. Where it is
    /// not set, `sottovoce-server` takes `open` for a server of this machine (it listens on loopback and
    /// is called `localhost`) and `invite` for every other.
    pub registration: Registration,
    /// What this server is called among several on one database, in logs and in the table of jobs;
    /// unset, a random name at each start.
    pub node: Option<String>,
    /// Origins whose web pages may call, such as `https://chat.example`.
    pub web_origins: Vec<String>,
    /// Proxies whose word is taken for where a call comes from (`x-forwarded-for`), such as `10.0.0.0/8`.
    pub trusted_proxies: Vec<AddressPrefix>,
    /// The listener for operators.
    pub admin: AdminConfig,
    /// NATS, `nats://host:port`, through which several nodes on one PostgreSQL database tell each other
    /// that there is something to look at. Without it they look by themselves, which takes them a second.
    /// A secret.
    #[serde(with = "nats")]
    pub nats: Option<NatsUrl>,
    /// Where attachments are kept.
    #[serde(with = "storage")]
    pub storage: StorageConfig,
    /// What `sottovoce-server` logs; a program that brings its own `main` sets up its own log.
    pub log: LogConfig,
    /// How much of everything.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: default_server_name(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            allow_plaintext_network: false,
            tls: None,
            data_dir: PathBuf::from("sottovoce-data"),
            database: Database::default(),
            registration: Registration::default(),
            node: None,
            admin: AdminConfig::default(),
            nats: None,
            web_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            storage: StorageConfig::default(),
            log: LogConfig::default(),
            limits: Limits::default(),
        }
    }
}

#[allow(clippy::expect_used, reason = "a constant, and a test below parses it")]
fn default_server_name() -> ServerName {
    ServerName::parse("localhost").expect("localhost is a server name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_private_server_on_this_machine() {
        let config = Config::default();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.server_name.as_str(), "localhost");
        assert!(!config.allow_plaintext_network);
        assert_eq!(config.admin.listen, None, "two of them start side by side");
    }
}
