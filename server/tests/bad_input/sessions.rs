//! Bad refresh tokens, and sessions that are not the caller's.

use prost::Message;
use sottovoce_proto::v1::{RefreshTokensRequest, RevokeSessionRequest};
use tonic::Code;

use super::{REFRESH, REVOKE_SESSION, World, invalid};

#[tokio::test]
async fn bad_refresh_tokens_are_refused() {
    let world = World::new().await;
    let refused = (Code::Unauthenticated, "REFRESH_INVALID", "");
    let texts = [
        String::new(),
        "0".repeat(159),
        "0".repeat(160),
        "0".repeat(161),
        "A".repeat(160),
        "ü".repeat(80),
        world.token.clone(),
    ];
    for refresh_token in texts {
        let body = RefreshTokensRequest {
            refresh_token: refresh_token.clone(),
        };
        world
            .refuses(&refresh_token, REFRESH, body.encode_to_vec(), refused)
            .await;
    }
    world.server.stop().await;
}

#[tokio::test]
async fn bad_revocations_are_refused() {
    let world = World::new().await;
    let bobs = world.bob.sign_in_from(&world.clients, None).await;
    let world = World {
        before: crate::common::dump(&world.server.database).await,
        ..world
    };
    let unknown = (Code::NotFound, "SESSION_UNKNOWN", "");
    for (what, session_id, expected) in [
        ("empty", Vec::new(), invalid("session_id")),
        ("short", vec![1; 15], invalid("session_id")),
        ("long", vec![1; 17], invalid("session_id")),
        ("unknown", vec![1; 16], unknown),
        ("another account's", bobs.session_id, unknown),
    ] {
        let body = RevokeSessionRequest { session_id }.encode_to_vec();
        world.refuses(what, REVOKE_SESSION, body, expected).await;
    }
    world.server.stop().await;
}
