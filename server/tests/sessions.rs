//! Sessions: refreshed, listed, revoked, bound to where they were begun; and who had a token it should not.

use std::time::Duration;

use sottovoce_proto::v1::subscribe_response::Event;
use sottovoce_proto::v1::{
    CountPrekeysRequest, ListSessionsRequest, RefreshTokensRequest, RefreshTokensResponse,
    RevokeSessionRequest, Session, SubscribeRequest, SubscribeResponse,
};
use tonic::{Request, Status, Streaming};

use crate::common::{Clients, Device, TestServer, dump, reason, with_token};

const HERE: &str = "https://chat.example";

async fn works(clients: &Clients, token: &str) -> Result<(), String> {
    works_from(clients, token, None).await
}

async fn works_from(clients: &Clients, token: &str, origin: Option<&str>) -> Result<(), String> {
    let mut request = with_token(token, CountPrekeysRequest {});
    if let Some(origin) = origin {
        request.metadata_mut().insert("origin", origin.parse().unwrap());
    }
    let answer = clients.prekeys.clone().count_prekeys(request).await;
    answer.map(|_| ()).map_err(|status| reason(&status))
}

async fn refresh(clients: &Clients, refresh_token: &str) -> Result<RefreshTokensResponse, String> {
    refresh_from(clients, refresh_token, None).await
}

async fn refresh_from(
    clients: &Clients,
    refresh_token: &str,
    origin: Option<&str>,
) -> Result<RefreshTokensResponse, String> {
    let refresh_token = refresh_token.to_owned();
    let mut request = Request::new(RefreshTokensRequest { refresh_token });
    if let Some(origin) = origin {
        request.metadata_mut().insert("origin", origin.parse().unwrap());
    }
    let answer = clients.auth.clone().refresh_tokens(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| reason(&status))
}

async fn sessions(clients: &Clients, token: &str) -> Vec<Session> {
    let request = with_token(token, ListSessionsRequest {});
    let answer = clients.auth.clone().list_sessions(request).await;
    answer.unwrap().into_inner().sessions
}

async fn revoke(clients: &Clients, token: &str, session: &[u8]) -> Result<(), String> {
    let session_id = session.to_vec();
    let request = with_token(token, RevokeSessionRequest { session_id });
    let answer = clients.auth.clone().revoke_session(request).await;
    answer.map(|_| ()).map_err(|status| reason(&status))
}

/// A stream that has said that nothing waits.
async fn listen(clients: &Clients, token: &str) -> Streaming<SubscribeResponse> {
    let request = with_token(token, SubscribeRequest {});
    let mut stream = clients
        .mailbox
        .clone()
        .subscribe(request)
        .await
        .unwrap()
        .into_inner();
    let first = stream.message().await.unwrap().unwrap().event;
    assert!(matches!(first, Some(Event::QueueEmpty(_))));
    stream
}

async fn end_of(mut stream: Streaming<SubscribeResponse>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    let ended: Result<_, Status> = next.expect("the stream goes on");
    reason(&ended.unwrap_err())
}

