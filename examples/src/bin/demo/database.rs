//! A look into the server's database, from outside, while the server runs.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};

use crate::Fallible;

/// How many bytes of a ciphertext are shown: its last, because it begins with the ratchet's public key.
const SHOWN: usize = 12;

pub(crate) struct Database {
    path: PathBuf,
    connection: SqliteConnection,
}

/// One envelope as the server has it.
pub(crate) struct Stored {
    /// Whoever wrote it, where the server was told.
    pub(crate) sender: Option<String>,
    pub(crate) ciphertext: Vec<u8>,
}

impl Database {
    pub(crate) async fn open(path: &Path) -> Fallible<Self> {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let connection = SqliteConnection::connect_with(&options).await?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// Every envelope waiting in a mailbox, oldest first.
    pub(crate) async fn envelopes(&mut self) -> Fallible<Vec<Stored>> {
        let rows = sqlx::query("SELECT sender, ciphertext FROM envelopes ORDER BY sequence")
            .fetch_all(&mut self.connection)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Stored {
                    sender: row.try_get(0)?,
                    ciphertext: row.try_get(1)?,
                })
            })
            .collect()
    }

    /// Whether a one-time KEM prekey of this account can still be handed out.
    pub(crate) async fn has_one_time_kem_prekey(&mut self, address: &str, id: u32) -> Fallible<bool> {
        let found = sqlx::query(
            "SELECT count(*) FROM one_time_kem_prekeys
             JOIN devices ON devices.id = device JOIN accounts ON accounts.id = account
             WHERE address = ? AND one_time_kem_prekeys.id = ?",
        )
        .bind(address)
        .bind(i64::from(id))
        .fetch_one(&mut self.connection)
        .await?;
        Ok(found.try_get::<i64, _>(0)? > 0)
    }

    /// Prints every table with its rows counted, then every envelope.
    pub(crate) async fn print(&mut self) -> Fallible<()> {
        let tables = sqlx::query(
            "SELECT name FROM sqlite_schema WHERE type = 'table'
             AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx%' ORDER BY name",
        )
        .fetch_all(&mut self.connection)
        .await?;
        for table in &tables {
            let name: String = table.try_get(0)?;
            // The name comes from the database's own schema.
            let count = sqlx::query(AssertSqlSafe(format!("SELECT count(*) FROM \"{name}\"")))
                .fetch_one(&mut self.connection)
                .await?;
            println!("     {name:<23} {:>4} rows", count.try_get::<i64, _>(0)?);
        }
        for (number, stored) in self.envelopes().await?.iter().enumerate() {
            println!(
                "       envelope {}: from {}, {} bytes, ending in {}",
                number + 1,
                stored
                    .sender
                    .as_deref()
                    .unwrap_or("a sender the server is not told"),
                stored.ciphertext.len(),
                hex(stored
                    .ciphertext
                    .last_chunk::<SHOWN>()
                    .map_or(&[], |end| end.as_slice())),
            );
        }
        Ok(())
    }

    /// Everything on disk: the database and its write-ahead log.
    pub(crate) fn bytes(&self) -> Fallible<Vec<u8>> {
        let mut bytes = std::fs::read(&self.path)?;
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if Path::new(&log).exists() {
            bytes.extend(std::fs::read(log)?);
        }
        Ok(bytes)
    }
}

pub(crate) fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}
