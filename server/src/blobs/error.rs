//! What can go wrong with the storage.

use std::io;
use std::path::PathBuf;

/// Why the storage did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The folder cannot be made or opened.
    #[error("the folder {} cannot be used", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The settings of the S3 storage do not go together.
    #[error("the settings of the S3 storage cannot be used")]
    Settings(#[source] object_store::Error),
    /// An object is not there that should be.
    #[error("an object is missing from the storage")]
    Missing,
    /// An object is longer or shorter than it was written.
    #[error("an object in the storage is not as long as it was written")]
    Truncated,
    /// What is read is not what was written.
    #[error("the storage gives other bytes than were written")]
    Differs,
    /// What was removed is still there.
    #[error("the storage still has what was removed")]
    NotRemoved,
    /// The storage does not answer, or refuses.
    #[error("the storage does not do as it is told")]
    Failed(#[source] object_store::Error),
    /// A file of the storage's folder cannot be removed.
    #[error("a file in the storage cannot be removed")]
    Remove(#[source] io::Error),
}

impl StorageError {
    /// A word for the log, which holds no names of objects.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Folder { .. } => "folder",
            Self::Settings(_) => "settings",
            Self::Missing => "missing",
            Self::Truncated => "truncated",
            Self::Differs => "differs",
            Self::NotRemoved => "not_removed",
            Self::Remove(_) => "remove",
            Self::Failed(error) => match error {
                object_store::Error::PermissionDenied { .. } => "permission_denied",
                object_store::Error::Unauthenticated { .. } => "unauthenticated",
                object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
                    "not_supported"
                }
                _ => "failed",
            },
        }
    }
}

impl From<object_store::Error> for StorageError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { .. } => Self::Missing,
            error => Self::Failed(error),
        }
    }
}
