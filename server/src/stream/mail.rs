//! What a stream asks of the database.

use sottovoce_statements::DeviceId;

use crate::clock::now_ms;
use crate::store::{ReadError, Store, StoredEnvelope};

/// The mailboxes, as a stream reads them.
pub(crate) trait Mail: Send + Sync + 'static {
    /// The sequence of the newest envelope ever put into the mailbox.
    fn newest(&self, device: &DeviceId) -> impl Future<Output = Result<i64, ReadError>> + Send;

    /// The oldest `at_most` after `cursor` and up to `until`.
    fn next(
        &self,
        device: &DeviceId,
        cursor: i64,
        until: i64,
        at_most: u64,
    ) -> impl Future<Output = Result<Vec<StoredEnvelope>, ReadError>> + Send;

    /// Ids of those up to `cursor` that are not acknowledged, `at_most` of them.
    fn unacknowledged(
        &self,
        device: &DeviceId,
        cursor: i64,
        at_most: u64,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, ReadError>> + Send;
}

/// In boxes: what a query needs would otherwise be held ready by every stream, and most are quiet.
impl Mail for Store {
    async fn newest(&self, device: &DeviceId) -> Result<i64, ReadError> {
        Box::pin(self.newest_sequence(device)).await
    }

    async fn next(
        &self,
        device: &DeviceId,
        cursor: i64,
        until: i64,
        at_most: u64,
    ) -> Result<Vec<StoredEnvelope>, ReadError> {
        Box::pin(self.envelopes(device, cursor, until, at_most, now_ms())).await
    }

    async fn unacknowledged(
        &self,
        device: &DeviceId,
        cursor: i64,
        at_most: u64,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        Box::pin(Self::unacknowledged(self, device, cursor, at_most)).await
    }
}