#[tokio::test]
async fn refreshing_gives_new_tokens_and_leaves_the_last_access_token_its_time() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let first = alice.sign_in_from(&clients, None).await;
    let second = refresh(&clients, &first.refresh_token).await.unwrap();
    assert_ne!(second.access_token, first.access_token);
    assert_ne!(second.refresh_token, first.refresh_token);
    for token in [&first.access_token, &second.access_token] {
        assert_eq!(works(&clients, token).await, Ok(()));
    }
    let third = refresh(&clients, &second.refresh_token).await.unwrap();
    assert_eq!(
        works(&clients, &first.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    for token in [&second.access_token, &third.access_token] {
        assert_eq!(works(&clients, token).await, Ok(()));
    }
    assert_eq!(sessions(&clients, &third.access_token).await.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_outlives_a_restart() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    let server = TestServer::start_in(server.stop().await, |_| {}).await;
    let clients = server.connect().await;
    let refreshed = refresh(&clients, &begun.refresh_token).await.unwrap();
    assert_eq!(works(&clients, &refreshed.access_token).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn a_refresh_token_used_again_ends_its_session_and_no_other() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    let other = alice.join(&clients).await;
    let first = alice.sign_in_from(&clients, None).await;
    let second = refresh(&clients, &first.refresh_token).await.unwrap();
    let third = refresh(&clients, &second.refresh_token).await.unwrap();
    let stream = listen(&clients, &third.access_token).await;
    assert_eq!(
        refresh(&clients, &first.refresh_token).await.unwrap_err(),
        "REFRESH_REUSED"
    );
    assert_eq!(end_of(stream).await, "TOKEN_INVALID");
    for token in [&second.access_token, &third.access_token] {
        assert_eq!(works(&clients, token).await, Err("TOKEN_INVALID".into()));
    }
    for token in [&first.refresh_token, &third.refresh_token] {
        assert_eq!(refresh(&clients, token).await.unwrap_err(), "REFRESH_INVALID");
    }
    assert_eq!(works(&clients, &other).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn an_answer_lost_on_the_way_locks_nobody_out() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    // However often it is lost.
    let mut lost = Vec::new();
    for _ in 0..4 {
        lost.push(refresh(&clients, &begun.refresh_token).await.unwrap());
    }
    let arrived = lost.pop().unwrap();
    for lost in &lost {
        assert_eq!(
            works(&clients, &lost.access_token).await,
            Err("TOKEN_INVALID".into())
        );
    }
    assert_eq!(works(&clients, &arrived.access_token).await, Ok(()));
    let next = refresh(&clients, &arrived.refresh_token).await.unwrap();
    assert_eq!(works(&clients, &next.access_token).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn a_thief_and_the_owner_of_a_token_cannot_both_go_on() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let stolen = alice.sign_in_from(&clients, None).await.refresh_token;
    let owners = refresh(&clients, &stolen).await.unwrap();
    // As if the owner's answer had been lost.
    let thiefs = refresh(&clients, &stolen).await.unwrap();
    assert_eq!(
        works(&clients, &owners.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    assert_eq!(
        refresh(&clients, &owners.refresh_token).await.unwrap_err(),
        "REFRESH_REUSED"
    );
    assert_eq!(
        works(&clients, &thiefs.access_token).await,
        Err("TOKEN_INVALID".into())
    );
    assert_eq!(
        refresh(&clients, &thiefs.refresh_token).await.unwrap_err(),
        "REFRESH_INVALID"
    );
    server.stop().await;
}

#[tokio::test]
async fn who_knows_a_sessions_id_and_no_token_of_it_changes_nothing() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    let before = dump(&server.database).await;
    let forged = format!("{}{}", &begun.refresh_token[..32], "0".repeat(128));
    assert_eq!(refresh(&clients, &forged).await.unwrap_err(), "REFRESH_INVALID");
    assert_eq!(dump(&server.database).await, before);
    assert_eq!(works(&clients, &begun.access_token).await, Ok(()));
    server.stop().await;
}

#[tokio::test]
async fn of_many_who_refresh_at_once_the_session_keeps_one_pair_of_tokens() {
    let server = TestServer::start().await;
    let clients = server.connect().await;
    let alice = Device::named("alice");
    alice.register(&clients).await;
    let begun = alice.sign_in_from(&clients, None).await;
    let answers = (0..8).map(|_| refresh(&clients, &begun.refresh_token));
    let answers = futures_util::future::join_all(answers).await;
    let mut good = 0;
    for answer in &answers {
        good += usize::from(
            works(&clients, &answer.as_ref().unwrap().access_token)
                .await
                .is_ok(),
        );
    }
    assert_eq!(good, 1);
    server.stop().await;
}

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
            Ok(stream) => {
                let mut stream = stream.into_inner();
                let end = async {
                    loop {
                        if let Err(end) = stream.message().await {
                            break end;
                        }
                    }
                };
                let end = tokio::time::timeout(Duration::from_secs(5), end).await;
                end.expect("the stream goes on")
            }
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
