//! Sessions: refreshed, listed, revoked, bound to where they were begun; and who had a token it should not.

mod ending;
mod keeping;
mod refreshing;

use std::time::Duration;

use sottovoce_proto::v1::{
    CountPrekeysRequest, ListSessionsRequest, RefreshTokensRequest, RefreshTokensResponse,
    RevokeSessionRequest, Session, SubscribeResponse,
};
use tonic::{Request, Status, Streaming};

use crate::common::{Clients, reason, subscribe, until_queue_empty, with_token};

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
    let mut stream = subscribe(clients, token).await;
    assert!(until_queue_empty(&mut stream).await.is_empty());
    stream
}

async fn end_of(mut stream: Streaming<SubscribeResponse>) -> String {
    let next = tokio::time::timeout(Duration::from_secs(5), stream.message()).await;
    let ended: Result<_, Status> = next.expect("the stream goes on");
    reason(&ended.unwrap_err())
}
