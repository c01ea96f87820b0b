//! One query with what is bound to it, run on either database.

use std::borrow::Cow;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Executor, FromRow, query_as_with, query_with};

use super::rows::Rows;
use super::value::Value;
use super::{Conn, in_time};

/// Where the rows go.
const ROWS: &str = "{rows}";

/// Begins a query. Its text is a constant of ours, never anything that was sent to the server.
pub(crate) fn sql(text: impl Into<Cow<'static, str>>) -> Statement {
    Statement {
        text: text.into(),
        values: Vec::new(),
        rows: None,
    }
}

/// A query and its parameters.
#[derive(Debug)]
pub(crate) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
    rows: Option<Rows>,
}

/// What a row is read into: a tuple of `i64`, `Vec<u8>`, `String` and options of these.
pub(crate) trait Columns:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Columns for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl Statement {
    /// Binds the next parameter, `$1` first.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Puts rows, at least one, in the place of `{rows}`.
    pub(crate) fn rows(mut self, rows: Rows) -> Self {
        self.rows = Some(rows);
        self
    }

    /// Runs it, and returns how many rows it changed.
    pub(crate) async fn execute(self, conn: &mut Conn<'_>) -> Result<u64, sqlx::Error> {
        match conn {
            Conn::Sqlite(conn) => {
                let (text, arguments) = self.for_sqlite()?;
                let query = query_with(AssertSqlSafe(text), arguments);
                Ok((&mut **conn).execute(query).await?.rows_affected())
            }
            Conn::Postgres(conn) => {
                let (text, arguments) = self.for_postgres()?;
                let query = query_with(AssertSqlSafe(text), arguments);
                Ok(in_time((&mut **conn).execute(query)).await?.rows_affected())
            }
        }
    }

    pub(crate) async fn fetch_all<T: Columns>(self, conn: &mut Conn<'_>) -> Result<Vec<T>, sqlx::Error> {
        match conn {
            Conn::Sqlite(conn) => {
                let (text, arguments) = self.for_sqlite()?;
                query_as_with(AssertSqlSafe(text), arguments)
                    .fetch_all(&mut **conn)
                    .await
            }
            Conn::Postgres(conn) => {
                let (text, arguments) = self.for_postgres()?;
                in_time(query_as_with(AssertSqlSafe(text), arguments).fetch_all(&mut **conn)).await
            }
        }
    }

    pub(crate) async fn fetch_optional<T: Columns>(
        self,
        conn: &mut Conn<'_>,
    ) -> Result<Option<T>, sqlx::Error> {
        Ok(self.fetch_all(conn).await?.into_iter().next())
    }

    pub(crate) async fn fetch_one<T: Columns>(self, conn: &mut Conn<'_>) -> Result<T, sqlx::Error> {
        self.fetch_optional(conn).await?.ok_or(sqlx::Error::RowNotFound)
    }

    fn for_sqlite(self) -> Result<(String, SqliteArguments), sqlx::Error> {
        let mut arguments = SqliteArguments::default();
        let text = self.text_with(Rows::as_values_clause);
        for value in self
            .values
            .into_iter()
            .chain(self.rows.map(Rows::into_values).unwrap_or_default())
        {
            match value {
                Value::Int(value) => Arguments::add(&mut arguments, value),
                Value::Bytes(value) => Arguments::add(&mut arguments, value),
                Value::Text(value) => Arguments::add(&mut arguments, value),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok((text, arguments))
    }

    fn for_postgres(self) -> Result<(String, PgArguments), sqlx::Error> {
        let mut arguments = PgArguments::default();
        let text = self.text_with(Rows::as_unnest_clause);
        for value in self.values {
            match value {
                Value::Int(value) => arguments.add(value),
                Value::Bytes(value) => arguments.add(value),
                Value::Text(value) => arguments.add(value),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        for column in self.rows.map(Rows::into_columns).unwrap_or_default() {
            add_array(&mut arguments, column)?;
        }
        Ok((text, arguments))
    }

    fn text_with(&self, clause: fn(&Rows, usize) -> String) -> String {
        match &self.rows {
            Some(rows) => self.text.replacen(ROWS, &clause(rows, self.values.len() + 1), 1),
            None => self.text.clone().into_owned(),
        }
    }
}

/// A column is of one type, that of its first value.
fn add_array(arguments: &mut PgArguments, column: Vec<Value>) -> Result<(), sqlx::Error> {
    let mut integers = Vec::new();
    let mut blobs = Vec::new();
    let mut texts = Vec::new();
    for value in column {
        match value {
            Value::Int(value) => integers.push(value),
            Value::Bytes(value) => blobs.push(value),
            Value::Text(value) => texts.push(value),
        }
    }
    if !blobs.is_empty() {
        arguments.add(blobs)
    } else if !texts.is_empty() {
        arguments.add(texts)
    } else {
        arguments.add(integers)
    }
    .map_err(sqlx::Error::Encode)
}
