//! Writing a backup, in the memory of one chunk and one record.

use alloc::vec::Vec;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::records::{BackupContact, KIND_ACCOUNT, KIND_CONTACT, KIND_HISTORY, MAX_BACKUP_ITEM_LEN};
use super::{BACKUP_VERSION, LABEL_STREAM, SALT_LEN, stream_key};
use crate::account::code::BackupCode;
use crate::account::error::BackupWriteError;
use crate::account::material::{AccountMaterial, MAX_MATERIAL_LEN};
use crate::chunks::{CHUNK_LEN, ChunkSealer, SEALED_CHUNK_LEN, STREAM_HEADER};
use crate::codec::Write;
use crate::secret::redacted_debug;

/// Writes one backup. Every method appends what is ready to `out`, which the caller writes to a file and
/// clears whenever it likes.
///
/// ```
/// # use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
/// # let rng = &mut ChaCha20Rng::from_seed([1; 32]);
/// use sottovoce_crypto::{BACKUP_HEADER_LEN, BackupCode, BackupReader, BackupRecord, BackupWriter};
///
/// let code = BackupCode::generate(rng);
/// let mut file = Vec::new();
/// let mut writer = BackupWriter::new(rng, &code, &mut file);
/// writer.history(b"what was said", &mut file)?;
/// writer.finish(&mut file)?;
///
/// let (header, mut rest) = file.split_at_mut(BACKUP_HEADER_LEN);
/// let length = (header.len() + rest.len()) as u64;
/// let mut reader = BackupReader::new(&BackupCode::parse(&code.to_text())?, length, header)?;
/// while let Some(length) = reader.next_sealed_len() {
///     let (chunk, after) = rest.split_at_mut(length);
///     rest = after;
///     for record in reader.open_next(chunk)? {
///         let BackupRecord::History(item) = record else { continue };
///         assert_eq!(item.as_slice(), b"what was said");
///     }
/// }
/// reader.finish()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BackupWriter {
    sealer: ChunkSealer,
    /// Text of the chunk to come, with room for its tag.
    chunk: Zeroizing<Vec<u8>>,
    begun: bool,
}

impl BackupWriter {
    /// Begins a backup under a code, which may have sealed others before.
    pub fn new<R: CryptoRng + ?Sized>(rng: &mut R, code: &BackupCode, out: &mut Vec<u8>) -> Self {
        let mut salt = [0; SALT_LEN];
        rng.fill_bytes(&mut salt);
        out.put_u8(BACKUP_VERSION);
        out.put(&salt);
        out.put(&STREAM_HEADER);
        Self {
            sealer: ChunkSealer::new(&stream_key(code, &salt), LABEL_STREAM, &[]),
            chunk: Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_LEN)),
            begun: false,
        }
    }

    /// Writes our own account, secret and all. Only the primary device can, and only before all else.
    ///
    /// # Errors
    /// [`BackupWriteError`] when something was written before, or no more can be.
    pub fn account(&mut self, material: &AccountMaterial, out: &mut Vec<u8>) -> Result<(), BackupWriteError> {
        if self.begun {
            return Err(BackupWriteError::AccountNotFirst);
        }
        let mut body = Zeroizing::new(Vec::with_capacity(MAX_MATERIAL_LEN));
        material.write(&mut body);
        self.record(KIND_ACCOUNT, &body, out)
    }

    /// Writes a contact.
    ///
    /// # Errors
    /// [`BackupWriteError`] when no more can be written.
    pub fn contact(&mut self, contact: &BackupContact, out: &mut Vec<u8>) -> Result<(), BackupWriteError> {
        let mut body = Vec::with_capacity(256);
        contact.write(&mut body);
        self.record(KIND_CONTACT, &body, out)
    }

    /// Writes a piece of history, 1 to [`MAX_BACKUP_ITEM_LEN`] bytes that only the app understands.
    ///
    /// # Errors
    /// [`BackupWriteError`] when it is too long or empty, or no more can be written.
    pub fn history(&mut self, item: &[u8], out: &mut Vec<u8>) -> Result<(), BackupWriteError> {
        if item.is_empty() || item.len() > MAX_BACKUP_ITEM_LEN {
            return Err(BackupWriteError::Length);
        }
        self.record(KIND_HISTORY, item, out)
    }

    /// Writes what is left. Without it the backup is cut short, and refused as such.
    ///
    /// # Errors
    /// [`BackupWriteError`] when no more can be written.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BackupWriteError> {
        let tag = self
            .sealer
            .seal_last(&mut self.chunk)
            .map_err(|_| BackupWriteError::Full)?;
        out.put(&self.chunk);
        out.put(&tag);
        Ok(())
    }

    fn record(&mut self, kind: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), BackupWriteError> {
        let length = u32::try_from(body.len()).map_err(|_| BackupWriteError::Length)?;
        self.begun = true;
        self.put(&[kind], out)?;
        self.put(&length.to_be_bytes(), out)?;
        self.put(body, out)
    }

    fn put(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BackupWriteError> {
        while !bytes.is_empty() {
            // Only now, when something follows, it is known not to be the last.
            if self.chunk.len() == CHUNK_LEN {
                let tag = self
                    .sealer
                    .seal(&mut self.chunk)
                    .map_err(|_| BackupWriteError::Full)?;
                out.put(&self.chunk);
                out.put(&tag);
                self.chunk.clear();
            }
            let room = CHUNK_LEN.saturating_sub(self.chunk.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).ok_or(BackupWriteError::Full)?;
            self.chunk.put(now);
            bytes = later;
        }
        Ok(())
    }
}

redacted_debug!(BackupWriter);
