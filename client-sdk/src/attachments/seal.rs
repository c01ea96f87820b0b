//! Sealing into a file. Its key is drawn once, so an upload that was cut off goes on with the same bytes,
//! from the file; that file holds nothing that could be read without the key.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use getrandom::SysRng;
use rand_core::{Rng, UnwrapErr};
use sottovoce_crypto::{AttachmentPointer, AttachmentSealer, SEALED_ATTACHMENT_CHUNK_LEN};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::attachment::{Attachment, AttachmentError, ID_LEN, read_id, with_id};
use super::error::SealError;

/// An attachment that is sealed and not uploaded yet, or not to its end.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedAttachment {
    pub(super) file: PathBuf,
    pub(super) upload_id: [u8; ID_LEN],
    pub(super) pointer: AttachmentPointer,
}

impl SealedAttachment {
    /// Seals `content_len` bytes of content into a new file, which replaces what is there. The file is a
    /// little longer than the content, which is padded, and may be deleted once it is uploaded.
    ///
    /// # Errors
    /// [`SealError`]; the file is then of no use.
    pub async fn seal<R>(content: &mut R, content_len: u64, file: &Path) -> Result<Self, SealError>
    where
        R: AsyncRead + Unpin,
    {
        let mut rng = UnwrapErr(SysRng);
        let mut sealer = AttachmentSealer::new(&mut rng, content_len).map_err(|_| SealError::TooLong)?;
        let mut sealed = create(file).await.map_err(SealError::File)?;
        sealed
            .write_all(&sealer.header())
            .await
            .map_err(SealError::File)?;
        let mut buffer = Zeroizing::new(vec![0; SEALED_ATTACHMENT_CHUNK_LEN]);
        while let Some(length) = sealer.next_content_len() {
            let place = buffer.get_mut(..length).ok_or(SealError::TooLong)?;
            content.read_exact(place).await.map_err(SealError::Content)?;
            let chunk = sealer.seal_next(&mut buffer).map_err(|_| SealError::TooLong)?;
            sealed.write_all(chunk).await.map_err(SealError::File)?;
        }
        // So that what is remembered of it after a power failure is true.
        sealed.sync_all().await.map_err(SealError::File)?;
        let mut upload_id = [0; ID_LEN];
        rng.fill_bytes(&mut upload_id);
        Ok(Self {
            file: file.to_owned(),
            upload_id,
            pointer: sealer.finish().map_err(|_| SealError::TooLong)?,
        })
    }

    /// What it takes, beside the file, to go on uploading after a restart. Holds the attachment's key: keep
    /// it as secret as the content.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        with_id(&self.upload_id, &self.pointer)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave; `file` is where the sealed file is now.
    ///
    /// # Errors
    /// [`AttachmentError`].
    pub fn from_bytes(bytes: &[u8], file: &Path) -> Result<Self, AttachmentError> {
        let (upload_id, pointer) = read_id(bytes).ok_or(AttachmentError)?;
        Ok(Self {
            file: file.to_owned(),
            upload_id,
            pointer,
        })
    }

    /// The attachment, once the server has said under which id it is.
    pub(super) fn at(&self, blob_id: [u8; ID_LEN]) -> Attachment {
        Attachment {
            blob_id,
            pointer: self.pointer.clone(),
        }
    }
}

impl fmt::Debug for SealedAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedAttachment([redacted])")
    }
}

async fn create(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(file).await
}
