//! Attachments: what is too long for a message, sealed in chunks under a key of its own.
//!
//! ```text
//!  content ─▶ AttachmentSealer ─▶ header, chunks ─▶ store ─▶ AttachmentOpener ─▶ content
//!                    │                                            ▲
//!                    └── AttachmentPointer ── in a message ───────┘
//! ```

mod error;
mod layout;
mod open;
mod pointer;
mod seal;

pub use error::{AttachmentOpenError, AttachmentPointerError, AttachmentSealError};
pub use layout::{
    ATTACHMENT_CHUNK_LEN, ATTACHMENT_HEADER_LEN, MAX_ATTACHMENT_LEN, MIN_PADDED_ATTACHMENT_LEN,
    SEALED_ATTACHMENT_CHUNK_LEN,
};
pub use open::{AttachmentOpener, open_attachment};
pub use pointer::AttachmentPointer;
pub use seal::{AttachmentSealer, seal_attachment};

use layout::Layout;

/// HKDF info of an attachment: its key to the key of its chunks.
const LABEL_ATTACHMENT: &[u8] = b"Sottovoce-v1 attachment";

/// What every chunk is authenticated with, after the header: the true length, so that no part of an
/// attachment ever passes for part of a longer or shorter one.
fn context(layout: Layout) -> [u8; 8] {
    layout.content_len().to_be_bytes()
}
