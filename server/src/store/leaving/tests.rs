use super::*;
use crate::config::Database;
use crate::hints::Outbox;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::store::scheduled::ReleaseScheduled;

const PHONE: DeviceId = DeviceId::from_bytes([1; 16]);
const LAPTOP: DeviceId = DeviceId::from_bytes([2; 16]);
const OTHERS: DeviceId = DeviceId::from_bytes([9; 16]);

/// What there is in each mailbox, of receipts, and scheduled.
const MANY: i64 = 5_000;

/// Two accounts, one of them with two devices and very much of everything.
struct Fill;

impl Write for Fill {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        for (account, name) in [(1, "a@b.example"), (2, "c@b.example")] {
            sql(
                "INSERT INTO accounts (id, address, account_key, manifest_version, manifest_statement, \
                 manifest_signature, created_at_ms) VALUES ($1, $2, $2, 1, x'', x'', 0)"
                    .replace("$2, $2", "$2, CAST($2 AS BLOB)"),
            )
            .bind(account)
            .bind(name.to_owned())
            .execute(&mut tx.conn)
            .await?;
        }
        for (account, device) in [(1, PHONE), (1, LAPTOP), (2, OTHERS)] {
            sql(
                "INSERT INTO devices (id, account, position, identity_key, since_version, \
                 binding_statement, binding_signature, mailbox_messages, mailbox_bytes) \
                 VALUES ($1, $2, 0, CAST($1 || x'00' AS BLOB), 1, x'', x'', $3, $3)",
            )
            .bind(id(&device))
            .bind(account)
            .bind(MANY)
            .execute(&mut tx.conn)
            .await?;
        }
        for device in [PHONE, LAPTOP] {
            for text in [
                "INSERT INTO envelopes (device, sequence, id, ciphertext, size, received_at_ms) \
                 SELECT $1, n, CAST(printf('%016d', n) AS BLOB), x'00', 1, 0 FROM numbers",
                "INSERT INTO receipts (scope, client_message_id, request_digest, receipt_id, accepted_at_ms) \
                 SELECT $1, CAST(printf('%016d', n) AS BLOB), x'', x'', 0 FROM numbers",
                // From this device to the other account's.
                "INSERT INTO scheduled (id, device, sender_device, client_message_id, ciphertext, \
                 received_at_ms, due_ms) SELECT $1 || CAST(n AS BLOB), $2, $1, x'', x'00', 0, 1 \
                 FROM numbers WHERE n <= 700",
            ] {
                let text = format!(
                    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY}) \
                     {text}"
                );
                let statement =
                    sql(text.replace("SELECT $1 || CAST(n AS BLOB)", "SELECT CAST($1 || n AS BLOB)"));
                let statement = statement.bind(id(&device));
                let statement = match text.contains("$2") {
                    true => statement.bind(id(&OTHERS)),
                    false => statement,
                };
                statement.execute(&mut tx.conn).await?;
            }
        }
        sql("INSERT INTO receipts (scope, client_message_id, request_digest, receipt_id, accepted_at_ms, account) \
             SELECT scope || x'01', client_message_id, x'', x'', 0, 1 FROM receipts WHERE scope = $1"
            .replace("scope || x'01'", "CAST(scope || x'01' AS BLOB)"))
        .bind(id(&PHONE))
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

enum Leave {
    Device(DeviceId),
    Account,
}

impl Write for Leave {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        match self {
            Self::Device(device) => leave_device(tx, *device).await?,
            Self::Account => leave_account(tx, 1, &[PHONE, LAPTOP]).await?,
        }
        Ok(())
    }
}

async fn filled(folder: &tempfile::TempDir) -> Store {
    let hub = Hub::new(1, Outbox::nowhere());
    let store = Store::open(folder.path(), &Database::Sqlite, &Limits::default(), hub).await;
    let store = store.unwrap();
    store.write(Fill).await.unwrap();
    store
}

async fn count(store: &Store, text: &'static str) -> i64 {
    let mut reader = store.read().await.unwrap();
    let (count,): (i64,) = sql(text).fetch_one(&mut reader.conn()).await.unwrap();
    count
}

/// Deletes what is left, and counts the changes that takes.
async fn clear(store: &Store, whose: RemoveGone) -> usize {
    let most = 3 * MESSAGES + RECEIPTS;
    let mut changes = 0;
    loop {
        let batch = store.write(whose).await.unwrap();
        assert!(
            batch.items <= most.unsigned_abs(),
            "{} rows in one change",
            batch.items
        );
        if !batch.more {
            return changes;
        }
        changes += 1;
    }
}

