//! A look at a database from outside, for whoever asks how it is. Nothing is changed.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection as _, query_as};

use super::super::open::{APPLICATION, DATABASE_FILE};
use crate::clock::now_ms;
use crate::config::{Database, PostgresUrl};

/// How long a database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

const NAME: &str = "SELECT name FROM server_name";

/// How a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Migrations it has had, and those this program knows.
    pub(crate) applied: u64,
    pub(crate) known: u64,
    /// The name that its accounts have signed; none yet in a database that has had no server.
    pub(crate) server_name: Option<String>,
    /// What its own check of itself says; empty where all is well.
    pub(crate) problems: Vec<String>,
    /// How far its clock is ahead of ours, in milliseconds.
    pub(crate) ahead_ms: i64,
}

/// Whose a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// No server has used it.
    Nobody,
    /// One of a version that did not write its name down, and made no accounts yet.
    Unnamed,
    /// The server of this name.
    Server(String),
}

/// Looks at the database. `None` where there is none yet.
pub(crate) async fn inspect(database: &Database, data_dir: &Path) -> Result<Option<Inspection>, sqlx::Error> {
    in_time(async {
        match database {
            Database::Sqlite => inspect_sqlite(data_dir).await,
            Database::Postgres(url) => inspect_postgres(url).await.map(Some),
        }
    })
    .await
}

/// Looks only at whose the database is.
pub(crate) async fn owner(database: &Database, data_dir: &Path) -> Result<Owner, sqlx::Error> {
    let name = in_time(async {
        match database {
            Database::Sqlite => {
                let Some(mut conn) = open_sqlite(data_dir).await? else {
                    return Ok(None);
                };
                let name = name_in_sqlite(&mut conn).await?;
                conn.close().await?;
                Ok(Some(name))
            }
            Database::Postgres(url) => {
                let mut conn = open_postgres(url).await?;
                let is_used = has_table(&mut conn, "_sqlx_migrations").await?;
                let name = name_in_postgres(&mut conn).await?;
                conn.close().await?;
                Ok(is_used.then_some(name))
            }
        }
    });
    Ok(match name.await? {
        None => Owner::Nobody,
        Some(None) => Owner::Unnamed,
        Some(Some(name)) => Owner::Server(name),
    })
}

/// Whether a server, or a command that is at work, has a PostgreSQL database open, as far as the database
/// shows its sessions.
pub(crate) async fn is_served(url: &PostgresUrl) -> Result<bool, sqlx::Error> {
    in_time(async {
        let mut conn = open_postgres(url).await?;
        let (served,): (bool,) = query_as(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = $1)",
        )
        .bind(APPLICATION)
        .fetch_one(&mut conn)
        .await?;
        conn.close().await?;
        Ok(served)
    })
    .await
}

async fn in_time<T>(looking: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(found) => found,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// The database of a data folder, to be read; none where there is none.
async fn open_sqlite(data_dir: &Path) -> Result<Option<SqliteConnection>, sqlx::Error> {
    let path = data_dir.join(DATABASE_FILE);
    match std::fs::metadata(&path) {
        // An empty file is what a start that did not get far leaves.
        Ok(file) if file.len() == 0 => return Ok(None),
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        // What this user may not see is not nothing.
        Err(error) => return Err(error.into()),
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    options.disable_statement_logging().connect().await.map(Some)
}

async fn open_postgres(url: &PostgresUrl) -> Result<PgConnection, sqlx::Error> {
    url.options().disable_statement_logging().connect().await
}

async fn name_in_sqlite(conn: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
    let (there,): (bool,) =
        query_as("SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'server_name')")
            .fetch_one(&mut *conn)
            .await?;
    let name: Option<(String,)> = match there {
        true => query_as(NAME).fetch_optional(conn).await?,
        false => None,
    };
    Ok(name.map(|(name,)| name))
}

async fn name_in_postgres(conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let name: Option<(String,)> = match has_table(conn, "server_name").await? {
        true => query_as(NAME).fetch_optional(conn).await?,
        false => None,
    };
    Ok(name.map(|(name,)| name))
}

async fn has_table(conn: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    let (there,): (bool,) = query_as("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(conn)
        .await?;
    Ok(there)
}

async fn inspect_sqlite(data_dir: &Path) -> Result<Option<Inspection>, sqlx::Error> {
    let Some(mut conn) = open_sqlite(data_dir).await? else {
        return Ok(None);
    };
    let found: Vec<(String,)> = query_as("PRAGMA quick_check(10)").fetch_all(&mut conn).await?;
    let applied: (i64,) = query_as("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut conn)
        .await?;
    let server_name = name_in_sqlite(&mut conn).await?;
    conn.close().await?;
    Ok(Some(Inspection {
        server_name,
        applied: u64::try_from(applied.0).unwrap_or(0),
        known: sqlx::migrate!("./migrations/sqlite").iter().count() as u64,
        problems: found
            .into_iter()
            .map(|(line,)| line)
            .filter(|line| line != "ok")
            .collect(),
        ahead_ms: 0,
    }))
}

async fn inspect_postgres(url: &PostgresUrl) -> Result<Inspection, sqlx::Error> {
    let mut conn = open_postgres(url).await?;
    let applied = if has_table(&mut conn, "_sqlx_migrations").await? {
        let (applied,): (i64,) = query_as("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut conn)
            .await?;
        u64::try_from(applied).unwrap_or(0)
    } else {
        0
    };
    let server_name = name_in_postgres(&mut conn).await?;
    let mut problems = Vec::new();
    // Without these an acknowledged message may be gone after a power cut.
    for (setting, wanted) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
    ] {
        let (value,): (String,) = query_as("SELECT current_setting($1)")
            .bind(setting)
            .fetch_one(&mut conn)
            .await?;
        let is_stronger = setting == "synchronous_commit" && value.starts_with("remote_");
        if value != wanted && !is_stronger {
            problems.push(format!("{setting} is {value}"));
        }
    }
    let (theirs,): (i64,) = query_as("SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")
        .fetch_one(&mut conn)
        .await?;
    let ahead_ms = theirs.saturating_sub(i64::try_from(now_ms()).unwrap_or(i64::MAX));
    conn.close().await?;
    Ok(Inspection {
        server_name,
        applied,
        known: sqlx::migrate!("./migrations/postgres").iter().count() as u64,
        problems,
        ahead_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_looked_at_is_not_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        for nothing in ["nothing", "file"] {
            let found = owner(&Database::Sqlite, &folder.path().join(nothing)).await;
            assert_eq!(found.unwrap(), Owner::Nobody);
        }
        // Stands for a folder of another user's: root may look at everything.
        let forbidden = folder.path().join("a".repeat(5_000));
        assert!(owner(&Database::Sqlite, &forbidden).await.is_err());
        assert!(inspect(&Database::Sqlite, &forbidden).await.is_err());
    }
}
