use std::time::Instant;

use sottovoce_statements::Address;

use super::*;
use crate::config::Database;
use crate::hints::Outbox;
use crate::hub::Hub;
use crate::limits::Limits;
use crate::store::{Bounds, Deposit, DepositFrom, Letter, Post, ReadError};

const CHANNEL: ChannelId = ChannelId::from_bytes([0xc4; 32]);
const NODE: [u8; 16] = [1; 16];

/// Members, each with an account and a device: as many as it says, whose device ids are their numbers.
struct Members(i64);

impl Write for Members {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        let channel = CHANNEL.as_bytes();
        sql("INSERT INTO channels (id, head_height, head_hash) VALUES ($1, 0, $1)")
            .bind(channel)
            .execute(&mut tx.conn)
            .await?;
        sql("INSERT INTO fan_out_leases (channel) VALUES ($1)")
            .bind(channel)
            .execute(&mut tx.conn)
            .await?;
        for text in [
            "INSERT INTO accounts (id, address, account_key, manifest_version, manifest_statement, \
             manifest_signature, created_at_ms) \
             SELECT n, 'm' || n || '@localhost', CAST('key' || n AS BLOB), 1, x'', x'', 0 FROM numbers",
            "INSERT INTO devices (id, account, position, identity_key, since_version, binding_statement, \
             binding_signature) SELECT CAST(printf('%016d', n) AS BLOB), n, 0, CAST('key' || n AS BLOB), 1, \
             x'', x'' FROM numbers",
            "INSERT INTO channel_members (channel, account, since_height) SELECT $2, n, 0 FROM numbers",
        ] {
            sql(format!(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) \
                 {text}"
            ))
            .bind(self.0)
            .bind(channel)
            .execute(&mut tx.conn)
            .await?;
        }
        Ok(())
    }
}

/// Does something past the rules.
struct Meddle(&'static str);

impl Write for Meddle {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        sql(self.0).execute(&mut tx.conn).await?;
        Ok(())
    }
}

struct World {
    store: Store,
    _folder: tempfile::TempDir,
}

impl World {
    async fn of(members: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let hub = Hub::new(1, Outbox::nowhere());
        let store = Store::open(folder.path(), &Database::Sqlite, &limits, hub);
        let store = store.await.unwrap();
        store.write(Members(members)).await.unwrap();
        Self {
            store,
            _folder: folder,
        }
    }

    async fn post(&self, n: u8) {
        let post = Post {
            channel: CHANNEL,
            sender: Address::parse("m1@localhost").unwrap(),
            device: device(1),
            client_message_id: [n; 16],
            request_digest: [n; 32],
            height: 0,
            ciphertext: vec![n; 300],
            post_id: [n; 16],
            receipt_id: [n; 16],
            now_ms: 1,
            max_receipts: 1_000,
            max_waiting: 1_000,
        };
        self.store.write(post).await.unwrap();
    }

    async fn step(&self, node: [u8; 16], now_ms: u64) -> FannedOut {
        let change = FanOut {
            channels: vec![CHANNEL],
            node,
            now_ms,
            max_messages: 10_000,
            max_bytes: 64 * 1024 * 1024,
        };
        self.store.write(change).await.unwrap()
    }

    /// Steps until nothing is left: how many it took, and what they delivered.
    async fn finish(&self) -> (u64, u64) {
        let (mut steps, mut delivered) = (0, 0);
        loop {
            let outcome = self.step(NODE, 1).await;
            steps += 1;
            assert!(outcome.delivered <= CHUNK as u64);
            delivered += outcome.delivered;
            if outcome.unfinished.is_empty() {
                return (steps, delivered);
            }
        }
    }

    /// The first bytes of the ciphertexts in a mailbox, in order.
    async fn mailbox(&self, n: i64) -> Vec<u8> {
        let envelopes = self
            .store
            .envelopes(&device(n), 0, i64::MAX, 1_000, 0)
            .await
            .unwrap();
        for envelope in &envelopes {
            assert_eq!(envelope.channel.as_deref(), Some(CHANNEL.as_bytes().as_slice()));
            assert_eq!(envelope.sender.as_deref(), Some("m1@localhost"));
        }
        envelopes.iter().map(|envelope| envelope.ciphertext[0]).collect()
    }

