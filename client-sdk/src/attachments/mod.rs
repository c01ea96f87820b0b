//! Attachments: sealed on this device, uploaded as blobs, downloaded by whoever is told of them.
//!
//! ```text
//!  content ─▶ SealedAttachment (a file) ─▶ upload ─▶ Attachment ─▶ in a message ─▶ download ─▶ content
//! ```

mod access;
mod attachment;
mod download;
mod error;
mod seal;
mod upload;

pub use attachment::{Attachment, AttachmentError};
pub use error::{DownloadError, SealError, UploadError};
pub use seal::SealedAttachment;
