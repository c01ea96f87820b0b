//! Where in a blob a part goes, and what is read of it.

use std::ops::Range;

use sottovoce_proto::v1::{DownloadBlobRequest, ErrorReason};

use crate::refusal::Refusal;
use crate::store::{Upload, UploadRefusal};

/// The part that comes next in an upload.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NextPart {
    pub(super) index: u64,
    pub(super) range: Range<u64>,
}

/// Checks that what came is the next part; `None` if it is stored already.
pub(super) fn next_part(upload: &Upload, offset: u64, length: usize) -> Result<Option<NextPart>, Refusal> {
    let (size, part_len, stored) = (upload.blob.size, upload.blob.part_len, upload.stored);
    let length = length as u64;
    let end = offset
        .checked_add(length)
        .filter(|end| *end <= size)
        .ok_or_else(|| Refusal::field("offset"))?;
    if end <= stored {
        return Ok(None);
    }
    if offset != stored {
        return Err(Refusal::from(UploadRefusal::At(stored)));
    }
    if length != part_len.min(size - offset) {
        return Err(Refusal::field("data"));
    }
    let index = offset
        .checked_div(part_len)
        .ok_or_else(|| Refusal::because(ErrorReason::Internal))?;
    Ok(Some(NextPart {
        index,
        range: offset..end,
    }))
}

/// What is to be read of a blob: never beyond its end.
pub(super) fn range(request: &DownloadBlobRequest, size: u64) -> Result<Range<u64>, Refusal> {
    if request.offset > size {
        return Err(Refusal::field("offset"));
    }
    let end = match request.length {
        0 => size,
        length => request.offset.saturating_add(length).min(size),
    };
    Ok(request.offset..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::StorageKey;
    use crate::store::StoredBlob;

    fn upload(size: u64, stored: u64) -> Upload {
        Upload {
            blob: StoredBlob {
                key: StorageKey([1; 16]),
                size,
                part_len: 10,
            },
            stored,
        }
    }

    #[test]
    fn a_part_goes_where_the_upload_ends_and_nowhere_else() {
        let part = |size, stored, offset, length| next_part(&upload(size, stored), offset, length);
        let expected = |index, range| Ok(Some(NextPart { index, range }));
        assert_eq!(part(25, 10, 10, 10), expected(1, 10..20));
        assert_eq!(part(25, 20, 20, 5), expected(2, 20..25));
        assert_eq!(part(25, 20, 0, 10), Ok(None), "stored already");
        assert_eq!(part(25, 25, 20, 5), Ok(None), "complete already");
        let at = |offset| Err(Refusal::from(UploadRefusal::At(offset)));
        assert_eq!(part(25, 10, 20, 5), at(10));
        assert_eq!(part(25, 10, 5, 10), at(10), "across the end");
        assert_eq!(part(25, 10, 10, 9), Err(Refusal::field("data")), "short");
        assert_eq!(part(25, 0, 0, 20), Err(Refusal::field("data")), "long");
        assert_eq!(
            part(25, 20, 20, 6),
            Err(Refusal::field("offset")),
            "beyond the end"
        );
        assert_eq!(part(25, 0, u64::MAX, 10), Err(Refusal::field("offset")));
    }

    #[test]
    fn a_range_never_leaves_the_blob() {
        let read = |offset, length| {
            let request = DownloadBlobRequest {
                blob_id: Vec::new(),
                offset,
                length,
            };
            range(&request, 100)
        };
        assert_eq!(read(0, 0), Ok(0..100));
        assert_eq!(read(10, 20), Ok(10..30));
        assert_eq!(read(90, u64::MAX), Ok(90..100));
        assert_eq!(read(100, 0), Ok(100..100));
        assert_eq!(read(101, 1), Err(Refusal::field("offset")));
    }
}
