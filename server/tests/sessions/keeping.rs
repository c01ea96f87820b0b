//! What a session is bound to, and what is kept of it.

use super::{HERE, refresh_from, works, works_from};
use crate::common::{Device, TestServer, dump};

#[tokio::test]
async fn tokens_are_good_only_where_their_session_was_begun() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let native = alice.sign_in_from(&clients, None).await;
    let web = alice.sign_in_from(&clients, Some(HERE)).await;
    let mismatch = || Err("ORIGIN_MISMATCH".to_owned());
    assert_eq!(works_from(&clients, &native.access_token, None).await, Ok(()));
    assert_eq!(works_from(&clients, &web.access_token, Some(HERE)).await, Ok(()));
    for (token, origin) in [
        (&native.access_token, Some(HERE)),
        (&web.access_token, None),
        (&web.access_token, Some("https://other.example")),
        (&web.access_token, Some("null")),
    ] {
        assert_eq!(
            works_from(&clients, token, origin).await,
            mismatch(),
            "{origin:?}"
        );
    }
    let before = dump(&server.database).await;
    let elsewhere = refresh_from(&clients, &web.refresh_token, None).await;
    assert_eq!(elsewhere.unwrap_err(), "ORIGIN_MISMATCH");
    assert_eq!(dump(&server.database).await, before);
    let refreshed = refresh_from(&clients, &web.refresh_token, Some(HERE))
        .await
        .unwrap();
    assert_eq!(
        works_from(&clients, &refreshed.access_token, Some(HERE)).await,
        Ok(())
    );
    assert_eq!(works(&clients, &refreshed.access_token).await, mismatch());
    server.stop().await;
}

#[tokio::test]
async fn the_database_holds_no_token_and_no_time_of_a_session_finer_than_a_day() {
    const DAY_MS: u64 = 86_400_000;
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, Some(HERE)).await;
    let next = refresh_from(&clients, &begun.refresh_token, Some(HERE))
        .await
        .unwrap();
    assert_eq!(next.refresh_expires_at_ms % DAY_MS, 0);
    let rows = dump(&server.database).await.join("\n").to_lowercase();
    let secrets = [&begun.refresh_token, &next.refresh_token];
    let parts = secrets.iter().flat_map(|token| [&token[32..96], &token[96..]]);
    let mut searched = 0;
    for secret in parts.chain([begun.access_token.as_str(), &next.access_token, HERE]) {
        assert!(!rows.contains(secret));
        searched += 1;
    }
    assert_eq!(searched, 7);
    assert!(
        rows.contains(&hex::encode(&begun.session_id)),
        "the rows are there"
    );
    server.stop().await;
}
