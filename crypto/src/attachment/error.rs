//! What can go wrong with an attachment, one enum per operation.

use crate::chunks::StreamHeaderError;
use crate::codec::Malformed;

/// Why an attachment could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentSealError {
    /// Longer than [`MAX_ATTACHMENT_LEN`](crate::MAX_ATTACHMENT_LEN). Send it in parts.
    #[error("an attachment has at most {} bytes", crate::MAX_ATTACHMENT_LEN)]
    TooLong,
    /// The buffer does not hold a sealed chunk. Pass one of
    /// [`SEALED_ATTACHMENT_CHUNK_LEN`](crate::SEALED_ATTACHMENT_CHUNK_LEN) bytes; nothing was sealed.
    #[error("the buffer is shorter than a sealed chunk")]
    ShortBuffer,
    /// All chunks are sealed already. Finish.
    #[error("the attachment is complete")]
    Complete,
    /// There are chunks still to be sealed. What was sealed is not an attachment; throw it away.
    #[error("the attachment is not complete")]
    Incomplete,
}

/// Why an attachment could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentOpenError {
    /// Sealed by a version of the format this one does not know.
    #[error("the attachment is sealed in an unknown version")]
    UnsupportedVersion,
    /// Damaged, cut short, lengthened, out of order, or another attachment. Use nothing more of it; a
    /// store that damages attachments does not help by being asked again.
    #[error("the attachment cannot be opened")]
    Refused,
}

/// Why bytes are not an attachment pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentPointerError {
    /// Written by a version of the format this one does not know.
    #[error("the attachment pointer is of an unknown version")]
    UnsupportedVersion,
    /// Not the one encoding of any pointer.
    #[error("the attachment pointer is malformed")]
    Malformed,
}

impl From<StreamHeaderError> for AttachmentOpenError {
    fn from(error: StreamHeaderError) -> Self {
        match error {
            StreamHeaderError::UnsupportedVersion => Self::UnsupportedVersion,
            StreamHeaderError::Malformed => Self::Refused,
        }
    }
}

impl From<Malformed> for AttachmentPointerError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
