//! Two databases, one way to speak to them.
//!
//! SQLite and PostgreSQL share enough SQL that every query has one text, run on either: parameters are
//! `$1`, values are integers, bytes and text, and sets of rows go in as one `{rows}`. What only one of
//! them has stays in this folder.

mod patience;
mod rows;
mod statement;
mod value;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool};

pub(crate) use patience::in_time;
pub(crate) use rows::Rows;
pub(crate) use statement::sql;

/// A connection to either database.
#[derive(Debug)]
pub(crate) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Conn<'_> {
    /// What ends a `SELECT` whose rows are about to be changed: PostgreSQL has other writers. Callers ask
    /// for rows in the order of their keys, so that no two wait for each other.
    pub(crate) fn lock_rows(&self) -> &'static str {
        match self {
            // It has one writer.
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }

    /// The same where nobody waits: rows that others have locked are left to them.
    pub(crate) fn lock_free_rows(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE SKIP LOCKED",
        }
    }

    /// The same for `devices` whose mailboxes' counts are about to be changed: rows that refer to them may
    /// come meanwhile.
    pub(crate) fn hold_mailboxes(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR NO KEY UPDATE OF devices",
        }
    }
}

/// Connections to read with.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Pool {
    pub(crate) async fn acquire(&self) -> Result<Reader, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Reader::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Reader::Postgres(pool.acquire().await?),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Reader {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(connection) => Conn::Sqlite(connection),
            Self::Postgres(connection) => Conn::Postgres(connection),
        }
    }
}
