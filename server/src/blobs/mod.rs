//! Where the bytes of blobs lie: a folder of this machine, or a bucket that speaks S3. The database says
//! what is there (`store::blobs`); here is only what it says.
//!
//! ```text
//!  BeginUpload ─▶ row ──┐
//!                       ▼
//!  UploadPart ─▶ object, then its row's count ─▶ ... ─▶ FinishUpload ─▶ readable
//!                                                              │
//!      row gone ◀── objects gone ◀── row marked ◀── the last hold is gone
//! ```
//!
//! A blob is one object for each part. A row is there before the first object and until after the last,
//! so an object without a row is nobody's.

mod config;
#[cfg(test)]
mod conformance;
mod download;
mod error;
mod jobs;
mod migrate;
mod name;
mod probe;
// Shared with the tests from outside.
#[cfg(test)]
#[path = "../../tests/common/s3.rs"]
mod s3_server;
mod storage;

pub use config::{S3Config, S3Secret, StorageConfig};
pub(crate) use download::{Download, Downloads, NoRoom};
pub use error::StorageError;
pub(crate) use jobs::{Shelves, mark_unheld, remove_orphans, remove_unheld};
pub use migrate::{MigrateError, Migrated, migrate_storage};
pub(crate) use name::StorageKey;
pub use probe::{ProbeStep, StorageTestError, test_storage};
pub(crate) use storage::Storage;

/// Makes `ring` the provider of cryptography for TLS, unless the program has chosen one: the HTTP client
/// of the S3 storage comes without.
pub(crate) fn install_tls_provider() {
    // An error says that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