    async fn count(&self, select: &'static str) -> i64 {
        let counted: Result<(i64,), ReadError> = async {
            let mut reader = self.store.read().await?;
            Ok(sql(select).fetch_one(&mut reader.conn()).await?)
        }
        .await;
        counted.unwrap().0
    }
}

fn device(n: i64) -> DeviceId {
    DeviceId::from_bytes(format!("{n:016}").into_bytes().try_into().unwrap())
}

#[tokio::test]
async fn ten_thousand_members_are_served_in_many_small_changes() {
    let world = World::of(10_000).await;
    world.post(1).await;
    world.post(2).await;
    let began = Instant::now();
    let (steps, delivered) = world.finish().await;
    let took = began.elapsed();
    println!(
        "{delivered} deliveries in {steps} changes, {took:?}: {:.0} a second",
        delivered as f64 / took.as_secs_f64()
    );
    assert_eq!(delivered, 2 * 9_999);
    assert!(steps >= 2 * 10_000 / CHUNK as u64);
    assert_eq!(world.count("SELECT COUNT(*) FROM posts").await, 2);
    assert_eq!(world.count("SELECT COUNT(*) FROM fan_outs").await, 0);
    let uneven = "SELECT COUNT(*) FROM devices WHERE id <> CAST('0000000000000001' AS BLOB) AND \
                  (mailbox_messages <> 2 OR mailbox_bytes <> 600 OR last_sequence <> 2)";
    assert_eq!(world.count(uneven).await, 0);
    assert_eq!(world.mailbox(10_000).await, [1, 2]);
    assert_eq!(world.mailbox(1).await, [0; 0]);
}

#[tokio::test]
async fn another_node_waits_for_the_lease_and_then_goes_on_where_the_first_ended() {
    let world = World::of(1_200).await;
    world.post(1).await;
    // The last account of a chunk waits for the next, and who posted is not served.
    assert_eq!(world.step(NODE, 1_000).await.delivered, 510);
    let other = [2; 16];
    let meanwhile = world.step(other, 1_000 + 9_999).await;
    assert_eq!(meanwhile, FannedOut::default());
    let waiting = |node: [u8; 16], now_ms| {
        let store = &world.store;
        async move { store.waiting_channels(&node, now_ms, 10).await.unwrap() }
    };
    assert_eq!(waiting(other, 10_999).await, []);
    assert_eq!(waiting(NODE, 10_999).await, [CHANNEL]);
    assert_eq!(waiting(other, 11_000).await, [CHANNEL]);
    let mut delivered = 510;
    loop {
        let outcome = world.step(other, 11_000).await;
        delivered += outcome.delivered;
        if outcome.unfinished.is_empty() {
            break;
        }
    }
    assert_eq!(delivered, 1_199);
    assert_eq!(
        world.count("SELECT COUNT(DISTINCT device) FROM envelopes").await,
        1_199
    );
    // The lease ended with the work.
    world.post(2).await;
    assert!(world.step(NODE, 11_001).await.delivered > 0);
}

#[tokio::test]
async fn a_node_that_stops_in_order_leaves_its_channels_to_others_at_once() {
    let world = World::of(1_200).await;
    world.post(1).await;
    world.step(NODE, 1_000).await;
    world.store.write(EndLeases { node: NODE }).await.unwrap();
    assert!(world.step([2; 16], 1_000).await.delivered > 0);
}

