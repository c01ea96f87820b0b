//! A network that loses the connections to PostgreSQL without a word.

use std::time::{Duration, Instant};

use sottovoce_proto::v1::Envelope;
use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_server::{Database, PostgresUrl};

use crate::common::{Device, TestServer, reason, subscribe, until_queue_empty, with_token};
use crate::faults::link_to_postgres;

/// Longer than the server waits for PostgreSQL, some times over.
const AT_LAST: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_server_whose_connections_are_lost_without_a_word_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let (link, url) = link_to_postgres(folder.path()).await;
    let server = TestServer::start_in(folder, |config| {
        config.database = Database::Postgres(PostgresUrl::parse(&url).unwrap());
        config.limits.request_timeout = Duration::from_secs(2);
    })
    .await;
    let clients = server.connect().await;
    let (alice, bob) = (Device::named("alice"), Device::named("bob"));
    let (alices, bobs) = (alice.join(&clients).await, bob.join(&clients).await);
    let mut stream = subscribe(&clients, &bobs).await;
    assert!(until_queue_empty(&mut stream).await.is_empty());
    link.forget();
    let (begun, mut repeats) = (Instant::now(), 0);
    loop {
        let request = with_token(&alices, Device::letter(&bob, 1, b"at last"));
        match clients.mailbox.clone().send(request).await {
            Ok(_) => break,
            Err(status) => {
                let reason = reason(&status);
                assert!(
                    ["DEADLINE_EXCEEDED", "INTERNAL"].contains(&reason.as_str()),
                    "{status:?}"
                );
                assert!(begun.elapsed() < AT_LAST, "nobody is answered any more");
                repeats += 1;
            }
        }
    }
    assert!(repeats > 0, "nothing was lost, which proves nothing");
    // The stream goes on, or says that it does not.
    let next = tokio::time::timeout(AT_LAST, stream.message()).await;
    let next = next.expect("the stream is silent for ever");
    match next {
        Ok(event) => assert!(is(event.unwrap().event, b"at last")),
        Err(status) => {
            assert_eq!(reason(&status), "INTERNAL");
            let mut stream = subscribe(&clients, &bobs).await;
            assert!(is(stream.message().await.unwrap().unwrap().event, b"at last"));
        }
    }
    server.stop().await;
}

fn is(event: Option<Event>, ciphertext: &[u8]) -> bool {
    matches!(event, Some(Event::Envelope(Envelope { ciphertext: came, .. })) if came == ciphertext)
}
