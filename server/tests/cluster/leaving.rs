//! Accounts that go at one node while others are at work on them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sottovoce_proto::v1::{DeleteAccountRequest, PutLinkingGrantRequest};
use tonic::Request;

use super::{AT_LAST, Cluster, NODES};
use crate::blobs;
use crate::common::{Clients, Device, Look, reason, statement, with_token};

impl Cluster {
    /// As it is told to those who look past the nodes.
    fn database(&self) -> PathBuf {
        self.folder.path().join("database")
    }
}

/// How many changes wait for what somebody has locked.
async fn waiting(look: &mut Look) -> String {
    let count = "SELECT CAST(COUNT(*) AS TEXT) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    look.texts(count).await.remove(0)
}

/// Waits until so many do.
async fn until_waiting(database: &Path, changes: usize) {
    let mut look = Look::into(database).await;
    let begun = Instant::now();
    while waiting(&mut look).await != changes.to_string() {
        assert!(begun.elapsed() < AT_LAST, "they do not come to wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    look.close().await;
}

/// Locks rows, for as long as the connection lives.
async fn lock(database: &Path, table: &str) -> Look {
    let mut look = Look::into(database).await;
    look.execute("BEGIN").await;
    look.execute(&format!("SELECT 1 FROM {table} FOR UPDATE")).await;
    look
}

async fn deletion(clients: &Clients, token: &str, device: &Device) -> Request<DeleteAccountRequest> {
    let begun = device.begin(clients).await;
    let deletion = Some(statement(device.deletion(&begun), &device.identity));
    with_token(token, DeleteAccountRequest { deletion })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_all_nodes_delete_at_once_is_deleted_once() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let token = alice.join(&clients[0]).await;
    bob.join(&clients[1]).await;
    let held = lock(&cluster.database(), "devices").await;
    let mut calls = Vec::new();
    for clients in &clients {
        let request = deletion(clients, &token, &alice).await;
        let mut accounts = clients.accounts.clone();
        calls.push(tokio::spawn(
            async move { accounts.delete_account(request).await },
        ));
    }
    until_waiting(&cluster.database(), NODES).await;
    held.close().await;
    let mut refused = Vec::new();
    for call in calls {
        refused.extend(call.await.unwrap().err().map(|status| reason(&status)));
    }
    assert_eq!(refused, ["DEVICE_UNKNOWN", "DEVICE_UNKNOWN"]);
    let mut look = Look::into(&cluster.database()).await;
    for (what, rows) in [
        ("SELECT CAST(accounts AS TEXT) FROM totals", "1"),
        ("SELECT CAST(COUNT(*) AS TEXT) FROM accounts", "1"),
        ("SELECT CAST(COUNT(*) AS TEXT) FROM devices", "1"),
        // A challenge that deleted nothing is not used up: one for bob's sign-in, two for alice's.
        ("SELECT CAST(COUNT(*) AS TEXT) FROM used_challenges", "3"),
    ] {
        assert_eq!(look.texts(what).await, [rows], "{what}");
    }
    look.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_going_at_one_node_keeps_nothing_more_by_another() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let alice = Device::named("alice");
    let token = alice.join(&clients[0]).await;
    // The deletion waits at its end, with the account locked.
    let held = lock(&cluster.database(), "totals").await;
    let request = deletion(&clients[0], &token, &alice).await;
    let mut accounts = clients[0].accounts.clone();
    let deleting = tokio::spawn(async move { accounts.delete_account(request).await });
    until_waiting(&cluster.database(), 1).await;
    let grant = PutLinkingGrantRequest {
        device_id: vec![3; 16],
        grant: b"the grant".to_vec(),
    };
    let request = with_token(&token, grant);
    let mut accounts = clients[1].accounts.clone();
    let granting = tokio::spawn(async move { accounts.put_linking_grant(request).await });
    let person = blobs::Person::known(&clients[2], &token);
    let uploading = tokio::spawn(async move { person.begin(1, 100).await });
    until_waiting(&cluster.database(), 3).await;
    held.close().await;
    deleting.await.unwrap().unwrap();
    assert_eq!(reason(&uploading.await.unwrap().unwrap_err()), "TOKEN_INVALID");
    assert_eq!(reason(&granting.await.unwrap().unwrap_err()), "TOKEN_INVALID");
    let mut look = Look::into(&cluster.database()).await;
    for table in ["accounts", "devices", "linking_grants", "blob_holds", "blobs"] {
        let count = format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}");
        assert_eq!(look.texts(&count).await, ["0"], "{table}");
    }
    look.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_waits_for_the_one_that_deletes_what_is_left() {
    let cluster = Cluster::start().await;
    let clients = cluster.clients().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    alice.join(&clients[0]).await;
    let bobs = bob.join(&clients[1]).await;
    Device::send_numbers(&clients[2], &bobs, &alice, 1..=1).await;
    // Who deletes what alice has left waits at her mailbox.
    let held = lock(&cluster.database(), "envelopes").await;
    let mut look = Look::into(&cluster.database()).await;
    look.execute(
        "WITH going AS (UPDATE accounts SET gone = 1 WHERE address LIKE 'alice@%' RETURNING id) \
         UPDATE devices SET gone = 1 WHERE account IN (SELECT id FROM going)",
    )
    .await;
    until_waiting(&cluster.database(), 1).await;
    // Meanwhile all of them look.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(waiting(&mut look).await, "1");
    held.close().await;
    let begun = Instant::now();
    while look.texts("SELECT CAST(COUNT(*) AS TEXT) FROM accounts").await != ["1"] {
        assert!(begun.elapsed() < AT_LAST, "it stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    look.close().await;
}
