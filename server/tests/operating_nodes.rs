//! What operators do with several nodes on one database, and with that database.

use std::time::Duration;

use sottovoce_proto::v1::BeginAuthenticationRequest;

use crate::blobs;
use crate::common::{Clients, Device, postgres_url};
use crate::operating::{command, done, refused, runs, start};

#[tokio::test]
async fn of_two_nodes_one_runs_a_job_and_the_other_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let database = postgres_url(&one);
    let node = async |data_dir, name: &'static str| {
        start(data_dir, |command| {
            command
                .env("SOTTOVOCE_DATABASE", &database)
                .env("SOTTOVOCE_NODE", name)
                .env("SOTTOVOCE_LIMITS__SWEEP_INTERVAL", "1s");
        })
        .await
    };
    let (first, operators_of_first) = node(&one, "first").await;
    let (second, operators_of_second) = node(&two, "second").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    let of_first = runs(operators_of_first, "lapsed", "done").await;
    let of_second = runs(operators_of_second, "lapsed", "done").await;
    // Were each to run it for itself, there would be twice as many.
    let together = of_first + of_second;
    assert!((3.0..=8.0).contains(&together), "{of_first} and {of_second}");
    first.kill().await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let later = runs(operators_of_second, "lapsed", "done").await;
    assert!(later >= of_second + 2.0, "{of_second}, then {later}");
    second.kill().await;
}

#[tokio::test]
async fn a_block_made_at_one_node_holds_at_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    let database = postgres_url(&one);
    let (first, _) = start(&one, |_| {}).await;
    let (second, _) = start(&two, |command| {
        command.env("SOTTOVOCE_DATABASE", &database);
    })
    .await;
    let clients = Clients::connect(second.address).await;
    Device::named("alice").join(&clients).await;
    done(&one, &["block", "add", "127.0.0.0/8"]).await;
    let mut refused = false;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let request = BeginAuthenticationRequest {
            device_id: vec![1; 16],
        };
        refused = clients.auth.clone().begin_authentication(request).await.is_err();
        if refused {
            break;
        }
    }
    assert!(refused, "it takes effect within ten seconds");
    first.kill().await;
    second.kill().await;
}

#[tokio::test]
async fn a_backup_by_postgresqls_own_programs_is_a_server_again() {
    let folder = tempfile::tempdir().unwrap();
    let (data, other, backup) = (
        folder.path().join("data"),
        folder.path().join("other"),
        folder.path().join("backup"),
    );
    let (program, _) = start(&data, |_| {}).await;
    let clients = Clients::connect(program.address).await;
    let alice = Device::named("alice");
    let token = alice.join(&clients).await;
    let attachment = blobs::content(1024 * 1024 + 9, 1);
    let blob = blobs::Person::known(&clients, &token)
        .put(1, &attachment)
        .await
        .unwrap();
    done(&data, &["backup", backup.to_str().unwrap()]).await;
    done(&other, &["restore", backup.to_str().unwrap()]).await;
    let over = refused(&other, &["restore", backup.to_str().unwrap()]).await;
    assert!(
        over.contains("was not put back") && over.contains("--force"),
        "{over}"
    );
    done(&other, &["restore", "--force", backup.to_str().unwrap()]).await;
    let (again, _) = start(&other, |_| {}).await;
    assert!(!other.join("sottovoce.db").exists(), "its database is elsewhere");
    // Not under a server, whether it runs on this data folder or is another node.
    let forced = ["restore", "--force", backup.to_str().unwrap()];
    let here = refused(&other, &forced).await;
    assert!(here.contains("a server runs here"), "{here}");
    let mut elsewhere = command(&folder.path().join("elsewhere"), &forced);
    elsewhere.env("SOTTOVOCE_DATABASE", postgres_url(&other));
    let output = elsewhere.output().await.unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        text.contains("a server runs on this database: stop every node first"),
        "{text}"
    );
    let clients = Clients::connect(again.address).await;
    alice.sign_in(&clients).await;
    assert!(blobs::read(&clients, &blob, 0, 0).await.unwrap() == attachment);
    program.kill().await;
    again.kill().await;
}