#[tokio::test]
async fn a_full_device_is_gone_at_once_and_what_it_left_goes_in_small_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder).await;
    store.write(Leave::Device(LAPTOP)).await.unwrap();
    assert!(store.is_anybody_leaving().await.unwrap());
    assert_eq!(store.identity_key(&LAPTOP).await.unwrap(), None);
    assert!(store.identity_key(&PHONE).await.unwrap().is_some());
    let devices: Vec<_> = store.devices(&PHONE).await.unwrap();
    assert_eq!(
        devices.iter().map(|device| device.id).collect::<Vec<_>>(),
        [PHONE]
    );
    // What it had scheduled is due, and is not delivered any more; what the other one has, is.
    while store.write(ReleaseScheduled { now_ms: 1 }).await.unwrap().more {}
    assert_eq!(
        count(
            &store,
            "SELECT COUNT(*) FROM envelopes WHERE device = x'09090909090909090909090909090909'"
        )
        .await,
        700
    );
    assert_eq!(clear(&store, RemoveGone::Of(PHONE)).await, 0, "it is there still");
    assert!(clear(&store, RemoveGone::Of(LAPTOP)).await > 10);
    assert!(!store.is_anybody_leaving().await.unwrap());
    for (text, left) in [
        ("SELECT COUNT(*) FROM accounts", 2),
        ("SELECT COUNT(*) FROM devices", 2),
        (
            "SELECT COUNT(*) FROM envelopes WHERE device <> x'09090909090909090909090909090909'",
            MANY,
        ),
        ("SELECT COUNT(*) FROM receipts WHERE account IS NULL", MANY),
        ("SELECT COUNT(*) FROM receipts WHERE account IS NOT NULL", MANY),
        ("SELECT COUNT(*) FROM scheduled", 0),
        (
            "SELECT mailbox_messages FROM devices WHERE id = x'09090909090909090909090909090909'",
            MANY - 700,
        ),
        (
            "SELECT mailbox_bytes FROM devices WHERE id = x'09090909090909090909090909090909'",
            MANY - 700,
        ),
    ] {
        assert_eq!(count(&store, text).await, left, "{text}");
    }
    store.close().await;
}

#[tokio::test]
async fn of_a_full_account_nothing_is_left_though_it_went_when_the_server_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder).await;
    store.write(Leave::Account).await.unwrap();
    for device in [PHONE, LAPTOP] {
        assert_eq!(store.identity_key(&device).await.unwrap(), None);
    }
    let named =
        "SELECT COUNT(*) FROM accounts WHERE address LIKE 'a@%' OR account_key = CAST('a@b.example' AS BLOB)";
    assert_eq!(count(&store, named).await, 0);
    store.write(RemoveGone::Any).await.unwrap();
    store.close().await;

    let hub = Hub::new(1, Outbox::nowhere());
    let store = Store::open(folder.path(), &Database::Sqlite, &Limits::default(), hub).await;
    let store = store.unwrap();
    assert!(clear(&store, RemoveGone::Any).await > 20);
    for (text, left) in [
        ("SELECT COUNT(*) FROM accounts", 1),
        ("SELECT COUNT(*) FROM devices", 1),
        ("SELECT COUNT(*) FROM envelopes", 0),
        ("SELECT COUNT(*) FROM receipts", 0),
        ("SELECT COUNT(*) FROM scheduled", 0),
    ] {
        assert_eq!(count(&store, text).await, left, "{text}");
    }
    store.close().await;
}

#[tokio::test]
async fn nobody_has_the_id_that_an_account_goes_under_until_it_has_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder).await;
    store.write(Leave::Account).await.unwrap();
    let devices = "SELECT COUNT(*) FROM devices WHERE gone = 1";
    while count(&store, devices).await > 0 {
        store.write(RemoveGone::Any).await.unwrap();
    }
    let leaving = async |device| {
        is_leaving(&mut store.read().await.unwrap().conn(), device)
            .await
            .unwrap()
    };
    assert!(
        store.is_anybody_leaving().await.unwrap(),
        "nothing is left to see"
    );
    assert!(leaving(PHONE).await);
    assert!(!leaving(LAPTOP).await && !leaving(OTHERS).await);
    clear(&store, RemoveGone::Any).await;
    assert!(!leaving(PHONE).await);
    store.close().await;
}
