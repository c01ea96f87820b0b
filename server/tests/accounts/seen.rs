//! When somebody was here is known by the day.

use sottovoce_proto::v1::RefreshTokensRequest;

use crate::common::{Device, Look, TestServer};
use crate::mailbox::now_ms;

const DAY_MS: u64 = 86_400_000;

/// The numbers in a table, each with the name of its column.
async fn numbers(look: &mut Look, table: &str) -> Vec<(String, u64)> {
    let columns = look
        .texts(&match look {
            Look::Sqlite(_) => {
                format!("SELECT name FROM pragma_table_info('{table}') WHERE type = 'INTEGER'")
            }
            Look::Postgres(_) => format!(
                "SELECT column_name::text FROM information_schema.columns \
                 WHERE table_name = '{table}' AND data_type = 'bigint'"
            ),
        })
        .await;
    let mut numbers = Vec::new();
    for column in columns {
        let select = format!("SELECT CAST({column} AS TEXT) FROM {table} WHERE {column} IS NOT NULL");
        let found = look.texts(&select).await;
        numbers.extend(
            found
                .iter()
                .map(|number| (column.clone(), number.parse().unwrap())),
        );
    }
    numbers
}

#[tokio::test]
async fn no_time_of_day_is_kept_of_a_sign_in_or_a_refresh() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let session = alice.sign_in_from(&clients, None).await;
    let request = RefreshTokensRequest {
        refresh_token: session.refresh_token,
    };
    clients.auth.clone().refresh_tokens(request).await.unwrap();
    let mut look = Look::into(&server.database).await;
    for table in ["devices", "sessions"] {
        let numbers = numbers(&mut look, table).await;
        let today = now_ms() / DAY_MS;
        assert!(
            numbers
                .iter()
                .any(|(_, number)| (today - 1..=today).contains(number)),
            "{table} has the day: {numbers:?}"
        );
        for (column, number) in numbers {
            if column == "refresh_expires_at_ms" {
                assert_eq!(number % DAY_MS, 0, "the beginning of a day");
            } else {
                // Nor in seconds.
                for now in [now_ms(), now_ms() / 1_000] {
                    assert!(
                        number.abs_diff(now) > now / 20_000,
                        "{table}.{column} is {number}"
                    );
                }
            }
        }
    }
    look.close().await;
    server.stop().await;
}
