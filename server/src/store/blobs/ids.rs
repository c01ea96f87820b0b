//! The ids clients know a blob by. The database keeps only hashes: who has seen it cannot ask for a blob.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::blobs::StorageKey;

/// What is authenticated under an upload id to make the blob's id of it, before the storage key.
const LABEL_BLOB_ID: &[u8] = b"Sottovoce-v1 blob id";

/// An upload's id, which the client chose.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct UploadId(pub(crate) [u8; 16]);

/// A blob's id: who has it may read the blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobId(pub(crate) [u8; 16]);

impl UploadId {
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The id of the blob that was uploaded: always the same, so that it need not be kept, and as random as
    /// the storage key, whatever the client chose.
    pub(crate) fn blob_id(&self, key: StorageKey) -> Option<BlobId> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(LABEL_BLOB_ID);
        mac.update(&key.0);
        let code = mac.finalize().into_bytes();
        code.first_chunk().copied().map(BlobId)
    }
}

impl BlobId {
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_blob_depends_on_the_upload_and_on_the_server() {
        let (upload, key) = (UploadId([1; 16]), StorageKey([2; 16]));
        let id = upload.blob_id(key);
        assert!(id.is_some());
        assert!(id == upload.blob_id(key));
        assert!(id != UploadId([3; 16]).blob_id(key));
        assert!(id != upload.blob_id(StorageKey([3; 16])));
        assert_eq!(
            format!("{upload:?} {:?}", BlobId([7; 16])),
            "[redacted] [redacted]"
        );
    }
}
