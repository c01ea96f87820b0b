//! A look into the database, past the server.

use std::path::Path;

use sottovoce_statements::DeviceId;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, query};

use super::Device;

/// Gives the account of `device` a second device, as a later manifest would.
pub(crate) async fn add_device(database: &Path, device: &Device, second: DeviceId) {
    let mut conn = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .unwrap();
    query(
        "INSERT INTO devices (id, account, position, identity_key, since_version, binding_statement, \
         binding_signature) SELECT ?, account, 1, ?, 2, binding_statement, binding_signature FROM devices WHERE id = ?",
    )
    .bind(second.as_bytes().as_slice())
    .bind(second.as_bytes().repeat(2))
    .bind(device.id.as_bytes().as_slice())
    .execute(&mut conn)
    .await
    .unwrap();
    conn.close().await.unwrap();
}

/// Keeps the server from writing, for as long as the connection lives.
pub(crate) async fn hold_the_write_lock(database: &Path) -> SqliteConnection {
    let mut conn = SqliteConnectOptions::new()
        .filename(database)
        .connect()
        .await
        .unwrap();
    query("BEGIN IMMEDIATE").execute(&mut conn).await.unwrap();
    conn
}

/// Has the time of every access token pass.
pub(crate) async fn expire_tokens(database: &Path) {
    let mut conn = hold_the_write_lock(database).await;
    query("UPDATE access_tokens SET expires_at_ms = 1")
        .execute(&mut conn)
        .await
        .unwrap();
    query("COMMIT").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

/// Every row of every table, as text.
pub(crate) async fn dump(database: &Path) -> Vec<String> {
    let mut conn = SqliteConnectOptions::new()
        .filename(database)
        .read_only(true)
        .connect()
        .await
        .unwrap();
    let tables = query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let table: String = table.get(0);
        let columns = query(AssertSqlSafe(format!(
            "SELECT name FROM pragma_table_info('{table}')"
        )))
        .fetch_all(&mut conn)
        .await
        .unwrap();
        let values: Vec<String> = columns
            .iter()
            .map(|column| format!("quote(\"{}\")", column.get::<String, _>(0)))
            .collect();
        let select = format!(
            "SELECT {} FROM \"{table}\" ORDER BY 1",
            values.join(" || '|' || ")
        );
        for row in query(AssertSqlSafe(select)).fetch_all(&mut conn).await.unwrap() {
            rows.push(format!("{table}: {}", row.get::<String, _>(0)));
        }
    }
    conn.close().await.unwrap();
    rows
}
