//! What operators do to the database and want to know of it.

mod blocks;
mod copy;
mod devices;
mod inspect;
pub(super) mod invites;
mod jobs;
mod lapsed;

use super::db::{Conn, sql};
use super::{ReadError, Store};

pub(crate) use blocks::{Block, PutBlock, RemoveBlock};
pub(crate) use copy::{PlaceError, copy_sqlite, place_sqlite};
pub(crate) use devices::{DeviceRow, SignOut};
pub(crate) use inspect::{Inspection, Owner, inspect, is_served, owner};
pub(crate) use invites::{
    CreateInvite, Invite, NewInvite, RevokeInvite, WhichInvite, is_invited, use_invite,
};
pub(crate) use jobs::{ClaimJob, EndJob, JobRow, MORE};
pub(crate) use lapsed::RemoveLapsed;

impl Store {
    /// Whether the database answers.
    pub(crate) async fn reachable(&self) -> bool {
        match self.read().await {
            Ok(mut reader) => sql("SELECT CAST(1 AS BIGINT)")
                .fetch_one::<(i64,)>(&mut reader.conn())
                .await
                .is_ok(),
            Err(_) => false,
        }
    }

    /// Bytes the database takes.
    pub(crate) async fn size(&self) -> Result<u64, ReadError> {
        let mut reader = self.read().await?;
        let mut conn = reader.conn();
        let text = match &conn {
            Conn::Sqlite(_) => "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
            Conn::Postgres(_) => "SELECT pg_database_size(current_database())",
        };
        let (size,): (i64,) = sql(text).fetch_one(&mut conn).await?;
        Ok(u64::try_from(size).unwrap_or(0))
    }
}
