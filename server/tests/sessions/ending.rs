//! How sessions end, and what ends with them: their tokens, their streams, their rows.

use std::time::Duration;

use sottovoce_proto::v1::SubscribeRequest;

use super::{HERE, end_of, listen, refresh, refresh_from, revoke, sessions, works, works_from};
use crate::common::{Device, TestServer, dump, reason, with_token};

#[tokio::test]
async fn sessions_are_listed_by_day_and_ended_one_by_one() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let native = alice.sign_in_from(&clients, None).await;
    let web = alice.sign_in_from(&clients, Some(HERE)).await;
    let listed = sessions(&clients, &native.access_token).await;
    let today = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        / 86_400;
    let days = u32::try_from(today - 1).unwrap()..=u32::try_from(today).unwrap();
    let told: Vec<_> = listed
        .iter()
        .map(|session| (session.session_id.clone(), session.web, session.current))
        .collect();
    assert_eq!(
        told,
        [
            (web.session_id.clone(), true, false),
            (native.session_id.clone(), false, true)
        ]
    );
    for session in &listed {
        assert_eq!(session.device_id, alice.id.as_bytes());
        assert!(days.contains(&session.created_day) && days.contains(&session.last_used_day));
    }
    let stream = listen(&clients, &native.access_token).await;
    assert_eq!(
        revoke(&clients, &native.access_token, &web.session_id).await,
        Ok(())
    );
    // The device has one stream: with another session it begins the next.
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    assert_eq!(
        works_from(&clients, &web.access_token, Some(HERE)).await,
        Err("TOKEN_INVALID".into())
    );
    assert_eq!(
        refresh_from(&clients, &web.refresh_token, Some(HERE))
            .await
            .unwrap_err(),
        "REFRESH_INVALID"
    );
    assert_eq!(
        revoke(&clients, &native.access_token, &web.session_id).await,
        Err("SESSION_UNKNOWN".into())
    );
    assert_eq!(
        revoke(&clients, &native.access_token, &native.session_id).await,
        Ok(())
    );
    assert_eq!(
        works(&clients, &native.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_is_not_refreshed_ends_and_is_forgotten() {
    let server = TestServer::start_limited(|limits| {
        limits.session_idle_lifetime = Duration::ZERO;
        limits.sweep_interval = Duration::from_millis(50);
    })
    .await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    assert_eq!(
        refresh(&clients, &begun.refresh_token).await.unwrap_err(),
        "REFRESH_INVALID"
    );
    let gone = async {
        while dump(&server.database)
            .await
            .iter()
            .any(|row| row.starts_with("sessions:"))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_begins_while_its_session_ends_ends_too() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let keeper = alice.join(&clients).await;
    for _ in 0..40 {
        let begun = alice.sign_in_from(&clients, None).await;
        let subscribing = async {
            let request = with_token(&begun.access_token, SubscribeRequest {});
            clients.mailbox.clone().subscribe(request).await
        };
        let revoking = revoke(&clients, &keeper, &begun.session_id);
        let (stream, revoked) = tokio::join!(subscribing, revoking);
        assert_eq!(revoked, Ok(()));
        let end = match stream {
            Err(refused) => refused,
            Ok(stream) => crate::common::end_of(stream.into_inner()).await,
        };
        assert_eq!(reason(&end), "TOKEN_INVALID");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_gives_way_to_a_new_one_takes_its_stream_along() {
    let server = TestServer::start_limited(|limits| limits.max_sessions_per_device = 2).await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let oldest = alice.join(&clients).await;
    let stream = listen(&clients, &oldest).await;
    let second = alice.sign_in(&clients).await;
    assert_eq!(works(&clients, &oldest).await, Ok(()), "there is room for two");
    let third = alice.sign_in(&clients).await;
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    assert_eq!(works(&clients, &oldest).await, Err("TOKEN_INVALID".into()));
    for token in [&second, &third] {
        assert_eq!(works(&clients, token).await, Ok(()));
    }
    server.stop().await;
}
