//! What can go wrong with an attachment, by what was being done.

use std::io;

use sottovoce_proto::v1::ErrorReason;

/// Why an attachment was not sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is longer than an attachment may be.
    #[error("the content is longer than an attachment may be")]
    TooLong,
    /// The content cannot be read, or ends before its length.
    #[error("the content cannot be read")]
    Content(#[source] io::Error),
    /// The file to seal into cannot be written.
    #[error("the sealed file cannot be written")]
    File(#[source] io::Error),
}

/// Why an attachment was not uploaded. What the server has of it, it keeps for a day: uploading again goes
/// on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The sealed file cannot be read, or is not as long as it was sealed.
    #[error("the sealed file cannot be read")]
    File(#[source] io::Error),
    /// The server does not take it, for the reason given: it is too large, or the account's share is used
    /// up.
    #[error("the server does not take the attachment")]
    Refused(ErrorReason),
    /// The server could not be reached for a while. Try again.
    #[error("the server cannot be reached: try again")]
    Unavailable,
    /// The client has stopped. Open it anew, and try again.
    #[error("the client has stopped: open it anew")]
    Stopped,
}

/// Why an attachment was not downloaded. What was written of it is genuine: downloading again can go on
/// from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DownloadError {
    /// What the server has under this id is not what was sealed. Asking again does not help.
    #[error("the server's copy of the attachment is damaged")]
    Damaged,
    /// The content cannot be written where it should go.
    #[error("the content cannot be written")]
    Write(#[source] io::Error),
    /// The server does not have it any more, or refuses for the reason given.
    #[error("the server does not give the attachment")]
    Refused(ErrorReason),
    /// The server could not be reached for a while. Try again.
    #[error("the server cannot be reached: try again")]
    Unavailable,
    /// The client has stopped. Open it anew, and try again.
    #[error("the client has stopped: open it anew")]
    Stopped,
}

/// Why the server was not asked to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Refused(ErrorReason),
    Unavailable,
    Stopped,
}

impl From<Failed> for UploadError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(reason) => Self::Refused(reason),
            Failed::Unavailable => Self::Unavailable,
            Failed::Stopped => Self::Stopped,
        }
    }
}

impl From<Failed> for DownloadError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(reason) => Self::Refused(reason),
            Failed::Unavailable => Self::Unavailable,
            Failed::Stopped => Self::Stopped,
        }
    }
}
