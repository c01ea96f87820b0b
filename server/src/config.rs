//! What a server is told when it starts.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sottovoce_statements::ServerName;
use sqlx::postgres::PgConnectOptions;

use crate::blobs::StorageConfig;
use crate::hints::NatsUrl;
use crate::limits::Limits;
use crate::prefix::AddressPrefix;

/// The port the server listens on when told nothing else.
pub const DEFAULT_PORT: u16 = 7443;

/// How a server is set up. [`Config::default`] is a private server on this machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder the server keeps everything in; created where it is missing. Default
    /// `sottovoce-data` in the working directory.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one. Default `127.0.0.1:7443`.
    pub listen: SocketAddr,
    /// The part after the `@` of every account here, and the name devices sign in to. Default
    /// `localhost`. Accounts are bound to it: changing it later locks them out.
    pub server_name: ServerName,
    /// Whether new accounts are taken. Default [`Registration::Open`].
    pub registration: Registration,
    /// The certificate and key that connections are encrypted with. Default none: connections are not
    /// encrypted, and only this machine can reach the server.
    pub tls: Option<TlsFiles>,
    /// Listen beyond this machine although connections are not encrypted: for closed networks, and
    /// behind a proxy that speaks TLS. Default `false`.
    pub allow_plaintext_network: bool,
    /// Which database. Default [`Database::Sqlite`].
    pub database: Database,
    /// Through which several nodes on one PostgreSQL database tell each other that there is something to
    /// look at. Without it they look by themselves, which takes them a second. Default none.
    pub nats: Option<NatsUrl>,
    /// Origins whose web pages may call, such as `https://chat.example`. Default none.
    pub web_origins: Vec<String>,
    /// Proxies whose word is taken for where a call comes from (`x-forwarded-for`), such as `10.0.0.0/8`.
    /// Default none.
    pub trusted_proxies: Vec<AddressPrefix>,
    /// Where the bytes of blobs are kept. Default a folder `blobs` in `data_dir`.
    pub storage: StorageConfig,
    /// How much of everything.
    pub limits: Limits,
}

/// Where the server's certificate is. Both files are looked at again while the server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate and those that vouch for it, in this order, in PEM.
    pub certificate: PathBuf,
    /// Its private key in PEM: PKCS#8, SEC 1 or PKCS#1.
    pub key: PathBuf,
}

/// Whether new accounts are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Anyone who can reach the server may register.
    #[default]
    Open,
    /// Nobody may; accounts that exist go on as before.
    Closed,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("sottovoce-data"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            server_name: default_server_name(),
            registration: Registration::default(),
            tls: None,
            allow_plaintext_network: false,
            database: Database::default(),
            nats: None,
            web_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            storage: StorageConfig::default(),
            limits: Limits::default(),
        }
    }
}

/// Where the server keeps what it has promised to keep.
#[derive(Clone, Debug, Default)]
pub enum Database {
    /// A file in the data folder: for one server.
    #[default]
    Sqlite,
    /// PostgreSQL, which any number of nodes may share.
    Postgres(PostgresUrl),
}

/// `postgres://user:password@host:port/database?…`, as PostgreSQL's own programs read it. May hold a
/// password, so it is not printed.
#[derive(Clone)]
pub struct PostgresUrl(PgConnectOptions);

/// The text is not a PostgreSQL URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a postgres:// URL")]
pub struct PostgresUrlError;

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`PostgresUrlError`] when it is none. The text is not repeated in it.
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(PostgresUrlError);
        }
        text.parse().map(Self).map_err(|_| PostgresUrlError)
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.0.clone()
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl([redacted])")
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
    }
}
