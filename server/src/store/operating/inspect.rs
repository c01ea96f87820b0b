//! A look at a database from outside, for whoever asks how it is. Nothing is changed.

use std::path::Path;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection as _, query_as};

use super::super::open::DATABASE_FILE;
use crate::clock::now_ms;
use crate::config::{Database, PostgresUrl};

/// How long a database may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inspection {
    /// Migrations it has had, and those this program knows.
    pub(crate) applied: u64,
    pub(crate) known: u64,
    /// What its own check of itself says; empty where all is well.
    pub(crate) problems: Vec<String>,
    /// How far its clock is ahead of ours, in milliseconds.
    pub(crate) ahead_ms: i64,
}

/// Looks at the database. `None` where there is none yet.
pub(crate) async fn inspect(database: &Database, data_dir: &Path) -> Result<Option<Inspection>, sqlx::Error> {
    let looking = async {
        match database {
            Database::Sqlite => inspect_sqlite(data_dir).await,
            Database::Postgres(url) => inspect_postgres(url).await.map(Some),
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(inspection) => inspection,
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

async fn inspect_sqlite(data_dir: &Path) -> Result<Option<Inspection>, sqlx::Error> {
    let path = data_dir.join(DATABASE_FILE);
    // An empty file is what a start that did not get far leaves.
    if std::fs::metadata(&path).map_or(0, |file| file.len()) == 0 {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut conn = options.disable_statement_logging().connect().await?;
    let found: Vec<(String,)> = query_as("PRAGMA quick_check(10)").fetch_all(&mut conn).await?;
    let applied: (i64,) = query_as("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&mut conn)
        .await?;
    conn.close().await?;
    Ok(Some(Inspection {
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
    let mut conn: PgConnection = url.options().disable_statement_logging().connect().await?;
    let (there,): (bool,) = query_as("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut conn)
        .await?;
    let applied = if there {
        let (applied,): (i64,) = query_as("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
            .fetch_one(&mut conn)
            .await?;
        u64::try_from(applied).unwrap_or(0)
    } else {
        0
    };
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
        applied,
        known: sqlx::migrate!("./migrations/postgres").iter().count() as u64,
        problems,
        ahead_ms,
    })
}
