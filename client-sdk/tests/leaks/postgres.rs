//! PostgreSQL, and the files that it writes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};

use super::everything_in;

/// A database of its own in the PostgreSQL that `scripts/with-services` starts.
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) folder: PathBuf,
    begun: SystemTime,
}

impl Postgres {
    pub(crate) async fn new() -> Self {
        let set = |name| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!("{name} is not set: run the tests with `scripts/with-services cargo test …`")
            })
        };
        let (server, folder) = (
            set("SOTTOVOCE_TEST_POSTGRES"),
            set("SOTTOVOCE_TEST_POSTGRES_FOLDER"),
        );
        let name = format!("nothing_leaks_{}", std::process::id());
        let (front, _) = server.rsplit_once('/').expect("a URL");
        let url = format!("{front}/{name}");
        execute(&server, &format!("CREATE DATABASE {name}")).await;
        Self {
            url,
            folder: folder.into(),
            begun: SystemTime::now(),
        }
    }

    /// Has everything that is only in its memory written to its files.
    pub(crate) async fn flush(&self) {
        execute(&self.url, "CHECKPOINT").await;
    }

    /// The files of the database, and the parts of the write-ahead log that were written meanwhile.
    pub(crate) fn written(&self) -> [(&'static str, Vec<u8>); 2] {
        let data = self.folder.join("data");
        let databases = std::fs::read_dir(data.join("base"))
            .expect("a data folder")
            .flatten();
        let newest = databases
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u64>().ok())
            .max()
            .expect("a database");
        let written_to = |path: &Path| {
            let modified = path.metadata().and_then(|file| file.modified());
            path.is_file() && modified.is_ok_and(|time| time >= self.begun)
        };
        let log = std::fs::read_dir(data.join("pg_wal")).expect("a log").flatten();
        let log = log.map(|entry| entry.path()).filter(|path| written_to(path));
        [
            (
                "PostgreSQL's files",
                everything_in(&data.join("base").join(newest.to_string())),
            ),
            (
                "PostgreSQL's write-ahead log",
                log.flat_map(|path| std::fs::read(path).expect("a file"))
                    .collect(),
            ),
        ]
    }
}

async fn execute(url: &str, statement: &str) {
    let options: PgConnectOptions = url.parse().expect("a URL");
    let mut connection = options.connect().await.expect("PostgreSQL answers");
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(&mut connection)
        .await
        .expect("it does");
}
