//! Many rows as one parameter of a query.

use std::fmt::Write;

use super::value::Value;

/// Rows of the same columns. In a query they stand as `{rows}` inside a CTE that names the columns:
/// `WITH r(device, amount) AS ({rows}) …`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    width: usize,
    /// Row after row.
    values: Vec<Value>,
}

impl Rows {
    /// Adds a row; all have as many columns as the first, of the same types.
    pub(crate) fn push<const N: usize>(&mut self, row: [Value; N]) {
        self.width = N;
        self.values.extend(row);
    }

    /// Rows of one column.
    pub(crate) fn column<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self {
            width: 1,
            values: values.into_iter().map(Into::into).collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }

    /// As SQLite reads them: every value a parameter, the first of them numbered `first`. Without others
    /// before them they need no numbers, and then have none: SQLite finds the name of a parameter by going
    /// through all names, and the driver asks for each, so that a thousand names cost half a million steps.
    ///
    /// There is room for a power of two of rows, so that few texts are ever prepared and kept. What is not
    /// bound is null, and a row that begins with null is none: no first column of ours is ever null.
    pub(super) fn as_values_clause(&self, first: usize) -> String {
        let room = self.len().next_power_of_two();
        let mut text = String::with_capacity(32 + room * (2 * self.width + 2));
        text.push_str(if room > 1 {
            "SELECT * FROM (VALUES "
        } else {
            "VALUES "
        });
        let mut number = first;
        for row in 0..room {
            text.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..self.width {
                text.push_str(if column == 0 { "" } else { "," });
                if first == 1 {
                    text.push('?');
                } else {
                    // Writing to a String does not fail.
                    let _ = write!(text, "${number}");
                }
                number += 1;
            }
            text.push(')');
        }
        if room > 1 {
            text.push_str(") WHERE column1 IS NOT NULL");
        }
        text
    }

    /// As PostgreSQL reads them best: every column one array, so that the text does not depend on their
    /// number and is planned once.
    pub(super) fn as_unnest_clause(&self, first: usize) -> String {
        let mut text = String::from("SELECT * FROM UNNEST(");
        for (column, value) in self.values.iter().take(self.width).enumerate() {
            let kind = match value {
                Value::Int(_) => "bigint",
                Value::Bytes(_) => "bytea",
                Value::Text(_) => "text",
            };
            let comma = if column == 0 { "" } else { "," };
            let _ = write!(text, "{comma}${}::{kind}[]", first + column);
        }
        text.push(')');
        text
    }

    /// The columns, for [`Rows::as_unnest_clause`].
    pub(super) fn into_columns(self) -> Vec<Vec<Value>> {
        let mut columns = vec![Vec::with_capacity(self.len()); self.width];
        let mut values = self.values.into_iter();
        'rows: loop {
            for column in &mut columns {
                match values.next() {
                    Some(value) => column.push(value),
                    None => break 'rows,
                }
            }
        }
        columns
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;
    use crate::store::db::{Conn, sql};

    #[test]
    fn few_texts_serve_sets_of_every_size() {
        let texts = (1..=1_000).map(|len| Rows::column((0..len).map(Value::from)).as_values_clause(1));
        let texts: std::collections::HashSet<_> = texts.collect();
        assert_eq!(texts.len(), 11);
    }

    #[tokio::test]
    async fn places_without_a_row_are_no_rows() {
        let mut connection = sqlx::SqliteConnection::connect("sqlite::memory:").await.unwrap();
        let conn = &mut Conn::Sqlite(&mut connection);
        // Fewer rows after more, in the same text.
        for len in [4, 3] {
            let mut rows = Rows::default();
            for n in 0..len {
                rows.push([n.into(), Value::Text(None)]);
            }
            let read: Vec<(i64, Option<String>)> =
                sql("WITH r(n, t) AS ({rows}) SELECT n, t FROM r ORDER BY n")
                    .rows(rows)
                    .fetch_all(conn)
                    .await
                    .unwrap();
            assert_eq!(read, (0..len).map(|n| (n, None)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_are_written_as_each_database_wants_them() {
        let mut rows = Rows::default();
        rows.push([[1; 16].into(), 2.into()]);
        rows.push([[3; 16].into(), 4.into()]);
        assert_eq!(
            rows.as_values_clause(3),
            "SELECT * FROM (VALUES ($3,$4),($5,$6)) WHERE column1 IS NOT NULL"
        );
        assert_eq!(
            rows.as_values_clause(1),
            "SELECT * FROM (VALUES (?,?),(?,?)) WHERE column1 IS NOT NULL"
        );
        assert_eq!(
            rows.as_unnest_clause(3),
            "SELECT * FROM UNNEST($3::bytea[],$4::bigint[])"
        );
        assert_eq!(
            rows.into_columns(),
            [
                vec![Value::from([1; 16]), [3; 16].into()],
                vec![2.into(), 4.into()]
            ]
        );
    }
}
