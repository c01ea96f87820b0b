//! What it writes to its data folder and its log, and what it never does.

use std::path::Path;

use sha2::{Digest, Sha256};

use sottovoce_proto::v1::AcknowledgeRequest;

use crate::accounts::{delete, furnish, until_swept};
use crate::common::{Clients, Device, Program, id, subscribe, until_queue_empty, with_token};

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

#[cfg(unix)]
#[tokio::test]
async fn tokens_are_never_written_and_nobody_is_named_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Program::command(folder.path());
    command.args(["--log-level", "debug", "--log-format", "json"]);
    let program = Program::spawn(command).await;
    let clients = Clients::connect(program.address).await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let tokens = [alice.join(&clients).await, bob.join(&clients).await];
    let prekeys = with_token(&tokens[1], bob.prekeys(1..=5));
    clients.prekeys.clone().publish_prekeys(prekeys).await.unwrap();
    Device::send_numbers(&clients, &tokens[0], &bob, 1..=3).await;
    let refused = with_token(&tokens[0], Device::letter(&bob, 1, b"a conflict"));
    let refusal = clients.mailbox.clone().send(refused).await.unwrap_err();
    let number = refusal.metadata().get("x-request-id").unwrap();
    let number = number.to_str().unwrap().to_owned();
    let mut stream = subscribe(&clients, &tokens[1]).await;
    let waiting = until_queue_empty(&mut stream).await.into_iter();
    let envelopes: Vec<_> = waiting.map(|envelope| envelope.envelope_id).collect();
    let request = AcknowledgeRequest {
        envelope_ids: envelopes[..1].to_vec(),
    };
    clients
        .mailbox
        .clone()
        .acknowledge(with_token(&tokens[1], request))
        .await
        .unwrap();

    let live = files(folder.path());
    program.signal("TERM").await;
    let (_, _, log) = program.end().await;
    for stored in [live, files(folder.path())] {
        for token in &tokens {
            assert!(
                contains(&stored, &Sha256::digest(token.as_bytes())),
                "the hash is there"
            );
            assert!(
                !contains(&stored, token.as_bytes()),
                "a token is in the data folder"
            );
            assert!(
                !contains(&stored, &hex::decode(token).unwrap()),
                "a token is in the data folder"
            );
        }
    }
    for line in ["/sottovoce.v1.MailboxService/Send", "AlreadyExists"] {
        assert!(
            log.contains(line),
            "{line:?} is not in the log, which proves nothing then:\n{log}"
        );
    }
    // One object a line, and those about the call that was refused have the number that its caller was given.
    let numbered = log.lines().filter(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(line.is_object());
        line.to_string().contains(&number)
    });
    assert!(numbered.count() > 0, "{number} is not in the log:\n{log}");
    let mut names = vec![
        "alice".to_owned(),
        "bob".to_owned(),
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    names.extend(tokens);
    names.extend(envelopes.iter().map(hex::encode));
    names.extend([alice.id.to_string(), bob.id.to_string(), hex::encode(id(1))]);
    for name in names {
        assert!(!log.contains(&name), "{name:?} is in the log:\n{log}");
    }
}

/// All that the server has written to its data folder and those in it.
fn files(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            bytes.extend(files(&path));
        } else if path.is_file() {
            // Not the socket for orders, which holds nothing.
            bytes.extend(std::fs::read(path).unwrap());
        }
    }
    bytes
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
