//! The database behind a test's server, and a look into it past the server.
//!
//! On PostgreSQL each data folder has a database of its own, whose name follows from the folder's path: a
//! server that is started again finds what it left. It is dropped some time after its folder is gone.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use sottovoce_server::{Database, PostgresUrl};
use sottovoce_statements::DeviceId;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row, query};

use super::{Device, Store};

/// Where `scripts/with-services` says that its PostgreSQL is.
const POSTGRES: &str = "SOTTOVOCE_TEST_POSTGRES";

/// Databases that were made, and the folders they belong to.
static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);

/// What [`scripts/with-services`] says under this name.
pub(crate) fn service(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `scripts/with-services cargo test …`")
    })
}

/// The setting for a server with this data folder.
pub(crate) fn setting(data_dir: &Path) -> Database {
    match crate::STORE {
        Store::Sqlite => Database::Sqlite,
        Store::Postgres => Database::Postgres(PostgresUrl::parse(&postgres_url(data_dir)).unwrap()),
    }
}

/// The URL of the PostgreSQL database that belongs to this data folder, which is made if there is none.
pub(crate) fn postgres_url(data_dir: &Path) -> String {
    let server = service(POSTGRES);
    let folder = canonical(data_dir);
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let name = format!("test_{}", hex::encode(&digest[..12]));
    let (url, _) = server.rsplit_once('/').unwrap();
    let url = format!("{url}/{name}");
    let statements = make(name, &folder);
    administer(server, statements);
    url
}

/// What makes the database, if there is none, and drops those whose folders are gone.
fn make(name: String, folder: &Path) -> Vec<String> {
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made.get_or_insert_default();
    if made.contains_key(&name) {
        return Vec::new();
    }
    let mut statements = Vec::new();
    made.retain(|name, folder| {
        if !folder.exists() {
            statements.push(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        }
        folder.exists()
    });
    statements.push(format!("CREATE DATABASE {name}"));
    // The folder may not be there yet; the one it will be in is.
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap();
    made.insert(name, there.to_owned());
    statements
}

/// Runs statements on the server's own database: from anywhere, also from within a runtime.
fn administer(server: String, statements: Vec<String>) {
    if statements.is_empty() {
        return;
    }
    let run = async move {
        let options: PgConnectOptions = server.parse().unwrap();
        let mut conn = options.connect().await.unwrap();
        for statement in statements {
            conn.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        conn.close().await.unwrap();
    };
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    std::thread::spawn(move || runtime().block_on(run))
        .join()
        .unwrap();
}

/// The path by which a folder is known, also before it is there.
fn canonical(folder: &Path) -> PathBuf {
    match (folder.canonicalize(), folder.parent(), folder.file_name()) {
        (Ok(path), _, _) => path,
        (Err(_), Some(parent), Some(name)) => canonical(parent).join(name),
        _ => folder.to_owned(),
    }
}

/// A connection past the server. `database` is the path of the SQLite file, or where it would be.
pub(crate) enum Look {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Look {
    pub(crate) async fn into(database: &Path) -> Self {
        match crate::STORE {
            Store::Sqlite => {
                let options = SqliteConnectOptions::new().filename(database);
                Self::Sqlite(options.connect().await.unwrap())
            }
            Store::Postgres => {
                let url = postgres_url(database.parent().unwrap());
                let options: PgConnectOptions = url.parse().unwrap();
                Self::Postgres(options.connect().await.unwrap())
            }
        }
    }

    pub(crate) async fn execute(&mut self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(conn) => conn.execute(statement).await.map(|_| ()).unwrap(),
            Self::Postgres(conn) => conn.execute(statement).await.map(|_| ()).unwrap(),
        }
    }

    /// The first column of every row, as text.
    pub(crate) async fn texts(&mut self, select: &str) -> Vec<String> {
        let select = AssertSqlSafe(select.to_owned());
        match self {
            Self::Sqlite(conn) => {
                let rows = query(select).fetch_all(conn).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(conn) => {
                let rows = query(select).fetch_all(conn).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(conn) => conn.close().await.unwrap(),
            Self::Postgres(conn) => conn.close().await.unwrap(),
        }
    }

    /// A literal of bytes.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> String {
        match self {
            Self::Sqlite(_) => format!("X'{}'", hex::encode(bytes)),
            Self::Postgres(_) => format!("'\\x{}'::bytea", hex::encode(bytes)),
        }
    }

    async fn tables(&mut self) -> Vec<String> {
        self.texts(match self {
            Self::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name",
            Self::Postgres(_) => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
            }
        })
        .await
    }

    async fn rows(&mut self, table: &str) -> Vec<String> {
        let select = match self {
            Self::Sqlite(_) => {
                let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                let columns = self.texts(&columns).await;
                let values: Vec<_> = columns
                    .iter()
                    .map(|column| format!("quote(\"{column}\")"))
                    .collect();
                format!(
                    "SELECT {} FROM \"{table}\" ORDER BY 1",
                    values.join(" || '|' || ")
                )
            }
            Self::Postgres(_) => format!("SELECT t::text FROM \"{table}\" t ORDER BY 1"),
        };
        self.texts(&select).await
    }
}

/// Gives the account of `device` a second device, as a later manifest would.
pub(crate) async fn add_device(database: &Path, device: &Device, second: DeviceId) {
    let mut look = Look::into(database).await;
    let statement = format!(
        "INSERT INTO devices \
         (id, account, position, identity_key, since_version, binding_statement, binding_signature) \
         SELECT {}, account, 1, {}, 2, binding_statement, binding_signature \
         FROM devices WHERE id = {}",
        look.bytes(second.as_bytes()),
        look.bytes(&second.as_bytes().repeat(2)),
        look.bytes(device.id.as_bytes()),
    );
    look.execute(&statement).await;
    look.close().await;
}

/// Keeps the server from writing, for as long as the connection lives.
pub(crate) async fn hold_the_write_lock(database: &Path) -> Look {
    let mut look = Look::into(database).await;
    if let Look::Sqlite(_) = look {
        look.execute("BEGIN IMMEDIATE").await;
    } else {
        let tables = look.tables().await;
        look.execute("BEGIN").await;
        // Reading goes on.
        let lock = format!("LOCK TABLE {} IN EXCLUSIVE MODE", tables.join(", "));
        look.execute(&lock).await;
    }
    look
}

/// Has the time of every access token pass.
pub(crate) async fn expire_tokens(database: &Path) {
    execute(database, "UPDATE access_tokens SET expires_at_ms = 1").await;
}

/// Changes the database behind the server's back.
pub(crate) async fn execute(database: &Path, change: &str) {
    let mut look = Look::into(database).await;
    look.execute(change).await;
    look.close().await;
}

/// Every row of every table, as text.
pub(crate) async fn dump(database: &Path) -> Vec<String> {
    let mut look = Look::into(database).await;
    let mut rows = Vec::new();
    for table in look.tables().await {
        if table == "jobs" {
            // What the server does by itself leaves its own traces, at any time.
            continue;
        }
        let found = look.rows(&table).await;
        rows.extend(found.iter().map(|row| format!("{table}: {row}")));
    }
    look.close().await;
    rows
}
