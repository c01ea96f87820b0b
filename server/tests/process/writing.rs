//! What it leaves in its data folder, and what it never does.

use sottovoce_proto::v1::AcknowledgeRequest;

use crate::accounts::{delete, furnish, until_swept};
use crate::common::{Clients, Device, Program, contains, files, subscribe, until_queue_empty, with_token};

#[cfg(unix)]
#[tokio::test]
async fn what_was_acknowledged_is_no_longer_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path()).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    // One that fits a database page and one that takes many.
    let letters = [b"remember me ".repeat(10), b"forget me ".repeat(5_000)];
    for (n, letter) in (1..).zip(&letters) {
        let request = with_token(&alices, Device::letter(&bob, n, letter));
        clients.mailbox.clone().send(request).await.unwrap();
    }
    assert!(contains(&files(folder.path()), b"remember me") && contains(&files(folder.path()), b"forget me"));
    let mut stream = subscribe(&clients, &bobs).await;
    for envelope in until_queue_empty(&mut stream).await {
        let request = AcknowledgeRequest {
            envelope_ids: vec![envelope.envelope_id],
        };
        clients
            .mailbox
            .clone()
            .acknowledge(with_token(&bobs, request))
            .await
            .unwrap();
    }
    program.signal("TERM").await;
    program.end().await;
    let stored = files(folder.path());
    assert!(contains(&stored, b"alice@localhost"), "the rest is there");
    assert!(!contains(&stored, b"remember me") && !contains(&stored, b"forget me"));
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_deleted_account_had_is_no_longer_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Program::command(folder.path());
    command.env("SOTTOVOCE_LIMITS__SWEEP_INTERVAL", "200ms");
    let program = Program::spawn(command).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let bobs = bob.join(&clients).await;
    let (laptop, token) = furnish(&clients, &alice, &bob, &bobs).await;
    let needles = [
        alice.id.as_bytes().to_vec(),
        laptop.id.as_bytes().to_vec(),
        alice.identity_key().as_bytes().to_vec(),
        laptop.identity_key().as_bytes().to_vec(),
        alice.account_key().as_bytes().to_vec(),
        b"alice@localhost".to_vec(),
        b"for alice".to_vec(),
        b"a letter for tomorrow".to_vec(),
        b"the recovery blob".to_vec(),
        b"the grant".to_vec(),
        b"the attachment".to_vec(),
    ];
    let stored = files(folder.path());
    for needle in &needles {
        assert!(contains(&stored, needle), "{needle:?} was never there");
    }
    delete(&clients, &token, &alice).await.unwrap();
    until_swept(&folder.path().join("sottovoce.db")).await;
    program.signal("TERM").await;
    program.end().await;
    let stored = files(folder.path());
    assert!(contains(&stored, b"bob@localhost"), "the rest is there");
    for needle in &needles {
        assert!(
            !contains(&stored, needle),
            "{} is still there",
            String::from_utf8_lossy(needle)
        );
    }
}
