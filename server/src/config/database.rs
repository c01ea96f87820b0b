//! Which database.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::postgres::PgConnectOptions;

use super::Secret;

/// What stands for a file in the data folder.
const SQLITE: &str = "sqlite";

/// Where the server keeps what it has promised to keep.
#[derive(Clone, Debug, Default)]
pub enum Database {
    /// A file in the data folder: for one server.
    #[default]
    Sqlite,
    /// PostgreSQL, which any number of nodes may share.
    Postgres(PostgresUrl),
}

/// `postgres://user:password@host:port/database?…`, as PostgreSQL's own programs read it. May hold a
/// password, so it is not printed.
#[derive(Clone)]
pub struct PostgresUrl(Box<PgConnectOptions>);

/// The text is not a PostgreSQL URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a postgres:// URL")]
pub struct PostgresUrlError;

impl PostgresUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`PostgresUrlError`] when it is none. The text is not repeated in it.
    pub fn parse(text: &str) -> Result<Self, PostgresUrlError> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(PostgresUrlError);
        }
        let options = text.parse().map_err(|_| PostgresUrlError)?;
        Ok(Self(Box::new(options)))
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.0)
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresUrl([redacted])")
    }
}

impl Serialize for Database {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Sqlite => SQLITE,
            Self::Postgres(_) => "[redacted]",
        })
    }
}

impl<'de> Deserialize<'de> for Database {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Secret::deserialize(deserializer)?
            .reveal()
            .map_err(|error| D::Error::custom(format!("the file it is in cannot be read: {error}")))?;
        if text.as_str() == SQLITE {
            return Ok(Self::Sqlite);
        }
        let url = PostgresUrl::parse(&text)
            .map_err(|_| D::Error::custom("neither `sqlite` nor a postgres:// URL"))?;
        Ok(Self::Postgres(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_read_from_its_name_its_url_or_a_file() {
        let read = |text: &str| serde_json::from_value::<Database>(text.into());
        assert!(matches!(read("sqlite"), Ok(Database::Sqlite)));
        let Ok(Database::Postgres(url)) = read("postgres://me:hunter2@db.example:5433/chat") else {
            panic!("a URL")
        };
        assert_eq!(
            (url.options().get_host(), url.options().get_port()),
            ("db.example", 5433)
        );
        assert!(!format!("{:?}", Database::Postgres(url)).contains("hunter2"));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("url");
        std::fs::write(&file, "postgres://me:hunter2@db.example/chat\n").unwrap();
        assert!(matches!(
            read(&format!("file:{}", file.display())),
            Ok(Database::Postgres(_))
        ));
        for wrong in [
            "mysql://me:hunter2@db",
            "",
            "postgres//hunter2",
            "file:hunter2-is-not-there",
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