#[tokio::test]
async fn an_account_at_the_edge_of_a_chunk_is_served_with_all_its_devices() {
    let world = World::of(600).await;
    // Sixteen devices each, so that the edge of a chunk falls within an account.
    world
        .store
        .write(Meddle(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 15) \
             INSERT INTO devices (id, account, position, identity_key, since_version, binding_statement, \
             binding_signature) SELECT CAST(printf('%08d%08d', n, account) AS BLOB), account, n, \
             CAST(printf('%08d%08d', n, account) AS BLOB), 1, x'', x'' FROM devices CROSS JOIN numbers",
        ))
        .await
        .unwrap();
    world.post(1).await;
    assert_eq!(world.finish().await.1, 600 * 16 - 1);
    assert_eq!(world.count("SELECT COUNT(*) FROM envelopes").await, 600 * 16 - 1);
    assert_eq!(
        world.count("SELECT COUNT(DISTINCT device) FROM envelopes").await,
        600 * 16 - 1
    );
}

#[tokio::test]
async fn accounts_deleted_on_the_way_are_passed_over_and_their_channels_and_posts_forgotten() {
    let world = World::of(1_200).await;
    world.post(1).await;
    world.step(NODE, 1).await;
    for statement in [
        "DELETE FROM envelopes WHERE device > CAST('0000000000000100' AS BLOB)",
        "DELETE FROM devices WHERE account > 100",
        "DELETE FROM accounts WHERE id > 100",
    ] {
        world.store.write(Meddle(statement)).await.unwrap();
    }
    assert_eq!(world.finish().await, (1, 0));
    assert_eq!(world.count("SELECT COUNT(*) FROM channel_members").await, 100);
    assert_eq!(world.mailbox(100).await, [1]);
    let sweep = async || {
        let found = world.store.forsaken(&Default::default()).await.unwrap();
        assert!(found.is_last());
        world.store.write(found).await.unwrap();
    };
    sweep().await;
    assert_eq!(world.count("SELECT COUNT(*) FROM posts").await, 1);
    for statement in [
        "DELETE FROM envelopes",
        "DELETE FROM devices",
        "DELETE FROM accounts",
    ] {
        world.store.write(Meddle(statement)).await.unwrap();
    }
    sweep().await;
    for table in [
        "SELECT COUNT(*) FROM posts",
        "SELECT COUNT(*) FROM channels",
        "SELECT COUNT(*) FROM fan_out_leases",
        "SELECT COUNT(*) FROM channel_members",
    ] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_post_that_nobody_is_there_to_get_is_not_kept() {
    let world = World::of(1).await;
    world.post(1).await;
    assert_eq!(world.finish().await, (1, 0));
    assert_eq!(world.count("SELECT COUNT(*) FROM posts").await, 0);
}

#[tokio::test]
async fn a_message_is_taken_while_a_post_is_on_its_way_and_not_after_it() {
    const MEMBERS: i64 = 10_000;
    let world = World::of(MEMBERS).await;
    world.post(1).await;
    let (steps, begun) = (std::cell::Cell::new(0), tokio::sync::Notify::new());
    let delivering = async {
        while !world.step(NODE, 1).await.unfinished.is_empty() {
            steps.set(steps.get() + 1);
            begun.notify_one();
        }
    };
    let sending = async {
        begun.notified().await;
        let letter = Letter {
            device: device(2),
            envelope_id: [7; 16],
            ciphertext: vec![7],
        };
        let deposit = Deposit {
            from: DepositFrom::Device {
                address: Address::parse("m3@localhost").unwrap(),
                device: device(3),
            },
            recipient: Address::parse("m2@localhost").unwrap(),
            client_message_id: [7; 16],
            request_digest: [7; 32],
            manifest_version: 0,
            letters: vec![letter],
            receipt_id: [7; 16],
            now_ms: 1,
            expires_at_ms: None,
            due_ms: None,
            bounds: Bounds {
                max_messages: 100,
                max_bytes: 100_000,
                max_receipts: 100,
            },
        };
        world.store.write_together(deposit).await.unwrap();
        steps.get()
    };
    let ((), steps_before) = tokio::join!(delivering, sending);
    // The one under way when it was sent, and the one that it shared a commit with; nothing is measured.
    assert!(
        steps_before <= 4,
        "it waited for {steps_before} of {}",
        steps.get()
    );
    assert!(steps.get() >= MEMBERS / CHUNK as i64, "{} steps", steps.get());
}
