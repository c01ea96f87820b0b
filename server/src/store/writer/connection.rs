//! The connection that changes are made on.

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection as _, PgConnection, SqliteConnection, raw_sql};

use crate::store::db::{Conn, in_time, sql};

/// The writer's own connection to either database.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(SqliteConnection),
    Postgres(Box<Reconnecting>),
}

/// A connection that is made anew after the database has been away.
#[derive(Debug)]
pub(crate) struct Reconnecting {
    options: PgConnectOptions,
    connection: PgConnection,
    broken: bool,
}

impl Reconnecting {
    pub(crate) async fn new(options: PgConnectOptions) -> Result<Self, sqlx::Error> {
        Ok(Self {
            connection: options.connect().await?,
            options,
            broken: false,
        })
    }
}

impl Connection {
    pub(super) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(connection) => Conn::Sqlite(connection),
            Self::Postgres(reconnecting) => Conn::Postgres(&mut reconnecting.connection),
        }
    }

    /// Whether others write to the database too: what failed may succeed at the next attempt then.
    pub(super) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sql("BEGIN IMMEDIATE")
                .execute(&mut Conn::Sqlite(connection))
                .await
                .map(drop),
            Self::Postgres(reconnecting) => {
                if reconnecting.broken {
                    reconnecting.connection = in_time(reconnecting.options.connect()).await?;
                    reconnecting.broken = false;
                }
                let begun = in_time(raw_sql("BEGIN").execute(&mut reconnecting.connection)).await;
                reconnecting.broken = begun.is_err();
                begun.map(drop)
            }
        }
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        sql("COMMIT").execute(&mut self.conn()).await.map(drop)
    }

    pub(super) async fn roll_back(&mut self) {
        // After some failures SQLite has rolled back by itself, and this only says so.
        let rolled_back = sql("ROLLBACK").execute(&mut self.conn()).await;
        if let Self::Postgres(reconnecting) = self {
            reconnecting.broken = rolled_back.is_err();
        }
    }

    pub(super) async fn finish(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(mut connection) => {
                sql("PRAGMA wal_checkpoint(TRUNCATE)")
                    .execute(&mut Conn::Sqlite(&mut connection))
                    .await?;
                connection.close().await
            }
            Self::Postgres(reconnecting) => in_time(reconnecting.connection.close()).await,
        }
    }
}
