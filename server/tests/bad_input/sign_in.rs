//! Bad answers to challenges.

use std::time::Duration;

use prost::Message;
use sottovoce_proto::v1::{BeginAuthenticationRequest, CompleteAuthenticationRequest, SignedStatement};
use sottovoce_statements::ServerName;
use tonic::Code;

use super::{BEGIN, COMPLETE, Row, World, invalid, too_large, unsigned};
use crate::common::{Device, TestServer, call, dump, statement, told};

#[tokio::test]
async fn bad_sign_ins_are_refused() {
    let world = World::new().await;
    for device_id in [Vec::new(), vec![1; 15], vec![1; 17]] {
        let body = BeginAuthenticationRequest { device_id }.encode_to_vec();
        world
            .refuses("device id", BEGIN, body, invalid("device_id"))
            .await;
    }
    let alice = &world.alice;
    let begun = alice.begin(&world.clients).await;
    let complete = |challenge: SignedStatement| {
        let challenge = Some(challenge);
        CompleteAuthenticationRequest { challenge }.encode_to_vec()
    };
    let with = |change: &dyn Fn(&mut sottovoce_statements::AuthChallenge)| {
        let mut challenge = alice.challenge(&begun);
        change(&mut challenge);
        complete(statement(challenge, &alice.identity))
    };
    let stranger = Device::named("stranger");
    let strangers = stranger.begin(&world.clients).await;
    let foreign = (Code::Unauthenticated, "CHALLENGE_INVALID", "");
    let mut damaged = statement(alice.challenge(&begun), &alice.identity);
    damaged.signature[0] ^= 1;
    let rows: Vec<Row<'_>> = vec![
        ("empty", Vec::new(), invalid("challenge")),
        (
            "no statement",
            complete(SignedStatement::default()),
            invalid("challenge"),
        ),
        (
            "statement for another purpose",
            complete(statement(alice.prekey(1), &alice.identity)),
            invalid("challenge"),
        ),
        (
            "oversized statement",
            complete(SignedStatement {
                statement: vec![0; 1_537],
                signature: vec![0; 64],
            }),
            too_large("challenge"),
        ),
        ("bad signature", complete(damaged), unsigned("challenge")),
        (
            "signed by another device",
            complete(statement(alice.challenge(&begun), &world.bob.identity)),
            unsigned("challenge"),
        ),
        ("another nonce", with(&|c| c.nonce[20] ^= 1), foreign),
        ("a short nonce", with(&|c| c.nonce.truncate(8)), foreign),
        ("a longer life", with(&|c| c.expires_at_ms += 1), foreign),
        (
            "another server",
            with(&|c| c.server = ServerName::parse("elsewhere.example").unwrap()),
            foreign,
        ),
        (
            "another device's challenge",
            with(&|c| c.nonce = strangers.nonce.clone()),
            foreign,
        ),
        (
            "unknown device",
            complete(statement(stranger.challenge(&strangers), &stranger.identity)),
            (Code::NotFound, "DEVICE_UNKNOWN", ""),
        ),
    ];
    for (what, body, expected) in rows {
        world.refuses(what, COMPLETE, body, expected).await;
    }
    // None of that used the challenge up. Its own answer does, and only once.
    let good = with(&|_| {});
    call(&world.clients.channel, COMPLETE, &[], good.clone())
        .await
        .unwrap();
    let world = World {
        before: dump(&world.server.database).await,
        ..world
    };
    let used = (Code::Unauthenticated, "CHALLENGE_USED", "");
    world.refuses("replayed", COMPLETE, good, used).await;
    world.server.stop().await;
}

#[tokio::test]
async fn an_expired_challenge_is_refused_and_leaves_no_trace() {
    let World { server, alice, .. } = World::new().await;
    // The same accounts, and a server whose challenges end as they begin.
    let folder = server.stop().await;
    let server = TestServer::start_in(folder, |config| {
        config.limits.challenge_lifetime = Duration::ZERO;
    })
    .await;
    let clients = server.connect().await;
    let before = dump(&server.database).await;
    let begun = alice.begin(&clients).await;
    let challenge = Some(statement(alice.challenge(&begun), &alice.identity));
    let request = CompleteAuthenticationRequest { challenge };
    let status = clients.auth.clone().complete_authentication(request).await;
    let expected = (
        Code::Unauthenticated,
        "CHALLENGE_EXPIRED".to_owned(),
        String::new(),
    );
    assert_eq!(told(&status.unwrap_err()), expected);
    assert_eq!(dump(&server.database).await, before);
    server.stop().await;
}
