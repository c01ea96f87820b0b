//! The groups of settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Anyone who can reach the server.
    #[default]
    Open,
    /// Who has an invite that the operator made.
    Invite,
    /// Nobody; accounts that exist go on as before.
    Closed,
}

/// The listener for operators: metrics, readiness and the status page. None of it names a user, and none
/// of it changes anything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Where operators are listened for, over plain HTTP: keep it on this machine or a network of your
    /// own. Unset, there is no such listener; `init` sets `127.0.0.1:7444`.
    pub listen: Option<SocketAddr>,
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

/// The log on standard error.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How a line is written: `text` or `json`.
    pub format: LogFormat,
    /// How much is logged, `error`, `warn`, `info` or `debug`; never who, whatever the level.
    pub level: LogLevel,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one object a line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What went wrong for good.
    Error,
    /// And what may.
    Warn,
    /// And what an operator may want to know.
    #[default]
    Info,
    /// And a line for each call.
    Debug,
}
