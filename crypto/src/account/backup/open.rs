//! Reading a backup, in the memory of one chunk and one record.

use alloc::vec::Vec;

use zeroize::{Zeroize, Zeroizing};

use super::records::{BackupRecord, MAX_BACKUP_ITEM_LEN, RECORD_HEADER_LEN};
use super::{BACKUP_HEADER_LEN, BACKUP_VERSION, LABEL_STREAM, SEALED_BACKUP_CHUNK_LEN, stream_key};
use crate::account::code::BackupCode;
use crate::account::error::BackupOpenError;
use crate::chunks::{CHUNK_LEN, ChunkOpener, Place, check_stream_header};
use crate::codec::{Reader, Write};
use crate::primitives::aead::TAG_LEN;
use crate::secret::redacted_debug;

/// Reads one backup, front to back, a chunk at a time.
///
/// What a record says is authentic as soon as it is there. That nothing is missing is known when
/// [`finish`](Self::finish) says so.
pub struct BackupReader {
    chunks: ChunkOpener,
    next: u64,
    chunk_count: u64,
    last_sealed_len: usize,
    /// The beginning of a record whose end is in a chunk to come.
    begun_record: Zeroizing<Vec<u8>>,
    any_record: bool,
}

impl BackupReader {
    /// Begins to read a backup of `backup_len` bytes in all, of which `header` is the first
    /// [`BACKUP_HEADER_LEN`](crate::BACKUP_HEADER_LEN).
    ///
    /// # Errors
    /// [`BackupOpenError`] when no backup begins like that, or is of that length.
    pub fn new(code: &BackupCode, backup_len: u64, header: &[u8]) -> Result<Self, BackupOpenError> {
        let mut reader = Reader::new(header);
        if reader.u8().map_err(|_| BackupOpenError::Refused)? != BACKUP_VERSION {
            return Err(BackupOpenError::UnsupportedVersion);
        }
        let salt = reader.array().map_err(|_| BackupOpenError::Refused)?;
        check_stream_header(reader.rest())?;
        let sealed = backup_len
            .checked_sub(BACKUP_HEADER_LEN as u64)
            .ok_or(BackupOpenError::Refused)?;
        // The last chunk has a tag, and text too unless it is the only one.
        let chunk_count = sealed.div_ceil(SEALED_BACKUP_CHUNK_LEN as u64).max(1);
        let before_last = (chunk_count - 1) * SEALED_BACKUP_CHUNK_LEN as u64;
        let last_sealed_len = usize::try_from(sealed - before_last).map_err(|_| BackupOpenError::Refused)?;
        if last_sealed_len < TAG_LEN {
            return Err(BackupOpenError::Refused);
        }
        Ok(Self {
            chunks: ChunkOpener::new(&stream_key(code, salt), LABEL_STREAM, &[]),
            next: 0,
            chunk_count,
            last_sealed_len,
            // Room for all it can ever hold, so that no growth leaves a copy behind.
            begun_record: Zeroizing::new(Vec::with_capacity(MAX_RECORD_LEN + CHUNK_LEN)),
            any_record: false,
        })
    }

    /// How many bytes the next chunk has: `None` after the last.
    #[must_use]
    pub fn next_sealed_len(&self) -> Option<usize> {
        if self.next + 1 < self.chunk_count {
            Some(SEALED_BACKUP_CHUNK_LEN)
        } else {
            (self.next < self.chunk_count).then_some(self.last_sealed_len)
        }
    }

    /// Opens the next chunk, which is erased in the caller's buffer, and returns the records that end in
    /// it.
    ///
    /// # Errors
    /// [`BackupOpenError`] when it is not the chunk that belongs there, or breaks the rules of backups.
    /// The reader is as it was; so is a chunk that is refused.
    pub fn open_next(&mut self, chunk: &mut [u8]) -> Result<Vec<BackupRecord>, BackupOpenError> {
        if self.next_sealed_len() != Some(chunk.len()) {
            return Err(BackupOpenError::Refused);
        }
        let place = if self.next + 1 == self.chunk_count {
            Place::Last(self.next)
        } else {
            Place::Before(self.next)
        };
        let text = self
            .chunks
            .open(place, chunk)
            .map_err(|_| BackupOpenError::Refused)?;
        let held = self.begun_record.len();
        self.begun_record.put(text);
        text.zeroize();
        match self.take_records() {
            Ok((records, taken)) => {
                self.begun_record.copy_within(taken.., 0);
                let left = self.begun_record.len().saturating_sub(taken);
                self.keep(left);
                self.any_record |= !records.is_empty();
                self.next += 1;
                Ok(records)
            }
            Err(error) => {
                self.keep(held);
                Err(error)
            }
        }
    }

    /// Sees that the backup was read to its end.
    ///
    /// # Errors
    /// [`BackupOpenError`] when chunks are missing, or the last record is not there whole.
    pub fn finish(self) -> Result<(), BackupOpenError> {
        if self.next != self.chunk_count {
            return Err(BackupOpenError::Refused);
        }
        if !self.begun_record.is_empty() {
            return Err(BackupOpenError::Malformed);
        }
        Ok(())
    }

    /// All records that are there whole, and how many bytes they take up.
    fn take_records(&self) -> Result<(Vec<BackupRecord>, usize), BackupOpenError> {
        let mut records = Vec::new();
        let mut taken = 0;
        loop {
            let bytes = self.begun_record.get(taken..).unwrap_or_default();
            let mut reader = Reader::new(bytes);
            let is_first = !self.any_record && records.is_empty();
            let Some(record) = BackupRecord::take(&mut reader, is_first)? else {
                return Ok((records, taken));
            };
            taken += bytes.len() - reader.rest().len();
            records.push(record);
        }
    }

    /// Forgets all but the first bytes of what is held.
    fn keep(&mut self, length: usize) {
        if let Some(rest) = self.begun_record.get_mut(length..) {
            rest.zeroize();
        }
        self.begun_record.truncate(length);
    }
}

redacted_debug!(BackupReader);

/// Longest record with its header: no body is longer than a history item may be.
const MAX_RECORD_LEN: usize = RECORD_HEADER_LEN + MAX_BACKUP_ITEM_LEN;
