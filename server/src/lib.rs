//! The Sottovoce reference server: it stores ciphertext, prekeys and who is who, and can read nothing
//! of what people say.
//!
//! `sottovoce-server serve` runs it as a program; this library is the same server for tests, examples
//! and programs that bring their own `main`. What each call means is in `proto/PROTOCOL.md`, how to run
//! it in `server/OPERATING.md`.
//!
//! ```
//! use sottovoce_server::{Config, Server};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! let config = Config {
//!     data_dir: folder.path().join("data"),
//!     listen: "127.0.0.1:0".parse()?,
//!     ..Config::default()
//! };
//! let server = Server::bind(config).await?;
//! println!("listening on {}", server.local_addr());
//! server.serve(std::future::ready(())).await?; // stops at once; give it a signal to wait for
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod admin;
mod announce;
mod app;
mod auth;
mod blobs;
mod blocks;
mod body;
mod calls;
mod cli;
mod clock;
mod config;
mod connections;
mod cors;
mod descriptors;
mod error;
mod fan_out;
mod fields;
mod gate;
mod hints;
mod hub;
mod jobs;
mod limits;
#[cfg(test)]
mod manual;
mod metrics;
mod observe;
mod orders;
mod pace;
mod peer;
mod prefix;
mod rates;
mod refusal;
mod server;
mod service;
mod serving;
mod shares;
mod sides;
#[cfg(test)]
mod simulation;
mod store;
mod stream;
mod tls;
mod turns;
mod watch;

pub use blobs::{
    MigrateError, Migrated, ProbeStep, S3Config, S3Secret, StorageConfig, StorageError, StorageTestError,
    migrate_storage, test_storage,
};
pub use blocks::{BlockedPrefix, MAX_BLOCKED};
pub use cli::command_line;
pub use config::{
    AdminConfig, Config, ConfigError, DEFAULT_PORT, Database, LogConfig, LogFormat, LogLevel, PostgresUrl,
    PostgresUrlError, Registration, Secret, TlsFiles,
};
pub use cors::WebOriginError;
pub use error::{ServeError, StartError};
pub use hints::{NatsUrl, NatsUrlError};
pub use limits::{
    Limits, MAX_ACKNOWLEDGED, MAX_BATCH, MAX_BATCH_PARTS, MAX_CHANNEL_PAGE, MAX_CIPHERTEXT_LEN, MAX_DEVICES,
    MAX_FRAME_LEN, MAX_GRANT_REQUEST_LEN, MAX_HEADER_LIST_LEN, MAX_MAILBOX_REQUEST_LEN, MAX_PART_LEN,
    MAX_PART_REQUEST_LEN, MAX_PIECE_LEN, MAX_POST_REQUEST_LEN, MAX_PREKEYS_REQUEST_LEN,
    MAX_PUBLISHED_KEM_PREKEYS, MAX_PUBLISHED_PREKEYS, MAX_REQUEST_LEN, MAX_REQUEST_PARTS, MAX_RESPONSE_LEN,
    MAX_ROSTER_PAGE,
};
pub use prefix::{AddressPrefix, AddressPrefixError};
pub use rates::{Rate, RateLimits};
pub use server::Server;
pub use sottovoce_statements::ServerName;
pub use tls::TlsError;
